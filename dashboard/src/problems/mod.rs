//! What is wrong, and why, by the engine of `hardway why`, from what the viewer may read.

mod findings;
mod paths;
mod reading;

pub use findings::Findings;

use crate::dashboard::Asking;
use crate::failure::{Failure, json};
use axum::extract::Query;
use axum::response::Response;
use hardway_why::{
    Diagnosis, NotExplained, Subject, Unread, everything, explain, follow_ups, needs, problems,
    resource,
};
use http::StatusCode;
use serde::{Deserialize, Serialize};

/// Where to look.
#[derive(Deserialize)]
pub struct Where {
    #[serde(default)]
    namespace: String,
}

/// All that was found.
#[derive(Serialize)]
struct Found {
    problems: Vec<Diagnosis>,
    unread: Vec<Unread>,
}

/// `GET /problems`.
///
/// # Errors
/// If nothing could be read at all.
pub async fn all(Asking(viewer): Asking, Query(asked): Query<Where>) -> Result<Response, Failure> {
    let namespace = Some(asked.namespace.as_str()).filter(|it| !it.is_empty());
    let mut snapshot = reading::lists(&viewer.client, everything(), namespace).await?;
    let further = follow_ups(&snapshot, None);
    reading::further(&viewer.client, &mut snapshot, further).await;
    let found = Found {
        problems: problems(&snapshot, namespace),
        unread: snapshot.unread(everything()),
    };
    Ok(json(StatusCode::OK, &found))
}

/// Which object.
#[derive(Deserialize)]
pub struct Which {
    kind: String,
    #[serde(default)]
    namespace: String,
    name: String,
}

/// `GET /why`.
///
/// # Errors
/// 404 if there is no such object, 403 if it can't be read, 400 if nothing is known of its kind.
pub async fn why(Asking(viewer): Asking, Query(asked): Query<Which>) -> Result<Response, Failure> {
    let subject = Subject::new(&asked.kind, Some(&asked.namespace), &asked.name);
    if resource(&asked.kind).is_none() {
        let message = format!(
            "nothing is known of what keeps a {} from being well",
            asked.kind
        );
        return Err(Failure::new(StatusCode::BAD_REQUEST, message));
    }
    let namespace = subject.namespace.as_deref();
    let read = reading::lists(&viewer.client, needs(&asked.kind), namespace);
    let mut snapshot = read.await?;
    let further = follow_ups(&snapshot, Some(&subject));
    reading::further(&viewer.client, &mut snapshot, further).await;
    match explain(&snapshot, &subject) {
        Ok(explanation) => Ok(json(StatusCode::OK, &explanation)),
        Err(error) => {
            let code = match error {
                NotExplained::Missing { .. } => StatusCode::NOT_FOUND,
                NotExplained::Unread { .. } => StatusCode::FORBIDDEN,
            };
            Err(Failure::new(code, error.to_string()))
        }
    }
}
