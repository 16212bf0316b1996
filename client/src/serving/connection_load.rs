//! Connections on which much is asked for at a time.

use parking_lot::Mutex;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// A connection counts as burdened for so long after a request that said so.
const LASTING: Duration = Duration::from_secs(1);

/// Whether a connection is burdened: its requests are many, and its bytes may wait for
/// those of other connections. Who answers requests says so.
#[derive(Debug, Default)]
pub struct ConnectionLoad {
    until: Mutex<Option<Instant>>,
    grows: Notify,
}

impl ConnectionLoad {
    /// One of many requests is answered.
    pub fn note(&self) {
        let until = Instant::now() + LASTING;
        if self.until.lock().replace(until).is_none() {
            self.grows.notify_one();
        }
    }

    /// Until the connection is burdened.
    pub async fn begins(&self) {
        while self.until.lock().is_none() {
            self.grows.notified().await;
        }
    }

    /// Until it isn't any more.
    pub async fn ends(&self) {
        loop {
            let until = {
                let mut until = self.until.lock();
                match *until {
                    Some(at) if at > Instant::now() => at,
                    _ => {
                        *until = None;
                        return;
                    }
                }
            };
            tokio::time::sleep_until(until).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[tokio::test(start_paused = true)]
    async fn a_burden_lasts_for_a_while() {
        let load = ConnectionLoad::default();
        assert!(load.begins().now_or_never().is_none());
        load.note();
        load.begins().await;
        tokio::time::advance(LASTING / 2).await;
        load.note();
        let noted = Instant::now();
        load.ends().await;
        assert!(noted.elapsed() >= LASTING, "the last request counts");
        assert!(load.begins().now_or_never().is_none());
        load.note();
        assert!(load.begins().now_or_never().is_some(), "it may come again");
    }
}
