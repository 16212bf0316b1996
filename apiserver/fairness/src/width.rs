//! How many seats a request takes. As Kubernetes 1.33 estimates it
//! (`k8s.io/apiserver/pkg/util/flowcontrol/request`).

use std::time::Duration;

/// No request takes more seats.
const MAX_SEATS: usize = 10;
/// So many objects looked at are one seat.
const OBJECTS_PER_SEAT: usize = 100;
/// So many watches told of a change are one seat, for [`TELLING`].
const WATCHES_PER_SEAT: usize = 10;
/// How long the watchers' being told takes.
const TELLING: Duration = Duration::from_millis(5);

/// What a request takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Work {
    /// Seats while it is executed.
    pub seats: usize,
    /// Seats that are kept for a while afterwards.
    pub final_seats: usize,
    /// For how long; whoever asked does not wait for it.
    pub lingering: Duration,
}

impl Work {
    /// One seat, and nothing afterwards.
    pub const ONE: Self = Self::of(1);

    /// So many seats, and nothing afterwards.
    pub const fn of(seats: usize) -> Self {
        Self {
            seats,
            final_seats: 0,
            lingering: Duration::ZERO,
        }
    }

    /// The most seats it takes at a time.
    pub fn max_seats(&self) -> usize {
        self.seats.max(self.final_seats)
    }

    /// Seat-seconds that are kept afterwards.
    pub fn final_work(&self) -> f64 {
        self.final_seats as f64 * self.lingering.as_secs_f64()
    }
}

/// A list, or a watch that begins with one.
#[derive(Clone, Copy, Debug, Default)]
pub struct List<'a> {
    /// How many objects the resource has.
    pub objects: usize,
    /// The largest number of objects asked for; 0: all.
    pub limit: usize,
    /// Whether it goes on where another one stopped.
    pub continued: bool,
    /// The resource version asked for.
    pub version: &'a str,
    /// How it is to be matched.
    pub version_match: &'a str,
    /// Whether labels or fields are selected.
    pub selective: bool,
    /// Whether it is about one object, by name.
    pub single: bool,
}

impl List<'_> {
    /// Whether it is answered from memory, or from etcd.
    fn is_from_cache(&self) -> bool {
        match self.version_match {
            "Exact" => false,
            "NotOlderThan" => true,
            _ => !self.continued && (self.limit == 0 || matches!(self.version, "" | "0")),
        }
    }
}

/// What a list takes. `bound` is the level's own for one request.
pub fn list(asked: &List<'_>, bound: Option<usize>) -> Work {
    let all = asked.objects;
    let limit = match asked.limit {
        0 => all,
        limit => limit.min(all),
    };
    let looked_at = if asked.single {
        1
    } else if asked.is_from_cache() {
        all
    } else if asked.selective {
        all + limit
    } else {
        2 * limit
    };
    let seats = looked_at.div_ceil(OBJECTS_PER_SEAT);
    Work::of(seats.clamp(1, bounded(bound)))
}

/// What a write takes that so many watches are told of.
pub fn mutating(watches: usize, bound: Option<usize>) -> Work {
    if watches < WATCHES_PER_SEAT {
        return Work::ONE;
    }
    let seats = watches.div_ceil(WATCHES_PER_SEAT);
    let final_seats = seats.min(bounded(bound));
    Work {
        seats: 1,
        final_seats,
        lingering: TELLING.mul_f64(seats as f64 / final_seats as f64),
    }
}

fn bounded(bound: Option<usize>) -> usize {
    bound.unwrap_or(MAX_SEATS).clamp(1, MAX_SEATS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_as_wide_as_what_they_look_at() {
        let of = |list_of: List<'_>| list(&list_of, None).seats;
        let all = List {
            objects: 450,
            ..List::default()
        };
        assert_eq!(of(List::default()), 1);
        assert_eq!(of(all), 5);
        assert_eq!(
            of(List {
                objects: 9_000,
                ..all
            }),
            10
        );
        assert_eq!(
            of(List {
                single: true,
                ..all
            }),
            1
        );
        // From memory, a page costs what all costs.
        assert_eq!(of(List { limit: 50, ..all }), 5);
        let zero = List {
            version: "0",
            ..all
        };
        assert_eq!(of(List { limit: 50, ..zero }), 5);
        // From etcd, what is fetched counts twice.
        let page = List {
            limit: 50,
            continued: true,
            ..all
        };
        assert_eq!(of(page), 1);
        assert_eq!(of(List { limit: 200, ..page }), 4);
        assert_eq!(
            of(List {
                selective: true,
                ..page
            }),
            5
        );
        let exact = List {
            version: "7",
            version_match: "Exact",
            ..all
        };
        assert_eq!(of(exact), 9);
        let legacy = List {
            version: "7",
            limit: 100,
            ..all
        };
        assert_eq!(of(legacy), 2);
        let newer = List {
            version_match: "NotOlderThan",
            ..legacy
        };
        assert_eq!(of(newer), 5);
    }

    #[test]
    fn a_level_bounds_the_width() {
        let all = List {
            objects: 9_000,
            ..List::default()
        };
        assert_eq!(list(&all, Some(3)).seats, 3);
        assert_eq!(list(&all, Some(30)).seats, 10);
    }

    #[test]
    fn writes_linger_while_watchers_are_told() {
        assert_eq!(mutating(9, None), Work::ONE);
        let work = mutating(41, None);
        assert_eq!((work.seats, work.final_seats), (1, 5));
        assert_eq!(work.lingering, TELLING);
        // Fewer seats, for longer.
        let work = mutating(200, None);
        assert_eq!((work.max_seats(), work.lingering), (10, 2 * TELLING));
        assert_eq!(mutating(200, Some(4)).lingering, 5 * TELLING);
    }
}
