//! What may go wrong when a webhook is asked, and what the client is told.

use super::CallError;
use hardway_proto::Status;

/// Why a request doesn't go on after a webhook was asked.
#[derive(Debug)]
pub(super) enum Failure {
    /// It could not be asked: its failure policy decides what that means.
    Calling(CallFailure),
    /// It says no.
    Rejected(Status),
    /// It can't be asked about this, or what it wants can't be done, whatever its policy.
    Refused(Status),
}

/// A webhook that could not be asked.
#[derive(Debug, thiserror::Error)]
#[error("failed calling webhook {webhook:?}: {reason}")]
pub(super) struct CallFailure {
    pub webhook: String,
    pub reason: String,
    /// The HTTP status that this counts as.
    pub code: u16,
}

impl CallFailure {
    pub fn because(webhook: &str, reason: impl Into<String>, code: u16) -> Failure {
        Failure::Calling(Self {
            webhook: webhook.to_owned(),
            reason: reason.into(),
            code,
        })
    }

    pub fn of(webhook: &str, error: &CallError) -> Failure {
        let code = match error {
            CallError::NoClient(_) => 500,
            CallError::Failed { code, .. } => *code,
        };
        Self::because(webhook, error.to_string(), code)
    }
}

impl Failure {
    /// The `error_type` and code of the metrics.
    pub fn observed(&self) -> (&'static str, u16) {
        match self {
            Self::Calling(failure) => ("calling_webhook_error", failure.code),
            Self::Rejected(status) => ("no_error", status.code),
            Self::Refused(_) => ("apiserver_internal_error", 0),
        }
    }

    /// What the client is told.
    pub fn into_status(self) -> Status {
        match self {
            Self::Calling(failure) => Status::internal(failure),
            Self::Rejected(status) | Self::Refused(status) => status,
        }
    }
}

/// A webhook with side effects, and a request that must have none.
pub(super) fn dry_run_unsupported(webhook: &str) -> Failure {
    Failure::Refused(Status::bad_request(format!(
        "admission webhook {webhook:?} does not support dry run"
    )))
}

/// The Status of a rejection, whatever the webhook made of it: a failure, of 400 at least.
pub(super) fn rejection(webhook: &str, result: Option<Status>) -> Status {
    let mut status = result.unwrap_or_default();
    status.kind = "Status".into();
    status.api_version = "v1".into();
    status.status = "Failure".into();
    status.code = status.code.max(400);
    let denied = format!("admission webhook {webhook:?} denied the request");
    status.message = match (status.message.as_str(), status.reason.as_str()) {
        ("", "") => format!("{denied} without explanation"),
        ("", why) | (why, _) => format!("{denied}: {why}"),
    };
    status
}
