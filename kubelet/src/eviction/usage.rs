//! What a pod uses of the node's memory, disk and process numbers.

use crate::context::Context;
use crate::cri::api::ContainerStats;
use crate::cri::labels;
use crate::pod;
use crate::sandbox::log_directory;
use hardway_proto::Kind;
use k8s_openapi::api::core::v1::Pod;
use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::iter::Sum;
use std::ops::{Add, AddAssign};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A block as `stat` counts it.
const BLOCK: u64 = 512;

/// What something takes of a disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Disk {
    /// Bytes.
    pub bytes: u64,
    /// Files, folders and whatever else has a number of its own.
    pub inodes: u64,
}

impl Add for Disk {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            bytes: self.bytes.saturating_add(other.bytes),
            inodes: self.inodes.saturating_add(other.inodes),
        }
    }
}

impl AddAssign for Disk {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sum for Disk {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), Add::add)
    }
}

/// What a container uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ContainerUsage {
    /// Bytes of memory that can't be taken from it; none if the runtime doesn't tell.
    pub memory: Option<u64>,
    /// What it wrote beside its volumes.
    pub layer: Disk,
    /// Its logs.
    pub logs: Disk,
}

/// What a pod uses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Bytes of memory that can't be taken from it.
    pub memory: u64,
    /// Processes.
    pub processes: u64,
    /// By container.
    pub containers: BTreeMap<String, ContainerUsage>,
    /// Volumes that lie on the node's disk, by name.
    pub volumes: BTreeMap<String, Disk>,
}

/// Looks at a pod, and at nothing that takes long: of the disk there is only what the runtime
/// has told. What a runtime without statistics doesn't tell counts as nothing.
pub fn measure(context: &Context, pod: &Pod, stats: &[ContainerStats]) -> Usage {
    let (memory, processes) = context.cgroups.usage(pod);
    let mut usage = Usage {
        memory,
        processes,
        ..Usage::default()
    };
    for entry in stats {
        let Some(attributes) = &entry.attributes else {
            continue;
        };
        let label = |name: &str| attributes.labels.get(name).map(String::as_str);
        if label(labels::POD_UID) == Some(pod.uid())
            && let Some(name) = label(labels::CONTAINER_NAME)
        {
            let container = usage.containers.entry(name.to_owned()).or_default();
            let memory = entry.memory.as_ref();
            let memory = memory.and_then(|m| m.working_set_bytes.as_ref());
            container.memory = memory.map(|m| m.value).or(container.memory);
            if let Some(layer) = &entry.writable_layer {
                container.layer += Disk {
                    bytes: layer.used_bytes.as_ref().map_or(0, |b| b.value),
                    inodes: layer.inodes_used.as_ref().map_or(0, |i| i.value),
                };
            }
        }
    }
    usage
}

/// Looks at a pod, and walks through its logs and volumes.
pub async fn measure_with_disk(context: &Context, pod: &Pod, stats: &[ContainerStats]) -> Usage {
    let mut usage = measure(context, pod, stats);
    let logs = log_directory(&context.places.logs, pod.namespace(), pod.name(), pod.uid());
    for container in pod::all_containers(pod) {
        let disk = of_folder_apart(logs.join(&container.name)).await;
        let container = usage.containers.entry(container.name.clone()).or_default();
        container.logs += disk;
    }
    for volume in pod::spec(pod).volumes.iter().flatten() {
        if let Some(folder) = context.volumes.on_disk(pod, volume) {
            let disk = of_folder_apart(folder).await;
            usage.volumes.insert(volume.name.clone(), disk);
        }
    }
    usage
}

async fn of_folder_apart(folder: PathBuf) -> Disk {
    let walk = tokio::task::spawn_blocking(move || of_folder(&folder));
    walk.await.unwrap_or_default()
}

/// What is on disk below a folder, as `du` counts it: links are not followed, what is
/// mounted inside is not looked at, and a file of several names counts once. What can't
/// be read, and what goes meanwhile, counts as nothing.
fn of_folder(folder: &Path) -> Disk {
    let Ok(top) = fs::symlink_metadata(folder) else {
        return Disk::default();
    };
    let mut seen = HashSet::new();
    let mut folders: Vec<PathBuf> = vec![folder.to_owned()];
    let (mut blocks, mut inodes) = (top.blocks(), 1);
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
        for entry in entries {
            let Ok(found) = entry.metadata() else {
                continue;
            };
            if found.dev() != top.dev() || (found.nlink() > 1 && !seen.insert(found.ino())) {
                continue;
            }
            blocks += found.blocks();
            inodes += 1;
            if found.is_dir() {
                folders.push(entry.path());
            }
        }
    }
    Disk {
        bytes: blocks * BLOCK,
        inodes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn what_is_below_counts_once() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("volume");
        fs::create_dir_all(folder.join("a/b")).unwrap();
        let empty = of_folder(&folder);
        assert_eq!(empty.inodes, 3);
        fs::write(folder.join("a/b/file"), vec![1; 1 << 20]).unwrap();
        let full = of_folder(&folder);
        assert!(full.bytes - empty.bytes >= 1 << 20, "{empty:?} {full:?}");
        fs::hard_link(folder.join("a/b/file"), folder.join("again")).unwrap();
        fs::write(dir.path().join("outside"), vec![1; 1 << 20]).unwrap();
        symlink(dir.path(), folder.join("up")).unwrap();
        let linked = of_folder(&folder);
        assert!(linked.bytes - full.bytes < 1 << 16, "{linked:?} {full:?}");
        assert_eq!(linked.inodes, 5, "one of two names, and the link");
        assert_eq!(of_folder(&dir.path().join("none")), Disk::default());
    }
}
