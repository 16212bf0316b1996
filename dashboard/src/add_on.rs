//! As an add-on: a pod to which viewers bring their tokens. It has none of its own, so that
//! nobody can get more out of it than they brought.

use crate::cluster;
use crate::dashboard::{Dashboard, Viewers, session_of};
use crate::flags;
use crate::logins::Source;
use crate::metrics;
use crate::router;
use axum::Router;
use axum::body::Body;
use hardway_client::health::Checks;
use hardway_client::kubeconfig::Pem;
use hardway_client::serving::{Bounds, Peer, Server, Service, descriptors};
use hardway_client::tls::{self, ServerKey};
use hardway_client::{pod_health, signals, task};
use http::{Request, Response};
use hyper::body::Incoming;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::time::Instant;
use tower::ServiceExt;

/// How often sessions are looked through for those whose time is over.
const SWEEP: Duration = Duration::from_secs(60);

/// Serves until it is told to stop.
///
/// # Errors
/// If the API server's place or CA makes no sense, or a port can't be had.
pub async fn run(flags: flags::Serve) -> Result<(), Box<dyn std::error::Error>> {
    let server = match &flags.server {
        Some(server) => server.clone(),
        None => cluster::server_of_pods()?,
    };
    let cluster = cluster::of_server(&server, &flags.certificate_authority)?;
    let dashboard = Dashboard::add_on(cluster);
    let ca = Pem::File(flags.certificate_authority.clone());
    let key = ServerKey::of_its_own(&flags.server_name)?;
    let tls = tls::server(key, &ca, false, &["h2", "http/1.1"])?;
    let listener = TcpListener::bind(flags.address())
        .await
        .map_err(|error| format!("cannot listen on {}: {error}", flags.address()))?;
    let name = &flags.server_name;
    let health = pod_health::serve(name, flags.health_address(), &ca, Checks::default()).await?;
    tracing::info!(address = %listener.local_addr()?, %health, server, "answering");
    let service = AddOn::new(dashboard.clone());
    task::spawn_critical("server", async move {
        let listening = Server::new(listener, tls, Bounds::of_descriptors(descriptors()));
        listening.run(service, std::future::pending()).await;
    });
    task::spawn_critical("sessions", end_sessions(dashboard));
    tokio::select! {
        stop = signals::shutdown() => stop?,
        failure = task::failed() => return Err(failure.into()),
    }
    Ok(())
}

/// Ends sessions whose time is over, so that their pages stop.
async fn end_sessions(dashboard: Arc<Dashboard>) {
    loop {
        tokio::time::sleep(SWEEP).await;
        if let Viewers::LoggedIn(sessions) = &dashboard.viewers {
            let mut sessions = sessions.lock();
            sessions.sweep(Instant::now());
            metrics::SESSIONS.set(sessions.count() as i64);
        }
    }
}

/// Answers whoever comes; what they may do is their token's affair.
#[derive(Clone)]
pub struct AddOn {
    router: Router,
    dashboard: Arc<Dashboard>,
}

impl AddOn {
    /// Answers what the dashboard has to say.
    pub fn new(dashboard: Arc<Dashboard>) -> Self {
        Self {
            router: router::router(dashboard.clone()),
            dashboard,
        }
    }

    /// Whose session a request names.
    fn user(&self, request: &Request<Incoming>) -> Option<String> {
        let Viewers::LoggedIn(sessions) = &self.dashboard.viewers else {
            return None;
        };
        let identifier = session_of(request.headers())?;
        let sessions = sessions.lock();
        sessions.user(identifier, Instant::now()).map(str::to_owned)
    }
}

impl Service for AddOn {
    type Body = Body;

    async fn answer(&self, peer: Peer, mut request: Request<Incoming>) -> Response<Body> {
        // Where connections are scarce, those of strangers are closed first.
        if let Some(user) = self.user(&request) {
            peer.prove(&user);
        }
        let source = Source::of(peer.address.ip());
        request.extensions_mut().insert(source);
        let answer = self.router.clone().oneshot(request.map(Body::new)).await;
        answer.unwrap_or_else(|never| match never {})
    }
}
