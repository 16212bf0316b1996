//! A server that has just started says nothing that isn't so.

mod common;

use common::Lab;
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
