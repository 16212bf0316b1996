//! Volumes of pods: set up below the kubelet's directory, kept up to date,
//! and taken down again.
//!
//! To add a type: a file of its own here with a [`VolumePlugin`], and a line in `plugins`.

mod atomic;
mod bound;
mod config_map;
pub mod csi;
mod downward_api;
mod empty_dir;
mod files;
mod format;
mod host_path;
mod host_tools;
mod iscsi;
mod local;
mod locks;
mod looks;
mod mounts;
mod nfs;
mod note;
mod ownership;
mod persistent;
mod plugin;
mod projected;
mod removal;
mod secret;
mod sizes;
mod subpath;
mod system;
mod turns;
pub mod upkeep;

pub use mounts::Request;
pub use plugin::{Mounted, VolumePlugin, VolumeUsage};
pub use system::{Kernel, System};
pub use upkeep::{Note, UsedVolume};

use crate::downward::Facts;
use crate::objects::Objects;
use hardway_proto::Kind;
use hardway_proto::claims::of_volume;
use k8s_openapi::api::core::v1::{
    ConfigMapVolumeSource, DownwardAPIVolumeSource, Pod, ProjectedVolumeSource, SecretVolumeSource,
    Volume,
};
use plugin::{Mounter, VolumeHost, VolumeSpec};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// How long the end of a pod waits until its volumes are off the node. What takes longer goes on
/// by itself.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why a volume can't be set up: the message of a `FailedMount` event.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{step} failed for volume {volume:?} : {reason}")]
pub struct Error {
    /// What was done, in Kubernetes' words: `MountVolume.SetUp`.
    pub step: &'static str,
    /// The volume's name: in the pod, or the persistent one's.
    pub volume: String,
    /// What went wrong.
    pub reason: String,
}

/// Why the volumes of a pod can't be taken down.
#[derive(Debug, thiserror::Error)]
pub enum CleanupError {
    /// The kernel refused.
    #[error("cannot take down the volumes of pod {pod}: {error}")]
    Io {
        /// UID of the pod.
        pod: String,
        /// What the kernel said.
        error: std::io::Error,
    },
    /// Something is still mounted; removing files would remove what's in it.
    #[error("volumes of pod {pod} are kept, because {} is still mounted", path.display())]
    StillMounted {
        /// UID of the pod.
        pod: String,
        /// A mount that stayed.
        path: PathBuf,
    },
    /// A plugin couldn't take back what it gave.
    #[error("UnmountVolume.TearDown failed for volume {volume:?} of pod {pod}: {reason}")]
    Unpublish {
        /// UID of the pod.
        pod: String,
        /// The volume's name.
        volume: String,
        /// What went wrong.
        reason: String,
    },
}

/// All types of volumes that this node has.
fn plugins() -> Vec<Arc<dyn VolumePlugin>> {
    vec![
        Arc::new(empty_dir::EmptyDir),
        Arc::new(host_path::HostPath),
        files::volumes::<ConfigMapVolumeSource>(),
        files::volumes::<SecretVolumeSource>(),
        files::volumes::<DownwardAPIVolumeSource>(),
        files::volumes::<ProjectedVolumeSource>(),
        Arc::new(local::Local::default()),
        Arc::new(nfs::Nfs),
        Arc::new(iscsi::Iscsi::default()),
    ]
}

/// Sets volumes up and takes them down. What is on disk is the only state, so
/// a restarted kubelet goes on where the last one stopped.
pub struct Manager {
    host: VolumeHost,
    plugins: Vec<Arc<dyn VolumePlugin>>,
    /// What running pods have that lasts longer than they: by UID, looked up once.
    lasting: upkeep::Lasting,
    measured: upkeep::Measured,
    sizes: sizes::Sizes,
    turns: turns::Turns,
}

impl Manager {
    /// `root` is the kubelet's directory; `facts` are the node's.
    pub fn new(
        root: impl Into<PathBuf>,
        objects: Arc<dyn Objects>,
        system: Arc<dyn System>,
        facts: Facts,
    ) -> Self {
        let root = root.into();
        Self {
            host: VolumeHost {
                root,
                objects,
                system,
                facts,
            },
            plugins: plugins(),
            lasting: upkeep::Lasting::default(),
            measured: upkeep::Measured::default(),
            sizes: sizes::Sizes::default(),
            turns: turns::Turns::default(),
        }
    }

    /// The same with one more type of volumes.
    #[must_use]
    pub fn with(mut self, plugin: Arc<dyn VolumePlugin>) -> Self {
        self.plugins.push(plugin);
        self
    }

    /// The pod's directory.
    pub fn pod_dir(&self, uid: &str) -> PathBuf {
        self.host.pod_dir(uid)
    }

    /// Where a volume of a pod lies if it takes space of the node's disk: `emptyDir` that
    /// isn't in memory, as Kubernetes counts it with `ephemeral-storage`.
    pub fn on_disk(&self, pod: &Pod, volume: &Volume) -> Option<PathBuf> {
        let source = volume.empty_dir.as_ref()?;
        let on_disk = source.medium.as_deref().is_none_or(str::is_empty);
        let plugin = empty_dir::EmptyDir.name();
        on_disk.then(|| self.host.volume_dir(pod.uid(), plugin, &volume.name))
    }

    /// Sets up all volumes of a pod and tells where each is. Repeating it
    /// changes nothing but outdated content.
    pub async fn mount(&self, pod: &Pod) -> Result<BTreeMap<String, Mounted>, Error> {
        let _turn = self.turns.wait(pod.uid()).await;
        let mut mounted = BTreeMap::new();
        for volume in volumes_of(pod) {
            let spec = self.find(pod, volume).await?;
            self.note_size(pod, &spec);
            mounted.insert(volume.name.clone(), self.set_up(pod, &spec).await?);
        }
        self.lasting.lock().remove(pod.uid());
        Ok(mounted)
    }

    /// Brings the content of a running pod's volumes up to date, where it follows the API.
    /// All are tried; the first failure is told.
    pub async fn refresh(&self, pod: &Pod) -> Result<(), Error> {
        let _turn = self.turns.wait(pod.uid()).await;
        let mut outcome = Ok(());
        for volume in volumes_of(pod) {
            let spec = own(volume);
            let plugin = self.plugin(&spec);
            if plugin.is_some_and(|plugin| plugin.requires_remount(&spec)) {
                let done = self.set_up(pod, &spec).await;
                outcome = outcome.and(done.map(drop));
            }
        }
        outcome
    }

    /// A volume with what its claim is bound to.
    async fn find(&self, pod: &Pod, volume: &Volume) -> Result<VolumeSpec, Error> {
        let mut spec = own(volume);
        let Some(claim) = of_volume(pod, volume) else {
            return Ok(spec);
        };
        let source = volume.persistent_volume_claim.as_ref();
        spec.read_only = source.is_some_and(|source| source.read_only == Some(true));
        let found = persistent::find(&self.host, pod, &claim).await;
        spec.persistent = Some(found.map_err(|reason| SET_UP.failed(&volume.name, reason))?);
        Ok(spec)
    }

    fn plugin(&self, spec: &VolumeSpec) -> Option<&dyn VolumePlugin> {
        let mut plugins = self.plugins.iter().map(AsRef::as_ref);
        plugins.find(|plugin| plugin.supports(spec))
    }

    async fn set_up(&self, pod: &Pod, spec: &VolumeSpec) -> Result<Mounted, Error> {
        let is_device = spec.is_block();
        let step = if is_device { MAP } else { SET_UP };
        let failed = |step: Words, reason| step.failed(spec.name(), reason);
        let plugin = self
            .plugin(spec)
            .ok_or_else(|| failed(step, unsupported(spec)))?;
        if is_device && !plugin.supports_block() {
            let reason = format!(
                "volumes of type {} have no block devices; use volumeMode Filesystem",
                spec.type_name()
            );
            return Err(failed(step, reason));
        }
        let host = &self.host;
        let mounter = Mounter { host, pod, spec };
        let attached = plugin.wait_for_attach(&mounter).await;
        attached.map_err(|reason| failed(WAIT_FOR_ATTACH, reason))?;
        let staged = plugin.stage(&mounter).await;
        staged.map_err(|reason| failed(if is_device { MAP } else { MOUNT_DEVICE }, reason))?;
        let published = plugin.publish(&mounter).await;
        Ok(Mounted {
            path: published.map_err(|reason| failed(step, reason))?,
            read_only: plugin.is_read_only(spec),
            is_device,
        })
    }

    /// Unmounts and removes all that the pod has on disk, going by nothing but that.
    pub async fn unmount(&self, pod_uid: &str) -> Result<(), CleanupError> {
        let _turn = self.turns.wait(pod_uid).await;
        self.remove(pod_uid).await
    }

    /// The same for a pod that was found on disk alone, unless somebody is at it, or it
    /// came after all.
    pub async fn sweep(
        &self,
        pod_uid: &str,
        came: impl FnOnce() -> bool,
    ) -> Result<(), CleanupError> {
        match self.turns.take(pod_uid) {
            Some(_turn) if !came() => self.remove(pod_uid).await,
            _ => Ok(()),
        }
    }

    async fn remove(&self, pod_uid: &str) -> Result<(), CleanupError> {
        let removed = self.remove_all(pod_uid).await;
        if removed.is_ok() {
            self.lasting.lock().remove(pod_uid);
            self.measured.lock().remove(pod_uid);
            self.sizes.left(pod_uid);
        }
        // One volume that stays keeps no other from going where it is needed.
        let unstaged = self.unstage(Some(pod_uid));
        if tokio::time::timeout(PATIENCE, unstaged).await.is_err() {
            tracing::warn!(pod_uid, "a volume is slow to leave this node");
        }
        removed
    }

    /// Takes all from the pod that it can be taken; the first failure is told.
    async fn remove_all(&self, pod_uid: &str) -> Result<(), CleanupError> {
        let dir = self.pod_dir(pod_uid);
        // Parts of volumes hold them.
        let parts = dir.join("volume-subpaths");
        self.blocking(pod_uid, move |system, pod| unmount_all(&parts, system, pod))
            .await?;
        let mut outcome = Ok(());
        for (plugin, folder) in self.published(pod_uid) {
            let undone = plugin.unpublish(&self.host, pod_uid, &folder).await;
            let name = folder.file_name().unwrap_or_default();
            outcome = outcome.and(undone.map_err(|reason| CleanupError::Unpublish {
                pod: pod_uid.to_owned(),
                volume: name.to_string_lossy().into(),
                reason,
            }));
        }
        outcome?;
        self.blocking(pod_uid, move |system, pod| take_down(&dir, system, pod))
            .await
    }

    /// Gives back what is ready on the node and that no pod uses any more. What can't be
    /// given back now is tried again at the next time.
    pub async fn unstage(&self, gone: Option<&str>) {
        // One look at everything is enough at a time.
        let turn = gone.is_none().then(|| self.turns.take(""));
        if matches!(turn, Some(None)) {
            return;
        }
        for plugin in &self.plugins {
            if let Err(error) = plugin.unstage(&self.host, gone).await {
                let plugin = plugin.name();
                tracing::warn!(
                    plugin,
                    error,
                    "a volume that no pod uses stays on this node"
                );
            }
        }
    }

    /// What plugins have published for a pod.
    fn published(&self, pod_uid: &str) -> Vec<(&dyn VolumePlugin, PathBuf)> {
        let mut found = Vec::new();
        for kind in ["volumes", "volumeDevices"] {
            let folder = self.pod_dir(pod_uid).join(kind);
            for plugin in &self.plugins {
                let folder = folder.join(plugin.name().replace('/', "~"));
                let volumes = std::fs::read_dir(folder).into_iter().flatten().flatten();
                found.extend(volumes.map(|volume| (plugin.as_ref(), volume.path())));
            }
        }
        found
    }

    async fn blocking(
        &self,
        pod_uid: &str,
        work: impl FnOnce(&dyn System, &str) -> Result<(), CleanupError> + Send + 'static,
    ) -> Result<(), CleanupError> {
        let (system, pod) = (self.host.system.clone(), pod_uid.to_owned());
        let done = tokio::task::spawn_blocking(move || work(system.as_ref(), &pod)).await;
        done.unwrap_or_else(|error| {
            Err(CleanupError::Io {
                pod: pod_uid.to_owned(),
                error: std::io::Error::other(error),
            })
        })
    }

    /// UIDs of pods that have a directory but aren't among the known.
    pub fn orphans(&self, known: &BTreeSet<String>) -> Vec<String> {
        let entries = std::fs::read_dir(self.host.root.join("pods"));
        entries
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|uid| !known.contains(uid))
            .collect()
    }
}

/// How Kubernetes calls a step in its events.
#[derive(Clone, Copy)]
struct Words(&'static str);

const SET_UP: Words = Words("MountVolume.SetUp");
const WAIT_FOR_ATTACH: Words = Words("MountVolume.WaitForAttach");
const MOUNT_DEVICE: Words = Words("MountVolume.MountDevice");
const MAP: Words = Words("MapVolume.SetUpDevice");

impl Words {
    fn failed(self, volume: &str, reason: String) -> Error {
        Error {
            step: self.0,
            volume: volume.to_owned(),
            reason,
        }
    }
}

/// A volume without regard to its claim.
fn own(volume: &Volume) -> VolumeSpec {
    VolumeSpec {
        volume: volume.clone(),
        persistent: None,
        read_only: false,
    }
}

fn unsupported(spec: &VolumeSpec) -> String {
    let name = spec.type_name();
    match (name.as_str(), &spec.persistent) {
        ("image", _) => "volume type image is not supported on this node: its kubelet has the container runtime mount no images; copy what is in it with an init container".to_owned(),
        ("fc", _) => format!(
            "volume type {name} is not supported on this node; use a CSI driver for it"
        ),
        (_, None) => format!(
            "volume type {name} is not supported on this node; use emptyDir, hostPath, persistentVolumeClaim, ephemeral, csi, nfs, iscsi, configMap, secret, downwardAPI or projected"
        ),
        (_, Some(_)) => {
            format!("volume type {name} is not supported on this node; use csi, nfs, iscsi, hostPath or local")
        }
    }
}

fn volumes_of(pod: &Pod) -> impl Iterator<Item = &Volume> {
    pod.spec.iter().flat_map(|s| &s.volumes).flatten()
}

/// Unmounts all at or below a directory.
fn unmount_all(dir: &Path, system: &dyn System, pod: &str) -> Result<(), CleanupError> {
    let failed = |error| CleanupError::Io {
        pod: pod.to_owned(),
        error,
    };
    if !dir.exists() {
        return Ok(());
    }
    for path in system.mounted_below(dir).map_err(failed)? {
        if let Err(error) = system.unmount(&path) {
            tracing::warn!(path = %path.display(), %error, "cannot unmount");
        }
    }
    match system.mounted_below(dir).map_err(failed)?.pop() {
        Some(path) => Err(CleanupError::StillMounted {
            pod: pod.to_owned(),
            path,
        }),
        None => Ok(()),
    }
}

fn take_down(dir: &Path, system: &dyn System, pod: &str) -> Result<(), CleanupError> {
    unmount_all(dir, system, pod)?;
    let pod = pod.to_owned();
    removal::remove(dir).map_err(|removal::Failure { path, error }| match error.kind() {
        // It was mounted a moment ago.
        std::io::ErrorKind::CrossesDevices => CleanupError::StillMounted { pod, path },
        _ => CleanupError::Io { pod, error },
    })
}

#[cfg(test)]
mod tests;
