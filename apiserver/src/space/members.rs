//! What each member of etcd says of its space, and what is asked of one of them.

use crate::store::{Origin, Servers};
use etcd_client::{
    AlarmAction, AlarmOptions, AlarmType, Client, ConnectOptions, Error, MaintenanceClient,
};
use futures_util::future::join_all;
use http_body_util::{BodyExt, Limited};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tonic::transport::{Channel, Endpoint};
use tower::ServiceExt;

/// How long a member may take to say how it is.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long it may take to copy what is in use.
const DEFRAGMENTATION: Duration = Duration::from_secs(600);
/// How long a quota that was read is taken for the present one; etcd has another one after a
/// restart with another flag.
const QUOTA_KNOWN: Duration = Duration::from_secs(30);
/// Its metrics are smaller.
const METRICS: usize = 4 << 20;

/// etcd's quota where it says 0 of it (its documentation: `--quota-backend-bytes`).
const DEFAULT_QUOTA: u64 = 2 << 30;

/// What a member says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its ID.
    pub id: u64,
    /// The ID of the leader it follows; 0: there is none.
    pub leader: u64,
    /// Whether it can lead: a learner can't.
    pub votes: bool,
    /// Bytes of its file.
    pub size: u64,
    /// Bytes of the file's pages that hold something.
    pub in_use: u64,
    /// Bytes that its file may have, if it says so.
    pub quota: Option<u64>,
    /// Whether etcd's alarm NOSPACE is raised, for whichever member.
    pub alarm: bool,
}

impl Member {
    /// Whether it is the leader.
    pub fn leads(&self) -> bool {
        self.id == self.leader
    }

    /// A part of its quota; nothing where that isn't known.
    pub fn share(&self, bytes: u64) -> f64 {
        match self.quota {
            Some(quota) if quota > 0 => bytes as f64 / quota as f64,
            _ => 0.0,
        }
    }
}

/// All members, the one of this host first.
pub struct Members {
    servers: Arc<Servers>,
    endpoints: Arc<Vec<Endpoint>>,
    all: Vec<Connected>,
}

/// A member, and how to reach it and no other.
struct Connected {
    channel: Channel,
    maintenance: MaintenanceClient,
    /// Its quota, and when that was read.
    quota: Option<(Instant, u64)>,
}

impl Members {
    /// The members at these servers.
    pub fn new(servers: Arc<Servers>) -> Self {
        Self {
            servers,
            endpoints: Arc::default(),
            all: Vec::new(),
        }
    }

    /// What they say; none for one that doesn't answer.
    pub async fn look(&mut self) -> Vec<Option<Member>> {
        self.connect().await;
        let (servers, is_alone) = (&self.servers, self.all.len() == 1);
        let looks = self.all.iter_mut().map(|member| async move {
            let (origin, seen) = member.look().await?;
            // One of another cluster under the same CA, or that was given up, is none of these.
            (is_alone || servers.cluster().has(origin)).then_some(seen)
        });
        join_all(looks).await
    }

    /// Follows the servers and their certificates.
    async fn connect(&mut self) {
        let endpoints = self.servers.current();
        if Arc::ptr_eq(&endpoints, &self.endpoints) && !self.all.is_empty() {
            return;
        }
        self.all.clear();
        for endpoint in endpoints.iter() {
            match Connected::to(endpoint).await {
                Ok(connected) => self.all.push(connected),
                Err(error) => tracing::warn!(uri = %endpoint.uri(), %error, "no client of etcd"),
            }
        }
        self.endpoints = endpoints;
    }

    /// Defragments the own member, which answers nobody meanwhile.
    pub async fn defragment(&mut self) -> Result<(), String> {
        let own = self.own()?;
        let done = tokio::time::timeout(DEFRAGMENTATION, own.maintenance.defragment()).await;
        said(done).map(drop)
    }

    /// Has another member lead instead of the own one.
    pub async fn hand_over(&mut self, to: u64) -> Result<(), String> {
        let own = self.own()?;
        said(tokio::time::timeout(PATIENCE, own.maintenance.move_leader(to)).await).map(drop)
    }

    /// Takes the alarm NOSPACE back, of all members.
    pub async fn disarm(&mut self) -> Result<(), String> {
        let own = self.own()?;
        let get = own
            .maintenance
            .alarm(AlarmAction::Get, AlarmType::Nospace, None);
        let raised = said(tokio::time::timeout(PATIENCE, get).await)?;
        for alarm in raised.alarms() {
            if alarm.alarm() != AlarmType::Nospace {
                continue;
            }
            let mut of = AlarmOptions::new();
            of.with_member(alarm.member_id());
            let disarm =
                own.maintenance
                    .alarm(AlarmAction::Deactivate, AlarmType::Nospace, Some(of));
            said(tokio::time::timeout(PATIENCE, disarm).await)?;
        }
        Ok(())
    }

    fn own(&mut self) -> Result<&mut Connected, String> {
        self.all.first_mut().ok_or_else(|| "no server".to_owned())
    }
}

/// What came of a call, in words if it failed.
fn said<T>(outcome: Result<Result<T, Error>, tokio::time::error::Elapsed>) -> Result<T, String> {
    match outcome {
        Ok(answer) => answer.map_err(|error| error.to_string()),
        Err(_) => Err("it didn't answer in time".to_owned()),
    }
}

impl Connected {
    async fn to(endpoint: &Endpoint) -> Result<Self, Error> {
        let channel = endpoint.connect_lazy();
        let raw = etcd_client::Channel::Tonic(channel.clone());
        let client = Client::from_channel(raw, Some(ConnectOptions::new())).await?;
        Ok(Self {
            channel,
            maintenance: client.maintenance_client(),
            quota: None,
        })
    }

    async fn look(&mut self) -> Option<(Origin, Member)> {
        let status = tokio::time::timeout(PATIENCE, self.maintenance.status()).await;
        let Ok(Ok(status)) = status else {
            return None;
        };
        if self.quota.is_none_or(|(at, _)| at.elapsed() >= QUOTA_KNOWN) {
            let read = tokio::time::timeout(PATIENCE, quota(self.channel.clone())).await;
            let read = read.ok().flatten();
            self.quota = read.map(|bytes| (Instant::now(), bytes)).or(self.quota);
        }
        let bytes = |number: i64| u64::try_from(number).unwrap_or(0);
        let header = status.header()?;
        let seen = Member {
            id: header.member_id(),
            leader: status.leader(),
            votes: !status.is_learner(),
            size: bytes(status.db_size()),
            in_use: bytes(status.raft_used_db_size()),
            quota: self.quota.map(|(_, bytes)| bytes),
            alarm: status.errors().iter().any(|it| it.contains("NOSPACE")),
        };
        Some((header.into(), seen))
    }
}

/// The quota, which of all that etcd 3.4 and 3.5 answer only the metrics have. Over TLS they are
/// served where the API is.
async fn quota(channel: Channel) -> Option<u64> {
    let request = http::Request::get("/metrics").body(tonic::body::Body::empty());
    let response = channel.oneshot(request.ok()?).await.ok()?;
    if !response.status().is_success() {
        return None;
    }
    let body = Limited::new(response.into_body(), METRICS).collect().await;
    let body = body.ok()?.to_bytes();
    quota_in(&String::from_utf8_lossy(&body))
}

fn quota_in(metrics: &str) -> Option<u64> {
    let prefix = "etcd_server_quota_backend_bytes ";
    let mut values = metrics.lines().filter_map(|line| line.strip_prefix(prefix));
    let value: f64 = values.next()?.trim().parse().ok()?;
    Some(match value as u64 {
        0 => DEFAULT_QUOTA,
        bytes => bytes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quota_is_among_the_metrics() {
        let metrics = "# HELP etcd_server_quota_backend_bytes x\n\
                       # TYPE etcd_server_quota_backend_bytes gauge\n\
                       etcd_server_quota_backend_bytes 8.589934592e+09\n";
        assert_eq!(quota_in(metrics), Some(8 << 30));
        assert_eq!(
            quota_in("etcd_server_quota_backend_bytes 0\n"),
            Some(2 << 30)
        );
        assert_eq!(quota_in("etcd_other 1\n"), None);
    }
}
