//! What is to be done next to replace a key that others believe in: a CA's, or the one that
//! signs tokens of service accounts. It follows from what is there alone, so that whoever is
//! stopped, at any point, goes on where they were.
//!
//! A key is replaced in an order in which nobody ever meets a signature of a key that they
//! don't believe: the next is believed everywhere before it signs, and the former is believed
//! until nothing that it has signed is in use any more.

/// Tells keys apart: the SHA-256 of the public key, in Base64.
pub type Id = String;

/// What there is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    /// Whose signatures are believed, in the order of the file. Who follows the file takes the
    /// first for the one that signs.
    pub believed: Vec<Id>,
    /// Whose key signs.
    pub signs: Id,
    /// The key that is to sign, in a file of its own.
    pub next: Option<Id>,
    /// The key that has signed before, in a file of its own.
    pub former: Option<Id>,
}

/// Where a rotation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// There is one key, and no other.
    Settled,
    /// There is a next one, which is, or is to be, believed as well.
    Trust,
    /// The next one signs; the former is believed as well.
    Sign,
}

/// How far to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Goal {
    /// Until the new one is believed along with the old one
    Trust,
    /// Until the new one signs
    Sign,
    /// Until the old one isn't believed any more
    Drop,
    /// Back to the old one alone
    #[value(skip)]
    Back,
}

/// A change of one file, or of two that may be changed one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Make the next key.
    Make,
    /// Believe the next one, too.
    Believe,
    /// Keep the key that signs as the former one.
    KeepFormer,
    /// Have the next one sign.
    Switch,
    /// Have the one that signs be the first of those who are believed.
    PutFirst,
    /// Remove the file of the next one.
    ForgetNext,
    /// Believe the one that signs, and no other.
    Drop,
    /// Remove the file of the former one.
    ForgetFormer,
    /// Keep the key that signs as the next one.
    KeepNext,
    /// Have the former one sign again.
    SwitchBack,
}

/// What must be so in the whole cluster before a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gate {
    /// Nothing.
    Open,
    /// Everybody believes this one.
    Believed(Id),
    /// Nobody shows any more what anybody but this one has signed.
    OnlyInUse(Id),
}

/// Where a rotation is that has this state.
pub fn stage(state: &State) -> Stage {
    let is_single = state.believed == [state.signs.clone()];
    match (&state.next, &state.former) {
        (None, None) if is_single => Stage::Settled,
        (Some(next), _) if *next != state.signs => Stage::Trust,
        _ => Stage::Sign,
    }
}

/// Whether others are believed of whom isn't known here whether they are to sign, or have signed
/// before: they are left alone.
pub fn is_undecided(state: &State) -> bool {
    state.next.is_none() && state.former.is_none() && state.believed.len() > 1
}

/// The next step towards a goal, and what must be so before it; nothing when it is reached.
/// From [`Stage::Settled`] on a rotation begins anew.
pub fn next(state: &State, goal: Goal) -> Option<(Step, Gate)> {
    match goal {
        Goal::Back => back(state),
        _ => forth(state, goal),
    }
}

fn forth(state: &State, goal: Goal) -> Option<(Step, Gate)> {
    let open = |step| Some((step, Gate::Open));
    let believes = |id: &Id| state.believed.contains(id);
    let signs_first = state.believed.first() == Some(&state.signs);
    match (&state.next, &state.former) {
        (Some(next), _) if *next != state.signs => match (goal, &state.former) {
            _ if !believes(next) => open(Step::Believe),
            (Goal::Trust, _) => None,
            (_, Some(former)) if *former == state.signs => {
                Some((Step::Switch, Gate::Believed(next.clone())))
            }
            _ => Some((Step::KeepFormer, Gate::Believed(next.clone()))),
        },
        _ if !signs_first => open(Step::PutFirst),
        (Some(_), _) => open(Step::ForgetNext),
        (None, Some(_)) if state.believed.len() > 1 => match goal {
            Goal::Drop => Some((Step::Drop, Gate::OnlyInUse(state.signs.clone()))),
            _ => None,
        },
        (None, None) if state.believed.len() > 1 => None,
        (None, Some(_)) => open(Step::ForgetFormer),
        (None, None) => open(Step::Make),
    }
}

fn back(state: &State) -> Option<(Step, Gate)> {
    let open = |step| Some((step, Gate::Open));
    let believes = |id: &Id| state.believed.contains(id);
    let signs_first = state.believed.first() == Some(&state.signs);
    match (&state.next, &state.former) {
        // The next one signs, and the former can still do so again.
        // Only while all others believe it still: whoever has dropped it took no signature of it.
        (Some(next), Some(former)) if *next == state.signs && believes(former) => {
            Some((Step::SwitchBack, Gate::Believed(former.clone())))
        }
        (None, Some(former)) if *former != state.signs && believes(former) => {
            Some((Step::KeepNext, Gate::Believed(former.clone())))
        }
        // The former one signs, again or still.
        (Some(next), _) if *next != state.signs => {
            if !signs_first {
                open(Step::PutFirst)
            } else if state.former.is_some() {
                open(Step::ForgetFormer)
            } else if believes(next) {
                Some((Step::Drop, Gate::OnlyInUse(state.signs.clone())))
            } else {
                open(Step::ForgetNext)
            }
        }
        // There is no way back any more, or nothing to go back from.
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a step makes of what is there.
    fn apply(state: &mut State, step: Step) {
        match step {
            Step::Make => state.next = Some(format!("{}+", state.signs)),
            Step::Believe => state.believed.extend(state.next.clone()),
            Step::KeepFormer => state.former = Some(state.signs.clone()),
            Step::Switch => state.signs = state.next.clone().unwrap(),
            Step::PutFirst => {
                let signs = state.signs.clone();
                state.believed.retain(|id| *id != signs);
                state.believed.insert(0, signs);
            }
            Step::ForgetNext => state.next = None,
            Step::Drop => state.believed = vec![state.signs.clone()],
            Step::ForgetFormer => state.former = None,
            Step::KeepNext => state.next = Some(state.signs.clone()),
            Step::SwitchBack => state.signs = state.former.clone().unwrap(),
        }
    }

    fn settled(id: &str) -> State {
        State {
            believed: vec![id.to_owned()],
            signs: id.to_owned(),
            next: None,
            former: None,
        }
    }

    /// All states from one on towards a goal, at most one rotation.
    fn walk(mut state: State, goal: Goal) -> Vec<State> {
        let mut all = vec![state.clone()];
        while let Some((step, _)) = next(&state, goal) {
            if step == Step::Make && all.len() > 1 {
                break;
            }
            apply(&mut state, step);
            all.push(state.clone());
            assert!(all.len() < 20, "it goes round in circles: {all:#?}");
        }
        all
    }

    #[test]
    fn a_rotation_takes_these_steps_and_waits_where_others_must_have_come_along() {
        let mut state = settled("a");
        let mut steps = Vec::new();
        loop {
            let (step, gate) = next(&state, Goal::Drop).unwrap();
            if step == Step::Make && !steps.is_empty() {
                break;
            }
            apply(&mut state, step);
            steps.push((step, gate));
        }
        let next = || Gate::Believed("a+".to_owned());
        assert_eq!(
            steps,
            [
                (Step::Make, Gate::Open),
                (Step::Believe, Gate::Open),
                (Step::KeepFormer, next()),
                (Step::Switch, next()),
                (Step::PutFirst, Gate::Open),
                (Step::ForgetNext, Gate::Open),
                (Step::Drop, Gate::OnlyInUse("a+".to_owned())),
                (Step::ForgetFormer, Gate::Open),
            ]
        );
        assert_eq!(state, settled("a+"));
    }

    #[test]
    fn goals_on_the_way_are_kept_to() {
        let end = |goal| walk(settled("a"), goal).pop().unwrap();
        let trusted = end(Goal::Trust);
        assert_eq!(trusted.signs, "a");
        assert_eq!(trusted.believed, ["a", "a+"]);
        assert_eq!(stage(&trusted), Stage::Trust);
        let signed = end(Goal::Sign);
        assert_eq!(signed.signs, "a+");
        assert_eq!(signed.believed, ["a+", "a"]);
        assert_eq!(stage(&signed), Stage::Sign);
        // To go to a goal that lies behind is nothing to do.
        assert_eq!(walk(signed.clone(), Goal::Trust), [signed]);
        assert_eq!(stage(&end(Goal::Drop)), Stage::Settled);
    }

    #[test]
    fn whoever_was_stopped_comes_to_the_same_end_from_everywhere() {
        for stopped in walk(settled("a"), Goal::Drop) {
            let end = walk(stopped.clone(), Goal::Drop).pop().unwrap();
            let expected = match stage(&stopped) {
                Stage::Settled if stopped.signs == "a+" => "a++",
                _ => "a+",
            };
            assert_eq!(end, settled(expected), "from {stopped:?}");
        }
    }

    #[test]
    fn the_way_back_is_open_until_the_former_one_is_dropped() {
        let there = walk(settled("a"), Goal::Drop);
        for stopped in &there {
            let way = walk(stopped.clone(), Goal::Back);
            let end = way.last().unwrap();
            let can_return = stopped.believed.contains(&"a".to_owned());
            match can_return {
                true => assert_eq!(*end, settled("a"), "from {stopped:?}"),
                false => assert_eq!(end, stopped, "nothing is changed"),
            }
            // Whoever changes their mind on the way back comes to one of the two ends.
            for turned in &way {
                let end = walk(turned.clone(), Goal::Drop).pop().unwrap();
                assert_eq!(
                    end.believed,
                    std::slice::from_ref(&end.signs),
                    "from {turned:?}"
                );
                assert_eq!((end.next, end.former), (None, None));
            }
        }
    }

    #[test]
    fn who_signs_is_believed_at_every_moment() {
        for goal in [Goal::Drop, Goal::Back] {
            for start in walk(settled("a"), Goal::Drop) {
                for state in walk(start, goal) {
                    assert!(state.believed.contains(&state.signs), "{state:?}");
                }
            }
        }
    }

    #[test]
    fn nothing_signs_before_all_believe_it_and_nothing_is_dropped_in_use() {
        for goal in [Goal::Drop, Goal::Back] {
            for start in walk(settled("a"), Goal::Drop) {
                for state in walk(start, goal) {
                    let Some((step, gate)) = next(&state, goal) else {
                        continue;
                    };
                    let expected = match step {
                        Step::KeepFormer | Step::Switch => Gate::Believed(state.next.unwrap()),
                        Step::KeepNext | Step::SwitchBack => Gate::Believed(state.former.unwrap()),
                        Step::Drop => Gate::OnlyInUse(state.signs),
                        _ => Gate::Open,
                    };
                    assert_eq!(gate, expected, "before {step:?}");
                }
            }
        }
    }

    #[test]
    fn a_host_that_came_while_two_were_believed_drops_the_one_that_has_signed_before() {
        let two = |former: Option<&str>| State {
            believed: vec!["b".into(), "a".into()],
            former: former.map(str::to_owned),
            ..settled("b")
        };
        let joined = two(Some("a"));
        assert_eq!(stage(&joined), Stage::Sign);
        assert_eq!(
            walk(joined.clone(), Goal::Sign),
            std::slice::from_ref(&joined)
        );
        assert_eq!(walk(joined, Goal::Drop).pop().unwrap(), settled("b"));
        // `a` may as well be the one that is to sign.
        let undecided = two(None);
        assert!(is_undecided(&undecided) && !is_undecided(&two(Some("a"))));
        for goal in [Goal::Trust, Goal::Sign, Goal::Drop, Goal::Back] {
            assert_eq!(next(&undecided, goal), None);
        }
    }
}
