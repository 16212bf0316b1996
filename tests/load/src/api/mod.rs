//! Requests to the API server, plain REST.

mod call;
mod channels;
mod error;
mod lines;

pub use call::{Call, Patch};
pub use channels::{Channel, Incoming, Outgoing};
pub use error::ApiError;
pub use lines::Lines;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt;
use serde_json::Value;

use crate::connection::{Connection, with_causes};
use crate::target::Target;

/// How long a request may take: Kubernetes ends its own after a minute.
const PATIENCE: Duration = Duration::from_secs(70);

/// A client with one connection, which its clones share.
#[derive(Clone)]
pub struct Api {
    connection: Arc<Connection>,
}

/// What was answered.
#[derive(Debug)]
pub struct Answer {
    /// The code.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body as it came, compressed if it was.
    pub body: Bytes,
}

impl Answer {
    /// The body as JSON.
    ///
    /// # Errors
    /// If it is none.
    pub fn json(&self) -> Result<Value, ApiError> {
        serde_json::from_slice(&self.body).map_err(|error| ApiError::Unreadable {
            why: error.to_string(),
        })
    }
}

impl Api {
    /// A client whose connection is opened by the first request.
    pub fn new(target: Arc<Target>) -> Self {
        Self {
            connection: Arc::new(Connection::new(target)),
        }
    }

    /// The same with a connection of its own.
    pub fn fresh(&self) -> Self {
        Self::new(Arc::clone(&self.connection.target))
    }

    /// The server's address.
    pub fn url(&self) -> &str {
        self.connection.target.url()
    }

    /// The address by which this machine speaks with the server, and so one by which the server
    /// may speak with this program.
    ///
    /// # Errors
    /// If there is no connection.
    pub async fn own_address(&self) -> Result<IpAddr, ApiError> {
        let target = &self.connection.target;
        let stream = target.dial().await?;
        let address = stream.get_ref().0.local_addr();
        let address = address.map_err(|error| ApiError::Unreachable {
            url: target.url().to_owned(),
            why: error.to_string(),
        })?;
        Ok(address.ip())
    }

    /// Runs a command in a pod, over a connection of its own; what comes and goes are its
    /// streams. The path is that of the subresource `exec`, with its query.
    ///
    /// # Errors
    /// If it can't be run.
    pub async fn exec(&self, path: &str) -> Result<(Outgoing, Incoming), ApiError> {
        let opened = channels::open(&self.connection.target, path);
        let late = |_| ApiError::late(&Call::get(path), PATIENCE);
        tokio::time::timeout(PATIENCE, opened).await.map_err(late)?
    }

    /// Sends a request and reads the whole answer.
    ///
    /// # Errors
    /// If there is no whole answer, or one whose code is not 2xx.
    pub async fn send(&self, call: &Call) -> Result<Answer, ApiError> {
        let exchange = async {
            let request = call.request()?;
            let answer = self.connection.send(|| call.to_string(), request).await?;
            let (parts, body) = answer.into_parts();
            let body = body.collect().await.map_err(|error| ApiError::Broken {
                call: call.to_string(),
                why: with_causes(&error),
            })?;
            Ok(Answer {
                status: parts.status,
                headers: parts.headers,
                body: body.to_bytes(),
            })
        };
        let answer = match tokio::time::timeout(PATIENCE, exchange).await {
            Ok(answer) => answer?,
            Err(_) => return Err(ApiError::late(call, PATIENCE)),
        };
        match answer.status.is_success() {
            true => Ok(answer),
            false => Err(ApiError::refused(call, answer.status, &answer.body)),
        }
    }

    /// Sends a request whose answer goes on: a watch, or a log.
    ///
    /// # Errors
    /// If there is no answer, or one whose code is not 2xx.
    pub async fn watch(&self, call: &Call) -> Result<Lines, ApiError> {
        let begin = async {
            let request = call.request()?;
            self.connection.send(|| call.to_string(), request).await
        };
        let answer = match tokio::time::timeout(PATIENCE, begin).await {
            Ok(answer) => answer?,
            Err(_) => return Err(ApiError::late(call, PATIENCE)),
        };
        let (parts, body) = answer.into_parts();
        if parts.status.is_success() {
            return Ok(Lines::new(call.to_string(), body));
        }
        let body = body.collect().await.map(|body| body.to_bytes());
        Err(ApiError::refused(
            call,
            parts.status,
            &body.unwrap_or_default(),
        ))
    }
}
