//! What the connections of a server have in common.

use super::life::{self, Life};
use super::table::{Bounds, Decision, Id, Table};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use tokio::sync::Notify;
use tokio::time::Instant;

/// The table, and how to reach those that stand in it.
pub(super) struct Connections {
    inner: Mutex<Inner>,
    /// Somebody has gone.
    gone: Notify,
}

struct Inner {
    table: Table,
    closing: HashMap<Id, Arc<Notify>>,
}

impl Connections {
    pub fn new(bounds: Bounds) -> Arc<Self> {
        Arc::new(Self {
            inner: Mutex::new(Inner {
                table: Table::new(bounds),
                closing: HashMap::new(),
            }),
            gone: Notify::new(),
        })
    }

    /// A place for a newcomer, if there is one.
    pub fn admit(self: &Arc<Self>, address: IpAddr) -> Option<Arc<Slot>> {
        let mut inner = self.inner.lock();
        let Decision::Admit { id, close } = inner.table.admit(address) else {
            return None;
        };
        inner.close(close);
        let closing = Arc::new(Notify::new());
        inner.closing.insert(id, closing.clone());
        Some(Arc::new(Slot {
            id,
            connections: self.clone(),
            closing,
            leaving: Notify::new(),
            life: Mutex::new(Life::new(Instant::now())),
        }))
    }

    /// Closes the connection that would be missed least; says whether there
    /// was one.
    pub fn close_one(&self) -> bool {
        let mut inner = self.inner.lock();
        let Some(id) = inner.table.expendable() else {
            return false;
        };
        inner.table.remove(id);
        inner.close(Some(id));
        true
    }

    /// Waits until a connection has gone.
    pub async fn one_gone(&self) {
        self.gone.notified().await;
    }
}

impl Inner {
    fn close(&mut self, id: Option<Id>) {
        if let Some(closing) = id.and_then(|id| self.closing.get(&id)) {
            closing.notify_one();
        }
    }
}

/// A connection's place; given back when dropped.
pub(super) struct Slot {
    id: Id,
    connections: Arc<Connections>,
    closing: Arc<Notify>,
    /// No more requests are wanted.
    leaving: Notify,
    pub life: life::Shared,
}

impl Slot {
    /// Waits until the place is needed for another.
    pub async fn needed(&self) {
        self.closing.notified().await;
    }

    /// Waits until no more requests are wanted.
    pub async fn leaving(&self) {
        self.leaving.notified().await;
    }

    /// Takes no more requests.
    pub fn leave(&self) {
        self.leaving.notify_one();
    }

    pub fn set_idle(&self, idle: bool) {
        let mut inner = self.connections.inner.lock();
        inner.table.set_idle(self.id, idle);
    }

    pub fn prove(&self, user: &str) {
        let mut inner = self.connections.inner.lock();
        let close = inner.table.prove(self.id, user);
        inner.close(close);
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut inner = self.connections.inner.lock();
        inner.table.remove(self.id);
        inner.closing.remove(&self.id);
        drop(inner);
        self.connections.gone.notify_one();
    }
}
