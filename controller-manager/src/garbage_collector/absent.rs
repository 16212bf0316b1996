//! Owners that are known not to be there, so that ten thousand dependents of
//! one that is gone don't each ask for it.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use std::collections::{HashSet, VecDeque};

/// As many as Kubernetes remembers.
const MOST: usize = 500;

/// Where a reference leads: namespace, version, kind, name, UID.
type Coordinates = [String; 5];

/// The owners last found missing. A UID never comes back, so nothing has to be
/// forgotten but for room.
#[derive(Default)]
pub struct Absent {
    known: HashSet<Coordinates>,
    order: VecDeque<Coordinates>,
}

fn coordinates(owner: &OwnerReference, namespace: &str) -> Coordinates {
    let OwnerReference {
        api_version,
        kind,
        name,
        uid,
        ..
    } = owner;
    [namespace, api_version, kind, name, uid].map(ToString::to_string)
}

impl Absent {
    /// Whether an owner was found missing in a namespace (or in none).
    pub fn contains(&self, owner: &OwnerReference, namespace: &str) -> bool {
        self.known.contains(&coordinates(owner, namespace))
    }

    /// Remembers that an owner is missing.
    pub fn insert(&mut self, owner: &OwnerReference, namespace: &str) {
        let coordinates = coordinates(owner, namespace);
        if self.known.insert(coordinates.clone()) {
            self.order.push_back(coordinates);
        }
        while self.order.len() > MOST {
            if let Some(oldest) = self.order.pop_front() {
                self.known.remove(&oldest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_remembers_the_latest() {
        let owner = |i: usize| OwnerReference {
            uid: i.to_string(),
            ..OwnerReference::default()
        };
        let mut absent = Absent::default();
        for i in 0..=MOST {
            absent.insert(&owner(i), "n");
        }
        assert!(!absent.contains(&owner(0), "n"));
        assert!(absent.contains(&owner(1), "n") && absent.contains(&owner(MOST), "n"));
        assert!(!absent.contains(&owner(1), ""));
    }
}
