//! What is on a block device: mounted once for the node, where Kubernetes does it, too, and
//! bound into each pod. A pod's folder is there before the device is mounted, and as long as
//! there is one the device stays mounted.

use super::super::format::{DEFAULT_FS_TYPE, format_and_mount};
use super::super::looks::look;
use super::super::plugin::{Mounter, VolumeHost};
use super::{Local, NAME};
use crate::root_dir;
use k8s_openapi::api::core::v1::LocalVolumeSource;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

/// Below the plugin's folder.
const MOUNTS: &str = "mounts";

/// Where the node has mounted it.
pub(super) fn dir(mounter: &Mounter<'_>) -> PathBuf {
    let mounts = mounter.host.plugin_dir(NAME).join(MOUNTS);
    mounts.join(mounter.spec.name())
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

/// Whether a pod has the volume of this name, or is about to have it.
fn is_used(root: &Path, name: &OsStr) -> bool {
    let volumes = Path::new("volumes").join(NAME.replace('/', "~"));
    let pods = entries(&root.join("pods"));
    pods.iter()
        .any(|pod| pod.join(&volumes).join(name).exists())
}

impl Local {
    /// Mounts the device for the node.
    pub(super) async fn mount(
        &self,
        mounter: &Mounter<'_>,
        source: &LocalVolumeSource,
    ) -> Result<(), String> {
        let spec = mounter.spec;
        let _one = self.locks.lock(spec.name()).await;
        let (at, in_pod) = (dir(mounter), mounter.dir(self));
        let system = mounter.host.system.clone();
        // First the pod's: from then on nobody unmounts the device.
        let is_mounted = move |at: &Path| {
            root_dir::make(&in_pod)?;
            root_dir::make(at)?;
            system.is_mounted(at)
        };
        let found: io::Result<bool> = look(&at, is_mounted).await?;
        if found.map_err(|error| format!("{}: {error}", at.display()))? {
            return Ok(());
        }
        let fs_type = source.fs_type.as_deref().filter(|name| !name.is_empty());
        let fs_type = fs_type.unwrap_or(DEFAULT_FS_TYPE);
        let mut options = spec.mount_options().to_vec();
        if spec.read_only {
            options.push("ro".to_owned());
        }
        let device = Path::new(&source.path);
        format_and_mount(self.tools.as_ref(), device, &at, fs_type, &options).await
    }

    /// Unmounts the devices that no pod has; the first failure is told.
    pub(super) async fn unmount(&self, host: &VolumeHost) -> Result<(), String> {
        let mut outcome = Ok(());
        for at in look(&host.plugin_dir(NAME).join(MOUNTS), entries).await? {
            let name = at.file_name().unwrap_or_default().to_owned();
            // One that somebody works on is left until the next time.
            let Some(_one) = self.locks.try_lock(&name.to_string_lossy()) else {
                continue;
            };
            let (root, system) = (host.root.clone(), host.system.clone());
            let unmount = move |at: &Path| {
                if is_used(&root, &name) {
                    return Ok(());
                }
                if system.is_mounted(at)? {
                    system.unmount(at)?;
                }
                // Of a folder that isn't empty nothing is removed.
                std::fs::remove_dir(at)
            };
            let done: io::Result<()> = look(&at, unmount).await?;
            outcome = outcome.and(done.map_err(|error| format!("{}: {error}", at.display())));
        }
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::host_tools::{Answer, Tools};
    use super::super::super::locks::Locks;
    use super::super::super::system::fake::Fake as FakeSystem;
    use super::*;
    use crate::downward::Facts;
    use crate::objects::fake::Fake;
    use crate::volumes::Manager;
    use futures_util::future::BoxFuture;
    use k8s_openapi::api::core::v1::Pod;
    use nix::sys::stat::{Mode, SFlag, makedev, mknod};
    use parking_lot::Mutex;
    use serde_json::{Value, json};
    use std::sync::Arc;

    /// A node whose tools do nothing but have the device mounted.
    #[derive(Default)]
    struct Host {
        ran: Mutex<Vec<String>>,
        system: Arc<FakeSystem>,
    }

    impl Tools for Host {
        fn check(&self, _program: &str, _packages: &str) -> Result<(), String> {
            Ok(())
        }

        fn run<'a>(
            &'a self,
            program: &'a str,
            arguments: &'a [&'a str],
        ) -> BoxFuture<'a, Result<Answer, String>> {
            let line = format!("{program} {}", arguments.join(" "));
            let mut answer = Answer {
                code: Some(0),
                ..Answer::default()
            };
            match program {
                // Nothing is on the device.
                "blkid" => answer.code = Some(2),
                "mount" => {
                    let at = PathBuf::from(arguments[arguments.len() - 1]);
                    self.system.mounts.lock().push((line.clone(), at));
                }
                _ => {}
            }
            self.ran.lock().push(line);
            Box::pin(std::future::ready(Ok(answer)))
        }
    }

    fn kubelet(root: &Path, host: &Arc<Host>, local: Value) -> Manager {
        let objects = Fake::default().with_claim(json!({"volumeMode": "Filesystem",
            "mountOptions": ["noatime"], "local": local}));
        let system = host.system.clone();
        let mut manager = Manager::new(root, Arc::new(objects), system, Facts::default());
        manager.plugins.retain(|plugin| plugin.name() != NAME);
        manager.with(Arc::new(Local {
            tools: host.clone(),
            locks: Locks::default(),
        }))
    }

    fn pod(uid: &str) -> Pod {
        let volumes = json!([{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]);
        let metadata = json!({"name": "web", "namespace": "n", "uid": uid});
        let spec = json!({"containers": [{"name": "c"}], "volumes": volumes});
        serde_json::from_value(json!({"metadata": metadata, "spec": spec})).unwrap()
    }

    #[tokio::test]
    async fn a_device_is_mounted_as_long_as_a_pod_has_it() {
        let folder = tempfile::tempdir().unwrap();
        let (root, device) = (folder.path().join("kubelet"), folder.path().join("disk"));
        // Nobody opens it: any number will do.
        mknod(&device, SFlag::S_IFBLK, Mode::S_IRUSR, makedev(7, 99)).unwrap();
        let host = Arc::new(Host::default());
        let local = json!({"path": device, "fsType": "xfs"});
        let manager = kubelet(&root, &host, local.clone());
        let mounted = manager.mount(&pod("u1")).await.unwrap();
        let (path, name) = {
            let path = mounted["data"].path.clone();
            let name = path.file_name().unwrap().to_owned();
            (path, name)
        };
        let volumes = root.join("pods/u1/volumes/kubernetes.io~local-volume");
        assert_eq!(path, volumes.join(&name));
        assert!(!mounted["data"].is_device);
        let global = root
            .join("plugins/kubernetes.io/local-volume/mounts")
            .join(&name);
        let (from, to) = (device.display(), global.display());
        let expected = [
            format!("blkid -p -s TYPE -s PTTYPE -o export {from}"),
            format!("mkfs.xfs -f {from}"),
            format!("mount -t xfs -o defaults,noatime -- {from} {to}"),
        ];
        assert_eq!(*host.ran.lock(), expected);
        manager.mount(&pod("u2")).await.unwrap();
        assert_eq!(host.ran.lock().len(), expected.len(), "once for the node");
        assert_eq!(host.system.mounts.lock().len(), 3);
        // A kubelet that was restarted meanwhile finds all that.
        let manager = kubelet(&root, &host, local);
        manager.unmount("u1").await.unwrap();
        assert_eq!(host.system.mounts.lock().len(), 2);
        manager.unmount("u2").await.unwrap();
        assert!(host.system.mounts.lock().is_empty());
        assert!(!global.exists());
    }
}
