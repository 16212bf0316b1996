//! A Deployment whose number of replicas changed: in the middle of a rollout
//! all its ReplicaSets grow or shrink in proportion, so that the risk stays
//! spread as it was.

use super::revision::{annotated_desired, annotated_max};
use super::sets::{Rollout, Scale, age, available, size, total};
use super::settings::Settings;
use k8s_openapi::api::apps::v1::ReplicaSet;
use std::cmp::Reverse;
use std::sync::Arc;

/// Whether some ReplicaSet was last scaled for another number of replicas.
pub fn is_due(rollout: &Rollout) -> bool {
    rollout
        .active()
        .filter_map(|set| annotated_desired(set))
        .any(|desired| desired != rollout.settings.replicas)
}

/// Sizes that bring the sum to what is asked for now.
pub fn resize(rollout: &Rollout) -> Vec<Scale> {
    let settings = &rollout.settings;
    if let Some(only) = only_one(rollout) {
        return vec![Scale::new(only, settings.replicas)];
    }
    if rollout
        .new
        .as_ref()
        .is_some_and(|new| is_saturated(settings, new))
    {
        let old = rollout.old.iter().filter(|set| size(set) > 0);
        return old.map(|set| Scale::new(set, 0)).collect();
    }
    if settings.rolling {
        proportional(settings, rollout.active().collect())
    } else {
        Vec::new()
    }
}

/// The only ReplicaSet with pods; if none has any, the newest.
fn only_one(rollout: &Rollout) -> Option<&Arc<ReplicaSet>> {
    let mut active = rollout.active();
    match (active.next(), active.next()) {
        (Some(only), None) => Some(only),
        (None, _) => rollout.new.as_ref().or(rollout.old.last()),
        _ => None,
    }
}

/// Whether all that is asked for is there and new already.
fn is_saturated(settings: &Settings, new: &ReplicaSet) -> bool {
    size(new) == settings.replicas
        && annotated_desired(new) == Some(settings.replicas)
        && available(new) == settings.replicas
}

/// Shares the difference out by size, largest first; what rounding leaves over
/// goes to the largest. Those whose size stays are told the new total, too.
fn proportional(settings: &Settings, mut sets: Vec<&Arc<ReplicaSet>>) -> Vec<Scale> {
    let allowed = match settings.replicas {
        0 => 0,
        _ => settings.max_pods(),
    };
    let present = total(sets.iter().copied(), size);
    let difference = allowed.saturating_sub(present);
    if difference > 0 {
        sets.sort_by(|a, b| (Reverse(size(a)), age(b)).cmp(&(Reverse(size(b)), age(a))));
    } else {
        sets.sort_by(|a, b| (Reverse(size(a)), age(a)).cmp(&(Reverse(size(b)), age(b))));
    }
    let mut left = difference;
    let mut scales = Vec::new();
    for set in sets {
        let share = match left {
            0 => 0,
            _ if difference > 0 => fraction(settings, set, present).min(left),
            _ => fraction(settings, set, present).max(left),
        };
        left = left.saturating_sub(share);
        scales.push(Scale::new(set, size(set).saturating_add(share)));
    }
    if let Some(largest) = scales.first_mut() {
        largest.to = largest.to.saturating_add(left).max(0);
    }
    scales
}

/// By how much one ReplicaSet grows (or shrinks) if it keeps its part of the
/// whole. The whole is what was allowed when it was last scaled.
fn fraction(settings: &Settings, set: &ReplicaSet, present: i32) -> i32 {
    if settings.replicas == 0 {
        return -size(set);
    }
    let before = annotated_max(set).filter(|max| *max > 0).unwrap_or(present);
    if before == 0 {
        return 0;
    }
    let part = f64::from(size(set)) * f64::from(settings.max_pods()) / f64::from(before);
    (part.round() as i32).saturating_sub(size(set))
}

#[cfg(test)]
mod tests {
    use super::super::revision::{DESIRED, MAX};
    use super::super::testing::{annotated, rollout, set, settings, sizes};
    use super::*;

    fn scaled_for(set: Arc<ReplicaSet>, desired: i32, max: i32) -> Arc<ReplicaSet> {
        let set = annotated(&set, DESIRED, &desired.to_string());
        annotated(&set, MAX, &max.to_string())
    }

    #[test]
    fn a_change_of_replicas_is_noticed() {
        let new = scaled_for(set("new", 3, 3), 3, 4);
        assert!(!is_due(&rollout(settings(3, 1, 0), &new, &[])));
        assert!(is_due(&rollout(settings(5, 1, 0), &new, &[])));
        let empty = scaled_for(set("old", 0, 0), 3, 4);
        assert!(!is_due(&rollout(
            settings(5, 1, 0),
            &set("new", 5, 5),
            &[empty]
        )));
    }

    #[test]
    fn a_single_one_takes_all() {
        let idle = [set("old", 0, 0)];
        let scales = resize(&rollout(settings(5, 1, 0), &set("new", 3, 3), &idle));
        assert_eq!(sizes(&scales), [("new", 5)]);
        let scales = resize(&rollout(settings(5, 1, 0), &set("new", 0, 0), &idle));
        assert_eq!(sizes(&scales), [("new", 5)]);
        let none = Rollout {
            settings: settings(2, 1, 0),
            new: None,
            old: idle.to_vec(),
        };
        assert_eq!(sizes(&resize(&none)), [("old", 2)]);
    }

    /// The example of Kubernetes' documentation: 10 replicas, surge 3,
    /// unavailable 2, stuck at 8 old and 5 new, then scaled to 15.
    #[test]
    fn growth_is_shared_in_proportion() {
        let old = scaled_for(set("old", 8, 8), 10, 13);
        let new = scaled_for(set("new", 5, 0), 10, 13);
        let scales = resize(&rollout(settings(15, 3, 2), &new, &[old]));
        assert_eq!(sizes(&scales), [("old", 11), ("new", 7)]);
    }

    #[test]
    fn shrinking_is_shared_too() {
        let old = [scaled_for(set("old", 8, 8), 10, 12)];
        let new = scaled_for(set("new", 4, 0), 10, 12);
        let under_way = |replicas| rollout(settings(replicas, 1, 1), &new, &old);
        assert_eq!(sizes(&resize(&under_way(5))), [("old", 4), ("new", 2)]);
        assert_eq!(sizes(&resize(&under_way(0))), [("old", 0), ("new", 0)]);
    }

    #[test]
    fn what_rounding_leaves_goes_to_the_largest() {
        let sets = ["a", "b", "c"].map(|name| scaled_for(set(name, 1, 1), 3, 3));
        let scales = resize(&rollout(settings(4, 0, 1), &sets[2], &sets[..2]));
        let sum: i32 = scales.iter().map(|scale| scale.to).sum();
        assert_eq!(sum, 4);
        assert_eq!(sizes(&scales)[0], ("c", 2), "the newest of equals");
    }

    #[test]
    fn sizes_that_stay_are_still_told_the_new_total() {
        let old = scaled_for(set("old", 4, 4), 5, 6);
        let new = scaled_for(set("new", 2, 0), 5, 6);
        let scales = resize(&rollout(settings(4, 2, 1), &new, &[old]));
        assert_eq!(sizes(&scales), [("old", 4), ("new", 2)]);
    }

    #[test]
    fn old_ones_end_when_all_is_new() {
        let new = scaled_for(set("new", 3, 3), 3, 4);
        let scales = resize(&rollout(settings(3, 1, 0), &new, &[set("old", 1, 1)]));
        assert_eq!(sizes(&scales), [("old", 0)]);
    }
}
