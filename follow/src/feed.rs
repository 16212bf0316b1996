//! The steps of all processes, as the apiserver serves them.

use crate::line::Line;
use futures_util::io::AsyncBufReadExt;
use futures_util::stream::{BoxStream, StreamExt};
use http::Request;
use kube::Client;

/// Lines as they come.
pub type Lines<'a> = BoxStream<'a, Result<Line, String>>;

/// Why there are no steps.
#[derive(Debug)]
pub enum Missing {
    /// The apiserver isn't hardway's.
    Foreign,
    /// Not for who asks.
    Forbidden,
    /// It doesn't answer as it should.
    Broken(kube::Error),
}

const PATH: &str = "/debug/hardway/steps?watch=true";

/// Begins to read them.
///
/// # Errors
/// If there are none for who asks.
pub async fn steps(client: &Client) -> Result<Lines<'static>, Missing> {
    let request = Request::get(PATH).body(Vec::new());
    let request = request.map_err(|error| Missing::Broken(kube::Error::HttpError(error)))?;
    let body = client
        .request_stream(request)
        .await
        .map_err(|error| match error {
            kube::Error::Api(status) if status.code == 404 => Missing::Foreign,
            kube::Error::Api(status) if matches!(status.code, 401 | 403) => Missing::Forbidden,
            error => Missing::Broken(error),
        })?;
    let lines = body.lines().map(|line| {
        let line = line.map_err(|error| error.to_string())?;
        serde_json::from_str(&line).map_err(|error| format!("{error} in {line:?}"))
    });
    Ok(lines.boxed())
}
