//! Brings one DaemonSet a step further, and says so in its status.

use super::daemons::{Changes, Daemons, rolling};
use super::failures::Failures;
use super::{placement, rolling, selector, status};
use crate::controller_revision::{self, Owner, POD_LABEL};
use crate::pod_control::PodControl;
use crate::pod_ranking::{available_in, phase};
use crate::{adoption, conflicts};
use hardway_client::Store;
use hardway_client::api::Patch;
use hardway_client::controller::Next;
use hardway_client::events::{EventType, reference};
use hardway_proto::meta::ObjectKey;
use hardway_proto::{Kind, Status};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{ControllerRevision, DaemonSet, DaemonSetSpec};
use k8s_openapi::api::core::v1::{Node, Pod};
use serde_json::json;
use std::collections::HashSet;
use std::sync::Arc;

/// At most this many pods of a DaemonSet are created or deleted in one go.
const BURST: usize = 250;

/// The controller's hands.
pub struct Controller {
    /// All DaemonSets.
    pub sets: Store<DaemonSet>,
    /// All nodes.
    pub nodes: Store<Node>,
    /// All revisions.
    pub revisions: Store<ControllerRevision>,
    /// Creates and deletes pods.
    pub control: PodControl,
    /// Pods that failed.
    pub failures: Failures,
}

impl Controller {
    /// Brings a DaemonSet a step further.
    pub async fn reconcile(&self, key: ObjectKey) -> Result<Next, Status> {
        let Some(set) = self.sets.get(&key) else {
            self.control.expectations.forget(&key);
            return Ok(Next::Done);
        };
        conflicts::wait_out(self.sync(&key, &set).await)
    }

    async fn sync(&self, key: &ObjectKey, set: &DaemonSet) -> Result<Next, Status> {
        let (Some(spec), Some(selector)) = (&set.spec, selector(set)) else {
            return Ok(Next::Done);
        };
        // Of one that is being deleted the revisions may be gone already, and
        // with them what its pods are judged by.
        if set.metadata.deletion_timestamp.is_some() {
            return Ok(Next::Done);
        }
        let labels = spec.selector.match_labels.iter().flatten().count();
        if labels + spec.selector.match_expressions.iter().flatten().count() == 0 {
            let text = "This daemon set is selecting all pods. A non-empty selector is required.";
            self.event(set, EventType::Warning, "SelectingAll", text.into());
            return Ok(Next::Done);
        }
        // Judged before the pods are read: what is satisfied now is in the cache.
        let trust_cache = self.control.expectations.satisfied(key);
        let client = &self.control.client;
        let all = self.revisions.in_namespace(&key.namespace);
        let claim = adoption::claim(set, &selector, all, |_| true);
        let mut revisions = adoption::carry_out(client, set, claim).await?;
        controller_revision::sort(&mut revisions);
        let owner = Owner {
            object: set,
            template: &spec.template,
            collisions: set
                .status
                .as_ref()
                .and_then(|s| s.collision_count)
                .unwrap_or(0),
            hash_label: POD_LABEL,
        };
        let (current, collisions) = owner.current(client, &revisions).await?;
        let all = adoption::candidates(set, &self.control.pods);
        let claim = adoption::claim(set, &selector, all, |_| true);
        let mut pods = adoption::carry_out(client, set, claim).await?;
        let duplicates = controller_revision::duplicates(&revisions, &current, &spec.template);
        if !duplicates.is_empty() {
            self.merge(&duplicates, &current, &mut pods).await?;
            revisions.retain(|revision| !duplicates.contains(revision));
        }

        let (nodes, hash) = (self.nodes.list(), hash(&current));
        let daemons = Daemons::new(set, hash, &nodes, &pods, Timestamp::now());
        let mut observed = set.status.as_ref().and_then(|s| s.observed_generation);
        let mut outcome = Ok(());
        let mut again = None;
        if trust_cache {
            observed = set.metadata.generation;
            let changes = daemons.tend(|node| {
                let generation = set.metadata.generation.unwrap_or(0);
                self.failures.replace_in(set.uid(), generation, node)
            });
            again = changes.again;
            outcome = match changes.is_empty() && rolling(set).is_some() {
                true => self.act(set, hash, rolling::advance(&daemons)).await,
                false => self.act(set, hash, changes).await,
            };
        }
        let new = status::of(&daemons, collisions, observed);
        if set.status.as_ref() != Some(&new) {
            let mut updated = set.clone();
            updated.status = Some(new);
            let api = client.namespaced::<DaemonSet>(&key.namespace);
            match api.update_status(&updated).await {
                Err(status) if !status.is_not_found() => outcome = outcome.and(Err(status)),
                _ => {}
            }
        }
        outcome?;
        self.forget_old(spec, &pods, &current, &revisions).await?;
        let min_ready_seconds = spec.min_ready_seconds.unwrap_or(0);
        let waits = pods.iter();
        let waits = waits.filter_map(|pod| available_in(pod, min_ready_seconds, daemons.now));
        Ok(waits.chain(again).min().map_or(Next::Done, Next::After))
    }

    /// Has one revision stand for others that hold the same: pods of these are of that one
    /// from now on, and stay. Kubernetes then takes pods of older templates for updated, too
    /// (`dedupCurHistories`), so that nothing updates them.
    async fn merge(
        &self,
        duplicates: &[Arc<ControllerRevision>],
        current: &ControllerRevision,
        pods: &mut [Arc<Pod>],
    ) -> Result<(), Status> {
        let hashes: HashSet<&str> = duplicates.iter().map(|revision| hash(revision)).collect();
        for pod in pods {
            let labels = pod.metadata.labels.as_ref();
            let own = labels.and_then(|labels| labels.get(POD_LABEL));
            if own.is_none_or(|own| own == hash(current) || !hashes.contains(own.as_str())) {
                continue;
            }
            let label =
                json!({"metadata": {"uid": pod.uid(), "labels": {POD_LABEL: hash(current)}}});
            let api = self.control.client.namespaced::<Pod>(pod.namespace());
            match api.patch(pod.name(), Patch::Merge(&label)).await {
                Ok(labelled) => *pod = Arc::new(labelled),
                Err(status) if status.is_not_found() => {}
                Err(status) => return Err(status),
            }
        }
        controller_revision::delete(&self.control.client, duplicates).await
    }

    async fn act(&self, set: &DaemonSet, hash: &str, changes: Changes) -> Result<(), Status> {
        for pod in &changes.ended {
            let (r#type, reason, ended, intent) = match phase(pod) {
                "Failed" => (EventType::Warning, "FailedDaemonPod", "failed", "kill"),
                _ => (
                    EventType::Normal,
                    "SucceededDaemonPod",
                    "succeeded",
                    "delete",
                ),
            };
            let node = placement::node_of(pod).unwrap_or_default();
            let (namespace, name) = (pod.namespace(), pod.name());
            let text = format!(
                "Found {ended} daemon pod {namespace}/{name} on node {node}, will try to {intent} it"
            );
            self.event(set, r#type, reason, text);
        }
        let nodes = changes.create.iter().take(BURST);
        let pods = nodes.filter_map(|node| placement::pod(set, node, hash));
        let pods: Vec<Pod> = pods.collect();
        let created = self.control.create(set, pods).await;
        let deleted = changes.delete.get(..BURST).unwrap_or(&changes.delete);
        let deleted = self.control.delete(set, deleted).await;
        created.and(deleted)
    }

    /// Deletes revisions that nobody will go back to.
    async fn forget_old(
        &self,
        spec: &DaemonSetSpec,
        pods: &[Arc<Pod>],
        current: &ControllerRevision,
        revisions: &[Arc<ControllerRevision>],
    ) -> Result<(), Status> {
        let limit = spec.revision_history_limit.unwrap_or(10);
        let Ok(limit) = usize::try_from(limit) else {
            return Ok(());
        };
        let labels = pods.iter().filter_map(|pod| pod.metadata.labels.as_ref());
        let used: HashSet<&String> = labels.filter_map(|l| l.get(POD_LABEL)).collect();
        let old = revisions.iter().filter(|r| r.name() != current.name());
        let old: Vec<_> = old.cloned().collect();
        let surplus = controller_revision::surplus(&old, limit, |revision| {
            used.iter().any(|used| *used == hash(revision))
        });
        controller_revision::delete(&self.control.client, &surplus).await
    }

    fn event(&self, set: &DaemonSet, r#type: EventType, reason: &str, message: String) {
        let recorder = &self.control.recorder;
        recorder.event(reference(set), r#type, reason, message);
    }
}

/// The hash that pods of a revision carry. One without such a label was made by
/// somebody else; its name is as good.
fn hash(revision: &ControllerRevision) -> &str {
    let labels = revision.metadata.labels.as_ref();
    let hash = labels.and_then(|l| l.get(POD_LABEL));
    hash.map_or(revision.name(), String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expectations::Expectations;
    use hardway_client::events::Recorder;
    use hardway_client::fake::Fake;
    use k8s_openapi::apimachinery::pkg::runtime::RawExtension;
    use serde_json::Value;

    fn revision(name: &str, number: i64, image: &str) -> ControllerRevision {
        let revision = json!({"metadata": {"name": name, "namespace": "d", "uid": name,
            "labels": {POD_LABEL: name}}, "revision": number});
        let mut revision: ControllerRevision = serde_json::from_value(revision).unwrap();
        revision.data = Some(RawExtension(json!({"image": image})));
        revision
    }

    #[tokio::test]
    async fn pods_of_duplicates_are_of_the_one_that_stays() {
        let (fake, client) = Fake::start(Vec::new());
        let controller = Controller {
            sets: Store::default(),
            nodes: Store::default(),
            revisions: Store::default(),
            control: PodControl {
                client: client.clone(),
                recorder: Recorder::new(client, "daemonset-controller", None),
                pods: Store::default(),
                expectations: Arc::new(Expectations::default()),
            },
            failures: Failures::default(),
        };
        let (twin, current) = (revision("twin", 2, "a:2"), revision("current", 3, "a:2"));
        for revision in [&revision("older", 1, "a:1"), &twin, &current] {
            fake.create("apps", "controllerrevisions", json!(revision));
        }
        for hash in ["older", "twin", "current"] {
            fake.create(
                "",
                "pods",
                json!({"metadata":
                {"name": hash, "namespace": "d", "labels": {"app": "a", POD_LABEL: hash}}}),
            );
        }
        let there = |group: &str, resource: &str| fake.objects(group, resource);
        let pods = there("", "pods").into_iter();
        let mut pods: Vec<Arc<Pod>> = pods
            .map(|pod| Arc::new(serde_json::from_value(pod).unwrap()))
            .collect();
        let stored = there("apps", "controllerrevisions").into_iter();
        let duplicates: Vec<Arc<ControllerRevision>> = stored
            .filter(|revision| revision["metadata"]["name"] == "twin")
            .map(|revision| Arc::new(serde_json::from_value(revision).unwrap()))
            .collect();
        let merged = controller.merge(&duplicates, &current, &mut pods).await;
        merged.unwrap();
        let labels = |pods: &[Value]| -> Vec<Value> {
            let labels = pods.iter().map(|pod| pod["metadata"]["labels"].clone());
            labels.collect()
        };
        let expected =
            ["current", "older", "current"].map(|hash| json!({"app": "a", POD_LABEL: hash}));
        assert_eq!(labels(&there("", "pods")), expected);
        let known: Vec<Value> = pods.iter().map(|pod| json!(**pod)).collect();
        assert_eq!(labels(&known), expected);
        let names = there("apps", "controllerrevisions").into_iter();
        let names: Vec<Value> = names.map(|r| r["metadata"]["name"].clone()).collect();
        assert_eq!(names, ["current", "older"]);
    }
}
