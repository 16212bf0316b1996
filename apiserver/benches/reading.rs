//! What reading costs: lists in all their forms, of a whole apiserver on an etcd, over TLS;
//! watches of many clients; and selectors alone.

#[path = "../tests/integration/common/mod.rs"]
mod common;

use common::people::Client;
use common::requests::Watch;
use common::{Lab, PODS, pod, service_account};
use criterion::{Criterion, Throughput};
use futures_util::future::join_all;
use hardway_proto::labels::{FieldSelector, Selector};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::runtime::Runtime;

/// So many pods are listed, on so many nodes.
const COUNT: usize = 2_000;
const NODES: usize = 100;
/// So many clients watch each of so many changes.
const WATCHERS: usize = 100;
const CHANGES: usize = 20;

const TABLE: &str = "application/json;as=Table;g=meta.k8s.io;v=v1";
const METADATA: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";
const PLAIN: &str = "application/json";

/// A pod of about 4 KiB.
fn large_pod(number: usize) -> Value {
    let mut pod = pod(&format!("p{number}"));
    pod["metadata"]["labels"] = json!({"app": format!("a{}", number % 100),
        "half": number.is_multiple_of(2).to_string()});
    pod["spec"]["nodeName"] = format!("node-{}", number % NODES).into();
    let env = (0..16).map(|n| json!({"name": format!("SETTING_{n}"), "value": "x".repeat(40)}));
    pod["spec"]["containers"][0]["env"] = env.collect();
    pod
}

fn lists(benches: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let lab = runtime.block_on(Lab::start());
    let mut client = runtime.block_on(async {
        service_account(&lab).await;
        let numbers: Vec<usize> = (0..COUNT).collect();
        for numbers in numbers.chunks(50) {
            let create = async |number| lab.create(PODS, &large_pod(number)).await;
            join_all(numbers.iter().copied().map(create)).await;
        }
        Client::new(&lab, "jane", &["system:masters"]).await
    });
    let mut group = benches.benchmark_group(format!("a list of {COUNT} pods"));
    for (what, query, accept) in [
        ("plain", "", PLAIN),
        ("a table", "", TABLE),
        ("metadata", "", METADATA),
        ("protobuf", "", PROTOBUF),
        ("1% by label", "?labelSelector=app%3Da7", PLAIN),
        ("50% by label", "?labelSelector=half%3Dtrue", PLAIN),
        ("one node's", "?fieldSelector=spec.nodeName%3Dnode-7", PLAIN),
        ("a page of 500", "?limit=500", PLAIN),
    ] {
        let path = format!("{PODS}{query}");
        group.bench_function(what, |bencher| {
            bencher.iter(|| {
                let answer = runtime.block_on(client.get_as(&path, accept));
                assert_eq!(answer.code, 200);
                answer.bytes.len()
            });
        });
    }
    group.finish();
}

/// Changes of one object, until all who watch it have heard of each.
fn fan_out(benches: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let lab = runtime.block_on(Lab::start());
    let path = common::MAPS;
    let object = format!("{path}/watched");
    let mut watches: Vec<Watch> = runtime.block_on(async {
        lab.create(path, &common::config_map("watched")).await;
        let query = format!("{path}?watch=1&fieldSelector=metadata.name%3Dwatched");
        let mut watches = Vec::new();
        for _ in 0..WATCHERS {
            let mut watch = lab.watch(&query).await;
            watch.told().await;
            watches.push(watch);
        }
        watches
    });
    let mut group = benches.benchmark_group("watch");
    group.throughput(Throughput::Elements((WATCHERS * CHANGES) as u64));
    let mut number = 0;
    group.bench_function(
        format!("{CHANGES} changes, {WATCHERS} watchers"),
        |bencher| {
            bencher.iter(|| {
                let hear = watches.iter_mut().map(async |watch| {
                    for _ in 0..CHANGES {
                        watch.next().await.expect("it goes on");
                    }
                });
                let write = async {
                    for _ in 0..CHANGES {
                        number += 1;
                        let patch = json!({"data": {"a": number.to_string()}});
                        assert_eq!(lab.merge(&object, &patch).await.0, 200);
                    }
                };
                runtime.block_on(futures_util::future::join(join_all(hear), write));
            });
        },
    );
    group.finish();
}

fn selectors(benches: &mut Criterion) {
    let labels = |number: usize| {
        let pairs = [
            ("app", format!("a{}", number % 100)),
            ("pod-template-hash", format!("{number:010x}")),
            ("tier", "front".to_owned()),
        ];
        pairs.map(|(key, value)| (key.to_owned(), value)).into()
    };
    let objects: Vec<BTreeMap<String, String>> = (0..COUNT).map(labels).collect();
    let mut group = benches.benchmark_group("selectors");
    group.throughput(Throughput::Elements(COUNT as u64));
    for text in ["app=a7", "app in (a1,a2,a3),tier!=back", "!missing,tier"] {
        let selector = Selector::parse(text).expect("a selector");
        group.bench_function(text, |bencher| {
            bencher.iter(|| objects.iter().filter(|it| selector.matches(it)).count());
        });
    }
    let selector = FieldSelector::parse("spec.nodeName=node-7,status.phase!=Failed");
    let selector = selector.expect("a selector");
    let nodes: Vec<String> = (0..NODES).map(|number| format!("node-{number}")).collect();
    group.bench_function("fields", |bencher| {
        bencher.iter(|| {
            let selected = (0..COUNT).filter(|number| {
                selector.matches_with(|field| match field {
                    "spec.nodeName" => Some(nodes[number % NODES].as_str()),
                    _ => Some("Running"),
                })
            });
            selected.count()
        });
    });
    group.finish();
}

fn main() {
    let mut benches = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(2))
        .sample_size(10)
        .configure_from_args();
    selectors(&mut benches);
    lists(&mut benches);
    fan_out(&mut benches);
    benches.final_summary();
}
