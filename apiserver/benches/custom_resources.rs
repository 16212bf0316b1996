//! What rules and conversion cost requests for custom resources: of a whole apiserver, on an
//! etcd, over TLS.

#[path = "../tests/integration/common/mod.rs"]
mod common;

use common::Lab;
use criterion::Criterion;
use futures_util::future::join_all;
use hardway_webhook_server::Server;
use serde_json::{Value, json};
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const GROUP: &str = "/apis/bench.example.com";
/// So many objects are converted.
const COUNT: usize = 10_000;

/// A definition with two versions, the first of which is stored.
async fn define(lab: &Lab, plural: &str, rules: Value, conversion: Value) {
    let spec = json!({"type": "object", "x-kubernetes-validations": rules, "properties": {
        "hostPort": {"type": "string", "maxLength": 100},
        "host": {"type": "string"}, "port": {"type": "string"}}});
    let version = |name: &str| {
        json!({"name": name, "served": true, "storage": name == "v1", "schema": {
            "openAPIV3Schema": {"type": "object", "properties": {"spec": spec}}}})
    };
    let definition = json!({
        "metadata": {"name": format!("{plural}.bench.example.com")},
        "spec": {"group": "bench.example.com", "scope": "Namespaced",
            "names": {"plural": plural, "singular": plural, "kind": format!("K{plural}")},
            "versions": [version("v1"), version("v2")], "conversion": conversion}});
    lab.create(DEFINITIONS, &definition).await;
    let path = format!("{GROUP}/v1/{plural}");
    lab.until("it is served", async || lab.get(&path).await.0 == 200)
        .await;
}

fn object(plural: &str, name: &str) -> Value {
    json!({"apiVersion": "bench.example.com/v1", "kind": format!("K{plural}"),
        "metadata": {"name": name}, "spec": {"hostPort": "a.example.com:80"}})
}

/// Objects made in a definition with 50 rules, and in one without.
fn rules(benches: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let lab = runtime.block_on(Lab::start());
    let rules: Vec<Value> = (0..50)
        .map(|number| {
            json!({"rule": format!(
                "!has(self.hostPort) || self.hostPort.size() > 0 && self.hostPort != 'h{number}'"
            )})
        })
        .collect();
    let mut group = benches.benchmark_group("a custom resource is made");
    for (plural, rules) in [("plain", json!([])), ("ruled", json!(rules))] {
        runtime.block_on(define(&lab, plural, rules, json!({"strategy": "None"})));
        let path = format!("{GROUP}/v1/namespaces/default/{plural}");
        let mut number = 0;
        group.bench_function(plural, |bencher| {
            bencher.iter(|| {
                number += 1;
                let object = object(plural, &format!("o{number}"));
                runtime.block_on(lab.create(&path, &object))
            });
        });
    }
}

/// A list in another version than the stored one: when all has to be converted, and when all
/// was.
fn conversion(benches: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let lab = runtime.block_on(Lab::start());
    let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let server = runtime
        .block_on(Server::start(here, &["127.0.0.1"]))
        .expect("a server");
    let webhook = |path: &str| {
        json!({"strategy": "Webhook", "webhook": {
            "clientConfig": {"url": server.url(path), "caBundle": server.ca_bundle()},
            "conversionReviewVersions": ["v1"]}})
    };
    runtime.block_on(define(&lab, "hosts", json!([]), webhook("convert")));
    let (v1, v2) = ["v1", "v2"]
        .map(|version| format!("{GROUP}/{version}/namespaces/default/hosts"))
        .into();
    let numbers: Vec<usize> = (0..COUNT).collect();
    for numbers in numbers.chunks(50) {
        let create = async |number| {
            lab.create(&v1, &object("hosts", &format!("h{number}")))
                .await
        };
        runtime.block_on(join_all(numbers.iter().map(create)));
    }
    let list = async |path: &str| {
        let (code, list) = lab.get(path).await;
        assert_eq!(
            (code, list["items"].as_array().map(Vec::len)),
            (200, Some(COUNT))
        );
    };
    let mut group = benches.benchmark_group("a list of 10,000");
    group.bench_function("as stored", |bencher| {
        bencher.iter(|| runtime.block_on(list(&v1)));
    });
    let definition = format!("{DEFINITIONS}/hosts.bench.example.com");
    let (mut turn, mut last) = (0, String::new());
    group.bench_function("converted for the first time", |bencher| {
        bencher.iter_custom(|times| {
            let mut took = Duration::ZERO;
            for _ in 0..times {
                // Another webhook knows nothing of what the one before has converted.
                turn += 1;
                let path = format!("convert/label/turn/{turn}");
                let patch = json!({"spec": {"conversion": webhook(&path)}});
                took += runtime.block_on(async {
                    assert_eq!(lab.merge(&definition, &patch).await.0, 200);
                    lab.until("it is asked", async || {
                        lab.get(&format!("{v2}/h0")).await.0 == 200 && server.count(&path) == 1
                    })
                    .await;
                    let begun = Instant::now();
                    list(&v2).await;
                    begun.elapsed()
                });
                assert_eq!(
                    server.count(&path),
                    1 + COUNT.div_ceil(500),
                    "all was converted"
                );
                last = path;
            }
            took
        });
    });
    let before = server.count(&last);
    group.bench_function("converted before", |bencher| {
        bencher.iter(|| runtime.block_on(list(&v2)));
    });
    assert_eq!(server.count(&last), before, "nothing is converted twice");
}

fn main() {
    let mut benches = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(3))
        .sample_size(10)
        .configure_from_args();
    rules(&mut benches);
    conversion(&mut benches);
    benches.final_summary();
}
