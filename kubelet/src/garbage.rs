//! Takes dead containers and sandboxes out of the runtime. Of each container
//! the last two lives are kept: for their logs and how they ended.

use crate::cri::{self, Runtime};
use crate::worker::observed::{Observed, State};
use std::collections::HashMap;

/// Lives of a container that are kept.
const KEPT: usize = 2;

/// Containers and sandboxes that nobody needs any more.
fn excess(observed: &Observed) -> (Vec<&str>, Vec<&str>) {
    let mut lives: HashMap<&str, usize> = HashMap::new();
    let mut containers = Vec::new();
    for instance in &observed.containers {
        let count = lives.entry(&instance.name).or_default();
        *count += 1;
        if *count > KEPT && matches!(instance.state, State::Exited | State::Created) {
            containers.push(instance.id.as_str());
        }
    }
    let in_use = |sandbox: &str| {
        let mut all = observed.containers.iter();
        all.any(|c| c.sandbox == sandbox && !containers.contains(&c.id.as_str()))
    };
    let sandboxes = observed.sandboxes.iter().skip(1);
    let sandboxes = sandboxes
        .filter(|s| !s.ready && !in_use(&s.id))
        .map(|s| s.id.as_str())
        .collect();
    (containers, sandboxes)
}

/// Removes what is in excess; what fails stays for the next time.
pub async fn collect(runtime: &dyn Runtime, observed: &Observed) {
    let (containers, sandboxes) = excess(observed);
    for id in containers {
        if let Err(error) = runtime.remove_container(id).await {
            tracing::debug!(id, %error, "dead container stays");
        }
    }
    for id in sandboxes {
        if let Err(error) = runtime.remove_pod_sandbox(id).await {
            tracing::debug!(id, %error, "dead sandbox stays");
        }
    }
}

/// Removes everything of a pod that has ended.
pub async fn remove_all(runtime: &dyn Runtime, observed: &Observed) -> Result<(), cri::Error> {
    for instance in &observed.containers {
        ignore_missing(runtime.remove_container(&instance.id).await)?;
    }
    for sandbox in &observed.sandboxes {
        // Stopping is what gives the address back; repeating it does no harm.
        ignore_missing(runtime.stop_pod_sandbox(&sandbox.id).await)?;
        ignore_missing(runtime.remove_pod_sandbox(&sandbox.id).await)?;
    }
    Ok(())
}

fn ignore_missing(outcome: Result<(), cri::Error>) -> Result<(), cri::Error> {
    match outcome {
        Err(error) if error.is_not_found() => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::worker::observed::{Instance, Sandbox};

    #[test]
    fn the_last_two_lives_are_kept() {
        let instance = |id: &str, sandbox: &str| Instance {
            id: id.into(),
            name: "web".into(),
            sandbox: sandbox.into(),
            state: State::Exited,
            ..Default::default()
        };
        let sandbox = |id: &str, ready| Sandbox {
            id: id.into(),
            ready,
            ..Default::default()
        };
        let observed = Observed {
            sandboxes: vec![
                sandbox("s3", true),
                sandbox("s2", false),
                sandbox("s1", false),
            ],
            containers: vec![
                instance("c3", "s3"),
                instance("c2", "s2"),
                instance("c1", "s1"),
            ],
        };
        assert_eq!(excess(&observed), (vec!["c1"], vec!["s1"]));
    }
}
