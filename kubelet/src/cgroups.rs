//! The cgroups that pods live in: `ROOT/kubepods/[burstable|besteffort]/podUID`,
//! made and removed by the kubelet, with the pod's limits on them.

use crate::cri::LinuxContainerResources;
use crate::qos::{self, Class};
use crate::usage::cgroup::Reader;
use hardway_proto::Kind;
use k8s_openapi::api::core::v1::Pod;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Controllers in which pods are limited; the runtime makes its own
/// directories in all others.
const CONTROLLERS: [&str; 3] = ["cpu", "memory", "pids"];

/// The tree of one node's pods.
#[derive(Clone, Debug)]
pub struct Cgroups {
    mount: PathBuf,
    root: String,
    pids_limit: Option<i64>,
}

impl Cgroups {
    /// Below `root` (`/` for the top) of the hierarchy mounted at `mount`.
    pub fn new(mount: impl Into<PathBuf>, root: &str, pids_limit: Option<i64>) -> Self {
        Self {
            mount: mount.into(),
            root: root.trim_end_matches('/').to_owned(),
            pids_limit,
        }
    }

    /// The cgroup of a pod, as the runtime is told.
    pub fn pod_parent(&self, pod: &Pod) -> String {
        let class = match qos::class(pod) {
            Class::Guaranteed => "",
            Class::Burstable => "burstable/",
            Class::BestEffort => "besteffort/",
        };
        format!("{}/kubepods/{class}pod{}", self.root, pod.uid())
    }

    /// Where the hierarchies are mounted.
    pub fn mount(&self) -> &Path {
        &self.mount
    }

    /// The cgroup that is the node; empty for the top.
    pub fn root(&self) -> &str {
        &self.root
    }

    /// The cgroups of pods by the pods' UIDs, where memory is counted.
    pub fn paths(&self) -> HashMap<String, String> {
        let top = match self.is_unified() {
            true => self.mount.clone(),
            false => self.mount.join("memory"),
        };
        let mut paths = HashMap::new();
        for class in ["", "/burstable", "/besteffort"] {
            let parent = format!("{}/kubepods{class}", self.root);
            for pod in pods_in(&top.join(parent.trim_start_matches('/'))) {
                let uid = pod["pod".len()..].to_owned();
                paths.insert(uid, format!("{parent}/{pod}"));
            }
        }
        paths
    }

    fn is_unified(&self) -> bool {
        self.mount.join("cgroup.controllers").exists()
    }

    /// Limits all pods together to what is theirs: bytes of memory, their part of the CPU
    /// (thousandths of a core) where others want it too, and processes, if some are kept.
    pub fn enforce(&self, memory: i64, cpu: i64, processes: Option<i64>) -> io::Result<()> {
        let all = format!("{}/kubepods", self.root);
        let all = all.trim_start_matches('/');
        let shares = qos::shares(cpu);
        if self.is_unified() {
            let directory = self.make_unified(all)?;
            set(&directory, "cpu.weight", weight(shares))?;
            if let Some(processes) = processes {
                set(&directory, "pids.max", processes)?;
            }
            return set(&directory, "memory.max", memory);
        }
        if let Some(directory) = self.make(all, "cpu")? {
            set(&directory, "cpu.shares", shares)?;
        }
        if let Some(directory) = self.make(all, "memory")? {
            set(&directory, "memory.limit_in_bytes", memory)?;
        }
        if let Some(processes) = processes
            && let Some(directory) = self.make(all, "pids")?
        {
            set(&directory, "pids.max", processes)?;
        }
        Ok(())
    }

    /// Bytes of memory that can't be taken from all pods together, if that can be seen.
    pub fn pods_memory(&self) -> Option<u64> {
        let all = format!("{}/kubepods", self.root);
        self.reader().memory(&all).map(|memory| memory.working_set)
    }

    /// Bytes of memory that can't be taken from a pod, and its threads; none of what can't
    /// be seen.
    pub fn usage(&self, pod: &Pod) -> (u64, u64) {
        let (reader, path) = (self.reader(), self.pod_parent(pod));
        let memory = reader.memory(&path).map_or(0, |memory| memory.working_set);
        (memory, reader.tasks(&path).threads)
    }

    fn reader(&self) -> Reader {
        Reader::new(&self.mount)
    }

    /// Makes a directory in a controller's own hierarchy, if there is one.
    fn make(&self, path: &str, controller: &str) -> io::Result<Option<PathBuf>> {
        let top = self.mount.join(controller);
        if !top.exists() {
            return Ok(None);
        }
        let directory = top.join(path);
        fs::create_dir_all(&directory)?;
        Ok(Some(directory))
    }

    /// Gives the classes their part of the CPU: burstable pods together what
    /// they ask for one by one, those that ask for nothing the least there is.
    /// Without it each class would weigh as much as a whole core.
    fn weigh_classes(&self) -> io::Result<()> {
        let (top, file) = match self.is_unified() {
            true => (self.mount.clone(), "cpu.weight"),
            false => (self.mount.join("cpu"), "cpu.shares"),
        };
        let all = top.join(self.root.trim_start_matches('/')).join("kubepods");
        let (least, most) = match self.is_unified() {
            true => (1, 10_000),
            false => (2, 262_144),
        };
        let burstable = all.join("burstable");
        if burstable.is_dir() {
            let sum = pods_in(&burstable).iter().fold(0, |sum: i64, pod| {
                let own = fs::read_to_string(burstable.join(pod).join(file));
                let own = own.ok().and_then(|text| text.trim().parse::<i64>().ok());
                sum.saturating_add(own.unwrap_or(0))
            });
            set(&burstable, file, sum.clamp(least, most))?;
        }
        let best_effort = all.join("besteffort");
        match best_effort.is_dir() {
            true => set(&best_effort, file, least),
            false => Ok(()),
        }
    }

    /// Whether the limit of processes, if there is one, can be held to.
    pub fn can_limit_pids(&self) -> bool {
        if self.pids_limit.is_none() {
            return true;
        }
        let controllers = fs::read_to_string(self.mount.join("cgroup.controllers"));
        match controllers {
            Ok(list) => list.split_whitespace().any(|name| name == "pids"),
            Err(_) => self.mount.join("pids").exists(),
        }
    }

    /// What a container's cgroup of version 2 is given beside its limits, as Kubernetes does:
    /// when memory runs out all of it ends and not one of its processes (the kubelet's
    /// `singleProcessOOMKill: false`), and nothing of it is swapped (`NoSwap`) where the
    /// kernel could.
    pub fn of_container(&self) -> BTreeMap<String, String> {
        if !self.is_unified() {
            return BTreeMap::new();
        }
        let all = self.mount.join(self.root.trim_start_matches('/'));
        let swap = all.join("kubepods/memory.swap.max").exists();
        let files = [
            ("memory.oom.group", "1", true),
            ("memory.swap.max", "0", swap),
        ];
        let there = files.into_iter().filter(|(.., is_there)| *is_there);
        there
            .map(|(file, text, _)| (file.into(), text.into()))
            .collect()
    }

    /// Makes a pod's cgroup and sets its limits.
    pub fn create(&self, pod: &Pod) -> io::Result<()> {
        let parent = self.pod_parent(pod);
        let resources = qos::pod_resources(pod);
        if self.is_unified() {
            self.create_unified(&parent, &resources)?;
        } else {
            self.create_apart(&parent, &resources)?;
        }
        self.weigh_classes()
    }

    /// Whether a pod's limit of memory would be lowered to what it uses now, or below.
    pub fn would_starve(&self, pod: &Pod) -> bool {
        let (reader, parent) = (self.reader(), self.pod_parent(pod));
        let wanted = qos::pod_resources(pod).memory_limit_in_bytes;
        let Ok(wanted @ 1..) = u64::try_from(wanted) else {
            return false;
        };
        let now = reader.limits(&parent).memory;
        let lowers = now == 0 || wanted < now;
        // What can't be seen is left to the kernel.
        lowers
            && reader
                .memory(&parent)
                .is_some_and(|memory| memory.usage >= wanted)
    }

    /// Raises a pod's limits to what it is to have, and lowers none: its containers may still
    /// have more.
    pub fn grow(&self, pod: &Pod) -> io::Result<()> {
        let parent = self.pod_parent(pod);
        let mut resources = qos::pod_resources(pod);
        let now = self.reader().limits(&parent);
        let more = |now: u64, wanted: i64| i64::try_from(now).unwrap_or(0).max(wanted);
        // What isn't limited stays so until the end.
        resources.cpu_quota = match now.cpu_quota {
            Some(quota) => more(quota, resources.cpu_quota),
            None => 0,
        };
        resources.memory_limit_in_bytes = match now.memory {
            0 => 0,
            memory => more(memory, resources.memory_limit_in_bytes),
        };
        match self.is_unified() {
            true => self.create_unified(&parent, &resources),
            false => self.create_apart(&parent, &resources),
        }
    }

    fn create_apart(&self, parent: &str, resources: &LinuxContainerResources) -> io::Result<()> {
        for controller in CONTROLLERS {
            let Some(directory) = self.make(parent.trim_start_matches('/'), controller)? else {
                continue;
            };
            match controller {
                "cpu" => {
                    set(&directory, "cpu.shares", resources.cpu_shares)?;
                    if resources.cpu_quota > 0 {
                        set(&directory, "cpu.cfs_period_us", resources.cpu_period)?;
                        set(&directory, "cpu.cfs_quota_us", resources.cpu_quota)?;
                    }
                }
                "memory" if resources.memory_limit_in_bytes > 0 => {
                    let limit = resources.memory_limit_in_bytes;
                    set(&directory, "memory.limit_in_bytes", limit)?;
                }
                "pids" => {
                    if let Some(limit) = self.pids_limit {
                        set(&directory, "pids.max", limit)?;
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Makes a directory of the one hierarchy, with the controllers in it.
    fn make_unified(&self, path: &str) -> io::Result<PathBuf> {
        let mut directory = self.mount.clone();
        for part in path.split('/').filter(|p| !p.is_empty()) {
            // A controller that isn't there leaves that limit to others.
            for controller in CONTROLLERS {
                let _ = fs::write(
                    directory.join("cgroup.subtree_control"),
                    format!("+{controller}"),
                );
            }
            directory.push(part);
            fs::create_dir_all(&directory)?;
        }
        Ok(directory)
    }

    fn create_unified(&self, parent: &str, resources: &LinuxContainerResources) -> io::Result<()> {
        let directory = self.make_unified(parent)?;
        set(&directory, "cpu.weight", weight(resources.cpu_shares))?;
        if resources.cpu_quota > 0 {
            let max = format!("{} {}", resources.cpu_quota, resources.cpu_period);
            set(&directory, "cpu.max", max)?;
        }
        if resources.memory_limit_in_bytes > 0 {
            set(&directory, "memory.max", resources.memory_limit_in_bytes)?;
        }
        if let Some(limit) = self.pids_limit {
            set(&directory, "pids.max", limit)?;
        }
        Ok(())
    }

    /// Removes a pod's cgroups, whatever its class was. What is still busy
    /// stays for the next attempt.
    pub fn remove(&self, uid: &str) {
        for hierarchy in self.hierarchies() {
            for class in ["", "burstable", "besteffort"] {
                let directory = hierarchy
                    .join(self.root.trim_start_matches('/'))
                    .join("kubepods")
                    .join(class)
                    .join(format!("pod{uid}"));
                remove_tree(&directory);
            }
        }
        if let Err(error) = self.weigh_classes() {
            tracing::debug!(%error, "the classes' parts of the CPU stay");
        }
    }

    /// Removes the cgroups of a pod that nobody knows, and ends what still
    /// runs in them.
    pub fn destroy(&self, uid: &str) {
        let tree = |class: &str, hierarchy: &Path| {
            let root = hierarchy.join(self.root.trim_start_matches('/'));
            root.join("kubepods").join(class).join(format!("pod{uid}"))
        };
        for hierarchy in self.hierarchies() {
            for class in ["", "burstable", "besteffort"] {
                for pid in processes(&tree(class, &hierarchy)) {
                    tracing::warn!(uid, pid, "ends a process of a pod that is gone");
                    let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
                }
            }
        }
        self.remove(uid);
    }

    fn hierarchies(&self) -> Vec<PathBuf> {
        if self.is_unified() {
            return vec![self.mount.clone()];
        }
        let entries = fs::read_dir(&self.mount).into_iter().flatten().flatten();
        let mut list: Vec<PathBuf> = entries
            // Combined controllers have links as further names.
            .filter(|entry| entry.file_type().is_ok_and(|t| t.is_dir()))
            .map(|entry| entry.path())
            .collect();
        list.sort();
        list
    }

    /// UIDs of the pods that have cgroups.
    pub fn pods(&self) -> Vec<String> {
        let mut uids = Vec::new();
        for hierarchy in self.hierarchies() {
            for class in ["", "burstable", "besteffort"] {
                let directory = hierarchy
                    .join(self.root.trim_start_matches('/'))
                    .join("kubepods")
                    .join(class);
                let pods = pods_in(&directory);
                uids.extend(pods.iter().map(|pod| pod["pod".len()..].to_owned()));
            }
        }
        uids.sort();
        uids.dedup();
        uids
    }
}

/// Shares of version 1 as a weight of version 2, as runc converts them.
fn weight(shares: i64) -> i64 {
    1 + (shares.clamp(2, 262_144) - 2) * 9999 / 262_142
}

/// Names of the pods' directories in one.
fn pods_in(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    names.filter(|name| name.starts_with("pod")).collect()
}

fn set(directory: &Path, file: &str, value: impl ToString) -> io::Result<()> {
    let path = directory.join(file);
    fs::write(&path, value.to_string())
        .map_err(|e| io::Error::new(e.kind(), format!("{}: {e}", path.display())))
}

/// Processes of a cgroup and those below it that can be seen from here.
fn processes(directory: &Path) -> Vec<i32> {
    let text = fs::read_to_string(directory.join("cgroup.procs")).unwrap_or_default();
    // Zero is a process of another namespace.
    let own = text.lines().filter_map(|line| line.parse().ok());
    let mut found: Vec<i32> = own.filter(|pid| *pid > 0).collect();
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|t| t.is_dir()) {
            found.extend(processes(&entry.path()));
        }
    }
    found
}

/// Removes a cgroup and those below it; only directories can be removed, the
/// files in them are the kernel's.
fn remove_tree(directory: &Path) {
    let Ok(entries) = fs::read_dir(directory) else {
        return;
    };
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|t| t.is_dir()) {
            remove_tree(&entry.path());
        }
    }
    if let Err(error) = fs::remove_dir(directory) {
        tracing::debug!(directory = %directory.display(), %error, "cgroup stays");
    }
}

#[cfg(test)]
#[path = "cgroups_tests.rs"]
mod tests;
