//! What several evaluations may cost together.

use crate::error::Error;
use std::cell::Cell;

/// What is left of what several evaluations may cost together.
#[derive(Debug)]
pub struct Budget {
    remaining: Cell<u64>,
}

impl Budget {
    /// So much may be spent.
    pub fn new(cost: u64) -> Self {
        Self {
            remaining: Cell::new(cost),
        }
    }

    /// What is left.
    pub fn remaining(&self) -> u64 {
        self.remaining.get()
    }

    /// Takes a cost from it.
    pub(crate) fn spend(&self, cost: u64) -> Result<(), Error> {
        let left = self.remaining.get().checked_sub(cost);
        self.remaining.set(left.unwrap_or_default());
        left.map(|_| ()).ok_or(Error::BudgetExceeded)
    }
}
