//! ReplicationControllers and ReplicaSets: as many pods as `spec.replicas`
//! says. Both kinds are one controller; [`Replicated`] is what differs.

use crate::Work;
use crate::context::Context;
use crate::expectations::Expectations;
use crate::informers::{BY_CONTROLLER, Informers, follow};
use crate::pod_control::{BURST, PodControl, pod_of};
use crate::pod_ranking::{available_in, first_to_go, is_active, is_available, is_ready};
use crate::written::{self, Written};
use crate::{adoption, conflicts};
use hardway_client::controller::{self, Next};
use hardway_client::events::Recorder;
use hardway_client::queue::WorkQueue;
use hardway_client::{Client, Informer, Store};
use hardway_proto::labels::Selector;
use hardway_proto::meta::{ObjectKey, controller_of};
use hardway_proto::{Kind, Status};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{ReplicaSet, ReplicaSetCondition};
use k8s_openapi::api::core::v1::{
    Pod, PodTemplateSpec, ReplicationController, ReplicationControllerCondition,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use std::sync::Arc;

const WORKERS: usize = 5;

/// The replicas of an owner, counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Counts {
    replicas: i32,
    fully_labeled: i32,
    ready: i32,
    available: i32,
    /// Why pods couldn't be created or deleted: reason and message.
    failure: Option<(&'static str, String)>,
}

/// What ReplicationController and ReplicaSet have in common.
trait Replicated: Kind {
    fn selector(&self) -> Option<Selector>;
    fn replicas(&self) -> i32;
    fn min_ready_seconds(&self) -> i32;
    fn template(&self) -> Option<&PodTemplateSpec>;
    /// With its status set; `None` if it says so already.
    fn with_status(&self, counts: &Counts, now: Timestamp) -> Option<Self>;
}

macro_rules! with_status {
    ($condition:ident) => {
        fn with_status(&self, counts: &Counts, now: Timestamp) -> Option<Self> {
            let old = self.status.clone().unwrap_or_default();
            let mut conditions = old.conditions.clone().unwrap_or_default();
            let known = conditions.iter().position(|c| c.type_ == "ReplicaFailure");
            match (&counts.failure, known) {
                (Some((reason, message)), None) => conditions.push($condition {
                    type_: "ReplicaFailure".into(),
                    status: "True".into(),
                    reason: Some((*reason).into()),
                    message: Some(message.clone()),
                    last_transition_time: Some(Time(now)),
                }),
                (None, Some(at)) => {
                    conditions.remove(at);
                }
                _ => {}
            }
            let some = |count: i32| (count > 0).then_some(count);
            let mut status = old;
            status.replicas = counts.replicas;
            status.fully_labeled_replicas = some(counts.fully_labeled);
            status.ready_replicas = some(counts.ready);
            status.available_replicas = some(counts.available);
            status.observed_generation = self.metadata.generation;
            status.conditions = (!conditions.is_empty()).then_some(conditions);
            (self.status.as_ref() != Some(&status)).then(|| Self {
                status: Some(status),
                ..self.clone()
            })
        }
    };
}

impl Replicated for ReplicationController {
    fn selector(&self) -> Option<Selector> {
        let labels = self.spec.as_ref()?.selector.as_ref()?;
        Some(Selector::from_map(labels))
    }
    fn replicas(&self) -> i32 {
        self.spec.as_ref().and_then(|s| s.replicas).unwrap_or(1)
    }
    fn min_ready_seconds(&self) -> i32 {
        self.spec
            .as_ref()
            .and_then(|s| s.min_ready_seconds)
            .unwrap_or(0)
    }
    fn template(&self) -> Option<&PodTemplateSpec> {
        self.spec.as_ref()?.template.as_ref()
    }
    with_status!(ReplicationControllerCondition);
}

impl Replicated for ReplicaSet {
    fn selector(&self) -> Option<Selector> {
        Selector::from_label_selector(&self.spec.as_ref()?.selector).ok()
    }
    fn replicas(&self) -> i32 {
        self.spec.as_ref().and_then(|s| s.replicas).unwrap_or(1)
    }
    fn min_ready_seconds(&self) -> i32 {
        self.spec
            .as_ref()
            .and_then(|s| s.min_ready_seconds)
            .unwrap_or(0)
    }
    fn template(&self) -> Option<&PodTemplateSpec> {
        self.spec.as_ref()?.template.as_ref()
    }
    with_status!(ReplicaSetCondition);
}

/// The ReplicationController controller.
pub fn replication_controllers(informers: &mut Informers, context: &Context) -> Work {
    let recorder = context.recorder("replication-controller");
    let (owners, pods) = (&mut informers.replication_controllers, &mut informers.pods);
    register(owners, pods, context.client.clone(), recorder)
}

/// The ReplicaSet controller.
pub fn replica_sets(informers: &mut Informers, context: &Context) -> Work {
    let recorder = context.recorder("replicaset-controller");
    let (owners, pods) = (&mut informers.replica_sets, &mut informers.pods);
    register(owners, pods, context.client.clone(), recorder)
}

struct Controller<K> {
    owners: Store<K>,
    written: Written,
    control: PodControl,
}

fn register<K: Replicated>(
    owners: &mut Informer<K>,
    pods: &mut Informer<Pod>,
    client: Client,
    recorder: Recorder,
) -> Work {
    let queue = WorkQueue::new();
    let expectations = Arc::new(Expectations::default());
    let controller = Controller {
        owners: owners.store(),
        written: Written::default(),
        control: PodControl {
            client,
            recorder,
            pods: pods.store(),
            expectations: expectations.clone(),
        },
    };
    follow(owners, &queue);
    let (on_pod, store) = (queue.clone(), owners.store());
    pods.subscribe(move |change| {
        expectations.follow::<K>(change);
        for owner in adoption::concerned(change, &store, K::selector) {
            on_pod.add(owner);
        }
    });
    Box::pin(async move {
        controller.owners.wait_synced().await;
        controller.control.pods.wait_synced().await;
        controller::run(K::KIND, queue, WORKERS, |key| controller.reconcile(key)).await;
    })
}

/// What brings the number of active pods to what is wanted.
#[derive(Debug, PartialEq)]
enum Plan {
    Create(usize),
    Delete(Vec<Arc<Pod>>),
    Nothing,
}

/// `related` tells of the pods that count when nodes are compared for how
/// crowded they are.
fn plan(
    wanted: i32,
    active: &[Arc<Pod>],
    related: impl FnOnce() -> Vec<Arc<Pod>>,
    now: Timestamp,
) -> Plan {
    let wanted = usize::try_from(wanted).unwrap_or(0);
    if active.len() < wanted {
        Plan::Create((wanted - active.len()).min(BURST))
    } else if active.len() > wanted {
        let surplus = (active.len() - wanted).min(BURST);
        Plan::Delete(first_to_go(active.to_vec(), &related(), surplus, Some(now)))
    } else {
        Plan::Nothing
    }
}

fn count<K: Replicated>(owner: &K, pods: &[Arc<Pod>], now: Timestamp) -> Counts {
    let template_labels = owner
        .template()
        .and_then(|t| t.metadata.as_ref()?.labels.clone())
        .unwrap_or_default();
    let selector = Selector::from_map(&template_labels);
    let mut counts = Counts::default();
    for pod in pods.iter().filter(|p| is_active(p)) {
        counts.replicas += 1;
        let labels = pod.metadata.labels.clone().unwrap_or_default();
        counts.fully_labeled += i32::from(selector.matches(&labels));
        counts.ready += i32::from(is_ready(pod));
        counts.available += i32::from(is_available(pod, owner.min_ready_seconds(), now));
    }
    counts
}

impl<K: Replicated> Controller<K> {
    async fn reconcile(&self, key: ObjectKey) -> Result<Next, Status> {
        conflicts::wait_out(self.sync(key).await)
    }

    async fn sync(&self, key: ObjectKey) -> Result<Next, Status> {
        let Some(owner) = self.owners.get(&key) else {
            self.control.expectations.forget(&key);
            self.written.forget(&key);
            return Ok(Next::Done);
        };
        // Its status would be written on top of one that isn't there any more: in a rollout the
        // next pod changes before the last status is in the cache.
        if self.written.is_ahead_of(owner.as_ref()) {
            return Ok(Next::After(written::TIMEOUT));
        }
        let Some(selector) = owner.selector() else {
            return Ok(Next::Done);
        };
        // Judged before the pods are read: what is satisfied now is in the cache.
        let trust_cache = self.control.expectations.satisfied(&key);
        let all = adoption::candidates(owner.as_ref(), &self.control.pods);
        let claim = adoption::claim(owner.as_ref(), &selector, all, is_active);
        let pods = adoption::carry_out(&self.control.client, owner.as_ref(), claim).await?;
        let active: Vec<_> = pods.iter().filter(|p| is_active(p)).cloned().collect();
        let now = Timestamp::now();
        let mut outcome = Ok(());
        if trust_cache && owner.meta().deletion_timestamp.is_none() {
            let related = || self.related(owner.as_ref(), &active);
            outcome = match plan(owner.replicas(), &active, related, now) {
                Plan::Create(number) => self.create(owner.as_ref(), number).await,
                Plan::Delete(victims) => self.control.delete(owner.as_ref(), &victims).await,
                Plan::Nothing => Ok(()),
            };
        }
        let mut counts = count(owner.as_ref(), &active, now);
        if let Err(status) = &outcome {
            let reason = if active.len() < owner.replicas() as usize {
                "FailedCreate"
            } else {
                "FailedDelete"
            };
            counts.failure = Some((reason, status.message.clone()));
        }
        self.write_status(&owner, &counts, now).await?;
        outcome?;
        let soon = active
            .iter()
            .filter_map(|pod| available_in(pod, owner.min_ready_seconds(), now))
            .min();
        Ok(soon.map_or(Next::Done, Next::After))
    }

    async fn create(&self, owner: &K, number: usize) -> Result<(), Status> {
        let Some(template) = owner.template() else {
            return Ok(());
        };
        let pod = pod_of(owner, template);
        let pods = std::iter::repeat_n(&pod, number);
        self.control.create(owner, pods).await
    }

    /// The owner's pods, and those of all that have the same controller: the
    /// ReplicaSets of a Deployment spread their pods together.
    fn related(&self, owner: &K, own: &[Arc<Pod>]) -> Vec<Arc<Pod>> {
        let Some(controller) = controller_of(owner.meta()) else {
            return own.to_vec();
        };
        let siblings = self.owners.in_namespace(owner.namespace());
        let siblings = siblings.iter().filter(|sibling| {
            controller_of(sibling.meta()).is_some_and(|c| c.uid == controller.uid)
        });
        siblings
            .flat_map(|sibling| self.control.pods.by_index(BY_CONTROLLER, sibling.uid()))
            .collect()
    }

    async fn write_status(&self, owner: &K, counts: &Counts, now: Timestamp) -> Result<(), Status> {
        let Some(updated) = owner.with_status(counts, now) else {
            return Ok(());
        };
        let api = self.control.client.namespaced::<K>(owner.namespace());
        match api.update_status(&updated).await {
            Ok(now) => {
                self.written.note(&now);
                Ok(())
            }
            Err(status) if status.is_not_found() => Ok(()),
            Err(status) => Err(status),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(name: &str, ready: bool) -> Arc<Pod> {
        let status = if ready { "True" } else { "False" };
        Arc::new(
            serde_json::from_value(json!({
                "metadata": {"name": name, "labels": {"app": "web"}},
                "spec": {"nodeName": "n", "containers": []},
                "status": {"phase": "Running", "conditions": [
                    {"type": "Ready", "status": status, "lastTransitionTime": "2024-01-01T00:00:00Z"}]},
            }))
            .unwrap(),
        )
    }

    #[test]
    fn plans_the_difference() {
        let pods = [pod("a", true), pod("b", false)];
        let plan = |wanted| plan(wanted, &pods, || pods.to_vec(), Timestamp::now());
        assert_eq!(plan(3), Plan::Create(1));
        assert_eq!(plan(2), Plan::Nothing);
        assert_eq!(plan(1), Plan::Delete(vec![pods[1].clone()]));
        assert_eq!(plan(10_000), Plan::Create(BURST));
    }

    #[test]
    fn the_status_counts_the_pods() {
        let rc: ReplicationController = serde_json::from_value(json!({
            "metadata": {"name": "web", "namespace": "d", "uid": "1", "generation": 2},
            "spec": {"replicas": 2, "selector": {"app": "web"}, "template": {
                "metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c"}]}}},
        }))
        .unwrap();
        let counts = count(&rc, &[pod("a", true), pod("b", false)], Timestamp::now());
        assert_eq!(
            (counts.replicas, counts.ready, counts.fully_labeled),
            (2, 1, 2)
        );
        let updated = rc.with_status(&counts, Timestamp::now()).unwrap();
        assert_eq!(
            updated.status.as_ref().unwrap().observed_generation,
            Some(2)
        );
        assert!(updated.with_status(&counts, Timestamp::now()).is_none());
    }
}
