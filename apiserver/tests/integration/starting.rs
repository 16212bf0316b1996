//! A server that has just started says nothing that isn't so.

use crate::common::Lab;
use http::Method;
use serde_json::{Value, json};

const WIDGETS: &str = "/apis/example.com/v1/namespaces/default/widgets";

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_denied_before_the_server_knows_what_there_is() {
    let mut lab = Lab::start().await;
    lab.create(
        "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
        &json!({
            "metadata": {"name": "widgets.example.com"},
            "spec": {
                "group": "example.com",
                "scope": "Namespaced",
                "names": {"plural": "widgets", "kind": "Widget"},
                "versions": [{
                    "name": "v1", "served": true, "storage": true,
                    "schema": {"openAPIV3Schema": {"type": "object"}},
                }],
            },
        }),
    )
    .await;
    let rbac = "/apis/rbac.authorization.k8s.io/v1";
    lab.create(
        &format!("{rbac}/clusterroles"),
        &json!({
            "metadata": {"name": "widgets"},
            "rules": [{"apiGroups": ["example.com"], "resources": ["widgets"], "verbs": ["list"]}],
        }),
    )
    .await;
    lab.create(
        &format!("{rbac}/clusterrolebindings"),
        &json!({
            "metadata": {"name": "widgets"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "widgets"},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "jane"}],
        }),
    )
    .await;
    let ask = async |lab: &Lab| {
        lab.send_as("jane", Method::GET, WIDGETS, &Value::Null)
            .await
    };
    lab.until("jane may list widgets", async || ask(&lab).await.0 == 200)
        .await;

    lab.etcd.kill();
    lab.listen().await;
    let (code, status) = ask(&lab).await;
    assert_eq!(
        (code, &status["reason"]),
        (503, &json!("ServiceUnavailable")),
        "{status}"
    );
    assert_eq!(status["details"]["retryAfterSeconds"], 1);

    lab.etcd.start();
    lab.until("it is known what there is", async || {
        let (code, status) = ask(&lab).await;
        assert!(code == 200 || code == 503, "{status}");
        code == 200
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_servers_learn_by_which_ca_clients_are_known() {
    let lab = Lab::start().await;
    let map = "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication";
    let ca = std::fs::read_to_string(lab.dir.path().join("ca.crt")).unwrap();
    let ca = ca.replace("\r\n", "\n");
    let is_told = async || {
        let (_, found) = lab.get(map).await;
        found["data"]["client-ca-file"] == ca.as_str()
    };
    lab.until("it is published", is_told).await;
    assert_eq!(lab.delete(map, &Value::Null).await.0, 200);
    lab.until("it comes back", is_told).await;
    let other = json!({"data": {"client-ca-file": "none"}});
    assert_eq!(lab.merge(map, &other).await.0, 200);
    lab.until("it is mended", is_told).await;
    let fixed = json!({"immutable": true, "data": {"client-ca-file": "none"}});
    assert_eq!(lab.merge(map, &fixed).await.0, 200);
    assert_eq!(lab.get(map).await.1["data"], fixed["data"]);
    assert_eq!(lab.delete(map, &Value::Null).await.0, 200);
    lab.until("it comes back as it should be", is_told).await;
}
