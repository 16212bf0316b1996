//! One connection to the API server, over which requests go side by side (HTTP/2), as those
//! of a Kubernetes client do. It is opened anew when it is gone.

use std::sync::Arc;

use bytes::Bytes;
use http::Response;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::sync::Mutex;

use crate::api::ApiError;
use crate::target::{Outgoing, Target};

/// What a server may send of one answer before it hears that it was read: what Go's clients,
/// of which kubectl is one, grant (golang.org/x/net/http2, transportDefaultStreamFlow).
const STREAM_WINDOW: u32 = 4 << 20;
/// The same of all answers together (transportDefaultConnFlow).
const CONNECTION_WINDOW: u32 = 1 << 30;

/// A connection.
pub(crate) struct Connection {
    pub(crate) target: Arc<Target>,
    sender: Mutex<Option<SendRequest<Full<Bytes>>>>,
}

impl Connection {
    /// One that is opened by the first request.
    pub(crate) fn new(target: Arc<Target>) -> Self {
        Self {
            target,
            sender: Mutex::new(None),
        }
    }

    /// Sends a request; what `call` names, for errors.
    pub(crate) async fn send(
        &self,
        call: impl Fn() -> String,
        request: Outgoing,
    ) -> Result<Response<Incoming>, ApiError> {
        let broken = |why: &dyn ToString| ApiError::Broken {
            call: call(),
            why: why.to_string(),
        };
        let mut request = self
            .target
            .sign(request)
            .await
            .map_err(|error| broken(&error))?;
        // A server that closes the connection says which requests it hasn't looked at (RFC 9113,
        // 6.8): those are sent once more.
        let mut is_first = true;
        loop {
            let mut sender = self.sender().await?;
            match sender.try_send_request(request).await {
                Ok(answer) => return Ok(answer),
                Err(mut error) => match error.take_message().filter(|_| is_first) {
                    Some(unsent) => request = unsent,
                    None => return Err(broken(&with_causes(&error.into_error()))),
                },
            }
            is_first = false;
        }
    }

    async fn sender(&self) -> Result<SendRequest<Full<Bytes>>, ApiError> {
        let mut kept = self.sender.lock().await;
        if let Some(sender) = kept.as_ref().filter(|sender| !sender.is_closed()) {
            return Ok(sender.clone());
        }
        let stream = self.target.dial().await?;
        let (sender, connection) = http2::Builder::new(TokioExecutor::new())
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| ApiError::Unreachable {
                url: self.target.url().to_owned(),
                why: with_causes(&error),
            })?;
        // It ends with the last sender; what goes wrong with it, its requests say.
        tokio::spawn(connection);
        *kept = Some(sender.clone());
        Ok(sender)
    }
}

/// An error with its causes: the chain ends with what really happened.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut why = error.to_string();
    let mut source = error.source();
    while let Some(next) = source {
        let text = next.to_string();
        if !why.contains(&text) {
            why = format!("{why}: {text}");
        }
        source = next.source();
    }
    why
}
