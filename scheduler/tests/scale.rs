//! How fast pods find a node in a large cluster, without the API around it.
//! Measures rather than tests, so it runs only when asked for:
//! `cargo test --release -p hardway-scheduler --test scale -- --ignored --nocapture`

use hardway_scheduler::cache::Cache;
use hardway_scheduler::namespaces::Namespaces;
use hardway_scheduler::plugins::default_profile;
use hardway_scheduler::pod_info::PodInfo;
use hardway_scheduler::selection::Selection;
use hardway_scheduler::storage::Storage;
use serde_json::json;
use std::sync::Arc;
use std::time::Instant;

const NODES: usize = 5_000;
const PODS: usize = 10_000;

#[test]
#[ignore = "a measurement"]
fn plain_pods_on_five_thousand_nodes() {
    let mut cache = Cache::default();
    for number in 0..NODES {
        let name = format!("node-{number}");
        let node = json!({
            "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name,
                "topology.kubernetes.io/zone": format!("zone-{}", number % 3)}},
            "status": {"allocatable": {"cpu": "32", "memory": "128Gi", "pods": "110"}},
        });
        cache.apply_node(Arc::new(serde_json::from_value(node).expect("a node")));
    }
    let framework = default_profile(Storage::default(), Namespaces::default());
    let mut selection = Selection::default();
    let started = Instant::now();
    for number in 0..PODS {
        let pod = json!({
            "metadata": {"namespace": "default", "name": format!("pod-{number}"), "uid": number.to_string()},
            "spec": {"containers": [{"name": "c", "image": "registry.example/app:1",
                "resources": {"requests": {"cpu": "100m", "memory": "200Mi"}}}]},
        });
        let pod = PodInfo::new(Arc::new(serde_json::from_value(pod).expect("a pod")));
        let found = selection
            .find_node(&framework, cache.nodes(), &pod)
            .expect("there is room");
        cache.assume(&pod, &found.node);
    }
    let took = started.elapsed();
    println!(
        "{PODS} pods on {NODES} nodes in {took:?}: {:.0} pods/s",
        PODS as f64 / took.as_secs_f64()
    );
}
