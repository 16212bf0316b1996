//! One queue of requests.

use super::ESTIMATE;
use crate::width::Work;
use std::collections::VecDeque;
use std::time::Duration;

/// A request, waiting or executed.
#[derive(Debug)]
pub struct Request<T> {
    /// Its number.
    pub id: u64,
    /// What it takes.
    pub work: Work,
    /// When it came.
    pub arrived: Duration,
    /// What the owner of the queues knows of it.
    pub tag: T,
    /// When it was given its seats.
    pub(super) started: Duration,
    /// Whether they are of the level's reserve.
    pub(super) reserved: bool,
    /// The hash of its flow.
    pub(super) flow: u64,
    /// Whether its flow had many when it came.
    pub(super) crowded: bool,
    pub(super) queue: Option<usize>,
    pub(super) arrived_r: f64,
}

impl<T> Request<T> {
    /// Seat-seconds it is taken to need.
    pub(super) fn total_work(&self) -> f64 {
        self.work.seats as f64 * ESTIMATE + self.work.final_work()
    }
}

#[derive(Debug)]
pub(super) struct Queue<T> {
    pub(super) waiting: VecDeque<Request<T>>,
    /// Seat-seconds and seats of those that wait.
    pub(super) work_waiting: f64,
    pub(super) seats_waiting: usize,
    pub(super) executing: usize,
    pub(super) seats_in_use: usize,
    /// The virtual time at which the next one is dispatched.
    pub(super) next_r: f64,
}

impl<T> Queue<T> {
    pub(super) fn new() -> Self {
        Self {
            waiting: VecDeque::new(),
            work_waiting: 0.0,
            seats_waiting: 0,
            executing: 0,
            seats_in_use: 0,
            next_r: 0.0,
        }
    }

    pub(super) fn is_active(&self) -> bool {
        self.executing > 0 || !self.waiting.is_empty()
    }

    pub(super) fn push(&mut self, request: Request<T>) {
        self.work_waiting += request.total_work();
        self.seats_waiting += request.work.max_seats();
        self.waiting.push_back(request);
        self.bound();
    }

    pub(super) fn take(&mut self, at: usize) -> Option<Request<T>> {
        let request = self.waiting.remove(at)?;
        self.seats_waiting -= request.work.max_seats();
        self.work_waiting = match self.waiting.is_empty() {
            true => 0.0,
            false => self.work_waiting - request.total_work(),
        };
        Some(request)
    }

    /// Nothing is dispatched, in virtual time, before it has come: what a
    /// queue could have had and did not use it cannot have later.
    pub(super) fn bound(&mut self) {
        if let Some(oldest) = self.waiting.front() {
            self.next_r = self.next_r.max(oldest.arrived_r);
        }
    }
}
