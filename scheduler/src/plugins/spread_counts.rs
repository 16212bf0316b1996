//! What spreading asks about every node: in which domain it is, and how many of its pods a
//! selector matches. Pods of one application come one after the other and ask the same, and
//! between two of them hardly a node changes: so the answers are remembered, each for as long
//! as its node stays as it was.

use crate::framework::Nodes;
use crate::namespaces::selects;
use crate::node_info::NodeInfo;
use hardway_proto::Kind;
use hardway_proto::labels::Selector;
use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// So many questions are remembered of each sort: some dozens of kilobytes each with thousands
/// of nodes.
const QUESTIONS: usize = 16;

/// One answer for each node, by its position, with the node's generation.
#[derive(Clone)]
struct Answers<T>(Vec<(u64, T)>);

impl<T: Copy> Answers<T> {
    fn update(&mut self, nodes: Nodes<'_>, mut ask: impl FnMut(&NodeInfo) -> T) {
        self.0.truncate(nodes.len());
        for at in 0..nodes.len() {
            let generation = nodes.generation(at);
            match self.0.get_mut(at) {
                Some((known, _)) if *known == generation => {}
                Some(answer) => *answer = (generation, ask(&nodes[at])),
                None => self.0.push((generation, ask(&nodes[at]))),
            }
        }
    }
}

/// The questions asked last, the very last one first.
struct Recent<Q, T>(VecDeque<(Q, T)>);

impl<Q: PartialEq, T> Recent<Q, T> {
    fn entry(&mut self, question: Q, new: impl FnOnce() -> T) -> &mut T {
        let known = self.0.iter().position(|(known, _)| *known == question);
        let entry = known.and_then(|at| self.0.remove(at));
        self.0.truncate(QUESTIONS - 1);
        self.0
            .push_front(entry.unwrap_or_else(|| (question, new())));
        &mut self.0[0].1
    }
}

/// The values of a label: each is a domain, known by its number.
#[derive(Clone)]
pub struct Domains {
    numbers: Arc<HashMap<String, usize>>,
    by_node: Arc<Answers<Option<usize>>>,
}

impl Domains {
    fn empty() -> Self {
        Self {
            numbers: Arc::default(),
            by_node: Arc::new(Answers(Vec::new())),
        }
    }

    /// That of the node at a position.
    pub fn of(&self, at: usize) -> Option<usize> {
        self.by_node.0[at].1
    }

    /// The number of one, if it ever was on a node.
    pub fn number(&self, domain: &str) -> Option<usize> {
        self.numbers.get(domain).copied()
    }

    fn update(&mut self, key: &str, nodes: Nodes<'_>) {
        // Domains come and go with nodes.
        if self.numbers.len() > 2 * nodes.len() + QUESTIONS {
            *self = Self::empty();
        }
        let numbers = &mut self.numbers;
        Arc::make_mut(&mut self.by_node).update(nodes, |node| {
            let domain = node.labels().get(key)?;
            if let Some(number) = numbers.get(domain) {
                return Some(*number);
            }
            let number = numbers.len();
            Arc::make_mut(numbers).insert(domain.clone(), number);
            Some(number)
        });
    }
}

/// Pods of a namespace that a selector matches.
type Alike = (String, Selector);

/// What is remembered.
pub struct SpreadCounts {
    domains: Mutex<Recent<String, Domains>>,
    matching: Mutex<Recent<Alike, Answers<i64>>>,
}

impl Default for SpreadCounts {
    fn default() -> Self {
        Self {
            domains: Mutex::new(Recent(VecDeque::new())),
            matching: Mutex::new(Recent(VecDeque::new())),
        }
    }
}

impl SpreadCounts {
    /// The domains of a topology key.
    pub fn domains(&self, key: &str, nodes: Nodes<'_>) -> Domains {
        let mut recent = self.domains.lock();
        let domains = recent.entry(key.to_owned(), Domains::empty);
        domains.update(key, nodes);
        domains.clone()
    }

    /// How many pods of a namespace on each node, by its position, a selector matches; without
    /// those that are being deleted.
    pub fn matching(&self, namespace: &str, selector: &Selector, nodes: Nodes<'_>) -> Vec<i64> {
        let mut recent = self.matching.lock();
        let question = (namespace.to_owned(), selector.clone());
        let answers = recent.entry(question, || Answers(Vec::new()));
        answers.update(nodes, |node| {
            let matching = node.pods.values().filter(|pod| {
                pod.key.namespace == namespace
                    && pod.pod.meta().deletion_timestamp.is_none()
                    && selects(selector, pod.pod.meta())
            });
            matching.count() as i64
        });
        answers.0.iter().map(|(_, count)| *count).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{labelled_pod, node};
    use super::*;
    use crate::cache::Cache;
    use serde_json::json;

    fn selector() -> Selector {
        Selector::parse("app=web").unwrap()
    }

    fn web(name: &str) -> crate::pod_info::PodInfo {
        labelled_pod(name, json!({"app": "web"}), json!({}))
    }

    #[test]
    fn what_is_remembered_of_a_node_ends_when_it_changes() {
        let counts = SpreadCounts::default();
        let mut cache = Cache::default();
        for (name, zone) in [("a", "1"), ("b", "2"), ("c", "1")] {
            let info = node(name, json!({"zone": zone}), json!({}));
            cache.apply_node(info.node.unwrap());
        }
        let matching = |cache: &Cache| counts.matching("default", &selector(), cache.nodes());
        let zones = |cache: &Cache| -> Vec<_> {
            let domains = counts.domains("zone", cache.nodes());
            let number = |zone: &str| domains.number(zone);
            (0..cache.nodes().len())
                .map(|at| {
                    ["1", "2", "3"]
                        .iter()
                        .position(|z| domains.of(at) == number(z))
                })
                .collect()
        };
        assert_eq!(matching(&cache), [0, 0, 0]);
        assert_eq!(zones(&cache), [Some(0), Some(1), Some(0)]);
        cache.assume(&web("p"), "b");
        cache.assume(&web("q"), "b");
        cache.assume(&labelled_pod("r", json!({"app": "db"}), json!({})), "b");
        assert_eq!(matching(&cache), [0, 2, 0]);
        cache.forget(&web("p").key, "p");
        assert_eq!(matching(&cache), [0, 1, 0]);
        let moved = node("b", json!({"zone": "3"}), json!({}));
        cache.apply_node(moved.node.unwrap());
        assert_eq!(zones(&cache), [Some(0), Some(2), Some(0)]);
        // The last one takes the place of the one that goes.
        cache.remove_node("a");
        assert_eq!(
            (matching(&cache), zones(&cache)),
            (vec![0, 1], vec![Some(0), Some(2)])
        );
        // A node whose object is gone is in no zone.
        cache.remove_node("b");
        assert_eq!(counts.domains("zone", cache.nodes()).of(1), None);
    }

    #[test]
    fn other_questions_have_other_answers_and_few_are_kept() {
        let counts = SpreadCounts::default();
        let mut cache = Cache::default();
        cache.assume(&web("p"), "a");
        for number in 0..2 * QUESTIONS {
            let other = Selector::parse(&format!("app=app-{number}")).unwrap();
            assert_eq!(counts.matching("default", &other, cache.nodes()), [0]);
            assert_eq!(counts.matching("default", &selector(), cache.nodes()), [1]);
            assert_eq!(counts.matching("other", &selector(), cache.nodes()), [0]);
        }
        assert_eq!(counts.matching.lock().0.len(), QUESTIONS);
    }

    #[test]
    fn domains_of_nodes_that_are_gone_are_forgotten() {
        let counts = SpreadCounts::default();
        for number in 0..200 {
            let name = format!("n{number}");
            let nodes = [Arc::new(node(&name, json!({"host": name}), json!({})))];
            let domains = counts.domains("host", (&nodes).into());
            assert_eq!(domains.of(0), domains.number(&name));
            assert!(domains.numbers.len() <= QUESTIONS + 3);
        }
    }
}
