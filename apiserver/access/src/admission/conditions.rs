//! `matchConditions`: expressions that have to hold for a webhook or a policy to be concerned.

use super::Context;
use super::policies::evaluation::{Evaluation, Expression, Inputs, Spent, Variable};
use super::policies::{asked, request};
use super::review::{ResourceKind, Review};
use crate::text;
use hardway_cel::admission::{Returns, Vocabulary, compile};
use serde_json::Value;
use std::time::{Duration, Instant};

static NULL: Value = Value::Null;

/// The match conditions of a webhook or policy, compiled once.
#[derive(Debug)]
pub struct Conditions {
    list: Vec<Expression>,
    fails_open: bool,
}

/// What became of the match conditions of a webhook or policy and one request, for the metrics.
#[derive(Clone, Copy, Debug)]
pub struct Evaluated {
    /// How long it took to evaluate them.
    pub took: Duration,
    /// How many of them failed, up to the first that is false.
    pub errors: u64,
    /// Whether the request doesn't concern who has them.
    pub excluded: bool,
}

impl Conditions {
    /// Those of a webhook. `fails_open`: who has them isn't concerned where they can't be
    /// evaluated, instead of the request being refused.
    pub fn of(conditions: &Value, fails_open: bool) -> Self {
        Self::compiled(conditions, fails_open, |expression| {
            let program = compile(expression, Returns::Bool, Vocabulary::default());
            Expression::new(expression, program)
        })
    }

    /// The same, with whatever compiles them.
    pub fn compiled(
        conditions: &Value,
        fails_open: bool,
        compile: impl Fn(&str) -> Expression,
    ) -> Self {
        let list = conditions.as_array().into_iter().flatten();
        let list = list.map(|condition| compile(text(condition, "/expression")));
        Self {
            list: list.collect(),
            fails_open,
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Whether all hold of a request, whose objects are shown in the version that is asked for.
    /// `observe` is told what became of it, if there are any.
    ///
    /// # Errors
    /// Why they can't be evaluated, if that is to refuse the request.
    pub(super) fn hold(
        &self,
        context: &Context,
        review: &Review<'_>,
        shown_as: &ResourceKind,
        new: Option<&Value>,
        old: Option<&Value>,
        observe: impl FnOnce(Evaluated),
    ) -> Result<bool, String> {
        if self.is_empty() {
            return Ok(true);
        }
        let request = request::describe(review, shown_as, new);
        let authorizer = asked::variables(review, &context.authorizer);
        let inputs = Inputs {
            object: new.unwrap_or(&NULL),
            old_object: old.unwrap_or(&NULL),
            request: &request,
            params: &NULL,
            namespace: &NULL,
            authorizer: &authorizer,
        };
        self.are_met(&inputs, &[], observe)
    }

    /// Whether all hold: if one doesn't, no, whatever the others say. `observe` is told what
    /// became of it, if there are any.
    ///
    /// # Errors
    /// In Kubernetes' words, if one can't be evaluated and none of the others is false, and
    /// that is to refuse the request.
    pub fn are_met(
        &self,
        inputs: &Inputs<'_>,
        variables: &[Variable],
        observe: impl FnOnce(Evaluated),
    ) -> Result<bool, String> {
        if self.is_empty() {
            return Ok(true);
        }
        let begun = Instant::now();
        let mut failures = Vec::new();
        let hold = self.evaluate(inputs, variables, &mut failures);
        let (errors, outcome) = match hold {
            // Kubernetes doesn't count this among the errors.
            Err(Spent) => (0, Err(Spent.to_string())),
            Ok(hold) => (failures.len() as u64, Ok(hold)),
        };
        let outcome = match outcome {
            Ok(true) => aggregate(failures).map_or(Ok(true), Err),
            outcome => outcome,
        };
        let outcome = match outcome {
            Err(_) if self.fails_open => Ok(false),
            outcome => outcome,
        };
        observe(Evaluated {
            took: begun.elapsed(),
            errors,
            excluded: outcome == Ok(false),
        });
        outcome
    }

    /// Whether none is false; and why those that can't be evaluated can't.
    fn evaluate(
        &self,
        inputs: &Inputs<'_>,
        variables: &[Variable],
        failures: &mut Vec<String>,
    ) -> Result<bool, Spent> {
        let evaluation = Evaluation::of_conditions(inputs, variables);
        for condition in &self.list {
            match evaluation.value(condition)? {
                Ok(value) if value.as_bool() == Some(false) => return Ok(false),
                Ok(_) => {}
                Err(why) => failures.push(why),
            }
        }
        Ok(true)
    }
}

/// Several errors as one, as `k8s.io/apimachinery/pkg/util/errors` tells them.
fn aggregate(failures: Vec<String>) -> Option<String> {
    let mut told: Vec<String> = Vec::new();
    for failure in failures {
        if !told.contains(&failure) {
            told.push(failure);
        }
    }
    match told.len() {
        0 | 1 => told.pop(),
        _ => Some(format!("[{}]", told.join(", "))),
    }
}
