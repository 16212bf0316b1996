//! Why a request got no answer.

use super::server::Server;
use hardway_proto::Status;
use std::sync::Arc;

/// Why a request got no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No server takes connections. Nothing was sent.
    #[error("{0}")]
    Unreachable(Arc<str>),
    /// The connection broke before the answer came.
    #[error("the connection to {server} is lost: {source}")]
    Lost {
        /// To which server.
        server: Server,
        /// What HTTP says of it.
        source: hyper::Error,
    },
    /// The same, of a channel that was made elsewhere.
    #[error(transparent)]
    Channel(#[from] tonic::transport::Error),
}

impl Error {
    /// Whether the server has not looked at the request: it was not sent any more, or it came
    /// after the last of which the server said, with its goodbye, that it sees to it (RFC 9113,
    /// 6.8).
    pub fn was_not_taken(&self) -> bool {
        let first: &dyn std::error::Error = self;
        std::iter::successors(Some(first), |e| e.source()).any(|cause| {
            if let Some(cause) = cause.downcast_ref::<hyper::Error>() {
                return cause.is_canceled();
            }
            let cause = cause.downcast_ref::<h2::Error>();
            cause.is_some_and(|cause| {
                let is_goodbye = cause.is_go_away() && cause.is_remote();
                is_goodbye && cause.reason() == Some(h2::Reason::NO_ERROR)
            })
        })
    }

    /// Whether the request may have been sent, and its answer lost.
    pub fn was_lost(&self) -> bool {
        matches!(self, Self::Lost { .. })
    }

    /// How who asked is told; `is_repeatable` if it makes no difference how often it is asked.
    pub fn to_status(&self, is_repeatable: bool) -> Status {
        match self {
            Self::Lost { .. } if !is_repeatable && !self.was_not_taken() => {
                Status::outcome_unknown(self)
            }
            Self::Channel(_) => {
                let first: &dyn std::error::Error = self;
                let last = std::iter::successors(Some(first), |e| e.source()).last();
                Status::unavailable(last.unwrap_or(first).to_string())
            }
            _ => Status::unavailable(self.to_string()),
        }
    }
}
