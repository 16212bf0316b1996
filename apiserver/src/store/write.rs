//! Writes: one transaction each, and finding out what became of one that was not
//! answered.

use super::outcome::{Sent, Verdict, Version};
use super::{Store, StoreError, TIMEOUT, Written, below_root, full};
use bytes::Bytes;
use etcd_client::{
    Compare, CompareOp, GetOptions, PutOptions, Txn, TxnOp, TxnOpResponse, TxnResponse,
};
use serde_json::Value;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Between two attempts to find out what became of a write.
const PAUSE: Duration = Duration::from_millis(100);
/// How many versions of a key are looked through for a write.
const HISTORY: usize = 32;

/// One write: a transaction that takes place only if nothing changed.
#[derive(Default)]
pub struct Write {
    /// The key, below [`super::ROOT`].
    pub key: String,
    /// The revision the key must be at; 0: it must not exist.
    pub expected: i64,
    /// What to store; `None` deletes.
    pub value: Option<Bytes>,
    /// The object of which that is the text, if whoever reads it makes nothing else of it.
    pub object: Option<Arc<Value>>,
    /// Whether the key goes away by itself after the event TTL.
    pub expires: bool,
    /// Keys that must not exist yet and are written together with this one.
    pub claims: Vec<String>,
    /// Claims to give back.
    pub releases: Vec<String>,
    /// What it takes turns with.
    pub turn: Option<InTurn>,
}

/// A key that must not have changed since a revision, and changes with a write.
#[derive(Clone, Debug)]
pub struct InTurn {
    /// The key, below [`super::ROOT`].
    pub key: String,
    /// The revision of its last change; 0: it is not there.
    pub revision: i64,
}

impl Store {
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
        let mut written = None;
        let sealed = match write.value {
            Some(json) => {
                let sealed = self.encryption.seal(&write.key, json.to_vec());
                let sealed = sealed.map_err(|reason| StoreError::Unwritable {
                    key: write.key.clone(),
                    reason,
                })?;
                let sealed = Bytes::from(sealed);
                written = write.object.map(|object| Written {
                    sealed: sealed.clone(),
                    json,
                    object,
                });
                Some(sealed)
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
        if let Some(turn) = &write.turn {
            let (key, revision) = (full(&turn.key), turn.revision);
            compares.push(Compare::mod_revision(
                key.clone(),
                CompareOp::Equal,
                revision,
            ));
            others.push(TxnOp::put(key, write.key.as_bytes(), None));
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
        let _turn = self.turn().await;
        // Before it is sent: the watch may be faster than the answer.
        let is_noted = written.is_some();
        if let Some(written) = written {
            self.own.add(&write.key, written);
        }
        let outcome = match self.send(&transaction).await {
            Ok(response) => self.answered(&write.key, &transaction.sent(), response),
            // Whether it was done is another question than whether it was
            // answered.
            Err(StoreError::Timeout | StoreError::Unavailable(_)) => {
                self.settle(&write.key, &transaction).await
            }
            Err(error) => Err(error),
        };
        if is_noted && outcome.is_err() {
            self.own.forget(&write.key);
        }
        outcome
    }

    /// Sends a transaction until a member begins with it: whatever it is, that is safe.
    async fn send(&self, transaction: &Transaction) -> Result<TxnResponse, StoreError> {
        let deadline = Instant::now() + TIMEOUT;
        loop {
            let mut kv = self.kv.clone();
            match self.timed("txn", kv.txn(transaction.build())).await {
                Err(StoreError::NotBegun(why)) if Instant::now() < deadline => {
                    self.elsewhere(&why).await;
                }
                answer => return answer,
            }
        }
    }

    /// The revision of the last write that had its turn at a key; 0 if there was none.
    pub async fn last_turn(&self, key: &str) -> Result<i64, StoreError> {
        let options = GetOptions::new().with_keys_only();
        let found = self.read_again("get", full(key), options).await?;
        Ok(found.kvs().first().map_or(0, |pair| pair.mod_revision()))
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
        let claims: Vec<String> = claims.collect();
        Err(match claims.is_empty() {
            true => StoreError::OutOfTurn,
            false => StoreError::Claimed(claims),
        })
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
            match self.timed("txn", kv.txn(transaction.build())).await {
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
        let mut response = self.read_again("get", full(key), options).await?;
        let at = response.header().map_or(0, |header| header.revision());
        let found = response.take_kvs().into_iter().next();
        Ok((at, found.map(Version::from)))
    }
}

fn unknown(key: &str) -> StoreError {
    StoreError::Unknown { key: key.into() }
}

/// A write as etcd is sent it, which may be more than once.
struct Transaction {
    key: Vec<u8>,
    expected: i64,
    value: Option<Bytes>,
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
            Some(value) => TxnOp::put(self.key.clone(), value.to_vec(), self.lease.clone()),
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
