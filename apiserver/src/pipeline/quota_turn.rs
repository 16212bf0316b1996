//! Quotas where there are several apiservers. Each checks them against its own watch cache, which
//! doesn't show what another one is about to create. So creations that count against a quota take
//! turns: a key of the namespace changes with each of them, and each happens only if that key has
//! not changed since the quota was checked.

use super::{Pipeline, Target};
use crate::store;
use hardway_access::Objects;
use hardway_proto::Status;
use hardway_proto::quota::{amounts, usage};
use jiff::Timestamp;
use serde_json::Value;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::LazyLock;
use tokio::sync::{Mutex, MutexGuard};

/// Where the keys are, below [`store::ROOT`].
const KEYS: &str = "hardway/quota-turns";
/// How often a creation is checked again because another apiserver was faster.
pub(super) const TRIES: usize = 64;

/// Creations through this apiserver wait for each other here, rather than undo each other's turn;
/// namespaces that share one, too.
static WAITING: LazyLock<[Mutex<()>; 64]> =
    LazyLock::new(|| std::array::from_fn(|_| Mutex::new(())));

/// The turn of one creation.
pub(super) struct QuotaTurn {
    pub(super) turn: store::InTurn,
    _waiting: MutexGuard<'static, ()>,
}

impl Pipeline {
    /// Whether a creation has to wait for its turn: not if it counts against no quota, or nobody
    /// else can create anything.
    pub(super) fn takes_turns(&self, target: &Target, object: &Value) -> bool {
        self.store.has_other_members() && self.counts(target, object)
    }

    /// Waits for the turn of a creation. What depends on what else there is is checked
    /// afterwards, and nothing else: others wait meanwhile.
    pub(super) async fn quota_turn(&self, target: &Target) -> Result<QuotaTurn, Status> {
        let key = format!("{KEYS}/{}", target.namespace);
        let mut hasher = DefaultHasher::new();
        target.namespace.hash(&mut hasher);
        let place = usize::try_from(hasher.finish() % 64).unwrap_or(0);
        let waiting = WAITING[place].lock().await;
        let revision = self.store.last_turn(&key).await?;
        self.cache.fresh().await?;
        Ok(QuotaTurn {
            turn: store::InTurn { key, revision },
            _waiting: waiting,
        })
    }

    /// Whether a quota of its namespace limits what an object uses.
    fn counts(&self, target: &Target, object: &Value) -> bool {
        if target.namespace.is_empty() {
            return false;
        }
        let namespace = Some(target.namespace.as_str());
        let quotas = self.cache.read_all("", "resourcequotas", namespace);
        if quotas.is_empty() {
            return false;
        }
        let used = usage(target.group(), target.plural(), object, Timestamp::now());
        quotas.iter().any(|quota| {
            let hard = amounts(quota, "/spec/hard");
            used.keys().any(|what| hard.contains_key(what))
        })
    }
}
