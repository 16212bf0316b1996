//! What the stages of a write cost that look at the object alone: decoding it, defaults,
//! validation, who owns its fields, and the bytes that are stored.

use criterion::{BatchSize, Criterion};
use hardway_apiserver::store::splice;
use hardway_patch::{Writer, managed_fields, merge_patch, strategic_merge};
use hardway_resources::registry::Snapshot;
use hardway_resources::resource::Resource;
use hardway_resources::{Registry, strict};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::hint::black_box;
use std::sync::Arc;

/// A pod of two containers, as a Deployment's often are.
fn pod() -> Value {
    let container = |name: &str| {
        let variables: Vec<Value> = (0..6)
            .map(|n| json!({"name": format!("E{n}"), "value": n.to_string()}))
            .collect();
        json!({"name": name, "image": "registry.example.com/app/web:1.2.3",
            "command": ["/bin/web", "--port=8080"], "env": variables,
            "ports": [{"containerPort": 8080, "name": "http"}],
            "resources": {"requests": {"cpu": "100m", "memory": "64Mi"},
                "limits": {"cpu": "200m", "memory": "128Mi"}},
            "readinessProbe": {"httpGet": {"path": "/healthz", "port": 8080}},
            "volumeMounts": [{"name": "data", "mountPath": "/data"}]})
    };
    json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "web-1", "namespace": "default",
            "labels": {"app": "web", "tier": "front"}, "annotations": {"example.com/a": "b"}},
        "spec": {"containers": [container("a"), container("b")],
            "volumes": [{"name": "data", "emptyDir": {}}]}})
}

fn status() -> Value {
    json!({"status": {"phase": "Running", "podIP": "10.1.2.3", "conditions": [
        {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}]}})
}

/// The pod as it is stored: defaulted, and with an owner of its fields.
fn stored(of: &Resource) -> Value {
    let mut object = pod();
    of.rules.prepare_create(&mut object);
    of.default(&mut object);
    let writer = Writer::main("kubectl", "v1", Timestamp::UNIX_EPOCH);
    managed_fields::update(None, &mut object, &of.versions[0].schema, &writer);
    object
}

fn row(table: &Snapshot) -> Arc<Resource> {
    let found = table.lookup("", "v1", "pods").cloned();
    found.expect("pods are in the table")
}

fn of_the_object_alone(criterion: &mut Criterion) {
    let table = Registry::new().snapshot();
    let pods = row(&table);
    let schema = &pods.versions[0].schema;
    let bytes = pod().to_string().into_bytes();
    let stored = stored(&pods);
    let mut group = criterion.benchmark_group("a pod");
    group.bench_function("decode", |b| {
        b.iter(|| strict::check(schema, black_box(&bytes)));
    });
    group.bench_function("default", |b| {
        b.iter_batched(pod, |mut pod| pods.default(&mut pod), BatchSize::SmallInput);
    });
    group.bench_function("validate", |b| {
        b.iter(|| pods.rules.validate(black_box(&stored)));
    });
    group.bench_function("encode", |b| {
        b.iter(|| splice::encode(black_box(&stored)));
    });
    group.bench_function("parse", |b| {
        let bytes = stored.to_string();
        b.iter(|| serde_json::from_str::<Value>(black_box(&bytes)));
    });
    group.finish();
}

fn who_owns_what(criterion: &mut Criterion) {
    let table = Registry::new().snapshot();
    let pods = row(&table);
    let schema = &pods.versions[0].schema;
    let before = stored(&pods);
    let mut created = before.clone();
    if let Some(metadata) = created["metadata"].as_object_mut() {
        metadata.remove("managedFields");
    }
    let after = strategic_merge(&before, &status(), schema).expect("the patch fits");
    let now = Timestamp::UNIX_EPOCH;
    let mut group = criterion.benchmark_group("managedFields");
    group.bench_function("create", |b| {
        let writer = Writer::main("kubectl", "v1", now);
        let update = |mut new| managed_fields::update(None, &mut new, schema, &writer);
        b.iter_batched(|| created.clone(), update, BatchSize::SmallInput);
    });
    group.bench_function("status", |b| {
        let writer = Writer::subresource("kubelet", "v1", "status", now);
        let update = |mut new| managed_fields::update(Some(&before), &mut new, schema, &writer);
        b.iter_batched(|| after.clone(), update, BatchSize::SmallInput);
    });
    group.finish();
}

fn patches(criterion: &mut Criterion) {
    let table = Registry::new().snapshot();
    let pods = row(&table);
    let (before, patch) = (stored(&pods), status());
    let mut group = criterion.benchmark_group("patch");
    group.bench_function("merge", |b| {
        b.iter(|| merge_patch(black_box(&before), &patch));
    });
    group.bench_function("strategic", |b| {
        b.iter(|| strategic_merge(black_box(&before), &patch, &pods.versions[0].schema));
    });
    group.finish();
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    of_the_object_alone(&mut criterion);
    who_owns_what(&mut criterion);
    patches(&mut criterion);
    criterion.final_summary();
}
