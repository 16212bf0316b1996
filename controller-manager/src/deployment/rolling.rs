//! Rolling updates: the new ReplicaSet grows and the old ones shrink, within
//! the bounds of surge and unavailability.

use super::sets::{Scale, available, size, total};
use super::settings::Settings;
use k8s_openapi::api::apps::v1::ReplicaSet;
use std::sync::Arc;

/// The next step: grow what is new as far as the surge allows, else shrink
/// what is old as far as availability allows.
pub fn step(settings: &Settings, new: &Arc<ReplicaSet>, old: &[Arc<ReplicaSet>]) -> Vec<Scale> {
    let pods = size(new).saturating_add(total(old, size));
    match new_size(settings, size(new), pods) {
        grown if grown != size(new) => vec![Scale::new(new, grown)],
        _ => shrink(settings, new, old),
    }
}

/// How large the new ReplicaSet may be, which has `current` of `pods` pods now.
pub fn new_size(settings: &Settings, current: i32, pods: i32) -> i32 {
    let missing = settings.replicas.saturating_sub(current);
    if missing <= 0 || !settings.rolling {
        return settings.replicas;
    }
    let room = settings.max_pods().saturating_sub(pods);
    current.saturating_add(room.clamp(0, missing))
}

/// Takes from the old ones, oldest first. Pods that aren't available go before
/// any that are: they serve nobody, and may never come to.
fn shrink(settings: &Settings, new: &Arc<ReplicaSet>, old: &[Arc<ReplicaSet>]) -> Vec<Scale> {
    let pods = size(new).saturating_add(total(old, size));
    let new_unavailable = size(new).saturating_sub(available(new));
    let spare = pods
        .saturating_sub(settings.min_available())
        .saturating_sub(new_unavailable);
    if spare <= 0 {
        return Vec::new();
    }
    let mut sizes: Vec<i32> = old.iter().map(|set| size(set)).collect();
    let mut left = spare;
    for (set, size) in old.iter().zip(&mut sizes) {
        let unhealthy = size.saturating_sub(available(set)).clamp(0, left);
        *size -= unhealthy;
        left -= unhealthy;
    }
    let serving = available(new).saturating_add(total(old, available));
    let mut left = serving.saturating_sub(settings.min_available()).max(0);
    for size in &mut sizes {
        let taken = left.min(*size);
        *size -= taken;
        left -= taken;
    }
    let changed = old.iter().zip(sizes).filter(|(set, to)| size(set) != *to);
    changed.map(|(set, to)| Scale::new(set, to)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{set, settings, sizes};
    use super::*;

    /// A step from (new size, available), (old size, available).
    fn from(settings: &Settings, new: (i32, i32), old: (i32, i32)) -> Vec<(String, i32)> {
        let old = [set("old", old.0, old.1)];
        let scales = step(settings, &set("new", new.0, new.1), &old);
        let owned = |(name, to): (&str, i32)| (name.to_owned(), to);
        sizes(&scales).into_iter().map(owned).collect()
    }

    #[test]
    fn grows_within_the_surge_and_shrinks_as_pods_become_available() {
        let settings = settings(10, 3, 2);
        let to = |name: &str, size| vec![(name.to_owned(), size)];
        assert_eq!(from(&settings, (0, 0), (10, 10)), to("new", 3));
        assert_eq!(from(&settings, (3, 0), (10, 10)), to("old", 8));
        assert_eq!(from(&settings, (3, 0), (8, 8)), to("new", 5));
        assert_eq!(
            from(&settings, (5, 0), (8, 8)),
            [],
            "nothing may go, nothing may come"
        );
        assert_eq!(from(&settings, (5, 2), (8, 8)), to("old", 6));
        assert_eq!(from(&settings, (10, 10), (1, 1)), to("old", 0));
        assert_eq!(from(&settings, (10, 10), (0, 0)), []);
    }

    #[test]
    fn without_surge_old_pods_go_first() {
        let settings = settings(3, 0, 1);
        let to = |name: &str, size| vec![(name.to_owned(), size)];
        assert_eq!(from(&settings, (0, 0), (3, 3)), to("old", 2));
        assert_eq!(from(&settings, (0, 0), (2, 2)), to("new", 1));
        assert_eq!(from(&settings, (1, 0), (2, 2)), []);
        assert_eq!(from(&settings, (1, 1), (2, 2)), to("old", 1));
    }

    #[test]
    fn a_new_one_that_is_too_large_shrinks() {
        assert_eq!(
            from(&settings(2, 1, 0), (5, 5), (0, 0)),
            [("new".to_owned(), 2)]
        );
    }

    #[test]
    fn unhealthy_pods_of_a_failed_rollout_do_not_stand_in_the_way() {
        let settings = settings(10, 3, 2);
        let old = [set("first", 8, 8), set("broken", 5, 0)];
        let scales = step(&settings, &set("new", 0, 0), &old);
        assert_eq!(
            sizes(&scales),
            [("broken", 0)],
            "13 pods, 8 must be available"
        );
        let scales = step(&settings, &set("new", 0, 0), &[set("first", 8, 8)]);
        assert_eq!(sizes(&scales), [("new", 5)]);
    }

    #[test]
    fn the_oldest_are_emptied_first() {
        let old = [set("a", 2, 2), set("b", 3, 3)];
        let scales = step(&settings(4, 1, 1), &set("new", 3, 3), &old);
        assert_eq!(sizes(&scales), [("a", 0), ("b", 0)]);
        let scales = step(&settings(4, 1, 1), &set("new", 0, 0), &old);
        assert_eq!(sizes(&scales), [("a", 0)]);
    }

    #[test]
    fn recreated_all_at_once() {
        let mut settings = settings(4, 0, 0);
        settings.rolling = false;
        assert_eq!(new_size(&settings, 0, 0), 4);
    }

    #[test]
    fn the_largest_numbers_are_numbers_too() {
        let most = i32::MAX;
        let old = [set("a", most, most), set("b", most, i32::MIN)];
        for (surge, unavailable) in [(most, 0), (0, most)] {
            let settings = settings(most, surge, unavailable);
            step(&settings, &set("new", 0, i32::MIN), &old);
            step(&settings, &set("new", most, most), &old);
        }
    }
}
