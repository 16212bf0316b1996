//! The search for an order of calls in which every answer is right.
//!
//! A state of the search is which calls have their place already, and what the object is then.
//! Next may come any call that was made before the first of the others was answered. A state that
//! was seen before needs no second look, however it was reached: that keeps the search from
//! growing with the orders, of which there are far more.

use std::collections::HashSet;
use std::hash::Hash;
use std::time::Duration;

/// A call on an object in a state `S`.
pub trait Call<S> {
    /// When it was made.
    fn invoked(&self) -> Duration;
    /// When it was answered. None if it may take effect at any time after it was made, or never.
    fn completed(&self) -> Option<Duration>;
    /// The object after the call, if its answer is right for the object before it.
    fn apply(&self, state: &S) -> Option<S>;
}

/// Whether there is such an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision<S> {
    /// There is.
    Linearizable,
    /// There is none. The search came as far as this state, with these calls in their places, by
    /// their numbers.
    NotLinearizable {
        /// The object then.
        state: S,
        /// The calls up to then.
        order: Vec<usize>,
    },
    /// It takes too long to say.
    Undecided,
}

/// Where the search stands: the object, and which call to try next.
struct Place<S> {
    state: S,
    next: usize,
    /// The call that led here.
    by: usize,
}

/// Looks at no more than `budget` states.
pub fn search<S, C>(initial: S, calls: &[C], budget: usize) -> Decision<S>
where
    S: Clone + Eq + Hash,
    C: Call<S>,
{
    let mut placed = Set::of(calls.len());
    let mut seen: HashSet<(Set, S)> = HashSet::new();
    let mut places = vec![Place {
        state: initial.clone(),
        next: 0,
        by: 0,
    }];
    let mut farthest = (initial, Vec::new());
    loop {
        let Some(place) = places.last_mut() else {
            let (state, order) = farthest;
            return Decision::NotLinearizable { state, order };
        };
        let open = |number: &usize| !placed.has(*number);
        let Some(first_answer) = (0..calls.len())
            .filter(open)
            .filter_map(|number| calls[number].completed())
            .min()
        else {
            return Decision::Linearizable;
        };
        let found = (place.next..calls.len()).filter(open).find_map(|number| {
            let call = &calls[number];
            let state = (call.invoked() <= first_answer)
                .then(|| call.apply(&place.state))
                .flatten()?;
            seen.insert((placed.with(number), state.clone()))
                .then_some((number, state))
        });
        if seen.len() > budget {
            return Decision::Undecided;
        }
        match found {
            Some((number, state)) => {
                place.next = number + 1;
                placed = placed.with(number);
                places.push(Place {
                    state: state.clone(),
                    next: 0,
                    by: number,
                });
                if places.len() > farthest.1.len() + 1 {
                    let order = places[1..].iter().map(|place| place.by).collect();
                    farthest = (state, order);
                }
            }
            None => {
                placed = placed.without(place.by);
                places.pop();
            }
        }
    }
}

/// Which calls have their place.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Set(Vec<u64>);

impl Set {
    fn of(size: usize) -> Self {
        Self(vec![0; size.div_ceil(64)])
    }

    fn has(&self, number: usize) -> bool {
        self.0[number / 64] >> (number % 64) & 1 == 1
    }

    fn with(&self, number: usize) -> Self {
        let mut words = self.0.clone();
        words[number / 64] |= 1 << (number % 64);
        Self(words)
    }

    fn without(&self, number: usize) -> Self {
        let mut words = self.0.clone();
        words[number / 64] &= !(1 << (number % 64));
        Self(words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A call on a counter: it adds, and tells the sum.
    struct Add {
        from: u64,
        to: Option<u64>,
        sum: u32,
    }

    impl Call<u32> for Add {
        fn invoked(&self) -> Duration {
            Duration::from_secs(self.from)
        }

        fn completed(&self) -> Option<Duration> {
            self.to.map(Duration::from_secs)
        }

        fn apply(&self, state: &u32) -> Option<u32> {
            (self.to.is_none() || state + 1 == self.sum).then_some(state + 1)
        }
    }

    fn add(from: u64, to: u64, sum: u32) -> Add {
        Add {
            from,
            to: Some(to),
            sum,
        }
    }

    fn unanswered(from: u64) -> Add {
        Add {
            from,
            to: None,
            sum: 0,
        }
    }

    #[test]
    fn calls_at_the_same_time_may_come_in_any_order() {
        assert_eq!(
            search(0, &[add(0, 9, 2), add(1, 8, 1)], 100),
            Decision::Linearizable
        );
        let order = search(0, &[add(0, 1, 2), add(2, 3, 1)], 100);
        let none = Decision::NotLinearizable {
            state: 0,
            order: vec![],
        };
        assert_eq!(
            order, none,
            "the first was answered before the second was made"
        );
        assert_eq!(search(0, &[] as &[Add], 0), Decision::Linearizable);
    }

    #[test]
    fn a_call_without_an_answer_comes_late_or_never_but_not_early() {
        let one = |calls: &[Add]| search(0, calls, 100) == Decision::Linearizable;
        assert!(one(&[unanswered(0), add(1, 2, 1)]), "never");
        assert!(one(&[unanswered(0), add(1, 2, 2)]), "at once");
        assert!(one(&[unanswered(0), add(1, 2, 1), add(3, 4, 3)]), "late");
        assert!(!one(&[add(1, 2, 2), unanswered(3)]), "before it was made");
        assert!(!one(&[unanswered(0), add(1, 2, 3)]), "twice");
    }

    #[test]
    fn what_takes_too_long_is_undecided() {
        let mut calls: Vec<Add> = (0..20).map(|_| unanswered(0)).collect();
        calls.push(add(1, 2, 99));
        assert_eq!(search(0, &calls, 1000), Decision::Undecided);
    }
}
