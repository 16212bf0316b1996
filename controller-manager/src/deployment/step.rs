//! What to do next about a Deployment's ReplicaSets.

use super::sets::{Rollout, Scale, present, size, total};
use super::{rolling, scaling};

/// The next step.
#[derive(Debug, PartialEq)]
pub enum Step {
    /// Make a ReplicaSet of the Deployment's template, of this size.
    Create(i32),
    /// Bring ReplicaSets to other sizes as the rollout goes on.
    Roll(Vec<Scale>),
    /// Bring them to other sizes because the Deployment was scaled, or is
    /// paused: the rollout itself rests.
    Resize(Vec<Scale>),
}

/// Decides; `old_pods` says whether pods of old ReplicaSets still run.
pub fn next(rollout: &Rollout, old_pods: bool) -> Step {
    let settings = &rollout.settings;
    if settings.paused || scaling::is_due(rollout) {
        return Step::Resize(scaling::resize(rollout));
    }
    if !settings.rolling {
        return recreate(rollout, old_pods);
    }
    match &rollout.new {
        Some(new) => Step::Roll(rolling::step(settings, new, &rollout.old)),
        None => Step::Create(rolling::new_size(settings, 0, total(&rollout.old, size))),
    }
}

/// All old pods go, and only when the last one has gone new ones come.
fn recreate(rollout: &Rollout, old_pods: bool) -> Step {
    let active: Vec<_> = rollout.old.iter().filter(|set| size(set) > 0).collect();
    if !active.is_empty() {
        return Step::Roll(active.into_iter().map(|set| Scale::new(set, 0)).collect());
    }
    if old_pods || total(&rollout.old, present) > 0 {
        return Step::Roll(Vec::new());
    }
    match &rollout.new {
        None => Step::Create(rollout.settings.replicas),
        Some(new) if size(new) != rollout.settings.replicas => {
            Step::Roll(vec![Scale::new(new, rollout.settings.replicas)])
        }
        Some(_) => Step::Roll(Vec::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{rollout, set, settings, sizes};
    use super::*;

    #[test]
    fn the_first_one_is_created_in_full_and_the_next_within_the_surge() {
        let mut first = rollout(settings(3, 1, 0), &set("new", 0, 0), &[]);
        first.new = None;
        assert_eq!(next(&first, false), Step::Create(3));
        first.old = vec![set("old", 3, 3)];
        assert_eq!(next(&first, true), Step::Create(1));
    }

    #[test]
    fn a_paused_one_is_only_resized() {
        let mut paused = rollout(settings(3, 1, 0), &set("new", 0, 0), &[set("old", 2, 2)]);
        paused.settings.paused = true;
        paused.new = None;
        let Step::Resize(scales) = next(&paused, true) else {
            panic!("a paused rollout must rest");
        };
        assert_eq!(sizes(&scales), [("old", 3)]);
    }

    #[test]
    fn recreate_waits_until_the_last_old_pod_is_gone() {
        let mut recreated = rollout(settings(3, 0, 0), &set("new", 0, 0), &[set("old", 3, 3)]);
        recreated.settings.rolling = false;
        recreated.new = None;
        let Step::Roll(scales) = next(&recreated, true) else {
            panic!("old pods must go first");
        };
        assert_eq!(sizes(&scales), [("old", 0)]);
        recreated.old = vec![set("old", 0, 0)];
        assert_eq!(
            next(&recreated, true),
            Step::Roll(Vec::new()),
            "they still end"
        );
        assert_eq!(next(&recreated, false), Step::Create(3));
        recreated.new = Some(set("new", 0, 0));
        let Step::Roll(scales) = next(&recreated, false) else {
            panic!("new pods must come");
        };
        assert_eq!(sizes(&scales), [("new", 3)]);
    }
}
