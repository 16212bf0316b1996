//! What a process needs of its host: settings of the kernel, programs, files.
//!
//! Nothing is taken for granted. A setting of the kernel that is otherwise is
//! put right, if the process may do that; a module that it belongs to is
//! loaded. What stays wrong is told where people look: in the log when it
//! begins and ends, in `/readyz` ([`Watched::check`], [`Watched::warn`]), as the metric
//! `hardway_host_requirement_met`, and as an event of the node
//! ([`tell_node`]). It is looked at again every minute, since other programs
//! set the same settings.

mod kernel;
mod requirement;

pub use kernel::{Host, Linux};
pub use requirement::{Complaint, Outcome, Requirement, What};

use crate::events::{EventType, Recorder};
use crate::metrics::{IntGaugeVec, register_int_gauge_vec};
use crate::task;
use k8s_openapi::api::core::v1::ObjectReference;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

/// How long a setting that somebody changed stays so at most.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

static MET: LazyLock<IntGaugeVec> = LazyLock::new(|| {
    register_int_gauge_vec!(
        "hardway_host_requirement_met",
        "Whether the host is as this process needs it, by setting, program or file.",
        &["requirement"]
    )
    .expect("the name is registered once")
});

/// How the host was when it was looked at last; clones share it.
#[derive(Clone, Default)]
pub struct Watched(Arc<Mutex<BTreeMap<&'static str, Complaint>>>);

impl Watched {
    /// For a readiness check: what the process can't do its work without.
    ///
    /// # Errors
    /// With all that is missing, and the way out.
    pub fn check(&self) -> Result<(), String> {
        self.texts(true)
    }

    /// For a warning beside the checks: what it can do without, but not well.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub fn warn(&self) -> Result<(), String> {
        self.texts(false)
    }

    fn texts(&self, vital: bool) -> Result<(), String> {
        let complaints = self.0.lock();
        let chosen = complaints.values().filter(|c| c.vital == vital);
        let texts: Vec<&str> = chosen.map(|c| c.text.as_str()).collect();
        match texts.is_empty() {
            true => Ok(()),
            false => Err(texts.join("; ")),
        }
    }

    /// Looks at everything, puts right what can be, and tells what is new.
    fn look(&self, host: &dyn Host, requirements: &[Requirement], on_new: &dyn Fn(&Complaint)) {
        for requirement in requirements {
            let name = requirement.name();
            let complaint = match requirement.settle(host) {
                Outcome::Met => None,
                Outcome::Mended(how) => {
                    tracing::info!(requirement = name, "{how}");
                    None
                }
                Outcome::Unmet(complaint) => Some(complaint),
            };
            let met = i64::from(complaint.is_none());
            MET.with_label_values(&[name]).set(met);
            let before = match &complaint {
                Some(complaint) => self.0.lock().insert(name, complaint.clone()),
                None => self.0.lock().remove(name),
            };
            match (before, complaint) {
                (before, Some(now)) if before.as_ref() != Some(&now) => {
                    match now.vital {
                        true => tracing::error!(requirement = name, "{}", now.text),
                        false => tracing::warn!(requirement = name, "{}", now.text),
                    }
                    on_new(&now);
                }
                (Some(_), None) => tracing::info!(requirement = name, "is as it should be now"),
                _ => {}
            }
        }
    }
}

/// Looks at the host now, before it returns, and every minute from then on.
/// `on_new` hears of each complaint that there wasn't before.
pub fn watch(
    requirements: &'static [Requirement],
    on_new: impl Fn(&Complaint) + Send + Sync + 'static,
) -> Watched {
    let (watched, on_new) = (Watched::default(), Arc::new(on_new));
    watched.look(&Linux, requirements, &*on_new);
    let shared = watched.clone();
    task::spawn_critical("host", async move {
        loop {
            tokio::time::sleep(LOOK_AGAIN).await;
            let (watched, on_new) = (shared.clone(), on_new.clone());
            // Loading a module takes as long as it takes.
            let look = move || watched.look(&Linux, requirements, &*on_new);
            if let Err(error) = tokio::task::spawn_blocking(look).await {
                tracing::error!(%error, "cannot look at the host");
            }
        }
    });
    watched
}

/// Tells complaints as events of a node, where `kubectl describe node` shows them.
pub fn tell_node(recorder: Recorder, node: &str) -> impl Fn(&Complaint) + Send + Sync + 'static {
    // Events of a node name it for its UID, as those of kubelets do.
    let object = ObjectReference {
        kind: Some("Node".into()),
        name: Some(node.to_owned()),
        uid: Some(node.to_owned()),
        ..Default::default()
    };
    move |complaint| {
        recorder.event(
            object.clone(),
            EventType::Warning,
            "HostRequirementNotMet",
            complaint.text.clone(),
        );
    }
}

#[cfg(test)]
mod tests;
