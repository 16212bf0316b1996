//! Deletes what has no owner left, and carries out foreground and orphaning
//! deletions. Works on every resource that can be watched and deleted, custom
//! ones included.

mod graph;

use crate::Work;
use crate::context::Context;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use graph::{FOREGROUND, Graph, Node, ORPHAN};
use hardway_client::api::{DeleteParams, Patch};
use hardway_client::controller::{self, Next};
use hardway_client::informer::Change;
use hardway_client::queue::WorkQueue;
use hardway_client::{Api, Client, DynamicApi, Informer};
use hardway_proto::api::ResourceInfo;
use hardway_proto::kind::PartialObject;
use hardway_proto::{Kind, Status};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use parking_lot::Mutex;
use serde_json::json;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::AbortHandle;

const WORKERS: usize = 8;
const DISCOVERY_RETRY: Duration = Duration::from_secs(2);

/// Group and resource.
type ResourceKey = (String, String);

struct Watch {
    info: Arc<ResourceInfo>,
    task: AbortHandle,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[derive(Clone)]
struct Collector {
    client: Client,
    graph: Arc<Mutex<Graph>>,
    queue: WorkQueue<String>,
    watches: Arc<Mutex<HashMap<ResourceKey, Watch>>>,
}

/// The controller.
pub fn register(context: &Context) -> Work {
    let collector = Collector {
        client: context.client.clone(),
        graph: Arc::default(),
        queue: WorkQueue::new(),
        watches: Arc::default(),
    };
    Box::pin(async move {
        let resources = WorkQueue::new();
        resources.add(());
        let on_definition = resources.clone();
        let definitions = Api::metadata_of(collector.client.dynamic(
            "apiextensions.k8s.io",
            "v1",
            "customresourcedefinitions",
            "",
        ));
        let definitions = Informer::new(definitions)
            .on_change(move |_| on_definition.add_after((), Duration::from_secs(1)));
        let queue = collector.queue.clone();
        tokio::select! {
            () = definitions.run() => {}
            () = controller::run("garbage-collector-resources", resources, 1, |()| collector.follow_resources()) => {}
            () = controller::run("garbage-collector", queue, WORKERS, |uid| collector.reconcile(uid)) => {}
        }
    })
}

/// Events come and go by themselves.
fn is_collected(resource: &ResourceInfo) -> bool {
    let can = |verb: &str| resource.verbs.iter().any(|v| v == verb);
    resource.resource != "events" && can("list") && can("watch") && can("delete")
}

/// Whether a resource is what a reference speaks of, in the group it is kept in
/// or in another that shows it.
fn fits(info: &ResourceInfo, owner: &OwnerReference) -> bool {
    let group = group_of(&owner.api_version);
    info.kind == owner.kind && (info.group == group || info.also_in.iter().any(|g| g == group))
}

fn group_of(api_version: &str) -> &str {
    api_version.split_once('/').map_or("", |(group, _)| group)
}

impl Collector {
    /// Watches every resource there is, and none that is gone.
    async fn follow_resources(&self) -> Result<Next, Status> {
        let found: HashMap<ResourceKey, ResourceInfo> = self
            .client
            .discover()
            .await?
            .into_iter()
            .filter(is_collected)
            .map(|r| ((r.group.clone(), r.resource.clone()), r))
            .collect();
        let mut fresh = FuturesUnordered::new();
        {
            let mut watches = self.watches.lock();
            watches.retain(|key, _| found.contains_key(key));
            for (key, info) in found {
                if watches.contains_key(&key) {
                    continue;
                }
                let info = Arc::new(info);
                let (watch, synced) = self.watch(info);
                watches.insert(key, watch);
                fresh.push(synced);
            }
        }
        // A resource that can't be listed must not hold up the others.
        let all = async { while fresh.next().await.is_some() {} };
        let _ = tokio::time::timeout(DISCOVERY_RETRY, all).await;
        Ok(Next::Done)
    }

    fn watch(&self, info: Arc<ResourceInfo>) -> (Watch, impl Future<Output = ()> + use<>) {
        let api = self.api(&info, "");
        let (graph, queue, resource) = (self.graph.clone(), self.queue.clone(), info.clone());
        let informer = Informer::new(Api::metadata_of(api)).on_change(move |change| {
            let look = match change {
                Change::Applied { old, new } => {
                    let mut graph = graph.lock();
                    let mut look = Vec::new();
                    if let Some(old) = old.as_ref().filter(|old| old.uid() != new.uid()) {
                        look = graph.remove(old.uid());
                    }
                    look.extend(graph.apply(&resource, new));
                    look
                }
                Change::Deleted(object) => graph.lock().remove(object.uid()),
            };
            for uid in look {
                queue.add(uid);
            }
        });
        let (store, task) = informer.spawn();
        let watch = Watch {
            info,
            task: task.abort_handle(),
        };
        (watch, async move { store.wait_synced().await })
    }

    fn api(&self, info: &ResourceInfo, namespace: &str) -> DynamicApi {
        let namespace = if info.namespaced { namespace } else { "" };
        self.client
            .dynamic(&info.group, &info.version, &info.resource, namespace)
    }

    async fn reconcile(&self, uid: String) -> Result<Next, Status> {
        let Some(node) = self.graph.lock().get(&uid).cloned() else {
            return Ok(Next::Done);
        };
        if node.orphans_dependents() {
            self.orphan_dependents(&uid).await?;
            self.drop_finalizer(&uid, &node, ORPHAN).await?;
        } else if node.waits_for_dependents() {
            let blocking = self.graph.lock().blocking_dependents(&uid);
            if blocking.is_empty() {
                self.drop_finalizer(&uid, &node, FOREGROUND).await?;
            }
            for dependent in blocking {
                self.queue.add(dependent);
            }
        } else if !node.deleting && !node.owners.is_empty() {
            self.collect(&uid, &node).await?;
        }
        Ok(Next::Done)
    }

    /// Deletes an object none of whose owners stands any more.
    async fn collect(&self, uid: &str, node: &Node) -> Result<(), Status> {
        let (mut solid, mut gone, mut waiting) = (0, Vec::new(), Vec::new());
        for owner in &node.owners {
            match self.state_of(owner, &node.key.namespace).await? {
                OwnerState::Solid => solid += 1,
                OwnerState::Gone => gone.push(owner.uid.clone()),
                OwnerState::WaitingForDependents => waiting.push(owner.uid.clone()),
            }
        }
        if solid > 0 {
            gone.extend(waiting);
            return self.drop_owners(uid, node, &gone).await;
        }
        let has_dependents = !self.graph.lock().dependents(uid).is_empty();
        let finalizer = |name: &str| node.finalizers.iter().any(|f| f == name);
        let policy = if (!waiting.is_empty() && has_dependents) || finalizer(FOREGROUND) {
            "Foreground"
        } else if finalizer(ORPHAN) {
            "Orphan"
        } else {
            "Background"
        };
        let options = DeleteParams {
            propagation_policy: Some(policy),
            ..DeleteParams::of(uid)
        };
        let api = self.api(&node.resource, &node.key.namespace);
        ignore_gone(api.delete(&node.key.name, &options).await.map(|_| ()))
    }

    async fn state_of(
        &self,
        owner: &OwnerReference,
        namespace: &str,
    ) -> Result<OwnerState, Status> {
        if let Some(node) = self.graph.lock().get(&owner.uid) {
            let here = !node.resource.namespaced || node.key.namespace == namespace;
            return Ok(if !here || node.key.name != owner.name {
                OwnerState::Gone
            } else if node.waits_for_dependents() {
                OwnerState::WaitingForDependents
            } else {
                OwnerState::Solid
            });
        }
        // Not in the cache: it may be newer than the cache, so ask.
        let info = self
            .watches
            .lock()
            .values()
            .find_map(|watch| fits(&watch.info, owner).then(|| watch.info.clone()));
        let Some(info) = info else {
            return Err(Status::internal(format!(
                "owner {} {:?}: no resource of that kind is served",
                owner.kind, owner.name
            )));
        };
        match self.api(&info, namespace).get(&owner.name).await {
            Ok(object) if object.uid == owner.uid => Ok(OwnerState::Solid),
            Ok(_) => Ok(OwnerState::Gone),
            Err(status) if status.is_not_found() => Ok(OwnerState::Gone),
            Err(status) => Err(status),
        }
    }

    async fn orphan_dependents(&self, uid: &str) -> Result<(), Status> {
        let dependents = self.graph.lock().dependents(uid);
        for dependent in dependents {
            let node = self.graph.lock().get(&dependent).cloned();
            if let Some(node) = node {
                self.drop_owners(&dependent, &node, &[uid.to_owned()])
                    .await?;
            }
        }
        Ok(())
    }

    /// Takes owners out of an object's references.
    async fn drop_owners(&self, uid: &str, node: &Node, owners: &[String]) -> Result<(), Status> {
        if owners.is_empty() {
            return Ok(());
        }
        let api = self.api(&node.resource, &node.key.namespace);
        let current = match api.get(&node.key.name).await {
            Err(status) if status.is_not_found() => return Ok(()),
            outcome => outcome?,
        };
        if current.uid != uid {
            return Ok(());
        }
        let object = PartialObject::parse(&current.json).map_err(Status::internal)?;
        let mut left = object.metadata.owner_references.clone().unwrap_or_default();
        left.retain(|reference| !owners.contains(&reference.uid));
        let patch = json!({"metadata": {
            "uid": uid, "resourceVersion": object.resource_version(), "ownerReferences": left,
        }});
        ignore_gone(
            api.patch(&node.key.name, "", Patch::Merge(&patch))
                .await
                .map(|_| ()),
        )
    }

    async fn drop_finalizer(&self, uid: &str, node: &Node, finalizer: &str) -> Result<(), Status> {
        let api = self.api(&node.resource, &node.key.namespace);
        let current = match api.get(&node.key.name).await {
            Err(status) if status.is_not_found() => return Ok(()),
            outcome => outcome?,
        };
        let object = PartialObject::parse(&current.json).map_err(Status::internal)?;
        let mut left = object.metadata.finalizers.clone().unwrap_or_default();
        if current.uid != uid || !left.iter().any(|f| f == finalizer) {
            return Ok(());
        }
        left.retain(|f| f != finalizer);
        let patch = json!({"metadata": {
            "uid": uid, "resourceVersion": object.resource_version(), "finalizers": left,
        }});
        ignore_gone(
            api.patch(&node.key.name, "", Patch::Merge(&patch))
                .await
                .map(|_| ()),
        )
    }
}

enum OwnerState {
    Solid,
    Gone,
    WaitingForDependents,
}

/// What is gone already is as wanted.
fn ignore_gone(outcome: Result<(), Status>) -> Result<(), Status> {
    match outcome {
        Err(status) if status.is_not_found() => Ok(()),
        outcome => outcome,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_are_known_by_their_old_names_too() {
        let deployments = ResourceInfo {
            group: "apps".into(),
            kind: "Deployment".into(),
            also_in: vec!["extensions".into()],
            ..ResourceInfo::default()
        };
        let owner = |api_version: &str, kind: &str| OwnerReference {
            api_version: api_version.into(),
            kind: kind.into(),
            ..OwnerReference::default()
        };
        for old in ["apps/v1", "apps/v1beta1", "extensions/v1beta1"] {
            assert!(fits(&deployments, &owner(old, "Deployment")), "{old}");
        }
        assert!(!fits(&deployments, &owner("apps/v1", "ReplicaSet")));
        assert!(!fits(&deployments, &owner("example.com/v1", "Deployment")));
    }
}
