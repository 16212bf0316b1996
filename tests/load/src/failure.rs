//! What is shown when something can't be done.

use crate::api::ApiError;

/// What was to be done, why it can't be, and the way out.
#[derive(Debug, thiserror::Error)]
#[error("{what}: {why}\n  {way_out}")]
pub struct Failure {
    /// What was to be done, with the object's name.
    pub what: String,
    /// Why it can't be.
    pub why: String,
    /// What the user can do about it.
    pub way_out: String,
}

impl Failure {
    /// A failure.
    pub fn new(what: impl Into<String>, why: impl ToString, way_out: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            why: why.to_string(),
            way_out: way_out.into(),
        }
    }
}

/// Says what a request was for, where it failed.
pub trait OrFail<T> {
    /// Names what was to be done.
    ///
    /// # Errors
    /// If the request failed.
    fn or_fail(self, what: impl FnOnce() -> String) -> Result<T, Failure>;
}

impl<T> OrFail<T> for Result<T, ApiError> {
    fn or_fail(self, what: impl FnOnce() -> String) -> Result<T, Failure> {
        self.map_err(|error| Failure::new(what(), &error, error.way_out()))
    }
}
