//! The cgroups that a host's processes are in.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::space;
use crate::wait::{holds, until};

/// Where a host's processes are, in each hierarchy of this machine.
pub(super) fn all(name: &str) -> Vec<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let points = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ').skip(1);
        let (point, kind) = (words.next()?, words.next()?);
        ["cgroup", "cgroup2"].contains(&kind).then_some(point)
    });
    points
        .map(|point| Path::new(point).join(space(name)))
        .collect()
}

/// Makes them.
#[track_caller]
pub(super) fn make(name: &str) -> Vec<PathBuf> {
    let groups = all(name);
    for group in &groups {
        fs::create_dir_all(group)
            .unwrap_or_else(|error| panic!("create {}: {error}", group.display()));
        // Version 1 lets no process in before it is said which processors it may use.
        for file in ["cpuset.cpus", "cpuset.mems"] {
            let Ok(all) = fs::read(group.with_file_name(file)) else {
                continue;
            };
            fs::write(group.join(file), all)
                .unwrap_or_else(|error| panic!("write {file} of {}: {error}", group.display()));
        }
    }
    groups
}

/// Kills all processes of a host.
pub(super) fn kill_all(name: &str) {
    let groups = all(name);
    until(&format!("all processes of {name} are gone"), || {
        let processes: Vec<String> = groups.iter().flat_map(|group| members(group)).collect();
        let _ = Command::new("kill")
            .arg("-9")
            .args(&processes)
            .stderr(Stdio::null())
            .status();
        holds(processes.is_empty(), processes.join(" "))
    });
}

/// The processes in a cgroup and below.
fn members(group: &Path) -> Vec<String> {
    let own = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
    let below = folders(group);
    let below = below.iter().flat_map(|group| members(group));
    // What can't be seen from here has the number 0.
    own.lines()
        .filter(|number| *number != "0")
        .map(str::to_owned)
        .chain(below)
        .collect()
}

/// Removes one, and those below, in which no process is left.
pub(super) fn remove(group: &Path) -> std::io::Result<()> {
    for below in folders(group) {
        remove(&below)?;
    }
    match fs::remove_dir(group) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn folders(of: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(of).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect()
}
