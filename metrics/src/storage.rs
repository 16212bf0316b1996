//! The last two points of everything, and what lies between them. The rules are those of
//! metrics-server (`pkg/storage`): a container that is new counts from its beginning.

use crate::exposition::{Point, Scrape};
use hardway_proto::meta::ObjectKey;
use parking_lot::RwLock;
use std::collections::HashMap;

/// A container must have run so long before its beginning counts as a point.
const FRESH: i64 = 10_000;

/// What is used, over a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// End of the time, in milliseconds since the epoch.
    pub at: i64,
    /// Its length in milliseconds.
    pub window: i64,
    /// Nanoseconds of CPU in a second.
    pub cpu: u64,
    /// Bytes of memory at the end.
    pub memory: u64,
}

/// A pod's containers and what they use.
pub type Containers = Vec<(Box<str>, Usage)>;

/// What kubelets have said, by node.
#[derive(Debug, Default)]
pub struct Storage(RwLock<HashMap<String, Points>>);

#[derive(Debug, Default)]
struct Points {
    last: Scrape,
    before: Scrape,
}

impl Storage {
    /// Takes a kubelet's answer in. One that is no news (nothing was measured anew) leaves
    /// all as it is.
    pub fn put(&self, node: &str, scrape: Scrape) {
        let mut nodes = self.0.write();
        let points = nodes.entry(node.to_owned()).or_default();
        if scrape.node.at > points.last.node.at {
            points.before = std::mem::replace(&mut points.last, scrape);
        }
    }

    /// Forgets a node.
    pub fn remove(&self, node: &str) {
        self.0.write().remove(node);
    }

    /// What a node uses.
    pub fn node(&self, name: &str) -> Option<Usage> {
        let nodes = self.0.read();
        let points = nodes.get(name)?;
        between(Some(&points.before.node), &points.last.node)
    }

    /// What a pod uses, in the words of the node it is on.
    pub fn pod(&self, node: &str, key: &ObjectKey) -> Option<Containers> {
        self.0.read().get(node)?.pod(key)
    }

    /// Whether anything could be answered.
    pub fn has_some(&self) -> bool {
        let nodes = self.0.read();
        let mut points = nodes.values();
        points.any(|points| between(Some(&points.before.node), &points.last.node).is_some())
    }
}

impl Points {
    /// A pod of which one container can't be told isn't told at all.
    fn pod(&self, key: &ObjectKey) -> Option<Containers> {
        let before = self.before.pods.get(key);
        let former = |name: &str| {
            let mut former = before.into_iter().flatten();
            former.find(|(it, _)| **it == *name).map(|(_, point)| point)
        };
        let containers = self.last.pods.get(key)?.iter();
        containers
            .map(|(name, point)| Some((name.clone(), between(former(name), point)?)))
            .collect()
    }
}

/// What was used between two points.
fn between(before: Option<&Point>, last: &Point) -> Option<Usage> {
    let is_same = |before: &&Point| {
        before.at > 0 && last.at > before.at && last.began <= before.at && last.cpu >= before.cpu
    };
    let (since, cpu) = match before.filter(is_same) {
        Some(before) => (before.at, last.cpu - before.cpu),
        // It counts from its beginning.
        None if last.began > 0 && last.at - last.began >= FRESH => (last.began, last.cpu),
        None => return None,
    };
    let window = last.at - since;
    let cpu = u128::from(cpu) * 1000 / u128::from(window.unsigned_abs());
    Some(Usage {
        at: last.at,
        window,
        cpu: cpu.try_into().unwrap_or(u64::MAX),
        memory: last.memory,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scrape(at: i64, began: i64, cpu: u64) -> Scrape {
        let point = Point {
            at,
            began,
            cpu,
            memory: 5,
        };
        Scrape {
            node: Point { began: 0, ..point },
            pods: HashMap::from([(ObjectKey::new("shop", "a"), vec![("web".into(), point)])]),
        }
    }

    #[test]
    fn usage_lies_between_two_points() {
        let storage = Storage::default();
        let key = ObjectKey::new("shop", "a");
        storage.put("n1", scrape(100_000, 95_000, 1_000_000_000));
        assert!(storage.node("n1").is_none() && !storage.has_some());
        assert!(storage.pod("n1", &key).is_none(), "it has just begun");
        storage.put("n1", scrape(115_000, 95_000, 4_000_000_000));
        let usage = storage.node("n1").unwrap();
        assert_eq!((usage.cpu, usage.window), (200_000_000, 15_000));
        let pod = storage.pod("n1", &key).unwrap();
        assert_eq!(pod[0].1.cpu, 200_000_000);
        assert!(storage.pod("n2", &key).is_none() && storage.has_some());
        // The same again is no news.
        storage.put("n1", scrape(115_000, 95_000, 4_000_000_000));
        assert_eq!(storage.node("n1"), Some(usage));
        storage.remove("n1");
        assert!(storage.pod("n1", &key).is_none());
    }

    #[test]
    fn a_container_that_began_anew_counts_from_there() {
        let storage = Storage::default();
        let key = ObjectKey::new("shop", "a");
        storage.put("n1", scrape(100_000, 10_000, 9_000_000_000));
        // Restarted 12 s ago.
        storage.put("n1", scrape(115_000, 103_000, 6_000_000_000));
        let usage = storage.pod("n1", &key).unwrap()[0].1;
        assert_eq!((usage.cpu, usage.window), (500_000_000, 12_000));
        // Restarted just now: nothing can be said.
        storage.put("n1", scrape(130_000, 129_000, 1_000_000));
        assert!(storage.pod("n1", &key).is_none());
    }
}
