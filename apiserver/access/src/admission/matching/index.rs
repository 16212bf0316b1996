//! Which of many webhooks or policies a request may concern at all, found without asking
//! each.

use super::super::review::Review;
use super::{MatchResources, Rule};
use std::collections::HashMap;

/// Positions in a list by the groups and resources that their rules name.
#[derive(Debug, Default)]
pub struct Index {
    by_group: HashMap<String, HashMap<String, Vec<usize>>>,
    /// Those that match whatever it is.
    always: Vec<usize>,
}

impl Index {
    /// Of a list, in its order.
    pub fn of<'a>(list: impl IntoIterator<Item = &'a MatchResources>) -> Self {
        let mut index = Self::default();
        for (at, resources) in list.into_iter().enumerate() {
            let Some(rules) = resources.rules() else {
                index.always.push(at);
                continue;
            };
            for (group, resource) in rules.iter().flat_map(Rule::group_resources) {
                let group = index.by_group.entry(group.to_owned()).or_default();
                let places = group.entry(resource.to_owned()).or_default();
                if places.last() != Some(&at) {
                    places.push(at);
                }
            }
        }
        index
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.by_group.is_empty() && self.always.is_empty()
    }

    /// The positions of those that a request may concern, in order.
    pub fn candidates(&self, review: &Review<'_>) -> Vec<usize> {
        let mut found = self.always.clone();
        if self.by_group.is_empty() {
            return found;
        }
        let mut seen: Vec<(&str, &str)> = Vec::new();
        let versions = std::iter::once(&review.requested).chain(review.others());
        for version in versions {
            let asked = (version.group.as_str(), version.resource.as_str());
            if seen.contains(&asked) {
                continue;
            }
            seen.push(asked);
            for group in [asked.0, "*"] {
                let Some(group) = self.by_group.get(group) else {
                    continue;
                };
                let places = [asked.1, "*"].into_iter();
                found.extend(places.filter_map(|name| group.get(name)).flatten());
            }
        }
        found.sort_unstable();
        found.dedup();
        found
    }
}
