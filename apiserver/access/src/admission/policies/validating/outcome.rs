//! What becomes of a request by what policies say of it.

use super::super::binding::{Action, Binding};
use super::super::host::{Check, Enforcement, ErrorType, Host};
use super::super::policy::Policy;
use super::super::refusal;
use super::judgement::{Fault, Judgement};
use crate::admission::review::{AnnotationLevel, Review};
use hardway_proto::Status;
use serde::Serialize;
use serde_json::Value;
use std::time::Duration;

/// The audit annotation that tells of failed validations.
const VALIDATION_FAILURE: &str = "validation.policy.admission.k8s.io/validation_failure";

/// What was found so far.
#[derive(Default)]
pub struct Outcome {
    /// The first refusal.
    denied: Option<Denied>,
    /// By key, different values for the audit log, of the policy at hand.
    annotations: Vec<(String, Vec<String>)>,
}

struct Denied {
    message: String,
    reason: String,
}

/// The value of [`VALIDATION_FAILURE`], in the order of its fields in Kubernetes.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ValidationFailure<'a> {
    message: &'a str,
    policy: &'a str,
    binding: &'a str,
    expression_index: usize,
    validation_actions: &'a [Action],
}

impl Outcome {
    /// A policy, or a binding of it, can't be used for the request.
    pub fn misconfigured(&mut self, policy: &Policy, binding: Option<&Binding>, why: &str) {
        if policy.ignores_failures {
            return;
        }
        let what = if binding.is_some() {
            "binding"
        } else {
            "policy"
        };
        let why = format!("failed to configure {what}: {why}");
        self.deny(policy, binding, &why, "Invalid");
    }

    fn deny(&mut self, policy: &Policy, binding: Option<&Binding>, why: &str, reason: &str) {
        if self.denied.is_some() {
            return;
        }
        let name = &policy.name;
        let bound = binding.map_or_else(String::new, |b| format!(" with binding '{}'", b.name));
        self.denied = Some(Denied {
            message: format!("ValidatingAdmissionPolicy '{name}'{bound} denied request: {why}"),
            reason: reason.to_owned(),
        });
    }

    /// A policy has judged the request under a binding.
    pub fn add(
        &mut self,
        review: &Review<'_>,
        host: &dyn Host,
        policy: &Policy,
        binding: &Binding,
        judgement: Judgement,
    ) {
        let observe = |error: ErrorType, enforcement: Enforcement, elapsed: Duration| {
            host.observe(&Check {
                policy: &policy.name,
                binding: &binding.name,
                error,
                enforcement,
                elapsed,
            });
        };
        for (index, verdict) in judgement.verdicts.into_iter().enumerate() {
            let (message, reason, error) = match verdict.fault {
                None => continue,
                Some(Fault::Fails { message, reason }) => (message, reason, ErrorType::None),
                Some(Fault::Error(why)) => {
                    let error = ErrorType::of(&why);
                    if policy.ignores_failures {
                        observe(error, Enforcement::Allow, verdict.elapsed);
                        continue;
                    }
                    (why, "Invalid".to_owned(), error)
                }
            };
            for action in &binding.actions {
                let enforcement = match action {
                    Action::Deny => {
                        self.deny(policy, Some(binding), &message, &reason);
                        Enforcement::Deny
                    }
                    Action::Audit => {
                        note_failure(review, policy, binding, index, &message);
                        Enforcement::Audit
                    }
                    Action::Warn => {
                        review.notes.warn(format!(
                            "Validation failed for ValidatingAdmissionPolicy '{}' with binding '{}': {message}",
                            policy.name, binding.name
                        ));
                        Enforcement::Warn
                    }
                };
                observe(error, enforcement, verdict.elapsed);
            }
        }
        for (key, value) in judgement.annotations {
            match value {
                Ok(value) => self.annotate(key, value),
                Err(_) if policy.ignores_failures => {}
                Err(why) => {
                    self.deny(policy, Some(binding), &why, "Invalid");
                    observe(ErrorType::of(&why), Enforcement::Deny, Duration::ZERO);
                }
            }
        }
    }

    fn annotate(&mut self, key: String, value: String) {
        match self.annotations.iter_mut().find(|(known, _)| *known == key) {
            Some((_, values)) if values.contains(&value) => {}
            Some((_, values)) => values.push(value),
            None => self.annotations.push((key, vec![value])),
        }
    }

    /// The policy at hand is done with: what it has for the audit log goes there.
    pub fn publish(&mut self, review: &Review<'_>, policy: &Policy) {
        for (key, values) in self.annotations.drain(..) {
            let key = format!("{}/{key}", policy.name);
            let level = AnnotationLevel::Metadata;
            review.notes.annotate(key, values.join(", "), level);
        }
    }

    /// Whether the request passes.
    ///
    /// # Errors
    /// The first refusal.
    pub fn decide(self, review: &Review<'_>, new: Option<&Value>) -> Result<(), Status> {
        let Some(Denied { message, reason }) = self.denied else {
            return Ok(());
        };
        let mut status = refusal::forbidden(review, new, &message);
        status.code = match reason.as_str() {
            "Forbidden" => 403,
            "Unauthorized" => 401,
            "RequestEntityTooLarge" => 413,
            _ => 422,
        };
        status.reason = reason;
        refusal::add_cause(&mut status, message);
        Err(status)
    }
}

fn note_failure(
    review: &Review<'_>,
    policy: &Policy,
    binding: &Binding,
    expression_index: usize,
    message: &str,
) {
    let failure = ValidationFailure {
        message,
        policy: &policy.name,
        binding: &binding.name,
        expression_index,
        validation_actions: &binding.actions,
    };
    let Ok(value) = serde_json::to_string(&[failure]) else {
        return;
    };
    // As Go writes JSON.
    let value = value
        .replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026");
    let level = AnnotationLevel::Metadata;
    review
        .notes
        .annotate(VALIDATION_FAILURE.to_owned(), value, level);
}
