//! Prefers nodes whose CPU and memory are used to a like share.

use crate::framework::{ClusterEvent, MAX_SCORE, Plugin, Prepared};
use crate::node_info::NodeInfo;
use crate::pod_info::PodInfo;

/// The plugin (Kubernetes calls it NodeResourcesBalancedAllocation).
pub struct BalancedAllocation;

/// Nearly all amounts fit into 64 bits, which are converted many times as fast as 128.
fn float(amount: i128) -> f64 {
    i64::try_from(amount).map_or(amount as f64, |amount| amount as f64)
}

impl Plugin for BalancedAllocation {
    fn name(&self) -> &'static str {
        "NodeResourcesBalancedAllocation"
    }

    fn filters(&self, _: &dyn Prepared, _: &PodInfo) -> bool {
        false
    }

    fn weight(&self) -> i64 {
        1
    }

    /// 100 minus the standard deviation of the used shares, in percent.
    fn score(&self, _: &dyn Prepared, pod: &PodInfo, node: &NodeInfo) -> i64 {
        let share = |used: i128, asked: i128, has: i128| {
            (has > 0).then(|| (float(used + asked) / float(has)).min(1.0))
        };
        let (asked, has, used) = (&pod.requests, &node.allocatable, &node.requested);
        let cpu = share(used.milli_cpu, asked.milli_cpu, has.milli_cpu);
        let memory = share(used.memory, asked.memory, has.memory);
        let deviation = match (cpu, memory) {
            (Some(cpu), Some(memory)) => (cpu - memory).abs() / 2.0,
            _ => 0.0,
        };
        ((1.0 - deviation) * MAX_SCORE as f64) as i64
    }

    fn may_help(&self, _: ClusterEvent) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{labelled_pod, node, score};
    use super::*;
    use serde_json::json;

    #[test]
    fn lopsided_use_scores_lower() {
        let asking = |cpu: &str, memory: &str| {
            let requests = json!({"cpu": cpu, "memory": memory});
            labelled_pod(
                "p",
                json!({}),
                json!({"containers": [{"name": "c", "resources": {"requests": requests}}]}),
            )
        };
        let empty = || vec![node("a", json!({}), json!({}))];
        assert_eq!(
            score(BalancedAllocation, &asking("2", "4Gi"), empty()),
            [100]
        );
        assert_eq!(score(BalancedAllocation, &asking("4", "0"), empty()), [50]);
    }
}
