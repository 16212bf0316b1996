//! What can become of a request that is not answered as hoped.

use std::time::Duration;

use http::StatusCode;
use serde::Deserialize;

use super::Call;

/// Why a request has no good answer.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// There is no connection: nothing was sent.
    #[error("no connection to {url}: {why}")]
    Unreachable {
        /// The server's address.
        url: String,
        /// What happened.
        why: String,
    },
    /// It was sent and has no whole answer; it may have been done.
    #[error("{call}: {why}")]
    Broken {
        /// Method and path.
        call: String,
        /// What happened.
        why: String,
    },
    /// The server said no.
    #[error("{call}: {code} {reason}: {message}")]
    Refused {
        /// Method and path.
        call: String,
        /// The code.
        code: u16,
        /// Kubernetes' word for it, such as `AlreadyExists`.
        reason: String,
        /// What it says.
        message: String,
    },
    /// What was answered is not what it should be.
    #[error("an answer can't be read: {why}")]
    Unreadable {
        /// What is wrong with it.
        why: String,
    },
}

impl ApiError {
    /// The code, where there is an answer.
    pub fn code(&self) -> Option<u16> {
        match self {
            Self::Refused { code, .. } => Some(*code),
            _ => None,
        }
    }

    /// Whether it is certain that nothing was done.
    pub fn is_not_done(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            // A server that ran out of time, or broke, may have done it.
            Self::Refused { code, .. } => !matches!(code, 500 | 504),
            Self::Broken { .. } | Self::Unreadable { .. } => false,
        }
    }

    /// The sort of failure, by which they are counted.
    pub fn sort(&self) -> String {
        match self {
            Self::Unreachable { .. } => "no connection".to_owned(),
            Self::Broken { .. } => "no answer".to_owned(),
            Self::Refused { code, reason, .. } => format!("{code} {reason}"),
            Self::Unreadable { .. } => "unreadable answer".to_owned(),
        }
    }

    /// What the user can do about it.
    pub fn way_out(&self) -> String {
        match self {
            Self::Unreachable { .. } => {
                "see whether the API server answers:  kubectl get --raw /readyz".to_owned()
            }
            Self::Refused {
                code: 401 | 403, ..
            } => "the load needs the rights of cluster-admin:  --against FILE --context NAME"
                .to_owned(),
            Self::Refused { code: 429, .. } => {
                "the server is busy: ask for less (--concurrency, --rate), or wait".to_owned()
            }
            Self::Broken { .. } | Self::Refused { .. } | Self::Unreadable { .. } => {
                "the API server's log says more; one workload alone:  --only NAME".to_owned()
            }
        }
    }

    pub(super) fn late(call: &Call, patience: Duration) -> Self {
        Self::Broken {
            call: call.to_string(),
            why: format!("no answer within {} s", patience.as_secs()),
        }
    }

    pub(super) fn refused(call: &Call, status: StatusCode, body: &[u8]) -> Self {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Status {
            reason: String,
            message: String,
        }
        let said: Status = serde_json::from_slice(body).unwrap_or_default();
        let or = |text: String, other: &str| match text.is_empty() {
            true => other.to_owned(),
            false => text,
        };
        let text = String::from_utf8_lossy(&body[..body.len().min(300)]);
        Self::Refused {
            call: call.to_string(),
            code: status.as_u16(),
            reason: or(said.reason, status.canonical_reason().unwrap_or_default()),
            message: or(said.message, text.trim()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_says_why() {
        let call = Call::get("/api/v1/namespaces/a");
        let body =
            br#"{"kind":"Status","reason":"NotFound","message":"namespaces \"a\" not found"}"#;
        let error = ApiError::refused(&call, StatusCode::NOT_FOUND, body);
        assert_eq!(
            error.to_string(),
            r#"GET /api/v1/namespaces/a: 404 NotFound: namespaces "a" not found"#
        );
        assert_eq!(
            (error.sort().as_str(), error.code()),
            ("404 NotFound", Some(404))
        );
        let plain = ApiError::refused(&call, StatusCode::TOO_MANY_REQUESTS, b"slow down\n");
        assert_eq!(
            plain.to_string(),
            "GET /api/v1/namespaces/a: 429 Too Many Requests: slow down"
        );
    }

    #[test]
    fn what_may_have_been_done_is_not_said_to_be_undone() {
        let call = Call::get("/");
        let refused = |code| ApiError::refused(&call, StatusCode::from_u16(code).unwrap(), b"");
        for code in [400, 404, 409, 429, 503] {
            assert!(refused(code).is_not_done(), "{code}");
        }
        assert!(!refused(500).is_not_done() && !refused(504).is_not_done());
        assert!(!ApiError::late(&call, Duration::from_secs(1)).is_not_done());
    }
}
