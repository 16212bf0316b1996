//! Nodes that are only objects: made, and kept from being thought dead.

use super::objects;
use crate::api::{Api, ApiError, Call, Patch};
use crate::failure::{Failure, OrFail};
use crate::workers;
use crate::workload::Context;
use parking_lot::Mutex;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

/// Their collection.
pub const NODES: &str = "/api/v1/nodes";
/// The collection of their Leases.
pub const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases";

/// How often a kubelet renews its Lease.
const RENEWAL: Duration = Duration::from_secs(10);

/// The name of the node with this number.
pub fn name(id: &str, number: u64) -> String {
    format!("load-{id}-{number}")
}

/// Whether the cluster has nodes of its own.
///
/// # Errors
/// If it doesn't say.
pub async fn are_there(api: &Api) -> Result<bool, Failure> {
    let call = Call::get(format!("{NODES}?limit=1"));
    let answer = api.send(&call).await.and_then(|answer| answer.json());
    let nodes = answer.or_fail(|| "look for nodes".to_owned())?;
    let items = nodes["items"].as_array();
    Ok(items.is_some_and(|items| !items.is_empty()))
}

/// Makes them, shared out to zones.
///
/// # Errors
/// If one can't be made.
pub async fn create(context: &Context, zones: u64) -> Result<(), Failure> {
    let id = context.id.clone();
    for_all(context, "create nodes", move |api, number| {
        let node = objects::node(&name(&id, number), &id, number % zones);
        async move { create_ready(&api, node).await }
    })
    .await
}

/// A new node gets a taint until a controller sees that it is ready. Here that is known, and
/// there may be no controller.
async fn create_ready(api: &Api, node: serde_json::Value) -> Result<(), ApiError> {
    let answer = api.send(&Call::post(NODES, &node)).await?;
    let made = answer.json()?;
    if made["spec"]["taints"].is_null() {
        return Ok(());
    }
    let name = made["metadata"]["name"].as_str().unwrap_or_default();
    let patch = json!({"spec": {"taints": null}});
    let call = Call::patch(format!("{NODES}/{name}"), Patch::Merge, &patch);
    api.send(&call).await.map(drop)
}

/// Renews their Leases as kubelets would, until that fails.
pub async fn renew_leases(context: &Context) -> Failure {
    let mut interval = tokio::time::interval(RENEWAL);
    loop {
        interval.tick().await;
        let id = context.id.clone();
        let renewed = for_all(context, "renew leases", move |api, number| {
            let name = name(&id, number);
            let now = format!("{:.6}", jiff::Timestamp::now());
            let lease = objects::lease(&name, &id, &now);
            async move { renew(&api, &name, &lease).await }
        });
        if let Err(failure) = renewed.await {
            return failure;
        }
    }
}

async fn renew(api: &Api, name: &str, lease: &serde_json::Value) -> Result<(), ApiError> {
    let path = format!("{LEASES}/{name}");
    let renewed = api.send(&Call::patch(path, Patch::Merge, lease)).await;
    match renewed {
        Err(error) if error.code() == Some(404) => {
            api.send(&Call::post(LEASES, lease)).await.map(drop)
        }
        renewed => renewed.map(drop),
    }
}

/// Does something for the number of each node; fails as the last one that did.
async fn for_all<F>(
    context: &Context,
    what: &'static str,
    work: impl Fn(Api, u64) -> F + Send + Sync + 'static,
) -> Result<(), Failure>
where
    F: Future<Output = Result<(), ApiError>> + Send,
{
    let failed: Arc<Mutex<Option<ApiError>>> = Arc::default();
    let (apis, last) = (context.apis.clone(), Arc::clone(&failed));
    let work = Arc::new(work);
    let (count, concurrency) = (context.sizes.nodes.get(), context.sizes.concurrency.get());
    workers::each(count, concurrency, move |worker, number| {
        let api = apis[worker % apis.len()].clone();
        let (work, last) = (Arc::clone(&work), Arc::clone(&last));
        async move {
            if let Err(error) = work(api, number).await {
                *last.lock() = Some(error);
            }
        }
    })
    .await;
    let failed = failed.lock().take();
    failed.map_or(Ok(()), |error| {
        Err(Failure::new(what, &error, error.way_out()))
    })
}
