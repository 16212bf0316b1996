//! What expressions cost: to be compiled, once, and to be evaluated, for each request.

use criterion::Criterion;
use hardway_cel::{Budget, Environment, Scope, Type, Value};
use serde_json::{Value as Json, json};
use std::time::Duration;

/// Such as policies are made of: what is compared, what is looked for in lists, texts.
const EXPRESSIONS: [(&str, &str); 4] = [
    ("a comparison", "object.spec.replicas <= 5"),
    (
        "a list that is gone through",
        "object.spec.template.spec.containers.all(c, !c.image.endsWith(':latest'))",
    ),
    (
        "fields that may be missing",
        "!has(object.metadata.labels) || 'team' in object.metadata.labels && \
         object.metadata.labels['team'].matches('^[a-z]+$')",
    ),
    (
        "quantities",
        "object.spec.template.spec.containers.all(c, \
         quantity(c.resources.limits.memory).isLessThan(quantity('1Gi')))",
    ),
];

fn deployment() -> Json {
    let container = |number: usize| {
        json!({"name": format!("c{number}"), "image": "registry.example.com/app:1.2",
            "resources": {"limits": {"memory": "256Mi"}}})
    };
    let containers: Vec<Json> = (0..5).map(container).collect();
    json!({"metadata": {"name": "web", "labels": {"app": "web", "team": "shop"}},
        "spec": {"replicas": 3, "template": {"spec": {"containers": containers}}}})
}

fn expressions(benches: &mut Criterion) {
    let environment = Environment::new().variable("object", Type::Dyn);
    let object = deployment();
    for (what, text) in EXPRESSIONS {
        let mut group = benches.benchmark_group(what);
        group.bench_function("compiled", |bencher| {
            bencher.iter(|| environment.compile(text).expect("it is right"));
        });
        let program = environment.compile(text).expect("it is right");
        group.bench_function("evaluated", |bencher| {
            bencher.iter(|| {
                let mut scope = Scope::new();
                scope.bind("object", Value::of_json(&object));
                let budget = Budget::new(10_000_000);
                let outcome = program.evaluate(&scope, &budget).expect("it has a value");
                assert_eq!(outcome.as_bool(), Some(true));
            });
        });
        group.finish();
    }
}

fn main() {
    let mut benches = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    expressions(&mut benches);
    benches.final_summary();
}
