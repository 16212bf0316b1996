//! Taints keep pods away that don't tolerate them.

use crate::framework::{ClusterEvent, Plugin, Prepared, Rejection, default_normalize};
use crate::node_info::NodeInfo;
use crate::pod_info::PodInfo;
use hardway_proto::placement::pod_tolerates;
use k8s_openapi::api::core::v1::Taint;

/// The plugin.
pub struct TaintToleration;

/// Whether a pod tolerates a taint.
pub fn tolerates(pod: &PodInfo, taint: &Taint) -> bool {
    pod.spec().is_some_and(|spec| pod_tolerates(spec, taint))
}

impl Plugin for TaintToleration {
    fn name(&self) -> &'static str {
        "TaintToleration"
    }

    fn filter(&self, _: &dyn Prepared, pod: &PodInfo, node: &NodeInfo) -> Result<(), Rejection> {
        let untolerated = node.taints().iter().find(|taint| {
            matches!(taint.effect.as_str(), "NoSchedule" | "NoExecute") && !tolerates(pod, taint)
        });
        match untolerated {
            Some(taint) => {
                let value = taint.value.as_deref().unwrap_or_default();
                let reason = format!("node(s) had untolerated taint {{{}: {value}}}", taint.key);
                self.reject(reason, false)
            }
            None => Ok(()),
        }
    }

    fn weight(&self) -> i64 {
        3
    }

    /// Counts the PreferNoSchedule taints the pod doesn't tolerate.
    fn score(&self, _: &dyn Prepared, pod: &PodInfo, node: &NodeInfo) -> i64 {
        let disliked = node
            .taints()
            .iter()
            .filter(|taint| taint.effect == "PreferNoSchedule" && !tolerates(pod, taint));
        disliked.count() as i64
    }

    fn normalize(&self, _: &dyn Prepared, scores: &mut [i64]) {
        default_normalize(scores, true);
    }

    fn may_help(&self, event: ClusterEvent) -> bool {
        matches!(event, ClusterEvent::NodeAdded | ClusterEvent::NodeChanged)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{filter, node, pod, score};
    use super::*;
    use serde_json::{Value, json};

    fn tainted(effect: &str) -> NodeInfo {
        let taint = json!({"key": "dedicated", "value": "db", "effect": effect});
        node("a", json!({}), json!({"spec": {"taints": [taint]}}))
    }

    fn tolerating(toleration: Value) -> PodInfo {
        pod(json!({"tolerations": [toleration]}))
    }

    #[test]
    fn equal_exists_and_everything() {
        let rejected = |pod: &PodInfo| {
            !filter(TaintToleration, pod, vec![tainted("NoSchedule")])[0].is_empty()
        };
        assert_eq!(
            filter(
                TaintToleration,
                &pod(json!({})),
                vec![tainted("NoSchedule")]
            )[0],
            ["node(s) had untolerated taint {dedicated: db}"]
        );
        assert!(!rejected(&tolerating(
            json!({"key": "dedicated", "value": "db"})
        )));
        assert!(rejected(&tolerating(
            json!({"key": "dedicated", "value": "web"})
        )));
        assert!(!rejected(&tolerating(
            json!({"key": "dedicated", "operator": "Exists"})
        )));
        assert!(!rejected(&tolerating(json!({"operator": "Exists"}))));
        assert!(rejected(&tolerating(
            json!({"operator": "Exists", "effect": "NoExecute"})
        )));
    }

    #[test]
    fn preferences_only_score() {
        let nodes = vec![tainted("PreferNoSchedule"), node("b", json!({}), json!({}))];
        assert_eq!(score(TaintToleration, &pod(json!({})), nodes), [0, 300]);
    }
}
