//! Shows static pods in the API: keeps a mirror of each there.

use crate::manager::Pods;
use crate::pod;
use crate::static_pods;
use hardway_client::Store;
use hardway_client::api::{Client, DeleteParams};
use hardway_client::controller::{self, Next};
use hardway_client::queue::WorkQueue;
use hardway_proto::meta::ObjectKey;
use hardway_proto::{Kind, Status};
use k8s_openapi::api::core::v1::{Node, Pod};
use std::time::Duration;
use tokio::sync::watch;

/// How long until we look again whether the node is registered.
const RETRY: Duration = Duration::from_secs(1);

/// Whose mirrors they are.
#[derive(Clone)]
pub struct Owner {
    /// The node's name.
    pub node: String,
    /// The pods that run here, none of which is a mirror.
    pub pods: Pods,
}

impl Owner {
    /// Whether a pod of the API is one of them.
    pub fn has(&self, pod: &Pod) -> bool {
        pod::is_mirror(pod, &self.node) && !self.pods.has(pod.uid())
    }
}

/// Keeps mirrors for as long as the future lives. Keys come into `queue` when
/// a mirror or its static pod changed.
pub async fn keep(
    client: Client,
    node: Store<Node>,
    mirrors: Store<Pod>,
    statics: watch::Receiver<static_pods::Pods>,
    queue: WorkQueue<ObjectKey>,
    of: Owner,
) {
    node.wait_synced().await;
    controller::run("mirror-pods", queue, 1, |key: ObjectKey| {
        let (client, node, mirrors) = (client.clone(), node.clone(), mirrors.clone());
        let wanted = {
            let pods = statics.borrow();
            let found = pods.values().find(|p| ObjectKey::of(p.as_ref()) == key);
            found.cloned()
        };
        let of = of.clone();
        async move {
            let present = mirrors.get(&key).filter(|p| of.has(p));
            // A mirror is its node's: without the node it comes later.
            let mirror = match (wanted, node.list().into_iter().next()) {
                (None, _) => None,
                (Some(pod), Some(node)) => Some(static_pods::mirror(&pod, &node)),
                (Some(_), None) => return Ok(Next::After(RETRY)),
            };
            reconcile(&client, &key, present.as_deref(), mirror).await
        }
    })
    .await;
}

async fn reconcile(
    client: &Client,
    key: &ObjectKey,
    present: Option<&Pod>,
    wanted: Option<Pod>,
) -> Result<Next, Status> {
    let api = client.namespaced::<Pod>(&key.namespace);
    let of = |pod: &Pod| {
        let annotations = pod.metadata.annotations.as_ref();
        annotations.and_then(|a| a.get(pod::MIRROR).cloned())
    };
    let current = present.filter(|p| !pod::is_deleting(p));
    if let (Some(current), Some(wanted)) = (current, &wanted)
        && of(current) == of(wanted)
    {
        return Ok(Next::Done);
    }
    if let Some(stale) = present {
        match api.delete(&key.name, &DeleteParams::now(stale.uid())).await {
            Err(status) if !status.is_not_found() && !status.is_conflict() => return Err(status),
            _ => {}
        }
    }
    match wanted {
        None => Ok(Next::Done),
        Some(mirror) => match api.create(&mirror).await {
            Err(status) if status.is_already_exists() => Ok(Next::Done),
            outcome => outcome.map(|_| Next::Done),
        },
    }
}
