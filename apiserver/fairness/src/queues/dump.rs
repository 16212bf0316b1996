//! Queues and their requests, to be shown to people.

use super::QueueSet;
use super::queue::Request;
use std::time::Duration;

/// One queue, to be shown.
#[derive(Clone, Debug)]
pub struct QueueDump {
    /// Requests that wait, and that are executed.
    pub waiting: usize,
    /// Requests that are executed.
    pub executing: usize,
    /// Seats they have.
    pub seats_in_use: usize,
    /// The virtual time at which the next one goes.
    pub next_r: f64,
    /// Seats that those waiting take while executed.
    pub seats_sum: usize,
    /// Seats that those waiting take at most.
    pub max_seats_sum: usize,
    /// Seat-seconds that those waiting need.
    pub work_sum: f64,
}

/// One request, to be shown.
#[derive(Debug)]
pub struct RequestDump<'a, T> {
    /// Its queue, if it has one.
    pub queue: Option<usize>,
    /// Its place in the queue; none if it is executed.
    pub place: Option<usize>,
    /// When it was given its seats, if so.
    pub started: Option<Duration>,
    /// The request.
    pub request: &'a Request<T>,
}

impl<T> QueueSet<T> {
    /// The queues, to be shown.
    pub fn queues(&self) -> impl Iterator<Item = QueueDump> + '_ {
        self.queues.iter().map(|queue| QueueDump {
            waiting: queue.waiting.len(),
            executing: queue.executing,
            seats_in_use: queue.seats_in_use,
            next_r: queue.next_r,
            seats_sum: queue.waiting.iter().map(|r| r.work.seats).sum(),
            max_seats_sum: queue.seats_waiting,
            work_sum: queue.work_waiting,
        })
    }

    /// The requests, to be shown: those executed, then those waiting.
    pub fn requests(&self) -> impl Iterator<Item = RequestDump<'_, T>> {
        let executing = self.executing.iter().flatten().map(|request| RequestDump {
            queue: request.queue,
            place: None,
            started: Some(request.started),
            request,
        });
        let waiting = self.queues.iter().flat_map(|queue| {
            let places = queue.waiting.iter().enumerate();
            places.map(|(place, request)| RequestDump {
                queue: request.queue,
                place: Some(place),
                started: None,
                request,
            })
        });
        executing.chain(waiting)
    }
}
