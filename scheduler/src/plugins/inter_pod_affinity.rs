//! Pods that want to be near, or far from, other pods.

use super::pod_counts::{Domains, PodCounts, Question};
use crate::affinity::{Affinity, Term};
use crate::framework::{ClusterEvent, MAX_SCORE, Nodes, Plugin, Prepared, Rejection, prepared};
use crate::namespaces::Namespaces;
use crate::node_info::NodeInfo;
use crate::pod_info::PodInfo;

/// Weight of another pod's required affinity when this pod is scored.
const HARD_AFFINITY_WEIGHT: i64 = 1;

/// The plugin, with what it remembers of nodes.
pub struct InterPodAffinity {
    namespaces: Namespaces,
    counts: PodCounts,
}

/// A sum for each domain of a topology key.
struct Sums {
    key: String,
    domains: Domains,
    /// By the domain's number; those that are missing are zero.
    by_domain: Vec<i64>,
}

impl Sums {
    /// Of what there is on each node, by its position.
    fn of(key: &str, domains: Domains, on_nodes: &[i64]) -> Self {
        let mut sums = Self {
            key: key.to_owned(),
            domains,
            by_domain: Vec::new(),
        };
        for (at, amount) in on_nodes.iter().enumerate() {
            sums.add(at, *amount);
        }
        sums
    }

    /// Adds to the domain of the node at a position, if it is in one.
    fn add(&mut self, at: usize, amount: i64) {
        let Some(domain) = self.domains.of(at).filter(|_| amount != 0) else {
            return;
        };
        if self.by_domain.len() <= domain {
            self.by_domain.resize(domain + 1, 0);
        }
        self.by_domain[domain] += amount;
    }

    /// The sum of a node's domain; `None` if it is in none.
    fn at(&self, node: &NodeInfo) -> Option<i64> {
        let number = self.domains.number(node.labels().get(&self.key)?);
        let sum = number.and_then(|number| self.by_domain.get(number));
        Some(sum.copied().unwrap_or(0))
    }

    fn is_nowhere(&self) -> bool {
        self.by_domain.iter().all(|sum| *sum == 0)
    }
}

#[derive(Default)]
struct Facts {
    /// For each required term: pods that all of these terms mean.
    near: Vec<Sums>,
    /// For each required term of anti-affinity: pods that this one wants to avoid.
    avoided: Vec<Sums>,
    /// For each topology key: pods that want to avoid this one.
    avoiding: Vec<Sums>,
    /// The first of a group that wants to be together may go anywhere.
    first_of_its_kind: bool,
    /// For each preferred term: its weight, and the pods that it means.
    preferred: Vec<(i64, Sums)>,
    /// For each topology key: how much other pods want this one beside them.
    liked: Vec<Sums>,
}
impl Prepared for Facts {
    /// Where others are in the way now, or one is needed, it matters who leaves.
    fn follows_pods(&self) -> bool {
        let mut in_the_way = self.avoided.iter().chain(&self.avoiding);
        !self.near.is_empty() || in_the_way.any(|sums| !sums.is_nowhere())
    }
}

impl InterPodAffinity {
    /// One that knows these namespaces, by whose labels terms may select.
    pub fn new(namespaces: Namespaces) -> Self {
        Self {
            namespaces,
            counts: PodCounts::default(),
        }
    }

    /// How many pods all of these terms mean, on each node.
    fn meant<'a>(&self, terms: impl IntoIterator<Item = &'a Term>, nodes: Nodes<'_>) -> Vec<i64> {
        let sets = terms.into_iter().map(|term| term.pods(&self.namespaces));
        let question = Question {
            sets: sets.collect(),
            staying: false,
        };
        self.counts.pods(question, nodes)
    }

    fn sums(&self, key: &str, on_nodes: &[i64], nodes: Nodes<'_>) -> Sums {
        Sums::of(key, self.counts.domains(key, nodes), on_nodes)
    }

    /// The sums of a topology key among those of several.
    fn of_key<'s>(&self, all: &'s mut Vec<Sums>, key: &str, nodes: Nodes<'_>) -> &'s mut Sums {
        let at = match all.iter().position(|sums| sums.key == key) {
            Some(at) => at,
            None => {
                all.push(self.sums(key, &[], nodes));
                all.len() - 1
            }
        };
        &mut all[at]
    }

    /// What a pod wishes about others.
    fn wishes(&self, facts: &mut Facts, own: &Affinity, nodes: Nodes<'_>) {
        if !own.required.is_empty() {
            let meant = self.meant(&own.required, nodes);
            let sums = |term: &Term| self.sums(&term.topology_key, &meant, nodes);
            facts.near = own.required.iter().map(sums).collect();
        }
        let sums = |term: &Term| self.sums(&term.topology_key, &self.meant([term], nodes), nodes);
        facts.avoided = own.required_anti.iter().map(sums).collect();
        let weighted = own.preferred.iter();
        let weighted = weighted.map(|(weight, term)| (*weight, sums(term)));
        facts.preferred = weighted.filter(|(_, sums)| !sums.is_nowhere()).collect();
    }

    /// What others wish about it.
    fn wishes_of_others(&self, facts: &mut Facts, pod: &PodInfo, nodes: Nodes<'_>) {
        let means = |term: &Term| term.means(pod, &self.namespaces);
        for (at, node) in nodes.with_affinity() {
            let theirs = node.with_affinity.iter();
            for theirs in theirs.filter_map(|other| other.affinity.as_deref()) {
                for term in theirs.required_anti.iter().filter(|term| means(term)) {
                    let sums = self.of_key(&mut facts.avoiding, &term.topology_key, nodes);
                    sums.add(at, 1);
                }
                let required = theirs.required.iter();
                let required = required.map(|term| (HARD_AFFINITY_WEIGHT, term));
                let preferred = theirs.preferred.iter();
                let preferred = preferred.map(|(weight, term)| (*weight, term));
                for (weight, term) in required.chain(preferred).filter(|(_, term)| means(term)) {
                    let sums = self.of_key(&mut facts.liked, &term.topology_key, nodes);
                    sums.add(at, weight);
                }
            }
        }
    }
}

impl Plugin for InterPodAffinity {
    fn name(&self) -> &'static str {
        "InterPodAffinity"
    }

    fn prepare(&self, pod: &PodInfo, nodes: Nodes<'_>) -> Box<dyn Prepared> {
        let mut facts = Facts::default();
        self.wishes_of_others(&mut facts, pod, nodes);
        if let Some(own) = &pod.affinity {
            self.wishes(&mut facts, own, nodes);
            let means_itself = |term: &Term| term.means(pod, &self.namespaces);
            facts.first_of_its_kind =
                facts.near.iter().all(Sums::is_nowhere) && own.required.iter().all(means_itself);
        }
        Box::new(facts)
    }

    fn filters(&self, facts: &dyn Prepared, _: &PodInfo) -> bool {
        let facts: &Facts = prepared(facts);
        !facts.near.is_empty() || !facts.avoided.is_empty() || !facts.avoiding.is_empty()
    }

    fn filter(&self, facts: &dyn Prepared, _: &PodInfo, node: &NodeInfo) -> Result<(), Rejection> {
        let facts: &Facts = prepared(facts);
        let is_near = |sums: &Sums| {
            let there = sums.at(node);
            there.is_some_and(|pods| facts.first_of_its_kind || pods > 0)
        };
        let has_some = |sums: &Sums| sums.at(node).is_some_and(|pods| pods > 0);
        if !facts.near.iter().all(is_near) {
            return self.reject("node(s) didn't match pod affinity rules", false);
        }
        if facts.avoided.iter().any(has_some) {
            return self.reject("node(s) didn't match pod anti-affinity rules", true);
        }
        if facts.avoiding.iter().any(has_some) {
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

    fn scores(&self, facts: &dyn Prepared, _: &PodInfo) -> bool {
        let facts: &Facts = prepared(facts);
        !facts.preferred.is_empty() || !facts.liked.is_empty()
    }

    fn score(&self, facts: &dyn Prepared, _: &PodInfo, node: &NodeInfo) -> i64 {
        let facts: &Facts = prepared(facts);
        let preferred = facts.preferred.iter();
        let preferred = preferred.map(|(weight, sums)| weight * sums.at(node).unwrap_or(0));
        let liked = facts.liked.iter();
        let liked = liked.map(|sums| sums.at(node).unwrap_or(0));
        preferred.chain(liked).sum()
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
        InterPodAffinity::new(namespaces)
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
