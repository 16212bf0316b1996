//! `iscsi`: a disk of a server, by the host's own tools.
//!
//! What is to be undone is noted on disk before it is done: in a pod's folder that it has, or is
//! about to have, the disk, and in the node's folder that it may be logged in to. Sessions are
//! shared by all disks of a target, and end with the last of them.

mod device;
mod disk;
mod session;

use super::bound::bind;
use super::format::{DEFAULT_FS_TYPE, format_and_mount};
use super::host_tools::{HostTools, Tools};
use super::locks::Locks;
use super::looks::look;
use super::plugin::{Mounter, Step, VolumeHost, VolumePlugin, VolumeSpec, VolumeUsage};
use super::removal;
use crate::objects::Objects;
use crate::root_dir;
use device::Devices;
use disk::{Disk, source};
use hardway_proto::Kind;
use k8s_openapi::api::core::v1::{ISCSIPersistentVolumeSource, Pod};
use session::{Chap, Sessions};
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const NAME: &str = "kubernetes.io/iscsi";
/// Where a disk is mounted, below the folder in which it is noted.
const MOUNT: &str = "mount";

/// The plugin, of pods' own volumes and of persistent ones.
pub(super) struct Iscsi {
    tools: Arc<dyn Tools>,
    devices: Devices,
    /// By target.
    locks: Locks,
}

impl Default for Iscsi {
    fn default() -> Self {
        Self {
            tools: Arc::new(HostTools),
            devices: Devices::default(),
            locks: Locks::default(),
        }
    }
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> String {
    let path = path.display().to_string();
    move |error| format!("{path}: {error}")
}

/// The disk of a volume, and what else the volume says.
fn of(spec: &VolumeSpec) -> Result<(Disk, ISCSIPersistentVolumeSource), String> {
    let source = source(spec).ok_or_else(|| "it is no iSCSI volume".to_owned())?;
    Ok((Disk::of(&source, spec.name())?, source))
}

/// The folder of a volume in a pod.
fn in_pod(mounter: &Mounter<'_>) -> PathBuf {
    let kind = match mounter.spec.is_block() {
        true => "volumeDevices",
        false => "volumes",
    };
    let pod = mounter.host.pod_dir(mounter.pod.uid());
    let plugin = NAME.replace('/', "~");
    pod.join(kind).join(plugin).join(mounter.spec.name())
}

fn folders(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

/// What is noted in folders; what can't be read is told of, and stays.
fn noted(dirs: impl IntoIterator<Item = PathBuf>) -> Vec<(PathBuf, Disk)> {
    let read = |dir: PathBuf| match Disk::read(&dir) {
        Ok(disk) => disk.map(|disk| (dir, disk)),
        Err(error) => {
            tracing::warn!(dir = %dir.display(), %error, "which iSCSI disk it is can't be read");
            None
        }
    };
    dirs.into_iter().filter_map(read).collect()
}

/// The disks that the node may be logged in to.
fn staged(plugin: &Path) -> Vec<(PathBuf, Disk)> {
    noted(folders(plugin).iter().flat_map(|iface| folders(iface)))
}

/// The folders of the disks that pods have.
fn used(root: &Path, plugin: &Path) -> BTreeSet<PathBuf> {
    let mut dirs = Vec::new();
    for pod in folders(&root.join("pods")) {
        for kind in ["volumes", "volumeDevices"] {
            dirs.extend(folders(&pod.join(kind).join(NAME.replace('/', "~"))));
        }
    }
    let disks = noted(dirs).into_iter();
    disks.map(|(_, disk)| disk.dir(plugin)).collect()
}

/// Who asks, where the server wants to know.
async fn chap(
    objects: &dyn Objects,
    source: &ISCSIPersistentVolumeSource,
    pod: &Pod,
) -> Result<Chap, String> {
    let mut chap = Chap {
        for_discovery: source.chap_auth_discovery == Some(true),
        for_session: source.chap_auth_session == Some(true),
        ..Chap::default()
    };
    if !chap.for_discovery && !chap.for_session {
        return Ok(chap);
    }
    let reference = source.secret_ref.as_ref();
    let name = reference
        .and_then(|r| r.name.as_deref())
        .unwrap_or_default();
    if name.is_empty() {
        return Err("failed to get chap secret: CHAP authentication needs a secretRef".to_owned());
    }
    let namespace = reference.and_then(|r| r.namespace.as_deref());
    let namespace = namespace.unwrap_or_else(|| pod.namespace());
    let secret = objects.secret(namespace, name).await;
    let secret =
        secret.map_err(|e| format!("couldn't get secret {namespace}/{name}, error: {e}"))?;
    let data = secret.data.iter().flatten();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    chap.secret = data
        .map(|(key, bytes)| (key.clone(), text(&bytes.0)))
        .collect();
    Ok(chap)
}

/// Mount options: the volume's, and what it may only read.
fn options(spec: &VolumeSpec, source: &ISCSIPersistentVolumeSource) -> Vec<String> {
    let mut options = spec.mount_options().to_vec();
    if source.read_only == Some(true) {
        options.push("ro".to_owned());
    }
    options
}

impl Iscsi {
    fn sessions(&self) -> Sessions<'_> {
        Sessions {
            tools: self.tools.as_ref(),
            devices: &self.devices,
        }
    }

    /// Gives a disk back that no pod has.
    async fn give_back(&self, host: &VolumeHost, dir: &Path, disk: &Disk) -> Result<(), String> {
        let plugin = host.plugin_dir(NAME);
        let (system, at) = (host.system.clone(), dir.join(MOUNT));
        let unmount = move |at: &Path| match at.exists() && system.is_mounted(at)? {
            true => system.unmount(at),
            false => Ok(()),
        };
        look(&at, unmount).await?.map_err(failed(&at))?;
        self.devices.forget(disk, self.tools.as_ref()).await?;
        let mut others = staged(&plugin).into_iter();
        if !others.any(|(other, of)| other != dir && of.shares_session(disk)) {
            self.sessions().log_out(disk).await?;
        }
        let gone = look(dir, removal::remove).await?;
        gone.map_err(|failure| failed(&failure.path)(failure.error))
    }
}

impl VolumePlugin for Iscsi {
    fn name(&self) -> &'static str {
        NAME
    }

    fn supports(&self, spec: &VolumeSpec) -> bool {
        source(spec).is_some()
    }

    fn supports_block(&self) -> bool {
        true
    }

    fn is_read_only(&self, spec: &VolumeSpec) -> bool {
        spec.read_only || source(spec).is_some_and(|source| source.read_only == Some(true))
    }

    fn stage<'a>(&'a self, mounter: &'a Mounter<'a>) -> Step<'a, ()> {
        Box::pin(async move {
            let (host, spec) = (mounter.host, mounter.spec);
            let (disk, source) = of(spec)?;
            let chap = chap(host.objects.as_ref(), &source, mounter.pod).await?;
            let _one = self.locks.lock(&disk.iqn).await;
            let dir = disk.dir(&host.plugin_dir(NAME));
            // First the pod's: from then on nobody gives the disk back.
            for dir in [&in_pod(mounter), &dir] {
                let disk = disk.clone();
                let noted = look(dir, move |dir| disk.write(dir)).await?;
                noted.map_err(failed(dir))?;
            }
            let (at, system) = (dir.join(MOUNT), host.system.clone());
            let is_mounted =
                move |at: &Path| root_dir::make(at).and_then(|()| system.is_mounted(at));
            if !spec.is_block() && look(&at, is_mounted).await?.map_err(failed(&at))? {
                return Ok(());
            }
            let device = self.sessions().log_in(&disk, &chap).await?;
            if spec.is_block() {
                return Ok(());
            }
            let fs_type = source.fs_type.as_deref().filter(|name| !name.is_empty());
            let fs_type = fs_type.unwrap_or(DEFAULT_FS_TYPE);
            let options = options(spec, &source);
            format_and_mount(self.tools.as_ref(), &device, &at, fs_type, &options).await
        })
    }

    fn publish<'a>(&'a self, mounter: &'a Mounter<'a>) -> Step<'a, PathBuf> {
        Box::pin(async move {
            let (host, spec) = (mounter.host, mounter.spec);
            let (disk, _) = of(spec)?;
            if spec.is_block() {
                let device = self.devices.find(&disk).await?;
                return device.ok_or_else(|| "the disk is gone".to_owned());
            }
            let from = disk.dir(&host.plugin_dir(NAME)).join(MOUNT);
            let at = in_pod(mounter).join(MOUNT);
            bind(mounter, from, at.clone(), !self.is_read_only(spec)).await?;
            Ok(at)
        })
    }

    fn unstage<'a>(&'a self, host: &'a VolumeHost, _gone: Option<&'a str>) -> Step<'a, ()> {
        Box::pin(async move {
            let plugin = host.plugin_dir(NAME);
            let mut outcome = Ok(());
            let at = plugin.clone();
            for (dir, disk) in look(&plugin, move |_| staged(&at)).await? {
                // One that somebody works on is left until the next time.
                let Some(_one) = self.locks.try_lock(&disk.iqn) else {
                    continue;
                };
                let (root, at) = (host.root.clone(), plugin.clone());
                let used = look(&host.root, move |_| used(&root, &at)).await?;
                if used.contains(&dir) {
                    continue;
                }
                let given = self.give_back(host, &dir, &disk).await;
                outcome = outcome.and(given);
            }
            outcome
        })
    }

    fn usage<'a>(&'a self, mounter: &'a Mounter<'a>) -> Step<'a, Option<VolumeUsage>> {
        Box::pin(async move {
            if mounter.spec.is_block() {
                return Ok(None);
            }
            let usage = |at: &Path| at.exists().then(|| VolumeUsage::of_file_system(at));
            look(&in_pod(mounter).join(MOUNT), usage).await?.transpose()
        })
    }
}

#[cfg(test)]
mod tests;
