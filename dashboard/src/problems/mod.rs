//! What is wrong, and why, by the engine of `hardway why`, from what the viewer may read.

mod findings;
mod reading;
mod turn;

pub use findings::{Findings, Looks};

use crate::dashboard::Asking;
use crate::failure::{Failure, json};
use axum::extract::Query;
use axum::response::Response;
use hardway_why::reading::{further, lists, whole};
use hardway_why::{
    Diagnosis, NotExplained, Snapshot, Subject, Unread, condense, everything, explain, follow_ups,
    needs, problems, resource,
};
use http::StatusCode;
use reading::AsViewer;
use serde::{Deserialize, Serialize};
use turn::{Turn, think};

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
/// If nothing could be read at all; 429 if too much is being looked for.
pub async fn all(Asking(viewer): Asking, Query(asked): Query<Where>) -> Result<Response, Failure> {
    let _turn = Turn::soon(&viewer).await?;
    let namespace = Some(asked.namespace).filter(|it| !it.is_empty());
    let api = AsViewer(&viewer.client);
    let read = lists(&api, everything(), namespace.as_deref(), condense).await;
    let read = read.map_err(|refusal| reading::failure(&refusal))?;
    let (mut snapshot, requests) = think(read, |it| follow_ups(it, None)).await?;
    further(&api, &mut snapshot, requests).await;
    let find = move |snapshot: &Snapshot| Found {
        problems: problems(snapshot, namespace.as_deref()),
        unread: snapshot.unread(everything()),
    };
    let (_, found) = think(snapshot, find).await?;
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
/// 404 if there is no such object, 403 if it can't be read, 400 if nothing is known of its kind,
/// 429 if too much is being looked for.
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
    let _turn = Turn::soon(&viewer).await?;
    let api = AsViewer(&viewer.client);
    let read = lists(&api, needs(&asked.kind), namespace, whole).await;
    let read = read.map_err(|refusal| reading::failure(&refusal))?;
    let of = subject.clone();
    let (mut snapshot, requests) = think(read, move |it| follow_ups(it, Some(&of))).await?;
    further(&api, &mut snapshot, requests).await;
    let (_, explained) = think(snapshot, move |it| explain(it, &subject)).await?;
    match explained {
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
