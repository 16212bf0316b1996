//! A pod's status: computed from what the runtime shows ([`compute`]), and
//! written to the apiserver ([`writer`]).

mod conditions;
mod containers;
mod phase;
pub mod writer;

pub use containers::container_id;

use crate::allocation::resize::Pending;
use crate::pod::{self, Role};
use crate::qos;
use crate::worker::health::Health;
use crate::worker::observed::Observed;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, HostIP, Pod, PodCondition, PodIP, PodStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use std::collections::BTreeMap;

/// Why a pod is over, whatever its containers say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// `status.reason`.
    pub reason: String,
    /// `status.message`.
    pub message: String,
    /// Whether the pod was turned away before anything of it ran.
    pub rejected: bool,
    /// Whether it ends for no reason of its own: the condition DisruptionTarget.
    pub disruption: bool,
}

/// What the kubelet knows besides what the runtime shows.
#[derive(Clone, Debug, Default)]
pub struct Notes {
    /// Why containers wait: reason and message by name.
    pub waiting: BTreeMap<String, (String, String)>,
    /// Termination messages by the runtime's container id.
    pub messages: BTreeMap<String, String>,
    /// Why the pod failed as a whole.
    pub verdict: Option<Verdict>,
    /// Addresses of this node.
    pub host_ips: Vec<String>,
    /// When the kubelet took the pod on.
    pub start_time: Option<Time>,
    /// Nothing of the pod will be started any more.
    pub over: bool,
    /// Why it doesn't have what it asks for of the node's resources.
    pub pending: Option<Pending>,
    /// Why its containers can't be given what the pod was given.
    pub resize_error: Option<String>,
}

/// A moment in whole seconds, as the API has it.
pub fn time(nanos: i64) -> Time {
    let seconds = nanos.div_euclid(1_000_000_000);
    Time(Timestamp::from_second(seconds).unwrap_or(Timestamp::UNIX_EPOCH))
}

/// This moment, in whole seconds.
pub fn now() -> Time {
    Time(Timestamp::from_second(Timestamp::now().as_second()).unwrap_or(Timestamp::UNIX_EPOCH))
}

fn condition(kind: &str, met: bool, reason: &str, message: String) -> PodCondition {
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    PodCondition {
        type_: kind.into(),
        status: if met { "True" } else { "False" }.into(),
        reason: some(reason),
        message: some(&message),
        ..Default::default()
    }
}

/// The status that tells what is observed.
pub fn compute(pod: &Pod, observed: &Observed, health: &Health, notes: &Notes) -> PodStatus {
    let of = |list: &[Container], role: Role| -> Vec<_> {
        list.iter()
            .map(|c| containers::status(pod, c, role, observed, health, notes))
            .collect()
    };
    let ephemeral: Vec<Container> = pod::ephemeral_containers(pod).map(pod::ordinary).collect();
    let init = of(pod::init_containers(pod), Role::Init);
    let main = of(&pod::spec(pod).containers, Role::Main);
    let ephemeral = of(&ephemeral, Role::Ephemeral);
    let mut phase = phase::phase(pod, &init, &main);
    if notes.verdict.is_some() {
        phase = "Failed";
    } else if pod::is_terminal(pod) {
        // Once over, a pod stays over.
        phase = if pod::phase(pod) == "Failed" {
            "Failed"
        } else {
            "Succeeded"
        };
    }
    let old = pod.status.as_ref();
    // Of a pod that was turned away there are no containers to tell of.
    let rejected = match &notes.verdict {
        Some(verdict) => verdict.rejected,
        None => pod::is_terminal(pod) && old.is_some_and(|s| s.container_statuses.is_none()),
    };
    let listed = |statuses: Vec<_>| (!rejected && !statuses.is_empty()).then_some(statuses);
    let ips = pod_ips(pod, observed, notes);
    let mut conditions = conditions::all(pod, phase, &init, &main, observed);
    if let Some(verdict) = notes.verdict.as_ref().filter(|v| v.disruption) {
        let (reason, message) = ("TerminationByKubelet", verdict.message.clone());
        conditions.push(condition("DisruptionTarget", true, reason, message));
    }
    conditions.extend(conditions::of_resize(pod, observed, notes));
    PodStatus {
        phase: Some(phase.into()),
        conditions: Some(conditions),
        reason: match &notes.verdict {
            Some(verdict) => Some(verdict.reason.clone()),
            None => old
                .filter(|_| pod::is_terminal(pod))
                .and_then(|s| s.reason.clone()),
        },
        message: match &notes.verdict {
            Some(verdict) => Some(verdict.message.clone()),
            None => old
                .filter(|_| pod::is_terminal(pod))
                .and_then(|s| s.message.clone()),
        },
        host_ip: notes.host_ips.first().cloned(),
        host_ips: (!notes.host_ips.is_empty()).then(|| {
            let list = notes.host_ips.iter();
            list.map(|ip| HostIP { ip: ip.clone() }).collect()
        }),
        pod_ip: ips.first().cloned(),
        pod_ips: (!ips.is_empty()).then(|| ips.iter().map(|ip| PodIP { ip: ip.clone() }).collect()),
        start_time: notes.start_time.clone(),
        qos_class: Some(qos::class(pod).as_str().into()),
        init_container_statuses: listed(init),
        container_statuses: listed(main),
        ephemeral_container_statuses: listed(ephemeral),
        ..Default::default()
    }
}

/// Addresses of the pod: its sandbox's, or the node's. A pod that is over
/// keeps telling those it had.
pub fn pod_ips(pod: &Pod, observed: &Observed, notes: &Notes) -> Vec<String> {
    let current = match observed.ready_sandbox() {
        Some(_) if pod::host_network(pod) => notes.host_ips.clone(),
        Some(sandbox) => sandbox.ips.clone(),
        None => Vec::new(),
    };
    if !current.is_empty() || !(notes.over || pod::is_terminal(pod) || pod::is_deleting(pod)) {
        return current;
    }
    let old = pod.status.as_ref().and_then(|s| s.pod_ips.as_ref());
    old.into_iter().flatten().map(|p| p.ip.clone()).collect()
}

#[cfg(test)]
mod tests;
