//! For one viewer, on this machine: with the viewer's own credentials, on a port of the loopback
//! that nobody else may use. There is no secret in the URL that could be seen in a list of
//! processes or a history: the kernel says whose a connection is.

mod browser;
pub mod socket_owner;

use crate::cluster;
use crate::dashboard::Dashboard;
use crate::failure::Failure;
use crate::flags;
use crate::router;
use axum::response::IntoResponse;
use hardway_client::serving::{Bounds, Peer, Server, Service};
use hardway_client::{signals, task};
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use nix::unistd::geteuid;
use socket_owner::{Owner, owner};
use std::net::{Ipv4Addr, SocketAddr};
use tokio::net::TcpListener;
use tower::ServiceExt;

/// A browser opens a few connections for a page.
const BOUNDS: Bounds = Bounds {
    total: 256,
    strangers: 256,
    strangers_per_address: 256,
    per_user: 256,
    loopback: 64,
};

/// Serves until it is told to stop.
///
/// # Errors
/// If the kubeconfig can't be used, or the port can't be had.
pub async fn run(flags: flags::Local) -> Result<(), Box<dyn std::error::Error>> {
    let cluster = cluster::of_kubeconfig(&flags.kubeconfig, flags.context.as_deref()).await?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, flags.port));
    let listener = TcpListener::bind(address)
        .await
        .map_err(|error| format!("cannot listen on {address}: {error}; choose another --port"))?;
    let server = listener.local_addr()?;
    let dashboard = Dashboard::local(cluster, server.port())?;
    let service = Local {
        router: router::router(dashboard),
        server,
        user: geteuid().as_raw(),
    };
    let url = format!("http://{server}/");
    println!("{url}");
    task::spawn_critical("server", async move {
        let listening = Server::in_the_clear(listener, BOUNDS);
        listening.run(service, std::future::pending()).await;
    });
    if !flags.no_browser {
        browser::open(&url);
    }
    tokio::select! {
        stop = signals::shutdown() => stop?,
        failure = task::failed() => return Err(failure.into()),
    }
    Ok(())
}

/// Answers whom the connection belongs to the same user as the server, or to root.
#[derive(Clone)]
pub struct Local {
    /// What answers them.
    pub router: axum::Router,
    /// Where it listens.
    pub server: SocketAddr,
    /// Whose it is, by number.
    pub user: u32,
}

impl Service for Local {
    type Body = axum::body::Body;

    async fn answer(&self, peer: Peer, request: Request<Incoming>) -> Response<Self::Body> {
        match look_up(peer.address, self.server).await {
            Some(owner) if owner.may_use(self.user) => {
                let request = request.map(axum::body::Body::new);
                let answer = self.router.clone().oneshot(request).await;
                answer.unwrap_or_else(|never| match never {})
            }
            other => {
                tracing::warn!(address = %peer.address, owner = ?other, "refused: another user");
                peer.leave();
                let message = "this dashboard is another user's";
                Failure::new(StatusCode::FORBIDDEN, message).into_response()
            }
        }
    }
}

/// Whose the connection is. The table is not read at one moment, so that it may lack a socket
/// while others come and go: then it is read again.
async fn look_up(client: SocketAddr, server: SocketAddr) -> Option<Owner> {
    for _ in 0..3 {
        for table in ["/proc/self/net/tcp", "/proc/self/net/tcp6"] {
            let Ok(text) = tokio::fs::read_to_string(table).await else {
                continue;
            };
            if let Some(owner) = owner(&text, client, server) {
                return Some(owner);
            }
        }
    }
    None
}
