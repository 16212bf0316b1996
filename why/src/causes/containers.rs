//! The containers of a pod with their statuses, as the causes about pods look at them.

use std::fmt;

use serde_json::Value;

use crate::diagnosis::{Evidence, Source};
use crate::object::{Json, Object};

/// What a container ended with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ended<'a> {
    pub code: i64,
    pub signal: Option<i64>,
    pub reason: &'a str,
    pub message: &'a str,
    pub at: Option<jiff::Timestamp>,
    /// `state.terminated`, or `lastState.terminated`.
    pub field: &'static str,
}

pub(super) struct Container<'a> {
    pub name: &'a str,
    pub spec: &'a Value,
    pub status: &'a Value,
    /// Whether it has to end before the others start; sidecars have not.
    pub is_init: bool,
    list: &'static str,
}

impl fmt::Display for Container<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.is_init {
            "init container"
        } else {
            "container"
        };
        write!(f, "{kind} {}", self.name)
    }
}

impl<'a> Container<'a> {
    pub fn image(&self) -> &'a str {
        let image = self.spec.text("/image").or(self.status.text("/image"));
        image.unwrap_or_default()
    }

    /// Reason and message, while it waits.
    pub fn waiting(&self) -> Option<(&'a str, &'a str)> {
        let reason = self.status.text("/state/waiting/reason")?;
        let message = self.status.text("/state/waiting/message");
        Some((reason, message.unwrap_or_default()))
    }

    pub fn is_running(&self) -> bool {
        self.status.pointer("/state/running").is_some()
    }

    pub fn restarts(&self) -> i64 {
        self.status.number("/restartCount").unwrap_or_default()
    }

    /// How its last run that is over has ended.
    pub fn ended(&self) -> Option<Ended<'a>> {
        let of = |pointer: &str, field| {
            let state = self.status.pointer(pointer)?;
            Some(Ended {
                code: state.number("/exitCode")?,
                signal: state.number("/signal").filter(|it| *it > 0),
                reason: state.text("/reason").unwrap_or_default(),
                message: state.text("/message").unwrap_or_default(),
                at: state.time("/finishedAt"),
                field,
            })
        };
        of("/state/terminated", "state/terminated")
            .or_else(|| of("/lastState/terminated", "lastState/terminated"))
    }

    /// Evidence from its status: `status.containerStatuses[web].state.waiting`.
    pub fn says(&self, pod: &Object<'_>, field: &str, says: impl Into<String>) -> Evidence {
        let field = field.replace('/', ".");
        let path = format!("status.{}[{}].{field}", self.list, self.name);
        pod.evidence(Source::Field(path), says)
    }
}

/// All containers of a pod, those that run first before the others.
pub(super) fn all<'a>(pod: &Object<'a>) -> Vec<Container<'a>> {
    let lists = [
        ("/spec/initContainers", "initContainerStatuses", true),
        ("/spec/containers", "containerStatuses", false),
    ];
    let of = |(specs, list, is_init): (&str, &'static str, bool)| {
        let statuses = pod.value.list(&format!("/status/{list}"));
        let specs = pod.value.list(specs).iter();
        specs.filter_map(move |spec| {
            let name = spec.text("/name")?;
            let status = statuses.iter().find(|it| it.text("/name") == Some(name));
            Some(Container {
                name,
                spec,
                status: status.unwrap_or(&Value::Null),
                is_init: is_init && spec.text("/restartPolicy") != Some("Always"),
                list,
            })
        })
    };
    lists.into_iter().flat_map(of).collect()
}
