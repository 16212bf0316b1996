//! Which path is answered by what.

use crate::dashboard::Dashboard;
use crate::{
    assets, headers, live, local_health, origin, pass_through, problems, session, who_can,
};
use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use std::sync::Arc;

/// The server's answers.
pub fn router(dashboard: Arc<Dashboard>) -> Router {
    Router::new()
        .route(
            "/session",
            get(session::show)
                .post(session::log_in)
                .delete(session::log_out),
        )
        .route("/k8s/{*path}", any(pass_through::pass))
        .route("/live", get(live::connect))
        .route("/problems", get(problems::all))
        .route("/why", get(problems::why))
        .route("/who-can", get(who_can::answer))
        .route("/healthz", get(local_health::answer))
        .route("/readyz", get(local_health::answer))
        .route("/metrics", get(local_health::answer))
        .fallback(assets::file)
        .layer(middleware::from_fn_with_state(
            dashboard.clone(),
            from_the_page,
        ))
        .layer(middleware::map_response(headers::add))
        .with_state(dashboard)
}

/// Refuses what does not come from the page.
async fn from_the_page(
    State(dashboard): State<Arc<Dashboard>>,
    request: Request,
    next: Next,
) -> Response {
    let (method, uri) = (request.method(), request.uri());
    match origin::check(dashboard.served, method, uri, request.headers()) {
        Ok(()) => next.run(request).await,
        Err(failure) => failure.into_response(),
    }
}
