//! ValidatingAdmissionPolicy: refuses, warns of or notes requests, as
//! `pkg/admission/plugin/policy/validating` of `k8s.io/apiserver` does.

mod judgement;
mod outcome;

use super::super::matching::is_exempt_from_policies;
use super::super::review::Review;
use super::followed::{Bound, Followed};
use super::host::Host;
use super::params;
use super::shown::Versions;
use super::subject::Subject;
use crate::{Authorizer, Objects};
use hardway_proto::Status;
use judgement::ValidatingPolicy;
use outcome::Outcome;
use serde_json::Value;
use std::sync::Arc;

/// All validating policies.
#[derive(Default)]
pub struct Validating {
    followed: Followed<ValidatingPolicy>,
}

impl Validating {
    /// Judges a request by all policies that concern it. Objects come as they are kept.
    ///
    /// # Errors
    /// The refusal of the first policy that refuses it.
    pub async fn validate(
        &self,
        objects: &dyn Objects,
        authorizer: &Arc<Authorizer>,
        host: &dyn Host,
        review: &Review<'_>,
        new: Option<&Value>,
        old: Option<&Value>,
    ) -> Result<(), Status> {
        if is_exempt_from_policies(review) {
            return Ok(());
        }
        let set = self.followed.get(objects);
        let (mut versions, mut outcome) = (Versions::default(), Outcome::default());
        for Bound { policy, bindings } in set.candidates(review) {
            let common = &policy.common;
            let shown_as = match common.constraints.matches(review, objects, new, old) {
                Ok(Some(shown_as)) => shown_as,
                Ok(None) => continue,
                Err(status) => {
                    outcome.misconfigured(common, None, &status.message);
                    continue;
                }
            };
            if let Some(kind) = &common.param_kind
                && host.find(&kind.api_version, &kind.kind).is_none()
            {
                outcome.misconfigured(common, None, &kind.unknown());
                continue;
            }
            let shown = match versions.show(review, shown_as, new, old).await {
                Ok(shown) => shown,
                Err(status) => {
                    let why = format!("failed to convert object version: {}", status.message);
                    outcome.misconfigured(common, None, &why);
                    continue;
                }
            };
            for binding in bindings {
                let concerned = match &binding.resources {
                    None => Ok(true),
                    Some(resources) => resources
                        .matches(review, objects, new, old)
                        .map(|found| found.is_some()),
                };
                match concerned {
                    Ok(true) => {}
                    Ok(false) => continue,
                    Err(status) => {
                        outcome.misconfigured(common, Some(binding), &status.message);
                        continue;
                    }
                }
                let namespace = review.namespace_of(new);
                let kind = common.param_kind.as_ref();
                let found = params::collect(kind, binding, namespace, objects, host).await;
                let params = match found {
                    Ok(params) => params,
                    Err(why) => {
                        outcome.misconfigured(common, Some(binding), &why);
                        continue;
                    }
                };
                if params.is_empty() {
                    continue;
                }
                let subject = Subject::of(review, objects, authorizer, shown_as, shown)?;
                for params in &params {
                    let inputs = subject.inputs(params);
                    let judgement = policy.judge(host, review.operation, &inputs);
                    outcome.add(review, host, common, binding, judgement);
                }
            }
            outcome.publish(review, common);
        }
        outcome.decide(review, new)
    }
}
