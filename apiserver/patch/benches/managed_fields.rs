//! What it costs a write to say who owns which field: of a pod that is made, one whose status
//! its kubelet reports, and one that is applied again.

use criterion::Criterion;
use hardway_patch::managed_fields::update;
use hardway_patch::{Writer, apply};
use hardway_resources::{Registry, Schema};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::time::Duration;

fn now() -> Timestamp {
    Timestamp::UNIX_EPOCH
}

fn pod() -> Value {
    let env: Vec<Value> = (0..20)
        .map(|number| json!({"name": format!("SETTING_{number}"), "value": "some value"}))
        .collect();
    json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "web", "namespace": "shop",
            "labels": {"app": "web", "tier": "front"}, "annotations": {"a": "b"}},
        "spec": {"restartPolicy": "Always", "nodeName": "worker-1", "containers": [
            {"name": "web", "image": "web:1", "env": env, "ports": [{"containerPort": 80}],
                "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}}},
            {"name": "side", "image": "side:1"}]}})
}

fn status(ready: bool) -> Value {
    let condition = |of: &str| json!({"type": of, "status": ready.to_string()});
    let conditions = ["Initialized", "Ready", "ContainersReady", "PodScheduled"].map(condition);
    json!({"phase": "Running", "podIP": "10.0.0.1", "podIPs": [{"ip": "10.0.0.1"}],
        "conditions": conditions,
        "containerStatuses": [{"name": "web", "ready": ready, "restartCount": 0,
            "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}}]})
}

/// A pod as its maker, the scheduler and a kubelet have left it.
fn reported(schema: &Schema) -> Value {
    let mut made = pod();
    update(
        None,
        &mut made,
        schema,
        &Writer::main("kubectl", "v1", now()),
    );
    let mut reported = made.clone();
    reported["status"] = status(false);
    let kubelet = Writer::subresource("kubelet", "v1", "status", now());
    update(Some(&made), &mut reported, schema, &kubelet);
    reported
}

fn managed_fields(benches: &mut Criterion) {
    let pods = Registry::new()
        .resource("", "pods")
        .expect("there are pods");
    let schema = &pods.versions[0].schema;
    let mut group = benches.benchmark_group("managed fields");
    group.bench_function("a pod is made", |bencher| {
        let writer = Writer::main("kubectl", "v1", now());
        bencher.iter(|| {
            let mut made = pod();
            update(None, &mut made, schema, &writer);
            made
        });
    });
    let before = reported(schema);
    let mut after = before.clone();
    after["status"] = status(true);
    group.bench_function("a status is reported", |bencher| {
        let writer = Writer::subresource("kubelet", "v1", "status", now());
        bencher.iter(|| {
            let mut after = after.clone();
            update(Some(&before), &mut after, schema, &writer);
            after
        });
    });
    group.bench_function("a pod is applied again", |bencher| {
        let writer = Writer::main("applier", "v1", now());
        let live = apply(Some(&before), &pod(), schema, &writer, true).expect("it is applied");
        bencher.iter(|| apply(Some(&live), &pod(), schema, &writer, true).expect("it is applied"));
    });
    group.finish();
}

fn main() {
    let mut benches = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    managed_fields(&mut benches);
    benches.final_summary();
}
