//! ValidatingAdmissionWebhook: all webhooks at the same time; each may refuse.

use super::super::compiled::Compiled;
use super::super::matching::{REGISTRATION_GROUP, is_exempt};
use super::super::review::{AnnotationLevel, ResourceKind, Review};
use super::super::{Context, Stage};
use super::configuration::{Webhook, Webhooks, webhooks};
use super::{Phase, call};
use futures_util::future::{BoxFuture, join_all};
use hardway_proto::Status;
use serde_json::Value;
use std::sync::Arc;
use std::time::Instant;

/// The stage.
pub struct Validating {
    webhooks: Compiled<Vec<Arc<Webhook>>, Webhooks>,
}

impl Default for Validating {
    fn default() -> Self {
        Self {
            webhooks: Compiled::new(
                REGISTRATION_GROUP,
                "validatingwebhookconfigurations",
                webhooks,
                Webhooks::of,
            ),
        }
    }
}

impl Stage for Validating {
    fn validate<'a>(
        &'a self,
        cx: &'a Context,
        review: &'a Review<'a>,
        new: Option<&'a Value>,
        old: Option<&'a Value>,
    ) -> BoxFuture<'a, Result<(), Status>> {
        Box::pin(self.dispatch(cx, review, new, old))
    }
}

/// A request's objects in one version.
struct Shown<'r> {
    shown_as: &'r ResourceKind,
    new: Option<Value>,
    old: Option<Value>,
}

impl Validating {
    async fn dispatch(
        &self,
        cx: &Context,
        review: &Review<'_>,
        new: Option<&Value>,
        old: Option<&Value>,
    ) -> Result<(), Status> {
        let all = self.webhooks.current(&*cx.objects);
        if all.index.is_empty() || is_exempt(review) {
            return Ok(());
        }
        // Converted once for all who want a version.
        let mut shown: Vec<Shown<'_>> = Vec::new();
        let mut asked: Vec<(&Webhook, usize)> = Vec::new();
        for index in all.index.candidates(review) {
            let webhook = &*all.all[index];
            let Some(shown_as) = call::concerns(cx, webhook, review, new, old)? else {
                continue;
            };
            let known = shown.iter().position(|shown| shown.shown_as == shown_as);
            let at = match known {
                Some(at) => at,
                None => {
                    shown.push(show(review, shown_as, new, old).await?);
                    shown.len() - 1
                }
            };
            let of = &shown[at];
            let objects = (of.new.as_ref(), of.old.as_ref());
            let phase = Phase::Validating;
            let wanted = call::is_wanted(cx, webhook, phase, review, shown_as, objects);
            if wanted.map_err(|why| review.forbid(new.or(old), why))? {
                asked.push((webhook, at));
            }
        }
        if asked.is_empty() {
            return Ok(());
        }
        if review.time_left().is_zero() {
            return Err(Status::timeout(
                "Timeout: request canceled or context deadline exceeded",
            ));
        }
        let asking = asked
            .into_iter()
            .enumerate()
            .map(|(index, (webhook, at))| judge(cx, webhook, review, &shown[at], index));
        join_all(asking).await.into_iter().collect()
    }
}

async fn show<'r>(
    review: &Review<'_>,
    shown_as: &'r ResourceKind,
    new: Option<&Value>,
    old: Option<&Value>,
) -> Result<Shown<'r>, Status> {
    let versions = review.versions;
    let new = match new {
        Some(new) => Some(versions.show(new, shown_as).await?),
        None => None,
    };
    let old = match old {
        Some(old) => Some(versions.show(old, shown_as).await?),
        None => None,
    };
    Ok(Shown { shown_as, new, old })
}

async fn judge(
    cx: &Context,
    webhook: &Webhook,
    review: &Review<'_>,
    shown: &Shown<'_>,
    index: usize,
) -> Result<(), Status> {
    let begun = Instant::now();
    let phase = Phase::Validating;
    let objects = (shown.new.as_ref(), shown.old.as_ref());
    let outcome = call::ask(cx, webhook, phase, review, shown.shown_as, objects).await;
    let goes_on = call::observe(cx, webhook, phase, review, begun, &outcome);
    match outcome {
        Ok(_) => Ok(()),
        Err(_) if goes_on => {
            let key =
                format!("failed-open.validating.webhook.admission.k8s.io/round_0_index_{index}");
            let name = webhook.name.clone();
            review.notes.annotate(key, name, AnnotationLevel::Metadata);
            Ok(())
        }
        Err(failure) => Err(failure.into_status()),
    }
}
