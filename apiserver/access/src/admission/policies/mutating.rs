//! MutatingAdmissionPolicy: changes objects, as `pkg/admission/plugin/policy/mutating` of
//! `k8s.io/apiserver` does.

mod mutation;
mod patch;

use super::super::matching::is_exempt_from_policies;
use super::super::review::{ResourceKind, Review};
use super::binding::Binding;
use super::followed::{Bound, Followed};
use super::host::{Check, Enforcement, ErrorType, Host};
use super::policy::Policy;
use super::shown::Shown;
use super::subject::Subject;
use super::{params, refusal};
use crate::{Authorizer, Objects, text};
use hardway_proto::Status;
use mutation::MutatingPolicy;
use serde_json::Value;
use std::sync::Arc;
use std::time::Instant;

/// All mutating policies.
#[derive(Default)]
pub struct Mutating {
    followed: Followed<MutatingPolicy>,
}

/// A policy that is to change the object, under a binding, with parameters.
struct Invocation<'s> {
    policy: &'s MutatingPolicy,
    binding: &'s Binding,
    params: Value,
    shown_as: ResourceKind,
}

impl Invocation<'_> {
    /// What it is known by when an object is seen again.
    fn id(&self) -> String {
        let (policy, binding) = (&self.policy.common.name, &self.binding.name);
        let of = |pointer| text(&self.params, pointer);
        let (namespace, name) = (of("/metadata/namespace"), of("/metadata/name"));
        format!("{policy}/{binding}/{namespace}/{name}")
    }
}

/// What went wrong so far, of policies that don't ignore that.
#[derive(Default)]
struct Failures(Vec<Failure>);

struct Failure {
    message: String,
    /// The reason of the answer, if it isn't that of admission.
    reason: Option<&'static str>,
}

impl Failures {
    fn misconfigured(&mut self, policy: &Policy, binding: Option<&Binding>, why: &str) {
        let what = if binding.is_some() {
            "binding"
        } else {
            "policy"
        };
        let why = format!("failed to configure {what}: {why}");
        self.add(policy, binding, &why, None);
    }

    fn add(
        &mut self,
        policy: &Policy,
        binding: Option<&Binding>,
        why: &str,
        reason: Option<&'static str>,
    ) {
        if policy.ignores_failures {
            return;
        }
        let name = &policy.name;
        let message = match binding {
            Some(binding) => format!(
                "policy '{name}' with binding '{}' denied request: {why}",
                binding.name
            ),
            None => format!("policy {name:?} denied request: {why}"),
        };
        self.0.push(Failure { message, reason });
    }

    fn decide(self, review: &Review<'_>, object: &Value) -> Result<(), Status> {
        let Some(first) = self.0.first() else {
            return Ok(());
        };
        let mut status = refusal::forbidden(review, Some(object), "");
        status.message = first.message.clone();
        if let Some(reason) = first.reason {
            status.reason = reason.to_owned();
        }
        for failure in self.0 {
            refusal::add_cause(&mut status, failure.message);
        }
        Err(status)
    }
}

impl Mutating {
    /// Changes an object, which comes as it is kept, by all policies that concern the request.
    ///
    /// # Errors
    /// What went wrong with the first policy that doesn't ignore that.
    pub async fn mutate(
        &self,
        objects: &dyn Objects,
        authorizer: &Arc<Authorizer>,
        host: &dyn Host,
        review: &Review<'_>,
        object: &mut Value,
        old: Option<&Value>,
    ) -> Result<(), Status> {
        if is_exempt_from_policies(review) {
            return Ok(());
        }
        let set = self.followed.get(objects);
        let mut failures = Failures::default();
        let mut invocations = Vec::new();
        for bound in set.candidates(review) {
            let found = find(bound, objects, host, review, object, old, &mut failures);
            invocations.extend(found.await);
        }
        let again = review.notes.is_second_round();
        if again {
            review.notes.policies.lock().begin_again(Some(object));
        }
        for invocation in &invocations {
            let common = &invocation.policy.common;
            let id = invocation.id();
            let before = object.clone();
            let mut first = true;
            for mutation in invocation.policy.mutations() {
                let shown = Shown {
                    new: Some(review.versions.show(object, &invocation.shown_as).await?),
                    old: match old {
                        Some(old) => Some(review.versions.show(old, &invocation.shown_as).await?),
                        None => None,
                    },
                };
                let changed = {
                    let shown_as = &invocation.shown_as;
                    let subject = Subject::of(review, objects, authorizer, shown_as, &shown)?;
                    let inputs = subject.inputs(&invocation.params);
                    if first {
                        match common.is_wanted(host, review.operation, &inputs) {
                            Ok(true) => {}
                            Ok(false) => break,
                            Err(why) => {
                                let binding = Some(invocation.binding);
                                failures.add(common, binding, &why, Some("Invalid"));
                                break;
                            }
                        }
                        if again && !review.notes.policies.lock().is_due(&id) {
                            break;
                        }
                        first = false;
                    }
                    let begun = Instant::now();
                    let changed = invocation.policy.change(mutation, &inputs, shown_as, host);
                    host.observe(&Check {
                        policy: &common.name,
                        binding: &invocation.binding.name,
                        error: changed
                            .as_ref()
                            .map_or_else(|w| ErrorType::of(w), |_| ErrorType::None),
                        enforcement: Enforcement::Mutate,
                        elapsed: begun.elapsed(),
                    });
                    changed
                };
                match changed {
                    Ok(None) => {}
                    Ok(Some(changed)) => {
                        let shown_as = &invocation.shown_as;
                        review.versions.take(changed, shown_as, object).await?;
                    }
                    Err(why) => {
                        let binding = Some(invocation.binding);
                        failures.add(common, binding, &why, Some("Invalid"));
                    }
                }
            }
            if first {
                continue;
            }
            let mut policies = review.notes.policies.lock();
            if before != *object {
                policies.changed();
                review.notes.changed();
                review.notes.mutate_again();
            }
            if invocation.policy.is_reinvoked {
                policies.asked(&id);
            }
        }
        if !invocations.is_empty() {
            review.notes.policies.lock().end(Some(object));
        }
        failures.decide(review, object)
    }
}

/// What a policy is to do to an object: once for each binding and each of its parameters.
async fn find<'s>(
    bound: &'s Bound<MutatingPolicy>,
    objects: &dyn Objects,
    host: &dyn Host,
    review: &Review<'_>,
    object: &Value,
    old: Option<&Value>,
    failures: &mut Failures,
) -> Vec<Invocation<'s>> {
    let Bound { policy, bindings } = bound;
    let common = &policy.common;
    let new = Some(object);
    let mut found = Vec::new();
    let shown_as = match common.constraints.matches(review, objects, new, old) {
        Ok(Some(shown_as)) => shown_as,
        Ok(None) => return found,
        Err(status) => {
            failures.misconfigured(common, None, &status.message);
            return found;
        }
    };
    if let Some(kind) = &common.param_kind
        && host.find(&kind.api_version, &kind.kind).is_none()
    {
        failures.misconfigured(common, None, &kind.unknown());
        return found;
    }
    for binding in bindings {
        let concerned = match &binding.resources {
            None => Ok(true),
            Some(resources) => resources
                .matches(review, objects, new, old)
                .map(|found| found.is_some()),
        };
        let params = match concerned {
            Ok(true) => {
                let namespace = review.namespace_of(new);
                params::collect(
                    common.param_kind.as_ref(),
                    binding,
                    namespace,
                    objects,
                    host,
                )
                .await
            }
            Ok(false) => continue,
            Err(status) => Err(status.message),
        };
        match params {
            Ok(params) => found.extend(params.into_iter().map(|params| Invocation {
                policy,
                binding,
                params,
                shown_as: shown_as.clone(),
            })),
            Err(why) => failures.misconfigured(common, Some(binding), &why),
        }
    }
    found
}
