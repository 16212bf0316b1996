//! Who the viewer is; logging in and out.

use crate::api;
use crate::body;
use crate::dashboard::{COOKIE, Dashboard, Viewers, session_of};
use crate::failure::{Failure, json};
use crate::logins::Source;
use crate::sessions::LIFE;
use crate::viewer::Viewer;
use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use kube::Client;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::time::Instant;

/// Tokens are a few kilobytes.
const LONGEST: usize = 64 << 10;

/// `GET /session`.
pub async fn show(State(dashboard): State<Arc<Dashboard>>, headers: HeaderMap) -> Response {
    match dashboard.viewer(&headers) {
        Some(viewer) => {
            // At once: a page shows nothing of the cluster before both are there.
            let (user, version) =
                tokio::join!(api::who_am_i(&viewer.client), version(&viewer.client));
            let (user, error) = match user {
                Ok(user) => (user, None),
                Err(failure) => (Value::Null, Some(failure)),
            };
            let again = matches!(dashboard.viewers, Viewers::LoggedIn(_))
                && matches!(&error, Some(failure) if failure.code() == StatusCode::UNAUTHORIZED);
            let described = describe(&dashboard, version, user, again, error);
            json(StatusCode::OK, &described)
        }
        None => {
            let described = describe(&dashboard, None, Value::Null, true, None);
            json(StatusCode::OK, &described)
        }
    }
}

/// The cluster's version, as far as it says it.
async fn version(client: &Client) -> Option<String> {
    let version: Value = api::read(client, "/version").await.ok()?;
    version["gitVersion"].as_str().map(str::to_owned)
}

fn describe(
    dashboard: &Dashboard,
    version: Option<String>,
    user: Value,
    login_needed: bool,
    error: Option<Failure>,
) -> Value {
    let mut cluster = dashboard.cluster.description.clone();
    cluster.version = version;
    json!({
        "mode": match dashboard.viewers {
            Viewers::User(_) => "local",
            Viewers::LoggedIn(_) => "serve",
        },
        "loginNeeded": login_needed,
        "user": match user {
            Value::Object(user) => json!({
                "username": user.get("username"),
                "groups": user.get("groups").unwrap_or(&json!([])),
            }),
            _ => Value::Null,
        },
        "version": env!("CARGO_PKG_VERSION"),
        "cluster": cluster,
        "namespace": dashboard.cluster.namespace,
        "error": error,
    })
}

#[derive(Deserialize)]
struct Login {
    token: String,
}

/// `POST /session`.
///
/// # Errors
/// 401 if the API server does not know the token; 405 where nobody logs in; 429 if too many do.
pub async fn log_in(
    State(dashboard): State<Arc<Dashboard>>,
    source: Option<Extension<Source>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Failure> {
    let (Viewers::LoggedIn(sessions), Some(Extension(source))) = (&dashboard.viewers, source)
    else {
        let message = "this dashboard has its user's credentials: nobody logs in";
        return Err(Failure::new(StatusCode::METHOD_NOT_ALLOWED, message));
    };
    let bad = |text: String| Failure::new(StatusCode::BAD_REQUEST, text);
    let body = body::read(body, LONGEST).await?;
    let Login { token } = serde_json::from_slice(&body)
        .map_err(|error| bad(format!("want {{\"token\": …}}: {error}")))?;
    let turn = dashboard.logins.turn(source).await?;
    let client = dashboard
        .cluster
        .client_of(token.trim())
        .map_err(|error| Failure::new(StatusCode::UNAUTHORIZED, error.to_string()))?;
    let user = api::who_am_i(&client).await?;
    drop(turn);
    let name = user["username"].as_str().unwrap_or_default();
    if name.is_empty() || name == "system:anonymous" {
        let message = "the API server does not know this token";
        return Err(Failure::new(StatusCode::UNAUTHORIZED, message));
    }
    let viewer = Viewer::new(client);
    let begun = {
        let mut sessions = sessions.lock();
        // Who logs in anew leaves the former session behind.
        if let Some(former) = session_of(&headers) {
            sessions.end(former);
        }
        sessions.begin(name, viewer.clone(), Instant::now())
    };
    let identifier = begun
        .map_err(|error| Failure::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    tracing::info!(user = name, "logged in");
    let version = version(&viewer.client).await;
    let described = describe(&dashboard, version, user, false, None);
    let mut response = json(StatusCode::OK, &described);
    set_cookie(
        &mut response,
        &format!("{identifier}; Max-Age={}", LIFE.as_secs()),
    );
    Ok(response)
}

/// `DELETE /session`.
pub async fn log_out(State(dashboard): State<Arc<Dashboard>>, headers: HeaderMap) -> Response {
    if let (Viewers::LoggedIn(sessions), Some(identifier)) =
        (&dashboard.viewers, session_of(&headers))
    {
        sessions.lock().end(identifier);
    }
    let mut response = StatusCode::NO_CONTENT.into_response();
    set_cookie(&mut response, "; Max-Age=0");
    response
}

fn set_cookie(response: &mut Response, value: &str) {
    let cookie = format!("{COOKIE}={value}; Path=/; Secure; HttpOnly; SameSite=Strict");
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
}
