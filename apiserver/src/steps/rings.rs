//! What is kept: the newest steps, in shares that don't displace each other's.
//!
//! Within a share, room is made by whoever takes the most of it. So a process that says much
//! displaces its own steps, and those of the others stay.

use super::Told;
use hardway_client::steps::size;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
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

/// A reader's place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// The number of the step that comes next.
    next: u64,
    /// From this number on steps are missed if they are not here.
    since: u64,
}

/// A process, by its name and that of its host.
type Process = (&'static str, Arc<str>);

/// All steps, in the order in which they came, and which of them are of which share.
pub(super) struct Rings {
    steps: BTreeMap<u64, (Share, Arc<Told>)>,
    rings: [Ring; 3],
    /// The number of the step that comes next, of whichever share.
    next: u64,
}

/// A share.
struct Ring {
    most: usize,
    largest: usize,
    count: usize,
    size: usize,
    processes: HashMap<Process, Queue>,
    /// The processes, by what they take.
    by_size: BTreeSet<(usize, Process)>,
}

/// A process' steps: their numbers and sizes, the oldest first.
#[derive(Default)]
struct Queue {
    size: usize,
    steps: VecDeque<(u64, usize)>,
}

impl Ring {
    /// At most so many steps, of so many bytes together.
    fn new(most: usize, largest: usize) -> Self {
        Self {
            most,
            largest,
            count: 0,
            size: 0,
            processes: HashMap::new(),
            by_size: BTreeSet::new(),
        }
    }

    fn push(&mut self, process: Process, number: u64, size: usize) {
        let queue = self.processes.entry(process.clone()).or_default();
        let before = (queue.size, process.clone());
        queue.steps.push_back((number, size));
        queue.size += size;
        self.by_size.remove(&before);
        self.by_size.insert((queue.size, process));
        self.count += 1;
        self.size += size;
    }

    /// Takes away the oldest step of the process that takes the most; gives its number.
    fn make_room(&mut self) -> Option<u64> {
        let (_, process) = self.by_size.pop_last()?;
        let queue = self.processes.get_mut(&process)?;
        let (number, size) = queue.steps.pop_front()?;
        queue.size -= size;
        self.count -= 1;
        self.size -= size;
        if queue.steps.is_empty() {
            self.processes.remove(&process);
        } else {
            self.by_size.insert((queue.size, process));
        }
        Some(number)
    }

    fn is_too_large(&self) -> bool {
        self.count > self.most || self.size > self.largest
    }
}

impl Rings {
    /// Empty ones: so many steps, of so many bytes together, of each share.
    pub(super) fn new() -> Self {
        Self {
            steps: BTreeMap::new(),
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
        let ring = &mut self.rings[share as usize];
        ring.push((told.process, told.host.clone()), self.next, size);
        self.steps.insert(self.next, (share, told));
        self.next += 1;
        while ring.is_too_large() {
            let Some(number) = ring.make_room() else {
                return;
            };
            self.steps.remove(&number);
        }
    }

    /// The place of the oldest steps, of a reader who begins now.
    pub(super) fn oldest(&self) -> Place {
        Place {
            next: 0,
            since: self.next,
        }
    }

    /// At most so many steps from a place on, in the order in which they came, and how many
    /// among them are gone. The place is behind them afterwards.
    pub(super) fn take(&self, place: &mut Place, most: usize) -> (u64, Vec<Arc<Told>>) {
        let there = self.steps.range(place.next..).take(most);
        let (mut taken, mut expected, mut end) = (Vec::new(), 0, place.next);
        for (number, (_, told)) in there {
            taken.push(told.clone());
            expected += u64::from(*number >= place.since);
            end = number + 1;
        }
        if taken.len() < most {
            end = self.next;
        }
        let passed = end.saturating_sub(place.next.max(place.since));
        place.next = end;
        (passed.saturating_sub(expected), taken)
    }

    /// Which of these UIDs are of pods that, as requests have left them, are on a node.
    pub(super) fn pods_on(&self, node: &str, uids: &HashSet<&str>) -> HashSet<String> {
        let own = self.steps.values();
        own.filter(|(share, _)| *share == Share::Own)
            .map(|(_, told)| &told.step)
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

    fn push_of(rings: &mut Rings, share: Share, process: Process, name: &str) {
        let told = Told {
            process: process.0,
            host: process.1,
            step: Step {
                name: name.into(),
                ..Step::default()
            },
        };
        let (told, size) = sized(told);
        rings.push(share, told, size);
    }

    fn push(rings: &mut Rings, share: Share, name: &str) {
        push_of(rings, share, ("p", "h".into()), name);
    }

    fn names(taken: &[Arc<Told>]) -> Vec<&str> {
        taken.iter().map(|told| told.step.name.as_str()).collect()
    }

    #[test]
    fn what_is_refused_displaces_nothing_else() {
        let mut rings = Rings::new();
        let mut place = rings.oldest();
        push(&mut rings, Share::Own, "mine");
        push(&mut rings, Share::Reported, "theirs");
        for _ in 0..20_000 {
            push(&mut rings, Share::Refused, "refused");
        }
        let (lost, taken) = rings.take(&mut place, 2);
        assert_eq!((lost, names(&taken)), (0, vec!["mine", "theirs"]));
        let (lost, taken) = rings.take(&mut place, 20_000);
        assert_eq!(lost + taken.len() as u64, 20_000);
        assert!((1..=512).contains(&taken.len()), "{} are kept", taken.len());
    }

    #[test]
    fn who_says_much_displaces_its_own_steps_alone() {
        let mut rings = Rings::new();
        let host = |number: u32| Arc::<str>::from(format!("w{number}"));
        let loud: Process = ("kubelet", host(0));
        for number in 1..4 {
            push_of(&mut rings, Share::Reported, ("kubelet", host(number)), "k");
        }
        push_of(&mut rings, Share::Reported, ("proxy", host(0)), "p");
        let mut place = rings.oldest();
        for _ in 0..30_000 {
            push_of(&mut rings, Share::Reported, loud.clone(), "loud");
        }
        push_of(&mut rings, Share::Reported, ("scheduler", host(9)), "s");
        let (lost, taken) = rings.take(&mut place, usize::MAX);
        let others: Vec<&str> = names(&taken)
            .into_iter()
            .filter(|it| *it != "loud")
            .collect();
        assert_eq!(others, ["k", "k", "k", "p", "s"]);
        let kept = (taken.len() - others.len()) as u64;
        assert_eq!(lost, 30_000 - kept, "of what came since the reader began");
        assert!(kept > 1000, "{kept} are kept");
        let (lost, taken) = rings.take(&mut place, 10);
        assert_eq!((lost, taken.len()), (0, 0));
    }

    #[test]
    fn bytes_are_bounded_too_and_nothing_is_left_of_who_is_gone() {
        let mut rings = Rings::new();
        let large = "x".repeat(64 << 10);
        for number in 0..200_u32 {
            let host = Arc::<str>::from(number.to_string());
            push_of(&mut rings, Share::Reported, ("kubelet", host), &large);
        }
        let ring = &rings.rings[Share::Reported as usize];
        assert!(ring.size <= 4 << 20);
        assert_eq!(rings.steps.len(), ring.count);
        assert_eq!(ring.processes.len(), ring.count);
        assert_eq!(ring.by_size.len(), ring.count);
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
