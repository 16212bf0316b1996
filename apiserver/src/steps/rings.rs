//! What is kept: the newest steps, in shares that don't displace each other's.

use super::Told;
use hardway_client::steps::ring::Ring;
use hardway_client::steps::size;
use std::collections::HashSet;
use std::sync::Arc;

/// Whose steps displace each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Share {
    /// Those of requests that were let in.
    Own,
    /// Those of requests that were not: anybody can make as many as they like.
    Refused,
    /// Those that other processes handed in.
    Reported,
}

/// A reader's place: of each share the number of the step that comes next.
pub(super) type Place = [u64; 3];

/// The shares, and the order in which all their steps came.
pub(super) struct Rings {
    rings: [Ring<(u64, Arc<Told>)>; 3],
    /// The number of the step that comes next, of whichever share.
    next: u64,
}

impl Rings {
    /// Empty ones: so many steps, of so many bytes together, of each share.
    pub(super) fn new() -> Self {
        Self {
            rings: [
                Ring::new(8192, 4 << 20),
                Ring::new(512, 256 << 10),
                Ring::new(8192, 4 << 20),
            ],
            next: 0,
        }
    }

    /// Adds a step of so many bytes.
    pub(super) fn push(&mut self, share: Share, told: Arc<Told>, size: usize) {
        self.rings[share as usize].push((self.next, told), size);
        self.next += 1;
    }

    /// The place of the oldest steps.
    pub(super) fn oldest(&self) -> Place {
        self.rings.each_ref().map(Ring::first)
    }

    /// At most so many steps from a place on, in the order in which they came, and how many
    /// before them are gone. The place is behind them afterwards.
    pub(super) fn take(&self, place: &mut Place, most: usize) -> (u64, Vec<Arc<Told>>) {
        let mut lost = 0;
        for (ring, at) in self.rings.iter().zip(&mut *place) {
            let gone = ring.first().saturating_sub(*at);
            lost += gone;
            *at += gone;
        }
        let rings = self.rings.iter().zip(&*place);
        let mut rest: Vec<_> = rings.map(|(ring, at)| ring.since(*at).peekable()).collect();
        let mut taken = Vec::new();
        while taken.len() < most {
            let heads = rest.iter_mut().enumerate();
            let heads = heads.filter_map(|(at, ring)| Some((ring.peek()?.0, at)));
            let Some((_, first)) = heads.min() else {
                break;
            };
            if let Some((_, told)) = rest[first].next() {
                taken.push(told.clone());
                place[first] += 1;
            }
        }
        (lost, taken)
    }

    /// Which of these UIDs are of pods that, as requests have left them, are on a node.
    pub(super) fn pods_on(&self, node: &str, uids: &HashSet<&str>) -> HashSet<String> {
        let own = self.rings[Share::Own as usize].since(0);
        own.map(|(_, told)| &told.step)
            .filter(|step| {
                step.resource == "pods"
                    && matches!(step.what.as_str(), "stored" | "removed")
                    && uids.contains(step.uid.as_str())
                    && step
                        .details
                        .iter()
                        .any(|detail| detail.name == "node" && detail.value == node)
            })
            .map(|step| step.uid.clone())
            .collect()
    }
}

/// A step with the bytes that it takes, to be added.
pub(super) fn sized(told: Told) -> (Arc<Told>, usize) {
    let size = size(&told.step);
    (Arc::new(told), size)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hardway_proto::api::{Step, StepDetail};

    fn push(rings: &mut Rings, share: Share, name: &str) {
        let told = Told {
            process: "p",
            host: "h".into(),
            step: Step {
                name: name.into(),
                ..Step::default()
            },
        };
        let (told, size) = sized(told);
        rings.push(share, told, size);
    }

    fn names(taken: &[Arc<Told>]) -> Vec<&str> {
        taken.iter().map(|told| told.step.name.as_str()).collect()
    }

    #[test]
    fn what_is_refused_displaces_nothing_else() {
        let mut rings = Rings::new();
        push(&mut rings, Share::Own, "mine");
        push(&mut rings, Share::Reported, "theirs");
        let mut place = rings.oldest();
        for _ in 0..20_000 {
            push(&mut rings, Share::Refused, "refused");
        }
        let (lost, taken) = rings.take(&mut place, 2);
        assert_eq!(names(&taken), ["mine", "theirs"]);
        let kept = 20_000 - lost;
        assert!((1..=512).contains(&kept), "{kept} are kept");
    }

    #[test]
    fn shares_are_read_in_the_order_in_which_steps_came() {
        let mut rings = Rings::new();
        let mut place = rings.oldest();
        for (share, name) in [
            (Share::Reported, "a"),
            (Share::Own, "b"),
            (Share::Refused, "c"),
            (Share::Own, "d"),
        ] {
            push(&mut rings, share, name);
        }
        let (lost, taken) = rings.take(&mut place, 3);
        assert_eq!((lost, names(&taken)), (0, vec!["a", "b", "c"]));
        push(&mut rings, Share::Reported, "e");
        let (_, taken) = rings.take(&mut place, 3);
        assert_eq!(names(&taken), ["d", "e"]);
        assert!(rings.take(&mut place, 3).1.is_empty());
    }

    #[test]
    fn where_a_pod_was_is_known_from_requests_alone() {
        let mut rings = Rings::new();
        let step = Step {
            resource: "pods".into(),
            uid: "u".into(),
            what: "removed".into(),
            details: vec![StepDetail {
                name: "node".into(),
                value: "w1".into(),
            }],
            ..Step::default()
        };
        let uids = HashSet::from(["u"]);
        for (share, expected) in [(Share::Reported, 0), (Share::Own, 1)] {
            let told = Told {
                process: "p",
                host: "h".into(),
                step: step.clone(),
            };
            let (told, size) = sized(told);
            rings.push(share, told, size);
            assert_eq!(rings.pods_on("w1", &uids).len(), expected, "{share:?}");
        }
        assert!(rings.pods_on("w2", &uids).is_empty());
    }
}
