//! The phase of a pod, from the states of its containers.

use crate::pod::{self, RestartPolicy};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};

/// How many containers are in which state.
#[derive(Default)]
struct Count {
    waiting: usize,
    running: usize,
    stopped: usize,
    succeeded: usize,
}

impl Count {
    fn add(&mut self, status: &ContainerStatus) {
        let state = status.state.clone().unwrap_or_default();
        let last = status.last_state.clone().unwrap_or_default();
        if state.running.is_some() {
            self.running += 1;
        } else if let Some(ended) = state.terminated {
            self.stopped += 1;
            self.succeeded += usize::from(ended.exit_code == 0);
        } else if last.terminated.is_some() {
            // Waits for its back-off: it has run.
            self.stopped += 1;
        } else {
            self.waiting += 1;
        }
    }
}

/// Computes it.
pub fn phase(pod: &Pod, init: &[ContainerStatus], main: &[ContainerStatus]) -> &'static str {
    let policy = pod::restart_policy(pod);
    let mut count = Count::default();
    main.iter().for_each(|status| count.add(status));
    let begun = count.running + count.stopped > 0;
    if !begun {
        for (container, status) in pod::init_containers(pod).iter().zip(init) {
            let state = status.state.clone().unwrap_or_default();
            match state.terminated {
                Some(ended) if ended.exit_code == 0 => {}
                Some(_) if policy == RestartPolicy::Never && !pod::is_sidecar(container) => {
                    return "Failed";
                }
                _ if pod::is_sidecar(container) && status.started == Some(true) => {}
                _ => return "Pending",
            }
        }
    }
    let sidecar_runs = pod::init_containers(pod)
        .iter()
        .zip(init)
        .any(|(c, s)| pod::is_sidecar(c) && s.state.iter().any(|s| s.running.is_some()));
    match policy {
        _ if count.waiting > 0 || !begun => "Pending",
        _ if count.running > 0 => "Running",
        RestartPolicy::Always => "Running",
        _ if sidecar_runs => "Running",
        _ if count.succeeded == count.stopped => "Succeeded",
        RestartPolicy::Never => "Failed",
        RestartPolicy::OnFailure => "Running",
    }
}
