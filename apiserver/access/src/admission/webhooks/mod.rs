//! The webhooks of MutatingWebhookConfigurations and ValidatingWebhookConfigurations: who is
//! asked about a request, what, and what comes of the answer. How a server is reached is the
//! business of a [`WebhookCaller`].

mod call;
mod configuration;
mod failure;
mod mutating;
mod request;
mod response;
#[cfg(test)]
mod tests;
mod validating;

pub use configuration::{ClientConfig, ServiceReference};
pub use mutating::Mutating;
pub use validating::Validating;

use super::conditions::Evaluated;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use serde_json::Value;
use std::time::Duration;

/// Why a webhook's server gave no answer that can be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// Nobody could be asked with what the client configuration says.
    #[error("could not get REST client: {0}")]
    NoClient(String),
    /// The server could not be reached or took too long, said that it failed, or something
    /// that is no answer.
    #[error("failed to call webhook: {message}")]
    Failed {
        /// What happened.
        message: String,
        /// The HTTP status that this counts as.
        code: u16,
    },
}

/// Which phase a webhook belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Mutating.
    Mutating,
    /// Validating.
    Validating,
}

impl Phase {
    /// As metrics name it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mutating => "admit",
            Self::Validating => "validating",
        }
    }
}

/// What became of one webhook and one request, for the metrics.
#[derive(Clone, Copy, Debug)]
pub struct Observation<'a> {
    /// The webhook.
    pub name: &'a str,
    /// Its phase.
    pub phase: Phase,
    /// What was being done.
    pub operation: &'static str,
    /// How long it took.
    pub took: Duration,
    /// The HTTP status of the answer; 0 where none of the webhook's had to do with it.
    pub code: u16,
    /// Whether the request was refused for it, and the `error_type` of that: `no_error`,
    /// `calling_webhook_error` or `apiserver_internal_error`.
    pub rejected: Option<&'static str>,
    /// Whether the request went on although the webhook could not be asked.
    pub failed_open: bool,
}

/// What became of the match conditions of one webhook and one request, for the metrics.
#[derive(Clone, Copy, Debug)]
pub struct ConditionsObservation<'a> {
    /// The webhook.
    pub name: &'a str,
    /// Its phase.
    pub phase: Phase,
    /// What was being done.
    pub operation: &'static str,
    /// What became of them.
    pub evaluated: Evaluated,
}

/// Who reaches webhooks' servers.
pub trait WebhookCaller: Send + Sync {
    /// Posts a review to a server, and gives back the JSON that it answered.
    fn call<'a>(
        &'a self,
        client: &'a ClientConfig,
        review: Bytes,
        timeout: Duration,
    ) -> BoxFuture<'a, Result<Value, CallError>>;

    /// Counts what became of it.
    fn observe(&self, observation: &Observation<'_>);

    /// Counts what became of a webhook's match conditions; nobody has to.
    fn observe_conditions(&self, _: &ConditionsObservation<'_>) {}
}
