//! Leases for keys that go away by themselves (Events), shared by many keys.

use super::{StoreError, describe};
use etcd_client::LeaseClient;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio::sync::Mutex;
use tokio_util::task::AbortOnDropHandle;

/// For how long and for how many keys a lease is shared: a key may live up to
/// this much longer than asked for.
const SHARED_FOR: Duration = Duration::from_secs(60);
const SHARED_BY: u32 = 1000;

/// Hands out leases.
#[derive(Clone)]
pub(super) struct Leases {
    client: LeaseClient,
    ttl: Duration,
    current: Arc<Mutex<Option<Lease>>>,
    runtime: Handle,
}

struct Lease {
    id: i64,
    granted: Instant,
    used: u32,
}

impl Leases {
    pub(super) fn new(client: LeaseClient, ttl: Duration) -> Self {
        Self {
            client,
            ttl,
            current: Arc::default(),
            runtime: Handle::current(),
        }
    }

    /// A lease under which a key lives for at least the TTL.
    ///
    /// A new one is granted in a task of its own: a request that gives way to others
    /// would hold the lock that they wait for.
    pub(super) async fn current(&self) -> Result<i64, StoreError> {
        let leases = self.clone();
        let task = self.runtime.spawn(async move { leases.next().await });
        let outcome = AbortOnDropHandle::new(task).await;
        outcome.unwrap_or_else(|error| Err(StoreError::Unavailable(error.to_string())))
    }

    async fn next(&self) -> Result<i64, StoreError> {
        let mut current = self.current.lock().await;
        if let Some(lease) = current.as_mut()
            && lease.granted.elapsed() < SHARED_FOR
            && lease.used < SHARED_BY
        {
            lease.used += 1;
            return Ok(lease.id);
        }
        let seconds = (self.ttl + SHARED_FOR).as_secs() as i64;
        let mut client = self.client.clone();
        let grant = tokio::time::timeout(super::TIMEOUT, client.grant(seconds, None))
            .await
            .map_err(|_| StoreError::Timeout)?
            .map_err(|error| StoreError::Unavailable(describe(&error)))?;
        *current = Some(Lease {
            id: grant.id(),
            granted: Instant::now(),
            used: 1,
        });
        Ok(grant.id())
    }
}
