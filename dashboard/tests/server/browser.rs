//! A client that sends what it likes, and the dashboards it is sent to.

use crate::api_server::ApiServer;
use axum::body::Body;
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use hardway_client::serving::{Bounds, Server, Service};
use hardway_dashboard::add_on::AddOn;
use hardway_dashboard::dashboard::{COOKIE, Dashboard};
use hardway_dashboard::local::Local;
use hardway_dashboard::{cluster, router};
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_util::task::AbortOnDropHandle;

/// How long anything may take.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A dashboard that is running.
pub struct Running {
    /// Where it is.
    pub address: SocketAddr,
    origin: String,
    cookie: Option<String>,
    _task: AbortOnDropHandle<()>,
    _folder: tempfile::TempDir,
}

fn start(listener: TcpListener, service: impl Service) -> AbortOnDropHandle<()> {
    let server = Server::in_the_clear(listener, Bounds::HEALTH);
    AbortOnDropHandle::new(tokio::spawn(async move {
        server.run(service, std::future::pending()).await;
    }))
}

impl Running {
    /// For the user of a kubeconfig, whose number is `user`.
    pub async fn local(api_server: &ApiServer, user: u32) -> Self {
        use base64::Engine;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("kubeconfig");
        let ca = base64::engine::general_purpose::STANDARD.encode(&api_server.ca);
        let kubeconfig = json!({"apiVersion": "v1", "kind": "Config", "current-context": "c",
            "clusters": [{"name": "k", "cluster": {
                "server": api_server.url, "certificate-authority-data": ca}}],
            "users": [{"name": "u", "user": {"token": "anna-token"}}],
            "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}]});
        std::fs::write(&file, kubeconfig.to_string()).unwrap();
        let cluster = cluster::of_kubeconfig(&file, None).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = listener.local_addr().unwrap();
        let dashboard = Dashboard::local(cluster, server.port()).unwrap();
        let router = router::router(dashboard);
        let service = Local {
            router,
            server,
            user,
        };
        Self {
            address: server,
            origin: format!("http://{server}"),
            cookie: None,
            _task: start(listener, service),
            _folder: folder,
        }
    }

    /// For whoever logs in.
    pub async fn add_on(api_server: &ApiServer) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ca = folder.path().join("ca.crt");
        std::fs::write(&ca, &api_server.ca).unwrap();
        let cluster = cluster::of_server(&api_server.url, &ca).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let dashboard = Dashboard::add_on(cluster);
        Self {
            address,
            origin: format!("https://{address}"),
            cookie: None,
            _task: start(listener, AddOn::new(dashboard)),
            _folder: folder,
        }
    }

    /// Logs in; from now on requests have the session's cookie.
    pub async fn log_in(&mut self, token: &str) -> StatusCode {
        let body = json!({ "token": token }).to_string();
        let answer = self.ask(Method::POST, "/session", &[], body).await;
        if let Some(cookie) = answer.headers().get(header::SET_COOKIE) {
            let cookie = cookie.to_str().unwrap();
            assert!(cookie.starts_with(COOKIE), "{cookie}");
            for attribute in ["Path=/", "Secure", "HttpOnly", "SameSite=Strict"] {
                assert!(cookie.contains(attribute), "{cookie}");
            }
            assert!(!cookie.contains("Domain"), "{cookie}");
            self.cookie = cookie.split(';').next().map(str::to_owned);
        }
        answer.status()
    }

    /// Forgets, or is given, a session's cookie.
    pub fn with_cookie(&mut self, cookie: Option<String>) -> Option<String> {
        std::mem::replace(&mut self.cookie, cookie)
    }

    /// Sends a request as the page does: with its headers, and `more` in place of them.
    pub async fn ask(
        &self,
        method: Method,
        path: &str,
        more: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Response<Incoming> {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let connected = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = connected.unwrap();
        tokio::spawn(connection.with_upgrades());
        let mut request = Request::new(Body::from(body.into()));
        *request.method_mut() = method;
        *request.uri_mut() = path.parse().unwrap();
        let mut headers = HeaderMap::new();
        headers.insert("host", self.address.to_string().parse().unwrap());
        headers.insert("origin", self.origin.parse().unwrap());
        headers.insert("x-hardway-dashboard", "1".parse().unwrap());
        if let Some(cookie) = &self.cookie {
            headers.insert("cookie", cookie.parse().unwrap());
        }
        for (name, value) in more {
            let name: http::HeaderName = name.parse().unwrap();
            match value.is_empty() {
                true => drop(headers.remove(name)),
                false => drop(headers.insert(name, value.parse().unwrap())),
            }
        }
        *request.headers_mut() = headers;
        let answer = tokio::time::timeout(PATIENCE, sender.send_request(request)).await;
        let mut answer = answer.unwrap().unwrap();
        // The connection stays as long as the answer is read.
        answer
            .extensions_mut()
            .insert(Kept(std::sync::Arc::new(sender)));
        answer
    }

    /// The code of an answer to a `GET`, and what it says.
    pub async fn get(&self, path: &str) -> (StatusCode, Value) {
        read(self.ask(Method::GET, path, &[], "").await).await
    }

    /// Opens a WebSocket.
    pub async fn open(&self, path: &str, more: &[(&str, &str)]) -> Result<Socket, StatusCode> {
        let mut headers = vec![
            ("connection", "Upgrade"),
            ("upgrade", "websocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        headers.extend(more);
        let answer = self.ask(Method::GET, path, &headers, "").await;
        if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Err(answer.status());
        }
        let io = TokioIo::new(hyper::upgrade::on(answer).await.unwrap());
        Ok(Socket(
            WebSocketStream::from_raw_socket(io, Role::Client, None).await,
        ))
    }
}

#[derive(Clone)]
#[expect(dead_code, reason = "it is kept, and not read")]
struct Kept(std::sync::Arc<hyper::client::conn::http1::SendRequest<Body>>);

/// The code of an answer, and what it says.
pub async fn read(answer: Response<Incoming>) -> (StatusCode, Value) {
    let code = answer.status();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    (code, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

/// A WebSocket of the page.
pub struct Socket(pub WebSocketStream<TokioIo<Upgraded>>);

impl Socket {
    /// Says something.
    pub async fn say(&mut self, message: Value) {
        self.0
            .send(Message::text(message.to_string()))
            .await
            .unwrap();
    }

    /// The next message that is no ping; `None` at the end.
    pub async fn hear(&mut self) -> Option<Message> {
        loop {
            let message = tokio::time::timeout(PATIENCE, self.0.next()).await.unwrap();
            match message {
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(message)) => return Some(message),
                Some(Err(_)) | None => return None,
            }
        }
    }

    /// The next batch.
    pub async fn batch(&mut self) -> Value {
        let message = self.hear().await.unwrap();
        serde_json::from_str(message.to_text().unwrap()).unwrap()
    }
}

/// Waits until something is so.
pub async fn until(what: &str, mut so: impl FnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !so() {
        assert!(tokio::time::Instant::now() < deadline, "not so: {what}");
        tokio::task::yield_now().await;
        let _ = tokio::time::timeout(Duration::from_millis(5), std::future::pending::<()>()).await;
    }
}
