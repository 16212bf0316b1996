//! Health and metrics of a process that serves its own user; the add-on has a port for them.

use crate::dashboard::{Dashboard, Viewers};
use crate::failure::Failure;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use hardway_client::health::{self, Checks};
use http::{Method, StatusCode, Uri};
use std::sync::Arc;

/// Answers `/healthz`, `/readyz` and `/metrics`.
pub async fn answer(State(dashboard): State<Arc<Dashboard>>, method: Method, uri: Uri) -> Response {
    let own = matches!(dashboard.viewers, Viewers::User(_));
    let checks = Checks::default();
    let answer = own.then(|| health::respond(&checks, &method, uri.path(), uri.query(), true));
    match answer.flatten() {
        Some(answer) => answer.map(Body::new),
        None => Failure::new(StatusCode::NOT_FOUND, "it has a port of its own").into_response(),
    }
}
