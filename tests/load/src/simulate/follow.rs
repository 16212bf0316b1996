//! What an informer of client-go does: a list from the API server's cache, and a watch from
//! there on, which is begun anew when the server ends it.

use super::tally::Tally;
use crate::api::{Api, ApiError, Call};
use serde::Deserialize;
use std::time::Duration;

/// After a failure.
const PAUSE: Duration = Duration::from_secs(1);

/// What is followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Followed {
    /// The collection.
    pub path: String,
    /// Which of its objects, as a part of a query; all if it is empty.
    pub selector: String,
}

impl Followed {
    /// All objects of a collection.
    pub fn all(path: &str) -> Self {
        Self::some(path, "")
    }

    /// Those that a selector names, such as `fieldSelector=metadata.name%3Da`.
    pub fn some(path: &str, selector: &str) -> Self {
        Self {
            path: path.to_owned(),
            selector: selector.to_owned(),
        }
    }

    fn call(&self, query: &str) -> Call {
        let Self { path, selector } = self;
        match selector.is_empty() {
            true => Call::get(format!("{path}?{query}")),
            false => Call::get(format!("{path}?{selector}&{query}")),
        }
    }
}

/// Who does something when an event comes.
pub trait Listener: Sync {
    /// An event has come, as a line.
    fn event(&self, line: &[u8]) -> impl Future<Output = ()> + Send;
}

/// Nothing is done.
impl Listener for () {
    async fn event(&self, _line: &[u8]) {}
}

/// Of a list and of an event only what is needed.
#[derive(Deserialize)]
struct Versioned {
    metadata: Metadata,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    resource_version: String,
}

#[derive(Deserialize)]
struct Event {
    r#type: String,
    object: Versioned,
}

/// Follows from a version on for as long as it is polled, from a new list if there is none;
/// `patience` is for how long a watch may stand.
pub async fn follow(
    api: &Api,
    followed: &Followed,
    mut version: Option<String>,
    patience: Duration,
    tally: &Tally,
    listener: &impl Listener,
) {
    loop {
        let next = match &version {
            Some(version) => watch(api, followed, version, patience, tally, listener).await,
            None => list(api, followed).await.map(Some),
        };
        version = match next {
            Ok(next) => next,
            Err(error) => {
                tally.failed(&error);
                tokio::time::sleep(PAUSE).await;
                None
            }
        };
    }
}

/// The version of a list of what the server's cache has.
///
/// # Errors
/// If there is none.
pub async fn list(api: &Api, followed: &Followed) -> Result<String, ApiError> {
    let answer = api.send(&followed.call("resourceVersion=0")).await?;
    let list: Versioned =
        serde_json::from_slice(&answer.body).map_err(|error| ApiError::Unreadable {
            why: error.to_string(),
        })?;
    Ok(list.metadata.resource_version)
}

/// Watches until the server ends it; the version to go on from, or none if it is too old.
async fn watch(
    api: &Api,
    followed: &Followed,
    version: &str,
    patience: Duration,
    tally: &Tally,
    listener: &impl Listener,
) -> Result<Option<String>, ApiError> {
    let query = format!(
        "watch=1&allowWatchBookmarks=true&resourceVersion={version}&timeoutSeconds={}",
        patience.as_secs()
    );
    let mut lines = api.watch(&followed.call(&query)).await?;
    let _stands = tally.stands();
    let mut version = version.to_owned();
    while let Some(line) = lines.next().await {
        let line = line?;
        match serde_json::from_slice::<Event>(&line) {
            Ok(event) => {
                version = event.object.metadata.resource_version;
                if event.r#type != "BOOKMARK" {
                    tally.event(line.len());
                    listener.event(&line).await;
                }
            }
            // An error, which has no version: all has to be listed again.
            Err(_) => return Ok(None),
        }
    }
    Ok(Some(version))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selector_is_a_part_of_the_query() {
        let text = |followed: Followed| followed.call("watch=1").to_string();
        assert_eq!(text(Followed::all("/a")), "GET /a?watch=1");
        assert_eq!(text(Followed::some("/a", "b=c")), "GET /a?b=c&watch=1");
    }

    #[test]
    fn an_error_is_no_event() {
        let event = r#"{"type":"ADDED","object":{"metadata":{"resourceVersion":"7"}}}"#;
        let event: Event = serde_json::from_str(event).unwrap();
        assert_eq!(event.object.metadata.resource_version, "7");
        let error = r#"{"type":"ERROR","object":{"kind":"Status","metadata":{},"code":410}}"#;
        assert!(serde_json::from_str::<Event>(error).is_err());
    }
}
