//! Objects: create, read, change, delete, as Kubernetes does it.

mod bodies;
mod changes;
mod strategies;

use crate::common::{Lab, MAPS, PODS, config_map, pod, service_account};
use http::Method;
use serde_json::{Value, json};

fn path(collection: &str, name: &str) -> String {
    format!("{collection}/{name}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn create_read_update_and_conflict() {
    let lab = Lab::start().await;
    let made = lab.create(MAPS, &config_map("a")).await;
    assert_eq!(made["metadata"]["namespace"], "default");
    assert!(made["metadata"]["uid"].is_string());
    let (code, again) = lab.post(MAPS, &config_map("a")).await;
    assert_eq!((code, &again["reason"]), (409, &json!("AlreadyExists")));
    assert_eq!(again["message"], "configmaps \"a\" already exists");

    let (code, read) = lab.get(&path(MAPS, "a")).await;
    assert_eq!((code, &read), (200, &made));

    // A write that changes nothing is none.
    let (code, same) = lab.put(&path(MAPS, "a"), &made).await;
    assert_eq!((code, &same), (200, &made));

    let mut changed = made.clone();
    changed["data"]["a"] = json!("2");
    let (code, updated) = lab.put(&path(MAPS, "a"), &changed).await;
    assert_eq!(code, 200, "{updated}");
    assert_ne!(
        updated["metadata"]["resourceVersion"],
        made["metadata"]["resourceVersion"]
    );
    assert_eq!(updated["metadata"]["uid"], made["metadata"]["uid"]);

    // The old version is stale now; without a version it is a wish.
    changed["data"]["a"] = json!("3");
    let (code, stale) = lab.put(&path(MAPS, "a"), &changed).await;
    assert_eq!((code, &stale["reason"]), (409, &json!("Conflict")));
    assert!(
        stale["message"]
            .as_str()
            .unwrap()
            .contains("the object has been modified")
    );
    changed["metadata"]
        .as_object_mut()
        .unwrap()
        .remove("resourceVersion");
    let (code, _) = lab.put(&path(MAPS, "a"), &changed).await;
    assert_eq!(code, 200);

    let mut other = changed.clone();
    other["metadata"]["name"] = json!("b");
    assert_eq!(lab.put(&path(MAPS, "a"), &other).await.0, 400);
    let mut elsewhere = config_map("c");
    elsewhere["metadata"]["namespace"] = json!("kube-system");
    let (code, status) = lab.post(MAPS, &elsewhere).await;
    assert_eq!(code, 400, "{status}");
    assert_eq!(lab.get(&path(MAPS, "nope")).await.0, 404);
    assert_eq!(
        lab.put(&path(MAPS, "nope"), &config_map("nope")).await.0,
        404
    );
    let elsewhere = "/api/v1/namespaces/nowhere/configmaps";
    assert_eq!(lab.post(elsewhere, &config_map("a")).await.0, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_are_generated_and_dry_runs_leave_nothing() {
    let lab = Lab::start().await;
    let wish = json!({"metadata": {"generateName": "x-"}});
    let one = lab.create(MAPS, &wish).await;
    let two = lab.create(MAPS, &wish).await;
    let name = one["metadata"]["name"].as_str().unwrap();
    assert!(name.starts_with("x-") && name.len() == 7, "{name}");
    assert_ne!(one["metadata"]["name"], two["metadata"]["name"]);

    let (code, dry) = lab
        .post(&format!("{MAPS}?dryRun=All"), &config_map("dry"))
        .await;
    assert_eq!(code, 201);
    assert_eq!(dry["metadata"].get("resourceVersion"), None);
    assert_eq!(lab.get(&path(MAPS, "dry")).await.0, 404);
    lab.create(MAPS, &config_map("dry")).await;
    let (code, _) = lab
        .merge(
            &format!("{MAPS}/dry?dryRun=All"),
            &json!({"data": {"a": "9"}}),
        )
        .await;
    assert_eq!(code, 200);
    let (code, _) = lab
        .delete(&format!("{MAPS}/dry?dryRun=All"), &Value::Null)
        .await;
    assert_eq!(code, 200);
    assert_eq!(lab.get(&path(MAPS, "dry")).await.1["data"]["a"], "1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_bodies_are_told_and_change_nothing() {
    let lab = Lab::start().await;
    service_account(&lab).await;
    let strict = format!("{PODS}?fieldValidation=Strict");
    let mut typo = pod("a");
    typo["spec"]["containers"][0]["imagee"] = json!("x");
    let (code, status) = lab.post(&strict, &typo).await;
    assert_eq!(code, 400);
    assert_eq!(
        status["message"],
        "Pod in version \"v1\" cannot be handled as a Pod: strict decoding error: unknown field \"spec.containers[0].imagee\""
    );
    let mut wrong = pod("a");
    wrong["spec"]["containers"] = json!("x");
    assert_eq!(lab.post(PODS, &wrong).await.0, 400);
    let (code, status) = lab
        .post(
            PODS,
            &json!({"metadata": {"name": "a"}, "spec": {"containers": []}}),
        )
        .await;
    assert_eq!((code, &status["reason"]), (422, &json!("Invalid")));
    assert!(
        status["message"]
            .as_str()
            .unwrap()
            .contains("spec.containers: Required value"),
        "{status}"
    );
    let (code, status) = lab.send(Method::POST, PODS, "application/json", "{").await;
    assert_eq!((code, &status["reason"]), (400, &json!("BadRequest")));
    assert_eq!(
        lab.send(Method::POST, PODS, "application/xml", "<a/>")
            .await
            .0,
        415
    );
    let huge = vec![b' '; (3 << 20) + 1];
    assert_eq!(
        lab.send(Method::POST, PODS, "application/json", huge)
            .await
            .0,
        413
    );
    let yaml = "kind: Pod\nmetadata: {name: a}\nspec: {containers: [{name: c, image: i}]}\n";
    let (code, made) = lab.send(Method::POST, PODS, "application/yaml", yaml).await;
    assert_eq!(code, 201, "{made}");
    assert_eq!(lab.get("/api/v1/nonsense").await.0, 404);
    assert_eq!(lab.get("/nonsense").await.0, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn patches_and_apply() {
    let lab = Lab::start().await;
    lab.create(MAPS, &config_map("a")).await;
    let (code, merged) = lab
        .merge(&path(MAPS, "a"), &json!({"data": {"b": "2"}}))
        .await;
    assert_eq!((code, &merged["data"]), (200, &json!({"a": "1", "b": "2"})));
    let operations = json!([{"op": "remove", "path": "/data/b"}]).to_string();
    let json_patch = "application/json-patch+json";
    let (code, patched) = lab
        .send(
            Method::PATCH,
            &path(MAPS, "a"),
            json_patch,
            operations.clone(),
        )
        .await;
    assert_eq!((code, &patched["data"]), (200, &json!({"a": "1"})));
    assert_eq!(
        lab.send(Method::PATCH, &path(MAPS, "a"), json_patch, operations)
            .await
            .0,
        422
    );
    let stale = json!({"metadata": {"resourceVersion": "1"}, "data": {"c": "3"}});
    assert_eq!(lab.merge(&path(MAPS, "a"), &stale).await.0, 409);

    let apply = async |manager: &str, force: bool, value: &str| {
        let wanted = format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: s}}\ndata: {{k: '{value}'}}\n"
        );
        let url = format!("{MAPS}/s?fieldManager={manager}&force={force}");
        lab.send(Method::PATCH, &url, "application/apply-patch+yaml", wanted)
            .await
    };
    assert_eq!(apply("one", false, "1").await.0, 201);
    assert_eq!(apply("one", false, "2").await.0, 200);
    let (code, status) = apply("two", false, "3").await;
    assert_eq!(code, 409);
    assert!(
        status["message"]
            .as_str()
            .unwrap()
            .contains("conflict with \"one\""),
        "{status}"
    );
    let (code, forced) = apply("two", true, "3").await;
    assert_eq!((code, &forced["data"]["k"]), (200, &json!("3")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deletion() {
    let lab = Lab::start().await;
    service_account(&lab).await;
    // Unscheduled: gone at once.
    lab.create(PODS, &pod("free")).await;
    assert_eq!(lab.delete(&path(PODS, "free"), &Value::Null).await.0, 200);
    assert_eq!(lab.get(&path(PODS, "free")).await.0, 404);

    // Bound: Terminating until the kubelet is done.
    let node = json!({"metadata": {"name": "n1"}});
    lab.create("/api/v1/nodes", &node).await;
    lab.create(PODS, &pod("bound")).await;
    let binding = json!({"apiVersion": "v1", "kind": "Binding", "metadata": {"name": "bound"},
        "target": {"kind": "Node", "name": "n1"}});
    let bind = format!("{PODS}/bound/binding");
    lab.create(&bind, &binding).await;
    let (code, status) = lab.post(&bind, &binding).await;
    assert_eq!(code, 409, "{status}");
    let (_, scheduled) = lab.get(&path(PODS, "bound")).await;
    assert_eq!(scheduled["spec"]["nodeName"], "n1");
    assert_eq!(scheduled["status"]["conditions"][0]["type"], "PodScheduled");
    let (code, going) = lab.delete(&path(PODS, "bound"), &Value::Null).await;
    assert_eq!(code, 200);
    assert_eq!(going["metadata"]["deletionGracePeriodSeconds"], 30);
    assert!(going["metadata"]["deletionTimestamp"].is_string());
    let (_, still) = lab.get(&path(PODS, "bound")).await;
    assert_eq!(
        still["metadata"]["deletionTimestamp"],
        going["metadata"]["deletionTimestamp"]
    );
    let wrong = json!({"gracePeriodSeconds": 0, "preconditions": {"uid": "other"}});
    assert_eq!(lab.delete(&path(PODS, "bound"), &wrong).await.0, 409);
    let right =
        json!({"gracePeriodSeconds": 0, "preconditions": {"uid": still["metadata"]["uid"]}});
    assert_eq!(lab.delete(&path(PODS, "bound"), &right).await.0, 200);
    assert_eq!(lab.get(&path(PODS, "bound")).await.0, 404);

    // Finalizers hold; foreground and orphan are finalizers.
    let mut held = config_map("held");
    held["metadata"]["finalizers"] = json!(["example.com/hold"]);
    lab.create(MAPS, &held).await;
    let foreground = json!({"propagationPolicy": "Foreground"});
    let (code, going) = lab.delete(&path(MAPS, "held"), &foreground).await;
    assert_eq!(code, 200);
    assert_eq!(
        going["metadata"]["finalizers"],
        json!(["example.com/hold", "foregroundDeletion"])
    );
    let more = json!({"metadata": {"finalizers": ["example.com/hold", "foregroundDeletion", "example.com/more"]}});
    assert_eq!(lab.merge(&path(MAPS, "held"), &more).await.0, 422);
    let (code, _) = lab
        .merge(
            &path(MAPS, "held"),
            &json!({"metadata": {"finalizers": null}}),
        )
        .await;
    assert_eq!(code, 200);
    assert_eq!(lab.get(&path(MAPS, "held")).await.0, 404);

    for name in ["x", "y"] {
        lab.create(MAPS, &config_map(name)).await;
    }
    let (code, list) = lab.delete(MAPS, &Value::Null).await;
    assert_eq!((code, list["items"].as_array().unwrap().len()), (200, 2));
    assert_eq!(lab.get(MAPS).await.1["items"], json!([]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn services_share_no_address_and_no_port() {
    let lab = Lab::start().await;
    let services = "/api/v1/namespaces/default/services";
    let service = |name: &str, port: Value, ip: Value| {
        let mut service = json!({"metadata": {"name": name}, "spec": {"type": "NodePort",
            "ports": [{"port": 80}]}});
        if !port.is_null() {
            service["spec"]["ports"][0]["nodePort"] = port;
        }
        if !ip.is_null() {
            service["spec"]["clusterIP"] = ip;
        }
        service
    };
    let a = lab
        .create(services, &service("a", json!(30061), json!("10.96.0.50")))
        .await;
    assert_eq!(a["spec"]["clusterIPs"], json!(["10.96.0.50"]));
    let (code, status) = lab
        .post(services, &service("b", json!(30061), Value::Null))
        .await;
    assert_eq!(code, 422);
    assert_eq!(
        status["message"],
        "Service \"b\" is invalid: spec.ports[0].nodePort: Invalid value: 30061: provided port is already allocated"
    );
    let (code, status) = lab
        .post(services, &service("b", Value::Null, json!("10.96.0.50")))
        .await;
    assert_eq!(code, 422);
    assert!(
        status["message"]
            .as_str()
            .unwrap()
            .ends_with("provided IP is already allocated")
    );
    let (code, status) = lab
        .post(services, &service("b", json!(80), Value::Null))
        .await;
    assert_eq!(code, 422);
    assert!(
        status["message"]
            .as_str()
            .unwrap()
            .contains("The range of valid ports is 30000-32767"),
        "{status}"
    );
    let b = lab
        .create(services, &service("b", Value::Null, Value::Null))
        .await;
    assert!(
        b["spec"]["clusterIP"]
            .as_str()
            .unwrap()
            .starts_with("10.96.")
    );
    let port = b["spec"]["ports"][0]["nodePort"].as_u64().unwrap();
    assert!((30000..=32767).contains(&port));
    // What is given back can be had again.
    assert_eq!(lab.delete(&path(services, "a"), &Value::Null).await.0, 200);
    lab.create(services, &service("c", json!(30061), json!("10.96.0.50")))
        .await;
    // Kept over updates that don't speak of it.
    let (code, c) = lab
        .merge(
            &path(services, "c"),
            &json!({"metadata": {"labels": {"x": "y"}}}),
        )
        .await;
    assert_eq!((code, &c["spec"]["clusterIP"]), (200, &json!("10.96.0.50")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scale_and_status_are_apart() {
    let lab = Lab::start().await;
    let rcs = "/api/v1/namespaces/default/replicationcontrollers";
    let rc = json!({"metadata": {"name": "r"}, "spec": {"replicas": 1, "selector": {"a": "b"},
        "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}},
        "status": {"replicas": 9}});
    let made = lab.create(rcs, &rc).await;
    assert_eq!(made["status"]["replicas"].as_i64().unwrap_or(0), 0);
    assert_eq!(made["metadata"]["generation"], 1);
    let scale_path = format!("{rcs}/r/scale");
    let (_, scale) = lab.get(&scale_path).await;
    assert_eq!(
        (&scale["kind"], &scale["spec"]["replicas"]),
        (&json!("Scale"), &json!(1))
    );
    let (code, scaled) = lab
        .merge(&scale_path, &json!({"spec": {"replicas": 3}}))
        .await;
    assert_eq!((code, &scaled["spec"]["replicas"]), (200, &json!(3)));
    let (_, after) = lab.get(&path(rcs, "r")).await;
    assert_eq!(
        (&after["spec"]["replicas"], &after["metadata"]["generation"]),
        (&json!(3), &json!(2))
    );
    let status = json!({"spec": {"replicas": 7}, "status": {"replicas": 2}});
    let (code, after) = lab.merge(&format!("{rcs}/r/status"), &status).await;
    assert_eq!(code, 200, "{after}");
    assert_eq!(
        (&after["spec"]["replicas"], &after["status"]["replicas"]),
        (&json!(3), &json!(2))
    );
    assert_eq!(after["metadata"]["generation"], 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn custom_resources_come_and_go() {
    let lab = Lab::start().await;
    let crds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    let crd = json!({"metadata": {"name": "toys.example.com"}, "spec": {"group": "example.com",
        "scope": "Namespaced", "names": {"plural": "toys", "kind": "Toy"},
        "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema":
            {"type": "object", "properties": {"spec": {"type": "object",
                "properties": {"size": {"type": "integer"}}}}}}}]}});
    lab.create(crds, &crd).await;
    let toys = "/apis/example.com/v1/namespaces/default/toys";
    lab.until("the definition is established", async || {
        let (_, crd) = lab.get(&path(crds, "toys.example.com")).await;
        let conditions = crd["status"]["conditions"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        conditions
            .iter()
            .any(|c| c["type"] == "Established" && c["status"] == "True")
    })
    .await;
    let toy = json!({"apiVersion": "example.com/v1", "kind": "Toy", "metadata": {"name": "t"}, "spec": {"size": 1}});
    lab.create(toys, &toy).await;
    let mut watch = lab.watch(&format!("{toys}?watch=1")).await;
    assert_eq!(watch.told().await, ("ADDED".into(), "t".into()));
    let (code, _) = lab
        .merge(&path(toys, "t"), &json!({"spec": {"size": 2}}))
        .await;
    assert_eq!(code, 200);
    assert_eq!(watch.told().await, ("MODIFIED".into(), "t".into()));
    assert_eq!(
        lab.delete(&path(crds, "toys.example.com"), &Value::Null)
            .await
            .0,
        200
    );
    lab.until("it is no longer served", async || {
        lab.get(toys).await.0 == 404
    })
    .await;
    lab.until("the definition is gone", async || {
        lab.get(&path(crds, "toys.example.com")).await.0 == 404
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_do_what() {
    let lab = Lab::start().await;
    let (code, status) = lab.send_as("jane", Method::GET, PODS, &Value::Null).await;
    assert_eq!(code, 403);
    assert_eq!(
        status["message"],
        "pods is forbidden: User \"jane\" cannot list resource \"pods\" in API group \"\" in the namespace \"default\""
    );
    let roles = "/apis/rbac.authorization.k8s.io/v1/namespaces/default";
    lab.create(
        &format!("{roles}/roles"),
        &json!({"metadata": {"name": "r"},
        "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}]}),
    )
    .await;
    lab.create(
        &format!("{roles}/rolebindings"),
        &json!({"metadata": {"name": "r"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "r"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "jane"}]}),
    )
    .await;
    lab.until("the binding counts", async || {
        lab.send_as("jane", Method::GET, PODS, &Value::Null).await.0 == 200
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_object_in_several_versions() {
    let lab = Lab::start().await;
    let hpas = |version: &str| {
        format!("/apis/autoscaling/{version}/namespaces/default/horizontalpodautoscalers")
    };
    let hpa = json!({"metadata": {"name": "h"}, "spec": {"maxReplicas": 3,
        "targetCPUUtilizationPercentage": 70,
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"}}});
    let made = lab.create(&hpas("v1"), &hpa).await;
    assert_eq!(made["apiVersion"], "autoscaling/v1");
    assert_eq!(made["spec"]["targetCPUUtilizationPercentage"], 70);
    let (_, newer) = lab.get(&path(&hpas("v2"), "h")).await;
    assert_eq!(newer["apiVersion"], "autoscaling/v2");
    assert_eq!(
        newer["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"],
        70
    );
    let events = "namespaces/default/events";
    let event = json!({"metadata": {"name": "e"}, "message": "m", "reason": "R", "type": "Normal",
        "involvedObject": {"kind": "Pod", "name": "p", "namespace": "default"}});
    lab.create(&format!("/api/v1/{events}"), &event).await;
    let (_, new) = lab.get(&format!("/apis/events.k8s.io/v1/{events}/e")).await;
    assert_eq!(
        (&new["note"], &new["regarding"]["name"]),
        (&json!("m"), &json!("p"))
    );
}
