//! etcd, as the tool asks it: through the gateway that takes JSON over HTTPS, so that nothing
//! but etcd itself need be there. Field names are those of etcd's `rpc.proto`; 64-bit numbers
//! are strings in its JSON.

use std::net::SocketAddr;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::host::Layout;
use crate::http::{self, Identity, Request};
use crate::pki::ETCD_CA;

pub mod join;
pub mod maintenance;
pub mod member;
pub mod next;
pub mod removal;
pub mod snapshot;

pub use member::{Member, Status};

/// Port for clients.
pub const CLIENT_PORT: u16 = 2379;
/// The folder of a host's member.
pub const DATA: &str = "/var/lib/hardway/etcd";
/// Port for other members.
pub const PEER_PORT: u16 = 2380;

/// For so long etcd may say that its members aren't connected well enough.
const PATIENCE: Duration = Duration::from_secs(20);

/// Why etcd did not do something.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It said no, in these words, as `etcdserver: unhealthy cluster`.
    #[error("{0}")]
    Refused(String),
    /// No member could be asked; a line for each.
    #[error("no member of etcd answers: {0}")]
    Unreachable(String),
}

impl Error {
    /// Whether it said no with these words.
    pub fn says(&self, words: &str) -> bool {
        matches!(self, Self::Refused(message) if message.contains(words))
    }
}

/// A member, and what it says of itself.
pub type Surveyed = (Member, Result<Status, Error>);

/// What etcd says when a member that isn't a full one yet is asked.
const NOT_OF_LEARNERS: &str = "etcdserver: rpc not supported for learner";

/// A client of some of the members: the first that can answers.
#[derive(Debug, Clone)]
pub struct Client {
    endpoints: Vec<SocketAddr>,
    identity: Identity,
    patience: Duration,
}

impl Client {
    /// A client of members at these addresses.
    pub fn new(endpoints: Vec<SocketAddr>, identity: Identity) -> Self {
        Self {
            endpoints,
            identity,
            patience: http::PATIENCE,
        }
    }

    /// The same with this much time for an answer.
    pub fn patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Where the members are that it asks.
    pub fn endpoints(&self) -> &[SocketAddr] {
        &self.endpoints
    }

    /// As whom it asks.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// A client of the member of this host, with the apiserver's certificate.
    pub fn of_host(layout: &Layout) -> Self {
        Self::new(vec![([127, 0, 0, 1], CLIENT_PORT).into()], identity(layout))
    }

    /// The same identity with other members.
    pub fn at(&self, endpoints: Vec<SocketAddr>) -> Self {
        Self::new(endpoints, self.identity.clone())
    }

    /// A call, as `/v3/cluster/member/list`.
    ///
    /// # Errors
    /// If etcd says no, or no member can be asked.
    pub fn call(&self, path: &str, body: &Value) -> Result<Value, Error> {
        let mut unreachable = Vec::new();
        let text = body.to_string();
        for endpoint in &self.endpoints {
            let request = Request {
                method: "POST",
                path,
                content_type: "application/json",
                body: text.as_bytes(),
            };
            let answer =
                match http::send_tls_within(*endpoint, &request, &self.identity, self.patience) {
                    Ok(answer) => answer,
                    Err(failure) => {
                        unreachable.push(failure.to_string());
                        continue;
                    }
                };
            let value: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
            // Of version 3.6 on only the second.
            let said = value["error"].as_str().or(value["message"].as_str());
            match said {
                None if answer.status == 200 => return Ok(value),
                Some(NOT_OF_LEARNERS) => {
                    unreachable.push(format!("{endpoint} is a learner still"));
                }
                Some(message) => return Err(Error::Refused(message.to_owned())),
                None => unreachable.push(format!("{endpoint} says {}", answer.status)),
            }
        }
        if unreachable.is_empty() {
            unreachable.push("none is known".to_owned());
        }
        Err(Error::Unreachable(unreachable.join("; ")))
    }

    /// All members, as one that is no learner knows them.
    ///
    /// # Errors
    /// If none can be asked.
    pub fn members(&self) -> Result<Vec<Member>, Error> {
        let answer = self.call("/v3/cluster/member/list", &json!({}))?;
        Ok(member::list(&answer))
    }

    /// How the first member that answers is.
    ///
    /// # Errors
    /// If none answers.
    pub fn status(&self) -> Result<Status, Error> {
        let answer = self.call("/v3/maintenance/status", &json!({}))?;
        Ok(Status::read(&answer))
    }

    /// Has a member join that counts for nothing until it is promoted.
    ///
    /// # Errors
    /// In etcd's words.
    pub fn add_learner(&self, peer_url: &str) -> Result<(), Error> {
        let body = json!({"peerURLs": [peer_url], "isLearner": true});
        self.call("/v3/cluster/member/add", &body).map(|_| ())
    }

    /// Makes a learner a member that counts.
    ///
    /// # Errors
    /// In etcd's words.
    pub fn promote(&self, id: u64) -> Result<(), Error> {
        let body = json!({"ID": id.to_string()});
        self.call("/v3/cluster/member/promote", &body).map(|_| ())
    }

    /// Says where other members find one.
    ///
    /// # Errors
    /// In etcd's words.
    pub fn update_peer(&self, id: u64, peer_url: &str) -> Result<(), Error> {
        let body = json!({"ID": id.to_string(), "peerURLs": [peer_url]});
        self.call("/v3/cluster/member/update", &body).map(|_| ())
    }

    /// Takes a member out, for good: its folder is of no use to it any more.
    ///
    /// # Errors
    /// In etcd's words.
    pub fn remove(&self, id: u64) -> Result<(), Error> {
        let body = json!({"ID": id.to_string()});
        self.call("/v3/cluster/member/remove", &body).map(|_| ())
    }

    /// The same as soon as etcd does it: it says no while it has seen too few of its members for
    /// five seconds.
    ///
    /// # Errors
    /// In etcd's words, if it goes on to say no, or can't be asked.
    pub fn remove_in_time(&self, id: u64) -> Result<(), Error> {
        let began = Instant::now();
        loop {
            match self.remove(id) {
                // Done by the time before, which has heard nothing of it.
                Err(error) if error.says("member not found") => return Ok(()),
                Err(Error::Refused(_)) if began.elapsed() < PATIENCE => {
                    thread::sleep(Duration::from_millis(200));
                }
                outcome => return outcome,
            }
        }
    }

    /// Has another member lead; asked of the one that leads.
    ///
    /// # Errors
    /// In etcd's words.
    pub fn hand_over(&self, id: u64) -> Result<(), Error> {
        let body = json!({"targetID": id.to_string()});
        self.call("/v3/maintenance/transfer-leadership", &body)
            .map(|_| ())
    }

    /// Every member and how it is, each asked by itself.
    ///
    /// # Errors
    /// If nobody can say who they are.
    pub fn survey(&self) -> Result<Vec<Surveyed>, Error> {
        let ask = |member: Member| {
            let status = self
                .at(member.client_address().into_iter().collect())
                .status();
            (member, status)
        };
        let mut members = self.members()?;
        members.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(members.into_iter().map(ask).collect())
    }
}

/// Whether the member of a host has stored something.
pub fn has_data(layout: &Layout) -> bool {
    has_log(&layout.path(DATA))
}

/// Whether there is a member's log in a folder: by this etcd itself tells whether it has
/// started there before. One that fails to makes folders nevertheless.
pub fn has_log(folder: &Path) -> bool {
    let files = std::fs::read_dir(folder.join("member/wal"));
    let mut names = files.into_iter().flatten().flatten();
    names.any(|file| file.path().extension().is_some_and(|it| it == "wal"))
}

/// As whom a control plane's host asks etcd.
pub fn identity(layout: &Layout) -> Identity {
    layout.pki().identity(ETCD_CA, "apiserver-etcd-client")
}
