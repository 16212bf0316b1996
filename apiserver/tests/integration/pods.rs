//! What the apiserver itself does with pods: whose turn it is to be scheduled, what
//! they ask for, and who may make them go.

use crate::common::{Lab, PODS, pod, service_account};
use http::Method;
use serde_json::{Value, json};

const BUDGETS: &str = "/apis/policy/v1/namespaces/default/poddisruptionbudgets";

/// Asks for a pod to be evicted.
async fn evict(lab: &Lab, name: &str) -> (u16, Value) {
    let eviction = json!({"apiVersion": "policy/v1", "kind": "Eviction",
        "metadata": {"name": name, "namespace": "default"}});
    lab.post(&format!("{PODS}/{name}/eviction"), &eviction)
        .await
}

/// A pod that runs, ready or not.
async fn running(lab: &Lab, name: &str, ready: bool) {
    let mut manifest = pod(name);
    manifest["metadata"]["labels"] = json!({"app": "guarded"});
    lab.create(PODS, &manifest).await;
    let ready = if ready { "True" } else { "False" };
    let status = json!({"status": {"phase": "Running", "conditions": [
        {"type": "Ready", "status": ready}]}});
    let (code, answer) = lab.merge(&format!("{PODS}/{name}/status"), &status).await;
    assert_eq!(code, 200, "{answer}");
}

/// A budget as the controller manager has left it: nothing may be disrupted.
async fn budget(lab: &Lab, policy: &Value, healthy: i64) {
    let budget = json!({"metadata": {"name": "guard"}, "spec": {"minAvailable": 1,
        "unhealthyPodEvictionPolicy": policy, "selector": {"matchLabels": {"app": "guarded"}}}});
    lab.create(BUDGETS, &budget).await;
    let status = json!({"status": {"observedGeneration": 1, "disruptionsAllowed": 0,
        "currentHealthy": healthy, "desiredHealthy": 1, "expectedPods": 2}});
    let (code, answer) = lab.merge(&format!("{BUDGETS}/guard/status"), &status).await;
    assert_eq!(code, 200, "{answer}");
}

/// `kubectl drain` must not wait for ever for pods that are broken.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn budgets_do_not_keep_what_is_broken() {
    let lab = Lab::start().await;
    service_account(&lab).await;
    for (policy, healthy, ill_goes) in [
        (json!("AlwaysAllow"), 0, true),
        (json!("IfHealthyBudget"), 0, false),
        (Value::Null, 0, false),
        (Value::Null, 1, true),
    ] {
        running(&lab, "well", true).await;
        running(&lab, "ill", false).await;
        budget(&lab, &policy, healthy).await;
        let (code, answer) = evict(&lab, "ill").await;
        let expected = if ill_goes { 201 } else { 429 };
        assert_eq!(code, expected, "{policy} {healthy}: {answer}");
        let (code, answer) = evict(&lab, "well").await;
        assert_eq!(code, 429, "{policy} {healthy}: {answer}");
        lab.delete(&format!("{BUDGETS}/guard"), &Value::Null).await;
        let now = json!({"gracePeriodSeconds": 0});
        for name in ["well", "ill"] {
            lab.delete(&format!("{PODS}/{name}"), &now).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pods_tell_what_they_wait_for_and_ask_for() {
    let lab = Lab::start().await;
    service_account(&lab).await;
    let mut gated = pod("gated");
    gated["spec"]["schedulingGates"] = json!([{"name": "example.com/wait"}]);
    let made = lab.create(PODS, &gated).await;
    let condition = &made["status"]["conditions"][0];
    assert_eq!(condition["reason"], "SchedulingGated", "{made}");
    assert_eq!(
        condition["message"],
        "Scheduling is blocked due to non-empty scheduling gates"
    );
    // As kube-apiserver writes them.
    for (asked, kept) in [
        ("0.1Gi", "107374182400m"),
        ("1.2Gi", "1288490188800m"),
        ("0.001Mi", "1048576m"),
        ("16Ei", "9223372036854775807"),
        ("1.5Gi", "1536Mi"),
    ] {
        let mut asking = pod("asking");
        asking["spec"]["containers"][0]["resources"] = json!({"requests": {"memory": asked}});
        let (code, made) = lab.post(&format!("{PODS}?dryRun=All"), &asking).await;
        assert_eq!(code, 201, "{made}");
        let requests = &made["spec"]["containers"][0]["resources"]["requests"];
        assert_eq!(requests["memory"], kept, "{asked}");
    }
    let mut asking = pod("asking");
    asking["spec"]["containers"][0]["resources"] = json!({"requests": {"memory": "500mi"}});
    let (code, status) = lab.post(PODS, &asking).await;
    let message = status["message"].as_str().unwrap_or_default();
    assert_eq!(code, 400, "{status}");
    assert!(
        message.contains("unable to parse quantity's suffix"),
        "{message}"
    );
    // kubectl says by itself what it was looking for.
    let (code, status) = lab.get(&format!("{PODS}?fieldSelector=spec.foo%3Dx")).await;
    assert_eq!(
        (code, &status["message"]),
        (400, &json!("field label not supported: spec.foo"))
    );
}

/// Kubernetes keeps what a pod's affinities say by its own labels in their selectors: once,
/// by the labels that it has in the end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn label_keys_of_affinities_become_parts_of_their_selectors() {
    const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
    let lab = Lab::start().await;
    service_account(&lab).await;
    let near = |term: Value| {
        let mut pod = pod("keyed");
        pod["metadata"]["labels"] = json!({"country": "Japan", "city": "Kyoto"});
        pod["spec"]["affinity"] = json!({"podAffinity": {REQUIRED: [term]}});
        pod
    };
    let term = json!({"topologyKey": "zone", "matchLabelKeys": ["country", "not-found"],
        "mismatchLabelKeys": ["city"], "labelSelector": {"matchLabels": {"region": "Asia"}}});
    let made = lab.create(PODS, &near(term)).await;
    let selector = &made["spec"]["affinity"]["podAffinity"][REQUIRED][0]["labelSelector"];
    let merged = json!({"matchLabels": {"region": "Asia"}, "matchExpressions": [
        {"key": "country", "operator": "In", "values": ["Japan"]},
        {"key": "city", "operator": "NotIn", "values": ["Kyoto"]}]});
    assert_eq!(*selector, merged);
    // Other labels change nothing of it, and it may be written again as it is.
    let other = json!({"metadata": {"labels": {"country": "France"}}});
    let (code, changed) = lab.merge(&format!("{PODS}/keyed"), &other).await;
    assert_eq!(code, 200, "{changed}");
    assert_eq!(changed["spec"]["affinity"], made["spec"]["affinity"]);
    let twice = json!({"topologyKey": "zone", "matchLabelKeys": ["country"],
        "labelSelector": {"matchLabels": {"country": "Japan"}}});
    let (code, refused) = lab.post(PODS, &near(twice)).await;
    assert_eq!(code, 422, "{refused}");
    let message = refused["message"].as_str().unwrap_or_default();
    let told = format!(
        "spec.affinity.podAffinity.{REQUIRED}[0][0]: Invalid value: \"country\": \
         exists in both matchLabelKeys and labelSelector"
    );
    assert!(message.contains(&told), "{message}");
}

/// A cluster of IPv4 alone says so, instead of giving something else than was asked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn services_of_families_that_are_not_there_are_refused() {
    let lab = Lab::start().await;
    let services = "/api/v1/namespaces/default/services";
    let service = |spec: Value| {
        let mut service = json!({"metadata": {"name": "s"}, "spec": spec});
        service["spec"]["ports"] = json!([{"port": 80}]);
        service["spec"]["selector"] = json!({"a": "b"});
        service
    };
    let dual = "spec.ipFamilyPolicy: Invalid value: \"RequireDualStack\": \
                this cluster is not configured for dual-stack services";
    let sixth = "spec.ipFamilies[0]: Invalid value: \"IPv6\": not configured on this cluster";
    for (spec, why) in [
        (json!({"ipFamilyPolicy": "RequireDualStack"}), dual),
        (json!({"ipFamilies": ["IPv6"]}), sixth),
        (
            json!({"ipFamilies": ["IPv6", "IPv4"], "ipFamilyPolicy": "PreferDualStack"}),
            sixth,
        ),
    ] {
        let (code, status) = lab.post(services, &service(spec)).await;
        let message = status["message"].as_str().unwrap_or_default();
        assert_eq!(code, 422, "{status}");
        assert!(message.contains(why), "{message}");
    }
    let preferred = service(json!({"ipFamilyPolicy": "PreferDualStack"}));
    let made = lab.create(services, &preferred).await;
    assert_eq!(made["spec"]["ipFamilies"], json!(["IPv4"]));
    // Who serves it decides about one that has neither selector nor address.
    let mut alone = service(json!({"clusterIP": "None", "ipFamilies": ["IPv6"]}));
    alone["metadata"]["name"] = "alone".into();
    alone["spec"]["selector"] = Value::Null;
    lab.create(services, &alone).await;
    let (code, _) = lab
        .send(Method::GET, &format!("{services}/alone"), "", "")
        .await;
    assert_eq!(code, 200);
}
