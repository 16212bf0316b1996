//! Whether a member can be taken out without the others losing their majority.

use super::Member;

/// A member and whether it takes part in what is decided.
pub type Seen<'a> = (&'a Member, bool);

/// What becomes of the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removal {
    /// A majority of them goes on.
    Fine {
        /// How many full members stay.
        left: usize,
    },
    /// There is no other full member: with it goes the cluster.
    Last,
    /// Too few of them are healthy.
    LosesMajority {
        /// How many full members stay.
        left: usize,
        /// How many of those are healthy.
        healthy: usize,
    },
    /// There is no majority now, so nothing can be decided, this neither.
    NoMajority {
        /// How many full members there are.
        all: usize,
        /// How many of those are healthy.
        healthy: usize,
    },
}

/// How many of so many full members must be healthy.
pub fn majority(members: usize) -> usize {
    members / 2 + 1
}

/// What becomes of the others when the member with this number is taken out.
pub fn removal(members: &[Seen<'_>], id: u64) -> Removal {
    let full = || members.iter().filter(|(member, _)| !member.is_learner);
    let count = |all: &mut dyn Iterator<Item = &Seen<'_>>| {
        all.fold((0, 0), |(all, healthy), (_, is_healthy)| {
            (all + 1, healthy + usize::from(*is_healthy))
        })
    };
    let (all, healthy) = count(&mut full());
    let (left, healthy_left) = count(&mut full().filter(|(member, _)| member.id != id));
    match () {
        () if left == 0 => Removal::Last,
        () if healthy < majority(all) => Removal::NoMajority { all, healthy },
        () if healthy_left < majority(left) => Removal::LosesMajority {
            left,
            healthy: healthy_left,
        },
        () => Removal::Fine { left },
    }
}

#[cfg(test)]
mod tests {
    use super::super::member::tests::member;
    use super::*;

    #[test]
    fn a_majority_of_the_others_must_be_healthy() {
        let names = ["a", "b", "c", "d", "e"];
        // Who is healthy, as one character each; who goes; what becomes of the rest.
        for (health, gone, expected) in [
            ("+", 1, Removal::Last),
            ("-", 1, Removal::Last),
            ("++", 1, Removal::Fine { left: 1 }),
            // The dead one of two can't be taken out: one of two is no majority.
            ("+-", 2, Removal::NoMajority { all: 2, healthy: 1 }),
            ("+++", 1, Removal::Fine { left: 2 }),
            ("++-", 3, Removal::Fine { left: 2 }),
            (
                "++-",
                1,
                Removal::LosesMajority {
                    left: 2,
                    healthy: 1,
                },
            ),
            ("+--", 2, Removal::NoMajority { all: 3, healthy: 1 }),
            ("+++--", 4, Removal::Fine { left: 4 }),
            (
                "+++--",
                1,
                Removal::LosesMajority {
                    left: 4,
                    healthy: 2,
                },
            ),
        ] {
            let members: Vec<Member> = (1..)
                .zip(names)
                .take(health.len())
                .map(|(id, name)| member(id, name))
                .collect();
            let seen: Vec<Seen<'_>> = members
                .iter()
                .zip(health.chars().map(|it| it == '+'))
                .collect();
            assert_eq!(removal(&seen, gone), expected, "{health} without {gone}");
        }
    }

    #[test]
    fn learners_count_for_nothing() {
        let learner = Member {
            is_learner: true,
            ..member(2, "b")
        };
        let one = member(1, "a");
        let seen = [(&one, true), (&learner, true)];
        assert_eq!(removal(&seen, 1), Removal::Last);
        assert_eq!(removal(&seen, 2), Removal::Fine { left: 1 });
        let dead = [(&one, true), (&learner, false)];
        assert_eq!(removal(&dead, 2), Removal::Fine { left: 1 });
    }
}
