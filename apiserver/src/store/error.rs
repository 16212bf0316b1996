//! Why etcd did not do what it was asked, and how a client is told.

use super::{ROOT, Stored, TIMEOUT};
use etcd_client::Error;
use hardway_client::channel;
use hardway_proto::Status;

/// What etcd says where there is no quorum (`ErrGRPCNoLeader` of go.etcd.io/etcd).
const NO_LEADER: &str = "etcdserver: no leader";

/// Why a request to etcd failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The comparison failed: the key isn't at the expected revision.
    #[error("the object changed meanwhile")]
    Changed(Option<Stored>),
    /// Another object holds these keys.
    #[error("already claimed: {0:?}")]
    Claimed(Vec<String>),
    /// Another write has had its turn.
    #[error("another write came first; try again")]
    OutOfTurn,
    /// The revision asked for has been compacted.
    #[error("revision {0} has been compacted")]
    Compacted(i64),
    /// The revision asked for is in the future.
    #[error("revision {0} is in the future")]
    Future(i64),
    /// The value is larger than etcd takes.
    #[error("etcd refuses the object: {0}")]
    TooLarge(String),
    /// The stored bytes can't be decrypted.
    #[error("unable to transform key \"{ROOT}{key}\": {reason}")]
    Unreadable {
        /// The key, below [`ROOT`].
        key: String,
        /// Why not.
        reason: String,
    },
    /// The stored bytes are no object.
    #[error("unable to decode key \"{ROOT}{key}\": {reason}; write or delete it in etcd")]
    Malformed {
        /// The key, below [`ROOT`].
        key: String,
        /// Why not.
        reason: String,
    },
    /// The value can't be encrypted.
    #[error("unable to encrypt key \"{ROOT}{key}\": {reason}")]
    Unwritable {
        /// The key, below [`ROOT`].
        key: String,
        /// Why not.
        reason: String,
    },
    /// etcd didn't answer in time. Nothing was written.
    #[error("etcd did not answer within {} s", TIMEOUT.as_secs())]
    Timeout,
    /// etcd didn't answer a write, nor afterwards whether it was done.
    #[error("etcdserver: request timed out: writing \"{ROOT}{key}\"")]
    Unknown {
        /// The key, below [`ROOT`].
        key: String,
    },
    /// etcd can't be reached, or has no leader: it was not asked to do anything.
    #[error("etcd is not available: {0}")]
    NotBegun(String),
    /// There is too little space for it. The words are etcd's (`ErrGRPCNoSpace`), which other
    /// programs look for.
    #[error(
        "etcdserver: mvcc: database space exceeded ({0}): only what makes room is written; delete what is not needed, or see: hardway etcd recover-space"
    )]
    NoSpace(String),
    /// etcd is there and does not do it.
    #[error("{0}")]
    Refused(String),
    /// etcd can't be reached or refuses to work.
    #[error("etcd is not available: {0}")]
    Unavailable(String),
}

impl From<StoreError> for Status {
    fn from(error: StoreError) -> Self {
        let message = error.to_string();
        match error {
            StoreError::Timeout => Status::timeout(format!(
                "{message}; the request may be repeated once etcd is back"
            )),
            StoreError::Unknown { .. } => Status::outcome_unknown(message),
            StoreError::Refused(_) => Status::failure(500, "", message),
            // Kubernetes has 500 for it, as for what it can't explain. By itself nobody repeats
            // either before long.
            StoreError::NoSpace(_) => Status::failure(507, "InsufficientStorage", message),
            // Without Retry-After, as in Kubernetes: it was tried again for some seconds here, and
            // kubectl would try ten times more before it says why.
            StoreError::Unavailable(_) | StoreError::NotBegun(_) => Status::unavailable(message),
            StoreError::TooLarge(_) => Status::too_large(message),
            StoreError::Unreadable { .. }
            | StoreError::Malformed { .. }
            | StoreError::Unwritable { .. } => Status::internal(message),
            StoreError::Compacted(revision) => Status::expired(format!(
                "The resourceVersion for the provided list is too old: {revision}"
            )),
            StoreError::Future(revision) => too_large_resource_version(revision, None),
            StoreError::Changed(_) | StoreError::Claimed(_) | StoreError::OutOfTurn => {
                Status::failure(409, "Conflict", message)
            }
        }
    }
}

/// 504 as Kubernetes words it when a resource version lies in the future.
pub fn too_large_resource_version(revision: i64, current: Option<i64>) -> Status {
    let current = current.map_or_else(String::new, |at| format!(", current: {at}"));
    let mut status = Status::timeout(format!("Too large resource version: {revision}{current}"));
    let details = status.details.get_or_insert_with(Default::default);
    details.retry_after_seconds = 1;
    details.causes.push(hardway_proto::status::Cause {
        reason: "ResourceVersionTooLarge".into(),
        message: "Too large resource version".into(),
        field: String::new(),
    });
    status
}

/// What an error of the connection or of etcd means.
pub(super) fn classify(error: &Error) -> StoreError {
    let text = describe(error);
    if text.contains("required revision has been compacted") {
        StoreError::Compacted(0)
    } else if text.contains("future revision") {
        StoreError::Future(0)
    } else if text.contains("request is too large") {
        StoreError::TooLarge(text)
    } else if text.contains("request timed out") || text.contains("Timeout expired") {
        StoreError::Timeout
    } else if was_not_begun(error, &text) {
        StoreError::NotBegun(text)
    } else if text.contains("database space exceeded") {
        StoreError::NoSpace("etcd has raised its alarm NOSPACE".to_owned())
    } else if is_refusal(error) {
        StoreError::Refused(text)
    } else {
        StoreError::Unavailable(text)
    }
}

/// Whether a request was not sent, or turned away before etcd looked at it: who asks for a leader
/// is told in the beginning that there is none.
fn was_not_begun(error: &Error, text: &str) -> bool {
    let Error::GRpcStatus(status) = error else {
        return false;
    };
    let first: &dyn std::error::Error = status;
    let mut causes = std::iter::successors(Some(first), |error| error.source());
    let was_not_sent = causes.any(|cause| {
        let cause = cause.downcast_ref::<channel::Error>();
        cause.is_some_and(|cause| {
            matches!(cause, channel::Error::Unreachable(_)) || cause.was_not_taken()
        })
    });
    was_not_sent || text == NO_LEADER
}

/// Whether etcd has understood a request and declines it: it is full, busy,
/// or may not be asked.
fn is_refusal(error: &Error) -> bool {
    use tonic::Code;
    matches!(error, Error::GRpcStatus(status) if matches!(
        status.code(),
        Code::ResourceExhausted
            | Code::InvalidArgument
            | Code::FailedPrecondition
            | Code::PermissionDenied
            | Code::Unauthenticated
    ))
}

/// The innermost message: tonic says only "transport error" at the top.
pub(super) fn describe(error: &Error) -> String {
    if let Error::GRpcStatus(status) = error {
        let mut text = status.message().to_owned();
        let mut source = std::error::Error::source(status);
        while let Some(inner) = source {
            text = inner.to_string();
            source = inner.source();
        }
        return text;
    }
    error.to_string()
}
