//! Both protocols refuse the same requests with the same words.

use crate::common::{self, Lab, MAPS, PODS, config_map, pod};
use hardway_client::channel::Connection;
use hardway_proto::Status;
use hardway_proto::api::api_client::ApiClient;
use hardway_proto::api::{self, PatchType, Target};
use http::Method;
use serde_json::{Value, json};

/// A request that is wrong, as both protocols can be asked it.
struct Wrong {
    verb: &'static str,
    /// group/resource/namespace/name/subresource
    at: [&'static str; 5],
    body: Value,
    field_manager: String,
    code: u16,
}

fn wrong(code: u16, verb: &'static str, at: [&'static str; 5], body: Value) -> Wrong {
    Wrong {
        verb,
        at,
        body,
        field_manager: String::new(),
        code,
    }
}

fn named(name: &str) -> Value {
    json!({"metadata": {"name": name}})
}

fn all() -> Vec<Wrong> {
    let in_other = json!({"metadata": {"name": "a", "namespace": "other"}});
    let binding = json!({"metadata": {"name": "b"}, "target": {"kind": "Node", "name": "n"}});
    let map = |name, sub| ["", "configmaps", "default", name, sub];
    vec![
        // Names that are other paths.
        wrong(400, "get", map("../x", ""), Value::Null),
        wrong(400, "get", map("a%2fb", ""), Value::Null),
        wrong(400, "delete", map("..", ""), Value::Null),
        wrong(400, "get", ["", "configmaps", "a/b", "c", ""], Value::Null),
        wrong(400, "list", ["", "configmaps", "..", "", ""], Value::Null),
        // Names that don't agree.
        wrong(400, "update", map("a", ""), config_map("b")),
        wrong(400, "patch", map("a", ""), named("b")),
        wrong(400, "create", map("", ""), in_other.clone()),
        wrong(400, "update", map("a", ""), in_other.clone()),
        wrong(400, "patch", map("a", ""), in_other),
        wrong(
            400,
            "create",
            ["", "pods", "default", "a", "binding"],
            binding,
        ),
        wrong(
            400,
            "create",
            ["", "pods", "default", "a", "eviction"],
            named("b"),
        ),
        // Names that are missing, or too many.
        wrong(405, "update", map("", ""), config_map("a")),
        wrong(405, "patch", map("", ""), named("a")),
        wrong(
            400,
            "create",
            ["", "configmaps", "", "", ""],
            config_map("a"),
        ),
        wrong(404, "get", ["", "configmaps", "", "a", ""], Value::Null),
        wrong(
            404,
            "update",
            ["", "configmaps", "", "a", ""],
            config_map("a"),
        ),
        wrong(404, "delete", ["", "configmaps", "", "a", ""], Value::Null),
        wrong(404, "get", ["", "nodes", "default", "a", ""], Value::Null),
        wrong(404, "create", ["", "nodes", "default", "", ""], named("a")),
        wrong(
            405,
            "deletecollection",
            ["", "configmaps", "", "", ""],
            Value::Null,
        ),
        wrong(
            405,
            "deletecollection",
            ["", "namespaces", "", "", ""],
            Value::Null,
        ),
        // What there isn't.
        wrong(404, "get", ["", "nosuch", "default", "a", ""], Value::Null),
        wrong(404, "get", map("a", "nosuch"), Value::Null),
        wrong(404, "update", map("a", "status"), config_map("a")),
        wrong(
            405,
            "delete",
            ["", "componentstatuses", "", "etcd-0", ""],
            Value::Null,
        ),
        wrong(404, "get", map("missing", ""), Value::Null),
        wrong(404, "update", map("missing", ""), config_map("missing")),
        wrong(404, "delete", map("missing", ""), Value::Null),
        // What can't be.
        wrong(422, "create", map("", ""), config_map("A_b")),
        wrong(422, "create", map("", ""), json!({"metadata": {}})),
        wrong(409, "create", map("", ""), config_map("a")),
        wrong(
            409,
            "update",
            map("a", ""),
            json!({"metadata": {"name": "a", "resourceVersion": "1"}}),
        ),
        wrong(
            409,
            "delete",
            map("a", ""),
            json!({"preconditions": {"uid": "x"}}),
        ),
        wrong(
            422,
            "delete",
            map("a", ""),
            json!({"propagationPolicy": "Away"}),
        ),
        wrong(
            400,
            "create",
            map("", ""),
            json!({"metadata": {"name": "c"}, "data": 7}),
        ),
        wrong(
            400,
            "create",
            map("", ""),
            json!({"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "c"}}),
        ),
        wrong(
            500,
            "create",
            map("", ""),
            json!({"metadata": {"name": "c", "resourceVersion": "5"}}),
        ),
        Wrong {
            field_manager: "x".repeat(129),
            ..wrong(400, "create", map("", ""), config_map("c"))
        },
        Wrong {
            field_manager: "a\u{7}".into(),
            ..wrong(400, "create", map("", ""), config_map("c"))
        },
    ]
}

fn path(wrong: &Wrong) -> String {
    let [group, resource, namespace, name, subresource] = wrong.at;
    let escaped = |text: &str| text.replace('%', "%25").replace('/', "%2f");
    let mut path = match group {
        "" => "/api/v1".to_owned(),
        group => format!("/apis/{group}/v1"),
    };
    if !namespace.is_empty() {
        path.push_str(&format!("/namespaces/{}", escaped(namespace)));
    }
    for part in [resource, name, subresource] {
        if !part.is_empty() {
            path.push_str(&format!("/{}", escaped(part)));
        }
    }
    if !wrong.field_manager.is_empty() {
        let manager = wrong.field_manager.replace('\u{7}', "%07");
        path.push_str(&format!("?fieldManager={manager}"));
    }
    path
}

async fn over_rest(lab: &Lab, wrong: &Wrong) -> Status {
    let (method, kind) = match wrong.verb {
        "get" | "list" => (Method::GET, ""),
        "create" => (Method::POST, "application/json"),
        "update" => (Method::PUT, "application/json"),
        "patch" => (Method::PATCH, "application/merge-patch+json"),
        _ => (Method::DELETE, "application/json"),
    };
    let body = match &wrong.body {
        Value::Null => String::new(),
        body => body.to_string(),
    };
    let (code, answer) = lab.send(method, &path(wrong), kind, body).await;
    let status: Status =
        serde_json::from_value(answer.clone()).unwrap_or_else(|_| panic!("{answer}"));
    assert_eq!(status.code, code);
    status
}

async fn over_grpc(client: &mut ApiClient<Connection>, wrong: &Wrong) -> Result<(), Status> {
    let [group, resource, namespace, name, subresource] = wrong.at.map(str::to_owned);
    let target = Some(Target {
        group,
        version: "v1".into(),
        resource,
        namespace,
        name,
        subresource,
    });
    let json = || wrong.body.to_string().into_bytes().into();
    let options = Some(api::WriteOptions {
        field_manager: wrong.field_manager.clone(),
        ..Default::default()
    });
    let delete = match &wrong.body {
        Value::Null => Default::default(),
        body => body.to_string().into_bytes().into(),
    };
    let outcome = match wrong.verb {
        "get" => client
            .get(api::GetRequest {
                target,
                resource_version: String::new(),
            })
            .await
            .map(drop),
        "list" => client
            .list(api::ListRequest {
                target,
                ..Default::default()
            })
            .await
            .map(drop),
        "create" => client
            .create(api::CreateRequest {
                target,
                json: json(),
                options,
            })
            .await
            .map(drop),
        "update" => client
            .update(api::UpdateRequest {
                target,
                json: json(),
                options,
            })
            .await
            .map(drop),
        "patch" => client
            .patch(api::PatchRequest {
                target,
                r#type: PatchType::MergePatch.into(),
                patch: json(),
                options,
                force: false,
            })
            .await
            .map(drop),
        "delete" => client
            .delete(api::DeleteRequest {
                target,
                options: delete,
            })
            .await
            .map(drop),
        _ => client
            .delete_collection(api::DeleteCollectionRequest {
                target,
                options: delete,
                ..Default::default()
            })
            .await
            .map(drop),
    };
    outcome.map_err(Status::from)
}

fn grpc(lab: &Lab, user: &str) -> ApiClient<Connection> {
    ApiClient::new(hardway_client::channel::connect(&lab.kubeconfig_of(user)).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_refuse_the_same() {
    let lab = Lab::start().await;
    let mut client = grpc(&lab, "admin");
    lab.create(MAPS, &config_map("a")).await;
    for wrong in all() {
        let what = format!("{} {:?} {}", wrong.verb, wrong.at, wrong.body);
        let rest = over_rest(&lab, &wrong).await;
        assert_eq!(rest.code, wrong.code, "{what}: {rest:?}");
        let grpc = over_grpc(&mut client, &wrong).await;
        let grpc = grpc.expect_err(&what);
        assert_eq!(
            (grpc.code, &grpc.reason, &grpc.message),
            (rest.code, &rest.reason, &rest.message),
            "{what}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_use_one_name_makes_up_no_other() {
    let lab = Lab::start().await;
    let rbac = "/apis/rbac.authorization.k8s.io/v1";
    let role = json!({"metadata": {"name": "one"}, "rules": [{
        "apiGroups": ["coordination.k8s.io"], "resources": ["leases"],
        "resourceNames": ["mine"], "verbs": ["create", "update", "patch"]}]});
    lab.create(&format!("{rbac}/clusterroles"), &role).await;
    let binding = json!({"metadata": {"name": "one"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "one"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "jane"}]});
    lab.create(&format!("{rbac}/clusterrolebindings"), &binding)
        .await;

    let leases = "/apis/coordination.k8s.io/v1/namespaces/default/leases";
    let generated = json!({"metadata": {"generateName": "other-"}});
    let (code, refused) = lab.send_as("jane", Method::POST, leases, &generated).await;
    assert_eq!(code, 403, "{refused}");
    let mine = format!("{leases}/mine");
    let (code, created) = lab.send_as("jane", Method::PUT, &mine, &generated).await;
    assert_eq!((code, &created["metadata"]["name"]), (201, &json!("mine")));

    let mut client = grpc(&lab, "jane");
    for (code, body) in [(409, generated), (400, named("other"))] {
        let at = ["coordination.k8s.io", "leases", "default", "mine", ""];
        let creation = wrong(code, "create", at, body);
        let refused = over_grpc(&mut client, &creation).await.unwrap_err();
        assert_eq!(refused.code, code, "{refused}");
    }
    let (_, all) = lab.get(leases).await;
    assert_eq!(all["items"].as_array().map(Vec::len), Some(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subresource_is_not_the_object() {
    let lab = Lab::start().await;
    common::service_account(&lab).await;
    lab.create(PODS, &pod("a")).await;
    let rbac = "/apis/rbac.authorization.k8s.io/v1";
    let role = json!({"metadata": {"name": "below"}, "rules": [{
        "apiGroups": [""], "resources": ["pods/log", "pods/proxy", "pods/status"],
        "verbs": ["*"]}]});
    lab.create(&format!("{rbac}/clusterroles"), &role).await;
    let binding = json!({"metadata": {"name": "below"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "below"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "jane"}]});
    lab.create(&format!("{rbac}/clusterrolebindings"), &binding)
        .await;
    let mut client = grpc(&lab, "jane");
    for (verb, subresource) in [
        ("get", "log"),
        ("get", "proxy"),
        ("delete", "proxy"),
        ("delete", "status"),
    ] {
        let at = ["", "pods", "default", "a", subresource];
        let refused = over_grpc(&mut client, &wrong(405, verb, at, Value::Null)).await;
        assert_eq!(refused.unwrap_err().code, 405, "{verb} {subresource}");
    }
    assert_eq!(lab.get(&format!("{PODS}/a")).await.0, 200);
}
