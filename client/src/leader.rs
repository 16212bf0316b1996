//! Leader election on a Lease, so that one of several instances works.

use crate::api::{Api, Client};
use hardway_proto::Status;
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use std::future::Future;
use std::time::Duration;
use tokio::time::Instant;

/// Kubernetes' defaults: how long a lease holds, how long the holder tries to
/// renew before it stops leading, and how often either side tries.
const LEASE_DURATION: Duration = Duration::from_secs(15);
const RENEW_DEADLINE: Duration = Duration::from_secs(10);
const RETRY_PERIOD: Duration = Duration::from_secs(2);

/// A candidate for one Lease in `kube-system`.
pub struct Elector {
    api: Api<Lease>,
    name: String,
    identity: String,
    /// The record seen last, and when: leases are judged by our own clock.
    seen: Option<(Option<MicroTime>, Option<String>, Instant)>,
}

impl Elector {
    /// A candidate called `identity` (unique per process) for the lease `name`.
    pub fn new(client: &Client, name: &str, identity: &str) -> Self {
        Self {
            api: client.namespaced("kube-system"),
            name: name.into(),
            identity: identity.into(),
            seen: None,
        }
    }

    /// Whenever this candidate leads, runs `lead()`; drops it as soon as
    /// leadership is lost, and stands again. Gives the lease up if `lead()`
    /// ends, and returns its output.
    pub async fn run<F, Fut, T>(mut self, mut lead: F) -> T
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = T>,
    {
        loop {
            self.acquire().await;
            tracing::info!(lease = self.name, identity = self.identity, "leading");
            tokio::select! {
                output = lead() => {
                    self.release().await;
                    return output;
                }
                () = self.hold() => {
                    tracing::warn!(lease = self.name, "lost the lease; standing again");
                }
            }
        }
    }

    async fn acquire(&mut self) {
        let mut told = false;
        loop {
            match self.try_take().await {
                Ok(true) => return,
                Ok(false) => {}
                Err(error) if !std::mem::replace(&mut told, true) => {
                    tracing::warn!(lease = self.name, %error, "cannot take the lease; still trying");
                }
                Err(_) => {}
            }
            tokio::time::sleep(RETRY_PERIOD).await;
        }
    }

    /// Returns when the lease could not be renewed in time.
    async fn hold(&mut self) {
        let mut renewed = Instant::now();
        loop {
            tokio::time::sleep(RETRY_PERIOD).await;
            let attempt = tokio::time::timeout_at(renewed + RENEW_DEADLINE, self.try_take());
            match attempt.await {
                Ok(Ok(true)) => renewed = Instant::now(),
                Ok(Ok(false)) => return,
                Ok(Err(error)) => {
                    tracing::debug!(lease = self.name, %error, "cannot renew the lease");
                    if renewed.elapsed() >= RENEW_DEADLINE {
                        return;
                    }
                }
                Err(_) => return,
            }
        }
    }

    /// Takes or renews the lease; `false` while somebody else holds it.
    async fn try_take(&mut self) -> Result<bool, Status> {
        let now = MicroTime(Timestamp::now());
        let Some(mut lease) = self.api.get_opt(&self.name).await? else {
            let mut lease = Lease::default();
            lease.metadata.name = Some(self.name.clone());
            lease.metadata.namespace = Some("kube-system".into());
            lease.spec = Some(self.spec(now, 0));
            return match self.api.create(&lease).await {
                Ok(_) => Ok(true),
                Err(status) if status.is_already_exists() => Ok(false),
                Err(status) => Err(status),
            };
        };
        let spec = lease.spec.take().unwrap_or_default();
        let holder = spec.holder_identity.clone().unwrap_or_default();
        if holder != self.identity && !holder.is_empty() && !self.has_lapsed(&spec) {
            return Ok(false);
        }
        let changes = spec.lease_transitions.unwrap_or(0) + i32::from(holder != self.identity);
        let mut next = self.spec(now, changes);
        if holder == self.identity {
            next.acquire_time = spec.acquire_time;
        }
        lease.spec = Some(next);
        match self.api.update(&lease).await {
            Ok(_) => Ok(true),
            Err(status) if status.is_conflict() => Ok(false),
            Err(status) => Err(status),
        }
    }

    fn spec(&self, now: MicroTime, transitions: i32) -> LeaseSpec {
        LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: Some(LEASE_DURATION.as_secs() as i32),
            acquire_time: Some(now.clone()),
            renew_time: Some(now),
            lease_transitions: Some(transitions),
            ..Default::default()
        }
    }

    /// Whether the holder's record has stood unchanged for its whole duration.
    fn has_lapsed(&mut self, spec: &LeaseSpec) -> bool {
        let record = (spec.renew_time.clone(), spec.holder_identity.clone());
        match &self.seen {
            Some((time, holder, since)) if (time, holder) == (&record.0, &record.1) => {
                let seconds = spec.lease_duration_seconds.unwrap_or(15).max(0) as u64;
                since.elapsed() >= Duration::from_secs(seconds)
            }
            _ => {
                self.seen = Some((record.0, record.1, Instant::now()));
                false
            }
        }
    }

    async fn release(&self) {
        if let Ok(mut lease) = self.api.get(&self.name).await
            && let Some(spec) = &mut lease.spec
            && spec.holder_identity.as_deref() == Some(&self.identity)
        {
            spec.holder_identity = Some(String::new());
            spec.lease_duration_seconds = Some(1);
            if let Err(error) = self.api.update(&lease).await {
                tracing::debug!(lease = self.name, %error, "lease not given up; it will lapse");
            }
        }
    }
}
