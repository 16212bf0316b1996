//! A pod that names its node goes there only.

use crate::framework::{ClusterEvent, Plugin, Prepared, Rejection};
use crate::node_info::NodeInfo;
use crate::pod_info::PodInfo;

/// The plugin.
pub struct NodeName;

impl Plugin for NodeName {
    fn name(&self) -> &'static str {
        "NodeName"
    }

    fn filters(&self, _: &dyn Prepared, pod: &PodInfo) -> bool {
        pod.node().is_some()
    }

    fn filter(&self, _: &dyn Prepared, pod: &PodInfo, node: &NodeInfo) -> Result<(), Rejection> {
        match pod.node() {
            Some(name) if name != node.name => {
                self.reject("node(s) didn't match the requested node name", false)
            }
            _ => Ok(()),
        }
    }

    fn may_help(&self, event: ClusterEvent) -> bool {
        event == ClusterEvent::NodeAdded
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{filter, node, pod};
    use super::*;
    use serde_json::json;

    #[test]
    fn only_the_named_node_will_do() {
        let nodes = vec![
            node("a", json!({}), json!({})),
            node("b", json!({}), json!({})),
        ];
        let verdicts = filter(NodeName, &pod(json!({"nodeName": "b"})), nodes);
        assert_eq!(
            verdicts[0],
            ["node(s) didn't match the requested node name"]
        );
        assert!(verdicts[1].is_empty());
    }
}
