//! `matchConditions`: expressions that have to hold for a webhook or a policy to be concerned.

use super::Context;
use super::policies::evaluation::{Evaluation, Expression, Inputs, Spent, Variable};
use super::policies::{asked, request};
use super::review::{ResourceKind, Review};
use crate::text;
use hardway_cel::admission::{Returns, Vocabulary, compile};
use serde_json::Value;

static NULL: Value = Value::Null;

/// The match conditions of a webhook or policy, compiled once.
#[derive(Debug)]
pub struct Conditions {
    list: Vec<Expression>,
    fails_open: bool,
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
        self.are_met(&inputs, &[])
    }

    /// Whether all hold: if one doesn't, no, whatever the others say.
    ///
    /// # Errors
    /// In Kubernetes' words, if one can't be evaluated and none of the others is false, and
    /// that is to refuse the request.
    pub fn are_met(&self, inputs: &Inputs<'_>, variables: &[Variable]) -> Result<bool, String> {
        if self.is_empty() {
            return Ok(true);
        }
        let failed = |why: String| match self.fails_open {
            true => Ok(false),
            false => Err(why),
        };
        let evaluation = Evaluation::of_conditions(inputs, variables);
        let mut failures = Vec::new();
        for condition in &self.list {
            match evaluation.value(condition) {
                Ok(Ok(value)) if value.as_bool() == Some(false) => return Ok(false),
                Ok(Ok(_)) => {}
                Ok(Err(why)) => {
                    if !failures.contains(&why) {
                        failures.push(why);
                    }
                }
                Err(Spent) => return failed(Spent.to_string()),
            }
        }
        match failures.as_slice() {
            [] => Ok(true),
            [one] => failed(one.clone()),
            more => failed(format!("[{}]", more.join(", "))),
        }
    }
}
