//! What was read of a cluster, and what was not.

use std::collections::{BTreeMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::diagnosis::Unread;
use crate::object::Json;
use crate::resources::Resource;

/// What came of listing a resource.
#[derive(Debug, Clone)]
pub enum Listing {
    /// Its objects, as JSON. `kind` and `apiVersion`, which lists leave out, are not needed.
    Read(Vec<Arc<Value>>),
    /// The user may not list it (403): the API server's reason.
    Forbidden(String),
    /// This cluster does not serve it (404).
    NotServed,
    /// It could not be read for another reason.
    Failed(String),
}

/// The last lines of a container's log that are worth a request.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LogRequest {
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's name.
    pub pod: String,
    /// The container's name.
    pub container: String,
    /// Whether the run before the present one is meant.
    pub previous: bool,
}

impl LogRequest {
    /// How many lines, from the end, are worth being read.
    pub const LINES: i64 = 10;
}

/// A DNS server of the cluster that is worth being asked itself, for [`DnsRequest::NAME`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct DnsRequest {
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's name.
    pub pod: String,
    /// The port of the pod at which it answers over TCP.
    pub port: u16,
}

impl DnsRequest {
    /// The name that every cluster has, in the domain that most have.
    pub const NAME: &str = "kubernetes.default.svc.cluster.local";
}

/// What a DNS server answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DnsAnswer {
    /// The response code (RFC 1035, 4.1.1): 0 without an error, 3 for a name that isn't there.
    pub code: u16,
    /// The addresses of the name.
    pub addresses: Vec<IpAddr>,
}

/// What came of asking a DNS server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DnsOutcome {
    /// It answered.
    Answered(DnsAnswer),
    /// It was reached, or should have been, and did not answer.
    Silent(String),
    /// It could not be asked, for reasons that are not its own.
    NotAsked(String),
}

/// A certificate that the cluster or its user depends on and that is in no API object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// Whose it is, in words that begin a sentence: `the client certificate of …`.
    pub owner: String,
    /// When it ends.
    pub not_after: Timestamp,
    /// What would renew it.
    pub way_out: String,
}

pub(crate) struct Entry {
    pub resource: Resource,
    pub listing: Listing,
}

/// What was read of a cluster at a time.
pub struct Snapshot {
    pub(crate) now: Timestamp,
    pub(crate) lists: BTreeMap<String, Entry>,
    pub(crate) logs: BTreeMap<LogRequest, Result<String, String>>,
    pub(crate) certificates: Vec<Certificate>,
    pub(crate) dns: BTreeMap<DnsRequest, DnsOutcome>,
}

impl Snapshot {
    /// Nothing is read yet; `now` is the time that ages are counted to.
    pub fn new(now: Timestamp) -> Self {
        Self {
            now,
            lists: BTreeMap::new(),
            logs: BTreeMap::new(),
            certificates: Vec::new(),
            dns: BTreeMap::new(),
        }
    }

    /// Says what came of listing a resource, of all namespaces or of one. Said twice, objects
    /// that were read are added, and anything else is replaced.
    pub fn put(&mut self, resource: &Resource, listing: Listing) {
        let entry = self.lists.get_mut(&resource.to_string());
        match (entry.map(|it| &mut it.listing), listing) {
            (Some(Listing::Read(there)), Listing::Read(more)) => {
                let uid = |object: &Arc<Value>| object.text("/metadata/uid").map(str::to_owned);
                let known: HashSet<String> = there.iter().filter_map(uid).collect();
                let is_new = |it: &Arc<Value>| uid(it).is_none_or(|uid| !known.contains(&uid));
                there.extend(more.into_iter().filter(is_new));
            }
            (_, listing) => {
                let resource = resource.clone();
                self.lists
                    .insert(resource.to_string(), Entry { resource, listing });
            }
        }
    }

    /// Says what a container has logged last, or why that could not be read.
    pub fn put_log(&mut self, request: LogRequest, lines: Result<String, String>) {
        self.logs.insert(request, lines);
    }

    /// Says what came of asking a DNS server.
    pub fn put_dns(&mut self, request: DnsRequest, outcome: DnsOutcome) {
        self.dns.insert(request, outcome);
    }

    /// Why nothing at all was read; nothing where a list was.
    pub fn reads_nothing(&self) -> Option<&str> {
        let mut reason = None;
        for entry in self.lists.values() {
            match &entry.listing {
                Listing::Read(_) => return None,
                Listing::Forbidden(why) | Listing::Failed(why) => reason = Some(why.as_str()),
                Listing::NotServed => {}
            }
        }
        reason
    }

    /// Says when a certificate ends that is in no API object.
    pub fn put_certificate(&mut self, certificate: Certificate) {
        self.certificates.push(certificate);
    }

    /// Which of these resources could not be read, and why; and the DNS servers, if one could not
    /// be asked.
    pub fn unread<'a>(&self, resources: impl IntoIterator<Item = &'a Resource>) -> Vec<Unread> {
        let why = |name: &str| match &self.lists.get(name)?.listing {
            Listing::Forbidden(reason) | Listing::Failed(reason) => Some(reason.clone()),
            Listing::Read(_) | Listing::NotServed => None,
        };
        let lists = resources.into_iter().filter_map(|resource| {
            let resource = resource.to_string();
            let reason = why(&resource)?;
            Some(Unread { resource, reason })
        });
        // One for all of them.
        let dns = self.dns.values().find_map(|outcome| match outcome {
            DnsOutcome::NotAsked(reason) => Some(Unread {
                resource: "answers of the cluster's DNS".to_owned(),
                reason: reason.clone(),
            }),
            DnsOutcome::Answered(_) | DnsOutcome::Silent(_) => None,
        });
        lists.chain(dns).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn many_objects_are_put_twice_and_kept_once() {
        let pods = crate::resource("Pod").unwrap();
        let of = |range: std::ops::Range<u32>| {
            let object = |n: u32| Arc::new(json!({"metadata": {"uid": n.to_string()}}));
            Listing::Read(range.map(object).collect())
        };
        let mut snapshot = Snapshot::new(Timestamp::UNIX_EPOCH);
        snapshot.put(pods, of(0..20_000));
        // Compared one with another these would take minutes.
        snapshot.put(pods, of(10_000..30_000));
        snapshot.put(pods, Listing::Read(vec![Arc::new(json!({"metadata": {}}))]));
        let Listing::Read(all) = &snapshot.lists["pods"].listing else {
            panic!("they were read");
        };
        assert_eq!(all.len(), 30_001);
    }
}
