//! Leader election on a Lease, so that one of several instances works.
//!
//! The lease is kept on the [`vital`] runtime, over a connection of its own: work
//! that keeps all other threads busy doesn't cost the leadership. Work that
//! can't be stopped when the lease is lost ends the process, before somebody
//! else may lead.

use crate::api::{Api, Client};
use crate::{task, tls, vital};
use hardway_proto::Status;
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use std::future::{Future, pending};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

/// How long things take; the defaults are Kubernetes'.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// How long a lease holds, in whole seconds.
    pub lease: Duration,
    /// How long the holder tries to renew before it stops leading. What is left
    /// of the lease then is for its work to stop.
    pub renew: Duration,
    /// How often either side tries.
    pub retry: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(15),
            renew: Duration::from_secs(10),
            retry: Duration::from_secs(2),
        }
    }
}

/// A candidate for one Lease in `kube-system`.
pub struct Elector {
    candidate: Candidate,
    on_stuck: fn(),
}

impl Elector {
    /// A candidate called `identity` (unique per process) for the lease `name`.
    ///
    /// # Errors
    /// If the client's certificates can't be read any more.
    pub fn new(client: &Client, name: &str, identity: &str) -> Result<Self, tls::Error> {
        let client = client.on_runtime(vital::runtime())?;
        let candidate = Candidate {
            api: client.namespaced("kube-system"),
            name: name.into(),
            identity: identity.into(),
            timing: Timing::default(),
            held: None,
            seen: None,
        };
        Ok(Self {
            candidate,
            on_stuck: end,
        })
    }

    /// With other times than Kubernetes'.
    pub fn timing(mut self, timing: Timing) -> Self {
        self.candidate.timing = timing;
        self
    }

    /// Calls this instead of ending the process when the lease is lost and the
    /// work does not stop.
    pub fn on_stuck(mut self, on_stuck: fn()) -> Self {
        self.on_stuck = on_stuck;
        self
    }

    /// Whenever this candidate leads, runs `lead()`; drops it as soon as
    /// leadership is lost, and stands again. Returns when `lead()` or `stop`
    /// ends, with its output. Then the work has been dropped, and the lease
    /// given up: the next candidate needn't wait until it lapses.
    pub async fn run<F, Fut, T>(self, lead: F, stop: impl Future<Output = T>) -> T
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = T>,
    {
        let candidate = self.candidate.clone();
        let (leads, leading) = watch::channel(false);
        let stopped = Arc::new(Notify::new());
        let campaign = self.campaign(leads, stopped.clone());
        let campaign = {
            let _on_it = vital::runtime().enter();
            AbortOnDropHandle::new(task::spawn_critical("leader-election", campaign))
        };
        let output = tokio::select! {
            output = work(&candidate, leading, &stopped, lead) => output,
            output = stop => output,
        };
        campaign.abort();
        // An answer on its way to the campaign is of no more use.
        let _ = campaign.await;
        let release = vital::runtime().spawn(async move {
            let patience = candidate.timing.renew / 2;
            if tokio::time::timeout(patience, candidate.release())
                .await
                .is_err()
            {
                tracing::warn!(
                    lease = candidate.name,
                    "lease not given up in time; it will lapse"
                );
            }
        });
        // A lease that isn't given up lapses.
        let _ = release.await;
        output
    }

    /// Stands, leads and loses, for ever.
    async fn campaign(mut self, leads: watch::Sender<bool>, stopped: Arc<Notify>) {
        let timing = self.candidate.timing;
        loop {
            self.candidate.acquire().await;
            leads.send_replace(true);
            self.candidate.hold().await;
            leads.send_replace(false);
            let rest = timing.lease.saturating_sub(timing.renew);
            if tokio::time::timeout(rest, stopped.notified())
                .await
                .is_err()
            {
                let lease = self.candidate.name.as_str();
                tracing::error!(lease, "the lease is lost and the work does not stop");
                (self.on_stuck)();
                stopped.notified().await;
            }
        }
    }
}

/// Runs `lead()` whenever the campaign says so, until it ends.
async fn work<F, Fut, T>(
    candidate: &Candidate,
    mut leading: watch::Receiver<bool>,
    stopped: &Notify,
    mut lead: F,
) -> T
where
    F: FnMut() -> Fut,
    Fut: Future<Output = T>,
{
    let lease = candidate.name.as_str();
    loop {
        if leading.wait_for(|leads| *leads).await.is_err() {
            // The campaign is gone, and the process about to end.
            pending::<()>().await;
        }
        tracing::info!(lease, identity = candidate.identity, "leading");
        tokio::select! {
            output = lead() => return output,
            () = lost(&mut leading) => {
                tracing::warn!(lease, "lost the lease; standing again");
            }
        }
        stopped.notify_one();
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "what main would wait for does not stop"
)]
fn end() {
    std::process::exit(1);
}

/// Returns when the lease is lost.
async fn lost(leading: &mut watch::Receiver<bool>) {
    // The sender lives as long as the campaign, and with that the process.
    let _ = leading.wait_for(|leads| !*leads).await;
}

#[derive(Clone)]
struct Candidate {
    api: Api<Lease>,
    name: String,
    identity: String,
    timing: Timing,
    /// The lease as it was when it was last taken or renewed; none when that
    /// isn't known to be its state.
    held: Option<Lease>,
    /// The record seen last, and when: leases are judged by our own clock.
    seen: Option<(Option<MicroTime>, Option<String>, Instant)>,
}

impl Candidate {
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
            tokio::time::sleep(self.timing.retry).await;
        }
    }

    /// Returns when the lease could not be renewed in time.
    async fn hold(&mut self) {
        let renew = self.timing.renew;
        let mut renewed = Instant::now();
        loop {
            tokio::time::sleep(self.timing.retry).await;
            // It holds from when it was asked for, not from when that was answered.
            let asked = Instant::now();
            let attempt = tokio::time::timeout_at(renewed + renew, self.try_take());
            match attempt.await {
                Ok(Ok(true)) => renewed = asked,
                Ok(Ok(false)) => return,
                Ok(Err(error)) => {
                    tracing::debug!(lease = self.name, %error, "cannot renew the lease");
                    if renewed.elapsed() >= renew {
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
        // As client-go does, what is ours is renewed without being read before:
        // if others have changed it, that is refused, and it is read then.
        if let Some(mut lease) = self.held.take()
            && let Some(spec) = &mut lease.spec
        {
            spec.renew_time = Some(now.clone());
            match self.api.update(&lease).await {
                Ok(renewed) => {
                    self.held = Some(renewed);
                    return Ok(true);
                }
                Err(status) => {
                    tracing::debug!(lease = self.name, error = %status, "renewed unread, in vain");
                }
            }
        }
        let Some(mut lease) = self.api.get_opt(&self.name).await? else {
            let mut lease = Lease::default();
            lease.metadata.name = Some(self.name.clone());
            lease.metadata.namespace = Some("kube-system".into());
            lease.spec = Some(self.spec(now, 0));
            return match self.api.create(&lease).await {
                Ok(created) => {
                    self.held = Some(created);
                    Ok(true)
                }
                Err(status) if status.is_already_exists() => Ok(false),
                Err(status) => Err(status),
            };
        };
        let spec = lease.spec.take().unwrap_or_default();
        let holder = spec.holder_identity.clone().unwrap_or_default();
        if holder != self.identity && !holder.is_empty() && !self.has_lapsed(&spec) {
            return Ok(false);
        }
        let changes = spec
            .lease_transitions
            .unwrap_or(0)
            .saturating_add(i32::from(holder != self.identity));
        let mut next = self.spec(now, changes);
        if holder == self.identity {
            next.acquire_time = spec.acquire_time;
        }
        lease.spec = Some(next);
        match self.api.update(&lease).await {
            Ok(taken) => {
                self.held = Some(taken);
                Ok(true)
            }
            // Somebody was faster, or only annotated what is ours.
            Err(status) if status.is_conflict() && holder != self.identity => Ok(false),
            Err(status) => Err(status),
        }
    }

    fn spec(&self, now: MicroTime, transitions: i32) -> LeaseSpec {
        LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: Some(
                i32::try_from(self.timing.lease.as_secs()).unwrap_or(i32::MAX),
            ),
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

    /// Gives the lease up, if it is ours, as client-go does: nobody holds it,
    /// for a second.
    async fn release(&self) {
        loop {
            match self.try_release().await {
                Ok(()) => return,
                // The last renewal, or somebody's annotation, was on its way.
                Err(status) if status.is_conflict() => {}
                Err(error) => {
                    tracing::warn!(lease = self.name, %error, "lease not given up; it will lapse");
                    return;
                }
            }
        }
    }

    async fn try_release(&self) -> Result<(), Status> {
        let Some(mut lease) = self.api.get_opt(&self.name).await? else {
            return Ok(());
        };
        let Some(spec) = &mut lease.spec else {
            return Ok(());
        };
        if spec.holder_identity.as_deref() != Some(&self.identity) {
            return Ok(());
        }
        let now = MicroTime(Timestamp::now());
        spec.holder_identity = Some(String::new());
        spec.lease_duration_seconds = Some(1);
        spec.acquire_time = Some(now.clone());
        spec.renew_time = Some(now);
        self.api.update(&lease).await?;
        tracing::info!(lease = self.name, "gave the lease up");
        Ok(())
    }
}

#[cfg(test)]
mod tests;
