//! What is told of the node as events, in Kubernetes' words.

use hardway_client::events::{EventType, Recorder};
use k8s_openapi::api::core::v1::{Node, NodeCondition, NodeStatus, ObjectReference};

/// Tells events about one node.
pub struct Teller {
    recorder: Recorder,
    name: String,
    unschedulable: bool,
}

/// Conditions and what their changes are called: when true, when false.
const NAMES: [(&str, &str, &str); 4] = [
    (
        "MemoryPressure",
        "NodeHasInsufficientMemory",
        "NodeHasSufficientMemory",
    ),
    (
        "DiskPressure",
        "NodeHasDiskPressure",
        "NodeHasNoDiskPressure",
    ),
    (
        "PIDPressure",
        "NodeHasInsufficientPID",
        "NodeHasSufficientPID",
    ),
    ("Ready", "NodeReady", "NodeNotReady"),
];

/// A node, as a kubelet's events name it: its name for its UID, and `describe` looks for both.
pub fn node_reference(name: &str) -> ObjectReference {
    ObjectReference {
        kind: Some("Node".into()),
        name: Some(name.to_owned()),
        uid: Some(name.to_owned()),
        ..Default::default()
    }
}

fn status<'a>(conditions: &'a [NodeCondition], kind: &str) -> Option<&'a str> {
    let found = conditions.iter().find(|c| c.type_ == kind);
    found.map(|c| c.status.as_str())
}

/// What changed between two sets of conditions.
fn changes(old: &[NodeCondition], new: &[NodeCondition]) -> Vec<&'static str> {
    let changed = NAMES.iter().filter_map(|(kind, met, unmet)| {
        let now = status(new, kind)?;
        // A node that comes up isn't ready at first, which is no news.
        let known = status(old, kind).or((*kind == "Ready").then_some("False"));
        let name = if now == "True" { met } else { unmet };
        (known != Some(now)).then_some(*name)
    });
    changed.collect()
}

impl Teller {
    /// For the node of this name.
    pub fn new(recorder: Recorder, name: &str) -> Self {
        Self {
            recorder,
            name: name.to_owned(),
            unschedulable: false,
        }
    }

    fn tell(&self, kind: EventType, reason: &str, message: String) {
        let object = node_reference(&self.name);
        self.recorder.event(object, kind, reason, message);
    }

    fn tell_status(&self, reason: &str) {
        let message = format!("Node {} status is now: {reason}", self.name);
        self.tell(EventType::Normal, reason, message);
    }

    /// The kubelet begins; `enforced` is how limiting pods to what is theirs went.
    pub fn starting(&self, enforced: std::io::Result<()>) {
        self.tell(EventType::Normal, "Starting", "Starting kubelet.".into());
        match enforced {
            Ok(()) => {
                let message = "Updated Node Allocatable limit across pods";
                self.tell(EventType::Normal, "NodeAllocatableEnforced", message.into());
            }
            Err(error) => {
                let message = format!("Failed to update Node Allocatable Limits: {error}");
                self.tell(
                    EventType::Warning,
                    "FailedNodeAllocatableEnforcement",
                    message,
                );
            }
        }
    }

    /// The host is about to go.
    pub fn shuts_down(&self) {
        let message = "Shutdown manager detected shutdown event";
        self.tell(EventType::Normal, "NodeShutdown", message.into());
    }

    /// The kubelet has written the node's status for the first time; `before`
    /// is what the API had.
    pub fn registered(&self, before: Option<&NodeStatus>, now: &NodeStatus) {
        let info = |status: &NodeStatus| status.node_info.as_ref().map(|i| i.boot_id.clone());
        let booted = info(now).unwrap_or_default();
        let last = before.and_then(info).filter(|id| !id.is_empty());
        if last.is_some_and(|last| last != booted) {
            let message = format!("Node {} has been rebooted, boot id: {booted}", self.name);
            self.tell(EventType::Warning, "Rebooted", message);
        }
        // Pressures are told at each start, readiness only if it is news.
        let mut known = conditions(before).to_vec();
        known.retain(|c| c.type_ == "Ready");
        self.changed(&known, now);
    }

    /// The kubelet has written another status.
    pub fn changed(&self, before: &[NodeCondition], now: &NodeStatus) {
        for reason in changes(before, conditions(Some(now))) {
            self.tell_status(reason);
        }
    }

    /// The API shows the node.
    pub fn seen(&mut self, node: &Node) {
        let spec = node.spec.as_ref();
        let unschedulable = spec.and_then(|s| s.unschedulable) == Some(true);
        if unschedulable != self.unschedulable {
            self.unschedulable = unschedulable;
            self.tell_status(match unschedulable {
                true => "NodeNotSchedulable",
                false => "NodeSchedulable",
            });
        }
    }
}

/// The conditions of a status, if there is one.
pub fn conditions(status: Option<&NodeStatus>) -> &[NodeCondition] {
    let conditions = status.and_then(|s| s.conditions.as_deref());
    conditions.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(conditions: &[(&str, &str)]) -> Vec<NodeCondition> {
        let make = |(kind, status): &(&str, &str)| NodeCondition {
            type_: (*kind).into(),
            status: (*status).into(),
            ..Default::default()
        };
        conditions.iter().map(make).collect()
    }

    #[test]
    fn a_new_node_tells_how_it_is() {
        let all = [
            ("MemoryPressure", "False"),
            ("DiskPressure", "False"),
            ("PIDPressure", "False"),
        ];
        let told = [
            "NodeHasSufficientMemory",
            "NodeHasNoDiskPressure",
            "NodeHasSufficientPID",
        ];
        let mut now = list(&all);
        now.extend(list(&[("Ready", "False")]));
        assert_eq!(changes(&[], &now), told);
        now.pop();
        now.extend(list(&[("Ready", "True")]));
        assert_eq!(changes(&[], &now)[..3], told);
        assert_eq!(changes(&[], &now)[3], "NodeReady");
    }

    #[test]
    fn only_changes_are_told() {
        let of = |memory, ready| list(&[("MemoryPressure", memory), ("Ready", ready)]);
        assert!(changes(&of("False", "True"), &of("False", "True")).is_empty());
        assert_eq!(
            changes(&of("False", "True"), &of("True", "False")),
            ["NodeHasInsufficientMemory", "NodeNotReady"]
        );
        assert_eq!(
            changes(&of("Unknown", "Unknown"), &of("False", "True")),
            ["NodeHasSufficientMemory", "NodeReady"]
        );
    }
}
