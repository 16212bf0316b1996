//! Deletes what has no owner left, and carries out foreground and orphaning
//! deletions. Works on every resource that can be watched and deleted, custom
//! ones included.

mod absent;
mod graph;

use crate::Work;
use crate::context::Context;
use crate::ownership::keep_ownership;
use absent::Absent;
use futures_util::StreamExt;
use futures_util::stream::{self, FuturesUnordered};
use graph::{Effects, FOREGROUND, Graph, Node, ORPHAN, OwnerState, Step, Verdict, fits, verdict};
use hardway_client::api::{DeleteParams, Patch};
use hardway_client::controller::{self, Next};
use hardway_client::events::{EventType, Recorder};
use hardway_client::informer::Change;
use hardway_client::queue::WorkQueue;
use hardway_client::{Api, Client, DynamicApi, Informer};
use hardway_proto::api::ResourceInfo;
use hardway_proto::kind::PartialObject;
use hardway_proto::{Kind, Status};
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::AbortHandle;

const WORKERS: usize = 8;
const DISCOVERY_RETRY: Duration = Duration::from_secs(2);
/// How often an owner is asked for that no watch has shown.
const UNSEEN: Duration = Duration::from_secs(60);
/// Dependents that are set free at a time.
const PARALLEL: usize = 16;

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
    absent: Arc<Mutex<Absent>>,
    recorder: Recorder,
}

/// The controller.
pub fn register(context: &Context) -> Work {
    let collector = Collector {
        client: context.client.clone(),
        graph: Arc::default(),
        queue: WorkQueue::new(),
        watches: Arc::default(),
        absent: Arc::default(),
        recorder: context.recorder("garbage-collector-controller"),
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
        let on_service = resources.clone();
        let services = Api::metadata_of(collector.client.dynamic(
            "apiregistration.k8s.io",
            "v1",
            "apiservices",
            "",
        ));
        // Of what other servers serve, their status tells when they can be asked.
        let services = Informer::new(services)
            .on_change(move |_| on_service.add_after((), Duration::from_secs(1)));
        let queue = collector.queue.clone();
        tokio::select! {
            () = definitions.run() => {}
            () = services.run() => {}
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

impl Collector {
    /// Watches every resource there is, and none that is gone. Of one whose server can't be
    /// asked nobody knows.
    async fn follow_resources(&self) -> Result<Next, Status> {
        let discovery = self.client.discovery().await?;
        let is_away = |info: &ResourceInfo| {
            let version = format!("{}/{}", info.group, info.version);
            discovery.unavailable.contains(&version)
        };
        let found: HashMap<ResourceKey, ResourceInfo> = discovery
            .resources
            .iter()
            .filter(|info| is_collected(info))
            .cloned()
            .map(|r| ((r.group.clone(), r.resource.clone()), r))
            .collect();
        let mut fresh = FuturesUnordered::new();
        {
            let mut watches = self.watches.lock();
            watches.retain(|key, watch| match found.get(key) {
                // Somebody else may serve it by now.
                Some(info) => info.aggregated == watch.info.aggregated,
                None => is_away(&watch.info),
            });
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
        let (this, resource) = (self.clone(), info.clone());
        let informer = Informer::new(Api::metadata_of(api)).trim(keep_ownership);
        let informer = informer.on_change(move |change| {
            let mut graph = this.graph.lock();
            let mut all = Vec::new();
            match change {
                Change::Applied { old, new } => {
                    if let Some(old) = old.as_ref().filter(|old| old.uid() != new.uid()) {
                        all.push(graph.remove(old.uid()));
                    }
                    all.push(graph.apply(&resource, new));
                }
                Change::Deleted(object) => all.push(graph.remove(object.uid())),
            }
            for effects in all {
                this.follow(&graph, effects);
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
        self.client.resource(info, namespace)
    }

    fn follow(&self, graph: &Graph, effects: Effects) {
        for uid in effects.look {
            self.queue.add(uid);
        }
        for (uid, owner) in effects.misplaced {
            if let Some(node) = graph.get(&uid) {
                let (about, message) = misplaced(&uid, node, &owner);
                let reason = "OwnerRefInvalidNamespace";
                self.recorder
                    .event(about, EventType::Warning, reason, message);
            }
        }
    }

    async fn reconcile(&self, uid: String) -> Result<Next, Status> {
        let (node, step) = {
            let graph = self.graph.lock();
            let Some(node) = graph.get(&uid).cloned() else {
                return Ok(Next::Done);
            };
            (node, graph.step(&uid))
        };
        match step {
            Step::Rest => {}
            Step::Orphan(dependents) => {
                self.orphan(&uid, dependents).await?;
                self.drop_finalizer(&uid, &node, ORPHAN).await?;
            }
            Step::Finish => self.drop_finalizer(&uid, &node, FOREGROUND).await?,
            Step::LookAt(dependents) => dependents.into_iter().for_each(|uid| self.queue.add(uid)),
            Step::Judge => return self.judge(&uid, &node).await,
        }
        Ok(Next::Done)
    }

    /// Deletes an object none of whose owners stands any more.
    async fn judge(&self, uid: &str, node: &Node) -> Result<Next, Status> {
        match self.verdict(uid, node).await? {
            None => return Ok(Next::Done),
            Some(Verdict::Keep) => return Ok(self.look_again(node)),
            Some(Verdict::Disown(_) | Verdict::Delete { .. }) => {}
        }
        // Before anything is done for good, its owners are asked for once more:
        // somebody may have adopted it since.
        let api = self.api(&node.resource, node.namespace());
        let Some(latest) = self.latest(uid, node).await? else {
            return Ok(Next::Done);
        };
        let mut latest = Arc::new(latest);
        let node = Node {
            resource: node.resource.clone(),
            object: latest.clone(),
        };
        match self.verdict(uid, &node).await? {
            None | Some(Verdict::Keep) => {}
            Some(Verdict::Disown(owners)) => self.drop_owners(uid, &node, &owners).await?,
            Some(Verdict::Delete { policy, unblock }) => {
                if unblock {
                    let patch = unblocked(&latest);
                    let patched = api.patch(node.name(), "", Patch::Merge(&patch)).await;
                    latest = match patched {
                        Err(status) if status.is_not_found() => return Ok(Next::Done),
                        patched => {
                            let patched = PartialObject::parse(&patched?.json);
                            Arc::new(patched.map_err(Status::internal)?)
                        }
                    };
                }
                let options = DeleteParams {
                    propagation_policy: Some(policy),
                    resource_version: Some(latest.resource_version().to_owned()),
                    ..DeleteParams::of(uid)
                };
                ignore_gone(api.delete(node.name(), &options).await.map(|_| ()))?;
            }
        }
        Ok(Next::Done)
    }

    /// When to look at an object again that stays: an owner that was never seen
    /// in a watch may go without anybody hearing of it.
    fn look_again(&self, node: &Node) -> Next {
        let graph = self.graph.lock();
        match node.owners().iter().all(|o| graph.get(&o.uid).is_some()) {
            true => Next::Done,
            false => Next::After(UNSEEN),
        }
    }

    /// What its owners mean for an object; `None` if nothing can be said as
    /// long as they are named as they are.
    async fn verdict(&self, uid: &str, node: &Node) -> Result<Option<Verdict>, Status> {
        let mut states = Vec::with_capacity(node.owners().len());
        for owner in node.owners() {
            let known = self.graph.lock().state_of(owner, node);
            let state = match known {
                Some(state) => state,
                None => match self.ask_for(owner, node).await? {
                    Some(state) => state,
                    None => return Ok(None),
                },
            };
            states.push((owner.uid.clone(), state));
        }
        let graph = self.graph.lock();
        let (has_dependents, in_circle) = (graph.has_dependents(uid), graph.is_in_circle(uid));
        let verdict = verdict(&states, node.finalizers(), has_dependents, in_circle);
        Ok(Some(verdict))
    }

    /// Asks the apiserver for an owner: it may be newer than the cache, or not
    /// what the reference says. `None` if it could only be in a namespace, and
    /// the dependent is in none: that is never resolved, as in Kubernetes.
    async fn ask_for(
        &self,
        owner: &OwnerReference,
        node: &Node,
    ) -> Result<Option<OwnerState>, Status> {
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
        let namespace = match info.namespaced {
            true if node.namespace().is_empty() => return Ok(None),
            true => node.namespace(),
            false => "",
        };
        if self.absent.lock().contains(owner, namespace) {
            return Ok(Some(OwnerState::Gone));
        }
        match self.api(&info, namespace).get(&owner.name).await {
            Ok(object) if object.uid == owner.uid => {
                let object = PartialObject::parse(&object.json).map_err(Status::internal)?;
                let finalizers = object.metadata.finalizers.iter().flatten();
                let waits = object.metadata.deletion_timestamp.is_some()
                    && finalizers.into_iter().any(|f| f == FOREGROUND);
                return Ok(Some(match waits {
                    true => OwnerState::Waiting,
                    false => OwnerState::Solid,
                }));
            }
            Ok(_) => {}
            Err(status) if status.is_not_found() => {}
            Err(status) => return Err(status),
        }
        self.absent.lock().insert(owner, namespace);
        Ok(Some(OwnerState::Gone))
    }

    /// The object as it is now, if it is still the one with this UID.
    async fn latest(&self, uid: &str, node: &Node) -> Result<Option<PartialObject>, Status> {
        let api = self.api(&node.resource, node.namespace());
        match api.get(node.name()).await {
            Ok(object) if object.uid == uid => PartialObject::parse(&object.json)
                .map(Some)
                .map_err(Status::internal),
            Ok(_) => Ok(None),
            Err(status) if status.is_not_found() => Ok(None),
            Err(status) => Err(status),
        }
    }

    /// Takes an owner out of its dependents' references.
    async fn orphan(&self, uid: &str, dependents: Vec<String>) -> Result<(), Status> {
        let owner = [uid.to_owned()];
        let free = |dependent: String| {
            let node = self.graph.lock().get(&dependent).cloned();
            let owner = &owner;
            async move {
                match node {
                    Some(node) => self.drop_owners(&dependent, &node, owner).await,
                    None => Ok(()),
                }
            }
        };
        stream::iter(dependents)
            .map(free)
            .buffer_unordered(PARALLEL)
            .fold(Ok(()), |all: Result<(), Status>, one| async move {
                all.and(one)
            })
            .await
    }

    /// Takes owners out of an object's references.
    async fn drop_owners(&self, uid: &str, node: &Node, owners: &[String]) -> Result<(), Status> {
        let Some(object) = self.latest(uid, node).await? else {
            return Ok(());
        };
        let mut left = object.metadata.owner_references.clone().unwrap_or_default();
        left.retain(|reference| !owners.contains(&reference.uid));
        let patch = json!({"metadata": {
            "uid": uid, "resourceVersion": object.resource_version(), "ownerReferences": left,
        }});
        self.patch(node, &patch).await
    }

    async fn drop_finalizer(&self, uid: &str, node: &Node, finalizer: &str) -> Result<(), Status> {
        let Some(object) = self.latest(uid, node).await? else {
            return Ok(());
        };
        let mut left = object.metadata.finalizers.clone().unwrap_or_default();
        if !left.iter().any(|f| f == finalizer) {
            return Ok(());
        }
        left.retain(|f| f != finalizer);
        let patch = json!({"metadata": {
            "uid": uid, "resourceVersion": object.resource_version(), "finalizers": left,
        }});
        self.patch(node, &patch).await
    }

    async fn patch(&self, node: &Node, patch: &Value) -> Result<(), Status> {
        let api = self.api(&node.resource, node.namespace());
        let patched = api.patch(node.name(), "", Patch::Merge(patch)).await;
        ignore_gone(patched.map(|_| ()))
    }
}

/// The patch after which an object holds up no owner's deletion.
fn unblocked(object: &PartialObject) -> Value {
    let mut owners = object.metadata.owner_references.clone().unwrap_or_default();
    for owner in &mut owners {
        owner.block_owner_deletion = Some(false);
    }
    json!({"metadata": {
        "uid": object.uid(), "resourceVersion": object.resource_version(), "ownerReferences": owners,
    }})
}

/// What is said of a reference that leads into another namespace, and of whom,
/// in Kubernetes' words.
fn misplaced(uid: &str, node: &Node, owner: &OwnerReference) -> (ObjectReference, String) {
    let namespace = node.namespace();
    let message = format!(
        "ownerRef [{}/{}, namespace: {namespace}, name: {}, uid: {}] does not exist in namespace {namespace:?}",
        owner.api_version, owner.kind, owner.name, owner.uid
    );
    let info = &node.resource;
    let api_version = match info.group.as_str() {
        "" => info.version.clone(),
        group => format!("{group}/{}", info.version),
    };
    let about = ObjectReference {
        api_version: Some(api_version),
        kind: Some(info.kind.clone()),
        namespace: Some(namespace.to_owned()).filter(|n| !n.is_empty()),
        name: Some(node.name().to_owned()),
        uid: Some(uid.to_owned()),
        ..ObjectReference::default()
    };
    (about, message)
}

/// What is gone already is as wanted.
fn ignore_gone(outcome: Result<(), Status>) -> Result<(), Status> {
    match outcome {
        Err(status) if status.is_not_found() => Ok(()),
        outcome => outcome,
    }
}

#[cfg(test)]
mod tests;
