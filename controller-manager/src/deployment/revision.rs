//! Revisions: each template a Deployment has had is numbered, and an older one
//! that comes back gets a new number. Kept in annotations, where kubectl's
//! `rollout history` and `rollout undo` read them.

use super::settings::Settings;
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use std::collections::BTreeMap;

/// The number of a ReplicaSet's template; on a Deployment the current one.
pub const REVISION: &str = "deployment.kubernetes.io/revision";
/// The numbers a ReplicaSet had before, with commas in between.
pub const HISTORY: &str = "deployment.kubernetes.io/revision-history";
/// How many replicas the Deployment asked for when the ReplicaSet was last scaled.
pub const DESIRED: &str = "deployment.kubernetes.io/desired-replicas";
/// How many pods it allowed then.
pub const MAX: &str = "deployment.kubernetes.io/max-replicas";
/// Revision to go back to, as a Deployment of `extensions/v1beta1` could ask.
pub const ROLLBACK_TO: &str = "deprecated.deployment.rollback.to";

/// Longest text kept under [`HISTORY`].
const LONGEST_HISTORY: usize = 2000;

/// Annotations that a Deployment and its ReplicaSets have each for themselves.
const OWN: [&str; 6] = [
    "kubectl.kubernetes.io/last-applied-configuration",
    REVISION,
    HISTORY,
    DESIRED,
    MAX,
    ROLLBACK_TO,
];

/// Whether an annotation isn't passed on between Deployment and ReplicaSet.
pub fn is_own(annotation: &str) -> bool {
    OWN.contains(&annotation)
}

fn number<T: std::str::FromStr>(metadata: &ObjectMeta, annotation: &str) -> Option<T> {
    let text = metadata.annotations.as_ref()?.get(annotation)?;
    text.parse().ok()
}

/// The revision something is annotated with; 0 if it has none.
pub fn of(metadata: &ObjectMeta) -> i64 {
    number(metadata, REVISION).unwrap_or(0)
}

/// How many replicas were asked for when the ReplicaSet was last scaled.
pub fn annotated_desired(set: &ReplicaSet) -> Option<i32> {
    number(&set.metadata, DESIRED)
}

/// How many pods were allowed then.
pub fn annotated_max(set: &ReplicaSet) -> Option<i32> {
    number(&set.metadata, MAX)
}

/// Sets an annotation; tells whether it was another before.
pub fn annotate(metadata: &mut ObjectMeta, annotation: &str, value: &str) -> bool {
    let annotations = metadata.annotations.get_or_insert_default();
    let old = annotations.insert(annotation.into(), value.into());
    old.as_deref() != Some(value)
}

/// Notes for how many replicas a ReplicaSet is scaled; tells whether that is new.
pub fn annotate_size(metadata: &mut ObjectMeta, settings: &Settings) -> bool {
    let desired = annotate(metadata, DESIRED, &settings.replicas.to_string());
    let max = annotate(metadata, MAX, &settings.max_pods().to_string());
    desired || max
}

/// Brings the new ReplicaSet's annotations up to date: the Deployment's own,
/// and a revision beyond those of all old ones. Tells whether anything changed.
pub fn annotate_new(
    set: &mut ObjectMeta,
    deployment: &BTreeMap<String, String>,
    highest_old: i64,
) -> bool {
    let mut changed = false;
    for (key, value) in deployment.iter().filter(|(key, _)| !is_own(key)) {
        changed |= annotate(set, key, value);
    }
    let (before, next) = (of(set), highest_old.saturating_add(1));
    if before >= next {
        return changed;
    }
    let known = set.annotations.as_ref();
    if known.is_some_and(|annotations| annotations.contains_key(REVISION)) {
        let history = known.and_then(|a| a.get(HISTORY)).cloned();
        let history = extended(history.as_deref().unwrap_or_default(), before);
        annotate(set, HISTORY, &history);
    }
    annotate(set, REVISION, &next.to_string())
}

/// A history with one more revision; its oldest ones go where it gets too long.
fn extended(history: &str, revision: i64) -> String {
    let mut extended = match history {
        "" => revision.to_string(),
        _ => format!("{history},{revision}"),
    };
    while extended.len() > LONGEST_HISTORY {
        match extended.split_once(',') {
            Some((_, rest)) => extended = rest.to_owned(),
            None => break,
        }
    }
    extended
}

#[cfg(test)]
mod tests {
    use super::super::testing::{annotated, set, settings};
    use super::*;

    fn get<'a>(metadata: &'a ObjectMeta, annotation: &str) -> Option<&'a str> {
        Some(metadata.annotations.as_ref()?.get(annotation)?)
    }

    #[test]
    fn annotations_are_passed_on_but_for_those_of_each() {
        let deployment = BTreeMap::from(
            [
                ("kubernetes.io/change-cause", "kubectl set image"),
                ("kubectl.kubernetes.io/last-applied-configuration", "{}"),
                (REVISION, "7"),
            ]
            .map(|(key, value)| (key.to_owned(), value.to_owned())),
        );
        let mut metadata = ObjectMeta::default();
        assert!(annotate_new(&mut metadata, &deployment, 0));
        let own = metadata.annotations.clone().unwrap();
        assert_eq!(own.len(), 2);
        assert_eq!(own["kubernetes.io/change-cause"], "kubectl set image");
        assert_eq!(own[REVISION], "1");
        assert!(!annotate_new(&mut metadata, &deployment, 0));
    }

    #[test]
    fn an_old_one_that_comes_back_gets_a_new_number() {
        let mut metadata = annotated(&set("web", 0, 0), REVISION, "1").metadata.clone();
        let none = BTreeMap::new();
        assert!(annotate_new(&mut metadata, &none, 2));
        assert_eq!((of(&metadata), get(&metadata, HISTORY)), (3, Some("1")));
        assert!(annotate_new(&mut metadata, &none, 4));
        assert_eq!((of(&metadata), get(&metadata, HISTORY)), (5, Some("1,3")));
        assert!(
            !annotate_new(&mut metadata, &none, 4),
            "it is the highest already"
        );
    }

    #[test]
    fn history_forgets_its_beginning() {
        let long = (100..600)
            .map(|n| n.to_string())
            .collect::<Vec<_>>()
            .join(",");
        let next = extended(&long, 1000);
        assert!(next.len() <= LONGEST_HISTORY);
        assert!(
            next.starts_with("101,") && next.ends_with(",599,1000"),
            "{next}"
        );
    }

    #[test]
    fn sizes_are_noted() {
        let mut metadata = ObjectMeta::default();
        assert!(annotate_size(&mut metadata, &settings(4, 1, 1)));
        assert!(!annotate_size(&mut metadata, &settings(4, 1, 1)));
        assert_eq!(
            (get(&metadata, DESIRED), get(&metadata, MAX)),
            (Some("4"), Some("5"))
        );
        assert!(annotate_size(&mut metadata, &settings(4, 2, 1)));
    }
}
