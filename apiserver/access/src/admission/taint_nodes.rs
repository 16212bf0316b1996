//! TaintNodesByCondition: a new node takes no pods until it is ready.

use super::{Context, Plugin, Review, array_at};
use crate::text;
use hardway_proto::Status;
use serde_json::{Value, json};

const NOT_READY: &str = "node.kubernetes.io/not-ready";

/// The plugin.
pub struct TaintNodesByCondition;

impl Plugin for TaintNodesByCondition {
    fn mutate(&self, _: &Context, review: &Review, node: &mut Value) -> Result<(), Status> {
        if review.creates("", "nodes") {
            let taints = array_at(&mut node["spec"], "taints");
            let is_there = |taint: &Value| {
                text(taint, "/key") == NOT_READY && text(taint, "/effect") == "NoSchedule"
            };
            if !taints.iter().any(is_there) {
                taints.push(json!({"key": NOT_READY, "effect": "NoSchedule"}));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Bench;
    use super::*;

    #[test]
    fn new_nodes_are_tainted_once() {
        let bench = Bench::new();
        let node = bench
            .create("", "nodes", json!({"metadata": {"name": "n"}}))
            .unwrap();
        assert_eq!(
            node["spec"]["taints"],
            json!([{"key": NOT_READY, "effect": "NoSchedule"}])
        );
        assert_eq!(bench.create("", "nodes", node.clone()).unwrap(), node);
    }
}
