//! MutatingAdmissionWebhook: one webhook after the other, each sees what those before it have
//! changed.

use super::super::compiled::Compiled;
use super::super::matching::{REGISTRATION_GROUP, is_exempt};
use super::super::review::{AnnotationLevel, ResourceKind, Review};
use super::super::{Context, Stage, Written};
use super::configuration::{Webhook, Webhooks, webhooks};
use super::failure::{CallFailure, Failure};
use super::response::Response;
use super::{Phase, call};
use futures_util::future::BoxFuture;
use hardway_proto::Status;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::time::Instant;

/// The stage.
pub struct Mutating {
    webhooks: Compiled<Vec<Arc<Webhook>>, Webhooks>,
}

impl Default for Mutating {
    fn default() -> Self {
        Self {
            webhooks: Compiled::new(
                REGISTRATION_GROUP,
                "mutatingwebhookconfigurations",
                webhooks,
                Webhooks::of,
            ),
        }
    }
}

impl Stage for Mutating {
    fn mutate<'a>(
        &'a self,
        cx: &'a Context,
        review: &'a Review<'a>,
        written: Written<'a>,
    ) -> BoxFuture<'a, Result<(), Status>> {
        Box::pin(self.dispatch(cx, review, written))
    }
}

/// Where an annotation belongs: the round, and the webhook's place among all.
#[derive(Clone, Copy)]
struct Place {
    round: usize,
    index: usize,
}

impl Place {
    fn key(self, prefix: &str) -> String {
        let Self { round, index } = self;
        format!("{prefix}webhook.admission.k8s.io/round_{round}_index_{index}")
    }
}

/// A request's objects in the version that they were shown in last.
struct Shown<'a> {
    review: &'a Review<'a>,
    old: Option<&'a Value>,
    last: Option<(ResourceKind, Option<Value>, Option<Value>)>,
}

impl<'a> Shown<'a> {
    async fn show(&mut self, shown_as: &ResourceKind, new: Option<&Value>) -> Result<(), Status> {
        if matches!(&self.last, Some((last, ..)) if last == shown_as) {
            return Ok(());
        }
        let versions = self.review.versions;
        let new = match new {
            Some(new) => Some(versions.show(new, shown_as).await?),
            None => None,
        };
        let old = match self.old {
            Some(old) => Some(versions.show(old, shown_as).await?),
            None => None,
        };
        self.last = Some((shown_as.clone(), new, old));
        Ok(())
    }

    fn objects(&self) -> (Option<&Value>, Option<&Value>) {
        let last = self.last.as_ref();
        last.map_or((None, None), |(_, new, old)| (new.as_ref(), old.as_ref()))
    }

    /// What was shown has changed.
    fn forget(&mut self) {
        self.last = None;
    }
}

impl Mutating {
    async fn dispatch(
        &self,
        cx: &Context,
        review: &Review<'_>,
        written: Written<'_>,
    ) -> Result<(), Status> {
        let all = self.webhooks.current(&*cx.objects);
        if all.index.is_empty() || is_exempt(review) {
            return Ok(());
        }
        let candidates = all.index.candidates(review);
        if candidates.is_empty() {
            return Ok(());
        }
        let Written { mut new, old } = written;
        let is_second = review.notes.is_second_round();
        let again = &review.notes.webhooks;
        if is_second {
            again.lock().begin_again(new.as_deref());
        }
        let mut shown = Shown {
            review,
            old,
            last: None,
        };
        for index in candidates {
            let webhook = &*all.all[index];
            let Some(shown_as) = call::concerns(cx, webhook, review, new.as_deref(), old)? else {
                continue;
            };
            if !webhook.conditions.is_empty() {
                shown.show(shown_as, new.as_deref()).await?;
                let objects = shown.objects();
                let phase = Phase::Mutating;
                let wanted = call::is_wanted(cx, webhook, phase, review, shown_as, objects);
                if !wanted.map_err(|why| review.forbid(objects.0, why))? {
                    continue;
                }
            }
            if is_second && !again.lock().is_due(&webhook.id) {
                continue;
            }
            let place = Place {
                round: usize::from(is_second),
                index,
            };
            let begun = Instant::now();
            shown.show(shown_as, new.as_deref()).await?;
            let outcome = change(
                cx,
                webhook,
                review,
                shown_as,
                &mut shown,
                new.as_deref_mut(),
                place,
            )
            .await;
            let mutated = matches!(outcome, Ok(true));
            let value = json!({"configuration": webhook.configuration, "webhook": webhook.name,
                "mutated": mutated});
            let key = place.key("mutation.");
            review
                .notes
                .annotate(key, value.to_string(), AnnotationLevel::Metadata);
            let goes_on = call::observe(cx, webhook, Phase::Mutating, review, begun, &outcome);
            if mutated {
                again.lock().changed();
                review.notes.mutate_again();
            }
            if webhook.reinvoked {
                again.lock().asked(&webhook.id);
            }
            match outcome {
                Ok(_) => {}
                Err(_) if goes_on => {
                    let key = place.key("failed-open.mutation.");
                    let name = webhook.name.clone();
                    review.notes.annotate(key, name, AnnotationLevel::Metadata);
                    if review.time_left().is_zero() {
                        return Err(Status::timeout(
                            "Timeout: request did not complete within requested timeout",
                        ));
                    }
                }
                Err(failure) => return Err(failure.into_status()),
            }
        }
        again.lock().end(new.as_deref());
        Ok(())
    }
}

/// Asks a webhook and does what it wants. Whether the object has changed.
async fn change(
    cx: &Context,
    webhook: &Webhook,
    review: &Review<'_>,
    shown_as: &ResourceKind,
    shown: &mut Shown<'_>,
    kept: Option<&mut Value>,
    place: Place,
) -> Result<bool, Failure> {
    let (new, old) = shown.objects();
    let phase = Phase::Mutating;
    let response = call::ask(cx, webhook, phase, review, shown_as, (new, old)).await?;
    let Response {
        patch, patch_type, ..
    } = response;
    if patch.is_empty() {
        return Ok(false);
    }
    let name = &webhook.name;
    let operations: Vec<Map<String, Value>> = serde_json::from_slice(&patch).map_err(|error| {
        let why = format!("received undecodable patch in webhook response: {error}");
        CallFailure::because(name, why, 503)
    })?;
    if operations.is_empty() {
        return Ok(false);
    }
    let (Some(new), Some(kept)) = (new, kept) else {
        return Err(Failure::Refused(Status::internal(format!(
            "admission webhook {name:?} attempted to modify the object, which is not supported for this operation"
        ))));
    };
    if patch_type != "JSONPatch" {
        let why = format!("unsupported patch type {patch_type:?}");
        return Err(CallFailure::because(name, why, 400));
    }
    let patched = review.versions.patch(new, &patch);
    let patched = patched.map_err(|why| Failure::Refused(Status::internal(why)))?;
    let changed = patched != *new;
    let value = json!({"configuration": webhook.configuration, "webhook": name,
        "patch": operations, "patchType": patch_type});
    let key = place.key("patch.");
    review
        .notes
        .annotate(key, value.to_string(), AnnotationLevel::Request);
    let taken = review.versions.take(patched, shown_as, kept).await;
    taken.map_err(Failure::Refused)?;
    review.notes.changed();
    shown.forget();
    Ok(changed)
}
