//! What one policy says of one request, with one set of parameters.

use super::super::evaluation::{Evaluation, Expression, Inputs, Spent};
use super::super::followed::Compiled;
use super::super::host::Host;
use super::super::policy::Policy;
use crate::admission::Operation;
use crate::objects::items;
use crate::text;
use hardway_cel::Value as CelValue;
use hardway_cel::admission::Returns;
use hardway_proto::labels::SelectorError;
use serde_json::Value;
use std::time::{Duration, Instant};

/// How long a message that an expression makes may be, in bytes
/// (`MaxEvaluatedMessageExpressionSizeBytes`).
const MAX_MESSAGE: usize = 5 * 1024;
/// How much of an audit annotation's value is kept, in bytes.
const MAX_ANNOTATION: usize = 10 * 1024;

/// A ValidatingAdmissionPolicy, compiled once.
#[derive(Debug)]
pub struct ValidatingPolicy {
    /// What all policies have.
    pub common: Policy,
    validations: Vec<Validation>,
    annotations: Vec<Annotation>,
}

#[derive(Debug)]
struct Validation {
    expression: Expression,
    message: String,
    message_expression: Option<Expression>,
    reason: String,
}

#[derive(Debug)]
struct Annotation {
    key: String,
    value: Expression,
}

/// What a policy says of a request.
#[derive(Debug, Default)]
pub struct Judgement {
    /// Of each validation.
    pub verdicts: Vec<Verdict>,
    /// By key, what the audit log shall say, or why that can't be known.
    pub annotations: Vec<(String, Result<String, String>)>,
}

/// What a validation says.
#[derive(Debug)]
pub struct Verdict {
    /// What is wrong; `None` if nothing is.
    pub fault: Option<Fault>,
    /// How long it took to find out.
    pub elapsed: Duration,
}

/// Why a validation doesn't pass.
#[derive(Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is false of the request.
    Fails {
        /// What the sender is told.
        message: String,
        /// The reason of the answer.
        reason: String,
    },
    /// It can't be evaluated.
    Error(String),
}

impl Judgement {
    fn error(why: String) -> Self {
        Self {
            verdicts: vec![Verdict {
                fault: Some(Fault::Error(why)),
                elapsed: Duration::ZERO,
            }],
            annotations: Vec::new(),
        }
    }
}

impl Compiled for ValidatingPolicy {
    const POLICIES: &'static str = "validatingadmissionpolicies";
    const BINDINGS: &'static str = "validatingadmissionpolicybindings";

    fn compile(policy: &Value) -> Result<Self, SelectorError> {
        let (common, composition) = Policy::compile(policy)?;
        let compile =
            |text: &str, returns| Expression::new(text, composition.compile(text, returns));
        let validations = items(&policy["spec"], "/validations").iter();
        let validations = validations.map(|validation| {
            let words = text(validation, "/messageExpression");
            Validation {
                expression: compile(text(validation, "/expression"), Returns::Bool),
                message: text(validation, "/message").trim().to_owned(),
                message_expression: (!words.is_empty()).then(|| compile(words, Returns::Message)),
                reason: match text(validation, "/reason") {
                    "" => "Invalid".to_owned(),
                    reason => reason.to_owned(),
                },
            }
        });
        let annotations = items(&policy["spec"], "/auditAnnotations").iter();
        let annotations = annotations.map(|annotation| Annotation {
            key: text(annotation, "/key").to_owned(),
            value: compile(text(annotation, "/valueExpression"), Returns::Annotation),
        });
        Ok(Self {
            validations: validations.collect(),
            annotations: annotations.collect(),
            common,
        })
    }

    fn common(&self) -> &Policy {
        &self.common
    }
}

impl ValidatingPolicy {
    /// Evaluates it.
    pub fn judge(&self, host: &dyn Host, operation: Operation, inputs: &Inputs<'_>) -> Judgement {
        match self.common.is_wanted(host, operation, inputs) {
            Ok(true) => {}
            Ok(false) => return Judgement::default(),
            Err(why) => return Judgement::error(why),
        }
        let evaluation = Evaluation::new(inputs, &self.common.variables);
        let mut verdicts = Vec::with_capacity(self.validations.len());
        for validation in &self.validations {
            let begun = Instant::now();
            let fault = match evaluation.value(&validation.expression) {
                Err(Spent) => return Judgement::error(Spent.to_string()),
                Ok(Err(why)) => Some(Fault::Error(why)),
                Ok(Ok(value)) if value.as_bool() == Some(true) => None,
                Ok(Ok(_)) => Some(match validation.message(&evaluation) {
                    Ok(message) => Fault::Fails {
                        message,
                        reason: validation.reason.clone(),
                    },
                    Err(Spent) => Fault::Error(format!("failed messageExpression: {Spent}")),
                }),
            };
            let elapsed = begun.elapsed();
            verdicts.push(Verdict { fault, elapsed });
        }
        let evaluation = Evaluation::new(inputs, &self.common.variables);
        let mut annotations = Vec::new();
        for annotation in &self.annotations {
            let value = match evaluation.value(&annotation.value) {
                Err(Spent) => return Judgement::error(Spent.to_string()),
                Ok(Err(why)) => Err(why),
                Ok(Ok(value)) => match value.as_str().map(str::trim) {
                    None | Some("") => continue,
                    Some(text) => Ok(cut(text, MAX_ANNOTATION).to_owned()),
                },
            };
            annotations.push((annotation.key.clone(), value));
        }
        Judgement {
            verdicts,
            annotations,
        }
    }
}

impl Validation {
    /// What the sender is told: what its expression says, else its message, else which
    /// expression is false.
    fn message<'a>(&'a self, evaluation: &Evaluation<'a>) -> Result<String, Spent> {
        if let Some(words) = &self.message_expression {
            match evaluation.value(words)? {
                Ok(value) => {
                    if let Some(message) = usable(&value) {
                        return Ok(message);
                    }
                }
                Err(error) => tracing::debug!(error, "a messageExpression can't be evaluated"),
            }
        }
        Ok(match self.message.is_empty() {
            true => format!("failed expression: {}", self.expression.text().trim()),
            false => self.message.clone(),
        })
    }
}

/// A message of one line and some length.
fn usable(value: &CelValue<'_>) -> Option<String> {
    let message = value.as_str()?.trim();
    let fits = !message.is_empty() && message.len() <= MAX_MESSAGE && !message.contains('\n');
    fits.then(|| message.to_owned())
}

/// The beginning of a text of at most so many bytes.
fn cut(text: &str, most: usize) -> &str {
    let end = (0..=most.min(text.len()))
        .rev()
        .find(|end| text.is_char_boundary(*end));
    &text[..end.unwrap_or_default()]
}
