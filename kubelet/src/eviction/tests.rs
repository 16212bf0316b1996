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
use hardway_client::Store;
use hardway_client::informer::Change;
use serde_json::json;
use std::collections::BTreeMap;
use tokio::sync::mpsc;

struct Setup {
    runtime: Arc<Fake>,
    context: Arc<Context>,
    pods: Pods,
    evictor: Evictor,
    _dir: tempfile::TempDir,
}

/// A node with pods of these names and priorities.
async fn setup(hard: &str, pods: &[(&str, i32)]) -> Setup {
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
    for (name, priority) in pods {
        let pod = json!({
            "metadata": {"name": name, "namespace": "default", "uid": name},
            "spec": {"priority": priority, "enableServiceLinks": false,
                "containers": [{"name": "main", "image": "image:1"}]},
        });
        let (old, new) = (None, Arc::new(serde_json::from_value(pod).unwrap()));
        events
            .send(Event::Pod(Change::Applied { old, new }))
            .unwrap();
    }
    let world = &runtime.world;
    world
        .until(|_| world.sandboxes(&BTreeMap::new()).len() == pods.len())
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
