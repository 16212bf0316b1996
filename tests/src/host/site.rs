//! Where hosts are plugged in.

use std::fs::{self, File};
use std::net::Ipv4Addr;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use nix::sched::{CloneFlags, setns};

use super::programs::{limited, run};
use super::{BRIDGE, Host, OUTSIDE, SECONDS, remove};
use crate::kubectl::Output;

/// What hosts are plugged into. Dropped, it goes.
#[derive(Debug)]
pub struct Site {
    folder: PathBuf,
    debian: PathBuf,
    /// Held while the site stands: two of them would be in each other's way.
    _lock: File,
}

impl Site {
    /// Makes the bridge; the hosts' disks will be below `folder`, over the files of the
    /// installed system in `debian`, which stays as it is.
    #[track_caller]
    pub fn new(folder: &Path, debian: &Path) -> Self {
        let path = "/run/hardway-hosts.lock";
        let lock = File::create(path).unwrap_or_else(|error| panic!("create {path}: {error}"));
        lock.try_lock()
            .unwrap_or_else(|error| panic!("another run has its hosts up: {path}: {error}"));
        let site = Self {
            folder: folder.to_owned(),
            debian: debian.to_owned(),
            _lock: lock,
        };
        site.clear();
        run(&format!("ip netns add {OUTSIDE}"));
        run(&format!("ip -n {OUTSIDE} link set lo up"));
        run(&format!("ip -n {OUTSIDE} link add {BRIDGE} type bridge"));
        run(&format!("ip -n {OUTSIDE} link set {BRIDGE} up"));
        site
    }

    /// Gives the world outside of the hosts an address.
    #[track_caller]
    pub fn outside(&self, address: Ipv4Addr) {
        run(&format!(
            "ip -n {OUTSIDE} address add {address}/24 dev {BRIDGE}"
        ));
    }

    /// Runs a script on no host, but where all of them can be reached.
    pub fn try_run(&self, script: &str) -> Output {
        let space = format!("--net=/run/netns/{OUTSIDE}");
        limited(SECONDS, &["nsenter", &space, "bash", "-c", script])
    }

    /// Does something where all hosts can be reached, threads that it starts included.
    ///
    /// # Panics
    /// If it does.
    pub fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let path = Path::new("/run/netns").join(OUTSIDE);
        let worker = || {
            let space = File::open(&path).unwrap_or_else(|error| panic!("open {path:?}: {error}"));
            setns(space, CloneFlags::CLONE_NEWNET)
                .unwrap_or_else(|error| panic!("enter {path:?}: {error}"));
            work()
        };
        // A thread of its own, since nobody else is to be moved.
        let ended = std::thread::scope(|scope| scope.spawn(worker).join());
        ended.unwrap_or_else(|panic| resume_unwind(panic))
    }

    /// Boots a host for the first time.
    #[track_caller]
    pub fn host(&self, name: &str, address: Ipv4Addr) -> Host {
        let host = Host {
            name: name.to_owned(),
            address,
            folder: self.folder.join(name),
            launcher: Mutex::new(None),
        };
        host.install(&self.debian);
        host.power_on();
        host
    }

    /// Puts a fresh system on the disk of a host that has no power.
    #[track_caller]
    pub fn reinstall(&self, host: &Host) {
        remove(&host.name, &host.folder);
        host.install(&self.debian);
    }

    /// Removes all hosts there are traces of, and the bridge.
    fn clear(&self) {
        let left = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        for name in left.filter_map(|entry| entry.file_name().into_string().ok()) {
            remove(&name, &self.folder.join(&name));
        }
        if Path::new("/run/netns").join(OUTSIDE).exists() {
            run(&format!("ip netns delete {OUTSIDE}"));
        }
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.clear();
    }
}
