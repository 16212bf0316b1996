//! Watches over nodes: one that stays silent becomes Unknown, and taints
//! follow conditions so that pods keep away from, or leave, bad nodes.

use crate::Work;
use crate::context::Context;
use crate::informers::{BY_NODE, Informers};
use crate::pod_ranking::condition;
use hardway_client::api::Patch;
use hardway_client::controller::{self, Next};
use hardway_client::events::{EventType, Recorder, reference};
use hardway_client::informer::Change;
use hardway_client::queue::WorkQueue;
use hardway_client::{Client, Store};
use hardway_proto::meta::ObjectKey;
use hardway_proto::{Kind, Status};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, NodeCondition, Pod, Taint};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use parking_lot::Mutex;
use serde_json::json;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

pub const NOT_READY: &str = "node.kubernetes.io/not-ready";
pub const UNREACHABLE: &str = "node.kubernetes.io/unreachable";
const UNSCHEDULABLE: &str = "node.kubernetes.io/unschedulable";

/// Conditions besides Ready that taint a node while they hold.
const PRESSURES: [(&str, &str); 4] = [
    ("MemoryPressure", "node.kubernetes.io/memory-pressure"),
    ("DiskPressure", "node.kubernetes.io/disk-pressure"),
    ("PIDPressure", "node.kubernetes.io/pid-pressure"),
    (
        "NetworkUnavailable",
        "node.kubernetes.io/network-unavailable",
    ),
];

struct Controller {
    client: Client,
    recorder: Recorder,
    grace: Duration,
    nodes: Store<Node>,
    pods: Store<Pod>,
    /// When each node was last heard of, by our own clock.
    heard: Arc<Mutex<HashMap<String, Instant>>>,
}

/// The controller.
pub fn register(informers: &mut Informers, context: &Context) -> Work {
    let queue = WorkQueue::new();
    let controller = Controller {
        client: context.client.clone(),
        recorder: context.recorder("node-controller"),
        grace: context.settings.node_monitor_grace_period,
        nodes: informers.nodes.store(),
        pods: informers.pods.store(),
        heard: Arc::default(),
    };
    let (on_node, heard, recorder) = (
        queue.clone(),
        controller.heard.clone(),
        controller.recorder.clone(),
    );
    informers.nodes.subscribe(move |change| {
        let node = change.object();
        let name = node.name().to_owned();
        match change {
            Change::Applied { old, new } => {
                if old
                    .as_ref()
                    .is_none_or(|old| heartbeat(old) != heartbeat(new))
                {
                    heard.lock().insert(name.clone(), Instant::now());
                }
                if old.as_ref().is_some_and(|old| ready_status(old) == "True")
                    && ready_status(new) != "True"
                {
                    let text = format!("Node {name} status is now: NodeNotReady");
                    recorder.event(
                        reference(node.as_ref()),
                        EventType::Normal,
                        "NodeNotReady",
                        text,
                    );
                }
                if old.is_none() {
                    let text = format!("Node {name} event: Registered Node {name} in Controller");
                    recorder.event(
                        reference(node.as_ref()),
                        EventType::Normal,
                        "RegisteredNode",
                        text,
                    );
                }
            }
            Change::Deleted(_) => {
                heard.lock().remove(&name);
                let text = format!("Node {name} event: Removing Node {name} from Controller");
                recorder.event(
                    reference(node.as_ref()),
                    EventType::Normal,
                    "RemovingNode",
                    text,
                );
            }
        }
        on_node.add(name);
    });
    let (on_lease, heard) = (queue.clone(), controller.heard.clone());
    informers.node_leases.subscribe(move |change| {
        if let Change::Applied { new, .. } = change {
            let name = new.name().to_owned();
            let was = heard.lock().insert(name.clone(), Instant::now());
            // A heartbeat wakes the controller only if the node was given up.
            if was.is_none_or(|at| at.elapsed() > Duration::from_secs(30)) {
                on_lease.add(name);
            }
        }
    });
    Box::pin(async move {
        controller.nodes.wait_synced().await;
        controller.pods.wait_synced().await;
        controller::run("nodelifecycle", queue, 4, |name| controller.reconcile(name)).await;
    })
}

fn node_condition<'a>(node: &'a Node, r#type: &str) -> Option<&'a NodeCondition> {
    let conditions = node.status.as_ref()?.conditions.as_ref()?;
    conditions.iter().find(|c| c.type_ == r#type)
}

fn ready_status(node: &Node) -> &str {
    node_condition(node, "Ready").map_or("Unknown", |c| c.status.as_str())
}

fn heartbeat(node: &Node) -> Option<&Time> {
    node_condition(node, "Ready")?.last_heartbeat_time.as_ref()
}

/// The conditions of a node that went silent.
fn silent_conditions(node: &Node, now: Timestamp) -> Vec<NodeCondition> {
    let types = ["Ready", "MemoryPressure", "DiskPressure", "PIDPressure"];
    types
        .iter()
        .filter_map(|r#type| {
            let current = node_condition(node, r#type);
            let (reason, message) = match current {
                Some(c) if c.status == "Unknown" => return None,
                Some(_) => ("NodeStatusUnknown", "Kubelet stopped posting node status."),
                None => (
                    "NodeStatusNeverUpdated",
                    "Kubelet never posted node status.",
                ),
            };
            Some(NodeCondition {
                type_: (*r#type).into(),
                status: "Unknown".into(),
                reason: Some(reason.into()),
                message: Some(message.into()),
                last_heartbeat_time: current.and_then(|c| c.last_heartbeat_time.clone()),
                last_transition_time: Some(Time(now)),
            })
        })
        .collect()
}

/// The taints a node should have: its own, and those its conditions earn.
/// `evict` is false while no node at all is well: then it is rather the
/// control plane that is cut off, and nothing is driven away.
fn wanted_taints(node: &Node, evict: bool, now: Timestamp) -> Vec<Taint> {
    let current = node
        .spec
        .as_ref()
        .and_then(|s| s.taints.clone())
        .unwrap_or_default();
    let mut earned: Vec<(&str, &str)> = Vec::new();
    match ready_status(node) {
        "True" => {}
        "False" => {
            earned.push((NOT_READY, "NoSchedule"));
            if evict {
                earned.push((NOT_READY, "NoExecute"));
            }
        }
        _ => {
            earned.push((UNREACHABLE, "NoSchedule"));
            if evict {
                earned.push((UNREACHABLE, "NoExecute"));
            }
        }
    }
    for (r#type, taint) in PRESSURES {
        if node_condition(node, r#type).is_some_and(|c| c.status == "True") {
            earned.push((taint, "NoSchedule"));
        }
    }
    if node.spec.as_ref().and_then(|s| s.unschedulable) == Some(true) {
        earned.push((UNSCHEDULABLE, "NoSchedule"));
    }
    let managed = |taint: &Taint| {
        [NOT_READY, UNREACHABLE, UNSCHEDULABLE].contains(&taint.key.as_str())
            || PRESSURES.iter().any(|(_, key)| *key == taint.key)
    };
    let mut taints: Vec<Taint> = current
        .iter()
        .filter(|t| !managed(t) || earned.contains(&(t.key.as_str(), t.effect.as_str())))
        .cloned()
        .collect();
    for (key, effect) in earned {
        if !taints.iter().any(|t| t.key == key && t.effect == effect) {
            taints.push(Taint {
                key: key.into(),
                effect: effect.into(),
                time_added: Some(Time(now)),
                value: None,
            });
        }
    }
    taints
}

impl Controller {
    async fn reconcile(&self, name: String) -> Result<Next, Status> {
        let Some(mut node) = self.nodes.get(&ObjectKey::new("", &name)) else {
            return Ok(Next::Done);
        };
        let heard = *self
            .heard
            .lock()
            .entry(name.clone())
            .or_insert_with(Instant::now);
        let silent = heard.elapsed();
        if silent >= self.grace {
            let now = Timestamp::now();
            let conditions = silent_conditions(&node, now);
            if !conditions.is_empty() {
                let patch = json!({"status": {"conditions": conditions}});
                let api = self.client.all::<Node>();
                node = match api.patch_status(&name, Patch::Strategic(&patch)).await {
                    Err(status) if status.is_not_found() => return Ok(Next::Done),
                    outcome => Arc::new(outcome?),
                };
            }
        }
        self.taint(&node).await?;
        if ready_status(&node) != "True" {
            self.mark_pods_not_ready(&name).await?;
        }
        let rest = self.grace.saturating_sub(silent);
        Ok(if rest.is_zero() {
            Next::Done
        } else {
            Next::After(rest + Duration::from_millis(100))
        })
    }

    async fn taint(&self, node: &Node) -> Result<(), Status> {
        let evict = self.nodes.list().iter().any(|n| ready_status(n) == "True");
        let current = node.spec.as_ref().and_then(|s| s.taints.clone());
        let wanted = wanted_taints(node, evict, Timestamp::now());
        if current.unwrap_or_default() == wanted {
            return Ok(());
        }
        let patch = json!({
            "metadata": {"resourceVersion": node.resource_version()},
            "spec": {"taints": wanted},
        });
        match self
            .client
            .all::<Node>()
            .patch(node.name(), Patch::Merge(&patch))
            .await
        {
            Err(status) if !status.is_not_found() => Err(status),
            _ => Ok(()),
        }
    }

    /// The kubelet can't say so any more: its pods aren't ready for traffic.
    async fn mark_pods_not_ready(&self, node: &str) -> Result<(), Status> {
        for pod in self.pods.by_index(BY_NODE, node) {
            if condition(&pod, "Ready").is_none_or(|c| c.status != "True") {
                continue;
            }
            let patch = json!({"status": {"conditions": [{
                "type": "Ready", "status": "False", "lastTransitionTime": Time(Timestamp::now()),
            }]}});
            let api = self.client.namespaced::<Pod>(pod.namespace());
            match api.patch_status(pod.name(), Patch::Strategic(&patch)).await {
                Err(status) if !status.is_not_found() => return Err(status),
                _ => {}
            }
            self.recorder.event(
                reference(pod.as_ref()),
                EventType::Warning,
                "NodeNotReady",
                "Node is not ready",
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(ready: &str, rest: serde_json::Value) -> Node {
        serde_json::from_value(json!({
            "metadata": {"name": "n"}, "spec": rest,
            "status": {"conditions": [{"type": "Ready", "status": ready}]},
        }))
        .unwrap()
    }

    fn taints(node: &Node, evict: bool) -> Vec<String> {
        let list = wanted_taints(node, evict, Timestamp::now());
        list.iter()
            .map(|t| format!("{}:{}", t.key, t.effect))
            .collect()
    }

    #[test]
    fn taints_follow_conditions() {
        assert_eq!(
            taints(&node("Unknown", json!({})), true),
            [
                "node.kubernetes.io/unreachable:NoSchedule",
                "node.kubernetes.io/unreachable:NoExecute"
            ]
        );
        assert_eq!(
            taints(&node("False", json!({})), false),
            ["node.kubernetes.io/not-ready:NoSchedule"]
        );
        let cordoned = json!({"unschedulable": true, "taints": [
            {"key": "mine", "effect": "NoSchedule"},
            {"key": "node.kubernetes.io/not-ready", "effect": "NoExecute"}]});
        assert_eq!(
            taints(&node("True", cordoned), true),
            [
                "mine:NoSchedule",
                "node.kubernetes.io/unschedulable:NoSchedule"
            ]
        );
    }

    #[test]
    fn silence_is_told_once() {
        let told = silent_conditions(&node("True", json!({})), Timestamp::now());
        assert_eq!(told[0].reason.as_deref(), Some("NodeStatusUnknown"));
        assert_eq!(told[1].reason.as_deref(), Some("NodeStatusNeverUpdated"));
        let known = silent_conditions(&node("Unknown", json!({})), Timestamp::now());
        assert!(known.iter().all(|c| c.type_ != "Ready"));
    }
}
