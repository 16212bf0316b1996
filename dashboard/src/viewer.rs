//! On whose behalf the cluster is asked.

use crate::failure::Failure;
use crate::live::Watches;
use crate::problems::Looks;
use http::StatusCode;
use kube::Client;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// How many live pages and tunnels one viewer may have open.
const CONNECTIONS: usize = 64;

/// A viewer: a client with their credentials, and what it watches for their pages.
pub struct Viewer {
    /// Makes requests as the viewer.
    pub client: Client,
    /// What their pages look at.
    pub watches: Watches,
    /// What is being found out for their pages.
    pub looks: Looks,
    /// Their turn to have something found out.
    pub looking: Semaphore,
    left: CancellationToken,
    open: Arc<AtomicUsize>,
}

/// A live page or tunnel; it counts until it is dropped.
pub struct Connection(Arc<AtomicUsize>);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Viewer {
    /// Whoever the client's credentials belong to.
    pub fn new(client: Client) -> Arc<Self> {
        Arc::new(Self {
            watches: Watches::new(client.clone()),
            client,
            looks: Looks::default(),
            looking: Semaphore::new(1),
            left: CancellationToken::new(),
            open: Arc::default(),
        })
    }

    /// Opens a live page or tunnel.
    ///
    /// # Errors
    /// If there are too many.
    pub fn connect(&self) -> Result<Connection, Failure> {
        let open = self.open.fetch_add(1, Ordering::Relaxed);
        let connection = Connection(self.open.clone());
        match open < CONNECTIONS {
            true => Ok(connection),
            false => Err(Failure::new(
                StatusCode::TOO_MANY_REQUESTS,
                format!("{CONNECTIONS} pages and terminals are open: close some"),
            )),
        }
    }

    /// How many live pages and tunnels are open.
    pub fn connections(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Ends all that is open: nothing is done for them any more.
    pub fn leave(&self) {
        self.left.cancel();
    }

    /// Whether they have left.
    pub fn has_left(&self) -> bool {
        self.left.is_cancelled()
    }

    /// Returns when they have left.
    pub async fn leaving(&self) {
        self.left.cancelled().await;
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// One for whom nothing is asked.
    pub fn viewer() -> Arc<Viewer> {
        hardway_client::tls::install_provider();
        let config = kube::Config::new("http://127.0.0.1:1".parse().unwrap());
        Viewer::new(Client::try_from(config).unwrap())
    }

    #[tokio::test]
    async fn open_connections_are_bounded() {
        let viewer = viewer();
        let mut open: Vec<_> = (0..CONNECTIONS)
            .map(|_| viewer.connect().unwrap())
            .collect();
        assert!(viewer.connect().is_err());
        assert_eq!(viewer.connections(), CONNECTIONS);
        open.pop();
        assert!(viewer.connect().is_ok());
    }
}
