//! A host port can be had once on a node.

use crate::framework::{ClusterEvent, Plugin, Prepared, Rejection};
use crate::node_info::NodeInfo;
use crate::pod_info::PodInfo;

/// The plugin.
pub struct NodePorts;

impl Plugin for NodePorts {
    fn name(&self) -> &'static str {
        "NodePorts"
    }

    fn filters(&self, _: &dyn Prepared, pod: &PodInfo) -> bool {
        !pod.host_ports.is_empty()
    }

    fn filter(&self, _: &dyn Prepared, pod: &PodInfo, node: &NodeInfo) -> Result<(), Rejection> {
        let taken = node
            .pods
            .values()
            .flat_map(|other| &other.host_ports)
            .any(|port| pod.host_ports.iter().any(|wanted| wanted.collides(port)));
        if taken {
            return self.reject(
                "node(s) didn't have free ports for the requested pod ports",
                true,
            );
        }
        Ok(())
    }

    fn may_help(&self, event: ClusterEvent) -> bool {
        matches!(event, ClusterEvent::NodeAdded | ClusterEvent::PodFreed)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{filter, labelled_pod, node};
    use super::*;
    use serde_json::json;
    use std::sync::Arc;

    #[test]
    fn a_taken_port_keeps_others_away() {
        let db = |name: &str| {
            let ports = json!([{"containerPort": 27017, "hostPort": 27017}]);
            labelled_pod(
                name,
                json!({}),
                json!({"containers": [{"name": "db", "ports": ports}]}),
            )
        };
        let mut taken = node("a", json!({}), json!({}));
        taken.add_pod(Arc::new(db("first")));
        let verdicts = filter(
            NodePorts,
            &db("second"),
            vec![taken, node("b", json!({}), json!({}))],
        );
        assert_eq!(
            verdicts[0],
            ["node(s) didn't have free ports for the requested pod ports"]
        );
        assert!(verdicts[1].is_empty());
    }
}
