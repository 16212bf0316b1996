//! What it takes to find a node for one pod among five thousand that hold two pods each, without
//! the API around it: `cargo bench -p hardway-scheduler --bench cycle`

use criterion::Criterion;
use hardway_scheduler::budgets::Budgets;
use hardway_scheduler::cache::Cache;
use hardway_scheduler::framework::Framework;
use hardway_scheduler::namespaces::Namespaces;
use hardway_scheduler::plugins::default_profile;
use hardway_scheduler::pod_info::PodInfo;
use hardway_scheduler::preemption::Preemptor;
use hardway_scheduler::selection::Selection;
use hardway_scheduler::storage::Storage;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

const NODES: usize = 5_000;
const PODS_PER_NODE: usize = 2;
const ZONE: &str = "topology.kubernetes.io/zone";
const HOST: &str = "kubernetes.io/hostname";

/// Nodes with pods as `of` makes them of their numbers.
fn cluster(of: impl Fn(usize) -> PodInfo) -> Cache {
    let mut cache = Cache::default();
    for number in 0..NODES {
        let name = format!("node-{number}");
        let node = json!({
            "metadata": {"name": name, "labels": {HOST: name, ZONE: format!("zone-{}", number % 3)}},
            "status": {"allocatable": {"cpu": "32", "memory": "128Gi", "pods": "110"}},
        });
        cache.apply_node(Arc::new(serde_json::from_value(node).expect("a node")));
        for pod in 0..PODS_PER_NODE {
            cache.assume(&Arc::new(of(number * PODS_PER_NODE + pod)), &name);
        }
    }
    cache
}

fn pod(name: &str, metadata: Value, mut spec: Value, cpu: &str) -> PodInfo {
    spec["containers"] = json!([{"name": "c", "image": "registry.example/app:1",
        "resources": {"requests": {"cpu": cpu, "memory": "200Mi"}}}]);
    let mut object = json!({"metadata": metadata, "spec": spec});
    object["metadata"]["namespace"] = json!("default");
    object["metadata"]["name"] = json!(name);
    object["metadata"]["uid"] = json!(name);
    PodInfo::new(Arc::new(serde_json::from_value(object).expect("a pod")))
}

/// A pod of one of so many applications.
fn of_app(name: &str, app: usize, spec: Value) -> PodInfo {
    let labels = json!({"labels": {"app": format!("app-{app}")}});
    pod(name, labels, spec, "100m")
}

fn owned(name: &str) -> PodInfo {
    let metadata = json!({"labels": {"app": "app-7"}, "ownerReferences": [{"apiVersion": "apps/v1",
        "kind": "ReplicaSet", "name": "app-7", "uid": "app-7", "controller": true}]});
    pod(name, metadata, json!({}), "100m")
}

fn affinity(kind: &str, key: &str, app: usize) -> Value {
    let term = json!({"topologyKey": key,
        "labelSelector": {"matchLabels": {"app": format!("app-{app}")}}});
    json!({"affinity": {kind: {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}})
}

fn spread() -> Value {
    json!({"topologySpreadConstraints": [{"maxSkew": 5, "topologyKey": ZONE,
        "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {"matchLabels": {"app": "app-7"}}}]})
}

/// One cycle after another, each leaving the nodes as it found them.
fn measure(
    criterion: &mut Criterion,
    framework: &Framework,
    name: &str,
    mut cache: Cache,
    pod: &Arc<PodInfo>,
) {
    let mut selection = Selection::default();
    criterion.bench_function(name, |bencher| {
        bencher.iter(|| {
            let found = selection.find_node(framework, cache.nodes(), pod);
            let node = found.expect("there is room").node;
            cache.assume(pod, &node);
            cache.forget(&pod.key, "new");
        });
    });
}

fn main() {
    let framework = default_profile(Storage::default(), Namespaces::default());
    let mut criterion = Criterion::default()
        .measurement_time(Duration::from_secs(4))
        .sample_size(20)
        .configure_from_args();
    let plain = || cluster(|number| of_app(&format!("pod-{number}"), number % 500, json!({})));
    let with = |kind: &'static str, key: &'static str| {
        cluster(move |number| {
            let app = number % 500;
            let spec = match app {
                7 => affinity(kind, key, app),
                _ => json!({}),
            };
            of_app(&format!("pod-{number}"), app, spec)
        })
    };
    let new = |spec: Value| of_app("new", 7, spec);
    let mut case = |name: &str, cache: Cache, pod: PodInfo| {
        measure(&mut criterion, &framework, name, cache, &Arc::new(pod));
    };
    case("plain", plain(), new(json!({})));
    case("of a ReplicaSet", plain(), owned("new"));
    case(
        "affinity",
        with("podAffinity", ZONE),
        new(affinity("podAffinity", ZONE, 7)),
    );
    case(
        "anti-affinity",
        with("podAntiAffinity", HOST),
        new(affinity("podAntiAffinity", HOST, 7)),
    );
    case("spread", plain(), new(spread()));
    let field = json!({"key": "metadata.name", "operator": "In", "values": ["node-7"]});
    let terms = json!({"nodeSelectorTerms": [{"matchFields": [field]}]});
    let pinned = json!({"affinity": {"nodeAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": terms}}});
    case("of a DaemonSet", plain(), new(pinned));

    let too_large = |priority: i32| {
        let spec = json!({"priority": priority});
        pod("new", json!({}), spec, "31900m")
    };
    let cache = plain();
    let preemptor = Preemptor {
        framework: &framework,
        budgets: &Budgets::default(),
        selection: &Selection::default(),
    };
    for (name, pod) in [
        ("fits nowhere", too_large(0)),
        ("preempts", too_large(1000)),
    ] {
        let mut selection = Selection::default();
        criterion.bench_function(name, |bencher| {
            bencher.iter(|| {
                let fit = selection.find_node(&framework, cache.nodes(), &pod);
                let fit = fit.expect_err("there is no room");
                preemptor.find(&pod, None, cache.nodes(), &fit)
            });
        });
    }
    criterion.final_summary();
}
