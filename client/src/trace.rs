//! One name for all that is done for one reason: a reconcile, a pod. It is in the
//! spans of the log, and the audit ID of every call that is made meanwhile begins
//! with it. So one `grep` finds what a component did and what the apiserver did for
//! it, in the logs of both and in the audit log.

use std::cell::Cell;
use std::collections::hash_map::RandomState;
use std::future::Future;
use std::hash::BuildHasher;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::task::futures::TaskLocalFuture;
use tonic::Request;
use tonic::metadata::AsciiMetadataValue;

/// The header, and key of gRPC metadata, that carries an audit ID, as in Kubernetes.
pub const AUDIT_ID: &str = "audit-id";

tokio::task_local! {
    static WORK: Work;
}

/// Work that is done under a name.
pub struct Work {
    name: String,
    /// Calls that were made for it.
    calls: Cell<u32>,
}

/// A name that nothing else has: 16 hexadecimal digits.
pub fn id() -> String {
    static SEED: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("{:016x}", SEED.hash_one(count))
}

/// Does work under a name. What it spawns is not done under it.
pub fn scope<F: Future>(id: String, work: F) -> TaskLocalFuture<Work, F> {
    let under = Work {
        name: id,
        calls: Cell::new(0),
    };
    WORK.scope(under, work)
}

/// The name that work is done under now, if it is.
pub fn current() -> Option<String> {
    WORK.try_with(|work| work.name.clone()).ok()
}

/// How many calls were made up to now for the work that is done under a name now.
pub fn calls() -> u32 {
    WORK.try_with(|work| work.calls.get()).unwrap_or_default()
}

/// An audit ID for one call: the name it is made under, and one of its own.
pub fn audit_id() -> String {
    let own = id();
    let under = WORK.try_with(|work| {
        work.calls.set(work.calls.get().saturating_add(1));
        format!("{}.{own}", work.name)
    });
    under.unwrap_or(own)
}

/// Gives a call its audit ID.
pub(crate) fn tag(call: &mut Request<()>) {
    let id = audit_id();
    tracing::debug!(audit_id = id, "calls the apiserver");
    if let Ok(value) = AsciiMetadataValue::try_from(id) {
        call.metadata_mut().insert(AUDIT_ID, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent() -> String {
        let mut request = Request::new(());
        tag(&mut request);
        let value = request.metadata().get(AUDIT_ID).unwrap();
        value.to_str().unwrap().to_owned()
    }

    #[tokio::test]
    async fn calls_tell_what_they_are_made_for() {
        assert_ne!(sent(), sent());
        let work = async { (calls(), sent(), sent(), calls()) };
        let (before, one, other, after) = scope("reconcile-1".to_owned(), work).await;
        assert_eq!((before, after, calls()), (0, 2, 0));
        assert!(one.starts_with("reconcile-1."), "{one}");
        assert_ne!(one, other);
        assert!(!sent().contains('.'));
    }
}
