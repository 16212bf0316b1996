//! The status of one container.

use super::{Notes, time};
use crate::pod::{self, Role};
use crate::worker::health::Health;
use crate::worker::observed::{Instance, Observed, State};
use k8s_openapi::api::core::v1::{
    Container, ContainerState, ContainerStateRunning, ContainerStateTerminated,
    ContainerStateWaiting, ContainerStatus, Pod,
};

/// Runtime that container ids are of; part of the id in the API.
const RUNTIME: &str = "containerd";

/// An id as the API has it.
pub fn container_id(id: &str) -> String {
    format!("{RUNTIME}://{id}")
}

/// Computes it.
pub fn status(
    pod: &Pod,
    container: &Container,
    role: Role,
    observed: &Observed,
    health: &Health,
    notes: &Notes,
) -> ContainerStatus {
    let latest = observed.latest(&container.name);
    let note = notes.waiting.get(&container.name);
    let running = latest.is_some_and(|i| i.state == State::Running);
    let initial = role == Role::Init;
    let sidecar = initial && pod::is_sidecar(container);
    let known = recorded(pod, &container.name, role);
    let (state, last) = match latest {
        None => match known {
            // The runtime has lost it: nobody knows how it ended.
            Some(old) if old.container_id.is_some() && notes.over => (
                old.state.clone().unwrap_or_default(),
                old.last_state.clone().unwrap_or_default(),
            ),
            _ => (
                waiting(pod, initial, note, notes.over),
                ContainerState::default(),
            ),
        },
        Some(instance) => {
            let previous = observed
                .previous(&container.name)
                .map(|i| terminated(i, notes))
                .unwrap_or_else(|| recorded_end(known, instance));
            match (instance.state, note) {
                (State::Running, _) => (
                    ContainerState {
                        running: Some(ContainerStateRunning {
                            started_at: Some(time(instance.started_at)),
                        }),
                        ..Default::default()
                    },
                    previous,
                ),
                (State::Created, _) => (waiting(pod, initial, note, notes.over), previous),
                // It comes again: what there is is the past.
                (_, Some(_)) if !notes.over => (
                    waiting(pod, initial, note, false),
                    terminated(instance, notes),
                ),
                _ => (terminated(instance, notes), previous),
            }
        }
    };
    let ready = match role {
        Role::Init if !sidecar => latest.is_some_and(Instance::succeeded),
        Role::Init | Role::Main => running && health.is_ready(container),
        // Nobody waits for those.
        Role::Ephemeral => false,
    };
    let started = running && health.is_started(container);
    let mut restart_count = latest.map_or(0, |i| i.restart_count);
    if let (None, Some(old)) = (latest, known) {
        restart_count = old.restart_count;
    }
    let image = container.image.clone().unwrap_or_default();
    let has = latest.filter(|_| running && role != Role::Ephemeral);
    let given = container.resources.clone().unwrap_or_default();
    ContainerStatus {
        allocated_resources: has.and(given.requests.clone()),
        resources: has.map(|instance| instance.resources.clone().unwrap_or(given)),
        name: container.name.clone(),
        container_id: latest.map(|i| container_id(&i.id)),
        image: latest
            .map(|i| i.image.clone())
            .filter(|i| !i.is_empty() && !i.starts_with("sha256:"))
            .unwrap_or(image),
        image_id: latest.map(|i| i.image_ref.clone()).unwrap_or_default(),
        ready,
        started: (role != Role::Ephemeral).then_some(started),
        restart_count,
        state: Some(state),
        last_state: (last != ContainerState::default()).then_some(last),
        ..Default::default()
    }
}

fn waiting(
    pod: &Pod,
    initial: bool,
    note: Option<&(String, String)>,
    over: bool,
) -> ContainerState {
    let default = if initial || !pod::init_containers(pod).is_empty() {
        "PodInitializing"
    } else {
        "ContainerCreating"
    };
    let (reason, message) = match note {
        Some((reason, message)) if !over => (reason.clone(), Some(message.clone())),
        _ => (default.to_owned(), None),
    };
    ContainerState {
        waiting: Some(ContainerStateWaiting {
            reason: Some(reason),
            message: message.filter(|m| !m.is_empty()),
        }),
        ..Default::default()
    }
}

fn terminated(instance: &Instance, notes: &Notes) -> ContainerState {
    let reason = match instance.reason.as_str() {
        "" if instance.state == State::Unknown => "ContainerStatusUnknown",
        "" if instance.exit_code == 0 => "Completed",
        "" => "Error",
        reason => reason,
    };
    let written = notes.messages.get(&instance.id).cloned();
    let said = (!instance.message.is_empty()).then(|| instance.message.clone());
    // One that never began is told with the first moment there is, as by Kubernetes. When one
    // ended that was cut off, as by a host that lost its power, nobody knows.
    let cut_off = instance.state == State::Unknown || instance.started_at > 0;
    let moment = |nanos: i64| (nanos > 0 || !cut_off).then(|| time(nanos.max(0)));
    ContainerState {
        terminated: Some(ContainerStateTerminated {
            container_id: Some(container_id(&instance.id)),
            exit_code: instance.exit_code,
            reason: Some(reason.into()),
            message: written.or(said),
            started_at: moment(instance.started_at),
            finished_at: moment(instance.finished_at),
            ..Default::default()
        }),
        ..Default::default()
    }
}

fn recorded<'a>(pod: &'a Pod, name: &str, role: Role) -> Option<&'a ContainerStatus> {
    let status = pod.status.as_ref()?;
    let list = match role {
        Role::Main => status.container_statuses.as_ref(),
        Role::Init => status.init_container_statuses.as_ref(),
        Role::Ephemeral => status.ephemeral_container_statuses.as_ref(),
    };
    list?.iter().find(|s| s.name == name)
}

/// How the life before this one ended, as the API has it: the runtime's trace
/// of it may have been collected.
fn recorded_end(known: Option<&ContainerStatus>, instance: &Instance) -> ContainerState {
    let Some(known) = known.filter(|_| instance.restart_count > 0) else {
        return ContainerState::default();
    };
    let is_older = |state: &ContainerState| {
        let ended = state.terminated.as_ref();
        let id = ended.and_then(|t| t.container_id.as_deref());
        ended.is_some() && id != Some(container_id(&instance.id).as_str())
    };
    let states = [known.state.as_ref(), known.last_state.as_ref()];
    states
        .into_iter()
        .flatten()
        .find(|s| is_older(s))
        .cloned()
        .unwrap_or_default()
}
