//! Pods that use more of the node's disk than they may are evicted, as Kubernetes does it
//! (its "local storage eviction"). Nobody tells when a file grows: it is looked at every
//! few seconds, and only where something is limited.

mod limits;
mod usage;

use crate::context::Context;
use crate::cri::api::ContainerStats;
use crate::cri::labels;
use crate::manager::Pods;
use crate::pod;
use crate::sandbox::log_directory;
use crate::status::Verdict;
use hardway_proto::Kind;
use k8s_openapi::api::core::v1::Pod;
use limits::Usage;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::MissedTickBehavior;

/// `status.reason` of a pod that was evicted.
const REASON: &str = "Evicted";
/// How often usage is looked at: Kubernetes' `housekeeping` of evictions.
const PERIOD: Duration = Duration::from_secs(10);
/// Seconds that containers have to stop.
const GRACE: i64 = 1;
/// Pods of this priority and above are the node's own; they stay.
const CRITICAL: i32 = 2_000_000_000;

/// Looks at pods for ever.
pub async fn run(context: Arc<Context>, pods: Pods) {
    let mut tick = tokio::time::interval(PERIOD);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let limited: Vec<Arc<Pod>> = pods
            .active()
            .into_iter()
            .filter(|pod| is_evictable(pod) && limits::is_limited(pod))
            .collect();
        if limited.is_empty() {
            continue;
        }
        // What a runtime without statistics doesn't tell counts as nothing.
        let stats = context.runtime.container_stats().await.unwrap_or_default();
        for pod in limited {
            let usage = measure(&context, &pod, &stats).await;
            if let Some(message) = limits::excess(&pod, &usage) {
                context.pod_event(&pod, true, REASON, message.clone());
                let verdict = Verdict {
                    reason: REASON.into(),
                    message,
                    rejected: false,
                    disruption: true,
                };
                drop(pods.terminate(pod.uid(), GRACE, verdict));
            }
        }
    }
}

fn is_evictable(pod: &Pod) -> bool {
    let critical = pod::spec(pod).priority.is_some_and(|p| p >= CRITICAL);
    !critical && !pod::is_static(pod) && !pod::is_deleting(pod)
}

/// What a pod uses of the node's disk.
async fn measure(context: &Context, pod: &Pod, stats: &[ContainerStats]) -> Usage {
    let mut usage = Usage::default();
    for entry in stats {
        let Some(attributes) = &entry.attributes else {
            continue;
        };
        let label = |name: &str| attributes.labels.get(name).map(String::as_str);
        if label(labels::POD_UID) == Some(pod.uid())
            && let Some(name) = label(labels::CONTAINER_NAME)
        {
            let layer = entry.writable_layer.as_ref();
            let layer = layer.and_then(|layer| layer.used_bytes.as_ref());
            *usage.containers.entry(name.to_owned()).or_default() += layer.map_or(0, |b| b.value);
        }
    }
    let logs = log_directory(&context.places.logs, pod.namespace(), pod.name(), pod.uid());
    for container in pod::all_containers(pod) {
        let bytes = of_folder(logs.join(&container.name)).await;
        *usage.containers.entry(container.name.clone()).or_default() += bytes;
    }
    for volume in pod::spec(pod).volumes.iter().flatten() {
        if let Some(folder) = context.volumes.on_disk(pod, volume) {
            let bytes = of_folder(folder).await;
            usage.volumes.insert(volume.name.clone(), bytes);
        }
    }
    usage
}

async fn of_folder(folder: PathBuf) -> u64 {
    let walk = tokio::task::spawn_blocking(move || usage::of_folder(&folder));
    walk.await.unwrap_or(0)
}
