//! A file system that is mounted once for the node, and appears in each pod that has it.

use super::ownership::{self, Access};
use super::plugin::Mounter;
use super::system::System;
use crate::root_dir;
use std::io;
use std::path::{Path, PathBuf};

/// Has it appear in a pod. The pod's group gets its files, if the pod has one and writes.
///
/// # Errors
/// If the kernel refuses, or a file can't be given to the group.
pub(super) async fn bind(
    mounter: &Mounter<'_>,
    from: PathBuf,
    at: PathBuf,
    writes: bool,
) -> Result<(), String> {
    let group = ownership::fs_group(mounter.pod).filter(|_| writes);
    let owner = group.map(|group| (group, ownership::only_on_mismatch(mounter.pod)));
    let system = mounter.host.system.clone();
    let place = at.display().to_string();
    // There may be many files to give to the group.
    let work = move || appear(system.as_ref(), &from, &at, owner);
    let done = tokio::task::spawn_blocking(work).await;
    let done = done.map_err(|error| error.to_string())?;
    done.map_err(|error| format!("{place}: {error}"))
}

fn appear(
    system: &dyn System,
    from: &Path,
    at: &Path,
    owner: Option<(u32, bool)>,
) -> io::Result<()> {
    root_dir::make(at)?;
    if !system.is_mounted(at)? {
        system.bind(from, at)?;
    }
    match owner {
        Some((group, true)) if ownership::is_handed_over(at, group)? => Ok(()),
        Some((group, _)) => ownership::hand_over(at, group, Access::ReadWrite),
        None => Ok(()),
    }
}
