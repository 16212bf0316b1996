//! What is to be done next for a StatefulSet.
//!
//! Ordered, every pod waits until those of lower ordinals are available, and
//! for scaling down those of higher ones; in parallel nothing waits but for
//! updates, which replace one pod after another either way
//! (`pkg/controller/statefulset/stateful_set_control.go`).

use super::{claims, identity};
use crate::pod_control::BURST;
use crate::pod_ranking::{is_available, is_finished, is_ready, phase};
use hardway_proto::Kind;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{StatefulSet, StatefulSetSpec};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod, PodTemplateSpec};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

/// A version of the pods.
#[derive(Clone, Debug)]
pub struct Version {
    /// The name of its ControllerRevision.
    pub revision: String,
    /// The template it holds.
    pub template: PodTemplateSpec,
}

/// What is known about a StatefulSet.
pub struct Rollout<'a> {
    /// The StatefulSet.
    pub set: &'a StatefulSet,
    /// Its spec.
    pub spec: &'a StatefulSetSpec,
    /// Its pods.
    pub pods: &'a [Arc<Pod>],
    /// The version before an update, or that of all pods.
    pub current: Version,
    /// The version of the template of now.
    pub update: Version,
    /// Finds a claim of the StatefulSet's namespace by its name.
    pub claim: &'a (dyn Fn(&str) -> Option<Arc<PersistentVolumeClaim>> + Sync),
    /// The time of now.
    pub now: Timestamp,
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Create this pod of an ordinal, its claims before it.
    Create(i32, Box<Pod>),
    /// Create missing claims of a pod that can't start, give them their owners,
    /// and the pod the labels and volumes of its ordinal.
    Repair(i32, Arc<Pod>),
    /// Give the claims of a pod that goes for good their owners.
    Own(i32, Arc<Pod>),
    /// Delete this pod.
    Delete(Arc<Pod>),
}

impl Rollout<'_> {
    /// What is to be done: what stands together may be done at the same time,
    /// and waits until all before it is done.
    pub fn next(&self) -> Vec<Vec<Action>> {
        if self.set.metadata.deletion_timestamp.is_some() {
            return Vec::new();
        }
        let pods: BTreeMap<i32, &Arc<Pod>> = self
            .pods
            .iter()
            .filter_map(|pod| Some((identity::ordinal(self.set, pod.name())?, pod)))
            .collect();
        let mut steps = Vec::new();
        let replicas_settled = self.tend_replicas(&pods, &mut steps);
        if !replicas_settled || !self.tend_condemned(&pods, &mut steps) {
            return steps;
        }
        if let Some(outdated) = self.outdated(&pods) {
            steps.push(vec![Action::Delete(outdated)]);
        }
        steps
    }

    fn ordered(&self) -> bool {
        self.spec.pod_management_policy.as_deref() != Some("Parallel")
    }

    fn range(&self) -> Range<i32> {
        let start = identity::start(self.spec);
        start..start.saturating_add(identity::replicas(self.spec))
    }

    /// Whether a pod runs, has been ready for long enough, and stays.
    fn is_up(&self, pod: &Pod) -> bool {
        let min_ready_seconds = self.spec.min_ready_seconds.unwrap_or(0);
        phase(pod) == "Running"
            && is_ready(pod)
            && is_available(pod, min_ready_seconds, self.now)
            && !is_leaving(pod)
    }

    /// Looks after the pods that there shall be; false if others have to wait for them.
    fn tend_replicas(&self, pods: &BTreeMap<i32, &Arc<Pod>>, steps: &mut Vec<Vec<Action>>) -> bool {
        let mut actions = Vec::new();
        let mut settled = true;
        for ordinal in self.range() {
            let (action, up) = match pods.get(&ordinal) {
                Some(pod) => self.tend(ordinal, pod),
                None => (self.create(ordinal), false),
            };
            actions.extend(action);
            if actions.len() >= BURST || (self.ordered() && !up) {
                settled = false;
                break;
            }
        }
        if !actions.is_empty() {
            steps.push(actions);
        }
        settled
    }

    /// What a pod needs, and whether it is up.
    fn tend(&self, ordinal: i32, pod: &Arc<Pod>) -> (Option<Action>, bool) {
        if is_finished(pod) {
            let delete = (!is_leaving(pod)).then(|| Action::Delete(pod.clone()));
            return (delete, false);
        }
        let up = self.is_up(pod);
        let pending = phase(pod) == "Pending";
        let due = up || pending || !self.ordered();
        let lacks = |claim: &PersistentVolumeClaim| (self.claim)(claim.name()).is_none();
        let repair = (pending && claims::of(self.set, ordinal).iter().any(lacks))
            || due && (self.is_misowned(ordinal, pod) || self.is_unlike(ordinal, pod));
        let repair = repair.then(|| Action::Repair(ordinal, pod.clone()));
        (repair, up)
    }

    fn is_unlike(&self, ordinal: i32, pod: &Pod) -> bool {
        identity::repaired(self.set, pod, ordinal).is_some()
    }

    /// Whether a claim of the pod has not the owners it should have.
    fn is_misowned(&self, ordinal: i32, pod: &Pod) -> bool {
        claims::templates(self.set).iter().any(|template| {
            let claim = (self.claim)(&claims::name(template, self.set, ordinal));
            claim.is_some_and(|c| claims::with_owners(&c, self.set, pod, ordinal).is_some())
        })
    }

    /// A new pod, unless the claims of the one before it are still to go.
    fn create(&self, ordinal: i32) -> Option<Action> {
        let version = match self.is_held_back(ordinal) {
            true => &self.current,
            false => &self.update,
        };
        let pod = identity::pod(self.set, &version.template, &version.revision, ordinal);
        let waits = claims::templates(self.set).iter().any(|template| {
            let claim = (self.claim)(&claims::name(template, self.set, ordinal));
            claim.is_some_and(|c| claims::goes_with_former_pod(&c, self.set, &pod))
        });
        (!waits).then(|| Action::Create(ordinal, Box::new(pod)))
    }

    fn partition(&self) -> Option<i32> {
        let strategy = self.spec.update_strategy.as_ref();
        let rolling = strategy.and_then(|s| s.rolling_update.as_ref())?;
        Some(rolling.partition.unwrap_or(0))
    }

    fn is_rolling(&self) -> bool {
        let strategy = self.spec.update_strategy.as_ref();
        strategy.and_then(|s| s.type_.as_deref()) != Some("OnDelete")
    }

    /// Whether a new pod is made of the version before the update: below the
    /// partition; without one, below the pods that haven't been updated yet.
    fn is_held_back(&self, ordinal: i32) -> bool {
        if !self.is_rolling() {
            return false;
        }
        let held = self.partition().unwrap_or_else(|| {
            let current = self
                .pods
                .iter()
                .filter(|pod| !is_leaving(pod) && identity::revision(pod) == self.current.revision);
            i32::try_from(current.count()).unwrap_or(i32::MAX)
        });
        ordinal < identity::start(self.spec).saturating_add(held)
    }

    /// Has pods go that are beyond the replicas, the highest first; false if
    /// an update has to wait for them.
    fn tend_condemned(
        &self,
        pods: &BTreeMap<i32, &Arc<Pod>>,
        steps: &mut Vec<Vec<Action>>,
    ) -> bool {
        let beyond = |ordinal: &i32| !identity::is_in_range(self.spec, *ordinal);
        let condemned: Vec<(i32, &Arc<Pod>)> = pods
            .iter()
            .rev()
            .filter(|(ordinal, _)| beyond(ordinal))
            .map(|(ordinal, pod)| (*ordinal, *pod))
            .take(BURST)
            .collect();
        let misowned = condemned
            .iter()
            .filter(|(n, pod)| self.is_misowned(*n, pod));
        let owned: Vec<_> = misowned
            .map(|(n, pod)| Action::Own(*n, (*pod).clone()))
            .collect();
        if !owned.is_empty() {
            steps.push(owned);
        }
        let Some(((_, highest), lower)) = condemned.split_first() else {
            return true;
        };
        let goes = |pod: &Arc<Pod>| Action::Delete(pod.clone());
        if self.ordered() {
            // One that isn't up may only go if it is the lowest of these: the
            // others have to come up again before.
            let may_go = self.is_up(highest) || lower.iter().all(|(_, pod)| self.is_up(pod));
            if may_go && !is_leaving(highest) {
                steps.push(vec![goes(highest)]);
            }
            return false;
        }
        let staying = condemned.iter().filter(|(_, pod)| !is_leaving(pod));
        let deletions: Vec<_> = staying.map(|(_, pod)| goes(pod)).collect();
        if !deletions.is_empty() {
            steps.push(deletions);
        }
        true
    }

    /// The pod that an update replaces next: the highest that isn't updated,
    /// once all above it are up.
    fn outdated(&self, pods: &BTreeMap<i32, &Arc<Pod>>) -> Option<Arc<Pod>> {
        if !self.is_rolling() {
            return None;
        }
        let Range { start, end } = self.range();
        let lowest = start.saturating_add(self.partition().unwrap_or(0));
        for ordinal in (lowest..end).rev() {
            let pod = pods.get(&ordinal).filter(|pod| !is_finished(pod))?;
            if identity::revision(pod) != self.update.revision && !is_leaving(pod) {
                return Some((*pod).clone());
            }
            if !self.is_up(pod) {
                return None;
            }
        }
        None
    }
}

fn is_leaving(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_some()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{leaving, pod, ready, set, template};
    use super::*;
    use serde_json::{Value, json};

    /// What is done, in words: `+0@new` creates a pod of a revision, `-0`
    /// deletes one, `~0` repairs it, `own 0` gives claims their owners.
    fn steps(set: &StatefulSet, pods: &[Arc<Pod>], claims: &[PersistentVolumeClaim]) -> String {
        let version = |name: &str| Version {
            revision: name.into(),
            template: template(name),
        };
        let find = |name: &str| {
            let claim = claims.iter().find(|claim| claim.name() == name)?;
            Some(Arc::new(claim.clone()))
        };
        let rollout = Rollout {
            set,
            spec: set.spec.as_ref().unwrap(),
            pods,
            current: version("old"),
            update: version("new"),
            claim: &find,
            now: Timestamp::from_second(100).unwrap(),
        };
        let say = |action: &Action| match action {
            Action::Create(n, pod) => format!("+{n}@{}", identity::revision(pod)),
            Action::Repair(n, _) => format!("~{n}"),
            Action::Own(n, _) => format!("own {n}"),
            Action::Delete(pod) => format!("-{}", pod.name().rsplit('-').next().unwrap()),
        };
        let steps = rollout.next().into_iter();
        let steps = steps.map(|step| step.iter().map(say).collect::<Vec<_>>().join(" "));
        steps.collect::<Vec<_>>().join(", ")
    }

    fn ordered(more: Value) -> StatefulSet {
        set(more)
    }

    fn parallel(mut more: Value) -> StatefulSet {
        more["podManagementPolicy"] = json!("Parallel");
        set(more)
    }

    /// Ready pods of these ordinals and this revision.
    fn all(set: &StatefulSet, ordinals: Range<i32>, revision: &str) -> Vec<Arc<Pod>> {
        ordinals.map(|n| ready(set, n, revision)).collect()
    }

    #[test]
    fn ordered_pods_come_one_after_another() {
        let set = ordered(json!({}));
        assert_eq!(steps(&set, &[], &[]), "+0@new");
        assert_eq!(steps(&set, &[pod(&set, 0, "new", "Pending")], &[]), "");
        assert_eq!(steps(&set, &[pod(&set, 0, "new", "Running")], &[]), "");
        assert_eq!(steps(&set, &all(&set, 0..1, "new"), &[]), "+1@new");
        assert_eq!(steps(&set, &all(&set, 0..3, "new"), &[]), "");
        // A gap is filled before anything above it.
        let gap = [ready(&set, 0, "new"), ready(&set, 2, "new")];
        assert_eq!(steps(&set, &gap, &[]), "+1@new");
        let gap = [ready(&set, 0, "new"), leaving(&ready(&set, 1, "new"))];
        assert_eq!(steps(&set, &gap, &[]), "");
    }

    #[test]
    fn a_pod_has_to_be_ready_for_a_while() {
        // The tests' pods have been ready for 100 seconds.
        let waits = ordered(json!({"minReadySeconds": 101}));
        assert_eq!(steps(&waits, &all(&waits, 0..1, "new"), &[]), "");
        let over = ordered(json!({"minReadySeconds": 100}));
        assert_eq!(steps(&over, &all(&over, 0..1, "new"), &[]), "+1@new");
    }

    #[test]
    fn parallel_pods_come_together() {
        let set = parallel(json!({"ordinals": {"start": 5}}));
        assert_eq!(steps(&set, &[], &[]), "+5@new +6@new +7@new");
        let one = [pod(&set, 6, "new", "Pending")];
        assert_eq!(steps(&set, &one, &[]), "+5@new +7@new");
    }

    #[test]
    fn however_many_are_asked_for_few_come_at_once() {
        let many = parallel(json!({"replicas": i32::MAX}));
        assert_eq!(steps(&many, &[], &[]).split(' ').count(), BURST);
        let many = ordered(json!({"replicas": i32::MAX, "ordinals": {"start": 7}}));
        assert_eq!(steps(&many, &[], &[]), "+7@new");
    }

    #[test]
    fn pods_that_ended_are_replaced() {
        for phase in ["Failed", "Succeeded"] {
            let set = ordered(json!({}));
            let ended = pod(&set, 1, "new", phase);
            let pods = [ready(&set, 0, "new"), ended.clone()];
            assert_eq!(steps(&set, &pods, &[]), "-1");
            let pods = [ready(&set, 0, "new"), leaving(&ended)];
            assert_eq!(steps(&set, &pods, &[]), "");
        }
        let set = parallel(json!({}));
        let pods = [pod(&set, 0, "old", "Failed"), pod(&set, 2, "old", "Failed")];
        assert_eq!(steps(&set, &pods, &[]), "-0 +1@new -2");
    }

    #[test]
    fn scaled_down_from_the_highest() {
        let set = ordered(json!({"replicas": 1}));
        assert_eq!(steps(&set, &all(&set, 0..3, "new"), &[]), "-2");
        let mut pods = all(&set, 0..3, "new");
        pods[2] = leaving(&pods[2]);
        assert_eq!(steps(&set, &pods, &[]), "", "one after another");
        // A low one that isn't up holds up all above it.
        pods[2] = pod(&set, 2, "new", "Running");
        assert_eq!(steps(&set, &pods, &[]), "-2", "it is the only one not up");
        pods[1] = pod(&set, 1, "new", "Running");
        assert_eq!(steps(&set, &pods, &[]), "", "1 has to come up before");
        pods[0] = pod(&set, 0, "new", "Running");
        assert_eq!(steps(&set, &pods, &[]), "");
        let set = parallel(json!({"replicas": 1}));
        assert_eq!(steps(&set, &pods, &[]), "-2 -1");
    }

    #[test]
    fn a_start_moved_up_condemns_the_low_ones() {
        let set = ordered(json!({"replicas": 2, "ordinals": {"start": 2}}));
        assert_eq!(steps(&set, &all(&set, 0..3, "new"), &[]), "+3@new");
        assert_eq!(steps(&set, &all(&set, 0..4, "new"), &[]), "-1");
    }

    #[test]
    fn updates_replace_the_highest_first_and_wait_for_it() {
        for set in [ordered(json!({})), parallel(json!({}))] {
            let mut pods = all(&set, 0..3, "old");
            assert_eq!(steps(&set, &pods, &[]), "-2");
            pods[2] = leaving(&pods[2]);
            assert_eq!(steps(&set, &pods, &[]), "");
            assert_eq!(steps(&set, &pods[..2], &[]), "+2@new");
            pods[2] = pod(&set, 2, "new", "Running");
            assert_eq!(steps(&set, &pods, &[]), "", "not ready yet");
            pods[2] = ready(&set, 2, "new");
            assert_eq!(steps(&set, &pods, &[]), "-1");
        }
    }

    #[test]
    fn an_ordered_update_that_is_stuck_stays_stuck() {
        // The documentation's known issue: a template that never comes up has
        // to be reverted, and its pod deleted by hand.
        let set = ordered(json!({}));
        let mut pods = all(&set, 0..3, "new");
        pods[2] = pod(&set, 2, "broken", "Pending");
        assert_eq!(steps(&set, &pods, &[]), "");
        let set = parallel(json!({}));
        assert_eq!(steps(&set, &pods, &[]), "-2", "in parallel it is replaced");
    }

    #[test]
    fn a_partition_keeps_the_lower_ones() {
        let strategy = json!({"type": "RollingUpdate", "rollingUpdate": {"partition": 2}});
        let set = ordered(json!({"updateStrategy": strategy, "ordinals": {"start": 4}}));
        let mut pods = all(&set, 4..7, "old");
        assert_eq!(steps(&set, &pods, &[]), "-6");
        pods[2] = ready(&set, 6, "new");
        assert_eq!(steps(&set, &pods, &[]), "");
        assert_eq!(steps(&set, &pods[1..], &[]), "+4@old");
        assert_eq!(steps(&set, &pods[..2], &[]), "+6@new");
    }

    #[test]
    fn without_a_partition_pods_not_yet_reached_come_back_as_they_were() {
        let set = ordered(json!({"updateStrategy": {"type": "RollingUpdate"}}));
        let pods = [ready(&set, 1, "old"), ready(&set, 2, "new")];
        assert_eq!(steps(&set, &pods, &[]), "+0@old");
        let pods = [ready(&set, 0, "old"), ready(&set, 2, "new")];
        assert_eq!(steps(&set, &pods, &[]), "+1@new");
    }

    #[test]
    fn on_delete_waits_for_somebody_to_delete() {
        let set = ordered(json!({"updateStrategy": {"type": "OnDelete"}}));
        assert_eq!(steps(&set, &all(&set, 0..3, "old"), &[]), "");
        assert_eq!(steps(&set, &all(&set, 1..3, "old"), &[]), "+0@new");
    }

    #[test]
    fn a_set_that_is_being_deleted_does_nothing() {
        let mut set = ordered(json!({}));
        let time = k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(Timestamp::UNIX_EPOCH);
        set.metadata.deletion_timestamp = Some(time);
        assert_eq!(steps(&set, &all(&set, 0..1, "old"), &[]), "");
    }

    #[test]
    fn claims_are_looked_after() {
        let policy = |deleted: &str, scaled: &str| {
            ordered(json!({
                "replicas": 2,
                "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": {}}],
                "persistentVolumeClaimRetentionPolicy": {"whenDeleted": deleted, "whenScaled": scaled},
            }))
        };
        let retain = policy("Retain", "Retain");
        let claims: Vec<_> = (0..3).flat_map(|n| claims::of(&retain, n)).collect();
        let waiting = [pod(&retain, 0, "new", "Pending")];
        assert_eq!(steps(&retain, &waiting, &claims), "");
        assert_eq!(steps(&retain, &waiting, &[]), "~0", "its claim is missing");
        assert_eq!(steps(&retain, &all(&retain, 0..2, "new"), &claims), "");
        let delete = policy("Delete", "Delete");
        let pods = all(&delete, 0..3, "new");
        assert_eq!(steps(&delete, &pods, &claims), "~0 ~1, own 2, -2");
        // The claim goes with the pod before; only then there is a new one.
        let mut going = claims.clone();
        let owner = json!([{"apiVersion": "v1", "kind": "Pod", "name": "db-0", "uid": "before", "controller": true}]);
        going[0].metadata.owner_references = serde_json::from_value(owner).unwrap();
        assert_eq!(steps(&delete, &[], &going), "");
        assert_eq!(steps(&delete, &[], &[]), "+0@new");
    }

    #[test]
    fn an_adopted_pod_gets_its_labels() {
        let set = ordered(json!({"replicas": 1}));
        let mut adopted = (*ready(&set, 0, "new")).clone();
        let labels = adopted.metadata.labels.as_mut().unwrap();
        labels.remove("statefulset.kubernetes.io/pod-name");
        assert_eq!(steps(&set, &[Arc::new(adopted)], &[]), "~0");
    }
}
