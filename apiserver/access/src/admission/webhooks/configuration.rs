//! Webhooks as their configurations describe them, ready to be held against requests.

use super::super::conditions::Conditions;
use super::super::matching::{Index, MatchResources};
use crate::objects::{items, strings};
use crate::text;
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::Value;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// Where a webhook is served, and who vouches for it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ClientConfig {
    /// `https://HOST/PATH`, if it isn't a Service.
    pub url: Option<String>,
    /// A Service.
    pub service: Option<ServiceReference>,
    /// PEM of the authorities that its certificate may be from; empty for the system's.
    pub ca_bundle: Vec<u8>,
}

/// A Service's port and a path there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ServiceReference {
    /// The Service's namespace.
    pub namespace: String,
    /// The Service.
    pub name: String,
    /// The path, which may be empty.
    pub path: String,
    /// One of its ports.
    pub port: i64,
}

impl ClientConfig {
    /// Reads it.
    pub fn of(config: &Value) -> Self {
        let service = config.get("service").filter(|service| service.is_object());
        Self {
            url: config["url"].as_str().map(str::to_owned),
            service: service.map(|service| ServiceReference {
                namespace: text(service, "/namespace").to_owned(),
                name: text(service, "/name").to_owned(),
                path: text(service, "/path").to_owned(),
                port: service["port"].as_i64().unwrap_or(443),
            }),
            ca_bundle: STANDARD
                .decode(text(config, "/caBundle"))
                .unwrap_or_default(),
        }
    }
}

/// The version of AdmissionReview that a webhook is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReviewVersion {
    V1,
    V1Beta1,
}

impl ReviewVersion {
    /// The first that a webhook takes.
    fn of(webhook: &Value) -> Option<Self> {
        strings(webhook, "/admissionReviewVersions").find_map(|version| match version {
            "v1" => Some(Self::V1),
            "v1beta1" => Some(Self::V1Beta1),
            _ => None,
        })
    }

    pub fn api_version(self) -> &'static str {
        match self {
            Self::V1 => "admission.k8s.io/v1",
            Self::V1Beta1 => "admission.k8s.io/v1beta1",
        }
    }
}

/// One webhook.
pub(super) struct Webhook {
    pub name: String,
    pub configuration: String,
    /// What tells it from others of its name.
    pub id: String,
    pub resources: MatchResources,
    pub conditions: Conditions,
    pub client: ClientConfig,
    /// Whether a request goes on if the webhook can't be asked.
    pub fails_open: bool,
    /// Whether it may be asked about a dry run.
    pub takes_dry_runs: bool,
    pub timeout: Duration,
    /// `None`: it takes none of those that there are.
    pub version: Option<ReviewVersion>,
    /// Whether it wants to see again what others have changed.
    pub reinvoked: bool,
}

/// The webhooks of one configuration.
pub(super) fn webhooks(configuration: &Value) -> Vec<Arc<Webhook>> {
    let name = text(configuration, "/metadata/name");
    let mut seen: HashMap<&str, usize> = HashMap::new();
    let each = items(configuration, "/webhooks").iter();
    each.filter_map(|webhook| {
        let named = seen.entry(text(webhook, "/name")).or_default();
        *named += 1;
        let read = Webhook::of(name, *named, webhook);
        // Not by the API: somebody else has written it.
        read.inspect_err(|error| {
            tracing::error!(configuration = name, %error, "a webhook has selectors that are none, and is not asked");
        })
        .ok()
        .map(Arc::new)
    })
    .collect()
}

impl Webhook {
    fn of(
        configuration: &str,
        number: usize,
        webhook: &Value,
    ) -> Result<Self, hardway_proto::labels::SelectorError> {
        let name = text(webhook, "/name");
        let fails_open = text(webhook, "/failurePolicy") == "Ignore";
        let seconds = webhook["timeoutSeconds"].as_u64().unwrap_or(10);
        Ok(Self {
            name: name.to_owned(),
            configuration: configuration.to_owned(),
            id: format!("{configuration}/{name}/{number}"),
            resources: MatchResources::of_webhook(webhook)?,
            conditions: Conditions::of(&webhook["matchConditions"], fails_open),
            client: ClientConfig::of(&webhook["clientConfig"]),
            fails_open,
            takes_dry_runs: matches!(text(webhook, "/sideEffects"), "None" | "NoneOnDryRun"),
            timeout: Duration::from_secs(seconds),
            version: ReviewVersion::of(webhook),
            reinvoked: text(webhook, "/reinvocationPolicy") == "IfNeeded",
        })
    }
}

/// All webhooks of a phase, by their configurations' names and their order in these.
#[derive(Default)]
pub(super) struct Webhooks {
    pub all: Vec<Arc<Webhook>>,
    pub index: Index,
}

impl Webhooks {
    pub fn of(configurations: &[Arc<Vec<Arc<Webhook>>>]) -> Self {
        let all: Vec<Arc<Webhook>> = configurations
            .iter()
            .flat_map(|webhooks| webhooks.iter().cloned())
            .collect();
        let index = Index::of(all.iter().map(|webhook| &webhook.resources));
        Self { all, index }
    }
}
