//! The one error type of the tool: what was attempted, why it failed, the way out.

use std::fmt::Display;

/// A failed step, told so that the operator knows what to do next.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
#[error("{what}: {why}")]
pub struct Failure {
    /// What was attempted.
    pub what: String,
    /// Why it did not work.
    pub why: String,
    /// What the operator can do about it.
    pub way_out: Option<String>,
    /// With which code the tool ends; `docs/command.md` lists them.
    pub exit: u8,
}

/// Result of a step of the tool.
pub type Result<T> = std::result::Result<T, Failure>;

impl Failure {
    /// A failure of `what` because of `why`.
    pub fn new(what: impl Display, why: impl Display) -> Self {
        Self {
            what: what.to_string(),
            why: why.to_string(),
            way_out: None,
            exit: 1,
        }
    }

    /// Adds what the operator can do about it.
    pub fn way_out(mut self, text: impl Display) -> Self {
        self.way_out = Some(text.to_string());
        self
    }

    /// With which code the tool ends, where it isn't 1.
    pub fn exit(mut self, code: u8) -> Self {
        self.exit = code;
        self
    }
}

/// Turns foreign errors into a [`Failure`] by naming what was attempted.
pub trait OrFail<T> {
    /// Names what was attempted; the text is built only when it failed.
    fn or_fail<D: Display>(self, what: impl FnOnce() -> D) -> Result<T>;
}

impl<T, E: Display> OrFail<T> for std::result::Result<T, E> {
    fn or_fail<D: Display>(self, what: impl FnOnce() -> D) -> Result<T> {
        self.map_err(|error| Failure::new(what(), error))
    }
}
