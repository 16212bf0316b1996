//! Evictions on a node with a runtime in memory, by readings that are made up.

#![expect(
    clippy::disallowed_methods,
    reason = "the channel is the one that the manager is given"
)]

use super::pressure::Observation;
use super::threshold::{Condition, Texts, parse};
use super::*;
use crate::context::fake;
use crate::cri::fake::Fake;
use crate::manager::{Event, Manager};
use crate::sandbox::log_directory;
use hardway_client::Store;
use hardway_client::informer::Change;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use tokio::sync::mpsc;

struct Setup {
    runtime: Arc<Fake>,
    context: Arc<Context>,
    pods: Pods,
    evictor: Evictor,
    _dir: tempfile::TempDir,
}

/// A pod of that name and priority, which may use so much.
fn pod(name: &str, priority: i32, limits: Value) -> Pod {
    serde_json::from_value(json!({
        "metadata": {"name": name, "namespace": "default", "uid": name},
        "spec": {"priority": priority, "enableServiceLinks": false, "containers": [
            {"name": "main", "image": "image:1", "resources": {"limits": limits}},
        ]},
    }))
    .unwrap()
}

/// A node with pods of these names and priorities.
async fn setup(hard: &str, pods: &[(&str, i32)]) -> Setup {
    let pods = pods.iter();
    let pods = pods.map(|(name, priority)| pod(name, *priority, json!({})));
    setup_of(hard, pods.collect()).await
}

async fn setup_of(hard: &str, pods: Vec<Pod>) -> Setup {
    let count = pods.len();
    let dir = tempfile::tempdir().unwrap();
    let runtime = Arc::new(Fake::default());
    let context = fake::context(dir.path(), &runtime);
    let (events, inbox) = mpsc::unbounded_channel();
    let known = Pods::default();
    let manager = Manager::new(
        context.clone(),
        known.clone(),
        Store::default(),
        events.clone(),
    );
    tokio::spawn(manager.run(inbox));
    for pod in pods {
        let (old, new) = (None, Arc::new(pod));
        events
            .send(Event::Pod(Change::Applied { old, new }))
            .unwrap();
    }
    let world = &runtime.world;
    world
        .until(|_| world.sandboxes(&BTreeMap::new()).len() == count)
        .await;
    let policy = Policy {
        thresholds: parse(Texts {
            hard,
            ..Default::default()
        })
        .unwrap(),
        transition: Duration::from_secs(300),
        root: dir.path().to_owned(),
        ..Policy::default()
    };
    let images = crate::images::gc::Policy {
        min_age: Duration::ZERO,
        ..Default::default()
    };
    let images = Arc::new(Collector::new(runtime.clone(), images));
    Setup {
        evictor: Evictor::new(context.clone(), known.clone(), policy, images),
        runtime,
        context,
        pods: known,
        _dir: dir,
    }
}

fn left(signal: Signal, available: i64) -> Reading {
    let seen = Observation {
        available,
        capacity: 1000,
    };
    Reading {
        seen: [(signal, seen)].into(),
        own_disk: false,
    }
}

fn active(pods: &Pods) -> Vec<String> {
    let uids = pods.active().into_iter().map(|pod| pod.uid().to_owned());
    uids.collect()
}

#[tokio::test]
async fn one_pod_goes_at_a_time_the_least_important_first() {
    let pods = [("low", -5), ("critical", 2_000_000_000), ("middle", 0)];
    let mut setup = setup("pid.available<100", &pods).await;
    let now = Instant::now();
    let enough = left(Signal::PidAvailable, 100);
    assert!(setup.evictor.consider(&enough, now).await.is_none());
    assert!(setup.context.pressure.conditions().is_empty());

    let short = left(Signal::PidAvailable, 99);
    setup.evictor.consider(&short, now).await.unwrap().await;
    assert_eq!(active(&setup.pods), ["critical", "middle"]);
    let status = setup.context.statuses.get("low").unwrap();
    assert_eq!(status.phase.as_deref(), Some("Failed"));
    assert_eq!(status.reason.as_deref(), Some("Evicted"));
    assert_eq!(
        status.message.as_deref(),
        Some("The node was low on resource: pids. Threshold quantity: 100, available: 99. ")
    );
    let disruption = status.conditions.unwrap();
    let disruption = disruption.iter().find(|c| c.type_ == "DisruptionTarget");
    assert_eq!(
        disruption.unwrap().reason.as_deref(),
        Some("TerminationByKubelet")
    );

    setup.evictor.consider(&short, now).await.unwrap().await;
    assert_eq!(active(&setup.pods), ["critical"]);
    assert!(
        setup.evictor.consider(&short, now).await.is_none(),
        "that one stays"
    );

    setup.evictor.consider(&enough, now).await;
    let short_still = setup.context.pressure.conditions();
    assert_eq!(short_still, [Condition::PidPressure].into());
    let later = now + Duration::from_secs(300);
    setup.evictor.consider(&enough, later).await;
    assert!(setup.context.pressure.conditions().is_empty());
}

#[tokio::test]
async fn images_go_before_pods() {
    let mut setup = setup("nodefs.available<1", &[("web", 0)]).await;
    setup.runtime.add_image("sha256:unused", "old:1", 10);
    let short = left(Signal::NodeFsAvailable, 0);
    // The disk of this machine has room, so that what the image took is enough.
    assert!(
        setup
            .evictor
            .consider(&short, Instant::now())
            .await
            .is_none()
    );
    assert_eq!(active(&setup.pods), ["web"]);
    let images = setup.runtime.images.lock();
    assert!(images.iter().all(|image| image.id != "sha256:unused"));
}

/// Two mebibytes in the log of a pod's container.
fn write_log(setup: &Setup, name: &str) {
    let logs = &setup.context.places.logs;
    let logs = log_directory(logs, "default", name, name).join("main");
    std::fs::create_dir_all(&logs).unwrap();
    std::fs::write(logs.join("0.log"), vec![1; 2 << 20]).unwrap();
}

fn limited(name: &str) -> Pod {
    pod(name, 0, json!({"ephemeral-storage": "1Mi"}))
}

#[tokio::test]
async fn limits_of_the_disk_wait_for_what_is_urgent() {
    let pods = vec![limited("large"), pod("low", -5, json!({}))];
    let mut setup = setup_of("pid.available<100", pods).await;
    write_log(&setup, "large");
    let now = Instant::now();
    let short = left(Signal::PidAvailable, 99);
    setup.evictor.consider(&short, now).await.unwrap().await;
    assert_eq!(active(&setup.pods), ["large"]);
    let enough = left(Signal::PidAvailable, 100);
    assert!(setup.evictor.consider(&enough, now).await.is_none());
    assert!(active(&setup.pods).is_empty());
}

#[tokio::test]
async fn the_disk_is_walked_through_once_in_a_while() {
    let mut setup = setup_of("pid.available<100", vec![limited("large")]).await;
    let large = setup.pods.active().remove(0);
    let now = Instant::now();
    let enough = left(Signal::PidAvailable, 100);
    setup.evictor.consider(&enough, now).await;
    write_log(&setup, "large");
    let logs = |usage: usage::Usage| {
        let containers = usage.containers.values();
        containers
            .map(|container| container.logs.bytes)
            .sum::<u64>()
    };
    assert_eq!(logs(usage::measure(&setup.context, &large, &[])), 0);
    let walked = usage::measure_with_disk(&setup.context, &large, &[]).await;
    assert!(logs(walked) >= 2 << 20);
    setup.evictor.consider(&enough, now).await;
    assert_eq!(active(&setup.pods), ["large"], "it was just looked at");
    setup.evictor.limits_due = true;
    setup.evictor.consider(&enough, now).await;
    assert!(active(&setup.pods).is_empty());
}

#[tokio::test]
async fn nobody_goes_for_a_disk_as_long_as_nobody_knows_who_fills_it() {
    // No machine has that much.
    let mut setup = setup("nodefs.available<1Ei", &[("web", 0)]).await;
    let (short, now) = (left(Signal::NodeFsAvailable, 0), Instant::now());
    assert!(setup.evictor.consider(&short, now).await.is_none());
    assert_eq!(active(&setup.pods), ["web"]);
    *setup.runtime.stats.lock() = Some(Vec::new());
    setup.evictor.consider(&short, now).await.unwrap().await;
    assert!(active(&setup.pods).is_empty());
}
