//! What a workload costs the processes that do the work: CPU, wake-ups and memory, read from
//! `/proc` before and after it. Only processes of this machine can be watched.

mod find;
mod proc;

pub use find::{FindError, beneath};

use proc::Usage;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Instant;

/// A process whose costs are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watched {
    /// What it is called in reports, such as `apiserver`.
    pub name: String,
    /// Its number.
    pub pid: u32,
}

/// Text that names no process.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no NAME=PID such as apiserver=4242")]
pub struct WatchedError(String);

impl FromStr for Watched {
    type Err = WatchedError;

    fn from_str(text: &str) -> Result<Self, WatchedError> {
        let parts = text.split_once('=');
        let parts = parts.filter(|(name, _)| !name.is_empty());
        let parsed = parts.and_then(|(name, pid)| Some((name, pid.parse().ok()?)));
        match parsed {
            Some((name, pid)) if pid > 0 => Ok(Self {
                name: name.to_owned(),
                pid,
            }),
            _ => Err(WatchedError(text.to_owned())),
        }
    }
}

/// What a process took over a time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// Which one.
    pub process: String,
    /// The time between both looks, in seconds.
    pub seconds: f64,
    /// Seconds on a processor.
    pub cpu_seconds: f64,
    /// How often its threads were woken.
    pub wakeups: u64,
    /// Bytes resident at the end.
    pub resident: u64,
    /// Those of them that are heap and stacks.
    pub anonymous: u64,
    /// The most bytes resident in that time; since the process began, if it is another
    /// user's.
    pub peak: u64,
}

impl Cost {
    /// Seconds on a processor for each of so many operations; nothing for none.
    pub fn cpu_per(&self, operations: u64) -> Option<f64> {
        (operations > 0).then(|| self.cpu_seconds / operations as f64)
    }

    /// The share of one processor, 1.0 being all of it.
    pub fn cpu_share(&self) -> f64 {
        self.cpu_seconds / self.seconds.max(f64::MIN_POSITIVE)
    }

    /// Wake-ups in a second.
    pub fn wakeups_per_second(&self) -> f64 {
        self.wakeups as f64 / self.seconds.max(f64::MIN_POSITIVE)
    }
}

/// Looks at the same processes again and again.
#[derive(Debug, Clone, Default)]
pub struct Sampler {
    watched: Vec<Watched>,
}

/// What the processes had taken at a moment. One that has ended isn't in it.
#[derive(Debug, Clone)]
pub struct Snapshot {
    at: Instant,
    usages: BTreeMap<u32, (String, Usage)>,
}

impl Sampler {
    /// Watches these. Of several with one name the later ones get numbers: `kubelet`,
    /// `kubelet-2`.
    pub fn new(watched: Vec<Watched>) -> Self {
        let mut times = BTreeMap::new();
        let mut watched = watched;
        for process in &mut watched {
            let count = times.entry(process.name.clone()).or_insert(0_u32);
            *count += 1;
            if *count > 1 {
                process.name = format!("{}-{count}", process.name);
            }
        }
        Self { watched }
    }

    /// Those that are watched.
    pub fn watched(&self) -> &[Watched] {
        &self.watched
    }

    /// Looks at them, and has their peaks of memory begin anew.
    pub fn take(&self) -> Snapshot {
        let seen = self.watched.iter().filter_map(|process| {
            let usage = proc::usage(process.pid).ok()?;
            proc::reset_peak(process.pid);
            Some((process.pid, (process.name.clone(), usage)))
        });
        Snapshot {
            at: Instant::now(),
            usages: seen.collect(),
        }
    }
}

impl Snapshot {
    /// What was taken between `before` and this. A process that was there at only one of both
    /// moments is left out: nobody knows what it took.
    pub fn since(&self, before: &Snapshot) -> Vec<Cost> {
        let seconds = self.at.duration_since(before.at).as_secs_f64();
        let both = self.usages.iter().filter_map(|(pid, (name, now))| {
            let (_, then) = before.usages.get(pid)?;
            Some(cost(name, seconds, then, now))
        });
        both.collect()
    }

    /// What was taken in all, by processes that were started then.
    pub fn since_start(&self, began: Instant) -> Vec<Cost> {
        let seconds = self.at.duration_since(began).as_secs_f64();
        let all = self.usages.values();
        all.map(|(name, now)| cost(name, seconds, &Usage::default(), now))
            .collect()
    }
}

fn cost(name: &str, seconds: f64, then: &Usage, now: &Usage) -> Cost {
    let slept = now.sleeps.iter().map(|(thread, count)| {
        let before = then.sleeps.get(thread).copied().unwrap_or(0);
        count.saturating_sub(before)
    });
    Cost {
        process: name.to_owned(),
        seconds,
        cpu_seconds: now.cpu.saturating_sub(then.cpu).as_secs_f64(),
        wakeups: slept.sum(),
        resident: now.resident,
        anonymous: now.anonymous,
        peak: now.peak,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn names_and_numbers_are_read() {
        let watched = Watched {
            name: "apiserver".into(),
            pid: 7,
        };
        assert_eq!("apiserver=7".parse(), Ok(watched));
        for wrong in ["", "apiserver", "=7", "apiserver=", "a=-1", "a=0", "7"] {
            let parsed: Result<Watched, _> = wrong.parse();
            assert_eq!(parsed, Err(WatchedError(wrong.into())));
        }
    }

    #[test]
    fn what_new_threads_slept_counts_from_their_beginning() {
        let then = Usage {
            cpu: Duration::from_millis(500),
            sleeps: [(1, 10), (2, 20)].into(),
            ..Usage::default()
        };
        let now = Usage {
            cpu: Duration::from_millis(1500),
            resident: 3,
            anonymous: 2,
            peak: 4,
            // Thread 2 has ended, 3 has begun.
            sleeps: [(1, 15), (3, 4)].into(),
        };
        let cost = cost("x", 2.0, &then, &now);
        assert_eq!((cost.cpu_seconds, cost.wakeups), (1.0, 9));
        assert_eq!((cost.resident, cost.anonymous, cost.peak), (3, 2, 4));
        assert_eq!((cost.cpu_per(4), cost.cpu_per(0)), (Some(0.25), None));
        assert_eq!((cost.cpu_share(), cost.wakeups_per_second()), (0.5, 4.5));
    }

    #[test]
    fn who_was_not_there_before_is_left_out() {
        let own = |name: &str| Watched {
            name: name.into(),
            pid: std::process::id(),
        };
        let nobody = Sampler::default().take();
        let sampler = Sampler::new(vec![own("test")]);
        let before = sampler.take();
        assert_eq!(before.since(&nobody), []);
        let costs = sampler.take().since(&before);
        assert_eq!(costs.len(), 1);
        assert!(costs[0].resident > 0 && costs[0].process == "test");
    }

    #[test]
    fn several_of_one_name_are_numbered() {
        let watched = |pid| Watched {
            name: "kubelet".into(),
            pid,
        };
        let sampler = Sampler::new(vec![watched(1), watched(2)]);
        let names: Vec<_> = sampler.watched().iter().map(|w| w.name.as_str()).collect();
        assert_eq!(names, ["kubelet", "kubelet-2"]);
    }
}
