//! Volumes of pods: set up below the kubelet's directory, kept up to date,
//! and taken down again.
//!
//! To add a type: a file of its own here, a variant of `Source`, an arm in
//! `Source::of` and one in `Manager::set_up`.

mod atomic;
mod claim;
mod config_map;
mod downward_api;
mod empty_dir;
mod host_path;
mod mounts;
mod ownership;
mod projected;
mod secret;
mod subpath;
mod system;

pub use mounts::Request;
pub use system::{Kernel, System};

use crate::downward::Facts;
use crate::objects::Objects;
use crate::root_dir;
use atomic::Payload;
use hardway_proto::Kind;
use k8s_openapi::api::core::v1::{
    ConfigMapVolumeSource, DownwardAPIVolumeSource, EmptyDirVolumeSource, HostPathVolumeSource,
    PersistentVolumeClaimVolumeSource, Pod, ProjectedVolumeSource, SecretVolumeSource, Volume,
};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Why a volume can't be set up: the message of a `FailedMount` event.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("MountVolume.SetUp failed for volume {volume:?} : {reason}")]
pub struct Error {
    /// The volume's name in the pod.
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
}

/// Where a volume's content comes from.
enum Source<'a> {
    EmptyDir(&'a EmptyDirVolumeSource),
    HostPath(&'a HostPathVolumeSource),
    ConfigMap(&'a ConfigMapVolumeSource),
    Secret(&'a SecretVolumeSource),
    DownwardApi(&'a DownwardAPIVolumeSource),
    Projected(&'a ProjectedVolumeSource),
    Claim(&'a PersistentVolumeClaimVolumeSource),
    Unsupported(String),
}

impl<'a> Source<'a> {
    fn of(volume: &'a Volume) -> Self {
        if let Some(source) = &volume.empty_dir {
            Self::EmptyDir(source)
        } else if let Some(source) = &volume.host_path {
            Self::HostPath(source)
        } else if let Some(source) = &volume.config_map {
            Self::ConfigMap(source)
        } else if let Some(source) = &volume.secret {
            Self::Secret(source)
        } else if let Some(source) = &volume.downward_api {
            Self::DownwardApi(source)
        } else if let Some(source) = &volume.projected {
            Self::Projected(source)
        } else if let Some(source) = &volume.persistent_volume_claim {
            Self::Claim(source)
        } else {
            Self::Unsupported(type_name(volume))
        }
    }

    /// Whether the kubelet writes the volume's files, and keeps them current.
    fn is_files(&self) -> bool {
        use Source::*;
        matches!(
            self,
            ConfigMap(_) | Secret(_) | DownwardApi(_) | Projected(_)
        )
    }

    /// Whether containers may only read it, whatever they ask for. Files the kubelet writes
    /// itself, following links it has made: nobody else may put others in their place.
    fn is_read_only(&self) -> bool {
        match self {
            Self::Claim(source) => source.read_only == Some(true),
            _ => self.is_files(),
        }
    }
}

/// The field of the volume that is set, e.g. `nfs`.
fn type_name(volume: &Volume) -> String {
    let json = serde_json::to_value(volume).unwrap_or_default();
    let fields = json.as_object().into_iter().flatten();
    fields
        .map(|(name, _)| name.as_str())
        .find(|name| *name != "name")
        .unwrap_or("unknown")
        .to_owned()
}

/// Sets volumes up and takes them down. What is on disk is the only state, so
/// a restarted kubelet goes on where the last one stopped.
pub struct Manager {
    root: PathBuf,
    objects: Arc<dyn Objects>,
    system: Arc<dyn System>,
    facts: Facts,
}

impl Manager {
    /// `root` is the kubelet's directory; `facts` are the node's.
    pub fn new(
        root: impl Into<PathBuf>,
        objects: Arc<dyn Objects>,
        system: Arc<dyn System>,
        facts: Facts,
    ) -> Self {
        Self {
            root: root.into(),
            objects,
            system,
            facts,
        }
    }

    /// The pod's directory.
    pub fn pod_dir(&self, uid: &str) -> PathBuf {
        self.root.join("pods").join(uid)
    }

    /// Where a volume of a pod lies if it takes space of the node's disk: `emptyDir` that
    /// isn't in memory, as Kubernetes counts it with `ephemeral-storage`.
    pub fn on_disk(&self, pod: &Pod, volume: &Volume) -> Option<PathBuf> {
        let source = volume.empty_dir.as_ref()?;
        let on_disk = source.medium.as_deref().is_none_or(str::is_empty);
        on_disk.then(|| self.volume_dir(pod, "empty-dir", &volume.name))
    }

    fn volume_dir(&self, pod: &Pod, plugin: &str, name: &str) -> PathBuf {
        self.pod_dir(pod.uid())
            .join("volumes")
            .join(format!("kubernetes.io~{plugin}"))
            .join(name)
    }

    /// Sets up all volumes of a pod and tells where each is. Repeating it
    /// changes nothing but outdated content.
    pub async fn mount(&self, pod: &Pod) -> Result<BTreeMap<String, PathBuf>, Error> {
        let mut paths = BTreeMap::new();
        for volume in volumes_of(pod) {
            let path = self.set_up(pod, volume).await.map_err(|reason| Error {
                volume: volume.name.clone(),
                reason,
            })?;
            paths.insert(volume.name.clone(), path);
        }
        Ok(paths)
    }

    /// Brings the files of a running pod's volumes up to date. All volumes
    /// are tried; the first failure is told.
    pub async fn refresh(&self, pod: &Pod) -> Result<(), Error> {
        let mut outcome = Ok(());
        for volume in volumes_of(pod) {
            if !Source::of(volume).is_files() {
                continue;
            }
            if let Err(reason) = self.set_up(pod, volume).await {
                let volume = volume.name.clone();
                outcome = outcome.and(Err(Error { volume, reason }));
            }
        }
        outcome
    }

    async fn set_up(&self, pod: &Pod, volume: &Volume) -> Result<PathBuf, String> {
        let (objects, namespace) = (self.objects.as_ref(), pod.namespace());
        let (plugin, memory, payload) = match Source::of(volume) {
            Source::HostPath(source) => {
                host_path::check(source)?;
                return Ok(PathBuf::from(&source.path));
            }
            Source::EmptyDir(source) => {
                let dir = self.volume_dir(pod, "empty-dir", &volume.name);
                empty_dir::set_up(&dir, source, pod, self.system.as_ref())
                    .map_err(|e| format!("{}: {e}", dir.display()))?;
                return Ok(dir);
            }
            Source::ConfigMap(source) => {
                let payload = config_map::payload(source, objects, namespace).await?;
                ("configmap", false, payload)
            }
            Source::Secret(source) => {
                let payload = secret::payload(source, objects, namespace).await?;
                ("secret", true, payload)
            }
            Source::DownwardApi(source) => {
                let payload = downward_api::payload(source, pod, &self.facts)?;
                ("downward-api", true, payload)
            }
            Source::Projected(source) => {
                let payload = projected::payload(source, pod, objects, &self.facts).await?;
                ("projected", true, payload)
            }
            Source::Claim(source) => {
                return claim::set_up(source, pod, objects).await;
            }
            Source::Unsupported(name) => {
                return Err(format!(
                    "volume type {name} is not supported on this node; use emptyDir, hostPath, persistentVolumeClaim, configMap, secret, downwardAPI or projected"
                ));
            }
        };
        let dir = self.volume_dir(pod, plugin, &volume.name);
        self.write(pod, dir, memory, payload).await
    }

    async fn write(
        &self,
        pod: &Pod,
        dir: PathBuf,
        memory: bool,
        payload: Payload,
    ) -> Result<PathBuf, String> {
        let system = self.system.clone();
        let group = ownership::fs_group(pod);
        let write = move || -> Result<PathBuf, std::io::Error> {
            root_dir::make(&dir)?;
            if memory && !system.is_mounted(&dir)? {
                system.mount_tmpfs(&dir, FILES, None)?;
            } else if !memory {
                std::fs::set_permissions(&dir, Permissions::from_mode(FILES))?;
            }
            atomic::write(&dir, &payload, |new| match group {
                Some(group) => ownership::hand_over(new, group, ownership::Access::ReadOnly),
                None => Ok(()),
            })?;
            Ok(dir)
        };
        let done = tokio::task::spawn_blocking(write).await;
        done.map_err(|e| e.to_string())?.map_err(|e| e.to_string())
    }

    /// Unmounts and removes all that the pod has on disk.
    pub async fn unmount(&self, pod_uid: &str) -> Result<(), CleanupError> {
        let (dir, system, pod) = (
            self.pod_dir(pod_uid),
            self.system.clone(),
            pod_uid.to_owned(),
        );
        let work = move || take_down(&dir, system.as_ref(), pod);
        match tokio::task::spawn_blocking(work).await {
            Ok(outcome) => outcome,
            Err(error) => Err(CleanupError::Io {
                pod: pod_uid.to_owned(),
                error: std::io::Error::other(error),
            }),
        }
    }

    /// UIDs of pods that have a directory but aren't among the known.
    pub fn orphans(&self, known: &BTreeSet<String>) -> Vec<String> {
        let entries = std::fs::read_dir(self.root.join("pods"));
        entries
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|uid| !known.contains(uid))
            .collect()
    }
}

/// Mode of a volume whose files the kubelet writes: all may read, nobody else
/// write.
const FILES: u32 = 0o755;

fn volumes_of(pod: &Pod) -> impl Iterator<Item = &Volume> {
    pod.spec.iter().flat_map(|s| &s.volumes).flatten()
}

fn take_down(dir: &Path, system: &dyn System, pod: String) -> Result<(), CleanupError> {
    let failed = |error| CleanupError::Io {
        pod: pod.clone(),
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
    if let Some(path) = system.mounted_below(dir).map_err(failed)?.pop() {
        return Err(CleanupError::StillMounted { pod, path });
    }
    std::fs::remove_dir_all(dir).map_err(failed)
}

#[cfg(test)]
mod tests;
