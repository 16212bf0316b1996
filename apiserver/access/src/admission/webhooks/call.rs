//! Asking one webhook about one request.

use super::super::Context;
use super::super::review::{AnnotationLevel, ResourceKind, Review};
use super::configuration::Webhook;
use super::failure::{CallFailure, Failure, dry_run_unsupported, rejection};
use super::response::{self, Response};
use super::{ConditionsObservation, Observation, Phase, request};
use serde_json::Value;
use std::time::Instant;

/// Whether a webhook is concerned, and as which version of the resource.
///
/// # Errors
/// If that can't be told: the request is refused.
pub(super) fn concerns<'r>(
    cx: &Context,
    webhook: &Webhook,
    review: &'r Review<'_>,
    new: Option<&Value>,
    old: Option<&Value>,
) -> Result<Option<&'r ResourceKind>, hardway_proto::Status> {
    let objects = &*cx.objects;
    webhook.resources.matches(review, objects, new, old)
}

/// Whether a webhook's match conditions hold of a request's objects, which are shown in the
/// version that it wants.
///
/// # Errors
/// Why they can't be evaluated, if that is to refuse the request.
pub(super) fn is_wanted(
    cx: &Context,
    webhook: &Webhook,
    phase: Phase,
    review: &Review<'_>,
    shown_as: &ResourceKind,
    (new, old): (Option<&Value>, Option<&Value>),
) -> Result<bool, String> {
    let conditions = &webhook.conditions;
    conditions.hold(cx, review, shown_as, new, old, |evaluated| {
        cx.webhooks.observe_conditions(&ConditionsObservation {
            name: &webhook.name,
            phase,
            operation: review.operation.as_str(),
            evaluated,
        });
    })
}

/// Sends the review, and reads the answer of a webhook that allows the request.
///
/// # Errors
/// Whatever else happens.
pub(super) async fn ask(
    cx: &Context,
    webhook: &Webhook,
    phase: Phase,
    review: &Review<'_>,
    shown_as: &ResourceKind,
    (new, old): (Option<&Value>, Option<&Value>),
) -> Result<Response, Failure> {
    let name = &webhook.name;
    if review.dry_run && !webhook.takes_dry_runs {
        return Err(dry_run_unsupported(name));
    }
    let uid = crate::tokens::uuid().map_err(Failure::Refused)?;
    let Some(version) = webhook.version else {
        let why = "could not create admission objects: webhook does not accept known AdmissionReview versions (v1, v1beta1)";
        return Err(CallFailure::because(name, why, 400));
    };
    let body = request::encode(review, version, &uid, shown_as, new, old);
    let timeout = webhook.timeout.min(review.time_left());
    let answer = cx.webhooks.call(&webhook.client, body, timeout).await;
    let answer = answer.map_err(|error| CallFailure::of(name, &error))?;
    let response = response::read(&answer, version, phase, &uid).map_err(|why| {
        CallFailure::because(
            name,
            format!("received invalid webhook response: {why}"),
            503,
        )
    })?;
    for (key, value) in &response.annotations {
        let key = format!("{name}/{key}");
        review
            .notes
            .annotate(key, value.clone(), AnnotationLevel::Metadata);
    }
    for warning in &response.warnings {
        review.notes.warn(warning.as_str());
    }
    match response.allowed {
        true => Ok(response),
        false => Err(Failure::Rejected(rejection(name, response.result))),
    }
}

/// Counts what came of it. Whether the request goes on all the same.
pub(super) fn observe<T>(
    cx: &Context,
    webhook: &Webhook,
    phase: Phase,
    review: &Review<'_>,
    begun: Instant,
    outcome: &Result<T, Failure>,
) -> bool {
    let failed_open = matches!(outcome, Err(Failure::Calling(_))) && webhook.fails_open;
    let (rejected, code) = match outcome {
        Ok(_) => (None, 200),
        Err(failure) => {
            let (kind, code) = failure.observed();
            ((!failed_open).then_some(kind), code)
        }
    };
    if let Err(failure) = outcome {
        let webhook = &webhook.name;
        match failure {
            Failure::Calling(error) => {
                tracing::warn!(webhook, %error, failed_open, "a webhook could not be called");
            }
            Failure::Rejected(status) | Failure::Refused(status) => {
                tracing::debug!(webhook, %status, "rejected by a webhook");
            }
        }
    }
    cx.webhooks.observe(&Observation {
        name: &webhook.name,
        phase,
        operation: review.operation.as_str(),
        took: begun.elapsed(),
        code,
        rejected,
        failed_open,
    });
    failed_open
}
