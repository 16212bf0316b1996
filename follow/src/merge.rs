//! One stream of what several apiservers say. Pure.

use crate::line::{Line, Step};
use std::collections::{HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};

/// So many steps are remembered, to be known when another apiserver tells of them: as many as
/// a few of them keep.
const REMEMBERED: usize = 65_536;

/// What was said up to now.
pub struct Merge {
    /// The apiservers whose streams are open, by their numbers.
    addresses: Vec<Option<String>>,
    /// Those that have not yet told of all that was before.
    behind: HashSet<usize>,
    seen: HashSet<u64>,
    order: VecDeque<u64>,
}

impl Merge {
    /// Of the apiservers at these addresses.
    pub fn of(addresses: Vec<String>) -> Self {
        Self {
            behind: (0..addresses.len()).collect(),
            addresses: addresses.into_iter().map(Some).collect(),
            seen: HashSet::new(),
            order: VecDeque::new(),
        }
    }

    /// What a line of one of them becomes; none is its end.
    pub fn take(
        &mut self,
        at: usize,
        line: Option<Result<Line, String>>,
    ) -> Vec<Result<Line, String>> {
        let why = match line {
            Some(Ok(Line::Synced)) => return self.caught_up(at).into_iter().map(Ok).collect(),
            Some(Ok(Line::Step(step))) if self.is_known(&step) => return Vec::new(),
            Some(Ok(line)) => return vec![Ok(line)],
            Some(Err(why)) => why,
            None => "it has ended them".to_owned(),
        };
        let Some(address) = self.addresses[at].take() else {
            return Vec::new();
        };
        if self.addresses.iter().all(Option::is_none) {
            return vec![Err(why)];
        }
        let away = Line::Away { address, why };
        let lines = std::iter::once(away).chain(self.caught_up(at));
        lines.map(Ok).collect()
    }

    /// What was before is known of all when it is of the last.
    fn caught_up(&mut self, at: usize) -> Option<Line> {
        let was_behind = self.behind.remove(&at);
        (was_behind && self.behind.is_empty()).then_some(Line::Synced)
    }

    /// Whether the step was told of before: a component that changes to another apiserver
    /// hands in there what it remembers.
    fn is_known(&mut self, step: &Step) -> bool {
        let mut hasher = DefaultHasher::new();
        let object = &step.object;
        (
            (step.time, &step.process, &step.host, &step.what),
            (object, &step.uid, &step.audit_id, &step.details),
        )
            .hash(&mut hasher);
        let hash = hasher.finish();
        if !self.seen.insert(hash) {
            return true;
        }
        self.order.push_back(hash);
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.seen.remove(&oldest);
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(what: &str) -> Option<Result<Line, String>> {
        Some(Ok(Line::Step(Box::new(Step {
            process: "kubelet".into(),
            what: what.into(),
            ..Step::default()
        }))))
    }

    fn told(lines: &[Result<Line, String>]) -> Vec<String> {
        let words = lines.iter().map(|line| match line {
            Ok(Line::Step(step)) => step.what.clone(),
            Ok(Line::Synced) => "SYNCED".to_owned(),
            Ok(Line::Away { address, .. }) => format!("{address} is away"),
            Ok(other) => format!("{other:?}"),
            Err(why) => format!("over: {why}"),
        });
        words.collect()
    }

    #[test]
    fn all_have_told_what_was_before_when_the_last_one_has() {
        let mut merge = Merge::of(vec!["a".into(), "b".into(), "c".into()]);
        let synced = || Some(Ok(Line::Synced));
        assert_eq!(told(&merge.take(0, step("one"))), ["one"]);
        assert!(merge.take(0, synced()).is_empty());
        assert!(merge.take(1, synced()).is_empty());
        assert_eq!(told(&merge.take(2, None)), ["c is away", "SYNCED"]);
        assert!(merge.take(1, synced()).is_empty(), "it is said once");
    }

    #[test]
    fn what_two_tell_of_is_told_once() {
        let mut merge = Merge::of(vec!["a".into(), "b".into()]);
        assert_eq!(told(&merge.take(0, step("one"))), ["one"]);
        assert!(merge.take(1, step("one")).is_empty());
        assert_eq!(told(&merge.take(1, step("two"))), ["two"]);
        for number in 0..REMEMBERED {
            merge.take(0, step(&number.to_string()));
        }
        assert_eq!(
            (merge.seen.len(), merge.order.len()),
            (REMEMBERED, REMEMBERED)
        );
    }

    #[test]
    fn it_is_over_when_the_last_one_is_away() {
        let mut merge = Merge::of(vec!["a".into(), "b".into()]);
        let broken = || Some(Err("broken".to_owned()));
        assert_eq!(told(&merge.take(1, broken())), ["b is away"]);
        assert!(merge.take(1, None).is_empty(), "that is known");
        let lost = Some(Ok(Line::Lost { count: 2 }));
        assert_eq!(told(&merge.take(0, lost)), ["Lost { count: 2 }"]);
        assert_eq!(told(&merge.take(0, broken())), ["over: broken"]);
    }
}
