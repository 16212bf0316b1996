//! What a pod asks for has to be left on the node; more left is better.

use crate::framework::{ClusterEvent, MAX_SCORE, Plugin, Prepared, Reason, Rejection};
use crate::node_info::NodeInfo;
use crate::pod_info::PodInfo;

/// The plugin, scoring by the LeastAllocated strategy.
pub struct NodeResourcesFit;

impl NodeResourcesFit {
    /// Every resource that doesn't suffice, and whether the node could ever
    /// offer what is asked.
    fn shortages(pod: &PodInfo, node: &NodeInfo) -> (Vec<Reason>, bool) {
        let mut reasons = Vec::new();
        let mut resolvable = true;
        if node.pods.len() as i64 + 1 > node.max_pods {
            reasons.push("Too many pods".into());
        }
        let (asked, has, used) = (&pod.requests, &node.allocatable, &node.requested);
        let mut check = |name: &str, asked: i128, has: i128, used: i128| {
            if asked > 0 && asked > has - used {
                reasons.push(match name {
                    "cpu" => "Insufficient cpu".into(),
                    "memory" => "Insufficient memory".into(),
                    _ => format!("Insufficient {name}").into(),
                });
                resolvable &= asked <= has;
            }
        };
        check("cpu", asked.milli_cpu, has.milli_cpu, used.milli_cpu);
        check("memory", asked.memory, has.memory, used.memory);
        check(
            "ephemeral-storage",
            asked.ephemeral_storage,
            has.ephemeral_storage,
            used.ephemeral_storage,
        );
        for (name, &amount) in &asked.others {
            let of = |map: &std::collections::BTreeMap<String, i128>| {
                map.get(name).copied().unwrap_or(0)
            };
            check(name, amount, of(&has.others), of(&used.others));
        }
        (reasons, resolvable)
    }
}

/// The free share of a resource after the pod is placed, 0..=100.
fn free_share(has: i128, used: i128, asked: i128) -> i64 {
    let after = used + asked;
    if has <= 0 || after > has {
        return 0;
    }
    let free = has - after;
    // Nearly all amounts fit into 64 bits, which divide many times as fast as 128.
    let scaled = i64::try_from(free).ok();
    let scaled = scaled.and_then(|free| free.checked_mul(MAX_SCORE));
    match (scaled, i64::try_from(has)) {
        (Some(scaled), Ok(has)) => scaled / has,
        _ => {
            let share = free * i128::from(MAX_SCORE) / has;
            i64::try_from(share).unwrap_or(MAX_SCORE)
        }
    }
}

impl Plugin for NodeResourcesFit {
    fn name(&self) -> &'static str {
        "NodeResourcesFit"
    }

    fn filter(&self, _: &dyn Prepared, pod: &PodInfo, node: &NodeInfo) -> Result<(), Rejection> {
        let (reasons, resolvable) = Self::shortages(pod, node);
        if reasons.is_empty() {
            return Ok(());
        }
        Err(Rejection {
            plugin: self.name(),
            reasons,
            resolvable,
        })
    }

    fn weight(&self) -> i64 {
        1
    }

    fn score(&self, _: &dyn Prepared, pod: &PodInfo, node: &NodeInfo) -> i64 {
        let (asked, has, used) = (
            &pod.scored_requests,
            &node.allocatable,
            &node.scored_requested,
        );
        let cpu = free_share(has.milli_cpu, used.milli_cpu, asked.milli_cpu);
        let memory = free_share(has.memory, used.memory, asked.memory);
        (cpu + memory) / 2
    }

    fn may_help(&self, event: ClusterEvent) -> bool {
        !matches!(
            event,
            ClusterEvent::PodBound | ClusterEvent::NamespaceChanged
        )
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{filter, labelled_pod, node, pod, score};
    use super::*;
    use serde_json::json;
    use std::sync::Arc;

    fn asking(name: &str, cpu: &str, memory: &str) -> PodInfo {
        let requests = json!({"cpu": cpu, "memory": memory});
        labelled_pod(
            name,
            json!({}),
            json!({"containers": [{"name": "c", "resources": {"requests": requests}}]}),
        )
    }

    #[test]
    fn every_shortage_is_told() {
        let verdicts = filter(
            NodeResourcesFit,
            &asking("p", "5", "9Gi"),
            vec![node("a", json!({}), json!({}))],
        );
        assert_eq!(verdicts[0], ["Insufficient cpu", "Insufficient memory"]);
    }

    #[test]
    fn the_number_of_pods_is_limited() {
        let mut full = node(
            "a",
            json!({}),
            json!({"status": {"allocatable": {"pods": "1"}}}),
        );
        full.add_pod(Arc::new(labelled_pod("q", json!({}), json!({}))));
        let verdicts = filter(NodeResourcesFit, &pod(json!({})), vec![full]);
        assert_eq!(verdicts[0], ["Too many pods"]);
    }

    #[test]
    fn amounts_beyond_measure_take_everything() {
        let huge = "9223372036854775807";
        let mut full = node(
            "a",
            json!({}),
            json!({"status": {"allocatable": {"cpu": huge, "memory": huge, "pods": "10"}}}),
        );
        // Put there by name, past the scheduler.
        for name in ["q", "r", "s"] {
            full.add_pod(Arc::new(asking(name, huge, huge)));
        }
        let small = asking("p", "1", "1");
        let verdicts = filter(NodeResourcesFit, &small, vec![full.clone()]);
        assert_eq!(verdicts[0], ["Insufficient cpu", "Insufficient memory"]);
        assert_eq!(score(NodeResourcesFit, &small, vec![full.clone()]), [0]);
        for name in ["q", "r", "s"] {
            full.remove_pod(&asking(name, "1", "1").key);
        }
        assert_eq!(score(NodeResourcesFit, &small, vec![full])[0], 99);
    }

    #[test]
    fn emptier_nodes_score_higher() {
        let mut busy = node("a", json!({}), json!({}));
        busy.add_pod(Arc::new(asking("q", "2", "4Gi")));
        let scores = score(
            NodeResourcesFit,
            &asking("p", "1", "2Gi"),
            vec![busy, node("b", json!({}), json!({}))],
        );
        assert_eq!(scores, [25, 75]);
    }
}
