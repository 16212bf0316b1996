//! The lab: a folder with everything in it, and the hosts made from it.

pub mod bring_up;
pub mod config;
pub mod control;
pub mod identities;
pub mod init;
pub mod mount_points;
pub mod network;
pub mod node;
pub mod numbers;
pub mod process;
pub mod purge;
pub mod starting;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};

use crate::api::Api;
use crate::call;
use crate::components::kubernetes::Program;
use crate::encryption;
use crate::failure::{Failure, OrFail, Result};
use crate::health;
use crate::http::Identity;
use crate::pki::{CLUSTER_CA, ETCD_CA, Pki};
use crate::plan::{API_PORT, Host, MOST_CONTROL_PLANES, MOST_WORKERS, Plan};
use crate::shell;

/// How long a host of the control plane may take to be reached before another one is asked.
const REACHED_WITHIN: Duration = Duration::from_millis(500);

/// A lab and where its things are.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Lab {
    /// The lab's folder.
    #[serde(skip)]
    pub folder: PathBuf,
    /// Hosts, names and addresses.
    pub plan: Plan,
    /// Folder of the component binaries in use.
    pub binaries: PathBuf,
    /// Whether images that are not the project's own come from the internet.
    pub internet: bool,
    /// The processes to run; empty for all.
    #[serde(default)]
    pub only: Vec<String>,
    /// The processes whose work a program of Kubernetes does, by `PROCESS@HOST`.
    #[serde(default)]
    pub swapped: BTreeMap<String, Program>,
    /// When the nodes were last all Ready after a start.
    pub ready: Option<Ready>,
}

/// How long it took until all nodes were Ready.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Ready {
    /// Seconds from the first process started to all nodes Ready.
    pub seconds: f64,
    /// When that was, in seconds since 1970.
    pub at: u64,
}

impl Lab {
    /// The lab in a folder, as the last `up` left it.
    pub fn open(folder: &Path) -> Result<Self> {
        Self::find(folder)?.ok_or_else(|| {
            Failure::new(
                format!("open the lab in {}", folder.display()),
                "there is none",
            )
            .way_out(format!(
                "bring one up with `{} up`, or name another with --dir",
                call::tool()
            ))
        })
    }

    /// The lab in a folder, if there is one.
    ///
    /// # Errors
    /// If there is one whose description can't be read.
    pub fn find(folder: &Path) -> Result<Option<Self>> {
        let file = folder.join("lab.json");
        let what = || format!("read {}", file.display());
        let text = match fs::read_to_string(&file) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            other => other.or_fail(what)?,
        };
        let lab: Self = serde_json::from_str(&text).or_fail(what)?;
        Ok(Some(Self {
            folder: folder.to_owned(),
            ..lab
        }))
    }

    /// A lab that is to be taken off the machine, if there is one. Of one whose description is
    /// broken the machine knows which number it has, and its disks say which hosts; of one that
    /// the machine doesn't know, nothing runs.
    ///
    /// # Errors
    /// If it can't be found out.
    pub fn find_to_remove(folder: &Path) -> Result<Option<Self>> {
        Self::find(folder).or_else(|_| Self::rebuild(folder, numbers::of_folder(folder)))
    }

    fn rebuild(folder: &Path, index: Option<u8>) -> Result<Option<Self>> {
        let Some(index) = index else {
            return Ok(None);
        };
        let name = folder.file_name().and_then(|name| name.to_str());
        let is_cluster = |name: &&str| folder.join("nodes").join(name).exists();
        let plan = Plan {
            index,
            control_planes: MOST_CONTROL_PLANES,
            workers: MOST_WORKERS,
            cluster: name.filter(is_cluster).map(str::to_owned),
        };
        let lab = Self {
            folder: folder.to_owned(),
            plan,
            binaries: PathBuf::new(),
            internet: false,
            only: Vec::new(),
            swapped: BTreeMap::new(),
            ready: None,
        };
        let count = |hosts: Vec<Host>| {
            let last = hosts.iter().rposition(|host| lab.disk(host).exists());
            u8::try_from(last.map_or(0, |last| last + 1)).unwrap_or(u8::MAX)
        };
        let control_planes = count(lab.plan.control_planes()).max(1);
        let plan = Plan {
            control_planes,
            ..lab.plan.clone()
        };
        let workers = count(plan.workers());
        Ok(Some(Self {
            plan: Plan { workers, ..plan },
            ..lab
        }))
    }

    /// Remembers the lab's description in its folder.
    pub fn save(&self) -> Result<()> {
        let text = serde_json::to_vec_pretty(self).or_fail(|| "describe the lab")?;
        shell::write_file(&self.folder.join("lab.json"), &text, 0o644)
    }

    /// Certificates and keys.
    pub fn pki(&self) -> Pki {
        Pki::new(&self.folder.join("pki"))
    }

    /// Folder of the kubeconfig files.
    pub fn kubeconfigs(&self) -> PathBuf {
        self.folder.join("kubeconfig")
    }

    /// How the apiserver encrypts what it stores.
    pub fn encryption(&self) -> PathBuf {
        self.folder.join(encryption::FILE)
    }

    /// Folder of the image registry's storage.
    pub fn registry(&self) -> PathBuf {
        self.folder.join("registry")
    }

    /// Folder of the images that are built for it. Clusters that are called by name have them
    /// in common, two folders up.
    pub fn images(&self) -> PathBuf {
        match (&self.plan.cluster, self.folder.ancestors().nth(2)) {
            (Some(_), Some(home)) => home.join("cache/images"),
            _ => self.folder.join("images"),
        }
    }

    /// Whether a process is to run in this lab.
    pub fn wants(&self, process: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|name| name == process)
    }

    /// The program of Kubernetes that does a process' work, if one does.
    pub fn swapped(&self, host: &Host, process: &str) -> Option<&Program> {
        self.swapped.get(&format!("{process}@{}", host.name))
    }

    /// A host's disk: what outlives its death.
    pub fn disk(&self, host: &Host) -> PathBuf {
        self.folder.join("nodes").join(&host.name)
    }

    /// Log of a host's process.
    pub fn log(&self, host: &Host, process: &str) -> PathBuf {
        self.disk(host).join("log").join(format!("{process}.log"))
    }

    /// Folder in which a host's process keeps what it has learned.
    pub fn state(&self, host: &Host, process: &str) -> PathBuf {
        self.disk(host).join("state").join(process)
    }

    /// Whether the components do as they are asked in the folders of [`Self::faults`]: those
    /// built without optimisation do (`client/src/faults.rs`).
    pub fn has_faults(&self) -> bool {
        self.binaries.ends_with("debug")
    }

    /// Where a host's process is asked to panic or to stall.
    pub fn faults(&self, host: &Host, process: &str) -> PathBuf {
        self.disk(host).join("faults").join(process)
    }

    /// The host of a name.
    pub fn host(&self, name: &str) -> Result<Host> {
        let hosts = self.plan.hosts();
        let names: Vec<&str> = hosts.iter().map(|host| host.name.as_str()).collect();
        let names = names.join(", ");
        hosts
            .into_iter()
            .find(|host| host.name == name)
            .ok_or_else(|| {
                Failure::new(format!("find host {name}"), "the lab has none of that name")
                    .way_out(format!("hosts are: {names}"))
            })
    }

    /// Refuses another number of hosts for the control plane than the one that etcd's members
    /// were made with.
    ///
    /// # Errors
    /// If they are there, with the way out that is given.
    pub fn check_control_planes(&self, count: u8, way_out: String) -> Result<()> {
        let before = self.plan.control_planes;
        let mut hosts = self.plan.control_planes().into_iter();
        let is_made = hosts.any(|host| self.disk(&host).join("etcd").exists());
        match is_made && before != count {
            true => Err(Failure::new(
                format!("give the control plane {count} hosts"),
                format!("its etcd was made with {before}"),
            )
            .way_out(way_out)),
            false => Ok(()),
        }
    }

    /// The administrator, asking an apiserver that answers.
    pub fn api(&self) -> Api {
        Api::new(self.apiserver(), self.administrator())
    }

    /// Where the API is: at the first of the control plane's hosts that answers, or at the first
    /// of all, so that a failure tells of that.
    pub fn apiserver(&self) -> SocketAddr {
        let all = self.plan.control_planes();
        let address = |host: &Host| SocketAddr::from((host.address, API_PORT));
        let answers = |host: &&Host| {
            // Of a host that is cut off nothing comes back for long.
            TcpStream::connect_timeout(&address(host), REACHED_WITHIN).is_ok()
                && health::check(self, host, "apiserver", "/readyz").is_ok()
        };
        let found = match all.len() {
            1 => None,
            _ => all.iter().find(answers),
        };
        address(found.unwrap_or(&all[0]))
    }

    /// The administrator, asking components.
    pub fn administrator(&self) -> Identity {
        self.pki().identity(CLUSTER_CA, "admin")
    }

    /// The apiserver, asking etcd.
    pub fn etcd_client(&self) -> Identity {
        self.pki().identity(ETCD_CA, "apiserver-etcd-client")
    }
}

/// Waits until no other tool is at what a folder has.
pub fn wait_for_lock(folder: &Path) -> Result<Flock<File>> {
    Flock::lock(lock_file(folder)?, FlockArg::LockExclusive)
        .map_err(|(_, error)| error)
        .or_fail(|| format!("lock {}", folder.display()))
}

fn lock_file(folder: &Path) -> Result<File> {
    let path = folder.join("lock");
    File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .or_fail(|| format!("open {}", path.display()))
}

/// Only one tool at a time changes a lab.
pub fn lock(folder: &Path) -> Result<Flock<File>> {
    let busy = || {
        Failure::new(
            format!("change the lab in {}", folder.display()),
            "another `hardway` is at it",
        )
        .way_out("wait until it is done")
    };
    let lock = Flock::lock(lock_file(folder)?, FlockArg::LockExclusiveNonblock);
    let lock = lock.map_err(|_| busy())?;
    // One that was removed with its folder keeps nobody off.
    let there = fs::metadata(folder.join("lock")).map_err(|_| busy())?;
    let held = lock.metadata().map_err(|_| busy())?;
    match (there.dev(), there.ino()) == (held.dev(), held.ino()) {
        true => Ok(lock),
        false => Err(busy()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_description_is_not_a_lab_that_is_not_there() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("dev");
        assert!(Lab::find(&folder).unwrap().is_none());
        shell::write_file(&folder.join("lab.json"), b"{", 0o644).unwrap();
        assert!(Lab::find(&folder).is_err() && Lab::open(&folder).is_err());
        for name in ["dev", "dev-m03"] {
            shell::make_directory(&folder.join("nodes").join(name)).unwrap();
        }
        let lab = Lab::rebuild(&folder, Some(12)).unwrap().unwrap();
        let names: Vec<String> = lab.plan.hosts().into_iter().map(|it| it.name).collect();
        // The second may have been of the control plane or not: it is switched off as the same host.
        assert_eq!(
            (lab.plan.index, names.join(" ")),
            (12, "dev dev-m02 dev-m03".to_owned())
        );
        // Of one that has no number nothing runs.
        assert!(Lab::find_to_remove(&folder).unwrap().is_none());
    }
}
