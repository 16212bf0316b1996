//! The client of one webhook's server.

use super::answer;
use crate::backend::{self, Connector, Destination, Reference};
use crate::cache::Cache;
use bytes::Bytes;
use hardway_access::admission::webhooks::{CallError, ClientConfig};
use hardway_client::kubeconfig::Pem;
use hardway_client::tls::{self, Trust};
use http::{Request, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

/// How long a connection that nobody uses is kept.
const IDLE: Duration = Duration::from_secs(60);
/// Connections kept though nobody uses them.
const KEPT: usize = 32;
/// The longest answer that is read, in bytes: the largest object, or many converted ones.
const LARGEST: usize = 16 << 20;
/// Whom a webhook is believed to be that names no authorities: those that this host believes,
/// where Debian keeps them.
const SYSTEM_ROOTS: &str = "/etc/ssl/certs/ca-certificates.crt";

/// A webhook's server.
pub struct Client {
    /// `https://HOST:PORT/PATH`, as it is told.
    url: String,
    client: legacy::Client<Connector, Full<Bytes>>,
}

impl Client {
    /// One that isn't connected yet.
    ///
    /// # Errors
    /// If the configuration makes no sense.
    pub fn new(cache: Arc<Cache>, config: &ClientConfig) -> Result<Self, String> {
        let (destination, url) = destination(config)?;
        let trust = match config.ca_bundle.is_empty() {
            true => Pem::File(SYSTEM_ROOTS.into()),
            false => Pem::Inline(config.ca_bundle.clone()),
        };
        // HTTP/1.1, as in Kubernetes: one connection with HTTP/2 would ask one endpoint only.
        let tls = tls::client_trusting(Trust::In(trust), None, &["http/1.1"])
            .map_err(|error| format!("unable to load root certificates: {error}"))?;
        let client = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(KEPT)
            .build(Connector::new(cache, destination, Ok(tls)));
        Ok(Self { url, client })
    }

    /// Posts a review; see [`super::Webhooks::post`].
    pub async fn post(&self, review: Bytes, timeout: Duration) -> Result<Value, CallError> {
        // Whole seconds, rounded up, so that the server knows how long it may take.
        let seconds = timeout.as_secs() + u64::from(timeout.subsec_nanos() > 0);
        let url = format!("{}?timeout={seconds}s", self.url);
        match tokio::time::timeout(timeout, self.ask(&url, review)).await {
            Ok(answered) => answered,
            Err(_) => Err(unreachable(&url, "context deadline exceeded")),
        }
    }

    async fn ask(&self, url: &str, review: Bytes) -> Result<Value, CallError> {
        let request = Request::post(url)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::ACCEPT, "application/json, */*")
            .header(header::USER_AGENT, "kube-apiserver-admission")
            .body(Full::new(review))
            .map_err(|error| unreachable(url, error))?;
        let answered = self.client.request(request).await;
        let answered = answered.map_err(|error| unreachable(url, backend::cause(&error)))?;
        let code = answered.status().as_u16();
        let body = Limited::new(answered.into_body(), LARGEST).collect().await;
        let body = body.map_err(|error| unreachable(url, error))?.to_bytes();
        answer::read(code, &body)
    }
}

/// Nobody answered: how Go's client says it.
fn unreachable(url: &str, why: impl std::fmt::Display) -> CallError {
    CallError::Failed {
        message: format!("Post {url:?}: {why}"),
        code: 503,
    }
}

/// Whom to connect to, and the URL that is asked.
fn destination(config: &ClientConfig) -> Result<(Destination, String), String> {
    if let Some(service) = &config.service {
        let path = service.path.trim_start_matches('/');
        let destination = Destination::Service(Reference {
            namespace: service.namespace.clone(),
            name: service.name.clone(),
            port: Some(service.port),
        });
        let url = format!("https://{}/{path}", destination.authority());
        return Ok((destination, url));
    }
    let url = config.url.as_deref().unwrap_or_default();
    let uri: Uri = url
        .parse()
        .map_err(|error| format!("Unparsable URL: {error}"))?;
    let host = uri.host().filter(|_| uri.scheme_str() == Some("https"));
    let Some(host) = host else {
        return Err("URL must be https and have a host".to_owned());
    };
    let name = host.trim_start_matches('[').trim_end_matches(']');
    let destination = Destination::Host(name.to_owned(), uri.port_u16().unwrap_or(443));
    Ok((destination, url.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hardway_access::admission::webhooks::ServiceReference;

    #[test]
    fn services_and_urls_are_named_as_their_certificates_are() {
        let service = ClientConfig {
            service: Some(ServiceReference {
                namespace: "shop".into(),
                name: "hook".into(),
                path: "/mutate".into(),
                port: 8443,
            }),
            ..ClientConfig::default()
        };
        let (to, url) = destination(&service).unwrap();
        assert_eq!(url, "https://hook.shop.svc:8443/mutate");
        assert_eq!(to.server_name(), "hook.shop.svc");
        for (url, name, authority) in [
            ("https://a.example/x", "a.example", "a.example:443"),
            ("https://127.0.0.1:1/", "127.0.0.1", "127.0.0.1:1"),
            ("https://[::1]:2/", "::1", "[::1]:2"),
        ] {
            let config = ClientConfig {
                url: Some(url.into()),
                ..ClientConfig::default()
            };
            let (to, asked) = destination(&config).unwrap();
            assert_eq!(asked, url);
            assert_eq!(
                (to.server_name(), to.authority()),
                (name.into(), authority.into())
            );
        }
        assert!(destination(&ClientConfig::default()).is_err());
    }
}
