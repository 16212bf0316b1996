//! What is done to the processes, and the supervisor that starts them again.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use hardway_tests::{Lab, within};

use hardway_tests::dice::Dice;

/// The longest that a process stands still. Leaders lose their leases meanwhile, nodes
/// don't become NotReady.
const LONGEST: usize = 20;
/// A process that depends on another may need it to be back.
const PATIENCE: Duration = Duration::from_secs(120);

/// How often what happened to whom.
#[derive(Debug, Default)]
pub struct Tally {
    counts: BTreeMap<String, [usize; 3]>,
    /// How long the slowest took to be well again.
    slowest: (Duration, String),
}

impl Tally {
    /// Kills, stops, and ends by itself, of all processes.
    pub fn sums(&self) -> [usize; 3] {
        let mut sums = [0; 3];
        for counts in self.counts.values() {
            for (sum, count) in sums.iter_mut().zip(counts) {
                *sum += count;
            }
        }
        sums
    }

    fn note(&mut self, process: &str, what: usize) {
        self.counts.entry(process.to_owned()).or_default()[what] += 1;
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (process, [kills, stops, ends]) in &self.counts {
            writeln!(
                f,
                "  {process:28} {kills:3} kills {stops:3} stops {ends:3} ends by itself"
            )?;
        }
        let (time, process) = &self.slowest;
        write!(f, "  slowest back: {process} after {time:.1?}")
    }
}

/// Every process of the lab, as PROCESS@HOST.
pub fn processes(lab: &Lab) -> Vec<String> {
    let name = |process: &str, host: &str| format!("{process}@{host}");
    let control_plane = [
        "etcd",
        "registry",
        "apiserver",
        "controller-manager",
        "scheduler",
    ];
    let agents = ["containerd", "kubelet", "proxy", "flannel-lite"];
    let mut all: Vec<String> = control_plane
        .iter()
        .map(|process| name(process, "control-plane"))
        .collect();
    for worker in lab.workers() {
        all.extend(agents.iter().map(|process| name(process, &worker.name)));
    }
    all
}

/// Kills a process or lets it stand still for a while, and has it well again.
pub fn harm(lab: &Lab, process: &str, dice: &mut Dice, tally: &mut Tally) {
    if dice.below(3) < 2 {
        lab.tool(&format!("kill {process}"));
        tally.note(process, 0);
        std::thread::sleep(Duration::from_millis(100 * dice.below(20) as u64));
    } else if lab.try_tool(&format!("suspend {process}")).success {
        tally.note(process, 1);
        std::thread::sleep(Duration::from_secs(1 + dice.below(LONGEST) as u64));
        // It may have been ended by somebody who waited for it.
        drop(lab.try_tool(&format!("resume {process}")));
    }
    let start = Instant::now();
    supervise(lab, tally);
    within(PATIENCE, &format!("{process} is well again"), || {
        lab.try_tool(&format!("start {process}")).ok()
    });
    if start.elapsed() > tally.slowest.0 {
        tally.slowest = (start.elapsed(), process.to_owned());
    }
}

/// Starts what has ended by itself, as a supervisor would.
pub fn supervise(lab: &Lab, tally: &mut Tally) {
    let status = lab.try_tool("status");
    for line in status.stdout.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        if let [host, process, "-", _, _, how @ ..] = words.as_slice()
            && how.join(" ") != "killed by SIGKILL"
        {
            let process = format!("{process}@{host}");
            tally.note(&process, 2);
            crate::report(&format!("{process} ended by itself: {}", how.join(" ")));
            drop(lab.try_tool(&format!("start {process}")));
        }
    }
}
