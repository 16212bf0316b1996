//! What the table should hold, and the commands that take it there.

use crate::elements::{Elements, Picker, Set};
use crate::ruleset::{self, Layout, TABLE};
use hardway_proto::meta::ObjectKey;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write;

/// Data by set and key; empty data for plain sets.
pub type Entries = BTreeMap<(Set, String), String>;

/// The difference between what is applied and what should be.
#[derive(Debug, Default)]
pub struct Change {
    /// Gone, with the data they had; a changed one is gone and added.
    pub gone: Entries,
    /// New.
    pub added: Entries,
    /// Chains that don't exist yet.
    pub pickers: BTreeSet<Picker>,
}

impl Change {
    /// How many elements it takes out and puts in.
    pub fn size(&self) -> (usize, usize) {
        (self.gone.len(), self.added.len())
    }
}

/// The sum of all Services' elements. Where two Services claim the same
/// address and port, the one that was first keeps it.
#[derive(Default)]
pub struct Desired {
    services: HashMap<ObjectKey, Elements>,
    owners: HashMap<(Set, String), ObjectKey>,
    /// How many Services have each shared element.
    users: HashMap<(Set, String), usize>,
    /// Services that could not have all they claim.
    crowded_out: BTreeSet<ObjectKey>,
    pickers: BTreeSet<Picker>,
}

/// Sets whose elements several Services may share.
fn is_shared(set: Set) -> bool {
    matches!(set, Set::Hairpin | Set::ClusterIps)
}

impl Desired {
    /// Replaces one Service's elements; an empty set of them removes it. Adds
    /// the difference to `change`. Returns Services to look at again, because
    /// what they could not have may be free now.
    pub fn replace(
        &mut self,
        key: &ObjectKey,
        wanted: Elements,
        change: &mut Change,
    ) -> Vec<ObjectKey> {
        let old = self.services.remove(key).unwrap_or_default();
        let mut kept = Elements {
            entries: Entries::new(),
            pickers: wanted.pickers,
        };
        self.crowded_out.remove(key);
        for (element, data) in wanted.entries {
            if !is_shared(element.0) {
                let owner = self
                    .owners
                    .entry(element.clone())
                    .or_insert_with(|| key.clone());
                if owner != key {
                    tracing::warn!(service = %key, %owner, set = element.0.name(), element = element.1,
                        "already taken by another Service");
                    self.crowded_out.insert(key.clone());
                    continue;
                }
            }
            kept.entries.insert(element, data);
        }
        let mut freed = false;
        for (element, data) in &old.entries {
            let now = kept.entries.get(element);
            if now == Some(data) {
                continue;
            }
            if now.is_none() {
                if is_shared(element.0) && self.release(element) {
                    continue;
                }
                freed |= self.owners.remove(element).is_some();
            }
            // An element added and gone in one change was never there.
            if change.added.remove(element).is_none() {
                change.gone.insert(element.clone(), data.clone());
            }
        }
        for (element, data) in &kept.entries {
            if old.entries.get(element) == Some(data) {
                continue;
            }
            if is_shared(element.0) && self.share(element) {
                continue;
            }
            // Gone and added unchanged is no change.
            if change.gone.get(element) == Some(data) {
                change.gone.remove(element);
            } else {
                change.added.insert(element.clone(), data.clone());
            }
        }
        for picker in &kept.pickers {
            if self.pickers.insert(*picker) {
                change.pickers.insert(*picker);
            }
        }
        if !kept.entries.is_empty() {
            self.services.insert(key.clone(), kept);
        }
        if freed {
            self.crowded_out.iter().cloned().collect()
        } else {
            Vec::new()
        }
    }

    /// One more Service has a shared element; whether another had it already.
    fn share(&mut self, element: &(Set, String)) -> bool {
        let users = self.users.entry(element.clone()).or_default();
        *users += 1;
        *users > 1
    }

    /// One Service less has it; whether another still does.
    fn release(&mut self, element: &(Set, String)) -> bool {
        let Some(users) = self.users.get_mut(element) else {
            return false;
        };
        *users -= 1;
        if *users == 0 {
            self.users.remove(element);
            return false;
        }
        true
    }

    /// All elements.
    pub fn elements(&self) -> impl Iterator<Item = &(Set, String)> {
        self.services.values().flat_map(|e| e.entries.keys())
    }

    /// How many elements there are at most; those that Services share count for each.
    pub fn size(&self) -> usize {
        let services = self.services.values();
        services.map(|service| service.entries.len()).sum()
    }

    /// The table with all its chains and rules, but without elements.
    pub fn frame(&self, layout: &Layout) -> String {
        let mut text = ruleset::base(layout);
        for picker in &self.pickers {
            text.push_str(&ruleset::picker(picker));
        }
        text
    }

    /// The whole table from nothing.
    pub fn rebuild(&self, layout: &Layout) -> String {
        let mut text = self.frame(layout);
        let mut all = Entries::new();
        for elements in self.services.values() {
            all.extend(elements.entries.iter().map(|(k, v)| (k.clone(), v.clone())));
        }
        write_elements(&mut text, "add", &all);
        text
    }
}

impl Change {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.gone.is_empty() && self.added.is_empty() && self.pickers.is_empty()
    }

    /// As one transaction.
    pub fn commands(&self) -> String {
        let mut text = String::new();
        for picker in &self.pickers {
            text.push_str(&ruleset::picker(picker));
        }
        write_elements(&mut text, "delete", &self.gone);
        write_elements(&mut text, "add", &self.added);
        text
    }
}

fn write_elements(text: &mut String, verb: &str, entries: &Entries) {
    let mut by_set: BTreeMap<Set, Vec<String>> = BTreeMap::new();
    for ((set, key), data) in entries {
        let element = if data.is_empty() {
            key.clone()
        } else {
            format!("{key} : {data}")
        };
        by_set.entry(*set).or_default().push(element);
    }
    for (set, elements) in by_set {
        let list = elements.join(", ");
        writeln!(
            text,
            "{verb} element ip {TABLE} {} {{ {list} }}",
            set.name()
        )
        .ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn elements(list: &[(Set, &str, &str)]) -> Elements {
        Elements {
            entries: list
                .iter()
                .map(|(set, key, data)| ((*set, (*key).to_owned()), (*data).to_owned()))
                .collect(),
            pickers: vec![],
        }
    }

    fn key(name: &str) -> ObjectKey {
        ObjectKey::new("d", name)
    }

    #[test]
    fn only_the_difference_is_sent() {
        let mut desired = Desired::default();
        let two = [
            (Set::Endpoints, "a . 0x0", "x"),
            (Set::Endpoints, "a . 0x1", "y"),
        ];
        let mut change = Change::default();
        desired.replace(&key("web"), elements(&two), &mut change);
        assert_eq!(change.added.len(), 2);
        let mut change = Change::default();
        desired.replace(
            &key("web"),
            elements(&[(Set::Endpoints, "a . 0x0", "y")]),
            &mut change,
        );
        assert_eq!((change.gone.len(), change.added.len()), (2, 1));
        assert_eq!(
            change.commands(),
            "delete element ip hardway-proxy endpoints { a . 0x0 : x, a . 0x1 : y }\n\
             add element ip hardway-proxy endpoints { a . 0x0 : y }\n"
        );
    }

    #[test]
    fn there_and_back_is_no_change() {
        let mut desired = Desired::default();
        let one = [(Set::Services, "a", "x")];
        desired.replace(&key("web"), elements(&one), &mut Change::default());
        let mut change = Change::default();
        desired.replace(&key("web"), Elements::default(), &mut change);
        desired.replace(&key("web"), elements(&one), &mut change);
        assert!(change.is_empty());
    }

    #[test]
    fn the_first_keeps_what_two_claim_and_leaves_it_to_the_second() {
        let mut desired = Desired::default();
        let mut change = Change::default();
        let claim = [(Set::Services, "1.2.3.4 . tcp . 80", "goto a")];
        desired.replace(&key("first"), elements(&claim), &mut change);
        desired.replace(&key("second"), elements(&claim), &mut change);
        assert_eq!(change.added.len(), 1);
        let again = desired.replace(&key("first"), Elements::default(), &mut Change::default());
        assert_eq!(again, [key("second")]);
    }

    #[test]
    fn shared_elements_stay_while_one_needs_them() {
        let mut desired = Desired::default();
        let shared = [(Set::Hairpin, "10.0.0.1 . 10.0.0.1", "")];
        let mut change = Change::default();
        desired.replace(&key("a"), elements(&shared), &mut change);
        desired.replace(&key("b"), elements(&shared), &mut change);
        assert_eq!(change.added.len(), 1);
        let mut change = Change::default();
        desired.replace(&key("a"), Elements::default(), &mut change);
        assert!(change.is_empty());
        desired.replace(&key("b"), Elements::default(), &mut change);
        assert_eq!(change.gone.len(), 1);
    }
}
