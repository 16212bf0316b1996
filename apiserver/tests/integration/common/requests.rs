//! Requests over HTTP, each on a connection of its own, and watches.

use super::{Lab, PATIENCE};
use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use serde_json::Value;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

impl Lab {
    /// The code of the answer, if there is one.
    pub async fn try_get(&self, path: &str) -> Option<u16> {
        let answer = self.try_call(Method::GET, path, "", Bytes::new()).await;
        answer.map(|answer| answer.status().as_u16())
    }

    /// A connection after its handshake, to say anything on.
    pub async fn stream(&self, tls: &Arc<rustls::ClientConfig>) -> Option<TlsStream<TcpStream>> {
        let tcp = TcpStream::connect(self.address).await.ok()?;
        let connector = tokio_rustls::TlsConnector::from(tls.clone());
        let name = ServerName::try_from("localhost").unwrap();
        connector.connect(name, tcp).await.ok()
    }

    /// A connection with these certificates.
    pub async fn connect(
        &self,
        tls: &Arc<rustls::ClientConfig>,
    ) -> Option<hyper::client::conn::http1::SendRequest<Full<Bytes>>> {
        let stream = self.stream(tls).await?;
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .ok()?;
        tokio::spawn(connection);
        Some(sender)
    }

    async fn try_call(
        &self,
        method: Method,
        path: &str,
        content_type: &str,
        body: Bytes,
    ) -> Option<Response<Incoming>> {
        self.try_call_as(&self.tls, method, path, content_type, body)
            .await
    }

    pub async fn try_call_as(
        &self,
        tls: &Arc<rustls::ClientConfig>,
        method: Method,
        path: &str,
        content_type: &str,
        body: Bytes,
    ) -> Option<Response<Incoming>> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "localhost")
            .header("user-agent", "test/1");
        if !content_type.is_empty() {
            request = request.header("content-type", content_type);
        }
        let request = request.body(Full::new(body)).unwrap();
        let mut sender = self.connect(tls).await?;
        sender.send_request(request).await.ok()
    }

    /// A request with any body; code and answer.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        content_type: &str,
        body: impl Into<Bytes>,
    ) -> (u16, Value) {
        let response = self
            .try_call(method, path, content_type, body.into())
            .await
            .expect("the apiserver answers");
        read(response).await
    }

    pub async fn send_as(
        &self,
        user: &str,
        method: Method,
        path: &str,
        body: &Value,
    ) -> (u16, Value) {
        let body = Bytes::from(body.to_string());
        let tls = self.acting(user);
        let content_type = match method {
            Method::PATCH => "application/merge-patch+json",
            _ => "application/json",
        };
        let response = self
            .try_call_as(&tls, method, path, content_type, body)
            .await
            .expect("the apiserver answers");
        read(response).await
    }

    /// The warnings of an answer to a request with any body.
    pub async fn warnings(
        &self,
        method: Method,
        path: &str,
        content_type: &str,
        body: &Value,
    ) -> Vec<String> {
        let body = match body {
            Value::Null => Bytes::new(),
            body => Bytes::from(body.to_string()),
        };
        let answer = self.try_call_as(&self.tls, method, path, content_type, body);
        let answer = answer.await.expect("the apiserver answers");
        let all = answer.headers().get_all("warning").iter();
        all.map(|text| text.to_str().unwrap().to_owned()).collect()
    }

    pub async fn get(&self, path: &str) -> (u16, Value) {
        self.send(Method::GET, path, "", "").await
    }

    pub async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        self.send(Method::POST, path, "application/json", body.to_string())
            .await
    }

    pub async fn put(&self, path: &str, body: &Value) -> (u16, Value) {
        self.send(Method::PUT, path, "application/json", body.to_string())
            .await
    }

    pub async fn merge(&self, path: &str, body: &Value) -> (u16, Value) {
        self.send(
            Method::PATCH,
            path,
            "application/merge-patch+json",
            body.to_string(),
        )
        .await
    }

    pub async fn delete(&self, path: &str, options: &Value) -> (u16, Value) {
        let body = if options.is_null() {
            String::new()
        } else {
            options.to_string()
        };
        self.send(Method::DELETE, path, "application/json", body)
            .await
    }

    /// Creates and expects success.
    pub async fn create(&self, path: &str, body: &Value) -> Value {
        let (code, object) = self.post(path, body).await;
        assert_eq!(code, 201, "{object}");
        object
    }

    /// Begins a watch.
    pub async fn watch(&self, path: &str) -> Watch {
        let response = self
            .try_call(Method::GET, path, "", Bytes::new())
            .await
            .expect("the apiserver answers");
        Watch::of(response)
    }
}

async fn read(response: Response<Incoming>) -> (u16, Value) {
    let code = response.status().as_u16();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    let value = serde_json::from_slice(&bytes)
        .unwrap_or_else(|_| String::from_utf8_lossy(&bytes).into_owned().into());
    (code, value)
}

/// A running watch.
pub struct Watch {
    body: Incoming,
    buffer: Vec<u8>,
}

impl Watch {
    /// An answer that comes line by line.
    pub fn of(answer: Response<Incoming>) -> Self {
        Self {
            body: answer.into_body(),
            buffer: Vec::new(),
        }
    }

    /// The next event; `None` at the end.
    pub async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                return Some(serde_json::from_slice(&line).unwrap());
            }
            let frame = tokio::time::timeout(PATIENCE, self.body.frame())
                .await
                .expect("an event in time")?;
            if let Some(data) = frame.ok()?.data_ref() {
                self.buffer.extend_from_slice(data);
            }
        }
    }

    /// Type and name of the next event.
    pub async fn told(&mut self) -> (String, String) {
        let event = self.next().await.expect("the watch goes on");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        (
            text(&event["type"]),
            text(&event["object"]["metadata"]["name"]),
        )
    }
}
