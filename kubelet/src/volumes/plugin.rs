//! What a type of volume is to the kubelet, with the names of CSI for its steps: staged once
//! for the node, published for each pod, and both undone from what is found on disk.

use super::System;
use crate::downward::Facts;
use crate::objects::Objects;
use futures_util::future::BoxFuture;
use hardway_proto::Kind;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod, Volume};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A step of a plugin; its error is the reason that an event gives.
pub type Step<'a, T> = BoxFuture<'a, Result<T, String>>;

/// The claim that a pod's volume names, and what it is bound to.
#[derive(Clone, Debug)]
pub struct Persistent {
    /// The claim.
    pub claim: Arc<PersistentVolumeClaim>,
    /// Its volume.
    pub volume: Arc<PersistentVolume>,
}

/// One volume of a pod, its claim looked up.
#[derive(Clone, Debug)]
pub struct VolumeSpec {
    /// As the pod has it.
    pub volume: Volume,
    /// What lasts longer than the pod, if it does.
    pub persistent: Option<Persistent>,
    /// Whether the pod asks for it to be read only.
    pub read_only: bool,
}

impl VolumeSpec {
    /// The name that paths and events have: the persistent volume's, or that in the pod.
    pub fn name(&self) -> &str {
        match &self.persistent {
            Some(persistent) => persistent.volume.name(),
            None => &self.volume.name,
        }
    }

    /// The type of volume as its object names it, e.g. `nfs`.
    pub fn type_name(&self) -> String {
        const SHARED: [&str; 9] = [
            "accessModes",
            "capacity",
            "claimRef",
            "mountOptions",
            "nodeAffinity",
            "persistentVolumeReclaimPolicy",
            "storageClassName",
            "volumeAttributesClassName",
            "volumeMode",
        ];
        let json = match &self.persistent {
            Some(persistent) => serde_json::to_value(&persistent.volume.spec),
            None => serde_json::to_value(&self.volume),
        };
        let json = json.unwrap_or_default();
        let fields = json.as_object().into_iter().flatten();
        fields
            .map(|(name, _)| name.as_str())
            .find(|name| *name != "name" && !SHARED.contains(name))
            .unwrap_or("unknown")
            .to_owned()
    }

    /// How a persistent volume is to be mounted.
    pub fn mount_options(&self) -> &[String] {
        let spec = self
            .persistent
            .as_ref()
            .and_then(|p| p.volume.spec.as_ref());
        let options = spec.and_then(|spec| spec.mount_options.as_deref());
        options.unwrap_or_default()
    }

    /// Whether pods get a block device instead of a folder.
    pub fn is_block(&self) -> bool {
        let spec = self
            .persistent
            .as_ref()
            .and_then(|p| p.volume.spec.as_ref());
        spec.and_then(|s| s.volume_mode.as_deref()) == Some("Block")
    }
}

/// What plugins need of the kubelet around them.
pub struct VolumeHost {
    /// The kubelet's directory.
    pub root: PathBuf,
    /// What pods refer to.
    pub objects: Arc<dyn Objects>,
    /// The kernel.
    pub system: Arc<dyn System>,
    /// The node's facts.
    pub facts: Facts,
}

impl VolumeHost {
    /// A pod's directory.
    pub fn pod_dir(&self, uid: &str) -> PathBuf {
        self.root.join("pods").join(uid)
    }

    /// Where a volume of a pod lies.
    pub fn volume_dir(&self, pod_uid: &str, plugin: &str, name: &str) -> PathBuf {
        let plugin = plugin.replace('/', "~");
        self.pod_dir(pod_uid)
            .join("volumes")
            .join(plugin)
            .join(name)
    }

    /// What a plugin keeps for the node as a whole.
    pub fn plugin_dir(&self, plugin: &str) -> PathBuf {
        self.root.join("plugins").join(plugin)
    }
}

/// A volume on its way into a pod.
pub struct Mounter<'a> {
    /// The kubelet.
    pub host: &'a VolumeHost,
    /// The pod.
    pub pod: &'a Pod,
    /// The volume.
    pub spec: &'a VolumeSpec,
}

impl Mounter<'_> {
    /// Where the volume of this pod lies.
    pub fn dir(&self, plugin: &dyn VolumePlugin) -> PathBuf {
        let name = self.spec.name();
        self.host.volume_dir(self.pod.uid(), plugin.name(), name)
    }
}

/// Where a published volume is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mounted {
    /// On this node.
    pub path: PathBuf,
    /// Whether containers may only read it, whatever they ask for.
    pub read_only: bool,
    /// Whether it is a block device.
    pub is_device: bool,
}

/// What became of an expansion on the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expansion {
    /// The volume has its new size, as far as the node has to do with it.
    Done,
    /// Nothing yet: it isn't published.
    Later,
    /// It never will: why.
    Infeasible(String),
}

/// How full a volume is, in bytes and inodes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VolumeUsage {
    /// Bytes that can be written.
    pub available: u64,
    /// Bytes in all.
    pub capacity: u64,
    /// Bytes that are used.
    pub used: u64,
    /// Inodes that are free.
    pub inodes_free: u64,
    /// Inodes in all.
    pub inodes: u64,
    /// Inodes that are used.
    pub inodes_used: u64,
    /// What is wrong with the volume, if its driver says so.
    pub abnormal: Option<String>,
}

impl VolumeUsage {
    /// Of the file system that a path is on.
    pub fn of_file_system(path: &Path) -> Result<Self, String> {
        let stat =
            nix::sys::statvfs::statvfs(path).map_err(|e| format!("{}: {e}", path.display()))?;
        let size = stat.fragment_size();
        Ok(Self {
            available: stat.blocks_available() * size,
            capacity: stat.blocks() * size,
            used: stat.blocks().saturating_sub(stat.blocks_free()) * size,
            inodes_free: stat.files_free(),
            inodes: stat.files(),
            inodes_used: stat.files().saturating_sub(stat.files_free()),
            abnormal: None,
        })
    }
}

/// A type of volume. Each step may be repeated, and changes nothing then.
pub trait VolumePlugin: Send + Sync {
    /// The plugin's name, of which paths are made: `kubernetes.io/empty-dir`.
    fn name(&self) -> &'static str;

    /// Whether a volume is of this type.
    fn supports(&self, spec: &VolumeSpec) -> bool;

    /// Whether it has block devices, too.
    fn supports_block(&self) -> bool {
        false
    }

    /// Whether publishing it again, while its pod runs, brings its content up to date.
    fn requires_remount(&self, _spec: &VolumeSpec) -> bool {
        false
    }

    /// Whether containers may only read it, whatever they ask for.
    fn is_read_only(&self, spec: &VolumeSpec) -> bool {
        spec.read_only
    }

    /// Waits until the volume is attached to this node, where somebody does that.
    fn wait_for_attach<'a>(&'a self, _mounter: &'a Mounter<'a>) -> Step<'a, ()> {
        Box::pin(async { Ok(()) })
    }

    /// Makes the volume ready on this node, for all pods.
    fn stage<'a>(&'a self, _mounter: &'a Mounter<'a>) -> Step<'a, ()> {
        Box::pin(async { Ok(()) })
    }

    /// Makes it appear for the pod, and answers where.
    fn publish<'a>(&'a self, mounter: &'a Mounter<'a>) -> Step<'a, PathBuf>;

    /// Undoes what `publish` did for a pod, of which nothing but this folder is known. What
    /// is left there is unmounted and removed by the manager.
    fn unpublish<'a>(
        &'a self,
        _host: &'a VolumeHost,
        _pod: &'a str,
        _dir: &'a Path,
    ) -> Step<'a, ()> {
        Box::pin(async { Ok(()) })
    }

    /// Undoes what `stage` did for volumes that no pod has any more. `gone` is a pod that has
    /// none from now on.
    fn unstage<'a>(&'a self, _host: &'a VolumeHost, _gone: Option<&'a str>) -> Step<'a, ()> {
        Box::pin(async { Ok(()) })
    }

    /// Done from time to time while the pod runs: for volumes that ask for it.
    fn republish<'a>(&'a self, _mounter: &'a Mounter<'a>) -> Step<'a, ()> {
        Box::pin(async { Ok(()) })
    }

    /// Has the file system of a published volume follow: it has so many bytes now.
    fn expand<'a>(&'a self, _mounter: &'a Mounter<'a>, _bytes: i64) -> Step<'a, Expansion> {
        Box::pin(async { Ok(Expansion::Done) })
    }

    /// How full a published volume is, if that can be told.
    fn usage<'a>(&'a self, _mounter: &'a Mounter<'a>) -> Step<'a, Option<VolumeUsage>> {
        Box::pin(async { Ok(None) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_type_is_the_field_that_is_set() {
        let volume: Volume =
            serde_json::from_value(json!({"name": "a", "nfs": {"server": "s", "path": "/"}}))
                .unwrap();
        let mut spec = VolumeSpec {
            volume,
            persistent: None,
            read_only: false,
        };
        assert_eq!((spec.name(), spec.type_name().as_str()), ("a", "nfs"));
        let volume = json!({"metadata": {"name": "v"}, "spec": {"accessModes": ["ReadWriteOnce"],
            "capacity": {"storage": "1Gi"}, "volumeMode": "Block", "rbd": {"image": "i", "monitors": []}}});
        spec.persistent = Some(Persistent {
            claim: Arc::default(),
            volume: Arc::new(serde_json::from_value(volume).unwrap()),
        });
        assert_eq!((spec.name(), spec.type_name().as_str()), ("v", "rbd"));
        assert!(spec.is_block());
    }
}
