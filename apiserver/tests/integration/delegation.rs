//! Servers behind this one that leave it to this one who somebody is and what they may do, with
//! the very requests of Kubernetes' own library (`k8s.io/apiserver/pkg/server/options`,
//! `DelegatingAuthenticationOptions` and `DelegatingAuthorizationOptions`).

use crate::common::{self, Lab};
use bytes::Bytes;
use http::Method;
use http_body_util::BodyExt;
use serde_json::{Value, json};

const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";
const MAPS: &str = "/api/v1/namespaces/kube-system/configmaps";
/// What the library's informers follow, and nothing else.
const ONE: &str = "fieldSelector=metadata.name%3Dextension-apiserver-authentication";
const TOKENS: &str = "/apis/authentication.k8s.io/v1/tokenreviews";
const ACCESS: &str = "/apis/authorization.k8s.io/v1/subjectaccessreviews";

/// The server's own user is `jane`.
async fn ask(lab: &Lab, method: Method, path: &str, body: &Value) -> (u16, Value) {
    lab.send_as("jane", method, path, body).await
}

async fn get(lab: &Lab, path: &str) -> (u16, Value) {
    ask(lab, Method::GET, path, &Value::Null).await
}

/// Gives `jane` a role, as the documentation of aggregated servers has it done.
async fn bind(lab: &Lab, path: &str, kind: &str, role: &str) {
    let binding = json!({"metadata": {"name": role},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "jane"}]});
    lab.create(path, &binding).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_lets_servers_read_whom_to_believe_and_nothing_else() {
    let lab = Lab::start().await;
    let name = "extension-apiserver-authentication";
    let map = format!("{MAPS}/{name}");
    lab.until("it is published", async || lab.get(&map).await.0 == 200)
        .await;
    assert_eq!(get(&lab, &map).await.0, 403);
    let bindings = format!("{RBAC}/namespaces/kube-system/rolebindings");
    bind(
        &lab,
        &bindings,
        "Role",
        "extension-apiserver-authentication-reader",
    )
    .await;
    lab.until("the role holds", async || get(&lab, &map).await.0 == 200)
        .await;
    let (_, found) = get(&lab, &map).await;
    let authority = found["data"]["client-ca-file"].as_str().unwrap();
    assert!(authority.starts_with("-----BEGIN CERTIFICATE-----\n"));

    let list = format!("{MAPS}?{ONE}&limit=500&resourceVersion=0");
    let (code, list) = get(&lab, &list).await;
    assert_eq!(code, 200, "{list}");
    assert_eq!(list["items"].as_array().unwrap().len(), 1);
    let revision = list["metadata"]["resourceVersion"].as_str().unwrap();
    let watch = format!(
        "{MAPS}?allowWatchBookmarks=true&{ONE}&resourceVersion={revision}&timeout=9m13s&timeoutSeconds=553&watch=true"
    );
    let tls = lab.acting("jane");
    let answer = lab.try_call_as(&tls, Method::GET, &watch, "", Bytes::new());
    let answer = answer.await.unwrap();
    assert_eq!(answer.status(), 200);
    let change = json!({"metadata": {"labels": {"seen": "yes"}}});
    assert_eq!(lab.merge(&map, &change).await.0, 200);
    let mut body = answer.into_body();
    let event = body.frame().await.expect("an event").unwrap();
    let event: Value = serde_json::from_slice(event.data_ref().unwrap()).unwrap();
    assert_eq!(event["type"], "MODIFIED");
    assert_eq!(event["object"]["metadata"]["name"], name);

    // The name is all that the role is about.
    for other in [
        MAPS.to_owned(),
        format!("{MAPS}?fieldSelector=metadata.name%3Dcoredns"),
        format!("{MAPS}?watch=true"),
        format!("{MAPS}/kube-root-ca.crt"),
        "/api/v1/namespaces/kube-system/secrets".to_owned(),
    ] {
        assert_eq!(get(&lab, &other).await.0, 403, "{other}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_ask_who_somebody_is_and_what_they_may_do() {
    let lab = Lab::start().await;
    common::service_account(&lab).await;
    let token = "/api/v1/namespaces/default/serviceaccounts/default/token";
    let (_, token) = lab.post(token, &json!({"spec": {}})).await;
    let review = |token: &Value| {
        json!({"kind": "TokenReview", "apiVersion": "authentication.k8s.io/v1",
            "metadata": {"creationTimestamp": null},
            "spec": {"token": token}, "status": {"user": {}}})
    };
    let good = review(&token["status"]["token"]);
    assert_eq!(ask(&lab, Method::POST, TOKENS, &good).await.0, 403);
    let bindings = format!("{RBAC}/clusterrolebindings");
    bind(&lab, &bindings, "ClusterRole", "system:auth-delegator").await;
    lab.until("the role holds", async || {
        ask(&lab, Method::POST, TOKENS, &good).await.0 == 201
    })
    .await;
    let (_, answer) = ask(&lab, Method::POST, TOKENS, &good).await;
    let status = &answer["status"];
    assert_eq!(status["authenticated"], true);
    assert_eq!(
        status["user"]["username"],
        "system:serviceaccount:default:default"
    );
    assert!(status["user"]["uid"].is_string());
    let groups = json!([
        "system:serviceaccounts",
        "system:serviceaccounts:default",
        "system:authenticated"
    ]);
    assert_eq!(status["user"]["groups"], groups);
    let (code, answer) = ask(&lab, Method::POST, TOKENS, &review(&json!("made-up"))).await;
    assert_eq!(code, 201, "{answer}");
    assert_ne!(answer["status"]["authenticated"], true);

    let may = async |user: &Value, group: &str, verb: &str| {
        let review = json!({"kind": "SubjectAccessReview", "apiVersion": "authorization.k8s.io/v1",
            "metadata": {"creationTimestamp": null},
            "spec": {
                "resourceAttributes": {"namespace": "shop", "verb": verb,
                    "group": "behind.example.com", "version": "v1", "resource": "things", "name": "a"},
                "user": user["username"], "groups": [group, "system:authenticated"],
                "extra": user["extra"], "uid": user["uid"]},
            "status": {"allowed": false}});
        let (code, answer) = ask(&lab, Method::POST, ACCESS, &review).await;
        assert_eq!(code, 201, "{answer}");
        answer["status"]["allowed"] == true
    };
    let user = &status["user"];
    assert!(!may(user, "system:serviceaccounts", "get").await);
    assert!(may(user, "system:masters", "get").await);
    let role = json!({"metadata": {"name": "things"}, "rules": [{"verbs": ["get"],
        "apiGroups": ["behind.example.com"], "resources": ["things"]}]});
    lab.create(&format!("{RBAC}/clusterroles"), &role).await;
    let binding = json!({"metadata": {"name": "things"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "things"},
        "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": "default"}]});
    lab.create(&bindings, &binding).await;
    lab.until("who got a role may", async || {
        may(user, "system:serviceaccounts", "get").await
    })
    .await;
    assert!(!may(user, "system:serviceaccounts", "delete").await);
    // Of paths, too.
    let path = json!({"kind": "SubjectAccessReview", "apiVersion": "authorization.k8s.io/v1",
        "metadata": {"creationTimestamp": null},
        "spec": {"nonResourceAttributes": {"path": "/healthz", "verb": "get"},
            "user": "system:anonymous", "groups": ["system:unauthenticated"]},
        "status": {"allowed": false}});
    let (_, answer) = ask(&lab, Method::POST, ACCESS, &path).await;
    assert_eq!(answer["status"]["allowed"], true, "{answer}");
}
