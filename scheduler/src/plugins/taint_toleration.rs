//! Taints keep pods away that don't tolerate them.

use crate::framework::{ClusterEvent, Plugin, Prepared, Rejection, default_normalize};
use crate::node_info::NodeInfo;
use crate::pod_info::PodInfo;
use k8s_openapi::api::core::v1::{Taint, Toleration};

/// The plugin.
pub struct TaintToleration;

/// Whether one toleration covers a taint, as `core/v1` helpers define it.
fn covers(toleration: &Toleration, taint: &Taint) -> bool {
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    let effect = text(&toleration.effect);
    let key = text(&toleration.key);
    if !effect.is_empty() && effect != taint.effect {
        return false;
    }
    if !key.is_empty() && key != taint.key {
        return false;
    }
    match toleration.operator.as_deref().unwrap_or("Equal") {
        "Exists" => true,
        "Equal" | "" => !key.is_empty() && text(&toleration.value) == text(&taint.value),
        _ => false,
    }
}

fn tolerations(pod: &PodInfo) -> &[Toleration] {
    let list = pod.spec().and_then(|s| s.tolerations.as_deref());
    list.unwrap_or_default()
}

/// Whether a pod tolerates a taint.
pub fn tolerates(pod: &PodInfo, taint: &Taint) -> bool {
    tolerations(pod).iter().any(|t| covers(t, taint))
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
