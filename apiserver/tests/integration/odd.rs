//! Odd objects that Kubernetes takes: what is stored of them can be read by
//! every component, whose types know no nulls.

use crate::common::{Lab, MAPS, PODS, service_account};
use http::Method;
use k8s_openapi::api::core::v1::{ConfigMap, Node, Pod, Secret};
use serde_json::{Value, json};

fn readable<T: serde::de::DeserializeOwned>((code, answer): (u16, Value)) -> T {
    assert!(code < 300, "{answer}");
    serde_json::from_value(answer.clone()).unwrap_or_else(|e| panic!("{e}: {answer}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_stored_can_be_read() {
    let lab = Lab::start().await;
    service_account(&lab).await;
    let pod = json!({"metadata": {"name": "a", "labels": {"a": null}}, "spec": {
        "containers": [{
        "name": "c", "image": "x:1", "args": [null, "b"], "command": null,
        "resources": {"requests": {"memory": "9223372036854775807", "cpu": "1e18"}}}]}});
    let pod: Pod = readable(lab.post(PODS, &pod).await);
    let container = &pod.spec.unwrap().containers[0];
    assert_eq!(container.args, Some(vec![String::new(), "b".to_owned()]));
    assert_eq!(pod.metadata.labels.unwrap()["a"], "");

    // Patches go the same way.
    let patch = r#"[{"op": "add", "path": "/metadata/annotations", "value": {"x": null}}]"#;
    let one = format!("{PODS}/a");
    let changed = lab
        .send(Method::PATCH, &one, "application/json-patch+json", patch)
        .await;
    let changed: Pod = readable(changed);
    assert_eq!(changed.metadata.annotations.unwrap()["x"], "");
    let finalizers = json!({"metadata": {"finalizers": [null]}});
    let (code, answer) = lab.merge(&one, &finalizers).await;
    assert_eq!(code, 422, "{answer}");
    let status_path = format!("{one}/status");
    let addresses = json!({"status": {"podIPs": [null]}});
    let (code, answer) = lab.merge(&status_path, &addresses).await;
    assert_eq!(code, 422, "no address is no valid one: {answer}");
    let status = json!({"status": {"conditions": [null], "containerStatuses": [null]}});
    let changed: Pod = readable(lab.merge(&status_path, &status).await);
    let status = changed.status.unwrap();
    assert_eq!(status.conditions.unwrap()[0].type_, "");
    assert_eq!(status.container_statuses.unwrap()[0].name, "");
    let (code, answer) = lab
        .merge(
            &format!("{one}/status"),
            &json!({"status": {"startTime": "2026-01-01 00:00:00Z"}}),
        )
        .await;
    assert_eq!(code, 422, "{answer}");

    let map = json!({"metadata": {"name": "a"}, "data": {"a": null}, "binaryData": {"b": null}});
    let map: ConfigMap = readable(lab.post(MAPS, &map).await);
    assert_eq!(map.data.unwrap()["a"], "");
    let secret = json!({"metadata": {"name": "a"}, "data": {"a": "aGVs\nbG8=\n", "b": null}});
    let secrets = "/api/v1/namespaces/default/secrets";
    let secret: Secret = readable(lab.post(secrets, &secret).await);
    assert_eq!(secret.data.unwrap()["a"].0, b"hello");

    let node = json!({"metadata": {"name": "n"}, "spec": {"taints": [], "podCIDRs": []},
        "status": {"capacity": {"cpu": null}, "images": [null, {"names": [null], "sizeBytes": -1}],
            "addresses": [null], "conditions": [null]}});
    let node: Node = readable(lab.post("/api/v1/nodes", &node).await);
    assert_eq!(node.status.unwrap().images.unwrap()[1].size_bytes, Some(-1));
}
