//! Bodies of requests: bounded in size and time.

use crate::failure::Failure;
use axum::body::Body;
use bytes::Bytes;
use http::StatusCode;
use std::time::Duration;

/// How long one may take to come.
const PATIENCE: Duration = Duration::from_secs(60);

/// Reads one of at most so many bytes.
///
/// # Errors
/// 413 if it is longer, or breaks off; 408 if it does not come.
pub async fn read(body: Body, longest: usize) -> Result<Bytes, Failure> {
    let body = tokio::time::timeout(PATIENCE, axum::body::to_bytes(body, longest)).await;
    let late = |_| Failure::new(StatusCode::REQUEST_TIMEOUT, "the body does not come");
    body.map_err(late)?.map_err(|error| {
        let message = format!("the body can't be read, or is longer than {longest} bytes: {error}");
        Failure::new(StatusCode::PAYLOAD_TOO_LARGE, message)
    })
}
