//! The rules in schemas, in Common Expression Language.

use super::*;

fn ruled(rule: &str) -> Value {
    definition(
        "ruled",
        "Ruled",
        json!({"type": "object", "properties": {
            "version": {"type": "string", "x-kubernetes-validations": [{"rule": rule}]}}}),
    )
}

/// Kubernetes 1.33 lets only what 1.32 has be written; what is stored may have more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn functions_of_this_version_alone_are_not_written_yet() {
    let lab = Lab::start().await;
    let newest = "semver(self).major() > 0";
    let (code, status) = lab.post(DEFINITIONS, &ruled(newest)).await;
    let message = status["message"].as_str().unwrap();
    assert_eq!(code, 422, "{message}");
    assert!(
        message.contains("undeclared reference to 'semver' (in container '')"),
        "{message}"
    );

    // A later version has written it, and this one goes on with it.
    lab.create(DEFINITIONS, &ruled("self != ''")).await;
    until_established(&lab, "ruled").await;
    let key = "/registry/apiextensions.k8s.io/customresourcedefinitions/ruled.pub.example.com";
    let mut etcd = lab.etcd_client().await;
    let stored = etcd.get(key, None).await.unwrap();
    let stored = stored.kvs()[0].value_str().unwrap();
    let later = stored.replace("self != ''", newest);
    let later = later.replace("\"generation\":1", "\"generation\":2");
    etcd.put(key, later, None).await.unwrap();
    let objects = format!("{GROUP}/ruled");
    let object = |name: &str, version: &str| {
        json!({"apiVersion": "pub.example.com/v1",
        "kind": "Ruled", "metadata": {"name": name}, "version": version})
    };
    lab.until("the rule is in force", async || {
        lab.post(&objects, &object("old", "0.1.0")).await.0 == 422
    })
    .await;
    lab.create(&objects, &object("new", "1.0.0")).await;
    let renamed = json!({"spec": {"names": {"shortNames": ["rl"]}}});
    let (code, changed) = lab.merge(&at("ruled"), &renamed).await;
    assert_eq!(code, 200, "{changed}");

    // How long rules take is told under Kubernetes' names.
    let (_, metrics) = lab.get("/metrics").await;
    let metrics = metrics.as_str().unwrap();
    for name in ["compilation", "evaluation"] {
        let line = format!("\napiserver_cel_{name}_duration_seconds_count ");
        assert!(metrics.contains(&line), "{line}");
    }
}
