//! DaemonSets: a pod on every node that its template allows.
//!
//! The decisions are pure and have a file each: [`placement`] says which nodes
//! these are, and what their pods are like; [`daemons`] what each node needs;
//! [`rolling`] how an update goes on; [`failures`] how long pods that failed
//! wait; [`status`] what the DaemonSet shows of it. [`controller`] carries out.

mod controller;
mod daemons;
mod failures;
mod placement;
mod rolling;
mod status;
#[cfg(test)]
mod testing;

use crate::context::Context;
use crate::expectations::Expectations;
use crate::informers::{Informers, follow};
use crate::pod_control::PodControl;
use crate::{Work, adoption};
use controller::Controller;
use failures::Failures;
use hardway_client::Store;
use hardway_client::controller::run;
use hardway_client::informer::Change;
use hardway_client::queue::WorkQueue;
use hardway_proto::labels::Selector;
use hardway_proto::meta::ObjectKey;
use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::Node;
use placement::{Fit, Placement};
use std::sync::Arc;

/// As many as Kubernetes' DaemonSet controller has.
const WORKERS: usize = 2;

/// The controller.
pub fn register(informers: &mut Informers, context: &Context) -> Work {
    let queue = WorkQueue::new();
    let expectations = Arc::new(Expectations::default());
    let controller = Controller {
        sets: informers.daemon_sets.store(),
        nodes: informers.nodes.store(),
        revisions: informers.controller_revisions.store(),
        control: PodControl {
            client: context.client.clone(),
            recorder: context.recorder("daemonset-controller"),
            pods: informers.pods.store(),
            expectations: expectations.clone(),
        },
        failures: Failures::default(),
    };
    follow(&mut informers.daemon_sets, &queue);
    let (on_pod, sets) = (queue.clone(), informers.daemon_sets.store());
    informers.pods.subscribe(move |change| {
        expectations.follow::<DaemonSet>(change);
        for set in adoption::concerned(change, &sets, selector) {
            on_pod.add(set);
        }
    });
    let (on_node, sets) = (queue.clone(), informers.daemon_sets.store());
    informers.nodes.subscribe(move |change| {
        for set in sets_of_node(change, &sets) {
            on_node.add(set);
        }
    });
    let (on_revision, sets) = (queue.clone(), informers.daemon_sets.store());
    informers.controller_revisions.subscribe(move |change| {
        for set in adoption::concerned(change, &sets, selector) {
            on_revision.add(set);
        }
    });
    Box::pin(async move {
        controller.sets.wait_synced().await;
        controller.nodes.wait_synced().await;
        controller.control.pods.wait_synced().await;
        controller.revisions.wait_synced().await;
        run("daemonset", queue, WORKERS, |key| controller.reconcile(key)).await;
    })
}

fn selector(set: &DaemonSet) -> Option<Selector> {
    Selector::from_label_selector(&set.spec.as_ref()?.selector).ok()
}

/// The DaemonSets to which a node is something else than before.
fn sets_of_node(change: &Change<Node>, sets: &Store<DaemonSet>) -> Vec<ObjectKey> {
    let (old, new) = match change {
        Change::Applied { old, new } => (old.as_ref(), Some(new)),
        Change::Deleted(old) => (Some(old), None),
    };
    if let (Some(old), Some(new)) = (old, new) {
        // Heartbeats change neither.
        let taints = |node: &Node| node.spec.as_ref().and_then(|s| s.taints.clone());
        if old.metadata.labels == new.metadata.labels && taints(old) == taints(new) {
            return Vec::new();
        }
    }
    let concerned = sets.list().into_iter().filter(|set| {
        let placement = Placement::of(set);
        let fit = |node: Option<&Arc<Node>>| node.map_or(Fit::Leaves, |n| placement.fit(n));
        fit(old) != fit(new)
    });
    concerned.map(|set| ObjectKey::of(set.as_ref())).collect()
}

#[cfg(test)]
mod tests {
    use super::testing::{node, set};
    use super::*;
    use serde_json::json;

    #[test]
    fn a_node_concerns_those_to_which_it_is_another_one() {
        let sets = Store::<DaemonSet>::default();
        let mut picky = set(json!({}));
        picky.metadata.name = Some("picky".into());
        let pod = picky.spec.as_mut().unwrap().template.spec.as_mut().unwrap();
        pod.node_selector = Some([("disk".to_owned(), "ssd".to_owned())].into());
        sets.insert(Arc::new(set(json!({}))));
        sets.insert(Arc::new(picky));
        let names = |change: Change<Node>| -> Vec<String> {
            let keys = sets_of_node(&change, &sets).into_iter();
            keys.map(|key| key.name).collect()
        };
        let plain = || node("a", json!({}));
        let labelled = || node("a", json!({"metadata": {"labels": {"disk": "ssd"}}}));
        let beating = node("a", json!({"status": {"conditions": []}}));
        let tainted = node(
            "a",
            json!({"spec": {"taints": [{"key": "own", "effect": "NoExecute"}]}}),
        );
        let applied = |old, new| Change::Applied { old, new };
        assert_eq!(names(applied(None, plain())), ["agent"]);
        assert_eq!(names(applied(None, labelled())), ["agent", "picky"]);
        assert_eq!(names(applied(Some(plain()), labelled())), ["picky"]);
        assert_eq!(names(applied(Some(plain()), beating)), [""; 0]);
        assert_eq!(names(applied(Some(plain()), tainted)), ["agent"]);
        assert_eq!(names(Change::Deleted(labelled())), ["agent", "picky"]);
    }
}
