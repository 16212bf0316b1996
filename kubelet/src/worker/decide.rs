//! What to do about a pod that should run: from its spec and what the runtime
//! shows, without any I/O.

use super::backoff::{Backoff, Wait};
use super::health::Health;
use super::observed::{Instance, Observed, State};
use crate::allocation::resize::{self, Change};
use crate::pod::{self, RestartPolicy};
use crate::probes;
use k8s_openapi::api::core::v1::{Container, Pod};

/// Everything a decision rests on.
pub struct Situation<'a> {
    /// What is wanted.
    pub pod: &'a Pod,
    /// What is there.
    pub observed: &'a Observed,
    /// What probes say.
    pub health: &'a Health,
    /// Who has to wait.
    pub backoff: &'a Backoff,
    /// Nanoseconds since the epoch.
    pub now: i64,
}

/// A container to stop, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kill {
    /// The runtime's id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What the event says.
    pub message: String,
    /// Seconds to stop, if not the pod's.
    pub grace: Option<i64>,
}

/// A container to start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// Its name.
    pub name: String,
    /// Restarts before this one.
    pub restart_count: i32,
    /// When its last life ended, if it had one.
    pub finished_at: Option<i64>,
}

/// What to do next.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Stop everything there is first.
    pub reset: bool,
    /// Then make a sandbox, with this attempt number.
    pub sandbox: Option<u32>,
    /// Stop these containers.
    pub kill: Vec<Kill>,
    /// Have the runtime change the resources of these: ids by name.
    pub resize: Vec<(String, String)>,
    /// Start these, in order.
    pub start: Vec<Start>,
    /// These wait for their back-off.
    pub waiting: Vec<(String, Wait)>,
    /// Everything has ended for good; what is left can be stopped.
    pub finished: bool,
}

impl Plan {
    fn finished() -> Self {
        Self {
            finished: true,
            ..Self::default()
        }
    }
}

/// The key under which a container's back-off is kept: a changed container
/// starts afresh, as does one with other resources.
pub fn backoff_key(container: &Container) -> String {
    let resources = serde_json::to_string(&container.resources).unwrap_or_default();
    let hash = pod::container_hash(container);
    format!("{}/{hash}/{resources}", container.name)
}

/// Decides.
pub fn decide(situation: &Situation<'_>) -> Plan {
    let Situation { pod, observed, .. } = *situation;
    let newest = observed.sandbox();
    let usable = newest.is_some_and(|s| {
        s.ready && s.host_network == pod::host_network(pod) && (s.host_network || !s.ips.is_empty())
    });
    if !usable {
        if !is_worth_a_sandbox(pod, observed) {
            return Plan::finished();
        }
        return Plan {
            reset: !observed.is_still(),
            sandbox: Some(newest.map_or(0, |s| s.attempt + 1)),
            ..Plan::default()
        };
    }
    let mut plan = Plan {
        start: newcomers(pod, observed),
        ..Plan::default()
    };
    match initialise(situation, &mut plan) {
        Progress::Done => run(situation, &mut plan),
        Progress::Under => {}
        Progress::Failed => plan.finished = true,
    }
    plan
}

/// Ephemeral containers that were never made: they run once, whatever the
/// others are at.
fn newcomers(pod: &Pod, observed: &Observed) -> Vec<Start> {
    let statuses = pod.status.as_ref();
    let statuses = statuses.and_then(|s| s.ephemeral_container_statuses.as_deref());
    let is_new = |name: &str| {
        let mut told = statuses.into_iter().flatten();
        // Of one that is gone from the runtime the API still knows.
        observed.latest(name).is_none() && !told.any(|s| s.name == name && s.container_id.is_some())
    };
    pod::ephemeral_containers(pod)
        .filter(|c| is_new(&c.name))
        .map(|c| Start {
            name: c.name.clone(),
            restart_count: 0,
            finished_at: None,
        })
        .collect()
}

/// Whether a pod without a sandbox has anything left to run in one.
fn is_worth_a_sandbox(pod: &Pod, observed: &Observed) -> bool {
    if observed.sandboxes.is_empty() && observed.containers.is_empty() {
        return true;
    }
    let policy = pod::restart_policy(pod);
    if policy == RestartPolicy::Never && !observed.containers.is_empty() {
        return false;
    }
    let containers = &pod::spec(pod).containers;
    containers
        .iter()
        .any(|c| !is_done(policy, observed.latest(&c.name)))
}

/// Whether a container has ended for good.
fn is_done(policy: RestartPolicy, latest: Option<&Instance>) -> bool {
    let Some(instance) = latest else {
        return false;
    };
    match (instance.state, policy) {
        (State::Running | State::Created, _) | (_, RestartPolicy::Always) => false,
        (_, RestartPolicy::Never) => true,
        (_, RestartPolicy::OnFailure) => instance.succeeded(),
    }
}

enum Progress {
    Done,
    Under,
    Failed,
}

/// Brings init containers on, one after the other, and keeps sidecars up.
fn initialise(situation: &Situation<'_>, plan: &mut Plan) -> Progress {
    let Situation { pod, observed, .. } = *situation;
    // Once a container was made, init containers are history: their instances
    // may have been collected.
    let initialised = pod::spec(pod)
        .containers
        .iter()
        .any(|c| observed.current(&c.name).is_some());
    for init in pod::init_containers(pod) {
        let current = observed.current(&init.name);
        if pod::is_sidecar(init) {
            let running = current.is_some_and(|i| i.state == State::Running);
            if !running || unwell(situation, init, current, true, plan) {
                if !running {
                    restart(situation, init, plan);
                }
                if !initialised {
                    return Progress::Under;
                }
            } else if !initialised && !situation.health.is_started(init) {
                return Progress::Under;
            }
            continue;
        }
        if initialised {
            continue;
        }
        match current {
            Some(instance) if instance.succeeded() => {}
            Some(instance) if instance.state == State::Running => {
                unwell(situation, init, current, true, plan);
                return Progress::Under;
            }
            Some(instance)
                if pod::restart_policy(pod) == RestartPolicy::Never
                    && instance.state == State::Exited =>
            {
                return Progress::Failed;
            }
            _ => {
                restart(situation, init, plan);
                return Progress::Under;
            }
        }
    }
    Progress::Done
}

/// Brings the containers up, and ends the pod when all have ended.
fn run(situation: &Situation<'_>, plan: &mut Plan) {
    let Situation { pod, observed, .. } = *situation;
    let policy = pod::restart_policy(pod);
    let mut ended = true;
    for container in &pod::spec(pod).containers {
        let latest = observed.latest(&container.name);
        let changed = latest.is_some_and(|i| i.hash != pod::container_hash(container));
        match latest {
            Some(instance) if instance.state == State::Running => {
                let restarts = policy != RestartPolicy::Never;
                unwell(situation, container, latest, restarts, plan);
                ended = false;
            }
            _ if !changed && is_done(policy, latest) => {}
            _ => {
                restart(situation, container, plan);
                ended = false;
            }
        }
    }
    if ended {
        let sidecars = pod::init_containers(pod).iter().rev();
        plan.start.clear();
        plan.waiting.clear();
        plan.kill = sidecars
            .filter_map(|c| observed.current(&c.name))
            .filter(|i| i.state == State::Running)
            .map(|i| Kill {
                id: i.id.clone(),
                name: i.name.clone(),
                message: format!("Stopping container {}", i.name),
                grace: None,
            })
            .collect();
        plan.finished = plan.kill.is_empty();
    }
}

/// Plans the end of a running container that has to be replaced, or that it gets other
/// resources.
fn unwell(
    situation: &Situation<'_>,
    container: &Container,
    current: Option<&Instance>,
    restarts: bool,
    plan: &mut Plan,
) -> bool {
    let Some(instance) = current else {
        return false;
    };
    let name = &container.name;
    let suffix = if restarts { ", will be restarted" } else { "" };
    let change = match resize::change(container, instance.resources.as_ref()) {
        // Whatever it was asked to have, it is given what it is to have.
        Change::None if instance.unsure => Change::Update,
        change => change,
    };
    let (message, grace) = if instance.hash != pod::container_hash(container) {
        let text = format!("Container {name} definition changed, will be restarted");
        (text, None)
    } else if change == Change::Restart {
        (format!("Container {name} resize requires restart"), None)
    } else {
        if change == Change::Update {
            plan.resize.push((name.clone(), instance.id.clone()));
        }
        let Some(kind) = situation.health.failure(name, &instance.id) else {
            return false;
        };
        let probe = kind.to_string().to_lowercase();
        let text = format!("Container {name} failed {probe} probe{suffix}");
        (text, probes::kill_grace(kind, container))
    };
    plan.kill.push(Kill {
        id: instance.id.clone(),
        name: name.clone(),
        message,
        grace,
    });
    true
}

/// Plans the next life of a container, now or when its back-off has passed.
fn restart(situation: &Situation<'_>, container: &Container, plan: &mut Plan) {
    let latest = situation.observed.latest(&container.name);
    // One that ended without having run has no finish time to count from.
    let finished_at = latest.map(|i| i.finished_at.max(i.created_at));
    let key = backoff_key(container);
    let wait = finished_at.and_then(|at| situation.backoff.wait(&key, at, situation.now));
    match wait {
        Some(wait) => plan.waiting.push((container.name.clone(), wait)),
        None => plan.start.push(Start {
            name: container.name.clone(),
            restart_count: latest.map_or(0, |i| i.restart_count + 1),
            finished_at,
        }),
    }
}

#[cfg(test)]
#[path = "decide_tests.rs"]
mod tests;
