//! What spreading and affinity ask about every node: in which domain it is, and how many of its
//! pods they mean. Pods of one application come one after the other and ask the same, and
//! between two of them hardly a node changes: so the answers are remembered, each for as long
//! as its node stays as it was.

use crate::framework::Nodes;
use crate::node_info::NodeInfo;
use crate::pod_set::PodSet;
use hardway_proto::Kind;
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
    /// Whether they are all there for the nodes as they are.
    fn are_of(&self, nodes: Nodes<'_>) -> bool {
        let mut known = self.0.iter().enumerate();
        self.0.len() == nodes.len() && known.all(|(at, (of, _))| *of == nodes.generation(at))
    }

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
    /// A question with what is known of it.
    fn entry(&mut self, question: Q, new: impl FnOnce() -> T) -> (&Q, &mut T) {
        let known = self.0.iter().position(|(known, _)| *known == question);
        let entry = known.and_then(|at| self.0.remove(at));
        self.0.truncate(QUESTIONS - 1);
        self.0
            .push_front(entry.unwrap_or_else(|| (question, new())));
        let (question, answer) = &mut self.0[0];
        (question, answer)
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
        if self.by_node.are_of(nodes) {
            return;
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

/// Which pods are counted.
#[derive(Debug, PartialEq, Eq)]
pub struct Question {
    /// Those that are in each of these sets.
    pub sets: Vec<PodSet>,
    /// Only those that are not being deleted.
    pub staying: bool,
}

impl Question {
    fn count(&self, node: &NodeInfo) -> i64 {
        let counted = node.pods.values().filter(|pod| {
            self.sets.iter().all(|set| set.contains(pod))
                && (!self.staying || pod.pod.meta().deletion_timestamp.is_none())
        });
        counted.count() as i64
    }
}

/// What is remembered.
pub struct PodCounts {
    domains: Mutex<Recent<String, Domains>>,
    pods: Mutex<Recent<Question, Answers<i64>>>,
}

impl Default for PodCounts {
    fn default() -> Self {
        Self {
            domains: Mutex::new(Recent(VecDeque::new())),
            pods: Mutex::new(Recent(VecDeque::new())),
        }
    }
}

impl PodCounts {
    /// The domains of a topology key.
    pub fn domains(&self, key: &str, nodes: Nodes<'_>) -> Domains {
        let mut recent = self.domains.lock();
        let (_, domains) = recent.entry(key.to_owned(), Domains::empty);
        domains.update(key, nodes);
        domains.clone()
    }

    /// How many pods a question means on each node, by the node's position.
    pub fn pods(&self, question: Question, nodes: Nodes<'_>) -> Vec<i64> {
        let mut recent = self.pods.lock();
        let (question, answers) = recent.entry(question, || Answers(Vec::new()));
        answers.update(nodes, |node| question.count(node));
        answers.0.iter().map(|(_, count)| *count).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{labelled_pod, node};
    use super::*;
    use crate::cache::Cache;
    use crate::pod_info::PodInfo;
    use hardway_proto::labels::Selector;
    use serde_json::json;

    fn staying(namespace: &str, app: &str) -> Question {
        let selector = Selector::parse(&format!("app={app}")).unwrap();
        Question {
            sets: vec![PodSet::new(Some(vec![namespace.to_owned()]), selector)],
            staying: true,
        }
    }

    fn of_app(name: &str, app: &str) -> Arc<PodInfo> {
        Arc::new(labelled_pod(name, json!({"app": app}), json!({})))
    }

    #[test]
    fn what_is_remembered_of_a_node_ends_when_it_changes() {
        let counts = PodCounts::default();
        let mut cache = Cache::default();
        for (name, zone) in [("a", "1"), ("b", "2"), ("c", "1")] {
            let info = node(name, json!({"zone": zone}), json!({}));
            cache.apply_node(info.node.unwrap());
        }
        let matching = |cache: &Cache| counts.pods(staying("default", "web"), cache.nodes());
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
        cache.assume(&of_app("p", "web"), "b");
        cache.assume(&of_app("q", "web"), "b");
        cache.assume(&of_app("r", "db"), "b");
        assert_eq!(matching(&cache), [0, 2, 0]);
        cache.forget(&of_app("p", "web").key, "p");
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
        let counts = PodCounts::default();
        let mut cache = Cache::default();
        cache.assume(&of_app("p", "web"), "a");
        for number in 0..2 * QUESTIONS {
            let count = |question| counts.pods(question, cache.nodes());
            let other = staying("default", &format!("app-{number}"));
            assert_eq!(count(other), [0]);
            assert_eq!(count(staying("default", "web")), [1]);
            assert_eq!(count(staying("other", "web")), [0]);
            let both = [staying("default", "web"), staying("default", "db")];
            let both = both
                .into_iter()
                .flat_map(|question| question.sets)
                .collect();
            assert_eq!(
                count(Question {
                    sets: both,
                    staying: true
                }),
                [0]
            );
        }
        assert_eq!(counts.pods.lock().0.len(), QUESTIONS);
    }

    #[test]
    fn domains_of_nodes_that_are_gone_are_forgotten() {
        let counts = PodCounts::default();
        for number in 0..200 {
            let name = format!("n{number}");
            let nodes = [Arc::new(node(&name, json!({"host": name}), json!({})))];
            let domains = counts.domains("host", (&nodes).into());
            assert_eq!(domains.of(0), domains.number(&name));
            assert!(domains.numbers.len() <= QUESTIONS + 3);
        }
    }
}
