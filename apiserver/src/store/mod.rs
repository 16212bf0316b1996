//! The store: objects in etcd, as Kubernetes lays them out.
//!
//! Keys are `/registry/<prefix>/[namespace/]name`, values the object's JSON
//! without `metadata.resourceVersion`, which etcd knows better: it is spliced
//! into the bytes on the way out. What is to be encrypted ([`encryption`]) is
//! so in etcd only.

mod compact;
pub mod encryption;
mod leases;
mod outcome;
pub mod splice;

pub use compact::compact_periodically;

use crate::metrics;
use bytes::Bytes;
use encryption::Encryption;
use etcd_client::{
    Client, Compare, CompareOp, ConnectOptions, Error, GetOptions, KvClient, PutOptions, Txn,
    TxnOp, TxnOpResponse, TxnResponse, WatchClient, WatchOptions, WatchStream,
};
use hardway_proto::Status;
use leases::Leases;
use outcome::{Sent, Verdict, Version};
use serde_json::Value;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tonic::transport::{Certificate, ClientTlsConfig, Identity};

/// Where every object lives.
pub const ROOT: &str = "/registry/";

/// How long etcd may take for one request.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Between two attempts to find out what became of a write.
const PAUSE: Duration = Duration::from_millis(100);
/// How many versions of a key are looked through for a write.
const HISTORY: usize = 32;

/// Why a request to etcd failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The comparison failed: the key isn't at the expected revision.
    #[error("the object changed meanwhile")]
    Changed(Option<Stored>),
    /// Another object holds these keys.
    #[error("already claimed: {0:?}")]
    Claimed(Vec<String>),
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
            StoreError::Unavailable(_) => Status::unavailable(message),
            StoreError::TooLarge(_) => Status::too_large(message),
            StoreError::Unreadable { .. }
            | StoreError::Malformed { .. }
            | StoreError::Unwritable { .. } => Status::internal(message),
            StoreError::Compacted(revision) => Status::expired(format!(
                "The resourceVersion for the provided list is too old: {revision}"
            )),
            StoreError::Future(revision) => too_large_resource_version(revision, None),
            StoreError::Changed(_) | StoreError::Claimed(_) => {
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

/// One write: a transaction that takes place only if nothing changed.
#[derive(Default)]
pub struct Write {
    /// The key, below [`ROOT`].
    pub key: String,
    /// The revision the key must be at; 0: it must not exist.
    pub expected: i64,
    /// What to store; `None` deletes.
    pub value: Option<Vec<u8>>,
    /// Whether the key goes away by itself after the event TTL.
    pub expires: bool,
    /// Keys that must not exist yet and are written together with this one.
    pub claims: Vec<String>,
    /// Claims to give back.
    pub releases: Vec<String>,
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
    /// URLs.
    pub servers: Vec<String>,
    /// PEM of the CA that signed etcd's certificate.
    pub ca: Option<Vec<u8>>,
    /// PEM of the client's certificate and key.
    pub identity: Option<(Vec<u8>, Vec<u8>)>,
    /// How long Events live.
    pub event_ttl: Duration,
    /// How values are encrypted.
    pub encryption: Arc<Encryption>,
}

/// A connection to etcd; cheap to clone.
#[derive(Clone)]
pub struct Store {
    kv: KvClient,
    watch: WatchClient,
    leases: Leases,
    encryption: Arc<Encryption>,
}

impl Store {
    /// Prepares the connection; etcd need not be up.
    pub async fn open(options: Options) -> Result<Self, StoreError> {
        let mut connect = ConnectOptions::new()
            .with_connect_timeout(Duration::from_secs(2))
            .with_keep_alive(Duration::from_secs(10), Duration::from_secs(5))
            .with_keep_alive_while_idle(true)
            .with_require_leader(true);
        if options.ca.is_some() || options.identity.is_some() {
            let mut tls = ClientTlsConfig::new();
            if let Some(ca) = options.ca {
                tls = tls.ca_certificate(Certificate::from_pem(ca));
            }
            if let Some((certificate, key)) = options.identity {
                tls = tls.identity(Identity::from_pem(certificate, key));
            }
            connect = connect.with_tls(tls);
        }
        let client = Client::connect(&options.servers, Some(connect))
            .await
            .map_err(|error| StoreError::Unavailable(describe(&error)))?;
        Ok(Self {
            kv: client.kv_client().max_decoding_message_size(usize::MAX),
            watch: client.watch_client().max_decoding_message_size(usize::MAX),
            leases: Leases::new(client.lease_client(), options.event_ttl),
            encryption: options.encryption,
        })
    }

    /// etcd's current revision, confirmed with a quorum.
    pub async fn revision(&self) -> Result<i64, StoreError> {
        let options = GetOptions::new().with_count_only();
        let mut kv = self.kv.clone();
        let response = timed("revision", kv.get(ROOT, Some(options))).await?;
        Ok(response.header().map_or(0, |header| header.revision()))
    }

    /// One object, as it is now.
    pub async fn get(&self, key: &str) -> Result<Option<Stored>, StoreError> {
        let mut kv = self.kv.clone();
        let mut response = timed("get", kv.get(full(key), None)).await?;
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
        let mut kv = self.kv.clone();
        let result = timed("list", kv.get(full(from), Some(options))).await;
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
        timed("watch", watch.watch("\0", Some(options))).await
    }

    /// Does a write; gives the revision it happened at.
    pub async fn commit(&self, write: Write) -> Result<i64, StoreError> {
        let key = full(&write.key);
        let mut compares = vec![match write.expected {
            0 => Compare::version(key.clone(), CompareOp::Equal, 0),
            revision => Compare::mod_revision(key.clone(), CompareOp::Equal, revision),
        }];
        let lease = match write.expires {
            true => Some(PutOptions::new().with_lease(self.leases.current().await?)),
            false => None,
        };
        let sealed = match write.value {
            Some(value) => {
                let sealed = self.encryption.seal(&write.key, value);
                Some(sealed.map_err(|reason| StoreError::Unwritable {
                    key: write.key.clone(),
                    reason,
                })?)
            }
            None => None,
        };
        let mut others = Vec::new();
        let mut lookups = vec![TxnOp::get(key.clone(), None)];
        for claim in &write.claims {
            compares.push(Compare::version(full(claim), CompareOp::Equal, 0));
            others.push(TxnOp::put(full(claim), write.key.as_bytes(), None));
            lookups.push(TxnOp::get(full(claim), None));
        }
        for release in &write.releases {
            others.push(TxnOp::delete(full(release), None));
        }
        let transaction = Transaction {
            key,
            expected: write.expected,
            value: sealed,
            lease,
            compares,
            others,
            lookups,
        };
        let mut kv = self.kv.clone();
        match timed("txn", kv.txn(transaction.build())).await {
            Ok(response) => self.answered(&write.key, &transaction.sent(), response),
            // Whether it was done is another question than whether it was
            // answered.
            Err(StoreError::Timeout | StoreError::Unavailable(_)) => {
                self.settle(&write.key, &transaction).await
            }
            Err(error) => Err(error),
        }
    }

    /// What the answer to a write's transaction says.
    fn answered(
        &self,
        key: &str,
        sent: &Sent<'_>,
        response: TxnResponse,
    ) -> Result<i64, StoreError> {
        if response.succeeded() {
            return Ok(response.header().map_or(0, |header| header.revision()));
        }
        let mut found = response.op_responses().into_iter().map(|op| match op {
            TxnOpResponse::Get(mut get) => get.take_kvs().into_iter().next(),
            _ => None,
        });
        let current = found.next().flatten();
        if current.as_ref().map_or(0, |pair| pair.mod_revision()) != sent.expected {
            let version = current.map(Version::from);
            return Err(self.changed(key, sent, version));
        }
        let claims = found.flatten().map(|pair| below_root(pair.key()));
        Err(StoreError::Claimed(claims.collect()))
    }

    /// The error for a write that found the key changed.
    fn changed(&self, key: &str, sent: &Sent<'_>, now: Option<Version>) -> StoreError {
        let now = now.map(|now| self.read(key.to_owned(), now.value.into(), now.changed));
        match now.transpose() {
            // That there is one is all that matters to a creation.
            Err(_) if sent.expected == 0 => StoreError::Changed(None),
            Err(error) => error,
            Ok(now) => StoreError::Changed(now),
        }
    }

    /// Finds out what became of a write that was not answered, and sends it
    /// again where that is safe.
    async fn settle(&self, key: &str, transaction: &Transaction) -> Result<i64, StoreError> {
        let sent = &transaction.sent();
        let deadline = Instant::now() + TIMEOUT;
        while Instant::now() < deadline {
            let Ok((revision, now)) = self.version(key, 0).await else {
                tokio::time::sleep(PAUSE).await;
                continue;
            };
            match sent.verdict(now.as_ref()) {
                Verdict::Done(at) => return Ok(at.unwrap_or(revision)),
                Verdict::Refused => return Err(self.changed(key, sent, now)),
                Verdict::Unknown => return Err(unknown(key)),
                Verdict::Overwritten => {
                    let was_done = self.was_done(key, sent, now.as_ref()).await;
                    return match was_done {
                        Ok(Some(at)) => Ok(at),
                        Ok(None) => Err(self.changed(key, sent, now)),
                        Err(_) => Err(unknown(key)),
                    };
                }
                Verdict::Again => {}
            }
            let mut kv = self.kv.clone();
            match timed("txn", kv.txn(transaction.build())).await {
                // The first one may have come meanwhile: look again.
                Ok(response) => match self.answered(key, sent, response) {
                    Err(StoreError::Changed(_)) => {}
                    answer => return answer,
                },
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
        Err(unknown(key))
    }

    /// The revision at which a write was done that others have written over,
    /// from the key's history; none if it wasn't.
    async fn was_done(
        &self,
        key: &str,
        sent: &Sent<'_>,
        now: Option<&Version>,
    ) -> Result<Option<i64>, StoreError> {
        let mut version = now.cloned();
        for _ in 0..HISTORY {
            let Some(at) = version.as_ref().and_then(|version| sent.before(version)) else {
                return Ok(None);
            };
            (_, version) = self.version(key, at).await?;
            match sent.verdict(version.as_ref()) {
                Verdict::Done(at) => return Ok(at),
                Verdict::Overwritten => {}
                _ => return Ok(None),
            }
        }
        Err(unknown(key))
    }

    /// A key as it was at a revision, or is now if that is 0, and etcd's own
    /// revision.
    async fn version(
        &self,
        key: &str,
        revision: i64,
    ) -> Result<(i64, Option<Version>), StoreError> {
        let options = GetOptions::new().with_revision(revision);
        let mut kv = self.kv.clone();
        let mut response = timed("get", kv.get(full(key), Some(options))).await?;
        let at = response.header().map_or(0, |header| header.revision());
        let found = response.take_kvs().into_iter().next();
        Ok((at, found.map(Version::from)))
    }

    /// Forgets all revisions before `revision`.
    async fn compact(&self, revision: i64) -> Result<(), StoreError> {
        let mut kv = self.kv.clone();
        timed("compact", kv.compact(revision, None)).await?;
        Ok(())
    }
}

fn unknown(key: &str) -> StoreError {
    StoreError::Unknown { key: key.into() }
}

/// A write as etcd is sent it, which may be more than once.
struct Transaction {
    key: Vec<u8>,
    expected: i64,
    value: Option<Vec<u8>>,
    lease: Option<PutOptions>,
    compares: Vec<Compare>,
    /// Claims taken and given back.
    others: Vec<TxnOp>,
    /// What is looked at if nothing is done.
    lookups: Vec<TxnOp>,
}

impl Transaction {
    fn build(&self) -> Txn {
        let mut operations = Vec::with_capacity(1 + self.others.len());
        operations.push(match &self.value {
            Some(value) => TxnOp::put(self.key.clone(), value.clone(), self.lease.clone()),
            None => TxnOp::delete(self.key.clone(), None),
        });
        operations.extend(self.others.iter().cloned());
        Txn::new()
            .when(self.compares.clone())
            .and_then(operations)
            .or_else(self.lookups.clone())
    }

    fn sent(&self) -> Sent<'_> {
        Sent {
            expected: self.expected,
            value: self.value.as_deref(),
        }
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

async fn timed<T>(
    operation: &str,
    call: impl Future<Output = Result<T, Error>>,
) -> Result<T, StoreError> {
    let start = Instant::now();
    let result = match tokio::time::timeout(TIMEOUT, call).await {
        Ok(result) => result.map_err(|error| classify(&error)),
        Err(_) => Err(StoreError::Timeout),
    };
    metrics::etcd_request(operation, start.elapsed(), result.is_ok());
    result
}

fn classify(error: &Error) -> StoreError {
    let text = describe(error);
    if text.contains("required revision has been compacted") {
        StoreError::Compacted(0)
    } else if text.contains("future revision") {
        StoreError::Future(0)
    } else if text.contains("request is too large") {
        StoreError::TooLarge(text)
    } else if text.contains("request timed out") || text.contains("Timeout expired") {
        StoreError::Timeout
    } else if is_refusal(error) {
        StoreError::Refused(text)
    } else {
        StoreError::Unavailable(text)
    }
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
fn describe(error: &Error) -> String {
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
