//! PodDisruptionBudgets: counts healthy pods, so that evictions know how many
//! they may disturb. How many there should be, [`owners`] says, of any kind that has a scale;
//! [`status`] what that means.

mod owners;
mod stale;
mod status;

use crate::Work;
use crate::conflicts;
use crate::context::Context;
use crate::informers::Informers;
use crate::scale::Scales;
use crate::selectors::{printed, selects};
use hardway_client::api::Patch;
use hardway_client::controller::{self, Next};
use hardway_client::events::{EventType, Recorder, reference};
use hardway_client::informer::Change;
use hardway_client::queue::WorkQueue;
use hardway_client::{Client, Store};
use hardway_proto::labels::Selector;
use hardway_proto::meta::ObjectKey;
use hardway_proto::{Kind, Status};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetStatus};
use owners::{Owners, Wanted};
use std::sync::Arc;
use std::time::Duration;

/// What to look at.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Task {
    Budget(ObjectKey),
    /// A pod that is said to be disrupted.
    Pod(ObjectKey),
}

struct Controller {
    client: Client,
    recorder: Recorder,
    budgets: Store<PodDisruptionBudget>,
    pods: Store<Pod>,
    owners: Owners,
}

/// The controller.
pub fn register(informers: &mut Informers, context: &Context) -> Work {
    let queue = WorkQueue::new();
    let controller = Controller {
        client: context.client.clone(),
        recorder: context.recorder("controllermanager"),
        budgets: informers.disruption_budgets.store(),
        pods: informers.pods.store(),
        owners: Owners {
            replication_controllers: informers.replication_controllers.store(),
            replica_sets: informers.replica_sets.store(),
            deployments: informers.deployments.store(),
            stateful_sets: informers.stateful_sets.store(),
            scales: Scales::new(&context.client),
        },
    };
    let on_budget = queue.clone();
    informers.disruption_budgets.subscribe(move |change| {
        on_budget.add(Task::Budget(ObjectKey::of(change.object().as_ref())));
    });
    let (on_pod, budgets) = (queue.clone(), informers.disruption_budgets.store());
    informers.pods.subscribe(move |change| {
        let pod = change.object();
        let before = match change {
            Change::Applied { old, .. } => old.as_deref(),
            Change::Deleted(_) => None,
        };
        for budget in budgets.in_namespace(pod.namespace()) {
            let selector = selector(&budget);
            if selects(&selector, pod) || before.is_some_and(|pod| selects(&selector, pod)) {
                on_pod.add(Task::Budget(ObjectKey::of(budget.as_ref())));
            }
        }
        if stale::stale_in(pod, Timestamp::now()).is_some() {
            on_pod.add(Task::Pod(ObjectKey::of(pod.as_ref())));
        }
    });
    Box::pin(async move {
        controller.budgets.wait_synced().await;
        controller.pods.wait_synced().await;
        controller
            .owners
            .replication_controllers
            .wait_synced()
            .await;
        controller.owners.replica_sets.wait_synced().await;
        controller.owners.deployments.wait_synced().await;
        controller.owners.stateful_sets.wait_synced().await;
        controller::run("disruption", queue, 2, |task| controller.reconcile(task)).await;
    })
}

/// A budget without a selector selects nothing.
fn selector(budget: &PodDisruptionBudget) -> Selector {
    let selector = budget.spec.as_ref().and_then(|spec| spec.selector.as_ref());
    let selector = selector.and_then(|s| Selector::from_label_selector(s).ok());
    selector.unwrap_or_else(Selector::nothing)
}

impl Controller {
    async fn reconcile(&self, task: Task) -> Result<Next, Status> {
        match task {
            Task::Budget(key) => conflicts::wait_out(self.budget(&key).await),
            Task::Pod(key) => self.pod(&key).await,
        }
    }

    async fn budget(&self, key: &ObjectKey) -> Result<Next, Status> {
        let Some(budget) = self.budgets.get(key) else {
            return Ok(Next::Done);
        };
        let selector = selector(&budget);
        let mut pods = self.pods.in_namespace(&key.namespace);
        pods.retain(|pod| selects(&selector, pod));
        if pods.is_empty() {
            let words = "No matching pods found";
            self.event(&budget, EventType::Normal, "NoPods", words.into());
        }
        let now = Timestamp::now();
        let status = match self.wanted(&budget, &pods).await {
            Ok(wanted) => status::status(&budget, &pods, wanted.replicas, now),
            Err(error) => status::unknown(&budget, &error, now),
        };
        let again = next_look(&status, now);
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
        Ok(again.map_or(Next::Done, Next::After))
    }

    /// What the owners of a budget's pods want, if that matters to it.
    async fn wanted(
        &self,
        budget: &PodDisruptionBudget,
        pods: &[Arc<Pod>],
    ) -> Result<Wanted, String> {
        if !status::needs_scale(budget) {
            return Ok(Wanted::default());
        }
        let wanted = self.owners.wanted(pods).await.inspect_err(|error| {
            let words = format!("Failed to calculate the number of expected pods: {error}");
            let reason = "CalculateExpectedPodCountFailed";
            self.event(budget, EventType::Warning, reason, words);
        })?;
        if wanted.has_unmanaged {
            let selector = budget.spec.as_ref().and_then(|spec| spec.selector.as_ref());
            let words = format!(
                "Pods selected by this PodDisruptionBudget (selector: {}) were found to be unmanaged. As a result, the status of the PDB cannot be calculated correctly, which may result in undefined behavior. To account for these pods please set \".spec.minAvailable\" field of the PDB to an integer value.",
                printed(selector)
            );
            self.event(budget, EventType::Warning, "UnmanagedPods", words);
        }
        Ok(wanted)
    }

    fn event(&self, budget: &PodDisruptionBudget, r#type: EventType, reason: &str, words: String) {
        let about = reference(budget);
        self.recorder.event(about, r#type, reason, words);
    }

    async fn pod(&self, key: &ObjectKey) -> Result<Next, Status> {
        let now = Timestamp::now();
        let pod = self.pods.get(key);
        let Some((pod, left)) = pod.and_then(|pod| stale::stale_in(&pod, now).map(|l| (pod, l)))
        else {
            return Ok(Next::Done);
        };
        if !left.is_zero() {
            return Ok(Next::After(left));
        }
        let mut patch = stale::taken_back(now);
        patch["metadata"]["uid"] = pod.uid().into();
        let api = self.client.namespaced::<Pod>(&key.namespace);
        match api.patch_status(&key.name, Patch::Strategic(&patch)).await {
            Err(status) if !status.is_not_found() && !status.is_conflict() => Err(status),
            _ => Ok(Next::Done),
        }
    }
}

/// When the first granted eviction has waited long enough for its pod to go.
fn next_look(status: &PodDisruptionBudgetStatus, now: Timestamp) -> Option<Duration> {
    let granted = status.disrupted_pods.iter().flat_map(|pods| pods.values());
    let first = granted.map(|since| since.0).min()?;
    let left = status::GRANTED_FOR - now.duration_since(first);
    Some(Duration::try_from(left).unwrap_or_default())
}
