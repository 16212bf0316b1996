//! Carries out what was decided.

use crate::claim::{self, Place};
use crate::settings::Flags;
use crate::{folder, volume};
use hardway_client::api::{DeleteParams, Patch};
use hardway_client::controller::{self, Next};
use hardway_client::events::{EventType, Recorder, reference};
use hardway_client::informer::Change;
use hardway_client::queue::WorkQueue;
use hardway_client::{Client, Informer, Store};
use hardway_proto::claims::{SELECTED_NODE, annotation, class_of_claim};
use hardway_proto::meta::ObjectKey;
use hardway_proto::{Kind, Status};
use k8s_openapi::api::core::v1::{Node, PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::api::storage::v1::StorageClass;
use serde_json::json;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// What to look at.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Task {
    Claim(ObjectKey),
    Volume(String),
    /// A folder, and the name of the volume that it would be of.
    Folder(String, PathBuf),
}

/// Why something is tried again.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Api(#[from] Status),
    #[error("{}: {error}", path.display())]
    Folder { path: PathBuf, error: io::Error },
}

/// The provisioner of one node.
pub struct Provisioner {
    client: Client,
    recorder: Recorder,
    name: String,
    node: String,
    root: PathBuf,
    queue: WorkQueue<Task>,
    claims: Store<PersistentVolumeClaim>,
    volumes: Store<PersistentVolume>,
    classes: Store<StorageClass>,
    nodes: Store<Node>,
}

impl Provisioner {
    /// Starts watching; [`Provisioner::run`] does the work.
    pub fn start(client: Client, flags: &Flags) -> Self {
        let queue = WorkQueue::new();
        let on_claim = queue.clone();
        let root = flags.root.clone();
        let claims = Informer::new(client.all::<PersistentVolumeClaim>())
            .on_change(move |change| {
                let claim = change.object();
                on_claim.add(Task::Claim(ObjectKey::of(claim.as_ref())));
                if let Change::Deleted(claim) = change {
                    let name = volume::name(claim);
                    let path = volume::folder(claim, &root);
                    on_claim.add(Task::Folder(name, path));
                }
            })
            .start();
        let on_volume = queue.clone();
        let volumes = Informer::new(client.all::<PersistentVolume>())
            .on_change(move |change| {
                on_volume.add(Task::Volume(change.object().name().to_owned()));
            })
            .start();
        // Claims may have come before their class or this node, and nodes may have gone.
        let all = {
            let (queue, claims, volumes) = (queue.clone(), claims.clone(), volumes.clone());
            move || {
                for key in claims.keys() {
                    queue.add(Task::Claim(key));
                }
                for key in volumes.keys() {
                    queue.add(Task::Volume(key.name));
                }
            }
        };
        let (on_class, on_node, own) = (all.clone(), all, flags.node_name.clone());
        let classes = Informer::new(client.all::<StorageClass>())
            .on_change(move |_| on_class())
            .start();
        let nodes = Informer::new(client.all::<Node>())
            // Its name and labels are enough.
            .trim(|node| (node.spec, node.status) = (None, None))
            .on_change(move |change| {
                if matters(change, &own) {
                    on_node();
                }
            })
            .start();
        Self {
            recorder: Recorder::new(
                client.clone(),
                &flags.provisioner_name,
                Some(&flags.node_name),
            ),
            client,
            name: flags.provisioner_name.clone(),
            node: flags.node_name.clone(),
            root: flags.root.clone(),
            queue,
            claims,
            volumes,
            classes,
            nodes,
        }
    }

    /// For readiness: whether all is known that has to be.
    pub fn synced(&self) -> impl Fn() -> Result<(), String> + Send + Sync + use<> {
        let (claims, volumes) = (self.claims.clone(), self.volumes.clone());
        let (classes, nodes) = (self.classes.clone(), self.nodes.clone());
        move || {
            claims.check()?;
            volumes.check()?;
            classes.check()?;
            nodes.check()
        }
    }

    /// Works until dropped.
    pub async fn run(self) {
        self.claims.wait_synced().await;
        self.volumes.wait_synced().await;
        self.classes.wait_synced().await;
        self.nodes.wait_synced().await;
        let queue = self.queue.clone();
        // Whoever ended in the middle of making a volume may have left its folder.
        let root = self.root.clone();
        let found = tokio::task::spawn_blocking(move || folder::all(&root)).await;
        for (name, path) in found.unwrap_or_default() {
            queue.add(Task::Folder(name, path));
        }
        controller::run("provisioner", queue, 4, |task| self.reconcile(task)).await;
    }

    async fn reconcile(&self, task: Task) -> Result<Next, Error> {
        let outcome = match task {
            Task::Claim(key) => self.claim(&key).await,
            Task::Volume(name) => self.volume(&name).await,
            Task::Folder(name, path) => self.folder(&name, path).await,
        };
        match outcome {
            // It has changed or gone: the watch says so, and it is looked at again.
            Err(Error::Api(status)) if status.is_not_found() || status.is_conflict() => {
                Ok(Next::Done)
            }
            other => other.map(|()| Next::Done),
        }
    }

    fn is_node(&self, name: &str) -> bool {
        self.nodes.get(&ObjectKey::new("", name)).is_some()
    }

    /// The watch may be late: nobody's data is given up for that.
    async fn is_gone(&self, node: &str) -> Result<bool, Status> {
        Ok(self.client.all::<Node>().get_opt(node).await?.is_none())
    }

    async fn claim(&self, key: &ObjectKey) -> Result<(), Error> {
        let Some(claim) = self.claims.get(key) else {
            return Ok(());
        };
        let class = class_of_claim(&claim).unwrap_or_default();
        let class = self.classes.get(&ObjectKey::new("", class));
        let Some(node) = self.nodes.get(&ObjectKey::new("", &self.node)) else {
            return Ok(());
        };
        let place = Place {
            provisioner: &self.name,
            node: &node,
            root: &self.root,
        };
        match claim::next(&claim, class.as_deref(), &place, |name| self.is_node(name)) {
            claim::Step::Nothing => Ok(()),
            claim::Step::Offer => Ok(self.select(&claim, Some(&self.node)).await?),
            claim::Step::Forget => {
                let selected = annotation(claim.as_ref(), SELECTED_NODE).unwrap_or_default();
                if self.is_gone(selected).await? {
                    self.select(&claim, None).await?;
                }
                Ok(())
            }
            claim::Step::Refuse(why) => {
                self.failed(&claim, &why);
                Ok(())
            }
            claim::Step::Make(volume) => self.make(&claim, *volume).await,
        }
    }

    /// Says for which node a claim's volume is to be made.
    async fn select(
        &self,
        claim: &PersistentVolumeClaim,
        node: Option<&str>,
    ) -> Result<(), Status> {
        let mut new = claim.clone();
        let annotations = new.metadata.annotations.get_or_insert_default();
        match node {
            Some(node) => annotations.insert(SELECTED_NODE.into(), node.into()),
            None => annotations.remove(SELECTED_NODE),
        };
        let api = self.client.namespaced(claim.namespace());
        api.update(&new).await.map(drop)
    }

    async fn make(
        &self,
        claim: &PersistentVolumeClaim,
        volume: PersistentVolume,
    ) -> Result<(), Error> {
        if self
            .volumes
            .get(&ObjectKey::new("", volume.name()))
            .is_some()
        {
            return Ok(());
        }
        let about = format!("{}/{}", claim.namespace(), claim.name());
        let message = format!("External provisioner is provisioning volume for claim \"{about}\"");
        self.event(claim, EventType::Normal, "Provisioning", message);
        let path = PathBuf::from(volume::path(&volume));
        if let Err(error) = on_disk(path.clone(), folder::make).await {
            self.failed(claim, &error.to_string());
            return Err(error);
        }
        match self.client.all().create(&volume).await {
            Err(status) if !status.is_already_exists() => {
                self.failed(claim, &format!("error creating volume: {}", status.message));
                // Tried again only as long as the claim is there.
                self.queue.add(Task::Folder(volume.name().to_owned(), path));
                return Err(status.into());
            }
            _ => {}
        }
        let message = format!("Successfully provisioned volume {}", volume.name());
        self.event(claim, EventType::Normal, "ProvisioningSucceeded", message);
        Ok(())
    }

    async fn volume(&self, name: &str) -> Result<(), Error> {
        let Some(known) = self.volumes.get(&ObjectKey::new("", name)) else {
            return Ok(());
        };
        let step = |volume: &PersistentVolume| {
            volume::next(volume, &self.name, &self.node, |name| self.is_node(name))
        };
        if step(&known) == volume::Step::Nothing {
            return Ok(());
        }
        // Data is not removed because of a cache that is late.
        let volume: PersistentVolume = self.client.all().get(name).await?;
        match step(&volume) {
            volume::Step::Nothing => Ok(()),
            volume::Step::Hold => Ok(self.hold(&volume, true).await?),
            volume::Step::Release => Ok(self.hold(&volume, false).await?),
            volume::Step::Delete => {
                if let Err(error) = self.remove(&volume).await {
                    let why = error.to_string();
                    self.event(&volume, EventType::Warning, "VolumeFailedDelete", why);
                    return Err(error);
                }
                self.delete(&volume).await
            }
            volume::Step::Forget => {
                let node = annotation(&volume, volume::NODE).unwrap_or_default();
                match self.is_gone(node).await? {
                    true => self.delete(&volume).await,
                    false => Ok(()),
                }
            }
        }
    }

    /// Removes a folder whose claim went before there was a volume. Data there is none.
    async fn folder(&self, name: &str, path: PathBuf) -> Result<(), Error> {
        let is_wanted = |claim: &PersistentVolumeClaim| volume::name(claim) == name;
        let mut claims = self.claims.list().into_iter();
        if claims.any(|claim| is_wanted(&claim))
            || self.volumes.get(&ObjectKey::new("", name)).is_some()
        {
            return Ok(());
        }
        let volumes = self.client.all::<PersistentVolume>();
        match volumes.get_opt(name).await? {
            None => on_disk(path, folder::remove_empty).await,
            Some(_) => Ok(()),
        }
    }

    async fn remove(&self, volume: &PersistentVolume) -> Result<(), Error> {
        let path = volume::path(volume);
        let name = volume.name();
        match folder::below(&self.root, name, path) {
            Some(folder) => on_disk(folder, folder::remove).await,
            None => {
                let root = self.root.display();
                let why = format!("not removed, as it is no folder {name}_… directly in {root}");
                Err(Error::Folder {
                    path: path.into(),
                    error: io::Error::other(why),
                })
            }
        }
    }

    /// First deleted, so that nobody binds it; then let go.
    async fn delete(&self, volume: &PersistentVolume) -> Result<(), Error> {
        let api = self.client.all::<PersistentVolume>();
        api.delete(volume.name(), &DeleteParams::of(volume.uid()))
            .await?;
        let Some(left) = api.get_opt(volume.name()).await? else {
            return Ok(());
        };
        match left.uid() == volume.uid() {
            true => Ok(self.hold(&left, false).await?),
            false => Ok(()),
        }
    }

    async fn hold(&self, volume: &PersistentVolume, held: bool) -> Result<(), Status> {
        let patch = json!({"metadata": {
            "uid": volume.uid(), "resourceVersion": volume.resource_version(),
            "finalizers": volume::finalizers(volume, held),
        }});
        let api = self.client.all::<PersistentVolume>();
        api.patch(volume.name(), Patch::Merge(&patch))
            .await
            .map(drop)
    }

    fn failed(&self, claim: &PersistentVolumeClaim, why: &str) {
        let class = class_of_claim(claim).unwrap_or_default();
        let message = format!("failed to provision volume with StorageClass \"{class}\": {why}");
        self.event(claim, EventType::Warning, "ProvisioningFailed", message);
    }

    fn event<K: Kind>(&self, about: &K, r#type: EventType, reason: &str, message: String) {
        self.recorder
            .event(reference(about), r#type, reason, message);
    }
}

/// Whether all has to be looked at again for a change of a node. `own` is this one, whose labels
/// say which claims it may have, and tie volumes to it.
fn matters(change: &Change<Node>, own: &str) -> bool {
    match change {
        Change::Deleted(_) => true,
        Change::Applied { old, new } => {
            let is_other = |old: &Arc<Node>| old.metadata.labels != new.metadata.labels;
            new.name() == own && old.as_ref().is_none_or(is_other)
        }
    }
}

/// Works on the disk, which may be slow, beside everything else.
async fn on_disk(path: PathBuf, work: fn(&std::path::Path) -> io::Result<()>) -> Result<(), Error> {
    let path = Arc::new(path);
    let at = path.clone();
    let done = tokio::task::spawn_blocking(move || work(&at)).await;
    let done = done.unwrap_or_else(|panic| Err(io::Error::other(panic)));
    done.map_err(|error| Error::Folder {
        path: path.to_path_buf(),
        error,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn the_nodes_that_matter_are_this_one_and_those_that_went() {
        let named = |name: &str| Arc::new(testing::node(name));
        let applied = |old: Option<Node>, name: &str| Change::Applied {
            old: old.map(Arc::new),
            new: named(name),
        };
        assert!(matters(&Change::Deleted(named("b")), "a"));
        assert!(matters(&applied(None, "a"), "a"));
        assert!(!matters(&applied(None, "b"), "a"));
        let known = testing::node("a");
        assert!(!matters(&applied(Some(known.clone()), "a"), "a"));
        let mut bare = known;
        bare.metadata.labels = None;
        assert!(matters(&applied(Some(bare), "a"), "a"));
    }
}
