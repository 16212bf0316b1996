//! HTTP requests of probes and hooks.
//!
//! Certificates of pods aren't verified: Kubernetes documents that for probes,
//! because they are made by address, which certificates rarely name, and
//! nothing secret is sent.

use super::Outcome;
use super::target::{address, connect, port, words};
use hardway_client::tls;
use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::{Container, HTTPGetAction};
use rustls::pki_types::ServerName;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;

/// Most of a body that is read.
const MAX_BODY: usize = 10 << 10;
const MAX_REDIRECTS: usize = 10;
const USER_AGENT: &str = "kube-probe/1.33";

/// A GET of some URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    https: bool,
    host: String,
    port: u16,
    path: String,
    headers: Vec<(String, String)>,
}

/// What came back.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Response {
    pub status: u16,
    pub body: String,
    location: Option<String>,
}

impl Request {
    /// As the action says; the host is the pod unless it names another.
    pub(crate) fn new(
        action: &HTTPGetAction,
        container: &Container,
        ip: &str,
    ) -> Result<Self, String> {
        let path = action.path.as_deref().unwrap_or_default();
        let slash = if path.starts_with('/') { "" } else { "/" };
        let host = action.host.as_deref().filter(|h| !h.is_empty());
        let headers = action.http_headers.iter().flatten();
        Ok(Self {
            https: action.scheme.as_deref() == Some("HTTPS"),
            host: host.unwrap_or(ip).to_owned(),
            port: port(&action.port, container)?,
            path: format!("{slash}{path}"),
            headers: headers.map(|h| (h.name.clone(), h.value.clone())).collect(),
        })
    }

    fn url(&self) -> String {
        let scheme = if self.https { "https" } else { "http" };
        format!("{scheme}://{}{}", address(&self.host, self.port), self.path)
    }

    fn header(&self, name: &str) -> Option<&str> {
        let header = self
            .headers
            .iter()
            .find(|(n, _)| n.eq_ignore_ascii_case(name));
        header.map(|(_, value)| value.as_str())
    }

    /// Where a redirect leads; `None` if to another host.
    fn redirected(&self, location: &str) -> Option<Self> {
        let mut next = self.clone();
        if let Some((scheme, rest)) = location.split_once("://") {
            let uri: http::Uri = format!("http://{rest}").parse().ok()?;
            next.https = scheme == "https";
            next.host = uri.host()?.trim_matches(['[', ']']).to_owned();
            next.port = uri.port_u16().unwrap_or(if next.https { 443 } else { 80 });
            next.path = uri.path_and_query().map_or("/", |p| p.as_str()).to_owned();
        } else if location.starts_with('/') {
            next.path = location.to_owned();
        } else {
            let base = self.path.split(['?', '#']).next().unwrap_or_default();
            let dir = base.rsplit_once('/').map_or("", |(dir, _)| dir);
            next.path = format!("{dir}/{location}");
        }
        (next.host == self.host).then_some(next)
    }

    /// Sends it; a failure reads as Go's HTTP client tells it.
    pub(crate) async fn send(&self) -> Result<Response, String> {
        let prefix = format!("Get {:?}: ", self.url());
        let outcome = async {
            let stream = connect(&self.host, self.port).await?;
            if !self.https {
                return self.exchange(stream).await;
            }
            let name = ServerName::try_from(self.host.clone()).map_err(|e| e.to_string())?;
            let tls = TlsConnector::from(tls::unverified());
            let stream = tls.connect(name, stream).await.map_err(|e| words(&e))?;
            self.exchange(stream).await
        };
        outcome.await.map_err(|reason| prefix + &reason)
    }

    async fn exchange<S>(&self, stream: S) -> Result<Response, String>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let failed = |error: hyper::Error| go_words(&error);
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(failed)?;
        let connection = tokio::spawn(connection);
        let answer = async {
            let request = self.build().map_err(|e| e.to_string())?;
            let response = sender.send_request(request).await.map_err(failed)?;
            let location = response.headers().get(http::header::LOCATION);
            Ok(Response {
                status: response.status().as_u16(),
                location: location.and_then(|l| l.to_str().ok()).map(str::to_owned),
                body: read_body(response.into_body()).await,
            })
        };
        let answer = answer.await;
        connection.abort();
        answer
    }

    fn build(&self) -> Result<hyper::Request<Empty<Bytes>>, http::Error> {
        let host = address(&self.host, self.port);
        let mut request = hyper::Request::get(&self.path)
            .header(http::header::HOST, self.header("Host").unwrap_or(&host))
            .header(http::header::CONNECTION, "close");
        for (name, default) in [("User-Agent", USER_AGENT), ("Accept", "*/*")] {
            // A header that is set to nothing isn't sent at all.
            let value = self.header(name).unwrap_or(default);
            if !value.is_empty() {
                request = request.header(name, value);
            }
        }
        for (name, value) in &self.headers {
            let known = ["host", "user-agent", "accept"];
            if !known.contains(&name.to_lowercase().as_str()) {
                request = request.header(name, value);
            }
        }
        request.body(Empty::new())
    }
}

async fn read_body(mut body: Incoming) -> String {
    let mut bytes = Vec::new();
    while bytes.len() < MAX_BODY {
        match body.frame().await {
            Some(Ok(frame)) => bytes.extend_from_slice(frame.data_ref().unwrap_or(&Bytes::new())),
            _ => break,
        }
    }
    bytes.truncate(MAX_BODY);
    String::from_utf8_lossy(&bytes).into_owned()
}

fn go_words(error: &hyper::Error) -> String {
    if error.is_incomplete_message() {
        return "EOF".into();
    }
    let source = std::error::Error::source(error);
    match source.and_then(|s| s.downcast_ref::<io::Error>()) {
        Some(error) => words(error),
        None => error.to_string(),
    }
}

/// Sends the request and follows redirects on the same host.
pub(super) async fn probe(request: Request, timeout: Duration) -> Outcome {
    let url = request.url();
    match tokio::time::timeout(timeout, follow(request)).await {
        Ok(outcome) => outcome,
        Err(_) => Outcome::Failure(format!(
            "Get {url:?}: context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
        )),
    }
}

async fn follow(mut request: Request) -> Outcome {
    for _ in 0..MAX_REDIRECTS {
        let response = match request.send().await {
            Ok(response) => response,
            Err(reason) => return Outcome::Failure(reason),
        };
        let redirect = matches!(response.status, 301 | 302 | 303 | 307 | 308);
        match response.location.as_deref().filter(|_| redirect) {
            None if (200..400).contains(&response.status) => return Outcome::Success,
            None => {
                let status = response.status;
                return Outcome::Failure(format!("HTTP probe failed with statuscode: {status}"));
            }
            Some(location) => match request.redirected(location) {
                Some(next) => request = next,
                None => {
                    let text = "Probe terminated redirects, Response body";
                    return Outcome::Warning(format!("{text}: {}", response.body));
                }
            },
        }
    }
    let url = request.url();
    Outcome::Failure(format!(
        "Get {url:?}: stopped after {MAX_REDIRECTS} redirects"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use std::sync::Arc;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    /// Answers connections with these responses, one each; yields the requests.
    async fn server(answers: Vec<&'static str>) -> (u16, tokio::task::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let task = tokio::spawn(async move {
            let mut requests = Vec::new();
            for answer in answers {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    request.push(stream.read_u8().await.unwrap());
                }
                requests.push(String::from_utf8(request).unwrap());
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
            requests
        });
        (port, task)
    }

    fn request(port: u16, extra: Value) -> Request {
        let mut action = extra;
        action["port"] = port.into();
        let action = serde_json::from_value(action).unwrap();
        Request::new(&action, &Container::default(), "127.0.0.1").unwrap()
    }

    async fn outcome(request: Request) -> Outcome {
        probe(request, Duration::from_secs(5)).await
    }

    #[tokio::test]
    async fn statuses_decide() {
        let ok = "HTTP/1.1 204 No Content\r\n\r\n";
        let bad = "HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n";
        let (port, task) = server(vec![ok, bad]).await;
        let headers = json!({"path": "x?y=1", "httpHeaders": [{"name": "X-A", "value": "b"}]});
        assert_eq!(outcome(request(port, headers)).await, Outcome::Success);
        assert_eq!(
            outcome(request(port, json!({}))).await,
            Outcome::Failure("HTTP probe failed with statuscode: 500".into())
        );
        let first = task.await.unwrap().remove(0).to_lowercase();
        assert!(first.starts_with("get /x?y=1 http/1.1\r\n"), "{first}");
        assert!(first.contains("x-a: b\r\n") && first.contains("user-agent: kube-probe/1.33"));
    }

    #[tokio::test]
    async fn redirects_stay_on_the_host() {
        let here = "HTTP/1.1 302 Found\r\nLocation: /y\r\nContent-Length: 0\r\n\r\n";
        let ok = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
        let away =
            "HTTP/1.1 302 Found\r\nLocation: http://elsewhere/\r\nContent-Length: 2\r\n\r\nhi";
        let (port, task) = server(vec![here, ok, away]).await;
        assert_eq!(outcome(request(port, json!({}))).await, Outcome::Success);
        assert_eq!(
            outcome(request(port, json!({}))).await,
            Outcome::Warning("Probe terminated redirects, Response body: hi".into())
        );
        assert!(task.await.unwrap()[1].starts_with("GET /y "));
    }

    #[tokio::test]
    async fn any_certificate_will_do() {
        hardway_client::tls::install_provider();
        let made = rcgen::generate_simple_self_signed(["elsewhere".to_owned()]).unwrap();
        let key = made.signing_key.serialize_der().try_into().unwrap();
        let config = rustls::ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let mut stream = acceptor.accept(stream).await.unwrap();
            while stream.read_u8().await.unwrap() != b'\r' {}
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
            stream.write_all(answer).await.unwrap();
            stream.flush().await.unwrap();
            let _ = stream.read_u8().await;
        });
        let https = request(port, json!({"scheme": "HTTPS", "path": "/x"}));
        assert_eq!(https.url(), format!("https://127.0.0.1:{port}/x"));
        assert_eq!(outcome(https).await, Outcome::Success);
    }

    #[tokio::test]
    async fn failures_read_as_in_kubernetes() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let silent = probe(request(port, json!({})), Duration::from_millis(1)).await;
        let url = format!("\"http://127.0.0.1:{port}/\"");
        let text = "context deadline exceeded (Client.Timeout exceeded while awaiting headers)";
        assert_eq!(silent, Outcome::Failure(format!("Get {url}: {text}")));
        drop(listener);
        let refused = format!("dial tcp 127.0.0.1:{port}: connect: connection refused");
        assert_eq!(
            outcome(request(port, json!({}))).await,
            Outcome::Failure(format!("Get {url}: {refused}"))
        );
    }
}
