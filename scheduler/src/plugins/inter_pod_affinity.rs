//! Pods that want to be near, or far from, other pods.

use super::affinity_terms::{Term, preferred, required_affinity, required_anti_affinity};
use crate::framework::{ClusterEvent, MAX_SCORE, Nodes, Plugin, Prepared, Rejection, prepared};
use crate::namespaces::{Namespaces, selects};
use crate::node_info::NodeInfo;
use crate::pod_info::PodInfo;
use hardway_proto::labels::Selector;
use std::cell::LazyCell;
use std::collections::{HashMap, HashSet};

/// Weight of another pod's required affinity when this pod is scored.
const HARD_AFFINITY_WEIGHT: i64 = 1;

/// The plugin.
pub struct InterPodAffinity(pub Namespaces);

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
    /// Whether the pod has wishes about others, or others about pods like it.
    follows_pods: bool,
}
impl Prepared for Facts {
    fn follows_pods(&self) -> bool {
        self.follows_pods
    }
}

fn domain(term: &Term, node: &NodeInfo) -> Option<Domain> {
    let value = node.labels().get(&term.topology_key)?;
    Some((term.topology_key.clone(), value.clone()))
}

impl Plugin for InterPodAffinity {
    fn name(&self) -> &'static str {
        "InterPodAffinity"
    }

    fn prepare(&self, pod: &PodInfo, nodes: Nodes<'_>) -> Box<dyn Prepared> {
        let namespaces = &self.0;
        let any = |selector: &Selector| namespaces.selected(selector);
        // Of those that the terms of others select, only the pod's own matters.
        let home = LazyCell::new(|| namespaces.get(&pod.key.namespace));
        let own = |selector: &Selector| match selects(selector, &home.metadata) {
            true => vec![pod.key.namespace.clone()],
            false => Vec::new(),
        };
        let mut facts = Facts {
            affinity: required_affinity(pod, &any),
            anti_affinity: required_anti_affinity(pod, &any),
            ..Facts::default()
        };
        let wishes = preferred(pod, &any);
        let add = |scores: &mut HashMap<Domain, i64>, term: &Term, node, weight| {
            if let Some(domain) = domain(term, node) {
                *scores.entry(domain).or_default() += weight;
            }
        };
        let has_wishes = pod.has_pod_affinity();
        facts.follows_pods = has_wishes || nodes.have_affinity();
        if !facts.follows_pods {
            // It has no terms, and nobody has any about it.
            facts.first_of_its_kind = true;
            return Box::new(facts);
        }
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
                let hating = required_anti_affinity(other, &own);
                let hating = hating.iter().filter(|t| t.matches(pod));
                facts
                    .avoiding
                    .extend(hating.filter_map(|t| domain(t, node)));
                let wanting = required_affinity(other, &own);
                for term in wanting.iter().filter(|t| t.matches(pod)) {
                    add(&mut facts.scores, term, node, HARD_AFFINITY_WEIGHT);
                }
                let liking = preferred(other, &own);
                for (weight, term) in liking.iter().filter(|(_, t)| t.matches(pod)) {
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
    use super::super::testing::{filter, labelled_pod, node, pod_in, score};
    use super::*;
    use serde_json::{Value, json};
    use std::sync::Arc;

    /// The namespaces of Kubernetes' own tests.
    fn plugin() -> InterPodAffinity {
        let namespaces = Namespaces::default();
        for (name, team) in [
            ("subteam1.team1", "team1"),
            ("subteam2.team1", "team1"),
            ("subteam1.team2", "team2"),
            ("subteam2.team2", "team2"),
        ] {
            namespaces.apply(name, json!({"team": team}));
        }
        InterPodAffinity(namespaces)
    }

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
            plugin(),
            &loner("b"),
            vec![host("a", vec![loner("a")]), host("b", vec![])],
        );
        assert_eq!(
            verdicts[0],
            ["node(s) didn't match pod anti-affinity rules"]
        );
        assert!(verdicts[1].is_empty());
        let plain = labelled_pod("c", json!({"app": "db"}), json!({}));
        let verdicts = filter(plugin(), &plain, vec![host("a", vec![loner("a")])]);
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
        let verdicts = filter(plugin(), &friend("a", "web"), vec![host("a", vec![])]);
        assert_eq!(verdicts[0], ["node(s) didn't match pod affinity rules"]);
        let verdicts = filter(plugin(), &friend("a", "db"), vec![host("a", vec![])]);
        assert!(verdicts[0].is_empty());
    }

    /// Of the team, by the selector of its namespaces' label.
    fn team1() -> Value {
        json!({"matchExpressions": [{"key": "team", "operator": "In", "values": ["team1"]}]})
    }

    fn security(namespaces: Value) -> Value {
        let values = ["securityscan", "value2"];
        let mut term = json!({"topologyKey": "region", "labelSelector": {"matchExpressions": [
            {"key": "service", "operator": "In", "values": values}]}});
        if let (Some(term), Some(more)) = (term.as_object_mut(), namespaces.as_object()) {
            term.extend(more.clone());
        }
        term
    }

    /// What a node says to a pod of `home` with a required term, where a pod of `elsewhere` is.
    fn verdict(kind: &str, home: &str, namespaces: Value, elsewhere: &str) -> Vec<String> {
        let terms = json!({"requiredDuringSchedulingIgnoredDuringExecution": [
            security(namespaces)]});
        let pod = pod_in(
            home,
            "new",
            json!({"security": "S1"}),
            json!({"affinity": {kind: terms}}),
        );
        let mut node = node("node1", json!({"region": "r1", "zone": "z11"}), json!({}));
        let there = pod_in(
            elsewhere,
            "there",
            json!({"service": "securityscan"}),
            json!({}),
        );
        node.add_pod(Arc::new(there));
        filter(plugin(), &pod, vec![node]).remove(0)
    }

    /// The cases of `TestRequiredAffinitySingleNode` in Kubernetes' `interpodaffinity` that
    /// have a selector of namespaces, and what the two fields mean together.
    #[test]
    fn a_term_means_the_namespaces_that_it_names_and_those_that_it_selects() {
        const AFFINITY: &str = "node(s) didn't match pod affinity rules";
        const ANTI: &str = "node(s) didn't match pod anti-affinity rules";
        let selected = || json!({"namespaceSelector": team1()});
        let company =
            |namespaces, elsewhere| verdict("podAffinity", "default", namespaces, elsewhere);
        assert_eq!(company(selected(), "subteam1.team1"), [""; 0]);
        assert_eq!(company(selected(), "subteam1.team2"), [AFFINITY]);
        let solitude = |namespaces, elsewhere| {
            verdict("podAntiAffinity", "subteam1.team1", namespaces, elsewhere)
        };
        assert_eq!(solitude(selected(), "subteam2.team1"), [ANTI]);
        let all = json!({"namespaceSelector": {}});
        assert_eq!(solitude(all.clone(), "subteam2.team1"), [ANTI]);
        assert_eq!(solitude(all, "not-known-yet"), [ANTI]);
        assert_eq!(solitude(selected(), "subteam1.team2"), [""; 0]);

        let both = || json!({"namespaces": ["named"], "namespaceSelector": team1()});
        for (namespaces, elsewhere, is_meant) in [
            (both(), "named", true),
            (both(), "subteam2.team1", true),
            (both(), "subteam2.team2", false),
            // A selector takes the place of the pod's own namespace, and so do names.
            (selected(), "default", false),
            (json!({"namespaces": ["named"]}), "default", false),
            (json!({}), "default", true),
            (json!({}), "subteam1.team1", false),
        ] {
            let expected: &[&str] = if is_meant { &[] } else { &[AFFINITY] };
            let told = company(namespaces.clone(), elsewhere);
            assert_eq!(told, expected, "{namespaces} {elsewhere}");
        }
    }

    #[test]
    fn the_terms_of_others_select_the_namespace_of_the_new_pod() {
        let loner = || {
            let terms = json!({"requiredDuringSchedulingIgnoredDuringExecution": [
                security(json!({"namespaceSelector": team1()}))]});
            pod_in(
                "x",
                "loner",
                json!({}),
                json!({"affinity": {"podAntiAffinity": terms}}),
            )
        };
        let told = |namespace: &str| {
            let mut node = node("node1", json!({"region": "r1"}), json!({}));
            node.add_pod(Arc::new(loner()));
            let new = pod_in(namespace, "new", json!({"service": "value2"}), json!({}));
            filter(plugin(), &new, vec![node]).remove(0)
        };
        const EXISTING: &str = "node(s) didn't satisfy existing pods anti-affinity rules";
        assert_eq!(told("subteam1.team1"), [EXISTING]);
        for free in ["subteam1.team2", "x", "not-known-yet"] {
            assert_eq!(told(free), [""; 0], "{free}");
        }
    }

    /// "(Anti)Affinity symmetry with namespace selector" of Kubernetes' `TestPreferredAffinity`.
    #[test]
    fn wishes_of_others_select_namespaces_as_well() {
        let scores = |kind: &str, namespace: &str| {
            let term = json!({"topologyKey": "region", "namespaceSelector": team1(),
                "labelSelector": {"matchLabels": {"security": "S1"}}});
            let wishes = json!({"preferredDuringSchedulingIgnoredDuringExecution": [
                {"weight": 5, "podAffinityTerm": term}]});
            let there = pod_in("", "there", json!({}), json!({"affinity": {kind: wishes}}));
            let mut first = node("node1", json!({"region": "China"}), json!({}));
            first.add_pod(Arc::new(there));
            let second = node("node2", json!({"region": "India"}), json!({}));
            let third = node("node3", json!({"az": "az1"}), json!({}));
            let new = pod_in(namespace, "new", json!({"security": "S1"}), json!({}));
            let weight = plugin().weight();
            let scores = score(plugin(), &new, vec![first, second, third]);
            scores
                .iter()
                .map(|score| score / weight)
                .collect::<Vec<_>>()
        };
        assert_eq!(scores("podAffinity", "subteam1.team1"), [100, 0, 0]);
        assert_eq!(scores("podAntiAffinity", "subteam1.team1"), [0, 100, 100]);
        for kind in ["podAffinity", "podAntiAffinity"] {
            assert_eq!(scores(kind, "subteam1.team2"), [0, 0, 0]);
        }
    }
}
