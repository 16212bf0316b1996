//! Pods have to go: those that use more of the node's disk than they may (Kubernetes' "local
//! storage eviction"), and, one at a time, those that stand in the way when the node runs out
//! of memory, disk or process numbers.
//!
//! Nobody tells when a disk fills: every few seconds the node is looked at, which costs a few
//! system calls, and sooner where the kernel says that memory is short ([`stall`]). What is to
//! be done about it is decided without I/O, by [`pressure`] and [`ranking`].

mod limits;
mod node_pressure;
mod pressure;
mod ranking;
mod signals;
mod stall;
pub mod threshold;
mod usage;

pub use node_pressure::NodePressure;

use crate::context::Context;
use crate::images::gc::Collector;
use crate::manager::Pods;
use crate::status::Verdict;
use crate::worker::observed::observe;
use crate::{garbage, node, pod};
use futures_util::future::BoxFuture;
use hardway_client::events::{EventType, reference};
use hardway_client::metrics::{IntCounterVec, register_int_counter_vec};
use hardway_proto::Kind;
use k8s_openapi::api::core::v1::Pod;
use pressure::{Observations, Pressure, crossed};
use ranking::{Candidate, Notice, is_evictable};
use signals::{Reading, Signals};
use stall::MemoryStall;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};
use threshold::{Signal, Threshold};
use tokio::time::MissedTickBehavior;

/// `status.reason` of a pod that was evicted.
const REASON: &str = "Evicted";
/// How often the node is looked at: Kubernetes' `evictionMonitoringPeriod`.
const PERIOD: Duration = Duration::from_secs(10);
/// Seconds that containers have to stop where there is no time to lose.
const GRACE: i64 = 1;
/// How long is waited for a pod to have left nothing, beyond the time it has to stop.
const CLEANING: Duration = Duration::from_secs(30);

static EVICTIONS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    register_int_counter_vec!(
        "kubelet_evictions",
        "Cumulative number of pod evictions by eviction signal",
        &["eviction_signal"]
    )
    .expect("the name is registered once")
});

/// What the flags say.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// What must be left.
    pub thresholds: Vec<Threshold>,
    /// Seconds that a pod has at most when a soft threshold is crossed; as long as it asks for
    /// if that is negative.
    pub max_pod_grace: i64,
    /// How long a condition holds after its cause has gone.
    pub transition: Duration,
    /// The directory whose disk is the node's.
    pub root: PathBuf,
    /// Bytes of memory of the machine, and of all pods together.
    pub memory: i64,
    /// What pods may have together.
    pub pods_memory: i64,
}

/// Looks after the node for ever.
pub async fn run(context: Arc<Context>, pods: Pods, policy: Policy, images: Arc<Collector>) {
    let mut evictor = Evictor::new(context, pods, policy, images);
    let stall = MemoryStall::watch();
    let mut tick = tokio::time::interval(PERIOD);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = tick.tick() => evictor.limits_due = true,
            () = stall.happened() => {}
        }
        // One pod at a time, until that is enough.
        while let Some(gone) = evictor.look().await {
            gone.await;
        }
    }
}

/// Ready when an evicted pod has left nothing, or has taken too long for it.
type Gone = BoxFuture<'static, ()>;

struct Evictor {
    context: Arc<Context>,
    pods: Pods,
    policy: Policy,
    images: Arc<Collector>,
    signals: Signals,
    pressure: Pressure,
    /// Whether it is time again to see which pods use more of the disk than they may: once in
    /// a [`PERIOD`], however often memory is short.
    limits_due: bool,
}

impl Evictor {
    fn new(context: Arc<Context>, pods: Pods, policy: Policy, images: Arc<Collector>) -> Self {
        let root = policy.root.clone();
        Self {
            signals: Signals::new(root, policy.memory, policy.pods_memory),
            context,
            pods,
            policy,
            images,
            pressure: Pressure::default(),
            limits_due: true,
        }
    }

    async fn look(&mut self) -> Option<Gone> {
        let reading = self.signals.look(&self.context).await;
        self.consider(&reading, Instant::now()).await
    }

    /// Does what a reading asks for.
    async fn consider(&mut self, reading: &Reading, now: Instant) -> Option<Gone> {
        let Policy {
            thresholds,
            transition,
            ..
        } = &self.policy;
        let seen = &reading.seen;
        let verdict = self.pressure.observe(thresholds, seen, *transition, now);
        self.context.pressure.set(verdict.conditions);
        let starved = &verdict.starved;
        let is_urgent = starved.first().is_some_and(|first| !first.signal.is_disk());
        // A walk through the disk takes its time, which memory doesn't leave.
        if !is_urgent && self.hold_to_limits().await {
            return None;
        }
        let gone = self.relieve(starved, reading).await;
        if is_urgent && gone.is_none() {
            self.hold_to_limits().await;
        }
        gone
    }

    /// Gives something back of what is short; which pod had to go for it, if any.
    async fn relieve(&mut self, starved: &[Threshold], reading: &Reading) -> Option<Gone> {
        let first = *starved.first()?;
        let resource = first.signal.resource();
        let node = node::events::node_reference(&self.context.node_name);
        let message = format!("Attempting to reclaim {resource}");
        let recorder = &self.context.recorder;
        recorder.event(node, EventType::Warning, "EvictionThresholdMet", message);
        if self.reclaim(first.signal, reading.own_disk).await {
            tracing::info!(resource, "enough was given back without evicting pods");
            return None;
        }
        self.evict_one(starved, &reading.seen, reading.own_disk)
            .await
    }

    /// Ends pods that use more of the disk than they may, if it is time for that; whether
    /// there were any.
    async fn hold_to_limits(&mut self) -> bool {
        if !std::mem::take(&mut self.limits_due) {
            return false;
        }
        let active = self.pods.active().into_iter();
        let limited: Vec<Arc<Pod>> = active
            .filter(|pod| is_evictable(pod) && !pod::is_deleting(pod) && limits::is_limited(pod))
            .collect();
        if limited.is_empty() {
            return false;
        }
        let stats = self.context.runtime.container_stats().await;
        // Without them less is counted, and nobody goes who may stay.
        let stats = stats.unwrap_or_default();
        let mut any = false;
        for pod in limited {
            let usage = usage::measure_with_disk(&self.context, &pod, &stats).await;
            if let Some((limit, message)) = limits::excess(&pod, &usage) {
                EVICTIONS.with_label_values(&[limit]).inc();
                let notice = Notice {
                    message,
                    ..Notice::default()
                };
                any |= self.evict(&pod, GRACE, notice, false).is_some();
            }
        }
        any
    }

    /// Gives back what nobody uses; whether that is enough.
    async fn reclaim(&mut self, signal: Signal, own_disk: bool) -> bool {
        let of_images = matches!(signal, Signal::ImageFsAvailable | Signal::ImageFsInodesFree);
        let of_node = matches!(signal, Signal::NodeFsAvailable | Signal::NodeFsInodesFree);
        if !of_images && (own_disk || !of_node) {
            return false;
        }
        self.remove_dead_containers().await;
        if let Err(error) = self.images.remove_unused().await {
            tracing::warn!(%error, "images can't be removed");
        }
        let seen = self.signals.look(&self.context).await.seen;
        crossed(&self.policy.thresholds, &seen, true).is_empty()
    }

    /// Of pods that have ended, containers are kept for their logs: as long as there is room.
    async fn remove_dead_containers(&self) {
        let runtime = self.context.runtime.as_ref();
        for pod in self.pods.ended() {
            let removed = match observe(runtime, pod.uid()).await {
                Ok(observed) if observed.is_still() => {
                    garbage::remove_all(runtime, &observed).await
                }
                Ok(_) => Ok(()),
                Err(error) => Err(error),
            };
            if let Err(error) = removed {
                let pod = pod::full_name(&pod);
                tracing::warn!(pod, %error, "dead containers stay");
            }
        }
    }

    async fn evict_one(
        &self,
        starved: &[Threshold],
        seen: &Observations,
        own_disk: bool,
    ) -> Option<Gone> {
        let first = starved.first()?;
        let of_disk = first.signal.is_disk();
        let stats = match self.context.runtime.container_stats().await {
            Ok(stats) => stats,
            // What containers wrote would count as nothing, and the wrong pod would go.
            Err(error) if of_disk => {
                tracing::warn!(%error, "nobody is evicted: the runtime doesn't tell what is used");
                return None;
            }
            // Cgroups tell enough.
            Err(_) => Vec::new(),
        };
        let mut candidates = Vec::new();
        for pod in self.pods.active().into_iter().filter(|p| is_evictable(p)) {
            let usage = match of_disk {
                true => usage::measure_with_disk(&self.context, &pod, &stats).await,
                false => usage::measure(&self.context, &pod, &stats),
            };
            let usage = Some(usage);
            candidates.push(Candidate { pod, usage });
        }
        ranking::rank(&mut candidates, first.signal, own_disk);
        let grace = match first.is_hard() {
            true => GRACE,
            false if self.policy.max_pod_grace < 0 => i64::MAX,
            false => self.policy.max_pod_grace,
        };
        for candidate in &candidates {
            let notice = ranking::notice(candidate, starved, seen);
            if let Some(gone) = self.evict(&candidate.pod, grace, notice, true) {
                let signal = first.signal.name();
                EVICTIONS.with_label_values(&[signal]).inc();
                return Some(gone);
            }
        }
        tracing::warn!(
            resource = first.signal.resource(),
            "is short, and there is no pod to evict"
        );
        None
    }

    /// Has a pod end within so many seconds, for no reason of its own if it is a `disruption`.
    fn evict(&self, pod: &Arc<Pod>, grace: i64, notice: Notice, disruption: bool) -> Option<Gone> {
        let verdict = Verdict {
            reason: REASON.into(),
            message: notice.message.clone(),
            rejected: false,
            disruption,
        };
        let gone = self.pods.terminate(pod.uid(), grace, verdict)?;
        tracing::info!(
            pod = pod::full_name(pod),
            message = notice.message,
            "evicts a pod"
        );
        self.context.recorder.annotated(
            reference(pod.as_ref()),
            EventType::Warning,
            REASON,
            notice.message,
            notice.annotations,
        );
        let seconds = grace.min(pod::grace_period(pod)).max(0).unsigned_abs();
        let longest = Duration::from_secs(seconds) + CLEANING;
        let name = pod::full_name(pod);
        Some(Box::pin(async move {
            if tokio::time::timeout(longest, gone).await.is_err() {
                tracing::warn!(pod = name, "has not ended {longest:?} after it was evicted");
            }
        }))
    }
}

#[cfg(test)]
mod tests;
