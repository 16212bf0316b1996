//! `matchConditions`: expressions that have to hold for a webhook or a policy to be concerned.

use super::review::Review;
use serde_json::Value;

/// The match conditions of a webhook or policy, read once.
#[derive(Debug)]
pub struct Conditions {
    count: usize,
    fails_open: bool,
}

impl Conditions {
    /// Reads them. `fails_open`: who has them isn't concerned where they can't be evaluated,
    /// instead of the request being refused.
    pub fn of(conditions: &Value, fails_open: bool) -> Self {
        Self {
            count: conditions.as_array().map_or(0, Vec::len),
            fails_open,
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Whether all hold.
    ///
    /// # Errors
    /// Why they can't be evaluated, if that is to refuse the request.
    pub fn hold(
        &self,
        _review: &Review<'_>,
        _new: Option<&Value>,
        _old: Option<&Value>,
    ) -> Result<bool, String> {
        match self.count {
            0 => Ok(true),
            _ if self.fails_open => Ok(false),
            _ => Err("match conditions can't be evaluated".to_owned()),
        }
    }
}
