//! The store: objects in etcd, as Kubernetes lays them out.
//!
//! Keys are `/registry/<prefix>/[namespace/]name`, values the object's JSON
//! without `metadata.resourceVersion`, which etcd knows better: it is spliced
//! into the bytes on the way out. What is to be encrypted ([`encryption`]) is
//! so in etcd only.

mod cluster;
mod compact;
mod connection;
pub mod encryption;
mod error;
mod leases;
mod members;
mod outcome;
mod own;
mod patience;
mod slots;
pub mod splice;
mod write;

pub use cluster::{Cluster, Origin};
pub use compact::compact_periodically;
pub use connection::Servers;
pub use error::{StoreError, too_large_resource_version};
pub use own::Written;
pub use slots::Slots;
pub use write::{InTurn, Write};

use crate::background::{Lane, OTHERS};
use bytes::Bytes;
use connection::Answers;
use encryption::Encryption;
use error::describe;
use etcd_client::{GetOptions, KvClient, WatchClient, WatchOptions, WatchStream};
use hardway_client::channel::Connection;
use hardway_client::task;
use leases::Leases;
use own::OwnWrites;
use serde_json::Value;
use slots::Turn;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Where every object lives.
pub const ROOT: &str = "/registry/";

/// How long etcd may take for one request.
const TIMEOUT: Duration = Duration::from_secs(5);

/// An object as etcd has it.
#[derive(Clone, Debug)]
pub struct Stored {
    /// The key, below [`ROOT`].
    pub key: String,
    /// The JSON, without resource version.
    pub value: Bytes,
    /// Revision of its last change.
    pub revision: i64,
    /// Whether it would be encrypted otherwise today.
    pub stale: bool,
}

impl Stored {
    /// The object, which has a `metadata`.
    pub fn object(&self) -> Result<Value, StoreError> {
        let value = serde_json::from_slice::<Value>(&self.value);
        let reason = match value {
            Ok(value) if value["metadata"].is_object() => return Ok(value),
            Ok(_) => "it has no metadata".to_owned(),
            Err(error) => error.to_string(),
        };
        Err(StoreError::Malformed {
            key: self.key.clone(),
            reason,
        })
    }
}

/// A page of a range.
pub struct Page {
    /// Its objects in key order, or why they can't be read.
    pub items: Vec<Result<Stored, StoreError>>,
    /// The revision it shows.
    pub revision: i64,
    /// Whether more follow.
    pub more: bool,
    /// How many objects the whole range has.
    pub count: i64,
}

impl Page {
    /// The items with their keys, below [`ROOT`].
    pub fn keyed(&self) -> impl DoubleEndedIterator<Item = (&str, &Result<Stored, StoreError>)> {
        self.items.iter().filter_map(|item| match item {
            Ok(stored) => Some((stored.key.as_str(), item)),
            Err(StoreError::Unreadable { key, .. }) => Some((key.as_str(), item)),
            Err(_) => None,
        })
    }
}

/// How to reach etcd.
pub struct Options {
    /// Where it is, and the certificates.
    pub servers: Arc<Servers>,
    /// How long Events live.
    pub event_ttl: Duration,
    /// How values are encrypted.
    pub encryption: Arc<Encryption>,
    /// Where to keep which members there are.
    pub servers_file: Option<PathBuf>,
}

/// A connection to etcd; cheap to clone.
#[derive(Clone)]
pub struct Store {
    connection: Connection,
    kv: KvClient,
    watch: WatchClient,
    leases: Leases,
    encryption: Arc<Encryption>,
    own: Arc<OwnWrites>,
}

impl Store {
    /// Prepares the connection; etcd need not be up.
    pub async fn open(options: Options) -> Result<Self, StoreError> {
        let kept = options.servers.remember(options.servers_file);
        let connection = connection::connect(&options.servers);
        let client = connection::client(connection.clone(), Answers::FromLed).await;
        let client = client.map_err(|error| StoreError::Unavailable(describe(&error)))?;
        let store = Self {
            connection,
            kv: client.kv_client().max_decoding_message_size(usize::MAX),
            watch: client.watch_client().max_decoding_message_size(usize::MAX),
            leases: Leases::new(client.lease_client(), options.event_ttl),
            encryption: options.encryption,
            own: Arc::default(),
        };
        let following = members::follow(store.connection.clone(), client, options.servers, kept);
        task::spawn_critical("etcd-members", following);
        Ok(store)
    }

    /// Whether etcd has several members, so that there may be several apiservers as well.
    pub fn has_other_members(&self) -> bool {
        self.connection.has_others()
    }

    /// Waits for the turn of a request that gives way to others; no other waits.
    async fn turn(&self) -> Option<Turn<'static>> {
        let lane = Lane::current()?;
        Some(Turn::wait(&lane.etcd, &OTHERS).await)
    }

    /// etcd's current revision, confirmed with a quorum.
    pub async fn revision(&self) -> Result<i64, StoreError> {
        let options = GetOptions::new().with_count_only();
        let response = self.read_again("revision", ROOT.into(), options).await?;
        Ok(response.header().map_or(0, |header| header.revision()))
    }

    /// Whether etcd answers with a quorum now, of several members any. The only one is not waited
    /// for.
    pub async fn check(&self) -> Result<(), StoreError> {
        if self.connection.has_others() {
            return self.revision().await.map(drop);
        }
        let options = GetOptions::new().with_count_only();
        let mut kv = self.kv.clone();
        let answer = self.timed("revision", kv.get(ROOT, Some(options)));
        answer.await.map(drop)
    }

    /// One object, as it is now.
    pub async fn get(&self, key: &str) -> Result<Option<Stored>, StoreError> {
        let mut response = self.read_again("get", full(key), GetOptions::new()).await?;
        let found = response.take_kvs().into_iter().next();
        found.map(|pair| self.stored(pair)).transpose()
    }

    /// Whether the value of a key (below the root) may be stale because of
    /// how it is encrypted.
    pub fn may_be_stale(&self, key: &str) -> bool {
        self.encryption.concerns(key)
    }

    /// An object in the bytes that etcd has.
    pub fn read(&self, key: String, value: Bytes, revision: i64) -> Result<Stored, StoreError> {
        match self.encryption.open(&key, value) {
            Ok(opened) => Ok(Stored {
                key,
                value: opened.value,
                revision,
                stale: opened.stale,
            }),
            Err(reason) => Err(StoreError::Unreadable { key, reason }),
        }
    }

    /// What this store has just written, if the watch has brought these bytes of a key (below
    /// the root).
    pub fn take_written(&self, key: &str, value: &[u8]) -> Option<Written> {
        self.own.take(key, value)
    }

    fn stored(&self, pair: etcd_client::KeyValue) -> Result<Stored, StoreError> {
        let revision = pair.mod_revision();
        let (key, value) = pair.into_key_value();
        self.read(below_root(&key), value.into(), revision)
    }

    /// Objects of keys from `from` up to, not including, `to`, in key order;
    /// at a revision, or now if it is 0.
    pub async fn range(
        &self,
        from: &str,
        to: &str,
        limit: i64,
        revision: i64,
    ) -> Result<Page, StoreError> {
        let options = GetOptions::new()
            .with_range(full(to))
            .with_limit(limit)
            .with_revision(revision);
        let _turn = self.turn().await;
        let result = self.read_again("list", full(from), options).await;
        let mut response = result.map_err(|error| match error {
            StoreError::Compacted(_) => StoreError::Compacted(revision),
            StoreError::Future(_) => StoreError::Future(revision),
            other => other,
        })?;
        Ok(Page {
            revision: match revision {
                0 => response.header().map_or(0, |header| header.revision()),
                fixed => fixed,
            },
            more: response.more(),
            count: response.count(),
            items: response
                .take_kvs()
                .into_iter()
                .map(|pair| self.stored(pair))
                .collect(),
        })
    }

    /// Every event in etcd from a revision on.
    pub async fn watch(&self, from: i64) -> Result<WatchStream, StoreError> {
        let options = WatchOptions::new()
            .with_all_keys()
            .with_start_revision(from);
        let mut watch = self.watch.clone();
        self.timed("watch", watch.watch("\0", Some(options))).await
    }

    /// Forgets all revisions before `revision`.
    ///
    /// # Errors
    /// If etcd doesn't, or has done so already.
    pub async fn compact(&self, revision: i64) -> Result<(), StoreError> {
        let mut kv = self.kv.clone();
        self.timed("compact", kv.compact(revision, None)).await?;
        Ok(())
    }
}

fn full(key: &str) -> Vec<u8> {
    [ROOT.as_bytes(), key.as_bytes()].concat()
}

/// A key without [`ROOT`].
pub fn below_root(key: &[u8]) -> String {
    let key = key.strip_prefix(ROOT.as_bytes()).unwrap_or(key);
    String::from_utf8_lossy(key).into_owned()
}
