//! Who converts a definition's objects, where it doesn't do to change their `apiVersion`.

use crate::rules::json::{get, list, text};
use serde_json::Value;

/// The webhook that a definition names in `spec.conversion`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConversionWebhook {
    /// Name of the definition.
    pub definition: String,
    /// Changes with the definition, so that what was converted by another one is not taken
    /// for its work: UID and generation.
    pub revision: String,
    /// Where it is: `url` or `service`, and `caBundle`.
    pub client_config: Value,
    /// The versions of ConversionReview that it knows, the one it likes best first.
    pub review_versions: Vec<String>,
}

impl ConversionWebhook {
    /// That of a definition, if it has one.
    pub(super) fn of(definition: &Value) -> Option<Self> {
        let conversion = get(get(definition, "spec"), "conversion");
        let webhook = get(conversion, "webhook");
        let versions = list(webhook, "conversionReviewVersions").iter();
        let metadata = get(definition, "metadata");
        (text(conversion, "strategy") == "Webhook").then(|| Self {
            definition: text(metadata, "name").to_owned(),
            revision: format!("{}/{}", text(metadata, "uid"), get(metadata, "generation")),
            client_config: get(webhook, "clientConfig").clone(),
            review_versions: versions
                .filter_map(|version| version.as_str().map(str::to_owned))
                .collect(),
        })
    }
}
