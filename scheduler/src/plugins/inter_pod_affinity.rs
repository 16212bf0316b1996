//! Pods that want to be near, or far from, other pods.

use super::affinity_terms::{Term, preferred, required_affinity, required_anti_affinity};
use crate::framework::{ClusterEvent, MAX_SCORE, Nodes, Plugin, Prepared, Rejection, prepared};
use crate::node_info::NodeInfo;
use crate::pod_info::PodInfo;
use std::collections::{HashMap, HashSet};

/// Weight of another pod's required affinity when this pod is scored.
const HARD_AFFINITY_WEIGHT: i64 = 1;

/// The plugin.
pub struct InterPodAffinity;

/// A topology key with one of its values.
type Domain = (String, String);

#[derive(Default)]
struct Facts {
    affinity: Vec<Term>,
    anti_affinity: Vec<Term>,
    /// Domains that hold a pod matching all affinity terms.
    near: HashSet<Domain>,
    /// Domains that hold a pod this one wants to avoid.
    avoided: HashSet<Domain>,
    /// Domains where a pod wants to avoid this one.
    avoiding: HashSet<Domain>,
    /// The first of a group that wants to be together may go anywhere.
    first_of_its_kind: bool,
    scores: HashMap<Domain, i64>,
}
impl Prepared for Facts {}

fn domain(term: &Term, node: &NodeInfo) -> Option<Domain> {
    let value = node.labels().get(&term.topology_key)?;
    Some((term.topology_key.clone(), value.clone()))
}

impl Plugin for InterPodAffinity {
    fn name(&self) -> &'static str {
        "InterPodAffinity"
    }

    fn prepare(&self, pod: &PodInfo, nodes: Nodes<'_>) -> Box<dyn Prepared> {
        let mut facts = Facts {
            affinity: required_affinity(pod),
            anti_affinity: required_anti_affinity(pod),
            ..Facts::default()
        };
        let wishes = preferred(pod);
        let add = |scores: &mut HashMap<Domain, i64>, term: &Term, node, weight| {
            if let Some(domain) = domain(term, node) {
                *scores.entry(domain).or_default() += weight;
            }
        };
        let has_wishes = pod.has_pod_affinity();
        for node in nodes {
            if !has_wishes && node.pods_with_affinity == 0 {
                continue;
            }
            for other in node.pods.values() {
                if !facts.affinity.is_empty() && facts.affinity.iter().all(|t| t.matches(other)) {
                    facts
                        .near
                        .extend(facts.affinity.iter().filter_map(|t| domain(t, node)));
                }
                let hated = facts.anti_affinity.iter().filter(|t| t.matches(other));
                facts.avoided.extend(hated.filter_map(|t| domain(t, node)));
                for (weight, term) in wishes.iter().filter(|(_, t)| t.matches(other)) {
                    add(&mut facts.scores, term, node, *weight);
                }
                if !other.has_pod_affinity() {
                    continue;
                }
                let hating = required_anti_affinity(other);
                let hating = hating.iter().filter(|t| t.matches(pod));
                facts
                    .avoiding
                    .extend(hating.filter_map(|t| domain(t, node)));
                for term in required_affinity(other).iter().filter(|t| t.matches(pod)) {
                    add(&mut facts.scores, term, node, HARD_AFFINITY_WEIGHT);
                }
                for (weight, term) in preferred(other).iter().filter(|(_, t)| t.matches(pod)) {
                    add(&mut facts.scores, term, node, *weight);
                }
            }
        }
        facts.first_of_its_kind =
            facts.near.is_empty() && facts.affinity.iter().all(|t| t.matches(pod));
        Box::new(facts)
    }

    fn filter(&self, facts: &dyn Prepared, _: &PodInfo, node: &NodeInfo) -> Result<(), Rejection> {
        let facts: &Facts = prepared(facts);
        let near = facts.affinity.iter().all(|term| {
            domain(term, node).is_some_and(|d| facts.first_of_its_kind || facts.near.contains(&d))
        });
        if !near {
            return self.reject("node(s) didn't match pod affinity rules", false);
        }
        let mut domains = facts.anti_affinity.iter().filter_map(|t| domain(t, node));
        if domains.any(|d| facts.avoided.contains(&d)) {
            return self.reject("node(s) didn't match pod anti-affinity rules", true);
        }
        let avoided_here = facts
            .avoiding
            .iter()
            .any(|(key, value)| node.labels().get(key) == Some(value));
        if avoided_here {
            return self.reject(
                "node(s) didn't satisfy existing pods anti-affinity rules",
                true,
            );
        }
        Ok(())
    }

    fn weight(&self) -> i64 {
        2
    }

    fn score(&self, facts: &dyn Prepared, _: &PodInfo, node: &NodeInfo) -> i64 {
        let facts: &Facts = prepared(facts);
        if facts.scores.is_empty() {
            return 0;
        }
        let labels = node.labels();
        facts
            .scores
            .iter()
            .filter(|((key, value), _)| labels.get(key) == Some(value))
            .map(|(_, score)| score)
            .sum()
    }

    fn normalize(&self, _: &dyn Prepared, scores: &mut [i64]) {
        let min = scores.iter().copied().min().unwrap_or(0);
        let max = scores.iter().copied().max().unwrap_or(0);
        for score in scores {
            *score = if max > min {
                MAX_SCORE * (*score - min) / (max - min)
            } else {
                0
            };
        }
    }

    fn may_help(&self, _: ClusterEvent) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{filter, labelled_pod, node};
    use super::*;
    use serde_json::{Value, json};
    use std::sync::Arc;

    const HOST: &str = "kubernetes.io/hostname";

    fn host(name: &str, pods: Vec<PodInfo>) -> NodeInfo {
        let mut info = node(name, json!({HOST: name}), json!({}));
        for pod in pods {
            info.add_pod(Arc::new(pod));
        }
        info
    }

    fn term(app: &str) -> Value {
        json!({"requiredDuringSchedulingIgnoredDuringExecution": [
            {"labelSelector": {"matchLabels": {"app": app}}, "topologyKey": HOST}]})
    }

    #[test]
    fn anti_affinity_holds_both_ways() {
        let loner = |name: &str| {
            let spec = json!({"affinity": {"podAntiAffinity": term("db")}});
            labelled_pod(name, json!({"app": "db"}), spec)
        };
        let verdicts = filter(
            InterPodAffinity,
            &loner("b"),
            vec![host("a", vec![loner("a")]), host("b", vec![])],
        );
        assert_eq!(
            verdicts[0],
            ["node(s) didn't match pod anti-affinity rules"]
        );
        assert!(verdicts[1].is_empty());
        let plain = labelled_pod("c", json!({"app": "db"}), json!({}));
        let verdicts = filter(InterPodAffinity, &plain, vec![host("a", vec![loner("a")])]);
        assert_eq!(
            verdicts[0],
            ["node(s) didn't satisfy existing pods anti-affinity rules"]
        );
    }

    #[test]
    fn affinity_wants_company_but_the_first_may_go_anywhere() {
        let friend = |name: &str, app: &str| {
            let spec = json!({"affinity": {"podAffinity": term("db")}});
            labelled_pod(name, json!({"app": app}), spec)
        };
        let verdicts = filter(
            InterPodAffinity,
            &friend("a", "web"),
            vec![host("a", vec![])],
        );
        assert_eq!(verdicts[0], ["node(s) didn't match pod affinity rules"]);
        let verdicts = filter(
            InterPodAffinity,
            &friend("a", "db"),
            vec![host("a", vec![])],
        );
        assert!(verdicts[0].is_empty());
    }
}
