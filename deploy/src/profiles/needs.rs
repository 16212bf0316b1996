//! What a cluster needs of the machine, asked before anything on it is changed.

use std::fs;
use std::path::Path;

use nix::sys::statvfs::statvfs;
use nix::unistd::geteuid;

use crate::call;
use crate::failure::{Failure, OrFail, Result};

const MEBIBYTE: u64 = 1 << 20;

/// Memory that a control plane with its node takes, in bytes, with some pods.
const FIRST_HOST: u64 = 700 * MEBIBYTE;
/// Memory of each further host.
const OTHER_HOST: u64 = 250 * MEBIBYTE;
/// Disk that a new cluster takes, with images and logs.
const DISK: u64 = 1024 * MEBIBYTE;

/// Exit codes, as minikube has them.
const NO_MEMORY: u8 = 23;
const NO_DISK: u8 = 26;

/// What the machine has.
#[derive(Debug, Clone, Copy)]
pub struct Machine {
    /// Memory that can be had without swapping, in bytes.
    pub memory: u64,
    /// Space for the cluster's folder, in bytes.
    pub disk: u64,
}

impl Machine {
    /// Looks at this machine; `folder` need not be there.
    pub fn look(folder: &Path) -> Result<Self> {
        let text = fs::read_to_string("/proc/meminfo").or_fail(|| "read /proc/meminfo")?;
        let there = folder.ancestors().find(|path| path.exists());
        let there = there.unwrap_or(Path::new("/"));
        let disk = statvfs(there).or_fail(|| format!("ask how full {} is", there.display()))?;
        Ok(Self {
            memory: available(&text).unwrap_or(u64::MAX),
            disk: disk.blocks_available() * disk.fragment_size(),
        })
    }
}

/// `MemAvailable` in bytes.
fn available(meminfo: &str) -> Option<u64> {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kibibytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kibibytes * 1024)
}

/// Refuses whoever is not root.
pub fn root(what: &str) -> Result<()> {
    if geteuid().is_root() {
        return Ok(());
    }
    Err(
        Failure::new(what, "hosts are namespaces and mounts, which need root")
            .way_out(format!("run it as root: {}", call::as_root())),
    )
}

/// Refuses to start hosts that the machine has no room for; `is_new` are those that have no
/// disk yet.
pub fn room(machine: Machine, hosts: u64, is_new: bool, folder: &Path) -> Result<()> {
    let memory = FIRST_HOST + OTHER_HOST * hosts.saturating_sub(1);
    let mebibytes = |bytes: u64| bytes / MEBIBYTE;
    if machine.memory < memory {
        return Err(Failure::new(
            format!("start {hosts} hosts"),
            format!(
                "they need {} MiB of memory, {} MiB can be had",
                mebibytes(memory),
                mebibytes(machine.memory)
            ),
        )
        .way_out(format!(
            "end other programs, stop another cluster ({} stop --profile NAME), or ask for fewer --nodes",
            call::tool()
        ))
        .exit(NO_MEMORY));
    }
    let disk = if is_new { DISK } else { DISK / 4 };
    if machine.disk < disk {
        return Err(Failure::new(
            format!("keep a cluster in {}", folder.display()),
            format!(
                "it needs {} MiB of disk, {} MiB are free",
                mebibytes(disk),
                mebibytes(machine.disk)
            ),
        )
        .way_out(format!(
            "make room, delete another cluster ({} delete --profile NAME), or name a folder of another disk in HARDWAY_HOME",
            call::tool()
        ))
        .exit(NO_DISK));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_without_room_is_told() {
        let machine = Machine {
            memory: 800 * MEBIBYTE,
            disk: 300 * MEBIBYTE,
        };
        let ask = |hosts, is_new| room(machine, hosts, is_new, Path::new("/x"));
        ask(1, false).unwrap();
        assert_eq!(ask(2, false).unwrap_err().exit, NO_MEMORY);
        let failure = ask(1, true).unwrap_err();
        assert_eq!(failure.exit, NO_DISK);
        assert!(failure.why.contains("300 MiB are free"), "{}", failure.why);
        assert!(failure.way_out.is_some());
        assert_eq!(
            available("MemFree: 1 kB\nMemAvailable:   2048 kB\n"),
            Some(2 << 20)
        );
        Machine::look(Path::new("/nowhere/at/all")).unwrap();
    }
}
