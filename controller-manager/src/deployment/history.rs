//! Old ReplicaSets are kept to go back to, but no more than the Deployment's
//! `revisionHistoryLimit`.

use super::revision;
use super::sets::{age, present, size};
use k8s_openapi::api::apps::v1::ReplicaSet;
use std::sync::Arc;

/// The old ReplicaSets to delete: the lowest revisions beyond the limit, as
/// far as they are known to have no pods.
pub fn surplus(old: &[Arc<ReplicaSet>], limit: usize) -> Vec<Arc<ReplicaSet>> {
    let mut kept: Vec<_> = old
        .iter()
        .filter(|set| set.metadata.deletion_timestamp.is_none())
        .collect();
    let revision = |set: &ReplicaSet| revision::of(&set.metadata);
    kept.sort_by(|a, b| (revision(a), age(a)).cmp(&(revision(b), age(b))));
    let surplus = kept.len().saturating_sub(limit);
    let oldest = kept.into_iter().take(surplus);
    oldest.filter(|set| is_empty(set)).cloned().collect()
}

fn is_empty(set: &ReplicaSet) -> bool {
    let observed = set.status.as_ref().and_then(|s| s.observed_generation);
    size(set) == 0 && present(set) == 0 && observed >= set.metadata.generation
}

#[cfg(test)]
mod tests {
    use super::super::revision::REVISION;
    use super::super::testing::{annotated, set};
    use super::*;
    use hardway_proto::Kind;

    #[test]
    fn the_lowest_revisions_go_if_they_are_empty() {
        let revised = |name, size, revision| annotated(&set(name, size, size), REVISION, revision);
        let mut behind = (*revised("behind", 0, "2")).clone();
        behind.metadata.generation = Some(2);
        let old = [
            revised("a", 0, "10"),
            revised("b", 0, "9"),
            revised("busy", 1, "1"),
            Arc::new(behind),
            revised("c", 0, "3"),
        ];
        let names = |limit| -> Vec<String> {
            let surplus = surplus(&old, limit);
            surplus.iter().map(|set| set.name().to_owned()).collect()
        };
        assert_eq!(names(5), [""; 0]);
        assert_eq!(names(4), [""; 0], "pods of it still run");
        assert_eq!(names(2), ["c"]);
        assert_eq!(names(0), ["c", "b", "a"]);
    }
}
