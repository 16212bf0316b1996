//! Who is to hear of news.

use parking_lot::Mutex;
use std::sync::{Arc, Weak};
use tokio::sync::Notify;

/// Those who look at something, as long as they are there.
#[derive(Default)]
pub struct Lookers(Mutex<Vec<Weak<Notify>>>);

impl Lookers {
    /// One more, who hears at once that there is something to look at.
    pub fn add(&self, looker: &Arc<Notify>) {
        self.0.lock().push(Arc::downgrade(looker));
        looker.notify_one();
    }

    /// Says that there is news.
    pub fn notify(&self) {
        self.0.lock().retain(|looker| match looker.upgrade() {
            Some(looker) => {
                looker.notify_one();
                true
            }
            None => false,
        });
    }
}
