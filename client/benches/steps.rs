//! What a step costs who records it, while nobody reads.

use criterion::Criterion;
use hardway_client::steps::{self, Step};
use k8s_openapi::api::core::v1::Pod;
use std::time::{Duration, Instant};

fn main() {
    let mut pod = Pod::default();
    pod.metadata.namespace = Some("default".into());
    pod.metadata.name = Some("web-5d9c7b9c4-x2x7p".into());
    pod.metadata.uid = Some("0c6f2f3e-6d7a-4a55-9d2b-0a4f0a1b2c3d".into());
    let mut criterion = Criterion::default()
        .measurement_time(Duration::from_secs(3))
        .configure_from_args();
    criterion.bench_function("record a step", |bencher| {
        bencher.iter(|| {
            let step = Step::about(&pod, "scheduled")
                .since(Instant::now())
                .with("node", "worker-1")
                .with("nodes", 3)
                .with("scores", "worker-1 312, worker-2 287");
            steps::record(step);
        });
    });
    println!(
        "memory of {} steps: {} KiB",
        steps::MOST,
        steps::held() / 1024
    );
    criterion.final_summary();
}
