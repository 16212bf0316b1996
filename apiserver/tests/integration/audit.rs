//! The audit log tells of every request, however it ended.

use crate::common::{self, Lab, MAPS, config_map};
use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};
use std::path::Path;

/// What was written about requests to a path.
fn events(log: &Path, path: &str) -> Vec<Value> {
    let mut events = common::audit_events(log);
    events.retain(|event| event["requestURI"].as_str().unwrap().starts_with(path));
    events
}

fn stages(events: &[Value]) -> Vec<(&str, i64)> {
    events
        .iter()
        .map(|event| {
            let code = event["responseStatus"]["code"].as_i64().unwrap();
            (event["stage"].as_str().unwrap(), code)
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_end_of_a_request_is_told() {
    let mut lab = Lab::start().await;
    let log = lab.dir.path().join("audit.log");
    lab.flags
        .push(format!("--audit-log-path={}", log.display()));
    lab.serve().await;

    // Nobody; somebody who may not; somebody who may not be who they say.
    let nobody = lab.stranger();
    let answer = lab
        .try_call_as(&nobody, Method::GET, "/api/v1/nodes", "", Bytes::new())
        .await;
    assert_eq!(answer.unwrap().status(), 401);
    let secrets = "/api/v1/namespaces/default/secrets";
    let answer = lab
        .send_as("jane", Method::GET, secrets, &Value::Null)
        .await;
    assert_eq!(answer.0, 403);
    // The same of a stream; and one that knows no such verb.
    let exec = "/api/v1/namespaces/default/pods/a/exec";
    let answer = lab.send_as("jane", Method::POST, exec, &Value::Null).await;
    assert_eq!(answer.0, 403);
    let said = "/api/v1/namespaces/default/pods/a/log";
    assert_eq!(lab.post(said, &Value::Null).await.0, 405);
    // What isn't there, and what can't be read.
    assert_eq!(lab.get("/apis/acme.com/v1/things/a").await.0, 404);
    assert_eq!(lab.get("/nosuch").await.0, 404);
    let broken = lab.send(Method::POST, MAPS, "application/pdf", "x").await;
    assert_eq!(broken.0, 415);
    lab.create(MAPS, &config_map("a")).await;
    // A watch begins and ends.
    let watched = lab
        .get("/api/v1/namespaces/default/endpoints?watch=1&timeoutSeconds=1")
        .await;
    assert_eq!(watched.0, 200);

    lab.until("the end of the watch is written", async || {
        events(&log, "/api/v1/namespaces/default/endpoints").len() == 2
    })
    .await;
    let told = events(&log, "/api/v1/namespaces/default/endpoints");
    let ends = [("ResponseStarted", 200), ("ResponseComplete", 200)];
    assert_eq!(stages(&told), ends);
    assert_eq!(told[0]["verb"], "watch");
    assert_eq!(told[0]["auditID"], told[1]["auditID"]);

    let told = events(&log, "/api/v1/nodes");
    assert_eq!(stages(&told), [("ResponseStarted", 401)]);
    assert_eq!(told[0]["user"], json!({}));
    assert_eq!(
        told[0]["responseStatus"]["message"],
        "Authentication failed, no credentials provided"
    );

    let told = events(&log, secrets);
    assert_eq!(stages(&told), [("ResponseComplete", 403)]);
    assert_eq!(told[0]["user"]["username"], "jane");
    assert_eq!(told[0]["responseStatus"]["reason"], "Forbidden");
    let decision = |event: &Value| event["annotations"]["authorization.k8s.io/decision"].clone();
    assert_eq!(decision(&told[0]), "forbid");

    let told = events(&log, exec);
    assert_eq!(stages(&told), [("ResponseComplete", 403)]);
    assert_eq!(told[0]["verb"], "create");
    assert_eq!(decision(&told[0]), "forbid");
    let told = events(&log, said);
    assert_eq!(stages(&told), [("ResponseComplete", 405)]);
    assert_eq!(decision(&told[0]), "allow");

    let told = events(&log, "/apis/acme.com");
    assert_eq!(stages(&told), [("ResponseComplete", 404)]);
    assert_eq!(
        told[0]["objectRef"],
        json!({"resource": "things", "name": "a", "apiGroup": "acme.com", "apiVersion": "v1"})
    );
    assert_eq!(decision(&told[0]), "allow");
    let told = events(&log, "/nosuch");
    assert_eq!(stages(&told), [("ResponseComplete", 404)]);
    assert_eq!(told[0].get("objectRef"), None);

    let told = events(&log, MAPS);
    let codes = [("ResponseComplete", 415), ("ResponseComplete", 201)];
    assert_eq!(stages(&told), codes);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_recorded_is_counted_or_refused() {
    let mut lab = Lab::start().await;
    let policy = lab.dir.path().join("policy.yaml");
    let all = "{apiVersion: audit.k8s.io/v1, kind: Policy, rules: [
        {level: None, nonResourceURLs: [/readyz, /metrics]}, {level: Metadata}]}";
    std::fs::write(&policy, all).unwrap();
    lab.flags.extend([
        // Every write to it fails as on a full disk.
        "--audit-log-path=/dev/full".to_owned(),
        format!("--audit-policy-file={}", policy.display()),
    ]);
    let counted = async |lab: &Lab, metric: &str| {
        let (_, metrics) = lab.get("/metrics").await;
        let metrics = metrics.as_str().unwrap();
        let line = metrics.lines().find_map(|line| line.strip_prefix(metric));
        line.map_or(0.0, |value| value.trim().parse().unwrap())
    };
    lab.serve().await;
    lab.create(MAPS, &config_map("a")).await;
    lab.until("failures are counted", async || {
        counted(&lab, "apiserver_audit_error_total{plugin=\"log\"}").await >= 2.0
    })
    .await;

    lab.flags
        .push("--audit-log-mode=blocking-strict".to_owned());
    lab.serve().await;
    let (code, status) = lab.post(MAPS, &config_map("b")).await;
    assert_eq!(code, 500, "{status}");
    assert!(
        status["message"]
            .as_str()
            .unwrap()
            .contains("failed to store audit event")
    );
    assert!(counted(&lab, "apiserver_audit_requests_rejected_total").await >= 1.0);

    lab.flags.pop();
    lab.serve().await;
    assert_eq!(lab.get(&format!("{MAPS}/b")).await.0, 404);
}
