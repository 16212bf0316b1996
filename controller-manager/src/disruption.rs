//! PodDisruptionBudgets: counts healthy pods, so that evictions know how many
//! they may disturb.

use crate::Work;
use crate::amounts;
use crate::context::Context;
use crate::informers::Informers;
use crate::pod_ranking::{is_finished, is_ready};
use hardway_client::controller::{self, Next};
use hardway_client::queue::WorkQueue;
use hardway_client::{Client, Store};
use hardway_proto::labels::Selector;
use hardway_proto::meta::{ObjectKey, controller_of};
use hardway_proto::{Kind, Status};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::core::v1::{Pod, ReplicationController};
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, OwnerReference, Time};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// An eviction that was granted counts as a disruption until its pod is seen
/// to go, but no longer than this.
const GRANTED_FOR: SignedDuration = SignedDuration::from_secs(120);

struct Controller {
    client: Client,
    budgets: Store<PodDisruptionBudget>,
    pods: Store<Pod>,
    replication_controllers: Store<ReplicationController>,
    replica_sets: Store<ReplicaSet>,
    deployments: Store<Deployment>,
    stateful_sets: Store<StatefulSet>,
}

/// The controller.
pub fn register(informers: &mut Informers, context: &Context) -> Work {
    let queue = WorkQueue::new();
    let controller = Controller {
        client: context.client.clone(),
        budgets: informers.disruption_budgets.store(),
        pods: informers.pods.store(),
        replication_controllers: informers.replication_controllers.store(),
        replica_sets: informers.replica_sets.store(),
        deployments: informers.deployments.store(),
        stateful_sets: informers.stateful_sets.store(),
    };
    let on_budget = queue.clone();
    informers
        .disruption_budgets
        .subscribe(move |change| on_budget.add(ObjectKey::of(change.object().as_ref())));
    let (on_pod, budgets) = (queue.clone(), informers.disruption_budgets.store());
    informers.pods.subscribe(move |change| {
        let pod = change.object();
        for budget in budgets.in_namespace(pod.namespace()) {
            if selector(&budget).is_some_and(|s| selects(&s, pod)) {
                on_pod.add(ObjectKey::of(budget.as_ref()));
            }
        }
    });
    Box::pin(async move {
        controller.budgets.wait_synced().await;
        controller.pods.wait_synced().await;
        controller.replication_controllers.wait_synced().await;
        controller.replica_sets.wait_synced().await;
        controller.deployments.wait_synced().await;
        controller.stateful_sets.wait_synced().await;
        controller::run("disruption", queue, 2, |key| controller.reconcile(key)).await;
    })
}

fn selector(budget: &PodDisruptionBudget) -> Option<Selector> {
    let selector = budget.spec.as_ref()?.selector.as_ref()?;
    Selector::from_label_selector(selector).ok()
}

fn selects(selector: &Selector, pod: &Pod) -> bool {
    match &pod.metadata.labels {
        Some(labels) => selector.matches(labels),
        None => selector.matches_with(|_| None),
    }
}

/// A number, or a share of `total`, rounded up as Kubernetes does here.
fn share(value: &IntOrString, total: i32) -> i32 {
    amounts::resolve(value, total, true)
}

/// How many pods should be there, and how many of them healthy.
fn targets(budget: &PodDisruptionBudget, scale: i32, pods: i32) -> (i32, i32) {
    let spec = budget.spec.as_ref();
    let max_unavailable = spec.and_then(|s| s.max_unavailable.as_ref());
    let min_available = spec.and_then(|s| s.min_available.as_ref());
    match (max_unavailable, min_available) {
        (Some(max), _) => (scale, scale.saturating_sub(share(max, scale)).max(0)),
        // A plain number needs no owner: it counts the pods there are.
        (None, Some(IntOrString::Int(number))) => (pods, *number),
        (None, Some(min)) => (scale, share(min, scale)),
        (None, None) => (scale, 1),
    }
}

/// The status a budget should have.
fn status(
    budget: &PodDisruptionBudget,
    pods: &[Arc<Pod>],
    scale: i32,
    now: Timestamp,
) -> PodDisruptionBudgetStatus {
    let count = |n: usize| i32::try_from(n).unwrap_or(i32::MAX);
    let (expected, desired) = targets(budget, scale, count(pods.len()));
    let granted = budget
        .status
        .as_ref()
        .and_then(|s| s.disrupted_pods.clone())
        .unwrap_or_default();
    let still_going: BTreeMap<String, Time> = granted
        .into_iter()
        .filter(|(name, since)| {
            let pod = pods.iter().find(|p| p.name() == name);
            pod.is_some_and(|p| p.metadata.deletion_timestamp.is_none())
                && now.duration_since(since.0) < GRANTED_FOR
        })
        .collect();
    let healthy = pods.iter().filter(|pod| {
        pod.metadata.deletion_timestamp.is_none()
            && !still_going.contains_key(pod.name())
            && is_ready(pod)
    });
    let healthy = count(healthy.count());
    let allowed = if expected > 0 {
        (healthy - desired).max(0)
    } else {
        0
    };
    let (condition, reason) = if allowed > 0 {
        ("True", "SufficientPods")
    } else {
        ("False", "InsufficientPods")
    };
    let old = budget.status.as_ref().and_then(|s| s.conditions.as_ref());
    let known = old
        .into_iter()
        .flatten()
        .find(|c| c.type_ == "DisruptionAllowed");
    let since = known
        .filter(|c| c.status == condition)
        .map(|c| c.last_transition_time.clone());
    PodDisruptionBudgetStatus {
        expected_pods: expected,
        desired_healthy: desired,
        current_healthy: healthy,
        disruptions_allowed: allowed,
        disrupted_pods: (!still_going.is_empty()).then_some(still_going),
        observed_generation: budget.metadata.generation,
        conditions: Some(vec![Condition {
            type_: "DisruptionAllowed".into(),
            status: condition.into(),
            reason: reason.into(),
            message: String::new(),
            observed_generation: budget.metadata.generation,
            last_transition_time: since.unwrap_or(Time(now)),
        }]),
    }
}

impl Controller {
    /// The replicas that the pods' controllers want, each counted once.
    fn scale(&self, pods: &[Arc<Pod>]) -> i32 {
        let owners = pods.iter().filter_map(|pod| {
            let owner = controller_of(&pod.metadata)?;
            Some(self.scaled_by(pod.namespace(), owner))
        });
        let sizes = owners.collect::<BTreeMap<_, _>>();
        sizes.into_values().fold(0, i32::saturating_add)
    }

    /// Who says how many pods an owner has, and how many. For the ReplicaSets of
    /// a Deployment that is the Deployment: in a rollout it has several.
    fn scaled_by(&self, namespace: &str, owner: &OwnerReference) -> (String, i32) {
        let key = ObjectKey::new(namespace, &owner.name);
        let replicas = match owner.kind.as_str() {
            "ReplicationController" => self
                .replication_controllers
                .get(&key)
                .and_then(|rc| rc.spec.as_ref()?.replicas),
            "ReplicaSet" => {
                let set = self.replica_sets.get(&key);
                let above = set.as_ref().and_then(|rs| controller_of(&rs.metadata));
                if let Some(above) = above.filter(|o| o.kind == Deployment::KIND) {
                    return self.scaled_by(namespace, above);
                }
                set.and_then(|rs| rs.spec.as_ref()?.replicas)
            }
            "Deployment" => self
                .deployments
                .get(&key)
                .and_then(|deployment| deployment.spec.as_ref()?.replicas),
            "StatefulSet" => self
                .stateful_sets
                .get(&key)
                .and_then(|set| set.spec.as_ref()?.replicas),
            _ => None,
        };
        (owner.uid.clone(), replicas.unwrap_or(0))
    }

    async fn reconcile(&self, key: ObjectKey) -> Result<Next, Status> {
        let Some(budget) = self.budgets.get(&key) else {
            return Ok(Next::Done);
        };
        let Some(selector) = selector(&budget) else {
            return Ok(Next::Done);
        };
        let mut pods = self.pods.in_namespace(&key.namespace);
        pods.retain(|pod| selects(&selector, pod) && !is_finished(pod));
        let status = status(&budget, &pods, self.scale(&pods), Timestamp::now());
        let waits = status.disrupted_pods.is_some();
        if budget.status.as_ref() != Some(&status) {
            let mut updated = PodDisruptionBudget::clone(&budget);
            updated.status = Some(status);
            let api = self
                .client
                .namespaced::<PodDisruptionBudget>(&key.namespace);
            match api.update_status(&updated).await {
                Err(status) if !status.is_not_found() => return Err(status),
                _ => {}
            }
        }
        Ok(if waits {
            Next::After(Duration::from_secs(120))
        } else {
            Next::Done
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn budget(spec: Value) -> PodDisruptionBudget {
        serde_json::from_value(
            json!({"metadata": {"name": "b", "namespace": "d", "generation": 1}, "spec": spec}),
        )
        .unwrap()
    }

    fn pods(ready: usize, unready: usize) -> Vec<Arc<Pod>> {
        let pod = |number: usize| {
            let status = if number < ready { "True" } else { "False" };
            let object = json!({"metadata": {"name": format!("p{number}"), "namespace": "d"},
                "status": {"conditions": [{"type": "Ready", "status": status}]}});
            Arc::new(serde_json::from_value(object).unwrap())
        };
        (0..ready + unready).map(pod).collect()
    }

    fn allowed(spec: Value, ready: usize, unready: usize, scale: i32) -> i32 {
        status(
            &budget(spec),
            &pods(ready, unready),
            scale,
            Timestamp::now(),
        )
        .disruptions_allowed
    }

    #[test]
    fn budgets_count_what_is_healthy() {
        assert_eq!(allowed(json!({"minAvailable": 2}), 3, 0, 3), 1);
        assert_eq!(allowed(json!({"minAvailable": 2}), 2, 1, 3), 0);
        assert_eq!(allowed(json!({"maxUnavailable": 1}), 3, 0, 3), 1);
        assert_eq!(allowed(json!({"maxUnavailable": 1}), 2, 1, 3), 0);
        assert_eq!(allowed(json!({"minAvailable": "50%"}), 3, 0, 3), 1);
        assert_eq!(allowed(json!({"maxUnavailable": "50%"}), 3, 0, 3), 2);
        assert_eq!(allowed(json!({"minAvailable": 0}), 0, 0, 0), 0);
    }

    #[test]
    fn a_granted_eviction_counts_until_its_pod_goes() {
        let mut granted = budget(json!({"minAvailable": 1}));
        let now = Timestamp::now();
        granted.status = Some(PodDisruptionBudgetStatus {
            disrupted_pods: Some(BTreeMap::from([("p0".to_owned(), Time(now))])),
            ..Default::default()
        });
        assert_eq!(status(&granted, &pods(2, 0), 2, now).disruptions_allowed, 0);
        let later = now.saturating_add(GRANTED_FOR).unwrap();
        assert_eq!(
            status(&granted, &pods(2, 0), 2, later).disruptions_allowed,
            1
        );
    }
}
