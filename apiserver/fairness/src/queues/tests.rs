//! Requests that come and go in a time of the test's own.

use super::*;
use crate::spec::Queuing;
use std::collections::BTreeMap;

const MS: Duration = Duration::from_millis(1);

fn queued(queues: usize, hand: usize, length: usize) -> LimitResponse {
    LimitResponse::Queue(Queuing {
        queues,
        hand,
        length,
    })
}

fn nobody(_: &mut Request<&'static str>, _: Slot) {
    panic!("nobody else should get a seat");
}

/// Flows that always have a number of requests under way or waiting, each of
/// which takes as long as it takes; counts those that were executed.
struct Simulation {
    set: QueueSet<&'static str>,
    now: Duration,
    /// What is executed, by its end.
    ends: BTreeMap<(Duration, u64), (Slot, &'static str)>,
    flows: BTreeMap<&'static str, Flow>,
}

struct Flow {
    hash: u64,
    work: Work,
    takes: Duration,
    executed: usize,
    waited: Vec<Duration>,
    refused: usize,
}

impl Simulation {
    fn new(response: LimitResponse, limit: usize) -> Self {
        Self {
            set: QueueSet::new(response, limit),
            now: Duration::ZERO,
            ends: BTreeMap::new(),
            flows: BTreeMap::new(),
        }
    }

    fn flow(&mut self, name: &'static str, hash: u64, seats: usize, takes: Duration) {
        let flow = Flow {
            hash,
            work: Work::of(seats),
            takes,
            executed: 0,
            waited: Vec::new(),
            refused: 0,
        };
        self.flows.insert(name, flow);
    }

    fn send(&mut self, name: &'static str) {
        let (hash, work) = (self.flows[name].hash, self.flows[name].work);
        let mut got = Vec::new();
        let outcome = self.set.start(self.now, hash, work, name, |request, slot| {
            got.push((request.id, request.tag, request.arrived, slot));
        });
        self.begin(got);
        match outcome {
            Outcome::Executing(slot) => {
                let id = self.set.last_id;
                self.begin(vec![(id, name, self.now, slot)]);
            }
            Outcome::Waiting { .. } => {}
            Outcome::Refused(_) => self.flows.get_mut(name).unwrap().refused += 1,
        }
    }

    fn begin(&mut self, granted: Vec<(u64, &'static str, Duration, Slot)>) {
        for (id, name, arrived, slot) in granted {
            let flow = self.flows.get_mut(name).unwrap();
            flow.executed += 1;
            flow.waited.push(self.now - arrived);
            self.ends.insert((self.now + flow.takes, id), (slot, name));
        }
    }

    /// Goes on until then; whoever is done asks again at once.
    fn run(&mut self, until: Duration) {
        while let Some(((end, _), (slot, name))) = self.ends.pop_first() {
            if end > until {
                self.ends.insert((end, 0), (slot, name));
                break;
            }
            self.now = end;
            let mut got = Vec::new();
            let kept = self.set.finish(self.now, slot, |request, slot| {
                got.push((request.id, request.tag, request.arrived, slot));
            });
            assert!(kept.is_none());
            self.begin(got);
            self.send(name);
        }
        self.now = until;
    }
}

#[test]
fn seats_are_bounded_and_given_back() {
    let mut set = QueueSet::new(LimitResponse::Reject, 2);
    let Outcome::Executing(first) = set.start(MS, 0, Work::ONE, "a", nobody) else {
        panic!("there are two seats");
    };
    assert!(matches!(
        set.start(MS, 0, Work::ONE, "b", nobody),
        Outcome::Executing(_)
    ));
    let refused = Outcome::Refused(Refusal::ConcurrencyLimit);
    assert_eq!(set.start(MS, 0, Work::ONE, "c", nobody), refused);
    assert!(set.finish(2 * MS, first, nobody).is_none());
    assert_eq!(set.start(2 * MS, 0, Work::of(2), "d", nobody), refused);
    assert!(matches!(
        set.start(2 * MS, 0, Work::ONE, "e", nobody),
        Outcome::Executing(_)
    ));
    assert_eq!((set.totals().dispatched, set.totals().rejected), (3, 2));
}

#[test]
fn the_exempt_always_have_a_seat() {
    let mut set = QueueSet::new(LimitResponse::Exempt, 0);
    for _ in 0..1_000 {
        let outcome = set.start(MS, 0, Work::of(10), "root", nobody);
        assert!(matches!(outcome, Outcome::Executing(_)));
    }
}

#[test]
fn a_full_queue_refuses() {
    let mut set = QueueSet::new(queued(1, 1, 2), 1);
    assert!(matches!(
        set.start(MS, 0, Work::ONE, "a", nobody),
        Outcome::Executing(_)
    ));
    for _ in 0..2 {
        assert!(matches!(
            set.start(MS, 0, Work::ONE, "b", nobody),
            Outcome::Waiting { .. }
        ));
    }
    assert_eq!(
        set.start(MS, 0, Work::ONE, "c", nobody),
        Outcome::Refused(Refusal::QueueFull)
    );
}

#[test]
fn a_mouse_does_not_wait_behind_an_elephant() {
    let mut run = Simulation::new(queued(8, 1, 1_000), 4);
    run.flow("elephant", 0, 1, 100 * MS);
    run.flow("mouse", 1, 1, 10 * MS);
    for _ in 0..500 {
        run.send("elephant");
    }
    run.run(Duration::from_secs(1));
    run.send("mouse");
    run.run(Duration::from_secs(60));
    let mouse = &run.flows["mouse"];
    // One of four seats is free every 25 ms on average.
    let longest = mouse.waited.iter().max().unwrap();
    assert!(*longest <= 100 * MS, "{longest:?}");
    assert_eq!(mouse.refused, 0);
    assert!(mouse.executed > 400, "{}", mouse.executed);
}

#[test]
fn seats_are_shared_by_time_not_by_number() {
    // Both always have work waiting; one's takes ten times as long.
    let mut run = Simulation::new(queued(8, 1, 1_000), 10);
    run.flow("long", 0, 1, 100 * MS);
    run.flow("short", 1, 1, 10 * MS);
    for _ in 0..50 {
        run.send("long");
        run.send("short");
    }
    run.run(Duration::from_secs(100));
    let ratio = run.flows["short"].executed as f64 / run.flows["long"].executed as f64;
    assert!((8.0..12.0).contains(&ratio), "{ratio}");
}

#[test]
fn width_counts() {
    let mut run = Simulation::new(queued(8, 1, 1_000), 10);
    run.flow("wide", 0, 5, 20 * MS);
    run.flow("narrow", 1, 1, 20 * MS);
    for _ in 0..50 {
        run.send("wide");
        run.send("narrow");
    }
    run.run(Duration::from_secs(100));
    let ratio = run.flows["narrow"].executed as f64 / run.flows["wide"].executed as f64;
    assert!((4.0..6.0).contains(&ratio), "{ratio}");
}

#[test]
fn a_queue_that_did_nothing_has_saved_nothing_up() {
    let mut run = Simulation::new(queued(8, 1, 1_000), 2);
    run.flow("steady", 0, 1, 10 * MS);
    run.flow("late", 1, 1, 10 * MS);
    for _ in 0..20 {
        run.send("steady");
    }
    run.run(Duration::from_secs(100));
    let before = run.flows["steady"].executed;
    for _ in 0..20 {
        run.send("late");
    }
    run.run(Duration::from_secs(110));
    let steady = run.flows["steady"].executed - before;
    let late = run.flows["late"].executed;
    let ratio = steady as f64 / late as f64;
    assert!((0.9..1.1).contains(&ratio), "{steady} {late}");
}

#[test]
fn wider_than_all_seats_goes_alone() {
    let mut set = QueueSet::new(queued(4, 1, 10), 2);
    let Outcome::Executing(small) = set.start(MS, 0, Work::ONE, "small", nobody) else {
        panic!("there is a seat");
    };
    let outcome = set.start(MS, 1, Work::of(5), "wide", nobody);
    assert!(matches!(outcome, Outcome::Waiting { .. }));
    let mut got = Vec::new();
    set.finish(2 * MS, small, |request, _| got.push(request.tag));
    assert_eq!(got, ["wide"]);
    assert_eq!(set.seats_in_use(), 5);
}

#[test]
fn seats_linger() {
    let mut set = QueueSet::new(queued(1, 1, 10), 3);
    let work = Work {
        seats: 1,
        final_seats: 3,
        lingering: 5 * MS,
    };
    let Outcome::Executing(slot) = set.start(MS, 0, work, "write", nobody) else {
        panic!("there is a seat");
    };
    let outcome = set.start(MS, 0, Work::ONE, "next", nobody);
    assert!(matches!(outcome, Outcome::Waiting { .. }));
    let kept = set.finish(2 * MS, slot, nobody).expect("seats are kept");
    assert_eq!(kept.during, 5 * MS);
    let mut got = Vec::new();
    set.release(7 * MS, &kept, |request, _| got.push(request.tag));
    assert_eq!(got, ["next"]);
    assert_eq!(set.seats_in_use(), 1);
}

#[test]
fn one_that_is_withdrawn_makes_room() {
    let mut set = QueueSet::new(queued(4, 1, 10), 3);
    let mut slots = Vec::new();
    for _ in 0..2 {
        if let Outcome::Executing(slot) = set.start(MS, 0, Work::ONE, "small", nobody) {
            slots.push(slot);
        }
    }
    let Outcome::Waiting { queue, id } = set.start(MS, 1, Work::of(3), "wide", nobody) else {
        panic!("it has to wait");
    };
    // The wide one is next; nobody overtakes it.
    let outcome = set.start(2 * MS, 1, Work::ONE, "behind", nobody);
    assert!(matches!(outcome, Outcome::Waiting { .. }));
    let mut got = Vec::new();
    let why = Refusal::TimeOut;
    assert!(set.withdraw(3 * MS, queue, id, why, |request, _| got.push(request.tag)));
    assert_eq!(got, ["behind"]);
    assert!(!set.withdraw(3 * MS, queue, id, why, nobody));
    assert_eq!((set.waiting(), set.executing_count()), (0, 3));
    assert_eq!(set.totals().timed_out, 1);
}

#[test]
fn queues_go_when_they_are_empty() {
    let mut run = Simulation::new(queued(8, 1, 10), 1);
    run.flow("first", 0, 1, 10 * MS);
    run.flow("last", 7, 1, 10 * MS);
    run.send("first");
    run.send("last");
    run.set.configure(run.now, queued(2, 1, 10), 1, nobody);
    assert_eq!(run.set.queues().count(), 8);
    // What waits there is still executed; then the queue is gone.
    let mut got = Vec::new();
    let (_, (slot, _)) = run.ends.pop_first().unwrap();
    run.set.finish(10 * MS, slot, |request, slot| {
        got.push((request.tag, slot));
    });
    let (name, slot) = got.pop().unwrap();
    assert_eq!(name, "last");
    run.set.finish(20 * MS, slot, nobody);
    assert_eq!(run.set.queues().count(), 2);
    assert!(run.set.is_idle());
}

#[test]
fn more_seats_are_given_out_at_once() {
    let mut set = QueueSet::new(queued(4, 2, 10), 1);
    for hash in 0..4 {
        set.start(MS, hash, Work::ONE, "x", nobody);
    }
    let mut got = 0;
    set.configure(2 * MS, queued(4, 2, 10), 3, |_, _| got += 1);
    assert_eq!((got, set.waiting()), (2, 1));
}

#[test]
fn who_comes_seldom_waits_for_nobody() {
    let mut set = QueueSet::new(queued(16, 1, 100), 32);
    let mut start = |hash, seats| set.start(MS, hash, Work::of(seats), "x", nobody);
    let waits = |outcome: &Outcome| matches!(outcome, Outcome::Waiting { .. });
    for n in 0..60 {
        assert_eq!(waits(&start(0, 1)), n >= 32, "{n}");
    }
    // Four more than the level has, for others.
    let Outcome::Executing(first) = start(1, 1) else {
        panic!("it had no request");
    };
    assert!(waits(&start(2, 4)), "there are three seats left for such");
    let Outcome::Executing(reserved) = start(3, 2) else {
        panic!("it had no request");
    };
    assert!(!waits(&start(3, 1)), "it had few requests");
    assert!(waits(&start(4, 1)), "the reserve has an end");
    assert_eq!(set.seats_in_use(), 36);
    // It is there for the next, also when more seats are taken than the level has now.
    set.configure(MS, queued(16, 1, 100), 16, nobody);
    set.finish(MS, reserved, nobody);
    set.finish(MS, first, nobody);
    assert!(!waits(&set.start(MS, 5, Work::ONE, "x", nobody)));
}

#[test]
fn who_has_many_requests_is_a_crowd() {
    // One queue for all: whose requests are in it says nothing.
    let mut set = QueueSet::new(queued(1, 1, 100), 20);
    let mut crowded = |hash| match set.start(MS, hash, Work::ONE, "x", nobody) {
        Outcome::Executing(slot) => slot.is_crowded(),
        outcome => panic!("{outcome:?}"),
    };
    let many = [0; CROWD + 2].map(&mut crowded);
    assert!(!many[..CROWD].contains(&true), "{many:?}");
    assert_eq!(many[CROWD..], [true, true]);
    assert!(!crowded(1), "it is another's");
}

#[test]
fn a_crowd_is_known_after_it_has_waited() {
    let mut set = QueueSet::new(queued(16, 1, 100), 1);
    let Outcome::Executing(mut slot) = set.start(MS, 0, Work::ONE, "x", nobody) else {
        panic!("there is a seat");
    };
    for _ in 1..CROWD + 2 {
        set.start(MS, 0, Work::ONE, "x", nobody);
    }
    let mut crowded = Vec::new();
    for _ in 1..CROWD + 2 {
        let mut next = None;
        set.finish(MS, slot, |_, slot| next = Some(slot));
        slot = next.expect("there are more");
        crowded.push(slot.is_crowded());
    }
    assert!(!crowded[..CROWD - 1].contains(&true), "{crowded:?}");
    assert_eq!(crowded[CROWD - 1..], [true, true]);
    assert!(set.flows.len() == 1, "its last request is worked on");
    set.finish(MS, slot, nobody);
    assert!(set.flows.is_empty(), "nobody is remembered");
}

#[test]
fn nothing_is_lost_whatever_happens() {
    let mut seed = 1_u64;
    let mut random = |n: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (seed >> 33) as usize % n
    };
    let mut set: QueueSet<&'static str> = QueueSet::new(queued(16, 4, 5), 7);
    let (mut slots, mut waiting, mut kept) = (Vec::new(), Vec::new(), Vec::new());
    let mut now = Duration::ZERO;
    let mut sent = 0_u64;
    for step in 0..20_000 {
        now += Duration::from_micros(random(3_000) as u64);
        let mut got = Vec::new();
        let grant = |request: &mut Request<&'static str>, slot| got.push((request.id, slot));
        match random(6) {
            0 | 1 => {
                let work = Work {
                    seats: 1 + random(9),
                    final_seats: random(4),
                    lingering: random(2) as u32 * 5 * MS,
                };
                sent += 1;
                let hash = random(50) as u64;
                match set.start(now, hash.wrapping_mul(0x9e37_79b9), work, "x", grant) {
                    Outcome::Executing(slot) => slots.push(slot),
                    Outcome::Waiting { queue, id } => waiting.push((queue, id)),
                    Outcome::Refused(_) => {}
                }
            }
            2 | 3 if !slots.is_empty() => {
                let slot = slots.swap_remove(random(slots.len()));
                kept.extend(set.finish(now, slot, grant));
            }
            4 if !waiting.is_empty() => {
                let (queue, id) = waiting.swap_remove(random(waiting.len()));
                assert!(set.withdraw(now, queue, id, Refusal::Cancelled, grant));
            }
            5 if !kept.is_empty() => set.release(now, &kept.swap_remove(0), grant),
            _ if step % 50 == 0 => {
                let queues = 4 + random(20);
                set.configure(now, queued(queues, 4, 5), 1 + random(12), grant);
            }
            _ => {}
        }
        for (id, slot) in got {
            let at = waiting.iter().position(|(_, w)| *w == id).unwrap();
            waiting.swap_remove(at);
            slots.push(slot);
        }
        assert_eq!(set.waiting(), waiting.len());
        assert_eq!(set.executing_count(), slots.len());
        // Whatever waits does so for want of seats.
        let stuck = !waiting.is_empty() && slots.is_empty() && kept.is_empty();
        assert!(!stuck, "{step}: requests wait though nothing is executed");
    }
    let totals = set.totals();
    assert_eq!(
        totals.dispatched + totals.rejected + waiting.len() as u64,
        sent
    );
}
