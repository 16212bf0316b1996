//! Following one aggregated server: whether it can be asked, and what it serves.

use super::remote::{LARGEST, Remote, Told};
use super::status::{self, Verdict};
use crate::backend::Unavailable;
use crate::pipeline::Pipeline;
use bytes::Bytes;
use hardway_client::serving::caught;
use hardway_resources::openapi::Foreign;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::APIResourceList;
use serde::de::IgnoredAny;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::AbortHandle;

/// How often one that answers is asked again, as Kubernetes does: that a network is cut
/// nobody tells.
const AGAIN: Duration = Duration::from_secs(30);
/// How long to wait after an answer that failed, first and at most.
const RETRY: Duration = Duration::from_millis(200);
const LONGEST_RETRY: Duration = Duration::from_secs(30);

/// The largest list of resources, in bytes, and the most that may be on it: an API server of
/// Kubernetes has some twenty.
const LARGEST_LIST: usize = 1 << 20;
const MOST: usize = 1000;

/// A server that is followed until this is dropped.
pub struct Following {
    pub(super) remote: Arc<Remote>,
    task: AbortHandle,
}

impl Drop for Following {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Following {
    /// Begins.
    pub(super) fn begin(pipeline: Arc<Pipeline>, name: String, remote: Arc<Remote>) -> Self {
        let followed = remote.clone();
        let task = tokio::spawn(async move {
            let follow = || follow(pipeline.clone(), name.clone(), followed.clone());
            while let Err(panic) = caught(follow()).await {
                tracing::error!(name, panic, "following an API service panicked");
                tokio::time::sleep(LONGEST_RETRY).await;
            }
        });
        Self {
            remote,
            task: task.abort_handle(),
        }
    }
}

async fn follow(pipeline: Arc<Pipeline>, name: String, remote: Arc<Remote>) {
    let of = |group, plural| pipeline.cache.of(group, plural).map(|of| of.changes());
    let (Some(mut services), Some(mut slices)) =
        (of("", "services"), of("discovery.k8s.io", "endpointslices"))
    else {
        return;
    };
    let mut pause = RETRY;
    loop {
        services.borrow_and_update();
        slices.borrow_and_update();
        let addresses = remote.addresses();
        let verdict = look(&pipeline, &remote, &addresses).await;
        let written = status::write(&pipeline, &name, &verdict).await;
        if let Err(status) = &written {
            tracing::warn!(name, %status, "the status of an API service, retrying");
        }
        if verdict.is_ok() && openapi(&remote).await {
            pipeline.aggregation.changed();
        }
        let wait = match &verdict {
            Ok(_) if written.is_ok() => {
                pause = RETRY;
                AGAIN
            }
            _ => {
                pause = (pause * 2).min(LONGEST_RETRY);
                pause
            }
        };
        let moved = async {
            loop {
                let changed = tokio::select! {
                    changed = services.changed() => changed,
                    changed = slices.changed() => changed,
                };
                if changed.is_err() || remote.addresses() != addresses {
                    return;
                }
            }
        };
        if tokio::time::timeout(wait, moved).await.is_ok() {
            pause = RETRY;
        }
    }
}

/// Looks how a server is, and takes over what it serves.
async fn look(
    pipeline: &Pipeline,
    remote: &Arc<Remote>,
    addresses: &Result<Vec<String>, Unavailable>,
) -> Verdict {
    let told = match addresses {
        Err(none) => Err(none.clone()),
        Ok(_) => {
            let mut told = resources(remote).await;
            if told.is_err() && remote.state().is_available {
                // One connection that broke, or one endpoint of several, is no reason to
                // refuse everybody: Kubernetes tries five times.
                told = resources(remote).await;
            }
            told.map_err(|message| Unavailable {
                reason: "FailedDiscoveryCheck",
                message,
            })
        }
    };
    let is_news = remote.learn(|state| {
        let is_available = told.is_ok();
        let mut is_news = std::mem::replace(&mut state.is_available, is_available) != is_available;
        if let Ok(resources) = &told
            && state.resources.as_deref() != Some(resources)
        {
            state.resources = Some(Arc::new(resources.clone()));
            is_news = true;
        }
        is_news
    });
    if is_news {
        pipeline.aggregation.changed();
    }
    told.map(|_| Unavailable {
        reason: "Passed",
        message: "all checks passed".into(),
    })
}

async fn resources(remote: &Arc<Remote>) -> Result<Value, String> {
    let asking = remote.document(remote.spec.root(), LARGEST_LIST, String::new());
    let (bytes, _) = asking.await?.unwrap_or_default();
    checked(&bytes)
}

/// The resources of a list that is one: it becomes part of documents that clients of all
/// groups read.
fn checked(bytes: &[u8]) -> Result<Value, String> {
    let list: APIResourceList = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    if list.resources.len() > MOST {
        return Err(format!(
            "more than {MOST} resources: {}",
            list.resources.len()
        ));
    }
    serde_json::to_value(list.resources).map_err(|error| error.to_string())
}

/// Takes over what it says of shapes, and tells whether that is news. A server need not say
/// anything, and what it said last stays while it can't be asked.
async fn openapi(remote: &Arc<Remote>) -> bool {
    let root = remote.spec.root();
    let known = remote.state().openapi;
    let (v3, v2) = tokio::join!(
        shapes(
            remote,
            format!("/openapi/v3{root}"),
            known.v3.map(|(told, _)| told)
        ),
        shapes(
            remote,
            "/openapi/v2".to_owned(),
            known.v2.map(|(told, _)| told)
        ),
    );
    let is_json = |bytes: &Bytes| serde_json::from_slice::<IgnoredAny>(bytes).is_ok();
    let v3 = v3.filter(|(_, bytes)| is_json(bytes));
    let v2 = v2.and_then(|(told, bytes)| match Foreign::cut(&bytes, &root) {
        Ok(part) => Some((told, part)),
        Err(error) => {
            tracing::warn!(root, %error, "the OpenAPI document of an aggregated server");
            None
        }
    });
    remote.learn(|state| {
        let is_news = v3.is_some() || v2.is_some();
        let openapi = &mut state.openapi;
        openapi.v3 = v3.or_else(|| openapi.v3.take());
        openapi.v2 = v2.or_else(|| openapi.v2.take());
        is_news
    })
}

/// A document, if it can be had and isn't the one that was told before.
async fn shapes(remote: &Arc<Remote>, path: String, known: Option<Told>) -> Option<(Told, Bytes)> {
    let known = known.unwrap_or_default();
    let asking = remote.document(path, LARGEST, known.etag.clone());
    let (bytes, etag) = asking.await.ok()??;
    let hash = ring::digest::digest(&ring::digest::SHA256, &bytes);
    let hash = hash.as_ref().iter();
    let hash: String = hash.map(|byte| format!("{byte:02X}")).collect();
    let told = Told { etag, hash };
    (told.hash != known.hash).then_some((told, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn lists_are_taken_if_clients_can_read_them() {
        let list = |resources: Value| {
            let list =
                json!({"kind": "APIResourceList", "groupVersion": "g/v1", "resources": resources});
            checked(list.to_string().as_bytes())
        };
        let things = json!({"name": "things", "singularName": "thing", "namespaced": true,
            "kind": "Thing", "verbs": ["get"]});
        assert_eq!(list(json!([things])).unwrap()[0]["kind"], "Thing");
        assert_eq!(list(Value::Null), Ok(json!([])));
        for (field, odd) in [
            ("kind", json!(5)),
            ("verbs", json!("get")),
            ("shortNames", json!({})),
        ] {
            let mut bad = things.clone();
            bad[field] = odd;
            assert!(list(json!([bad])).is_err(), "{field}");
        }
        assert!(list(json!(vec![things; 1001])).is_err());
        assert!(checked(b"[]").is_err() && checked(b"").is_err());
    }
}
