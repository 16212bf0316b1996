//! The two ports, and what comes in by them.

use crate::bodies::Body;
use crate::certificates::Resolver;
use crate::forward::Forwarder;
use crate::headers::Scheme;
use hardway_client::serving::{self, Bounds, Peer, caught, descriptors};
use hardway_client::tls;
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use rustls::ServerConfig;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// What answers at a port.
#[derive(Clone)]
struct Port {
    forwarder: Arc<Forwarder>,
    scheme: Scheme,
}

impl serving::Service for Port {
    type Body = Body;

    async fn answer(&self, peer: Peer, request: Request<Incoming>) -> Response<Body> {
        let client = peer.address.ip().to_canonical();
        // Who has sent a request is no stranger: clients have a share each, by their addresses.
        peer.prove(&client.to_string());
        let answer = self.forwarder.answer(client, self.scheme, request);
        caught(answer).await.unwrap_or_else(|panic| {
            tracing::error!(panic, "a request panicked");
            let mut response = Response::new(crate::bodies::empty());
            *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            response
        })
    }
}

/// Both ports, bound.
pub struct Server {
    http: serving::Server,
    https: serving::Server,
}

impl Server {
    /// Binds the ports.
    ///
    /// # Errors
    /// If one can't be had, or TLS can't be set up.
    pub async fn bind(
        http: SocketAddr,
        https: SocketAddr,
        resolver: Arc<Resolver>,
    ) -> Result<Self, Box<dyn std::error::Error>> {
        // Each port may have half of the connections.
        let bounds = Bounds::of_descriptors(descriptors() / 2);
        let http = TcpListener::bind(http).await?;
        let https = TcpListener::bind(https).await?;
        let tls = tls::Reloading::new(&[], move || {
            let mut config = ServerConfig::builder()
                .with_no_client_auth()
                .with_cert_resolver(resolver.clone());
            config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
            Ok(config)
        })?;
        Ok(Self {
            http: serving::Server::in_the_clear(http, bounds),
            https: serving::Server::new(https, tls, bounds),
        })
    }

    /// Where it listens: for HTTP, and for HTTPS.
    ///
    /// # Errors
    /// If the system doesn't say.
    pub fn addresses(&self) -> std::io::Result<(SocketAddr, SocketAddr)> {
        Ok((self.http.address()?, self.https.address()?))
    }

    /// Answers until `stop`; then lets what is under way end, for so long.
    pub async fn run(self, forwarder: Arc<Forwarder>, stop: CancellationToken, drain: Duration) {
        let port = |scheme| Port {
            forwarder: forwarder.clone(),
            scheme,
        };
        let (http, https) = tokio::join!(
            self.http.run(port(Scheme::Http), stop.cancelled()),
            self.https.run(port(Scheme::Https), stop.cancelled()),
        );
        let (http, https) = tokio::join!(http.finish(drain), https.finish(drain));
        if !(http && https) {
            tracing::warn!("not all requests have ended in time");
        }
    }
}
