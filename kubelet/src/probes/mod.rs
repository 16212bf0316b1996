//! Probes of running containers: startup, liveness, readiness; by command,
//! HTTP, TCP or gRPC.
//!
//! Every probe of every container is a task. A task counts what it sees
//! ([`state`]) and tells the pod's worker only when the verdict changes.

mod exec;
mod grpc;
pub(crate) mod http;
pub mod metrics;
pub mod state;
pub(crate) mod target;

use crate::cri::{self, ContainerState};
use crate::pod;
use hardway_client::events::{EventType, Recorder};
use hardway_client::panics;
use hardway_client::steps::{self, Step};
use hardway_proto::Kind as _;
use k8s_openapi::api::core::v1::{Container, Pod, Probe};
use metrics::Metrics;
use parking_lot::Mutex;
use state::Tally;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// How often a probe that couldn't be made at all is tried again at once.
const ATTEMPTS: usize = 3;

/// What a probe is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Whether the container has come up; the others wait for it.
    Startup,
    /// Whether it works; if not it is restarted.
    Liveness,
    /// Whether it can be sent requests.
    Readiness,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Startup => "Startup",
            Kind::Liveness => "Liveness",
            Kind::Readiness => "Readiness",
        })
    }
}

/// What one probing found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All is well.
    Success,
    /// All is well, but something should be known.
    Warning(String),
    /// Not well, and why.
    Failure(String),
    /// The probe couldn't be made; that counts neither way.
    Unknown(String),
}

/// A changed verdict on a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Update {
    /// UID of the pod.
    pub pod_uid: String,
    /// Name of the container.
    pub container: String,
    /// The runtime's id of the container.
    pub container_id: String,
    /// Which probe it was.
    pub kind: Kind,
    /// Whether it passes now.
    pub success: bool,
}

/// Seconds a container has to stop that a probe ends, if the probe says so.
pub fn kill_grace(kind: Kind, container: &Container) -> Option<i64> {
    of(container, kind)?.termination_grace_period_seconds
}

fn of(container: &Container, kind: Kind) -> Option<&Probe> {
    match kind {
        Kind::Startup => container.startup_probe.as_ref(),
        Kind::Liveness => container.liveness_probe.as_ref(),
        Kind::Readiness => container.readiness_probe.as_ref(),
    }
}

/// A running container to be probed.
#[derive(Clone)]
pub struct Target {
    /// Its pod.
    pub pod: Arc<Pod>,
    /// Its spec.
    pub container: Container,
    /// The runtime's id.
    pub id: String,
    /// The pod's address.
    pub ip: String,
    /// When it started, in nanoseconds since the epoch.
    pub started_at: i64,
    /// Whether it is known to have come up: its startup probe has passed, or
    /// it has none.
    pub started: bool,
    /// Whether its readiness probe is known to have passed.
    pub ready: bool,
}

type Tasks = HashMap<String, Vec<(Kind, JoinHandle<()>)>>;

/// Runs probes and tells of changed verdicts.
pub struct Manager {
    runtime: cri::Handle,
    recorder: Recorder,
    updates: mpsc::UnboundedSender<Update>,
    tasks: Mutex<Tasks>,
    metrics: Metrics,
}

impl Manager {
    /// Verdicts go to `updates`, failures also become events.
    pub fn new(
        runtime: cri::Handle,
        recorder: Recorder,
        updates: mpsc::UnboundedSender<Update>,
    ) -> Self {
        Self {
            runtime,
            recorder,
            updates,
            tasks: Mutex::default(),
            metrics: Metrics::default(),
        }
    }

    /// How the probes have ended so far.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Starts the probes of a container; nothing if they run already. Before
    /// the first verdict a container counts as live, and for the rest as what
    /// is known of it: not started and not ready if it is new.
    pub fn start(&self, target: Target) {
        let mut tasks = self.tasks.lock();
        if tasks.contains_key(&target.id) {
            return;
        }
        let target = Arc::new(target);
        let started = Arc::new(watch::Sender::new(target.started));
        let mut list = Vec::new();
        for kind in [Kind::Startup, Kind::Liveness, Kind::Readiness] {
            let Some(probe) = of(&target.container, kind).cloned() else {
                continue;
            };
            // What has come up once isn't asked again.
            if kind == Kind::Startup && target.started {
                continue;
            }
            let worker = Worker {
                kind,
                probe,
                target: target.clone(),
                runtime: self.runtime.clone(),
                recorder: self.recorder.clone(),
                updates: self.updates.clone(),
                started: started.clone(),
                metrics: self.metrics.clone(),
            };
            list.push((kind, tokio::spawn(worker.run_on())));
        }
        if !list.is_empty() {
            tasks.insert(target.id.clone(), list);
        }
    }

    /// Stops what could end the container: it is being ended already.
    /// Readiness goes on to be told.
    pub fn terminating(&self, container_id: &str) {
        if let Some(list) = self.tasks.lock().get_mut(container_id) {
            list.retain(|(kind, task)| {
                let keep = *kind == Kind::Readiness;
                if !keep {
                    task.abort();
                }
                keep
            });
        }
    }

    /// Stops all probes of a container.
    pub fn stop(&self, container_id: &str) {
        for (_, task) in self.tasks.lock().remove(container_id).into_iter().flatten() {
            task.abort();
        }
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        for (_, task) in self.tasks.lock().values().flatten() {
            task.abort();
        }
    }
}

#[derive(Clone)]
struct Worker {
    kind: Kind,
    probe: Probe,
    target: Arc<Target>,
    runtime: cri::Handle,
    recorder: Recorder,
    updates: mpsc::UnboundedSender<Update>,
    started: Arc<watch::Sender<bool>>,
    metrics: Metrics,
}

fn seconds(value: Option<i32>, default: u64) -> Duration {
    let set = value.and_then(|v| u64::try_from(v).ok()).filter(|v| *v > 0);
    Duration::from_secs(set.unwrap_or(default))
}

impl Worker {
    /// [`Worker::run`], and once more after a panic: a container whose probe
    /// nobody makes would stay as it is for ever.
    async fn run_on(self) {
        while let Err(panic) = panics::catch(self.clone().run()).await {
            let pod = pod::full_name(&self.target.pod);
            tracing::error!(pod, %panic, "a probe will begin anew");
            tokio::time::sleep(seconds(self.probe.period_seconds, 10)).await;
        }
    }

    async fn run(self) {
        let mut delay = self.initial_delay();
        if self.kind != Kind::Startup && !self.target.started {
            let mut started = self.started.subscribe();
            // The sender lives in self, so the channel can't be closed.
            let _ = started.wait_for(|started| *started).await;
            // Then the delay begins only now.
            delay = seconds(self.probe.initial_delay_seconds, 0);
        }
        tokio::time::sleep(delay).await;
        let mut tally = Tally::new(self.kind, &self.probe, self.target.ready);
        let period = seconds(self.probe.period_seconds, 10);
        loop {
            let next = Instant::now() + period;
            if let Some(success) = self.outcome().await.and_then(|s| tally.count(s)) {
                self.tell(success);
                let ended = match self.kind {
                    Kind::Readiness => false,
                    Kind::Startup => true,
                    Kind::Liveness => !success,
                };
                if ended {
                    return;
                }
            }
            tokio::time::sleep_until(next).await;
        }
    }

    /// What is left of the delay, which counts from the container's start.
    fn initial_delay(&self) -> Duration {
        let delay = seconds(self.probe.initial_delay_seconds, 0);
        let now = jiff::Timestamp::now().as_nanosecond();
        let age = now.saturating_sub(self.target.started_at.into());
        let age = u64::try_from(age).unwrap_or_default();
        delay.saturating_sub(Duration::from_nanos(age))
    }

    fn tell(&self, success: bool) {
        if self.kind == Kind::Startup && success {
            self.started.send_replace(true);
        }
        let verdict = if success { "passes" } else { "fails" };
        let step = Step::about(self.target.pod.as_ref(), "probe")
            .with("container", &self.target.container.name)
            .with("kind", self.kind)
            .with("verdict", verdict);
        steps::record(step);
        // Nobody listens any more when the kubelet stops.
        let _ = self.updates.send(Update {
            pod_uid: self.target.pod.uid().to_owned(),
            container: self.target.container.name.clone(),
            container_id: self.target.id.clone(),
            kind: self.kind,
            success,
        });
    }

    /// Probes once; `None` if that couldn't be done.
    async fn outcome(&self) -> Option<bool> {
        let begun = Instant::now();
        let mut outcome = self.probe_once().await;
        for _ in 1..ATTEMPTS {
            if !matches!(outcome, Outcome::Unknown(_)) {
                break;
            }
            outcome = self.probe_once().await;
        }
        let kind = self.kind;
        self.metrics
            .count(kind, &self.target, &outcome, begun.elapsed());
        match outcome {
            Outcome::Success => Some(true),
            Outcome::Warning(text) => {
                self.event("ProbeWarning", format!("{kind} probe warning: {text}"));
                Some(true)
            }
            Outcome::Failure(text) => {
                self.event("Unhealthy", format!("{kind} probe failed: {text}"));
                Some(false)
            }
            // One that has just ended can't be probed: its end is told anyway.
            Outcome::Unknown(_) if self.has_ended().await => None,
            Outcome::Unknown(text) => {
                let text = format!("{kind} probe errored and resulted in unknown state: {text}");
                self.event("Unhealthy", text);
                None
            }
        }
    }

    async fn has_ended(&self) -> bool {
        match self.runtime.container_status(&self.target.id).await {
            Ok(status) => status.state() != ContainerState::ContainerRunning,
            Err(error) => error.is_not_found(),
        }
    }

    fn event(&self, reason: &str, message: String) {
        let object = pod::container_reference(&self.target.pod, &self.target.container.name);
        self.recorder
            .event(object, EventType::Warning, reason, message);
    }

    async fn probe_once(&self) -> Outcome {
        let timeout = seconds(self.probe.timeout_seconds, 1);
        let Target { container, ip, .. } = self.target.as_ref();
        if let Some(action) = &self.probe.exec {
            let command = action.command.as_deref().unwrap_or_default();
            return exec::probe(&self.runtime, &self.target.id, command, timeout).await;
        }
        if let Some(action) = &self.probe.http_get {
            return match http::Request::new(action, container, ip) {
                Ok(request) => http::probe(request, timeout).await,
                Err(reason) => Outcome::Unknown(reason),
            };
        }
        if let Some(action) = &self.probe.tcp_socket {
            let host = action.host.as_deref().filter(|h| !h.is_empty());
            return match target::port(&action.port, container) {
                Ok(port) => target::connectable(host.unwrap_or(ip), port, timeout).await,
                Err(reason) => Outcome::Unknown(reason),
            };
        }
        if let Some(action) = &self.probe.grpc {
            let service = action.service.as_deref().unwrap_or_default();
            return grpc::probe(ip, action.port, service, timeout).await;
        }
        Outcome::Unknown(format!("missing probe handler for {}", container.name))
    }
}

#[cfg(test)]
mod tests;
