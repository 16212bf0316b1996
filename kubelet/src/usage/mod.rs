//! What the node, its pods and their containers use: read from their cgroups when somebody
//! asks, without a round of their own and without having the runtime look at each.

pub mod cgroup;
pub mod exposition;
pub mod inventory;
pub mod network;
mod rates;

use crate::cgroups::Cgroups;
use crate::cri::{self, Runtime};
use cgroup::{Memory, Reader};
use inventory::{Entry, PodEntry};
use jiff::Timestamp;
use rates::Rates;
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::sync::Arc;

/// Measures. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Meter {
    /// Reads cgroups.
    pub reader: Reader,
    /// The node's cgroup: empty for the root, which is the whole machine.
    pub root: String,
    cgroups: Cgroups,
    rates: Arc<Rates>,
}

/// CPU and memory at one time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// When, in nanoseconds since the epoch.
    pub at: i64,
    /// Nanoseconds of CPU, ever.
    pub cpu: Option<u64>,
    /// Nanoseconds of CPU in a second, of late.
    pub cpu_rate: Option<u64>,
    /// Memory.
    pub memory: Option<Memory>,
}

/// A pod's figures.
#[derive(Clone, Debug, Default)]
pub struct PodFigures {
    /// Whose.
    pub pod: PodEntry,
    /// All of it.
    pub all: Figures,
    /// Each container of it, in the pod's order.
    pub containers: Vec<Figures>,
}

/// A node's.
#[derive(Clone, Debug, Default)]
pub struct NodeFigures {
    /// All of it.
    pub node: Figures,
    /// Its pods.
    pub pods: Vec<PodFigures>,
}

impl Meter {
    /// Of the pods in these cgroups.
    pub fn new(cgroups: &Cgroups) -> Self {
        Self {
            reader: Reader::new(cgroups.mount()),
            root: cgroups.root().to_owned(),
            cgroups: cgroups.clone(),
            rates: Arc::default(),
        }
    }

    /// The pods that run, and their cgroups.
    ///
    /// # Errors
    /// If the runtime can't be asked.
    pub async fn inventory(&self, runtime: &dyn Runtime) -> Result<Vec<PodEntry>, cri::Error> {
        let sandboxes = runtime.list_sandboxes(BTreeMap::new());
        let containers = runtime.list_containers(BTreeMap::new());
        let (sandboxes, containers) = tokio::try_join!(sandboxes, containers)?;
        let paths: HashMap<String, String> = self.cgroups.paths();
        Ok(inventory::pods(&paths, sandboxes, containers))
    }

    /// Reads CPU and memory of all of them. Blocks for as long as the kernel takes, some
    /// milliseconds for a full node.
    pub fn figures(&self, pods: Vec<PodEntry>) -> NodeFigures {
        let node = self.node();
        let of_pod = |pod: PodEntry| PodFigures {
            all: self.of(&pod.path),
            containers: pod.containers.iter().map(|c| self.of(&c.path)).collect(),
            pod,
        };
        let pods = pods.into_iter().map(of_pod).collect();
        NodeFigures { node, pods }
    }

    /// CPU and memory of one cgroup.
    pub fn of(&self, path: &str) -> Figures {
        let at = now();
        let cpu = self.reader.cpu(path);
        Figures {
            at,
            cpu,
            cpu_rate: cpu.and_then(|cpu| self.rates.sample(path, at, cpu)),
            memory: self.reader.memory(path),
        }
    }

    /// Those of the node. Whoever asks for any asks for these, so that this is when what is
    /// remembered of cgroups that are gone is forgotten.
    pub fn node(&self) -> Figures {
        let mut figures = self.of(&self.root);
        self.rates.sweep(figures.at);
        if figures.memory.is_none() && self.root.is_empty() {
            let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
            figures.memory = Some(self.reader.machine_memory(&meminfo));
        }
        figures
    }

    /// What went over a pod's own network.
    pub fn network(&self, sandbox: &Entry) -> Vec<network::Interface> {
        let process = self.reader.process(&sandbox.path);
        process.map(network::of_process).unwrap_or_default()
    }
}

/// Nanoseconds since the epoch.
fn now() -> i64 {
    i64::try_from(Timestamp::now().as_nanosecond()).unwrap_or(i64::MAX)
}
