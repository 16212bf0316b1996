//! Cordoned nodes take only pods that tolerate it.

use super::taint_toleration::tolerates;
use crate::framework::{ClusterEvent, Plugin, Prepared, Rejection};
use crate::node_info::NodeInfo;
use crate::pod_info::PodInfo;
use k8s_openapi::api::core::v1::Taint;

/// The plugin.
pub struct NodeUnschedulable;

impl Plugin for NodeUnschedulable {
    fn name(&self) -> &'static str {
        "NodeUnschedulable"
    }

    fn filter(&self, _: &dyn Prepared, pod: &PodInfo, node: &NodeInfo) -> Result<(), Rejection> {
        if !node.is_unschedulable() {
            return Ok(());
        }
        let taint = Taint {
            key: "node.kubernetes.io/unschedulable".into(),
            effect: "NoSchedule".into(),
            ..Default::default()
        };
        if !tolerates(pod, &taint) {
            return self.reject("node(s) were unschedulable", false);
        }
        Ok(())
    }

    fn may_help(&self, event: ClusterEvent) -> bool {
        matches!(event, ClusterEvent::NodeAdded | ClusterEvent::NodeChanged)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{filter, node, pod};
    use super::*;
    use serde_json::json;

    #[test]
    fn a_cordoned_node_wants_a_toleration() {
        let cordoned = || {
            vec![node(
                "a",
                json!({}),
                json!({"spec": {"unschedulable": true}}),
            )]
        };
        let verdicts = filter(NodeUnschedulable, &pod(json!({})), cordoned());
        assert_eq!(verdicts[0], ["node(s) were unschedulable"]);
        let daemon = pod(json!({"tolerations": [
            {"key": "node.kubernetes.io/unschedulable", "operator": "Exists"}]}));
        assert!(filter(NodeUnschedulable, &daemon, cordoned())[0].is_empty());
    }
}
