//! What one changed Service costs the proxy among many, before the kernel has it:
//! its elements, the difference to those it had, and that as a batch or as text.

use criterion::{BatchSize, BenchmarkId, Criterion};
use hardway_proto::meta::ObjectKey;
use hardway_proxy::desired::{Change, Desired};
use hardway_proxy::elements::of_service;
use hardway_proxy::netlink::batch::Batch;
use hardway_proxy::service::{Endpoint, Port, Protocol};
use std::hint::black_box;
use std::net::Ipv4Addr;
use std::time::Duration;

/// One port that leads to some endpoints.
fn service(number: u32, endpoints: u32) -> Port {
    let network = |base: [u8; 4], at: u32| Ipv4Addr::from(u32::from_be_bytes(base) + at);
    let endpoints: Vec<Endpoint> = (0..endpoints)
        .map(|at| Endpoint {
            ip: network([10, 128, 0, 0], number * 5 + at),
            port: 8080,
            local: at == 0,
        })
        .collect();
    Port {
        cluster_ips: vec![network([10, 96, 0, 1], number)],
        external_ips: vec![],
        guarded_ips: vec![],
        sources: vec![],
        protocol: Protocol::Tcp,
        port: 80,
        node_port: None,
        affinity: None,
        internal: endpoints.clone(),
        external: endpoints.clone(),
        endpoints,
        external_local: false,
    }
}

fn key(number: u32) -> ObjectKey {
    ObjectKey::new("default", number.to_string())
}

fn diff(benches: &mut Criterion) {
    let mut group = benches.benchmark_group("diff");
    for services in [100, 10_000] {
        let mut desired = Desired::default();
        for number in 0..services {
            let elements = of_service(&[service(number, 5)]);
            desired.replace(&key(number), elements, &mut Change::default());
        }
        let mut endpoints = 5;
        let mut one = || {
            endpoints = 9 - endpoints;
            let mut change = Change::default();
            let elements = of_service(&[service(services / 2, endpoints)]);
            desired.replace(&key(services / 2), elements, &mut change);
            change
        };
        group.bench_function(BenchmarkId::new("one endpoint", services), |bencher| {
            bencher.iter(|| black_box(one()));
        });
        group.bench_function(BenchmarkId::new("as a batch", services), |bencher| {
            bencher.iter_batched_ref(&mut one, |it| Batch::of(it), BatchSize::SmallInput);
        });
        group.bench_function(BenchmarkId::new("as text", services), |bencher| {
            bencher.iter_batched_ref(&mut one, |it| it.commands(), BatchSize::SmallInput);
        });
    }
    group.finish();
}

fn main() {
    let mut benches = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(20)
        .configure_from_args();
    diff(&mut benches);
    benches.final_summary();
}
