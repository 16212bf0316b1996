//! `csi`: volumes of drivers that speak the Container Storage Interface, each over a unix
//! socket of its own.
//!
//! What is done is written down before it is done, beside the mounts and as Kubernetes does
//! (`vol_data.json`); so what a pod leaves is undone whatever happened in between.

mod attachment;
mod block;
mod client;
pub mod csi_node;
mod drivers;
mod expand;
mod filesystem;
mod in_use;
mod record;
pub mod registration;
mod request;
mod source;
mod stats;

pub use drivers::Drivers;
pub use in_use::VolumesInUse;

use super::locks::Locks;
use super::looks::exists;
use super::plugin::{Expansion, Mounter, Step, VolumeHost, VolumePlugin, VolumeSpec, VolumeUsage};
use attachment::{Attached, Attachments};
use client::Capabilities;
use filesystem::{Place, text};
use futures_util::future::join_all;
use hardway_client::Store;
use hardway_proto::Kind;
use k8s_openapi::api::core::v1::Node;
use k8s_openapi::api::storage::v1::CSIDriver;
use parking_lot::Mutex;
use record::{Record, Staged};
use source::Source;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::watch;

/// The plugin's name, of which paths and unique names of volumes are made.
const NAME: &str = "kubernetes.io/csi";

/// The node's own object, as it is watched.
#[derive(Clone)]
pub struct OwnNode {
    /// The node's name.
    pub name: String,
    /// The object.
    pub store: Store<Node>,
    /// Told of its changes.
    pub changed: watch::Receiver<()>,
}

/// The plugin; clones are the same one.
#[derive(Clone)]
pub struct Csi {
    drivers: Drivers,
    attachments: Attachments,
    locks: Arc<Locks>,
    /// What is in use is looked up by one at a time: an older look must not be the last.
    recalling: Arc<Mutex<()>>,
    node_name: String,
}

impl Csi {
    /// A plugin with these drivers.
    pub fn new(drivers: Drivers, node: OwnNode) -> Self {
        Self {
            drivers,
            node_name: node.name.clone(),
            attachments: Attachments::new(node),
            locks: Arc::default(),
            recalling: Arc::default(),
        }
    }

    /// Volumes that are in use here, or about to be, and that somebody attached: they must
    /// not be detached. By the names that the node's status has for them.
    pub fn in_use(&self) -> &VolumesInUse {
        self.attachments.in_use()
    }

    /// Takes over from disk what is in use.
    pub fn recall(&self, root: &Path) {
        let _one = self.recalling.lock();
        let attached = staged(root).filter(|staged| staged.record.is_attached());
        let names = attached.map(|staged| staged.record.unique_name());
        self.attachments.settle(names.collect());
    }
}

/// Runs a step to its end, even if nobody waits for it any more: a driver that was asked has
/// its volume locked until it has answered.
async fn whole<T: Send + 'static>(
    step: impl Future<Output = Result<T, String>> + Send + 'static,
) -> Result<T, String> {
    let done = tokio::spawn(step).await;
    done.unwrap_or_else(|error| Err(error.to_string()))
}

impl VolumePlugin for Csi {
    fn name(&self) -> &'static str {
        NAME
    }

    fn supports(&self, spec: &VolumeSpec) -> bool {
        Source::of(spec).is_some()
    }

    fn supports_block(&self) -> bool {
        true
    }

    fn wait_for_attach<'a>(&'a self, mounter: &'a Mounter<'a>) -> Step<'a, ()> {
        Box::pin(async move {
            let source = Source::in_pod(mounter.spec, mounter.pod.uid())?;
            if source.is_inline {
                return Ok(());
            }
            let objects = mounter.host.objects.as_ref();
            let object = objects.csi_driver(&source.driver).await;
            let object = object.map_err(|e| e.to_string())?;
            let is_required = attachment::is_required(object.as_deref());
            self.attachments
                .claim(&source, mounter.pod.uid(), is_required);
            match is_required {
                true => self.attachments.wait(objects, &source).await.map(drop),
                false => Ok(()),
            }
        })
    }

    fn stage<'a>(&'a self, mounter: &'a Mounter<'a>) -> Step<'a, ()> {
        Box::pin(async move {
            let source = Source::in_pod(mounter.spec, mounter.pod.uid())?;
            if source.is_inline {
                return Ok(());
            }
            let driver = self.drivers.get(&source.driver).map_err(|error| {
                format!("{NAME}: attacher.MountDevice failed to create newCsiDriverClient: {error}")
            })?;
            let (_, attached) = self.look_up(mounter, &source).await?;
            let capabilities = driver.capabilities().await?;
            let request =
                request::stage(mounter, &source, &capabilities, attached.as_ref()).await?;
            let guard = self.locks.lock(&source.key()).await;
            let (root, is_block) = (mounter.host.root.clone(), mounter.spec.is_block());
            whole(async move {
                let _guard = guard;
                let volume = Record::of_node(&source, attached.as_ref());
                match is_block {
                    true => {
                        block::stage(&root, &source.name, &driver, &capabilities, request, volume)
                            .await
                    }
                    false => {
                        filesystem::stage(&root, &driver, &capabilities, request, volume).await
                    }
                }
            })
            .await
        })
    }

    fn publish<'a>(&'a self, mounter: &'a Mounter<'a>) -> Step<'a, PathBuf> {
        Box::pin(self.publish_at(mounter, Again::No))
    }

    fn republish<'a>(&'a self, mounter: &'a Mounter<'a>) -> Step<'a, ()> {
        Box::pin(async move {
            let source = Source::in_pod(mounter.spec, mounter.pod.uid())?;
            let object = mounter.host.objects.csi_driver(&source.driver).await;
            let object = object.map_err(|e| e.to_string())?;
            let asks = object.is_some_and(|o| o.spec.requires_republish == Some(true));
            match asks && exists(&published(mounter, &source)).await? {
                true => self.publish_at(mounter, Again::Yes).await.map(drop),
                false => Ok(()),
            }
        })
    }

    fn unpublish<'a>(&'a self, host: &'a VolumeHost, pod: &'a str, dir: &'a Path) -> Step<'a, ()> {
        Box::pin(async move {
            let name = dir
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            let is_block = dir
                .parent()
                .and_then(Path::parent)
                .is_some_and(|p| p.ends_with("volumeDevices"));
            let record = match is_block {
                true => block::record(&host.root, &name),
                false => Record::read(dir),
            };
            let record = match record {
                Ok(Some(record)) => record,
                // Nothing was asked of a driver before this was written.
                Ok(None) => return Ok(()),
                Err(error) => {
                    tracing::warn!(dir = %dir.display(), %error, "which driver's it was can't be read; it is unmounted without");
                    return Ok(());
                }
            };
            let driver = self.drivers.get(&record.driver_name).map_err(|error| {
                format!("{NAME}: Unmounter.TearDownAt failed to get CSI client: {error}")
            })?;
            let guard = self.locks.lock(&record.key()).await;
            let (pod, system) = (pod.to_owned(), host.system.clone());
            let place = Place {
                root: host.root.clone(),
                pod,
                name,
            };
            whole(async move {
                let _guard = guard;
                match is_block {
                    true => block::unpublish(&place, &driver, &record).await,
                    false => filesystem::unpublish(&place, &driver, &record, system).await,
                }
            })
            .await
        })
    }

    fn unstage<'a>(&'a self, host: &'a VolumeHost, gone: Option<&'a str>) -> Step<'a, ()> {
        Box::pin(async move {
            if let Some(pod) = gone {
                self.attachments.release(pod);
            }
            self.recall(&host.root);
            let root = host.root.clone();
            let found = tokio::task::spawn_blocking(move || unused(&root)).await;
            let found = found.map_err(|e| e.to_string())?.into_iter();
            // A driver that hangs holds up no other.
            let work: Vec<_> = found
                .map(|volume| self.unstage_unused(host, volume))
                .collect();
            let done = join_all(work).await.into_iter();
            done.collect::<Result<(), String>>()
        })
    }

    fn expand<'a>(&'a self, mounter: &'a Mounter<'a>, bytes: i64) -> Step<'a, Expansion> {
        Box::pin(expand::expand(self, mounter, bytes))
    }

    fn usage<'a>(&'a self, mounter: &'a Mounter<'a>) -> Step<'a, Option<VolumeUsage>> {
        Box::pin(stats::usage(self, mounter))
    }
}

/// All that was made ready on the node, or was going to be.
fn staged(root: &Path) -> impl Iterator<Item = Staged> {
    let folders = filesystem::staged(root).into_iter();
    folders.chain(block::staged(root))
}

/// What pods have, as it is found on disk by one look.
struct Used {
    devices: BTreeSet<String>,
    folders: Option<BTreeSet<String>>,
}

impl Used {
    fn find(root: &Path) -> Self {
        Self {
            devices: block::used(root),
            folders: filesystem::used(root),
        }
    }

    fn has(&self, staged: &Staged) -> bool {
        let has = |used: &BTreeSet<String>| used.contains(&staged.record.key());
        match staged.is_block {
            true => self.devices.contains(&block::name(&staged.dir)),
            false => self.folders.as_ref().is_none_or(has),
        }
    }
}

/// What is staged and no pod has. What is staged is listed first: what a pod gets after that is
/// in the list of what pods have.
fn unused(root: &Path) -> Vec<Staged> {
    let staged: Vec<_> = staged(root).collect();
    if staged.is_empty() {
        return staged;
    }
    let used = Used::find(root);
    staged
        .into_iter()
        .filter(|volume| !used.has(volume))
        .collect()
}

/// Where a volume is staged, as drivers are told; empty if it isn't.
fn staging(mounter: &Mounter<'_>, source: &Source, capabilities: &Capabilities) -> String {
    let root = &mounter.host.root;
    match (
        capabilities.stages() && !source.is_inline,
        mounter.spec.is_block(),
    ) {
        (false, _) => String::new(),
        (true, true) => text(&block::staging_path(root, &source.name)),
        (true, false) => text(&filesystem::staging_path(
            root,
            &source.driver,
            &source.handle,
        )),
    }
}

/// Whether a volume is published to a pod that has it already.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Again {
    No,
    /// Then not if it was taken from the pod meanwhile.
    Yes,
}

/// Whether a pod has a volume.
async fn is_there(place: &Place, is_block: bool) -> Result<bool, String> {
    let target = match is_block {
        true => block::target(place),
        false => place.target(),
    };
    exists(&target).await
}

/// Where a volume is in a pod.
fn published(mounter: &Mounter<'_>, source: &Source) -> PathBuf {
    let place = Place::of(mounter, &source.name);
    match mounter.spec.is_block() {
        true => block::target(&place),
        false => place.target(),
    }
}

impl Csi {
    /// Gives a volume back, unless a pod has it by now or is about to. One that somebody works
    /// on is left until the next time.
    async fn unstage_unused(&self, host: &VolumeHost, found: Staged) -> Result<(), String> {
        let Some(guard) = self.locks.try_lock(&found.record.key()) else {
            return Ok(());
        };
        let name = found.record.unique_name();
        let is_still = matches!(Record::read(&found.dir), Ok(Some(now)) if now == found.record);
        if !is_still
            || self.attachments.is_claimed(&found.record.key())
            || Used::find(&host.root).has(&found)
        {
            return Ok(());
        }
        let driver = self
            .drivers
            .get(&found.record.driver_name)
            .map_err(|error| {
                format!("{NAME}: UnmountDevice of volume {name} failed to get CSI client: {error}")
            })?;
        let (csi, root, system) = (self.clone(), host.root.clone(), host.system.clone());
        whole(async move {
            let _guard = guard;
            let done = match found.is_block {
                true => block::unstage(&root, &driver, &found).await,
                false => filesystem::unstage(&driver, &found, system).await,
            };
            // At once, whatever others are waited for: another node may want it.
            csi.recall(&root);
            done
        })
        .await
        .map_err(|error| format!("UnmountDevice of volume {name} failed: {error}"))
    }

    /// Publishes a volume, for the first time or again.
    async fn publish_at(&self, mounter: &Mounter<'_>, again: Again) -> Result<PathBuf, String> {
        let source = Source::in_pod(mounter.spec, mounter.pod.uid())?;
        let driver = self.drivers.get(&source.driver).map_err(|error| {
            format!("{NAME}: mounter.SetUpAt failed to get CSI client: {error}")
        })?;
        let (object, attached) = self.look_up(mounter, &source).await?;
        if source.is_inline {
            source::check_inline(&source.driver, object.as_deref())?;
        }
        let capabilities = driver.capabilities().await?;
        let around = request::Around {
            mounter,
            source: &source,
            capabilities: &capabilities,
            object: object.as_deref(),
            attached: attached.as_ref(),
        };
        let mut request = request::publish(&around).await?;
        request.staging_target_path = staging(mounter, &source, &capabilities);
        let owner = filesystem::ownership(&around);
        let volume = Record::of_pod(&source, &self.node_name, attached.as_ref());
        let guard = self.locks.lock(&source.key()).await;
        let (is_block, place) = (mounter.spec.is_block(), Place::of(mounter, &source.name));
        whole(async move {
            let _guard = guard;
            if again == Again::Yes && !is_there(&place, is_block).await? {
                return Ok(PathBuf::new());
            }
            match is_block {
                true => block::publish(&place, &driver, request).await,
                false => filesystem::publish(&place, &driver, request, volume, owner).await,
            }
        })
        .await
    }

    /// What the cluster has to say of a driver, and of the attachment of its volume.
    async fn look_up(
        &self,
        mounter: &Mounter<'_>,
        source: &Source,
    ) -> Result<(Option<Arc<CSIDriver>>, Option<Attached>), String> {
        let objects = mounter.host.objects.as_ref();
        let object = objects.csi_driver(&source.driver).await;
        let object = object.map_err(|e| e.to_string())?;
        let attached = match !source.is_inline && attachment::is_required(object.as_deref()) {
            true => Some(self.attachments.get(objects, source).await?),
            false => None,
        };
        Ok((object, attached))
    }
}

#[cfg(test)]
mod tests;
