//! The scheduling cycle: take a pod, find its node, bind it.

use crate::budgets::{self, Budgets};
use crate::cache::Cache;
use crate::fit_error::FitError;
use crate::framework::{ClusterEvent, Framework};
use crate::namespaces::{self, Namespaces};
use crate::plugins;
use crate::pod_info::{PodInfo, is_finished};
use crate::preemption::{Preemptor, Refusal};
use crate::queue::Queue;
use crate::reports::{Report, Reports};
use crate::resources::pod_requests;
use crate::selection::{Placement, Selection};
use crate::storage::{self, Choice, Storage};
use crate::trim;
use hardway_client::events::{EventType, Recorder, reference};
use hardway_client::informer::Change;
use hardway_client::metrics::{
    HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, register_histogram_vec,
    register_int_counter_vec, register_int_gauge_vec,
};
use hardway_client::panics::{self, Panic};
use hardway_client::steps::{self, Step};
use hardway_client::{Client, Informer, Store, task};
use hardway_proto::Kind;
use hardway_proto::meta::ObjectKey;
use k8s_openapi::api::core::v1::{Namespace, Node, Pod};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use parking_lot::Mutex;
use std::sync::Arc;
use tokio::sync::Notify;
use tokio::time::Instant;

/// The name pods ask for in `spec.schedulerName`, and events are signed with.
const NAME: &str = "default-scheduler";

struct State {
    cache: Cache,
    queue: Queue,
    selection: Selection,
}

struct Inner {
    client: Client,
    storage: Storage,
    budgets: Budgets,
    framework: Framework,
    recorder: Recorder,
    reports: Reports,
    state: Mutex<State>,
    wake: Notify,
    metrics: Metrics,
}

struct Metrics {
    attempts: IntCounterVec,
    duration: HistogramVec,
    pending: IntGaugeVec,
}

impl Metrics {
    fn register() -> Self {
        let registered = "metric names are registered once per process";
        Self {
            attempts: register_int_counter_vec!(
                Opts::new(
                    "scheduler_schedule_attempts_total",
                    "Attempts to schedule pods, by the result."
                ),
                &["profile", "result"]
            )
            .expect(registered),
            duration: register_histogram_vec!(
                HistogramOpts::new(
                    "scheduler_scheduling_attempt_duration_seconds",
                    "Latency of finding a node."
                ),
                &["profile", "result"]
            )
            .expect(registered),
            pending: register_int_gauge_vec!(
                Opts::new("scheduler_pending_pods", "Pending pods, by the queue."),
                &["queue"]
            )
            .expect(registered),
        }
    }
}

/// The scheduler; clones share it.
#[derive(Clone)]
pub struct Scheduler {
    inner: Arc<Inner>,
    nodes: Store<Node>,
    namespaces: Store<Namespace>,
    budgets: Store<PodDisruptionBudget>,
    pods: Store<Pod>,
}

impl Scheduler {
    /// Starts watching what it decides by; [`Scheduler::run`] does the work.
    pub fn start(client: Client) -> Self {
        let mut storage_informers = storage::Informers::new(&client);
        let storage = storage_informers.storage.clone();
        let namespaces = namespaces::informer(&client);
        let known = Namespaces::kept_by(&namespaces);
        let budgets = budgets::informer(&client);
        let recorder = Recorder::new(client.clone(), NAME, None);
        let inner = Arc::new(Inner {
            framework: plugins::default_profile(storage.clone(), known),
            storage: storage.clone(),
            budgets: Budgets::kept_by(&budgets),
            reports: Reports::new(client.clone(), recorder.clone(), NAME),
            recorder,
            client: client.clone(),
            state: Mutex::new(State {
                cache: Cache::default(),
                queue: Queue::default(),
                selection: Selection::default(),
            }),
            wake: Notify::new(),
            metrics: Metrics::register(),
        });
        let on_storage = inner.clone();
        storage_informers.on_change(move || {
            on_storage.storage.changed();
            let mut state = on_storage.state.lock();
            on_storage.tell(&mut state, ClusterEvent::StorageChanged);
        });
        storage_informers.start();
        let budgets = budgets.start();
        let on_namespace = inner.clone();
        let namespaces = namespaces
            .on_change(move |change| on_namespace.namespace_changed(change))
            .start();
        let on_node = inner.clone();
        let nodes = Informer::new(client.all::<Node>())
            .trim(trim::node)
            .on_change(move |change| on_node.node_changed(change))
            .start();
        let on_pod = inner.clone();
        let pods = Informer::new(client.all::<Pod>())
            .fields("status.phase!=Succeeded,status.phase!=Failed")
            .trim(trim::pod)
            .on_change(move |change| on_pod.pod_changed(change))
            .start();
        Self {
            inner,
            nodes,
            namespaces,
            budgets,
            pods,
        }
    }

    /// Whether all that it decides by is known.
    pub fn synced(&self) -> Result<(), String> {
        self.nodes.check()?;
        self.namespaces.check()?;
        self.budgets.check()?;
        self.inner.storage.check()?;
        self.pods.check()
    }

    /// Schedules until dropped.
    pub async fn run(&self) {
        self.nodes.wait_synced().await;
        self.namespaces.wait_synced().await;
        self.budgets.wait_synced().await;
        self.pods.wait_synced().await;
        self.inner.storage.wait_synced().await;
        let reporting = self.inner.clone();
        let mut beside = task::Group::default();
        beside.add(task::spawn_critical("reports", async move {
            reporting.reports.send().await;
        }));
        loop {
            let (next, deadline) = {
                let mut state = self.inner.state.lock();
                let next = state.queue.pop(Instant::now());
                (next, state.queue.next_deadline())
            };
            match (next, deadline) {
                (Some(pod), _) => {
                    if let Err(panic) = panics::catch_in(|| Inner::schedule(&self.inner, &pod)) {
                        self.inner.give_up(&pod, &panic);
                    }
                    // Bindings and informers want their turn.
                    tokio::task::yield_now().await;
                }
                (None, Some(at)) => {
                    let _ = tokio::time::timeout_at(at, self.inner.wake.notified()).await;
                }
                (None, None) => self.inner.wake.notified().await,
            }
        }
    }
}

/// Notes a choice, for who follows the pod.
fn note_found(pod: &PodInfo, found: &Placement, started: std::time::Instant) {
    let step = Step::about(pod.pod.as_ref(), "scheduled")
        .for_audit_id(pod.pod.uid())
        .since(started)
        .with("node", &found.node)
        .with("nodes", found.nodes)
        .with("feasible", found.feasible)
        .with("scores", found.best())
        .with("rejected", found.rejections.by_plugin());
    steps::record(step);
}

impl Inner {
    fn node_changed(&self, change: &Change<Node>) {
        let mut state = self.state.lock();
        let event = match change {
            Change::Applied { old, new } => {
                let relevant = state.cache.apply_node(new.clone());
                match (old.is_none(), relevant) {
                    (true, _) => Some(ClusterEvent::NodeAdded),
                    (_, true) => Some(ClusterEvent::NodeChanged),
                    _ => None,
                }
            }
            Change::Deleted(node) => {
                state.cache.remove_node(node.name());
                None
            }
        };
        if let Some(event) = event {
            self.tell(&mut state, event);
        }
    }

    fn namespace_changed(&self, change: &Change<Namespace>) {
        if namespaces::may_be_selected_anew(change) {
            self.tell(&mut self.state.lock(), ClusterEvent::NamespaceChanged);
        }
    }

    fn pod_changed(&self, change: &Change<Pod>) {
        let mut state = self.state.lock();
        match change {
            Change::Applied { old, new } => self.pod_applied(&mut state, old.as_ref(), new),
            Change::Deleted(pod) => {
                let key = ObjectKey::of(pod.as_ref());
                self.settled(&mut state, &key);
                state.cache.remove_pod(&key);
                self.tell(&mut state, ClusterEvent::PodFreed);
            }
        }
    }

    fn pod_applied(&self, state: &mut State, old: Option<&Arc<Pod>>, pod: &Arc<Pod>) {
        let info = Arc::new(PodInfo::new(pod.clone()));
        if info.node().is_some() {
            self.settled(state, &info.key);
            state.cache.apply(info.clone());
            let moved = old.is_none_or(|old| {
                old.metadata.labels != pod.metadata.labels || old.spec != pod.spec
            });
            if moved {
                self.tell(state, ClusterEvent::PodBound);
            }
            if old.is_some_and(|old| gives_back(old, pod, &info)) {
                self.tell(state, ClusterEvent::PodFreed);
            }
        } else if is_ours(pod) && !state.cache.is_placed(&info.key, pod.uid()) {
            // Made by a scheduler before this one.
            if let Some(node) = nominated(pod).filter(|_| old.is_none()) {
                state.selection.nominate(info.clone(), node);
            }
            state.queue.add(info, Instant::now());
            self.wake.notify_one();
        } else if pod.metadata.deletion_timestamp.is_some() {
            self.settled(state, &info.key);
        }
    }

    /// A pod has a node, or needs none any more.
    fn settled(&self, state: &mut State, key: &ObjectKey) {
        state.queue.remove(key);
        state.selection.denominate(key);
        self.reports.withdraw(key);
    }

    fn tell(&self, state: &mut State, event: ClusterEvent) {
        let framework = &self.framework;
        state.queue.on_event(event, Instant::now(), |event, by| {
            framework.may_help(event, by)
        });
        self.wake.notify_one();
    }

    fn schedule(inner: &Arc<Self>, pod: &Arc<PodInfo>) {
        let started = std::time::Instant::now();
        let mut guard = inner.state.lock();
        let state = &mut *guard;
        let found = state
            .selection
            .find_node(&inner.framework, state.cache.nodes(), pod);
        let result = match found {
            Ok(found) => {
                let node = found.node.clone();
                let chosen = state.cache.node(&node);
                // What was there for the filter may be somebody else's by now.
                let storage = &inner.storage;
                let claims = storage.claims_of(&pod.pod).ok();
                let volumes = chosen.zip(claims.as_ref());
                let volumes = volumes.and_then(|(node, claims)| storage.choose(claims, node).ok());
                let Some(volumes) = volumes else {
                    state.queue.failed(&pod.key, Instant::now());
                    inner.wake.notify_one();
                    return;
                };
                note_found(pod, &found, started);
                state.cache.assume(pod, &node);
                state.selection.denominate(&pod.key);
                inner.reports.withdraw(&pod.key);
                let work = inner.clone().bind(pod.clone(), node, volumes);
                task::spawn_job("bind", pod.traced(work));
                "scheduled"
            }
            Err(fit) => {
                inner.reject(state, pod, fit, started);
                "unschedulable"
            }
        };
        inner
            .metrics
            .attempts
            .with_label_values(&[NAME, result])
            .inc();
        inner
            .metrics
            .duration
            .with_label_values(&[NAME, result])
            .observe(started.elapsed().as_secs_f64());
        let (active, backoff, unschedulable) = guard.queue.lengths();
        for (queue, length) in [
            ("active", active),
            ("backoff", backoff),
            ("unschedulable", unschedulable),
        ] {
            inner
                .metrics
                .pending
                .with_label_values(&[queue])
                .set(length as i64);
        }
    }

    /// A pod that something panicked over waits like one whose binding failed:
    /// the others must go on.
    fn give_up(&self, pod: &PodInfo, panic: &Panic) {
        tracing::error!(pod = %pod.key, %panic, "scheduling failed; will try again");
        let result = [NAME, "error"];
        self.metrics.attempts.with_label_values(&result).inc();
        let mut state = self.state.lock();
        state.cache.forget(&pod.key, pod.pod.uid());
        state.queue.failed(&pod.key, Instant::now());
    }

    /// A pod that fits nowhere waits; others may have to go for it.
    fn reject(
        &self,
        state: &mut State,
        pod: &Arc<PodInfo>,
        mut fit: FitError,
        started: std::time::Instant,
    ) {
        let mut preemption = None;
        if fit.nodes > 0 {
            let preemptor = Preemptor {
                framework: &self.framework,
                budgets: &self.budgets,
                selection: &state.selection,
            };
            let nominated = state.selection.nominated(&pod.key);
            match preemptor.find(pod, nominated, state.cache.nodes(), &fit) {
                Ok(found) => {
                    state.selection.nominate(pod.clone(), &found.node);
                    preemption = Some(found);
                }
                Err(why) => {
                    fit.preemption = Some(why.to_string());
                    if matches!(why, Refusal::NoCandidates(_)) {
                        state.selection.denominate(&pod.key);
                    }
                }
            }
        }
        let framework = &self.framework;
        state
            .queue
            .unschedulable(&pod.key, fit.plugins(), Instant::now(), |event, by| {
                framework.may_help(event, by)
            });
        let message = fit.message();
        let nominated = state.selection.nominated(&pod.key).map(str::to_owned);
        let step = Step::about(pod.pod.as_ref(), "unschedulable")
            .for_audit_id(pod.pod.uid())
            .since(started)
            .with("message", &message);
        steps::record(match &preemption {
            Some(found) => step.with("nominated", &found.node),
            None => step,
        });
        let victims = preemption.map_or_else(Vec::new, |found| found.victims);
        self.reports
            .add(Report::new(pod.clone(), message, nominated, victims));
    }

    async fn bind(self: Arc<Self>, pod: Arc<PodInfo>, node: String, volumes: Vec<Choice>) {
        let api = self.client.namespaced::<Pod>(&pod.key.namespace);
        let bound = match self.storage.bind(&self.client, &volumes, &node).await {
            Ok(()) => api.bind(&pod.key.name, pod.pod.uid(), &node).await,
            Err(status) => {
                let why =
                    format!("running PreBind plugin \"VolumeBinding\": binding volumes: {status}");
                let about = reference(pod.pod.as_ref());
                self.recorder
                    .event(about, EventType::Warning, "FailedScheduling", why);
                Err(status)
            }
        };
        match bound {
            Ok(()) => {
                let message = format!("Successfully assigned {} to {node}", pod.key);
                self.recorder.event(
                    reference(pod.pod.as_ref()),
                    EventType::Normal,
                    "Scheduled",
                    message,
                );
            }
            Err(status) => {
                let mut state = self.state.lock();
                state.cache.forget(&pod.key, pod.pod.uid());
                // Volumes may have taken long, and another pod may have the name now.
                let holds = state.queue.holds(&pod.key, pod.pod.uid());
                if holds && status.is_not_found() {
                    self.settled(&mut state, &pod.key);
                } else if holds {
                    tracing::warn!(pod = %pod.key, node, %status, "binding failed; will try again");
                    state.queue.failed(&pod.key, Instant::now());
                }
                self.tell(&mut state, ClusterEvent::PodFreed);
            }
        }
    }
}

/// Whether a pod on a node leaves others more room than before: it has ended, or shrunk.
fn gives_back(old: &Pod, new: &Pod, info: &PodInfo) -> bool {
    if is_finished(old) || old.status == new.status && old.spec == new.spec {
        return false;
    }
    is_finished(new) || pod_requests(old, false).exceeds(&info.requests)
}

/// The node where room is kept for a pod, as its status has it.
fn nominated(pod: &Pod) -> Option<&str> {
    let node = pod.status.as_ref()?.nominated_node_name.as_deref();
    node.filter(|node| !node.is_empty())
}

/// Whether a pod waits for this scheduler.
fn is_ours(pod: &Pod) -> bool {
    let Some(spec) = &pod.spec else {
        return false;
    };
    let gated = spec
        .scheduling_gates
        .as_ref()
        .is_some_and(|g| !g.is_empty());
    let name = spec.scheduler_name.as_deref().unwrap_or(NAME);
    name == NAME && !gated && pod.metadata.deletion_timestamp.is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn gated_and_foreign_pods_are_left_alone() {
        let pod = |spec: serde_json::Value| -> Pod {
            serde_json::from_value(json!({"spec": spec})).unwrap()
        };
        assert!(is_ours(&pod(json!({"containers": []}))));
        assert!(!is_ours(&pod(
            json!({"containers": [], "schedulerName": "mine"})
        )));
        let gated = json!({"containers": [], "schedulingGates": [{"name": "g"}]});
        assert!(!is_ours(&pod(gated)));
    }
}
