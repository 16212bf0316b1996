//! Spreads pods of a kind evenly over domains.

use super::pod_counts::{Domains, PodCounts, Question};
use super::{node_affinity, taint_toleration};
use crate::framework::{ClusterEvent, MAX_SCORE, Nodes, Plugin, Prepared, Rejection, prepared};
use crate::namespaces::selects;
use crate::node_info::NodeInfo;
use crate::pod_info::PodInfo;
use crate::pod_set::{PodSet, selector};
use hardway_proto::Kind;
use hardway_proto::labels::{Operator, Requirement, Selector};
use hardway_proto::meta::controller_of;
use k8s_openapi::api::core::v1::TopologySpreadConstraint;

/// The plugin, with what it remembers of nodes.
#[derive(Default)]
pub struct PodTopologySpread(PodCounts);

struct Constraint {
    key: String,
    selector: Selector,
    max_skew: i64,
    hard: bool,
    min_domains: i64,
    self_match: bool,
}

/// A constraint and what there is of pods that it means.
struct Counted {
    constraint: Constraint,
    domains: Domains,
    /// Matching pods by the domain's number; `None` for what is no domain for this pod.
    counts: Vec<Option<i64>>,
    /// How many domains there are.
    size: usize,
    /// The fewest matching pods that a domain has, as far as a hard constraint goes by it.
    least: i64,
}

impl Counted {
    fn new(constraint: Constraint, domains: Domains) -> Self {
        Self {
            constraint,
            domains,
            counts: Vec::new(),
            size: 0,
            least: 0,
        }
    }

    fn add(&mut self, domain: usize, pods: i64) {
        if self.counts.len() <= domain {
            self.counts.resize(domain + 1, None);
        }
        let count = &mut self.counts[domain];
        self.size += usize::from(count.is_none());
        *count = Some(count.unwrap_or(0) + pods);
    }

    fn finish(&mut self) {
        let too_few = (self.size as i64) < self.constraint.min_domains;
        let least = self.counts.iter().flatten().copied().min();
        self.least = least.filter(|_| !too_few).unwrap_or(0);
    }

    /// How many matching pods are in a domain.
    fn here(&self, domain: &str) -> i64 {
        let number = self.domains.number(domain);
        let count = number.and_then(|number| self.counts.get(number).copied());
        count.flatten().unwrap_or(0)
    }
}

struct Facts {
    constraints: Vec<Counted>,
    /// Whether the pod has them itself. Then a node without a label that its hard ones ask
    /// for counts for none of these, and so with the soft ones.
    are_its_own: bool,
}
impl Prepared for Facts {
    fn follows_pods(&self) -> bool {
        self.of_kind(true).next().is_some()
    }
}

impl Facts {
    fn of_kind(&self, hard: bool) -> impl Iterator<Item = &Counted> {
        let all = self.constraints.iter();
        all.filter(move |counted| counted.constraint.hard == hard)
    }

    /// Whether the node at a position counts for constraints of a kind.
    fn counts_at(&self, at: usize, hard: bool) -> bool {
        let has = |counted: &Counted| counted.domains.of(at).is_some();
        !self.are_its_own || self.of_kind(hard).all(has)
    }

    fn counts(&self, node: &NodeInfo, hard: bool) -> bool {
        let has = |counted: &Counted| node.labels().contains_key(&counted.constraint.key);
        !self.are_its_own || self.of_kind(hard).all(has)
    }
}

/// The score of a node that doesn't count: the least once normalised.
const IGNORED: i64 = -1;

/// Labels that each pod of a StatefulSet or of an indexed Job has for itself.
const OF_ONE_POD: [&str; 3] = [
    "statefulset.kubernetes.io/pod-name",
    "apps.kubernetes.io/pod-index",
    "batch.kubernetes.io/job-completion-index",
];

/// Pods without constraints of their own that belong to a controller are
/// spread softly over hosts and zones (the scheduler's system defaults).
fn system_defaults(pod: &PodInfo) -> Vec<Constraint> {
    let labels = pod.pod.meta().labels.as_ref();
    let (Some(_), Some(labels)) = (controller_of(pod.pod.meta()), labels) else {
        return Vec::new();
    };
    let mut shared = labels.clone();
    shared.retain(|key, _| !OF_ONE_POD.contains(&key.as_str()));
    if shared.is_empty() {
        return Vec::new();
    }
    let soft = |key: &str, max_skew| Constraint {
        key: key.into(),
        selector: Selector::from_map(&shared),
        max_skew,
        hard: false,
        min_domains: 1,
        self_match: true,
    };
    vec![
        soft("kubernetes.io/hostname", 3),
        soft("topology.kubernetes.io/zone", 5),
    ]
}

fn constraint(pod: &PodInfo, spec: &TopologySpreadConstraint) -> Constraint {
    let selector = narrowed(pod, spec);
    Constraint {
        key: spec.topology_key.clone(),
        self_match: selects(&selector, pod.pod.meta()),
        selector,
        max_skew: i64::from(spec.max_skew),
        hard: spec.when_unsatisfiable == "DoNotSchedule",
        min_domains: i64::from(spec.min_domains.unwrap_or(1)),
    }
}

/// The constraint's selector, narrowed to the pod's own values of some label keys.
fn narrowed(pod: &PodInfo, spec: &TopologySpreadConstraint) -> Selector {
    let selector = selector(spec.label_selector.as_ref());
    if selector.is_nothing() {
        return selector;
    }
    let labels = pod.pod.meta().labels.as_ref();
    let own = spec.match_label_keys.iter().flatten().filter_map(|key| {
        let value = labels?.get(key)?;
        Requirement::new(key, Operator::In, vec![value.clone()]).ok()
    });
    Selector::of(selector.requirements().iter().cloned().chain(own).collect())
}

/// Which nodes count as domains for a pod: by default its node affinity is honoured, its
/// tolerations are not.
struct Inclusion {
    by_affinity: bool,
    by_taints: bool,
}

impl Inclusion {
    fn of(pod: &PodInfo, spec: Option<&TopologySpreadConstraint>) -> Self {
        let honors = |field: Option<&String>, default: &str| {
            field.map_or(default, String::as_str) == "Honor"
        };
        let affinity = spec.and_then(|s| s.node_affinity_policy.as_ref());
        let taints = spec.and_then(|s| s.node_taints_policy.as_ref());
        Self {
            by_affinity: honors(affinity, "Honor") && node_affinity::is_restricted(pod),
            by_taints: honors(taints, "Ignore"),
        }
    }

    fn includes(&self, pod: &PodInfo, node: &NodeInfo) -> bool {
        let tolerated = || {
            let taints = node.taints().iter();
            taints
                .filter(|t| t.effect != "PreferNoSchedule")
                .all(|t| taint_toleration::tolerates(pod, t))
        };
        (!self.by_affinity || node_affinity::allows(pod, node)) && (!self.by_taints || tolerated())
    }
}

impl Plugin for PodTopologySpread {
    fn name(&self) -> &'static str {
        "PodTopologySpread"
    }

    fn prepare(&self, pod: &PodInfo, nodes: Nodes<'_>) -> Box<dyn Prepared> {
        let specs = pod
            .spec()
            .and_then(|s| s.topology_spread_constraints.as_deref())
            .unwrap_or_default();
        let constraints: Vec<Constraint> = if specs.is_empty() {
            system_defaults(pod)
        } else {
            specs.iter().map(|spec| constraint(pod, spec)).collect()
        };
        let with_domains = |constraint: Constraint| {
            let domains = self.0.domains(&constraint.key, nodes);
            Counted::new(constraint, domains)
        };
        let mut facts = Facts {
            constraints: constraints.into_iter().map(with_domains).collect(),
            are_its_own: !specs.is_empty(),
        };
        let all = |hard: bool| -> Vec<bool> {
            let positions = 0..nodes.len();
            positions.map(|at| facts.counts_at(at, hard)).collect()
        };
        let (soft, hard) = match facts.constraints.is_empty() {
            true => return Box::new(facts),
            false => (all(false), all(true)),
        };
        for (place, counted) in facts.constraints.iter_mut().enumerate() {
            let inclusion = Inclusion::of(pod, specs.get(place));
            let constraint = &counted.constraint;
            let counts = match constraint.hard {
                true => &hard,
                false => &soft,
            };
            let namespace = vec![pod.key.namespace.clone()];
            let question = Question {
                sets: vec![PodSet::new(Some(namespace), constraint.selector.clone())],
                staying: true,
            };
            for (at, pods) in self.0.pods(question, nodes).into_iter().enumerate() {
                if counts[at]
                    && let Some(domain) = counted.domains.of(at)
                    && inclusion.includes(pod, &nodes[at])
                {
                    counted.add(domain, pods);
                }
            }
            counted.finish();
        }
        Box::new(facts)
    }

    fn filter(&self, facts: &dyn Prepared, _: &PodInfo, node: &NodeInfo) -> Result<(), Rejection> {
        let facts: &Facts = prepared(facts);
        for counted in facts.of_kind(true) {
            let constraint = &counted.constraint;
            let Some(domain) = node.labels().get(&constraint.key) else {
                return self.reject(
                    "node(s) didn't match pod topology spread constraints (missing required label)",
                    false,
                );
            };
            let here = counted.here(domain) + i64::from(constraint.self_match);
            if here - counted.least > constraint.max_skew {
                return self.reject("node(s) didn't match pod topology spread constraints", true);
            }
        }
        Ok(())
    }

    fn filters(&self, facts: &dyn Prepared, _: &PodInfo) -> bool {
        prepared::<Facts>(facts).of_kind(true).next().is_some()
    }

    fn weight(&self) -> i64 {
        2
    }

    fn scores(&self, facts: &dyn Prepared, _: &PodInfo) -> bool {
        prepared::<Facts>(facts).of_kind(false).next().is_some()
    }

    /// Matching pods in the node's domains; fewer is better. Larger domains
    /// (fewer of them) weigh less, as Kubernetes' normalising weight does.
    fn score(&self, facts: &dyn Prepared, _: &PodInfo, node: &NodeInfo) -> i64 {
        let facts: &Facts = prepared(facts);
        if !facts.counts(node, false) {
            return IGNORED;
        }
        let mut total = 0.0;
        for counted in facts.of_kind(false) {
            let constraint = &counted.constraint;
            if let Some(domain) = node.labels().get(&constraint.key) {
                let here = counted.here(domain);
                let weight = (counted.size as f64 + 2.0).ln();
                total += here as f64 * weight + (constraint.max_skew - 1) as f64;
            }
        }
        total.round() as i64
    }

    fn normalize(&self, _: &dyn Prepared, scores: &mut [i64]) {
        let counted = || scores.iter().copied().filter(|score| *score != IGNORED);
        let min = counted().min().unwrap_or(0);
        let max = counted().max().unwrap_or(0);
        for score in scores {
            *score = if *score == IGNORED {
                0
            } else if max == 0 {
                MAX_SCORE
            } else {
                MAX_SCORE * (max + min - *score) / max
            };
        }
    }

    fn may_help(&self, event: ClusterEvent) -> bool {
        event != ClusterEvent::NamespaceChanged
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{filter, labelled_pod, node, score};
    use super::*;
    use serde_json::json;
    use std::sync::Arc;

    fn web(name: &str, when: &str) -> PodInfo {
        let constraint = json!({
            "maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": when,
            "labelSelector": {"matchLabels": {"app": "web"}},
        });
        labelled_pod(
            name,
            json!({"app": "web"}),
            json!({"topologySpreadConstraints": [constraint]}),
        )
    }

    fn zones() -> Vec<NodeInfo> {
        let mut full = node("a", json!({"zone": "1"}), json!({}));
        full.add_pod(Arc::new(web("first", "DoNotSchedule")));
        vec![
            full,
            node("b", json!({"zone": "2"}), json!({})),
            node("c", json!({}), json!({})),
        ]
    }

    #[test]
    fn a_hard_constraint_bounds_the_skew() {
        let verdicts = filter(
            PodTopologySpread::default(),
            &web("second", "DoNotSchedule"),
            zones(),
        );
        assert_eq!(
            verdicts[0],
            ["node(s) didn't match pod topology spread constraints"]
        );
        assert!(verdicts[1].is_empty());
        assert_eq!(
            verdicts[2],
            ["node(s) didn't match pod topology spread constraints (missing required label)"]
        );
    }

    #[test]
    fn a_soft_one_prefers_the_emptier_domain() {
        let mut nodes = zones();
        nodes.pop();
        let scores = score(
            PodTopologySpread::default(),
            &web("second", "ScheduleAnyway"),
            nodes,
        );
        assert!(scores[1] > scores[0], "{scores:?}");
    }

    /// As in Kubernetes' `calPreFilterState` and `initPreScoreState`: a node has to have the
    /// labels of all hard (or all soft) constraints to count for one of them.
    #[test]
    fn a_node_without_a_label_of_another_constraint_does_not_count() {
        let hard = |key: &str| {
            json!({"maxSkew": 1, "topologyKey": key, "whenUnsatisfiable": "DoNotSchedule",
                "labelSelector": {"matchLabels": {"app": "web"}}})
        };
        let spec = json!({"topologySpreadConstraints": [hard("node"), hard("zone")]});
        let full = |name: &str, zone: &str| {
            let mut info = node(name, json!({"node": name, "zone": zone}), json!({}));
            info.add_pod(Arc::new(web(name, "DoNotSchedule")));
            info
        };
        let nodes = vec![
            full("a", "1"),
            full("b", "2"),
            node("c", json!({"node": "c"}), json!({})),
        ];
        let new = labelled_pod("new", json!({"app": "web"}), spec);
        let verdicts = filter(PodTopologySpread::default(), &new, nodes);
        assert_eq!(verdicts[..2], [[""; 0]; 2]);
        assert_eq!(
            verdicts[2],
            ["node(s) didn't match pod topology spread constraints (missing required label)"]
        );
    }

    #[test]
    fn a_node_without_the_label_is_the_last_that_a_soft_constraint_prefers() {
        let scores = score(
            PodTopologySpread::default(),
            &web("new", "ScheduleAnyway"),
            zones(),
        );
        assert_eq!(scores, [0, 200, 0]);
    }

    #[test]
    fn pods_of_a_set_are_spread_though_each_has_labels_of_its_own() {
        let replica = |name: &str| {
            let labels = json!({"app": "db", "statefulset.kubernetes.io/pod-name": name,
                "apps.kubernetes.io/pod-index": name});
            let pod = labelled_pod(name, labels, json!({}));
            let mut object = (*pod.pod).clone();
            let owner = json!([{"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "db",
                "uid": "u", "controller": true}]);
            object.metadata.owner_references = serde_json::from_value(owner).unwrap();
            PodInfo::new(Arc::new(object))
        };
        let host = |name: &str| node(name, json!({"kubernetes.io/hostname": name}), json!({}));
        let mut taken = host("a");
        taken.add_pod(Arc::new(replica("db-0")));
        let nodes = vec![taken, host("b")];
        let scores = score(PodTopologySpread::default(), &replica("db-1"), nodes);
        assert!(scores[1] > scores[0], "{scores:?}");
    }

    #[test]
    fn label_keys_narrow_the_selector_to_the_pods_own_values() {
        let with = |name: &str, revision: &str| {
            let mut constraint = json!({"maxSkew": 1, "topologyKey": "zone",
                "whenUnsatisfiable": "DoNotSchedule", "matchLabelKeys": ["revision", "none"]});
            constraint["labelSelector"] = json!({"matchLabels": {"app": "web"}});
            let labels = json!({"app": "web", "revision": revision});
            let spec = json!({"topologySpreadConstraints": [constraint]});
            labelled_pod(name, labels, spec)
        };
        let fits = |revision: &str| {
            let mut full = node("a", json!({"zone": "1"}), json!({}));
            full.add_pod(Arc::new(with("old", "1")));
            let nodes = vec![full, node("b", json!({"zone": "2"}), json!({}))];
            let verdicts = filter(PodTopologySpread::default(), &with("new", revision), nodes);
            verdicts.iter().map(Vec::is_empty).collect::<Vec<_>>()
        };
        assert_eq!(fits("1"), [false, true]);
        assert_eq!(fits("2"), [true, true]);
    }
}
