//! The conditions of a pod that the kubelet sets.

use super::{Notes, condition};
use crate::allocation::resize::{self, Change, Pending};
use crate::pod;
use crate::worker::observed::{Observed, State};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod, PodCondition};

/// Condition types that the kubelet owns; all others are left as they are.
pub const OWNED: [&str; 7] = [
    "PodReadyToStartContainers",
    "Initialized",
    "Ready",
    "ContainersReady",
    "PodScheduled",
    RESIZE_PENDING,
    RESIZE_IN_PROGRESS,
];
/// Of these, those that are there only while they hold.
pub const PASSING: [&str; 2] = [RESIZE_PENDING, RESIZE_IN_PROGRESS];

const RESIZE_PENDING: &str = "PodResizePending";
const RESIZE_IN_PROGRESS: &str = "PodResizeInProgress";

/// All of them.
pub fn all(
    pod: &Pod,
    phase: &str,
    init: &[ContainerStatus],
    main: &[ContainerStatus],
    observed: &Observed,
) -> Vec<PodCondition> {
    let reachable = observed
        .ready_sandbox()
        .is_some_and(|s| s.host_network || !s.ips.is_empty());
    let containers = containers_ready(pod, phase, init, main);
    vec![
        condition("PodReadyToStartContainers", reachable, "", String::new()),
        initialized(pod, phase, init, main),
        ready(pod, &containers),
        containers,
        condition("PodScheduled", true, "", String::new()),
    ]
}

/// That the pod asks for other resources than it was given, and that its containers don't
/// have yet what it was.
pub fn of_resize(pod: &Pod, observed: &Observed, notes: &Notes) -> Vec<PodCondition> {
    let mut conditions = Vec::new();
    if let Some(Pending { reason, message }) = &notes.pending {
        conditions.push(condition(RESIZE_PENDING, true, reason, message.clone()));
    }
    let changes = pod::all_containers(pod).any(|container| {
        let running = observed.latest(&container.name);
        let running = running.filter(|instance| instance.state == State::Running);
        let has = running.and_then(|instance| instance.resources.as_ref());
        resize::change(container, has) != Change::None
    });
    match &notes.resize_error {
        Some(error) => {
            conditions.push(condition(RESIZE_IN_PROGRESS, true, "Error", error.clone()));
        }
        None if changes => {
            conditions.push(condition(RESIZE_IN_PROGRESS, true, "", String::new()));
        }
        None => {}
    }
    conditions
}

fn initialized(
    pod: &Pod,
    phase: &str,
    init: &[ContainerStatus],
    main: &[ContainerStatus],
) -> PodCondition {
    let begun = |s: &ContainerStatus| {
        let state = s.state.as_ref();
        let last = s.last_state.as_ref();
        state.is_some_and(|s| s.running.is_some() || s.terminated.is_some())
            || last.is_some_and(|s| s.terminated.is_some())
    };
    if phase == "Succeeded" {
        return condition("Initialized", true, "PodCompleted", String::new());
    }
    let incomplete: Vec<&str> = pod::init_containers(pod)
        .iter()
        .zip(init)
        .filter(|(container, status)| {
            if pod::is_sidecar(container) {
                status.started != Some(true)
            } else {
                !status.ready
            }
        })
        .map(|(container, _)| container.name.as_str())
        .collect();
    if incomplete.is_empty() || main.iter().any(begun) {
        return condition("Initialized", true, "", String::new());
    }
    let message = format!(
        "containers with incomplete status: [{}]",
        incomplete.join(" ")
    );
    condition("Initialized", false, "ContainersNotInitialized", message)
}

fn containers_ready(
    pod: &Pod,
    phase: &str,
    init: &[ContainerStatus],
    main: &[ContainerStatus],
) -> PodCondition {
    const KIND: &str = "ContainersReady";
    match phase {
        "Succeeded" => return condition(KIND, false, "PodCompleted", String::new()),
        "Failed" => return condition(KIND, false, "PodFailed", String::new()),
        _ => {}
    }
    let sidecars = pod::init_containers(pod)
        .iter()
        .zip(init)
        .filter(|(container, _)| pod::is_sidecar(container))
        .map(|(_, status)| status);
    let unready: Vec<&str> = sidecars
        .chain(main)
        .filter(|status| !status.ready)
        .map(|status| status.name.as_str())
        .collect();
    if unready.is_empty() {
        return condition(KIND, true, "", String::new());
    }
    let message = format!("containers with unready status: [{}]", unready.join(" "));
    condition(KIND, false, "ContainersNotReady", message)
}

fn ready(pod: &Pod, containers: &PodCondition) -> PodCondition {
    if containers.status != "True" {
        return PodCondition {
            type_: "Ready".into(),
            ..containers.clone()
        };
    }
    let present = pod.status.as_ref().and_then(|s| s.conditions.as_deref());
    let mut problems = Vec::new();
    for gate in pod::spec(pod).readiness_gates.iter().flatten() {
        let kind = &gate.condition_type;
        let found = present
            .unwrap_or_default()
            .iter()
            .find(|c| &c.type_ == kind);
        match found {
            None => problems.push(format!(
                "corresponding condition of pod readiness gate {kind:?} does not exist."
            )),
            Some(condition) if condition.status != "True" => problems.push(format!(
                "the status of pod readiness gate {kind:?} is not \"True\", but {}",
                condition.status
            )),
            Some(_) => {}
        }
    }
    if problems.is_empty() {
        condition("Ready", true, "", String::new())
    } else {
        condition(
            "Ready",
            false,
            "ReadinessGatesNotReady",
            problems.join(", "),
        )
    }
}
