//! How objects get from one version to another.

use super::lenience::Lenience;
use super::one_of_two;
use crate::rules::client_config;
use crate::rules::field::{Errors, Path};
use crate::rules::json::{get, has, list, text};
use hardway_proto::names;
use serde_json::Value;
use std::collections::BTreeSet;

/// The versions of ConversionReview there are.
const REVIEWS: [&str; 2] = ["v1", "v1beta1"];

/// Whether one of the review versions is known.
pub(super) fn knows_review(conversion: &Value) -> bool {
    let versions = list(get(conversion, "webhook"), "conversionReviewVersions");
    let known = |v: &Value| v.as_str().is_some_and(|v| REVIEWS.contains(&v));
    versions.iter().any(known)
}

/// `spec.conversion`. Its fields are told where the internal version has them.
pub(super) fn check(e: &mut Errors, path: &Path, conversion: &Value, lenience: &Lenience) {
    let (strategy, webhook) = (text(conversion, "strategy"), get(conversion, "webhook"));
    one_of_two(e, &path.child("strategy"), strategy, &["None", "Webhook"]);
    let (client_at, reviews_at) = (
        path.child("webhookClientConfig"),
        path.child("conversionReviewVersions"),
    );
    let reviews = list(webhook, "conversionReviewVersions");
    if strategy != "Webhook" {
        let detail = "should not be set when strategy is not set to Webhook";
        if has(webhook, "clientConfig") {
            e.forbidden(&client_at, detail);
        }
        if !reviews.is_empty() {
            e.forbidden(&reviews_at, detail);
        }
        return;
    }
    match has(webhook, "clientConfig") {
        true => client_config::check(e, &client_at, get(webhook, "clientConfig")),
        false => e.required(&client_at, "required when strategy is set to Webhook"),
    }
    if reviews.is_empty() {
        return e.required(&reviews_at, "");
    }
    let mut seen = BTreeSet::new();
    for (i, version) in reviews.iter().enumerate() {
        let (at, version) = (reviews_at.index(i), version.as_str().unwrap_or_default());
        match seen.insert(version) {
            true => e.each(&at, version, names::is_dns1035_label(version)),
            false => e.invalid(&at, version, "duplicate version"),
        }
    }
    if !lenience.reviews && !knows_review(conversion) {
        let detail = format!("must include at least one of {}", REVIEWS.join(", "));
        e.invalid(
            &reviews_at,
            get(webhook, "conversionReviewVersions"),
            &detail,
        );
    }
}
