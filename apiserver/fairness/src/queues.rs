//! The seats and queues of one priority level.
//!
//! Fair queuing as in Kubernetes: a queue's next request is taken to be
//! dispatched at a point of a *virtual time* R, which runs the faster the
//! fewer queues are active. When a seat is free, the request goes that would
//! then be finished first. A queue that got more than its share is ahead of R,
//! and waits for the others.

mod dump;
mod queue;

pub use dump::{QueueDump, RequestDump};
pub use queue::Request;

use crate::demand::{Demand, Observed};
use crate::shuffle::deal;
use crate::spec::LimitResponse;
use crate::width::Work;
use queue::Queue;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::time::Duration;

/// How long a request is taken to last until it is known.
const ESTIMATE: f64 = 0.003;

/// One seat in so many is kept beyond the limit for whoever has few requests in the
/// level, so that who comes seldom need not wait until the request of a flood is
/// done. Kubernetes has none.
const RESERVE: usize = 8;

/// Who has so many requests, waiting or executed, has many. Its queues don't tell: others'
/// requests come into them, too.
const CROWD: usize = 8;

/// Why a request gets no seat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// All seats are taken, and the level has no queues.
    ConcurrencyLimit,
    /// All seats are taken, and so are all places in the flow's queues.
    QueueFull,
    /// It has waited too long.
    TimeOut,
    /// Whoever asked is gone.
    Cancelled,
}

impl Refusal {
    /// As the metrics name it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ConcurrencyLimit => "concurrency-limit",
            Self::QueueFull => "queue-full",
            Self::TimeOut => "time-out",
            Self::Cancelled => "cancelled",
        }
    }
}

/// The place of a request that is executed; given back once.
#[derive(Debug, PartialEq, Eq)]
pub struct Slot {
    index: usize,
    crowded: bool,
}

impl Slot {
    /// Whether its flow had many requests when it came.
    pub fn is_crowded(&self) -> bool {
        self.crowded
    }
}

/// What becomes of a request that has come.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is executed.
    Executing(Slot),
    /// It waits.
    Waiting {
        /// In this queue.
        queue: usize,
        /// By this number.
        id: u64,
    },
    /// It gets no seat.
    Refused(Refusal),
}

/// Seats that are kept for a while after a request.
#[derive(Debug)]
pub struct Lingering {
    queue: Option<usize>,
    seats: usize,
    /// For how long.
    pub during: Duration,
}

/// How many requests have gone which way.
#[derive(Clone, Copy, Debug, Default)]
pub struct Totals {
    /// They were executed.
    pub dispatched: u64,
    /// They were refused, for any reason.
    pub rejected: u64,
    /// … because they had waited too long.
    pub timed_out: u64,
    /// … because those who asked had gone.
    pub cancelled: u64,
}

/// The seats and queues of one priority level. Times are those since any
/// fixed moment, and never go back.
#[derive(Debug)]
pub struct QueueSet<T> {
    response: LimitResponse,
    limit: usize,
    queues: Vec<Queue<T>>,
    /// Requests that are executed, by slot.
    executing: Vec<Option<Request<T>>>,
    free: Vec<usize>,
    /// How many requests, waiting or executed, a flow has, by its hash.
    flows: HashMap<u64, usize>,
    virtual_time: f64,
    synced: Duration,
    active_queues: usize,
    waiting: usize,
    seats_waiting: usize,
    seats_in_use: usize,
    /// Those of them that are beyond the limit, for who had no request here.
    reserve_in_use: usize,
    last_id: u64,
    /// The queue that was dispatched from last.
    robin: usize,
    /// The queue that was joined last.
    newest: usize,
    /// How often a hand was dealt.
    dealt: usize,
    demand: Demand,
    totals: Totals,
}

impl<T> QueueSet<T> {
    /// With so many seats.
    pub fn new(response: LimitResponse, limit: usize) -> Self {
        let mut set = Self {
            response,
            limit,
            queues: Vec::new(),
            executing: Vec::new(),
            free: Vec::new(),
            flows: HashMap::new(),
            virtual_time: 0.0,
            synced: Duration::ZERO,
            active_queues: 0,
            waiting: 0,
            seats_waiting: 0,
            seats_in_use: 0,
            reserve_in_use: 0,
            last_id: 0,
            robin: 0,
            newest: 0,
            dealt: 0,
            demand: Demand::default(),
            totals: Totals::default(),
        };
        set.fit_queues();
        set
    }

    /// Changes the configuration; `granted` is told of requests that get
    /// seats by it.
    pub fn configure(
        &mut self,
        now: Duration,
        response: LimitResponse,
        limit: usize,
        granted: impl FnMut(&mut Request<T>, Slot),
    ) {
        self.sync(now);
        self.response = response;
        self.limit = limit;
        self.fit_queues();
        self.dispatch(now, granted);
    }

    /// A request has come, of a flow with this hash. Others may get seats by
    /// it, too; `granted` is told of them.
    pub fn start(
        &mut self,
        now: Duration,
        hash: u64,
        work: Work,
        tag: T,
        mut granted: impl FnMut(&mut Request<T>, Slot),
    ) -> Outcome {
        self.sync(now);
        self.last_id += 1;
        let id = self.last_id;
        let mut request = Request {
            id,
            work,
            arrived: now,
            tag,
            started: now,
            reserved: false,
            flow: hash,
            crowded: false,
            queue: None,
            arrived_r: self.virtual_time,
        };
        if !matches!(self.response, LimitResponse::Queue(_)) {
            if !self.fits(work.max_seats()) {
                self.totals.rejected += 1;
                return Outcome::Refused(Refusal::ConcurrencyLimit);
            }
            return Outcome::Executing(self.execute(now, request));
        }
        let (at, length) = self.choose(hash);
        let full = self.queues[at].waiting.len() >= length;
        if full && self.seats_in_use >= self.limit {
            self.totals.rejected += 1;
            return Outcome::Refused(Refusal::QueueFull);
        }
        request.queue = Some(at);
        let flow = self.flows.entry(hash).or_default();
        let crowded = *flow >= CROWD;
        *flow += 1;
        request.crowded = crowded;
        let queue = &mut self.queues[at];
        if !queue.is_active() {
            queue.next_r = self.virtual_time;
            self.active_queues += 1;
        }
        self.waiting += 1;
        self.seats_waiting += work.max_seats();
        queue.push(request);
        self.newest = at;
        self.note_demand(now);
        let mut own = None;
        self.dispatch(now, |request, slot| match request.id == id {
            true => own = Some(slot),
            false => granted(request, slot),
        });
        let reserved = self.reserve_in_use + work.max_seats();
        let next = self.queues[at].waiting.len() == 1;
        if own.is_none() && next && !crowded && reserved <= self.limit / RESERVE {
            self.reserve_in_use = reserved;
            self.dispatch_from(now, at, |request, slot| {
                request.reserved = true;
                own = Some(slot);
            });
        }
        match own {
            Some(slot) => Outcome::Executing(slot),
            None => Outcome::Waiting { queue: at, id },
        }
    }

    /// A waiting request's tag, to be changed.
    pub fn waiting_tag(&mut self, queue: usize, id: u64) -> Option<&mut T> {
        let queue = self.queues.get_mut(queue)?;
        // It has just come: look from the end.
        let request = queue.waiting.iter_mut().rev().find(|r| r.id == id)?;
        Some(&mut request.tag)
    }

    /// A waiting request waits no longer. Whether it did.
    pub fn withdraw(
        &mut self,
        now: Duration,
        queue: usize,
        id: u64,
        why: Refusal,
        granted: impl FnMut(&mut Request<T>, Slot),
    ) -> bool {
        self.sync(now);
        let Some(of) = self.queues.get_mut(queue) else {
            return false;
        };
        let Some(at) = of.waiting.iter().position(|request| request.id == id) else {
            return false;
        };
        let request = of.take(at);
        of.bound();
        if !of.is_active() {
            self.active_queues -= 1;
        }
        self.waiting -= 1;
        if let Some(request) = request {
            self.seats_waiting -= request.work.max_seats();
            self.leave_flow(request.flow);
        }
        self.totals.rejected += 1;
        match why {
            Refusal::TimeOut => self.totals.timed_out += 1,
            _ => self.totals.cancelled += 1,
        }
        self.note_demand(now);
        // It may have kept others from going.
        self.dispatch(now, granted);
        true
    }

    /// A request is done. What it keeps for a while is to be given to
    /// [`Self::release`] when that has passed.
    pub fn finish(
        &mut self,
        now: Duration,
        slot: Slot,
        granted: impl FnMut(&mut Request<T>, Slot),
    ) -> Option<Lingering> {
        self.sync(now);
        let request = self.executing[slot.index].take()?;
        self.free.push(slot.index);
        if request.reserved {
            self.reserve_in_use -= request.work.max_seats();
        }
        if let Some(at) = request.queue {
            let queue = &mut self.queues[at];
            queue.executing -= 1;
            // Now it is known how long it took.
            let took = now.saturating_sub(request.started).as_secs_f64();
            queue.next_r += request.work.seats as f64 * (took - ESTIMATE);
            queue.bound();
            if !queue.is_active() {
                self.active_queues -= 1;
            }
            self.leave_flow(request.flow);
        }
        let lingering = Lingering {
            queue: request.queue,
            seats: request.work.max_seats(),
            during: request.work.lingering,
        };
        if !lingering.during.is_zero() {
            return Some(lingering);
        }
        self.free_seats(now, &lingering, granted);
        None
    }

    /// The seats that a request had kept are free.
    pub fn release(
        &mut self,
        now: Duration,
        lingering: &Lingering,
        granted: impl FnMut(&mut Request<T>, Slot),
    ) {
        self.sync(now);
        self.free_seats(now, lingering, granted);
    }

    /// Whether nothing waits and nothing is executed.
    pub fn is_idle(&self) -> bool {
        self.waiting == 0 && self.executing_count() == 0
    }

    /// Requests that wait.
    pub fn waiting(&self) -> usize {
        self.waiting
    }

    /// Requests that are executed.
    pub fn executing_count(&self) -> usize {
        self.executing.len() - self.free.len()
    }

    /// Seats that are taken.
    pub fn seats_in_use(&self) -> usize {
        self.seats_in_use
    }

    /// How many seats there are now.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// What became of requests so far.
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// The demand for seats since this was last asked.
    pub fn take_demand(&mut self, now: Duration) -> Observed {
        self.demand.take(now)
    }

    /// Brings the virtual time up to now: what held until now is counted.
    fn sync(&mut self, now: Duration) {
        let passed = now.saturating_sub(self.synced).as_secs_f64();
        self.synced = self.synced.max(now);
        if self.active_queues == 0 {
            // Nobody's place is measured by it: it need not grow for ever.
            self.virtual_time = 0.0;
            return;
        }
        let wanted = (self.seats_in_use + self.seats_waiting).min(self.limit);
        self.virtual_time += passed * wanted as f64 / self.active_queues as f64;
    }

    /// As many queues as are configured; those beyond stay until they are idle.
    fn fit_queues(&mut self) {
        let LimitResponse::Queue(queuing) = self.response else {
            self.drop_idle_queues(0);
            return;
        };
        while self.queues.len() < queuing.queues {
            self.queues.push(Queue::new());
        }
        self.drop_idle_queues(queuing.queues);
    }

    fn drop_idle_queues(&mut self, keep: usize) {
        while self.queues.len() > keep
            && let Some(last) = self.queues.last()
            && !last.is_active()
            && last.seats_in_use == 0
        {
            self.queues.pop();
        }
    }

    /// The queue of a flow's hand in which the least work waits, and how many
    /// requests may wait there.
    fn choose(&mut self, hash: u64) -> (usize, usize) {
        let LimitResponse::Queue(queuing) = self.response else {
            return (0, 0);
        };
        // Not always in the order dealt, or hands that overlap would meet.
        let offset = self.dealt % queuing.hand;
        self.dealt = self.dealt.wrapping_add(1);
        let mut best = (f64::INFINITY, usize::MAX, 0);
        let mut place = 0;
        deal(hash, queuing.queues, queuing.hand, |queue| {
            let turn = (place + queuing.hand - offset) % queuing.hand;
            place += 1;
            let work = self.queues[queue].work_waiting;
            if (work, turn) < (best.0, best.1) {
                best = (work, turn, queue);
            }
        });
        (best.2, queuing.length)
    }

    /// A request of a flow waits no longer, or is done.
    fn leave_flow(&mut self, hash: u64) {
        if let Entry::Occupied(mut flow) = self.flows.entry(hash) {
            *flow.get_mut() -= 1;
            if *flow.get() == 0 {
                flow.remove();
            }
        }
    }

    /// Whether so many seats can be taken now.
    fn fits(&self, seats: usize) -> bool {
        match self.response {
            LimitResponse::Exempt => true,
            // Wider than the level: it goes when nothing else does.
            _ if seats > self.limit => self.executing_count() == 0,
            _ => self.seats_in_use + seats <= self.limit,
        }
    }

    fn execute(&mut self, now: Duration, request: Request<T>) -> Slot {
        self.seats_in_use += request.work.max_seats();
        self.totals.dispatched += 1;
        let index = self.free.pop().unwrap_or_else(|| {
            self.executing.push(None);
            self.executing.len() - 1
        });
        let crowded = request.crowded;
        self.executing[index] = Some(request);
        self.note_demand(now);
        Slot { index, crowded }
    }

    /// Gives seats to waiting requests as long as there are any.
    fn dispatch(&mut self, now: Duration, mut granted: impl FnMut(&mut Request<T>, Slot)) {
        while self.waiting > 0 && self.seats_in_use < self.limit {
            let Some(at) = self.next_queue() else {
                return;
            };
            let oldest = self.queues[at].waiting.front();
            let seats = oldest.map_or(0, |request| request.work.max_seats());
            if !self.fits(seats) {
                return;
            }
            self.dispatch_from(now, at, &mut granted);
        }
    }

    /// Gives seats to a queue's oldest request.
    fn dispatch_from(
        &mut self,
        now: Duration,
        at: usize,
        granted: impl FnOnce(&mut Request<T>, Slot),
    ) {
        let queue = &mut self.queues[at];
        let Some(mut request) = queue.take(0) else {
            return;
        };
        self.robin = at;
        self.waiting -= 1;
        self.seats_waiting -= request.work.max_seats();
        request.started = now;
        if request.work.final_seats > self.limit {
            // The same work on fewer seats.
            let work = request.work.final_work();
            request.work.final_seats = self.limit;
            request.work.lingering = Duration::from_secs_f64(work / self.limit as f64);
        }
        queue.executing += 1;
        queue.seats_in_use += request.work.max_seats();
        queue.next_r += request.total_work();
        queue.bound();
        let slot = self.execute(now, request);
        let index = slot.index;
        if let Some(request) = &mut self.executing[index] {
            granted(request, slot);
        }
    }

    /// The queue whose oldest request would be finished first. Where several
    /// would, it is the turn of the one after the last.
    fn next_queue(&self) -> Option<usize> {
        // Who has just come to a level where nobody waits need not be looked for.
        let newest = self.queues.get(self.newest);
        if self.waiting == 1 && newest.is_some_and(|queue| queue.waiting.len() == 1) {
            return Some(self.newest);
        }
        let count = self.queues.len();
        let turns = (1..=count).map(|step| (self.robin + step) % count);
        let mut best: Option<(f64, usize)> = None;
        for at in turns {
            let queue = &self.queues[at];
            let Some(oldest) = queue.waiting.front() else {
                continue;
            };
            let finish = queue.next_r + oldest.total_work();
            if best.is_none_or(|(least, _)| finish < least) {
                best = Some((finish, at));
            }
            // It is the only one that has any.
            if queue.waiting.len() == self.waiting {
                break;
            }
        }
        best.map(|(_, at)| at)
    }

    fn free_seats(
        &mut self,
        now: Duration,
        lingering: &Lingering,
        granted: impl FnMut(&mut Request<T>, Slot),
    ) {
        self.seats_in_use -= lingering.seats;
        if let Some(at) = lingering.queue {
            self.queues[at].seats_in_use -= lingering.seats;
        }
        self.note_demand(now);
        self.dispatch(now, granted);
        self.fit_queues();
    }

    fn note_demand(&mut self, now: Duration) {
        let seats = self.seats_in_use + self.seats_waiting;
        self.demand.set(now, seats as f64);
    }
}

#[cfg(test)]
mod tests;
