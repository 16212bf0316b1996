//! How fast pods find a node in a large cluster, without the API around it.
//! Measures rather than tests, so it runs only when asked for:
//! `cargo test --release -p hardway-scheduler --test scale -- --ignored --nocapture`

use hardway_scheduler::budgets::Budgets;
use hardway_scheduler::cache::Cache;
use hardway_scheduler::namespaces::Namespaces;
use hardway_scheduler::plugins::default_profile;
use hardway_scheduler::pod_info::PodInfo;
use hardway_scheduler::preemption::Preemptor;
use hardway_scheduler::queue::Queue;
use hardway_scheduler::selection::Selection;
use hardway_scheduler::storage::Storage;
use serde_json::json;
use std::sync::Arc;
use std::time::Instant;

const NODES: usize = 5_000;
const PODS: usize = 10_000;

fn nodes() -> Cache {
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
    cache
}

#[test]
#[ignore = "a measurement"]
fn plain_pods_on_five_thousand_nodes() {
    let mut cache = nodes();
    let framework = default_profile(Storage::default(), Namespaces::default());
    let mut selection = Selection::default();
    let started = Instant::now();
    for number in 0..PODS {
        let pod = json!({
            "metadata": {"namespace": "default", "name": format!("pod-{number}"), "uid": number.to_string()},
            "spec": {"containers": [{"name": "c", "image": "registry.example/app:1",
                "resources": {"requests": {"cpu": "100m", "memory": "200Mi"}}}]},
        });
        let pod = Arc::new(serde_json::from_value(pod).expect("a pod"));
        let pod = Arc::new(PodInfo::new(pod));
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

/// The memory of this process, in KiB.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("it runs on Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    number
        .and_then(|number| number.parse().ok())
        .expect("a number")
}

#[test]
#[ignore = "a measurement"]
fn a_backlog_that_fits_on_none_of_five_thousand_nodes() {
    let cache = nodes();
    let framework = default_profile(Storage::default(), Namespaces::default());
    let (mut selection, mut queue) = (Selection::default(), Queue::default());
    let preemptor = Preemptor {
        framework: &framework,
        budgets: &Budgets::default(),
        selection: &Selection::default(),
    };
    let now = tokio::time::Instant::now();
    let pod = |number: usize| {
        let pod = json!({
            "metadata": {"namespace": "default", "name": format!("pod-{number}"), "uid": number.to_string()},
            "spec": {"containers": [{"name": "c", "image": "registry.example/app:1",
                "resources": {"requests": {"cpu": "64", "memory": "200Mi"}}}]},
        });
        Arc::new(PodInfo::new(Arc::new(
            serde_json::from_value(pod).expect("a pod"),
        )))
    };
    for number in 0..PODS {
        queue.add(pod(number), now);
    }
    let (before, started) = (resident(), Instant::now());
    while let Some(pod) = queue.pop(now) {
        let fit = selection.find_node(&framework, cache.nodes(), &pod);
        let mut fit = fit.expect_err("there is no such node");
        let refusal = preemptor.find(&pod, None, cache.nodes(), &fit).err();
        fit.preemption = refusal.map(|why| why.to_string());
        assert!(
            fit.message()
                .starts_with("0/5000 nodes are available: 5000 Insufficient cpu.")
        );
        queue.unschedulable(&pod.key, fit.plugins(), now, |_, _| false);
    }
    let took = started.elapsed();
    println!(
        "{PODS} pods that fit on none of {NODES} nodes: {} bytes each for knowing why, {:.0} pods/s",
        resident().saturating_sub(before) * 1024 / PODS,
        PODS as f64 / took.as_secs_f64()
    );
}
