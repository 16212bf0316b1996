//! One worker per pod: it compares what is wanted with what the runtime shows,
//! decides ([`mod@decide`]) and acts ([`start`], [`stop`]), again and again, until
//! the pod is gone.

pub mod backoff;
mod calls;
pub mod decide;
pub mod health;
pub mod mailbox;
mod message;
pub mod observed;
mod resize;
mod start;
mod stop;

use crate::context::Context;
use crate::cri::LinuxContainerResources;
use crate::probes::Target;
use crate::status::{self, Notes, Verdict};
use crate::volumes::Mounted;
use crate::{cri, garbage, pod};
use backoff::Backoff;
use calls::Calls;
use decide::{Plan, Situation, decide};
use hardway_client::{clock, queue};
use hardway_proto::Kind;
use health::Health;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, PodStatus};
use mailbox::{Mail, Mailbox};
use observed::{Observed, State, observe};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use stop::Stopper;
use tokio::time::Instant;

/// Steps of one pass: after this many the worker breathes before it goes on.
const STEPS: usize = 16;
/// For so long: a pod that never comes to rest must not keep the runtime busy.
const BREATH: Duration = Duration::from_millis(500);
/// How often it is told that a container waits for its back-off.
const REMIND: Duration = Duration::from_secs(12);
/// First and longest pause after something failed.
const RETRY: Duration = Duration::from_secs(1);
const LONGEST_RETRY: Duration = Duration::from_secs(10);

/// Why a pass couldn't be finished.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Runtime(#[from] cri::Error),
    /// Told already, by an event or a container's status.
    #[error("{0}")]
    Told(String),
}

/// How a pass ended.
enum Outcome {
    /// Nothing to do until something changes, or until then.
    Wait(Option<Instant>),
    /// All containers have ended for good.
    Over,
}

/// The worker of one pod.
pub struct Worker {
    context: Arc<Context>,
    mailbox: Arc<Mailbox>,
    health: Health,
    backoff: Backoff,
    notes: Notes,
    /// What went wrong with containers: reason and message by name.
    troubles: BTreeMap<String, (String, String)>,
    /// Where the pod's volumes are, once they are mounted.
    volumes: Option<BTreeMap<String, Mounted>>,
    /// Which back-offs were told as events, and when: by name.
    told: BTreeMap<String, (i64, Instant)>,
    failures: u32,
    /// How many sandboxes in succession had names that the runtime keeps for others.
    names_refused: u32,
    /// What the pod's cgroup was given last.
    cgroup: Option<LinuxContainerResources>,
    /// Volumes and cgroups are gone.
    cleaned: bool,
    stopper: Stopper,
    calls: Calls,
}

fn now() -> i64 {
    i64::try_from(Timestamp::now().as_nanosecond()).unwrap_or(i64::MAX)
}

impl Worker {
    /// A worker that reads this mailbox.
    pub fn new(context: Arc<Context>, mailbox: Arc<Mailbox>) -> Self {
        let pod = mailbox.mail().pod;
        let recorded = pod.status.as_ref().and_then(|s| s.start_time.clone());
        let notes = Notes {
            host_ips: context.facts.host_ips.clone(),
            start_time: recorded.or_else(|| Some(status::now())),
            ..Notes::default()
        };
        Self {
            stopper: Stopper::new(context.clone()),
            context,
            mailbox,
            health: Health::default(),
            backoff: Backoff::default(),
            notes,
            troubles: BTreeMap::new(),
            volumes: None,
            told: BTreeMap::new(),
            failures: 0,
            names_refused: 0,
            cgroup: None,
            cleaned: false,
            calls: Calls::default(),
        }
    }

    /// Works until the pod is gone from this node and from the API.
    pub async fn run(mut self) {
        let mailbox = self.mailbox.clone();
        // Deadlines and back-offs are times of day.
        let mut clock = clock::Changes::new();
        loop {
            let mail = mailbox.mail();
            let (outcome, wake) = if mail.is_ending() {
                let grace = Some(mail.grace());
                tokio::select! {
                    outcome = self.end(&mail) => match outcome {
                        Ok(true) => return,
                        Ok(false) => (Ok(()), None),
                        Err(error) => (Err(error), None),
                    },
                    () = mailbox.hurried(grace) => continue,
                }
            } else {
                // What runs is left as it is when the pod is to end: the next
                // pass looks anew, once the runtime has done what it was asked.
                tokio::select! {
                    outcome = self.sync(&mail) => match outcome {
                        Ok(Outcome::Over) => continue,
                        Ok(Outcome::Wait(until)) => (Ok(()), until),
                        Err(error) => (Err(error), None),
                    },
                    () = mailbox.hurried(None) => {
                        self.calls.finished().await;
                        continue;
                    }
                }
            };
            let wake = match outcome {
                Ok(()) => {
                    self.failures = 0;
                    wake
                }
                Err(error) => {
                    self.failures += 1;
                    let pause = queue::backoff(self.failures, RETRY, LONGEST_RETRY);
                    let name = pod::full_name(&mail.pod);
                    tracing::warn!(pod = name, %error, ?pause, "will try again");
                    Some(Instant::now() + pause)
                }
            };
            let in_time = async {
                match wake {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = mailbox.woken() => {}
                () = in_time => {}
                () = clock.next() => {}
            }
        }
    }

    /// What the runtime shows of the pod, and what its containers were given.
    async fn observe(&self, uid: &str) -> Result<Observed, cri::Error> {
        let mut observed = observe(self.context.runtime.as_ref(), uid).await?;
        self.context.allocations.complete(uid, &mut observed);
        Ok(observed)
    }

    /// One pass over a pod that should run.
    async fn sync(&mut self, mail: &Mail) -> Result<Outcome, Error> {
        let pod = mail.pod.clone();
        self.context.objects.register(&pod);
        if let Some(deadline) = self.deadline(&pod)
            && deadline <= now()
        {
            self.exceed_deadline(&pod);
            return Ok(Outcome::Over);
        }
        self.refresh_volumes(&pod).await;
        for _ in 0..STEPS {
            let observed = self.observe(pod.uid()).await?;
            self.take_note(&pod, &observed).await;
            let plan = decide(&Situation {
                pod: &pod,
                observed: &observed,
                health: &self.health,
                backoff: &self.backoff,
                now: now(),
            });
            self.note_waiting(&pod, &plan);
            if plan.finished {
                let status = self.publish(mail, &observed, true);
                self.mailbox.update(|mail| {
                    // Over is over: the status says so from now on.
                    let mut ended = (*mail.pod).clone();
                    ended.status = Some(status);
                    mail.pod = Arc::new(ended);
                });
                return Ok(Outcome::Over);
            }
            let settled = match has_work(&plan) {
                true => Ok(()),
                false => self.settle_cgroup(&pod),
            };
            self.publish(mail, &observed, false);
            if !has_work(&plan) {
                garbage::collect(self.context.runtime.as_ref(), &observed).await;
                settled?;
                return Ok(Outcome::Wait(self.next_look(&pod, &plan)));
            }
            if let Err(error) = self.act(&pod, &observed, &plan).await {
                let observed = self.observe(pod.uid()).await?;
                self.take_note(&pod, &observed).await;
                self.note_waiting(&pod, &plan);
                self.publish(mail, &observed, false);
                return Err(error);
            }
        }
        Ok(Outcome::Wait(Some(Instant::now() + BREATH)))
    }

    async fn act(&mut self, pod: &Pod, observed: &Observed, plan: &Plan) -> Result<(), Error> {
        if plan.sandbox.is_some_and(|attempt| attempt > 0) {
            self.context.pod_event(
                pod,
                false,
                "SandboxChanged",
                "Pod sandbox changed, it will be killed and re-created.",
            );
        }
        if plan.reset {
            self.stopper
                .stop_all(pod, observed, pod::grace_period(pod))
                .await?;
        }
        if let Some(attempt) = plan.sandbox {
            self.stopper.release(observed).await?;
            return self.create_sandbox(pod, attempt).await;
        }
        for kill in &plan.kill {
            self.stopper.stop_for(pod, observed, kill).await?;
        }
        // A container that can't be changed keeps no other from running.
        let mut outcome = self.resize(pod, observed, &plan.resize).await;
        for start in &plan.start {
            let started = self.start(pod, observed, start).await;
            outcome = outcome.and(started);
        }
        outcome
    }

    /// Does something that may take long, and tells meanwhile what becomes of
    /// the pod.
    async fn looking_on<T>(&mut self, mail: &Mail, work: impl Future<Output = T>) -> T {
        let mut news = self.mailbox.news();
        tokio::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return done,
                // The mailbox outlives its worker.
                _ = news.changed() => {
                    // What can't be seen now is seen afterwards.
                    if let Ok(now) = self.observe(mail.pod.uid()).await {
                        self.take_note(&mail.pod, &now).await;
                        self.publish(mail, &now, false);
                    }
                }
            }
        }
    }

    /// Keeps up with containers that came and went: probes, messages, health.
    async fn take_note(&mut self, pod: &Arc<Pod>, observed: &Observed) {
        self.mailbox.drain_findings(&mut self.health);
        let gone: Vec<(String, String)> = self
            .health
            .known()
            .filter(|(name, id)| {
                let latest = observed.latest(name);
                !latest.is_some_and(|i| i.state == State::Running && i.id == *id)
            })
            .map(|(name, id)| (name.to_owned(), id.to_owned()))
            .collect();
        for (name, id) in gone {
            self.health.end(&name);
            self.context.probes.stop(&id);
        }
        let ips = status::pod_ips(pod, observed, &self.notes);
        for container in pod::all_containers(pod) {
            let Some(instance) = observed.latest(&container.name) else {
                continue;
            };
            if instance.state == State::Running {
                self.troubles.remove(&container.name);
                if self.health.begin(&container.name, &instance.id) {
                    self.recall(pod, container, &instance.id);
                    let has_probe = container.readiness_probe.is_some();
                    self.context.probes.start(Target {
                        pod: pod.clone(),
                        container: container.clone(),
                        id: instance.id.clone(),
                        ip: ips.first().cloned().unwrap_or_default(),
                        started_at: instance.started_at,
                        started: self.health.is_started(container),
                        ready: has_probe && self.health.is_ready(container),
                    });
                }
            }
        }
        for instance in observed.containers.iter().filter(|i| i.finished_at > 0) {
            if !self.notes.messages.contains_key(&instance.id)
                && let Some(container) = pod::container(pod, &instance.name)
            {
                let roots = message::Roots {
                    pod: &self.context.volumes.pod_dir(pod.uid()),
                    logs: &self.context.places.logs,
                };
                let text = message::read(&container, instance, roots).await;
                self.notes
                    .messages
                    .extend(text.map(|t| (instance.id.clone(), t)));
            }
        }
        self.notes
            .messages
            .retain(|id, _| observed.containers.iter().any(|i| i.id == *id));
    }

    /// After a restart of this process the last status still holds for
    /// containers that run on: they don't become unready in between.
    fn recall(&mut self, pod: &Pod, container: &k8s_openapi::api::core::v1::Container, id: &str) {
        let status = pod.status.as_ref();
        let main = status.and_then(|s| s.container_statuses.as_deref());
        let init = status.and_then(|s| s.init_container_statuses.as_deref());
        let lists = main.into_iter().chain(init).flatten();
        let full = status::container_id(id);
        for known in lists {
            if known.name == container.name && known.container_id.as_ref() == Some(&full) {
                let started = known.started == Some(true);
                self.health.recall(&container.name, started, known.ready);
            }
        }
    }

    fn note_waiting(&mut self, pod: &Pod, plan: &Plan) {
        self.notes.waiting = self.troubles.clone();
        for (name, wait) in &plan.waiting {
            let text = format!(
                "back-off {} restarting failed container={name} pod={}",
                go_duration(wait.delay),
                pod::full_name(pod)
            );
            let note = ("CrashLoopBackOff".to_owned(), text);
            self.notes.waiting.insert(name.clone(), note);
            let now = Instant::now();
            let due = self
                .told
                .get(name)
                .is_none_or(|(until, at)| *until != wait.until || now - *at >= REMIND);
            if due {
                self.told.insert(name.clone(), (wait.until, now));
                let message = format!(
                    "Back-off restarting failed container {name} in pod {}",
                    pod::full_name(pod)
                );
                self.context
                    .container_event(pod, name, true, "BackOff", message);
            }
        }
    }

    fn publish(&mut self, mail: &Mail, observed: &Observed, over: bool) -> PodStatus {
        self.notes.over = over;
        self.notes.verdict = mail.verdict.clone();
        self.notes.pending = mail.pending.clone();
        let status = status::compute(&mail.pod, observed, &self.health, &self.notes);
        let target = mail.mirror.as_ref().unwrap_or(&mail.pod);
        if mail.mirror.is_some() || !pod::is_static(&mail.pod) {
            return self.context.statuses.set(target, status);
        }
        status
    }

    fn next_look(&self, pod: &Pod, plan: &Plan) -> Option<Instant> {
        let backoffs = plan.waiting.iter().map(|(_, wait)| wait.until);
        let first = backoffs.chain(self.deadline(pod)).min()?;
        let nanos = u64::try_from(first.saturating_sub(now())).unwrap_or(0);
        let first = Instant::now() + Duration::from_nanos(nanos);
        let reminders = plan
            .waiting
            .iter()
            .filter_map(|(name, _)| self.told.get(name));
        reminders.map(|(_, at)| *at + REMIND).chain([first]).min()
    }

    /// When the pod has been active for as long as it may.
    fn deadline(&self, pod: &Pod) -> Option<i64> {
        let seconds = pod::spec(pod).active_deadline_seconds?;
        let start = self.notes.start_time.as_ref()?.0.as_second();
        Some(start.saturating_add(seconds).saturating_mul(1_000_000_000))
    }

    fn exceed_deadline(&self, pod: &Pod) {
        let message = "Pod was active on the node longer than the specified deadline";
        self.context
            .pod_event(pod, false, "DeadlineExceeded", message);
        let verdict = Verdict {
            reason: "DeadlineExceeded".into(),
            message: message.into(),
            rejected: false,
            disruption: false,
        };
        self.mailbox.update(|mail| mail.verdict = Some(verdict));
    }
}

fn has_work(plan: &Plan) -> bool {
    let acts = !plan.kill.is_empty() || !plan.resize.is_empty() || !plan.start.is_empty();
    plan.reset || plan.sandbox.is_some() || acts
}

/// A duration as Go prints it: `10s`, `1m20s`, `5m0s`.
fn go_duration(duration: Duration) -> String {
    match duration.as_secs() {
        seconds @ 0..60 => format!("{seconds}s"),
        seconds => format!("{}m{}s", seconds / 60, seconds % 60),
    }
}

#[cfg(test)]
mod tests;
