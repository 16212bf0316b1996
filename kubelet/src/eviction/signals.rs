//! What is left of the node's resources: the readings that thresholds are held against.

use super::pressure::{Observation, Observations};
use super::threshold::Signal;
use crate::context::Context;
use crate::node::machine::Usage;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Where readings are taken.
#[derive(Debug)]
pub struct Signals {
    /// The kubelet's directory, whose disk has volumes and logs.
    root: PathBuf,
    /// Bytes of memory: of the machine, and what pods may have together.
    memory: i64,
    pods_memory: i64,
    /// Where images are, once the runtime has told.
    images: Option<PathBuf>,
}

/// One look at everything.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reading {
    /// What is left.
    pub seen: Observations,
    /// Whether images and containers have a disk of their own.
    pub own_disk: bool,
}

impl Signals {
    /// Of the disk that has `root`, and a machine with so much memory, of which pods together
    /// may have `pods_memory`.
    pub fn new(root: PathBuf, memory: i64, pods_memory: i64) -> Self {
        Self {
            root,
            memory,
            pods_memory,
            images: None,
        }
    }

    /// Looks. The runtime is asked once where its images are.
    pub async fn look(&mut self, context: &Context) -> Reading {
        if self.images.is_none()
            && let Ok(systems) = context.runtime.image_fs_info().await
        {
            let first = systems.into_iter().find_map(|system| system.fs_id);
            self.images = first.map(|id| PathBuf::from(id.mountpoint));
        }
        let node = Usage::look(&self.root);
        let images = self.images.as_deref();
        let own_disk = images.is_some_and(|images| device(images) != device(&self.root));
        let image_disk = match images.filter(|_| own_disk) {
            Some(path) => Usage::look(path),
            None => node,
        };
        let mut seen = Observations::new();
        let mut put = |signal, available: i64, capacity: i64| {
            // What can't be read has no size.
            if capacity > 0 {
                let seen_now = Observation {
                    available,
                    capacity,
                };
                seen.insert(signal, seen_now);
            }
        };
        put(Signal::MemoryAvailable, node.memory_available, self.memory);
        if let Some(used) = context.cgroups.pods_memory() {
            let available = self.pods_memory.saturating_sub(number(used));
            put(
                Signal::AllocatableMemoryAvailable,
                available,
                self.pods_memory,
            );
        }
        for (disk, bytes, inodes) in [
            (node, Signal::NodeFsAvailable, Signal::NodeFsInodesFree),
            (
                image_disk,
                Signal::ImageFsAvailable,
                Signal::ImageFsInodesFree,
            ),
        ] {
            put(bytes, number(disk.disk_free), number(disk.disk));
            // File systems that make inodes as they are needed tell of none.
            put(inodes, number(disk.inodes_free), number(disk.inodes));
        }
        let (most, running) = (number(node.pids_max), number(node.pids));
        put(Signal::PidAvailable, most.saturating_sub(running), most);
        Reading { seen, own_disk }
    }
}

fn number(figure: u64) -> i64 {
    i64::try_from(figure).unwrap_or(i64::MAX)
}

fn device(path: &Path) -> Option<u64> {
    std::fs::metadata(path).ok().map(|found| found.dev())
}
