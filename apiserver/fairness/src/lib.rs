//! API Priority and Fairness: which requests go together, how many of them
//! are worked on at once, and whose turn it is. Pure: nothing here waits, and
//! the time is told to it.
//!
//! Kubernetes' terms are kept. A *flow schema* says which requests go to which
//! *priority level*. A level has *seats*; a request takes one or several while
//! it is executed. Where all are taken requests wait in the level's *queues*,
//! each *flow* (a user, or a namespace) in one of a few of its own.

mod allocation;
mod demand;
mod levels;
mod matching;
mod queues;
mod shuffle;
mod spec;
mod watchers;
mod width;

pub use allocation::{Bounds, Shares};
pub use demand::{Demand, Observed};
pub use levels::{Limits, Stats, borrow, limits, max_seats};
pub use matching::{Digest, matches};
pub use queues::{
    Lingering, Outcome, QueueDump, QueueSet, Refusal, Request, RequestDump, Slot, Totals,
};
pub use shuffle::deal;
pub use spec::{
    Distinguisher, FlowSchema, LimitResponse, PriorityLevel, Queuing, SpecError, Subject,
};
pub use watchers::{Interest, Watchers};
pub use width::{List, Work, list, mutating};
