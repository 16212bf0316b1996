//! The figures of one cgroup, of version 1 or 2. What stands where is the kernel's
//! (`Documentation/admin-guide/cgroup-v1`, `cgroup-v2.rst`), what is made of it cAdvisor's.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// Nanoseconds of one tick of `cpuacct.stat`: `USER_HZ` is 100 wherever Linux runs.
const TICK: u64 = 10_000_000;
/// Most files are no longer than this; how long they are the kernel doesn't say.
const USUAL: usize = 4096;
/// And none is longer.
const MOST: u64 = 16 << 20;
/// Limits of version 1 from here on are none: the largest whole number of pages.
const UNLIMITED: u64 = 1 << 62;

/// Reads cgroups by their paths below the mount.
#[derive(Clone, Debug)]
pub struct Reader {
    mount: PathBuf,
    unified: bool,
}

/// Memory in use, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// All that is charged, the page cache included.
    pub usage: u64,
    /// Without the part of the page cache that was not used lately.
    pub working_set: u64,
    /// Anonymous memory.
    pub rss: u64,
    /// Page cache.
    pub cache: u64,
    /// Files mapped into memory.
    pub mapped: u64,
    /// Swap, where the kernel counts it.
    pub swap: Option<u64>,
    /// Page faults, ever.
    pub faults: u64,
    /// Page faults that needed the disk, ever.
    pub major_faults: u64,
}

/// Time on CPUs in nanoseconds, and how often it was refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuDetail {
    /// In user mode.
    pub user: u64,
    /// In the kernel.
    pub system: u64,
    /// Periods of a limit that have passed.
    pub periods: u64,
    /// Those in which it had to wait.
    pub throttled_periods: u64,
    /// How long it had to.
    pub throttled: u64,
}

/// What a cgroup is limited to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Microseconds of a period.
    pub cpu_period: u64,
    /// Microseconds of CPU in it, where that is limited.
    pub cpu_quota: Option<u64>,
    /// Weight towards others, as version 1 says it.
    pub cpu_shares: u64,
    /// Bytes; zero is none, as cAdvisor says it.
    pub memory: u64,
    /// Bytes that are to be left to it when memory is short.
    pub memory_reservation: u64,
    /// Bytes of memory and swap together; zero is none.
    pub swap: u64,
}

/// What went to and from a disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Disk {
    /// `MAJOR:MINOR`.
    pub device: String,
    /// Bytes read.
    pub read_bytes: u64,
    /// Bytes written.
    pub written_bytes: u64,
    /// Reads.
    pub reads: u64,
    /// Writes.
    pub writes: u64,
}

/// Processes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tasks {
    /// Processes, of this cgroup alone.
    pub processes: u64,
    /// Threads.
    pub threads: u64,
    /// How many there may be; zero is any number.
    pub threads_max: u64,
}

impl Reader {
    /// Of the cgroups mounted there.
    pub fn new(mount: &Path) -> Self {
        Self {
            mount: mount.to_owned(),
            unified: mount.join("cgroup.controllers").exists(),
        }
    }

    fn read(&self, controller: &str, path: &str, file: &str) -> Option<String> {
        let mut at = self.mount.clone();
        if !self.unified {
            at.push(controller);
        }
        at.push(path.trim_start_matches('/'));
        at.push(file);
        let mut text = String::with_capacity(USUAL);
        File::open(at)
            .ok()?
            .take(MOST)
            .read_to_string(&mut text)
            .ok()?;
        Some(text)
    }

    fn number(&self, controller: &str, path: &str, file: &str) -> Option<u64> {
        self.read(controller, path, file)?.trim().parse().ok()
    }

    /// Time on CPUs, ever, in nanoseconds.
    pub fn cpu(&self, path: &str) -> Option<u64> {
        if self.unified {
            let micros = value(&self.read("", path, "cpu.stat")?, "usage_usec")?;
            return Some(micros * 1000);
        }
        self.number("cpuacct", path, "cpuacct.usage")
    }

    /// What that was spent on.
    pub fn cpu_detail(&self, path: &str) -> CpuDetail {
        let stat = self.read("cpu", path, "cpu.stat").unwrap_or_default();
        let of = |name| value(&stat, name).unwrap_or(0);
        let (periods, throttled_periods) = (of("nr_periods"), of("nr_throttled"));
        if self.unified {
            return CpuDetail {
                user: of("user_usec") * 1000,
                system: of("system_usec") * 1000,
                periods,
                throttled_periods,
                throttled: of("throttled_usec") * 1000,
            };
        }
        let spent = self.read("cpuacct", path, "cpuacct.stat");
        let spent = spent.unwrap_or_default();
        CpuDetail {
            user: value(&spent, "user").unwrap_or(0) * TICK,
            system: value(&spent, "system").unwrap_or(0) * TICK,
            periods,
            throttled_periods,
            throttled: of("throttled_time"),
        }
    }

    /// Memory, with that of the cgroups below.
    pub fn memory(&self, path: &str) -> Option<Memory> {
        let usage = match self.unified {
            true => self.number("", path, "memory.current")?,
            false => self.number("memory", path, "memory.usage_in_bytes")?,
        };
        let stat = self.read("memory", path, "memory.stat")?;
        let mut memory = memory(usage, &stat);
        if self.unified {
            memory.swap = self.number("", path, "memory.swap.current");
        }
        Some(memory)
    }

    /// Memory of the machine: the root of version 2 is no cgroup that is charged.
    pub fn machine_memory(&self, meminfo: &str) -> Memory {
        let of = |name| value(meminfo, name).unwrap_or(0) * 1024;
        let used = of("MemTotal:").saturating_sub(of("MemFree:"));
        let stat = self.read("memory", "", "memory.stat").unwrap_or_default();
        Memory {
            swap: Some(of("SwapTotal:").saturating_sub(of("SwapFree:"))),
            ..memory(used, &stat)
        }
    }

    /// How often memory was asked for and there was none.
    pub fn memory_failures(&self, path: &str) -> u64 {
        match self.unified {
            true => self
                .read("", path, "memory.events")
                .and_then(|text| value(&text, "max")),
            false => self.number("memory", path, "memory.failcnt"),
        }
        .unwrap_or(0)
    }

    /// How many processes were killed because memory ran out.
    pub fn out_of_memory(&self, path: &str) -> u64 {
        let file = match self.unified {
            true => "memory.events",
            false => "memory.oom_control",
        };
        let text = self.read("memory", path, file);
        text.and_then(|text| value(&text, "oom_kill")).unwrap_or(0)
    }

    /// What it is limited to.
    pub fn limits(&self, path: &str) -> Limits {
        let bytes = |controller, file| {
            let limit = self.number(controller, path, file);
            limit.filter(|bytes| *bytes < UNLIMITED).unwrap_or(0)
        };
        if self.unified {
            let max = self.read("", path, "cpu.max").unwrap_or_default();
            let (quota, period) = max.trim().split_once(' ').unwrap_or_default();
            return Limits {
                cpu_period: period.parse().unwrap_or(0),
                cpu_quota: quota.parse().ok(),
                cpu_shares: self.number("", path, "cpu.weight").map_or(0, shares),
                memory: bytes("", "memory.max"),
                memory_reservation: bytes("", "memory.low"),
                swap: bytes("", "memory.swap.max"),
            };
        }
        Limits {
            cpu_period: self.number("cpu", path, "cpu.cfs_period_us").unwrap_or(0),
            cpu_quota: self.number("cpu", path, "cpu.cfs_quota_us"),
            cpu_shares: self.number("cpu", path, "cpu.shares").unwrap_or(0),
            memory: bytes("memory", "memory.limit_in_bytes"),
            memory_reservation: bytes("memory", "memory.soft_limit_in_bytes"),
            swap: bytes("memory", "memory.memsw.limit_in_bytes"),
        }
    }

    /// Disks that it used.
    pub fn disks(&self, path: &str) -> Vec<Disk> {
        if self.unified {
            return unified_disks(&self.read("", path, "io.stat").unwrap_or_default());
        }
        let text = |file| self.read("blkio", path, file).unwrap_or_default();
        disks(
            &text("blkio.throttle.io_service_bytes"),
            &text("blkio.throttle.io_serviced"),
        )
    }

    /// Its processes and threads.
    pub fn tasks(&self, path: &str) -> Tasks {
        let processes = self.read("memory", path, "cgroup.procs");
        Tasks {
            processes: processes.map_or(0, |text| text.lines().count() as u64),
            threads: self.number("pids", path, "pids.current").unwrap_or(0),
            threads_max: self.number("pids", path, "pids.max").unwrap_or(0),
        }
    }

    /// One of its processes that can be seen from here.
    pub fn process(&self, path: &str) -> Option<i32> {
        let text = self.read("memory", path, "cgroup.procs")?;
        let mut ids = text.lines().filter_map(|line| line.parse().ok());
        // Zero is a process of another namespace.
        ids.find(|pid| *pid > 0)
    }
}

/// The number after a name that begins a line.
fn value(text: &str, name: &str) -> Option<u64> {
    let mut lines = text.lines();
    let rest = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
    rest.split_whitespace().next()?.parse().ok()
}

/// Puts `memory.stat` beside what is charged. Version 1 says of each figure what it is with
/// the cgroups below, under a name that begins with `total_`; version 2 says nothing else.
fn memory(usage: u64, stat: &str) -> Memory {
    let mut memory = Memory {
        usage,
        ..Memory::default()
    };
    let mut inactive = 0;
    for line in stat.lines() {
        let Some((name, number)) = line.split_once(' ') else {
            continue;
        };
        let Ok(number) = number.parse() else {
            continue;
        };
        match name {
            "total_inactive_file" | "inactive_file" => inactive = number,
            "total_rss" | "anon" => memory.rss = number,
            "total_cache" | "file" => memory.cache = number,
            "total_mapped_file" | "file_mapped" => memory.mapped = number,
            "total_swap" => memory.swap = Some(number),
            "total_pgfault" | "pgfault" => memory.faults = number,
            "total_pgmajfault" | "pgmajfault" => memory.major_faults = number,
            _ => {}
        }
    }
    memory.working_set = usage.saturating_sub(inactive);
    memory
}

/// A weight of version 2 as shares of version 1.
fn shares(weight: u64) -> u64 {
    2 + (weight.saturating_sub(1) * 262_142) / 9999
}

/// `8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0`.
fn unified_disks(text: &str) -> Vec<Disk> {
    let disk = |line: &str| {
        let mut words = line.split(' ');
        let device = words.next().filter(|device| device.contains(':'))?;
        let mut disk = Disk {
            device: device.to_owned(),
            ..Disk::default()
        };
        for (name, number) in words.filter_map(|word| word.split_once('=')) {
            let number = number.parse().unwrap_or(0);
            match name {
                "rbytes" => disk.read_bytes = number,
                "wbytes" => disk.written_bytes = number,
                "rios" => disk.reads = number,
                "wios" => disk.writes = number,
                _ => {}
            }
        }
        Some(disk)
    };
    text.lines().filter_map(disk).collect()
}

/// `8:0 Read 1`, and at the end a sum that has no device.
fn disks(bytes: &str, operations: &str) -> Vec<Disk> {
    let mut disks: Vec<Disk> = Vec::new();
    for (text, is_bytes) in [(bytes, true), (operations, false)] {
        for line in text.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            let [device, what, number] = words.as_slice() else {
                continue;
            };
            let at = match disks.iter().position(|disk| disk.device == *device) {
                Some(at) => at,
                None => {
                    disks.push(Disk {
                        device: (*device).to_owned(),
                        ..Disk::default()
                    });
                    disks.len() - 1
                }
            };
            let number = number.parse().unwrap_or(0);
            match (*what, is_bytes) {
                ("Read", true) => disks[at].read_bytes = number,
                ("Write", true) => disks[at].written_bytes = number,
                ("Read", false) => disks[at].reads = number,
                ("Write", false) => disks[at].writes = number,
                _ => {}
            }
        }
    }
    disks
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn write(dir: &Path, files: &[(&str, &str)]) {
        for (file, text) in files {
            let at = dir.join(file);
            fs::create_dir_all(at.parent().unwrap()).unwrap();
            fs::write(at, text).unwrap();
        }
    }

    #[test]
    fn version_1_has_a_hierarchy_for_each_controller() {
        let dir = tempfile::tempdir().unwrap();
        write(
            dir.path(),
            &[
                ("cpuacct/a/cpuacct.usage", "1500000000\n"),
                ("cpuacct/a/cpuacct.stat", "user 120\nsystem 30\n"),
                (
                    "cpu/a/cpu.stat",
                    "nr_periods 5\nnr_throttled 2\nthrottled_time 700\n",
                ),
                ("cpu/a/cpu.cfs_quota_us", "-1\n"),
                ("cpu/a/cpu.cfs_period_us", "100000\n"),
                ("cpu/a/cpu.shares", "102\n"),
                ("memory/a/memory.usage_in_bytes", "1000\n"),
                ("memory/a/memory.limit_in_bytes", "9223372036854771712\n"),
                (
                    "memory/a/memory.stat",
                    "cache 1\nrss 2\ninactive_file 3\npgfault 4\nhierarchical_memory_limit 5\n\
                     total_cache 700\ntotal_rss 200\ntotal_mapped_file 60\ntotal_pgfault 9\n\
                     total_pgmajfault 1\ntotal_inactive_file 300\n",
                ),
                (
                    "memory/a/memory.oom_control",
                    "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n",
                ),
                (
                    "blkio/a/blkio.throttle.io_service_bytes",
                    "8:0 Read 10\n8:0 Write 20\n8:0 Total 30\nTotal 30\n",
                ),
                (
                    "blkio/a/blkio.throttle.io_serviced",
                    "8:0 Read 1\n8:0 Write 2\nTotal 3\n",
                ),
            ],
        );
        let reader = Reader::new(dir.path());
        assert_eq!(reader.cpu("/a"), Some(1_500_000_000));
        let detail = reader.cpu_detail("/a");
        assert_eq!((detail.user, detail.system), (1_200_000_000, 300_000_000));
        assert_eq!((detail.throttled_periods, detail.throttled), (2, 700));
        let memory = reader.memory("/a").unwrap();
        assert_eq!((memory.usage, memory.working_set), (1000, 700));
        assert_eq!((memory.rss, memory.cache, memory.faults), (200, 700, 9));
        assert_eq!(memory.swap, None);
        let limits = reader.limits("/a");
        assert_eq!((limits.cpu_quota, limits.cpu_shares), (None, 102));
        assert_eq!(limits.memory, 0, "none");
        assert_eq!(reader.out_of_memory("/a"), 3);
        let disks = reader.disks("/a");
        assert_eq!(disks.len(), 1);
        assert_eq!((disks[0].read_bytes, disks[0].writes), (10, 2));
        assert_eq!(reader.cpu("/b"), None);
    }

    #[test]
    fn version_2_has_all_in_one() {
        let dir = tempfile::tempdir().unwrap();
        write(
            dir.path(),
            &[
                ("cgroup.controllers", "cpu io memory pids\n"),
                (
                    "a/cpu.stat",
                    "usage_usec 15\nuser_usec 10\nsystem_usec 5\nnr_periods 4\nnr_throttled 1\nthrottled_usec 3\n",
                ),
                ("a/cpu.max", "50000 100000\n"),
                ("a/cpu.weight", "4\n"),
                ("a/memory.current", "1000\n"),
                ("a/memory.max", "2000\n"),
                ("a/memory.swap.current", "7\n"),
                (
                    "a/memory.stat",
                    "anon 400\nfile 500\nfile_mapped 20\ninactive_file 450\npgfault 8\npgmajfault 2\n",
                ),
                (
                    "a/memory.events",
                    "low 0\nhigh 0\nmax 6\noom 1\noom_kill 1\n",
                ),
                (
                    "a/io.stat",
                    "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0\n",
                ),
                ("a/cgroup.procs", "0\n17\n"),
                ("a/pids.current", "3\n"),
                ("a/pids.max", "max\n"),
            ],
        );
        let reader = Reader::new(dir.path());
        assert_eq!(reader.cpu("/a"), Some(15_000));
        assert_eq!(reader.cpu_detail("/a").throttled, 3000);
        let memory = reader.memory("/a").unwrap();
        assert_eq!((memory.working_set, memory.rss), (550, 400));
        assert_eq!((memory.swap, memory.major_faults), (Some(7), 2));
        let limits = reader.limits("/a");
        assert_eq!(
            (limits.cpu_quota, limits.cpu_period),
            (Some(50_000), 100_000)
        );
        assert_eq!((limits.memory, limits.cpu_shares), (2000, 80));
        assert_eq!(reader.memory_failures("/a"), 6);
        assert_eq!(reader.disks("/a")[0].reads, 3);
        assert_eq!(reader.process("/a"), Some(17));
        let tasks = reader.tasks("/a");
        assert_eq!(
            (tasks.processes, tasks.threads, tasks.threads_max),
            (2, 3, 0)
        );
        // The root is not charged.
        assert_eq!(reader.memory(""), None);
        let machine = reader.machine_memory("MemTotal:       100 kB\nMemFree:         40 kB\n");
        assert_eq!(machine.usage, 60 * 1024);
    }
}
