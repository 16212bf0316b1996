//! What webhooks and policies are told of requests of every kind.

use super::*;
use http::Method;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_kind_of_request_is_judged() {
    let lab = Lab::start().await;
    service_account(&lab).await;
    let server = Server::start(HERE, &["127.0.0.1"]).await.unwrap();
    let mut hook = webhook(&server, "all", "allow");
    hook["rules"] = json!([rule(&["*"], "*", "*", "*/*")]);
    configure(&lab, VALIDATING, "judge", &[hook]).await;
    lab.create(PODS, &pod("p")).await;
    let one = format!("{PODS}/p");
    let told = |operation: &str, resource: &str, sub: Option<&str>, kind: &str| {
        let seen = last(&server, "allow");
        assert_eq!(seen["operation"], operation, "{seen}");
        assert_eq!(seen["resource"]["resource"], resource, "{seen}");
        assert_eq!(
            seen.get("subResource").and_then(Value::as_str),
            sub,
            "{seen}"
        );
        assert_eq!(seen["kind"]["kind"], kind, "{seen}");
        let object = match operation {
            "DELETE" => &seen["oldObject"],
            _ => &seen["object"],
        };
        assert_eq!(object["kind"], kind, "{seen}");
        seen
    };
    told("CREATE", "pods", None, "Pod");
    let status = json!({"status": {"phase": "Running"}});
    assert_eq!(lab.merge(&format!("{one}/status"), &status).await.0, 200);
    told("UPDATE", "pods", Some("status"), "Pod");
    let exec = format!("{one}/exec?command=sh&stdout=true&container=c");
    lab.post(&exec, &Value::Null).await;
    let seen = told("CONNECT", "pods", Some("exec"), "PodExecOptions");
    assert_eq!(seen["object"]["command"], json!(["sh"]));
    assert_eq!(seen["options"], Value::Null);
    let binding = json!({"apiVersion": "v1", "kind": "Binding", "metadata": {"name": "p"},
        "target": {"kind": "Node", "name": "n"}});
    assert_eq!(lab.post(&format!("{one}/binding"), &binding).await.0, 201);
    let before = asked(&server, "allow").len();
    told("CREATE", "pods", Some("binding"), "Binding");
    let eviction =
        json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "p"}});
    assert_eq!(lab.post(&format!("{one}/eviction"), &eviction).await.0, 201);
    told("CREATE", "pods", Some("eviction"), "Eviction");
    assert_eq!(
        asked(&server, "allow").len(),
        before + 1,
        "of the deletion nobody is told"
    );

    let token = json!({"spec": {"audiences": ["a"]}});
    let accounts = "/api/v1/namespaces/default/serviceaccounts";
    assert_eq!(
        lab.post(&format!("{accounts}/default/token"), &token)
            .await
            .0,
        201
    );
    told("CREATE", "serviceaccounts", Some("token"), "TokenRequest");

    let deployments = "/apis/apps/v1/namespaces/default/deployments";
    let template = json!({"metadata": {"labels": {"a": "b"}}, "spec": pod("x")["spec"]});
    let deployment = json!({"metadata": {"name": "d", "labels": {"a": "b"}},
        "spec": {"replicas": 1, "selector": {"matchLabels": {"a": "b"}}, "template": template}});
    lab.create(deployments, &deployment).await;
    let scale = json!({"spec": {"replicas": 3}});
    assert_eq!(
        lab.merge(&format!("{deployments}/d/scale"), &scale).await.0,
        200
    );
    let seen = told("UPDATE", "deployments", Some("scale"), "Scale");
    assert_eq!(seen["kind"]["group"], "autoscaling");
    assert_eq!(seen["object"]["spec"]["replicas"], 3);
    assert_eq!(seen["oldObject"]["spec"]["replicas"], 1);

    for name in ["a", "b"] {
        lab.create(MAPS, &config_map(name)).await;
    }
    let before = asked(&server, "allow").len();
    assert_eq!(
        lab.delete(MAPS, &json!({"gracePeriodSeconds": 3})).await.0,
        200
    );
    assert_eq!(
        asked(&server, "allow").len(),
        before + 2,
        "each object by itself"
    );
    let seen = told("DELETE", "configmaps", None, "ConfigMap");
    assert_eq!(seen["options"]["gracePeriodSeconds"], 3);
    lab.create("/api/v1/namespaces", &json!({"metadata": {"name": "shop"}}))
        .await;
    let seen = told("CREATE", "namespaces", None, "Namespace");
    assert_eq!(
        (seen["name"].as_str(), seen["namespace"].as_str()),
        (Some("shop"), Some("shop"))
    );
    let review = json!({"spec": {"nonResourceAttributes": {"path": "/", "verb": "get"}}});
    let reviews = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    assert_eq!(lab.post(reviews, &review).await.0, 201);
    told(
        "CREATE",
        "selfsubjectaccessreviews",
        None,
        "SelfSubjectAccessReview",
    );
}

/// Subresources that change a part of an object are told of with the whole object as it shall
/// be and as it is, to webhooks and to policies.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parts_of_objects_are_shown_with_the_whole() {
    let lab = Lab::start().await;
    service_account(&lab).await;
    let server = Server::start(HERE, &["127.0.0.1"]).await.unwrap();
    let mut hook = webhook(&server, "parts", "allow");
    let rules = json!([
        rule(&["*"], "", "v1", "pods/resize"),
        rule(&["*"], "", "v1", "pods/ephemeralcontainers"),
        rule(&["*"], "", "v1", "namespaces/finalize"),
    ]);
    hook["rules"] = rules.clone();
    configure(&lab, VALIDATING, "judge", &[hook.clone()]).await;
    hook["name"] = json!("first.example.com");
    hook["clientConfig"]["url"] = json!(server.url("allow/first"));
    configure(&lab, MUTATING, "changes", &[hook]).await;
    let told = "request.operation + ' ' + request.resource.resource + '/' + request.subResource \
        + ' ' + request.kind.kind + ': ' + oldObject.kind + ' ' + oldObject.metadata.name \
        + ', ' + object.kind + ' ' + object.metadata.name";
    let policy = json!({"metadata": {"name": "tells"}, "spec": {
        "matchConstraints": {"resourceRules": rules},
        "validations": [{"expression": "false", "messageExpression": told}]}});
    lab.create(&format!("{GROUP}/validatingadmissionpolicies"), &policy)
        .await;
    let binding = json!({"metadata": {"name": "tells"},
        "spec": {"policyName": "tells", "validationActions": ["Warn"]}});
    lab.create(
        &format!("{GROUP}/validatingadmissionpolicybindings"),
        &binding,
    )
    .await;

    let mut small = pod("p");
    small["spec"]["containers"][0]["resources"] = json!({"requests": {"cpu": "100m"}});
    lab.create(PODS, &small).await;
    let namespace = json!({"metadata": {"name": "shop"}});
    let mut namespace = lab.create("/api/v1/namespaces", &namespace).await;
    assert_eq!(asked(&server, "allow"), [Value::Null; 0]);

    let grown = json!({"spec": {"containers": [
        {"name": "c", "resources": {"requests": {"cpu": "200m"}}}]}});
    let debugged = json!({"spec": {"ephemeralContainers": [{"name": "d", "image": "busybox"}]}});
    namespace["spec"]["finalizers"] = json!(["kubernetes", "example.com/kept"]);
    let strategic = "application/strategic-merge-patch+json";
    let cpu = "/spec/containers/0/resources/requests/cpu";
    let (debugger, kept) = ("/spec/ephemeralContainers/0/name", "/spec/finalizers/1");
    for (method, path, media, body, kind, changed) in [
        (
            Method::PATCH,
            "default/pods/p/resize",
            strategic,
            &grown,
            "Pod",
            (cpu, json!("100m"), json!("200m")),
        ),
        (
            Method::PATCH,
            "default/pods/p/ephemeralcontainers",
            strategic,
            &debugged,
            "Pod",
            (debugger, Value::Null, json!("d")),
        ),
        (
            Method::PUT,
            "shop/finalize",
            "application/json",
            &namespace,
            "Namespace",
            (kept, Value::Null, json!("example.com/kept")),
        ),
    ] {
        let sub = path.rsplit('/').next().unwrap();
        let (resource, name) = match kind {
            "Pod" => ("pods", "p"),
            _ => ("namespaces", "shop"),
        };
        let path = format!("/api/v1/namespaces/{path}");
        let warnings = lab.warnings(method, &path, media, body).await;
        let expected = format!(
            "299 - \"Validation failed for ValidatingAdmissionPolicy 'tells' with binding 'tells': UPDATE {resource}/{sub} {kind}: {kind} {name}, {kind} {name}\""
        );
        assert_eq!(warnings, [expected]);
        for phase in ["allow", "allow/first"] {
            let seen = last(&server, phase);
            assert_eq!(seen["operation"], "UPDATE", "{seen}");
            assert_eq!(seen["subResource"], sub, "{seen}");
            assert_eq!(
                seen["resource"],
                json!({"group": "", "version": "v1", "resource": resource})
            );
            assert_eq!(
                seen["kind"],
                json!({"group": "", "version": "v1", "kind": kind})
            );
            assert_eq!(seen["name"], name, "{seen}");
            for (object, value) in [("oldObject", &changed.1), ("object", &changed.2)] {
                let object = &seen[object];
                assert_eq!(object["kind"], kind, "{seen}");
                assert_eq!(
                    object.pointer(changed.0).unwrap_or(&Value::Null),
                    value,
                    "{seen}"
                );
            }
        }
    }
}
