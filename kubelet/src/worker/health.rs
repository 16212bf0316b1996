//! What probes have said about the containers that run now.

use crate::probes::{Kind, Update};
use k8s_openapi::api::core::v1::Container;
use std::collections::HashMap;

/// Results for one life of a container.
#[derive(Clone, Debug, Default)]
struct Results {
    id: String,
    ready: bool,
    started: bool,
    failure: Option<Kind>,
}

/// Results by container name.
#[derive(Clone, Debug, Default)]
pub struct Health(HashMap<String, Results>);

impl Health {
    /// A life begins, or is seen for the first time: what an earlier one was
    /// like doesn't count. True if it is new.
    pub fn begin(&mut self, name: &str, id: &str) -> bool {
        if self.0.get(name).is_some_and(|r| r.id == id) {
            return false;
        }
        let results = Results {
            id: id.to_owned(),
            ..Results::default()
        };
        self.0.insert(name.to_owned(), results);
        true
    }

    /// The life that is known of a container.
    pub fn known(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, r)| (name.as_str(), r.id.as_str()))
    }

    /// Forgets a container that doesn't run any more.
    pub fn end(&mut self, name: &str) {
        self.0.remove(name);
    }

    /// What was known of this life before this process began.
    pub fn recall(&mut self, name: &str, started: bool, ready: bool) {
        if let Some(results) = self.0.get_mut(name) {
            results.started |= started;
            results.ready |= ready;
        }
    }

    /// Takes a probe's verdict, if it is about the present life.
    pub fn apply(&mut self, update: &Update) {
        let life = self.0.get_mut(&update.container);
        let Some(results) = life.filter(|r| r.id == update.container_id) else {
            return;
        };
        match (update.kind, update.success) {
            (Kind::Readiness, ready) => results.ready = ready,
            (Kind::Startup, true) => results.started = true,
            (Kind::Liveness, true) => {}
            (kind, false) => results.failure = Some(kind),
        }
    }

    /// What ends this life, if anything.
    pub fn failure(&self, name: &str, id: &str) -> Option<Kind> {
        let results = self.0.get(name).filter(|r| r.id == id)?;
        results.failure
    }

    /// Whether a running container has started up.
    pub fn is_started(&self, container: &Container) -> bool {
        container.startup_probe.is_none() || self.0.get(&container.name).is_some_and(|r| r.started)
    }

    /// Whether a running container is ready.
    pub fn is_ready(&self, container: &Container) -> bool {
        self.is_started(container)
            && (container.readiness_probe.is_none()
                || self.0.get(&container.name).is_some_and(|r| r.ready))
    }
}
