//! How an installation is, host by host: what is looked at (`facts`), and what it means. Each
//! check is a pure function of facts; who asks for them is `commands/doctor.rs`.

pub mod certificates;
pub mod clocks;
pub mod etcd;
pub mod facts;
pub mod kernel;
pub mod leaks;
pub mod processes;
pub mod room;
pub mod rotation;

use std::fmt;

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// As it should be.
    Good,
    /// It could not be seen.
    Unknown,
    /// It works, but should be looked after.
    Warning,
    /// It does not work, or will soon not.
    Bad,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Good => "ok",
            Self::Unknown => "?",
            Self::Warning => "warning",
            Self::Bad => "problem",
        })
    }
}

/// What a check says, in a line, and the way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// What was looked at: `disk`, `clock`.
    pub what: &'static str,
    /// How it is.
    pub state: State,
    /// What was seen.
    pub says: String,
    /// What to do about it; empty where nothing is to be done.
    pub way_out: String,
}

impl Line {
    /// As it should be.
    pub fn good(what: &'static str, says: impl Into<String>) -> Self {
        Self::new(what, State::Good, says, "")
    }

    /// It could not be seen.
    pub fn unknown(
        what: &'static str,
        says: impl Into<String>,
        way_out: impl Into<String>,
    ) -> Self {
        Self::new(what, State::Unknown, says, way_out)
    }

    /// It should be looked after.
    pub fn warning(
        what: &'static str,
        says: impl Into<String>,
        way_out: impl Into<String>,
    ) -> Self {
        Self::new(what, State::Warning, says, way_out)
    }

    /// It does not work.
    pub fn bad(what: &'static str, says: impl Into<String>, way_out: impl Into<String>) -> Self {
        Self::new(what, State::Bad, says, way_out)
    }

    fn new(
        what: &'static str,
        state: State,
        says: impl Into<String>,
        way_out: impl Into<String>,
    ) -> Self {
        Self {
            what,
            state,
            says: says.into(),
            way_out: way_out.into(),
        }
    }
}
