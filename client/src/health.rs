//! /healthz, /livez, /readyz (with `?verbose`) and /metrics over HTTPS.
//!
//! Health is open to anyone who can connect; metrics want a client
//! certificate of the cluster.

use crate::serving::{Bounds, Peer, Server, Service, caught};
use crate::{expiry, host, metrics, systemd, tls, unreadable, vital, watchdog};
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;

/// A named condition: `Err` says in one line what is wrong.
pub type CheckFn = Box<dyn Fn() -> Result<(), String> + Send + Sync>;

/// The conditions under which the process is ready. `ping` is always there.
#[derive(Default)]
pub struct Checks {
    ready: Vec<(String, CheckFn)>,
    warnings: Vec<(String, CheckFn)>,
}

impl Checks {
    /// Adds a condition for readiness.
    pub fn ready(
        mut self,
        name: &str,
        check: impl Fn() -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        self.ready.push((name.into(), Box::new(check)));
        self
    }

    /// Adds a condition that is told in the report of `/readyz`, and takes
    /// nothing out of service.
    pub fn warning(
        mut self,
        name: &str,
        check: impl Fn() -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        self.warnings.push((name.into(), Box::new(check)));
        self
    }

    /// Adds what the host has to be like: see [`host`].
    pub fn host(self, watched: &host::Watched) -> Self {
        let (vital, other) = (watched.clone(), watched.clone());
        let checks = self.ready("host", move || vital.check());
        checks.warning("host", move || other.warn())
    }

    /// Whether the process is ready.
    ///
    /// # Errors
    /// With the first condition that isn't met.
    pub fn verdict(&self) -> Result<(), String> {
        for (name, check) in &self.ready {
            check().map_err(|reason| format!("{name}: {reason}"))?;
        }
        Ok(())
    }

    /// Has systemd follow whether the process is ready: see [`systemd`].
    pub fn follow(self: &Arc<Self>) {
        let checks = self.clone();
        systemd::follow(move || std::future::ready(checks.verdict()));
    }

    /// The report of an endpoint, and whether all is well. Wording as
    /// Kubernetes': `[+]ping ok`, `[-]name failed: reason`.
    fn report(&self, endpoint: &str) -> (bool, String) {
        let mut text = String::from("[+]ping ok\n");
        let mut healthy = true;
        match watchdog::check() {
            Ok(()) => text.push_str("[+]runtime ok\n"),
            Err(reason) => {
                healthy = false;
                text.push_str(&format!("[-]runtime failed: {reason}\n"));
            }
        }
        if endpoint == "readyz" {
            for (name, check) in &self.ready {
                match check() {
                    Ok(()) => text.push_str(&format!("[+]{name} ok\n")),
                    Err(reason) => {
                        healthy = false;
                        text.push_str(&format!("[-]{name} failed: {reason}\n"));
                    }
                }
            }
            // No reason to take the process out of service: the rest goes on.
            for (name, check) in &self.warnings {
                if let Err(reason) = check() {
                    text.push_str(&format!("[!]{name}: {reason}\n"));
                }
            }
            text.push_str(&unreadable::report());
            text.push_str(&expiry::report());
        }
        let verdict = if healthy { "passed" } else { "failed" };
        text.push_str(&format!("{endpoint} check {verdict}\n"));
        (healthy, text)
    }
}

/// Answers a health or metrics request; `None` for any other path. For
/// processes that serve these beside an API of their own.
pub fn respond(
    checks: &Checks,
    method: &Method,
    path: &str,
    query: Option<&str>,
    has_certificate: bool,
) -> Option<Response<Full<Bytes>>> {
    let endpoint = path.trim_start_matches('/');
    if !matches!(endpoint, "healthz" | "livez" | "readyz" | "metrics") {
        return None;
    }
    if method != Method::GET && method != Method::HEAD {
        return Some(text(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed\n"));
    }
    if endpoint == "metrics" {
        if !has_certificate {
            return Some(text(StatusCode::UNAUTHORIZED, "Unauthorized\n"));
        }
        let mut response = Response::new(Full::from(metrics::render()));
        response.headers_mut().insert(
            http::header::CONTENT_TYPE,
            http::HeaderValue::from_static(metrics::CONTENT_TYPE),
        );
        return Some(response);
    }
    let (healthy, report) = checks.report(endpoint);
    let verbose = query.is_some_and(|q| q.split('&').any(|p| p.starts_with("verbose")));
    Some(match (healthy, verbose) {
        (true, false) => text(StatusCode::OK, "ok"),
        (true, true) => text(StatusCode::OK, report),
        (false, _) => text(StatusCode::INTERNAL_SERVER_ERROR, report),
    })
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(
        http::header::CONTENT_TYPE,
        http::HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    response
}

/// Binds the port; fails with the address in the message.
pub async fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .map_err(|e| std::io::Error::new(e.kind(), format!("cannot listen on {address}: {e}")))
}

/// Binds a port for a server on the [`vital`] runtime: it answers whatever
/// keeps the others busy. Says which port it is, too.
pub async fn bind_vital(address: SocketAddr) -> std::io::Result<(TcpListener, SocketAddr)> {
    let binding = vital::runtime().spawn(bind(address));
    let listener = binding.await.map_err(std::io::Error::other)??;
    let bound = listener.local_addr()?;
    Ok((listener, bound))
}

/// Protocols spoken, for who makes the TLS configuration.
pub const ALPN: &[&str] = &["h2", "http/1.1"];

/// Serves until the task is dropped. The TLS configuration must not insist on
/// client certificates.
pub async fn serve(listener: TcpListener, tls: Arc<tls::Server>, checks: impl Into<Arc<Checks>>) {
    let server = Server::new(listener, tls, Bounds::HEALTH);
    let health = Health(checks.into());
    server.run(health, std::future::pending()).await;
}

#[derive(Clone)]
struct Health(Arc<Checks>);

impl Service for Health {
    type Body = Full<Bytes>;

    async fn answer(&self, peer: Peer, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let certified = peer.certificate().is_some();
        if certified {
            peer.prove("a component");
        }
        let (method, uri) = (request.method(), request.uri());
        let answer = caught(async { respond(&self.0, method, uri.path(), uri.query(), certified) });
        match answer.await {
            Ok(Some(answer)) => answer,
            Ok(None) => text(StatusCode::NOT_FOUND, "404 page not found\n"),
            Err(panic) => {
                tracing::error!(panic, path = uri.path(), "a check panicked");
                text(StatusCode::INTERNAL_SERVER_ERROR, "a check panicked\n")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(checks: &Checks, path: &str, certified: bool) -> Option<StatusCode> {
        respond(checks, &Method::GET, path, None, certified).map(|r| r.status())
    }

    #[test]
    fn readiness_follows_its_checks_and_liveness_does_not() {
        let checks = Checks::default().ready("cache", || Err("not synced".into()));
        assert_eq!(status(&checks, "/healthz", false), Some(StatusCode::OK));
        assert_eq!(
            status(&checks, "/readyz", false),
            Some(StatusCode::INTERNAL_SERVER_ERROR)
        );
        assert!(
            checks
                .report("readyz")
                .1
                .contains("[-]cache failed: not synced")
        );
    }

    #[test]
    fn warnings_are_told_and_take_nothing_out_of_service() {
        let checks = Checks::default().warning("host", || Err("no conntrack".into()));
        let (healthy, report) = checks.report("readyz");
        assert!(healthy && report.contains("[!]host: no conntrack\n"));
        assert_eq!(checks.verdict(), Ok(()));
        let checks = checks.ready("sync", || Err("not yet".into()));
        assert_eq!(checks.verdict(), Err("sync: not yet".into()));
    }

    #[test]
    fn metrics_want_a_certificate() {
        let checks = Checks::default();
        assert_eq!(
            status(&checks, "/metrics", false),
            Some(StatusCode::UNAUTHORIZED)
        );
        assert_eq!(status(&checks, "/metrics", true), Some(StatusCode::OK));
        assert_eq!(status(&checks, "/other", true), None);
    }
}
