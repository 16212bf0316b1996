//! What variables are bound to.

use super::Budget;
use crate::error::Error;
use crate::program::Program;
use crate::value::Value;
use std::cell::OnceCell;
use std::collections::HashMap;

/// What variables are bound to.
pub trait Bindings<'a> {
    /// The value of a variable, or why it has none; `None` if nothing is bound to it. What
    /// it costs to find out is taken from the budget.
    fn variable(&self, name: &str, budget: &Budget) -> Option<Result<Value<'a>, Error>>;
}

/// Variables with values, and variables that are expressions over the others, each
/// evaluated once and only if it is asked for. What an expression refers to stands before it.
#[derive(Debug, Default)]
pub struct Scope<'a> {
    values: HashMap<&'a str, Value<'a>>,
    expressions: HashMap<&'a str, Deferred<'a>>,
}

#[derive(Debug)]
struct Deferred<'a> {
    program: &'a Program,
    outcome: OnceCell<Result<Value<'a>, Error>>,
}

impl<'a> Scope<'a> {
    /// Nothing is bound.
    pub fn new() -> Self {
        Self::default()
    }

    /// Binds a value.
    pub fn bind(&mut self, name: &'a str, value: Value<'a>) {
        self.values.insert(name, value);
    }

    /// Binds an expression over this scope. It must not refer to itself, nor in a circle:
    /// its environment lacks what comes after it.
    pub fn defer(&mut self, name: &'a str, program: &'a Program) {
        let outcome = OnceCell::new();
        self.expressions.insert(name, Deferred { program, outcome });
    }
}

impl<'a> Bindings<'a> for Scope<'a> {
    fn variable(&self, name: &str, budget: &Budget) -> Option<Result<Value<'a>, Error>> {
        if let Some(value) = self.values.get(name) {
            return Some(Ok(value.clone()));
        }
        let deferred = self.expressions.get(name)?;
        let outcome = deferred
            .outcome
            .get_or_init(|| deferred.program.evaluate(self, budget));
        Some(outcome.clone())
    }
}
