//! How many watches a write is told to.

use std::collections::HashMap;

/// What a watch is interested in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Interest {
    /// API group of the resource.
    pub group: String,
    /// Plural name of the resource.
    pub resource: String,
    /// One namespace; empty: all.
    pub namespace: String,
    /// One object, by name, or the objects of one node; empty: all.
    pub only: String,
}

/// The watches that are open.
#[derive(Debug, Default)]
pub struct Watchers {
    /// By plural name and group of the resource.
    resources: HashMap<String, HashMap<String, Watches>>,
}

/// How many there are, by namespace and what else they are limited to.
type Watches = HashMap<(String, String), usize>;

impl Watchers {
    /// One more.
    pub fn add(&mut self, interest: &Interest) {
        let groups = self.resources.entry(interest.resource.clone()).or_default();
        let watches = groups.entry(interest.group.clone()).or_default();
        let only = (interest.namespace.clone(), interest.only.clone());
        *watches.entry(only).or_default() += 1;
    }

    /// One less.
    pub fn remove(&mut self, interest: &Interest) {
        let Some(groups) = self.resources.get_mut(&interest.resource) else {
            return;
        };
        if let Some(watches) = groups.get_mut(&interest.group) {
            let only = (interest.namespace.clone(), interest.only.clone());
            if let Some(count) = watches.get_mut(&only) {
                *count -= 1;
            }
            watches.retain(|_, count| *count > 0);
        }
        groups.retain(|_, watches| !watches.is_empty());
        if groups.is_empty() {
            self.resources.remove(&interest.resource);
        }
    }

    /// How many are told of a change in a namespace. Of those that follow one
    /// name or one node only, the largest group counts: a change concerns one.
    pub fn interested(&self, group: &str, resource: &str, namespace: &str) -> usize {
        let of = self.resources.get(resource);
        let Some(watches) = of.and_then(|groups| groups.get(group)) else {
            return 0;
        };
        let (mut all, mut largest) = (0, 0);
        for ((of, only), count) in watches {
            if !of.is_empty() && of != namespace {
                continue;
            }
            match only.is_empty() {
                true => all += count,
                false => largest = largest.max(*count),
            }
        }
        all + largest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pods(namespace: &str, only: &str) -> Interest {
        Interest {
            group: String::new(),
            resource: "pods".into(),
            namespace: namespace.into(),
            only: only.into(),
        }
    }

    #[test]
    fn those_count_that_a_change_concerns() {
        let mut watchers = Watchers::default();
        for interest in [pods("", ""), pods("a", ""), pods("b", "")] {
            watchers.add(&interest);
        }
        for node in ["n1", "n2", "n2"] {
            watchers.add(&pods("", node));
        }
        assert_eq!(watchers.interested("", "pods", "a"), 4);
        assert_eq!(watchers.interested("", "pods", "c"), 3);
        assert_eq!(watchers.interested("apps", "pods", "a"), 0);
        watchers.remove(&pods("", "n2"));
        watchers.remove(&pods("", ""));
        assert_eq!(watchers.interested("", "pods", "c"), 1);
    }

    #[test]
    fn nothing_is_kept_of_those_that_ended() {
        let mut watchers = Watchers::default();
        watchers.add(&pods("a", "x"));
        watchers.remove(&pods("a", "x"));
        watchers.remove(&pods("a", "x"));
        assert!(watchers.resources.is_empty());
    }
}
