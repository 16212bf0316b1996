//! Clients that are slow, greedy or nobody: they keep no one else from being
//! served.

mod common;

use common::{Lab, MAPS, config_map};
use http::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Who may write ConfigMaps.
async fn let_jane_write(lab: &Lab) {
    let roles = "/apis/rbac.authorization.k8s.io/v1/clusterroles";
    let role = json!({"metadata": {"name": "writer"}, "rules": [
        {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["*"]}]});
    lab.create(roles, &role).await;
    let binding = json!({"metadata": {"name": "writer"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "writer"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "jane"}]});
    let bindings = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings";
    lab.create(bindings, &binding).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_bodies_hold_no_seats() {
    // So few seats, and nobody's own.
    let flags = [
        "--max-mutating-requests-inflight=2",
        "--enable-priority-and-fairness=false",
    ];
    let lab = Lab::start_with(|_| flags.map(str::to_owned).to_vec()).await;
    let_jane_write(&lab).await;
    let mut slow = Vec::new();
    for _ in 0..4 {
        let mut stream = lab.stream(&lab.acting("admin")).await.unwrap();
        let head = format!(
            "POST {MAPS} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
             content-length: 1000\r\nexpect: 100-continue\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        // It comes when the server waits for the body.
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 100");
        slow.push(stream);
    }
    let (code, answer) = lab
        .send_as("jane", Method::POST, MAPS, &config_map("a"))
        .await;
    assert_eq!(code, 201, "{answer}");
}
