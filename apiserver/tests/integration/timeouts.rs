//! `?timeout=`: what the query says of the time that a request has.

use crate::common::{Lab, MAPS, config_map};
use hardway_webhook_server::Server;
use serde_json::{Value, json};
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

/// A webhook of a server's about ConfigMaps that are made.
async fn judge(lab: &Lab, server: &Server, name: &str, path: &str) {
    let group = "/apis/admissionregistration.k8s.io/v1";
    let configuration = json!({"metadata": {"name": name}, "webhooks": [{
        "name": format!("{name}.example.com"),
        "clientConfig": {"url": server.url(path), "caBundle": server.ca_bundle()},
        "rules": [{"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"],
            "resources": ["configmaps"]}],
        "objectSelector": {"matchLabels": {"judge": name}},
        "sideEffects": "None", "admissionReviewVersions": ["v1"], "timeoutSeconds": 30}]});
    let path = format!("{group}/validatingwebhookconfigurations");
    lab.create(&path, &configuration).await;
}

fn judged(name: &str, judge: &str) -> Value {
    let mut map = config_map(name);
    map["metadata"]["labels"] = json!({"judge": judge});
    map
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_takes_longer_than_it_may_is_given_up() {
    let lab = Lab::start().await;
    for path in [MAPS, "/version", "/apis"] {
        let (code, status) = lab.get(&format!("{path}?timeout=soon")).await;
        assert_eq!((code, &status["reason"]), (400, &json!("BadRequest")));
        assert_eq!(
            status["message"],
            r#"invalid timeout specified in the request URL - time: invalid duration "soon""#
        );
        assert_eq!(lab.get(&format!("{path}?timeout=32s")).await.0, 200);
    }

    let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let server = Server::start(here, &["127.0.0.1"]).await.unwrap();
    judge(&lab, &server, "hangs", "hang").await;
    let begun = Instant::now();
    let timed = format!("{MAPS}?timeout=1500ms");
    let (code, status) = lab.post(&timed, &judged("late", "hangs")).await;
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(1500), "{took:?}");
    assert!(took < Duration::from_secs(20), "{took:?}");
    assert_eq!((code, &status["reason"]), (504, &json!("Timeout")));
    assert_eq!(
        status["message"],
        "Timeout: request did not complete within the allotted timeout"
    );
    assert_eq!(lab.get(&format!("{MAPS}/late")).await.0, 404);

    // Who is in time is answered as ever, and each plugin's part is told.
    judge(&lab, &server, "refuses", "deny").await;
    let (code, _) = lab.post(&timed, &judged("refused", "refuses")).await;
    assert_eq!(code, 400);
    assert_eq!(lab.post(&timed, &config_map("made")).await.0, 201);
    let (_, metrics) = lab.get("/metrics").await;
    let metrics = metrics.as_str().unwrap();
    for labels in [
        r#"controller_admission_duration_seconds_count{name="ValidatingAdmissionWebhook",operation="CREATE",rejected="true",type="validate"}"#,
        r#"controller_admission_duration_seconds_count{name="ValidatingAdmissionWebhook",operation="CREATE",rejected="false",type="validate"}"#,
        r#"controller_admission_duration_seconds_count{name="LimitRanger",operation="CREATE",rejected="false",type="admit"}"#,
        r#"step_admission_duration_seconds_count{operation="CREATE",rejected="true",type="validate"}"#,
        r#"webhook_admission_duration_seconds_count{name="refuses.example.com",operation="CREATE",rejected="true",type="validating"}"#,
        r#"webhook_request_total{code="400",name="refuses.example.com",operation="CREATE",rejected="true",type="validating"} 1"#,
        r#"webhook_rejection_count{error_type="no_error",name="refuses.example.com",operation="CREATE",rejection_code="400",type="validating"} 1"#,
    ] {
        let labels = format!("apiserver_admission_{labels}");
        assert!(metrics.contains(&labels), "{labels}");
    }
    // What only refuses changes nothing.
    assert!(
        !metrics
            .contains(r#"name="ResourceQuota",operation="CREATE",rejected="false",type="admit""#)
    );
}
