//! What a viewer's pages look at: each selection is watched once.

use super::collection::Collection;
use super::lookers::Lookers;
use super::message::Selection;
use super::watch::{self, Sink};
use crate::failure::Failure;
use crate::metrics;
use http::StatusCode;
use kube::Client;
use parking_lot::{Mutex, MutexGuard};
use std::collections::HashMap;
use std::sync::{Arc, Weak};
use tokio::sync::Notify;
use tokio_util::task::AbortOnDropHandle;

/// How many selections one viewer may have watched.
const MOST: usize = 256;

/// The watches of one viewer.
pub struct Watches {
    client: Client,
    running: Mutex<HashMap<Selection, Weak<Watch>>>,
}

/// A selection that is being watched, until nobody looks at it any more.
pub struct Watch {
    shared: Arc<Shared>,
    _task: AbortOnDropHandle<()>,
}

#[derive(Default)]
struct Shared {
    collection: Mutex<Collection>,
    lookers: Lookers,
}

impl Sink for Shared {
    fn change<T>(&self, change: impl FnOnce(&mut Collection) -> T) -> T {
        let changed = change(&mut self.collection.lock());
        self.lookers.notify();
        changed
    }
}

impl Watches {
    /// Of a viewer with these credentials.
    pub fn new(client: Client) -> Self {
        Self {
            client,
            running: Mutex::default(),
        }
    }

    /// Watches a selection, as long as what this gives is kept. `looker` is notified of news.
    ///
    /// # Errors
    /// If too many are watched.
    pub fn look(&self, selection: &Selection, looker: &Arc<Notify>) -> Result<Arc<Watch>, Failure> {
        let mut running = self.running.lock();
        running.retain(|_, watch| watch.strong_count() > 0);
        let watch = match running.get(selection).and_then(Weak::upgrade) {
            Some(watch) => watch,
            None if running.len() >= MOST => {
                let message = format!("{MOST} selections are watched: close some pages");
                return Err(Failure::new(StatusCode::TOO_MANY_REQUESTS, message));
            }
            None => {
                let watch = Arc::new(Watch::start(self.client.clone(), selection.clone()));
                running.insert(selection.clone(), Arc::downgrade(&watch));
                watch
            }
        };
        watch.shared.lookers.add(looker);
        Ok(watch)
    }
}

impl Watch {
    fn start(client: Client, selection: Selection) -> Self {
        metrics::WATCHES.inc();
        let shared = Arc::<Shared>::default();
        let kept = shared.clone();
        let task = tokio::spawn(async move { watch::keep(&client, &selection, &*kept).await });
        Self {
            shared,
            _task: AbortOnDropHandle::new(task),
        }
    }

    /// What there is now.
    pub fn collection(&self) -> MutexGuard<'_, Collection> {
        self.shared.collection.lock()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        metrics::WATCHES.dec();
    }
}
