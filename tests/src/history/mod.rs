//! What clients of an API asked and were told, and whether that can be.
//!
//! Clients write down every operation with when they asked and when they were answered, by one
//! clock that never goes back ([`Recorder`]). What comes out is a [`History`], and [`check()`] says
//! whether a store that does one thing after the other, and forgets nothing, could have told the
//! same. It knows no time but that history's and asks nobody: a run can be judged when it is over.
//!
//! What is checked, a file each:
//!
//! - **Each object is a register with compare-and-swap** (`register.rs`, `search.rs`). There is
//!   an order of all its operations, each at some moment between its question and its answer, in
//!   which every answer is right (linearizability: Herlihy and Wing 1990). The order is searched
//!   for as Wing and Gong do (1993), with Lowe's memory of where the search has been (2017), as
//!   Knossos and Porcupine do. An operation without an answer may take effect at any time after
//!   it was asked for, or never. The search is bounded: an object that takes too long is
//!   *undecided*, neither right nor wrong.
//! - **Revisions go forward** (`revisions.rs`). Who asks after somebody was told a revision is
//!   told no older one: the resourceVersion is one clock for all objects. No write has two
//!   revisions, and no revision two writes: nothing was done twice.
//! - **A list is what was there at its revision** (`lists.rs`): nothing older, nothing newer,
//!   nothing left out; with a selector, of what it selects, all and nothing else. Only who asks
//!   for it is given an old list, which is one that was, and no older than asked for.
//! - **A watch tells all, once, in order** (`watches.rs`): each change after the revision it
//!   begins at, none twice, none left out, each as what it was. A write that was acknowledged and
//!   is in no watch is lost.
//!
//! Values are never written twice, so that a value says which write it is of. The checker has a
//! test of its own that shows that it can fail: a store with faults (`faulty.rs`).

mod check;
#[cfg(test)]
mod faulty;
mod lists;
mod record;
mod register;
mod revisions;
mod search;
mod watches;
mod written;

use std::collections::BTreeMap;
use std::time::Duration;

pub use check::{Rule, Verdict, Violation, check};
pub use record::Recorder;

/// What is asked of one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Make it, unless it is there.
    Create {
        /// A value that nobody else writes.
        value: String,
    },
    /// Give it another value, if it has this revision.
    Update {
        /// The resourceVersion it must have.
        expected: u64,
        /// A value that nobody else writes.
        value: String,
    },
    /// Take it away; if a revision is given, only if it has that.
    Delete {
        /// The resourceVersion it must have.
        expected: Option<u64>,
    },
    /// Read it.
    Get {
        /// Whether it may be old (`resourceVersion=0`).
        stale: bool,
    },
}

/// What the answer was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The write was done; after a deletion there is no revision.
    Done {
        /// The object's resourceVersion from then on.
        revision: Option<u64>,
    },
    /// The object that was read.
    Found {
        /// Its resourceVersion.
        revision: u64,
        /// Its value.
        value: String,
    },
    /// There is no such object.
    NotFound,
    /// There is one already.
    Exists,
    /// It has another revision.
    Conflict,
    /// Nothing came of it: it was never sent, or turned away.
    Refused,
    /// Nobody knows what came of it, or will.
    Unknown,
}

/// One question about one object, and its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// Who asked; one after the other.
    pub client: usize,
    /// The object's name.
    pub key: String,
    /// What was asked.
    pub action: Action,
    /// When it was asked.
    pub invoked: Duration,
    /// When it was answered, or given up.
    pub completed: Duration,
    /// The answer.
    pub outcome: Outcome,
}

/// Objects by name, each with its resourceVersion and its value.
pub type Items = BTreeMap<String, (u64, String)>;

/// How new a list has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// As new as whatever anybody was told before (no `resourceVersion`).
    Newest,
    /// Of any revision (`resourceVersion=0`).
    Any,
    /// Of this revision or a newer one (`resourceVersionMatch=NotOlderThan`).
    NotOlderThan(u64),
    /// Of this revision (`resourceVersionMatch=Exact`).
    Exact(u64),
}

/// Which objects are selected, by their value, whose parts are between slashes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selected {
    /// Which part is looked at, from 0 on.
    pub part: usize,
    /// What it must be.
    pub is: String,
}

impl Selected {
    /// Whether an object with this value is selected.
    pub fn has(&self, value: &str) -> bool {
        value.split('/').nth(self.part) == Some(self.is.as_str())
    }
}

/// A list of all objects, or of those selected; one that came in pages is one list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List {
    /// Who asked.
    pub client: usize,
    /// How new it has to be.
    pub freshness: Freshness,
    /// Which objects it is of, if not of all.
    pub selected: Option<Selected>,
    /// When it was asked for.
    pub invoked: Duration,
    /// When it was there.
    pub completed: Duration,
    /// The list's resourceVersion.
    pub revision: u64,
    /// What is in it.
    pub items: Items,
}

/// What a watch says of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The object is new.
    Added,
    /// It has another value.
    Modified,
    /// It is gone.
    Deleted,
    /// Nothing changed up to this revision that was not told.
    Bookmark,
}

/// A line of a watch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// When it came.
    pub at: Duration,
    /// What it says.
    pub kind: Kind,
    /// The object's name; of a bookmark none.
    pub key: String,
    /// The resourceVersion of the change.
    pub revision: u64,
    /// The object's value, the last one of a deleted object.
    pub value: String,
}

/// A watch that was not interrupted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watch {
    /// Who watched.
    pub client: usize,
    /// The revision it begins after.
    pub after: u64,
    /// What it told, in the order in which it came.
    pub events: Vec<Event>,
}

/// All that was asked and told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History {
    /// Questions about single objects.
    pub operations: Vec<Operation>,
    /// Lists.
    pub lists: Vec<List>,
    /// Watches.
    pub watches: Vec<Watch>,
}
