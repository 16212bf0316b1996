//! What this machine is and has.

use std::fs;
use std::path::Path;

/// Facts that don't change while the machine runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    /// Cores.
    pub cpus: usize,
    /// Bytes of memory.
    pub memory: i64,
    /// `/etc/machine-id`.
    pub machine_id: String,
    /// The firmware's UUID.
    pub system_uuid: String,
    /// Changes with every boot.
    pub boot_id: String,
    /// Kernel release.
    pub kernel: String,
    /// Name and version of the distribution.
    pub os_image: String,
    /// As Go names it.
    pub architecture: &'static str,
}

fn read(path: &str) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.trim().to_owned()
}

impl Machine {
    /// Looks at the machine.
    pub fn look() -> Self {
        let machine_id = read("/etc/machine-id");
        let uuid = read("/sys/class/dmi/id/product_uuid");
        Self {
            cpus: std::thread::available_parallelism().map_or(1, usize::from),
            memory: meminfo(&read("/proc/meminfo"), "MemTotal"),
            system_uuid: if uuid.is_empty() {
                machine_id.clone()
            } else {
                uuid
            },
            machine_id,
            boot_id: read("/proc/sys/kernel/random/boot_id"),
            kernel: read("/proc/sys/kernel/osrelease"),
            os_image: os_image(&read("/etc/os-release")),
            architecture: match std::env::consts::ARCH {
                "x86_64" => "amd64",
                "aarch64" => "arm64",
                other => other,
            },
        }
    }
}

/// A line of `/proc/meminfo`, in bytes.
fn meminfo(text: &str, field: &str) -> i64 {
    let line = text.lines().find_map(|line| {
        let rest = line.strip_prefix(field)?.strip_prefix(':')?;
        rest.split_whitespace().next()?.parse::<i64>().ok()
    });
    line.unwrap_or(0) * 1024
}

fn os_image(release: &str) -> String {
    let value = |name: &str| {
        let line = release.lines().find_map(|l| l.strip_prefix(name))?;
        Some(line.trim_matches('"').to_owned())
    };
    value("PRETTY_NAME=").unwrap_or_else(|| "Linux".to_owned())
}

/// What is free now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Bytes of memory that are free, or hold pages of files that nobody has used lately.
    pub memory_available: i64,
    /// Bytes of the disk.
    pub disk: u64,
    /// Bytes of it that are free for others than root.
    pub disk_free: u64,
    /// Bytes of it that are in use. What is kept for root is neither free nor in use.
    pub disk_used: u64,
    /// Inodes of the disk, and how many are free.
    pub inodes: u64,
    /// Free ones.
    pub inodes_free: u64,
    /// Processes there may be, and are.
    pub pids_max: u64,
    /// Running ones.
    pub pids: u64,
}

impl Usage {
    /// Looks at memory, processes and the disk that holds a directory.
    pub fn look(root: &Path) -> Self {
        let disk = nix::sys::statvfs::statvfs(root).ok();
        let figure = |f: fn(&nix::sys::statvfs::Statvfs) -> u64| disk.as_ref().map_or(0, f);
        let load = read("/proc/loadavg");
        let pids = load
            .split_whitespace()
            .nth(3)
            .and_then(|s| s.split_once('/')?.1.parse().ok());
        let memory = read("/proc/meminfo");
        let threads: u64 = read("/proc/sys/kernel/threads-max")
            .parse()
            .unwrap_or(u64::MAX);
        let numbers: u64 = read("/proc/sys/kernel/pid_max").parse().unwrap_or(u64::MAX);
        Self {
            memory_available: meminfo(&memory, "MemFree") + meminfo(&memory, "Inactive(file)"),
            disk: figure(|d| d.blocks() * d.fragment_size()),
            disk_free: figure(|d| d.blocks_available() * d.fragment_size()),
            disk_used: figure(|d| d.blocks().saturating_sub(d.blocks_free()) * d.fragment_size()),
            inodes: figure(nix::sys::statvfs::Statvfs::files),
            inodes_free: figure(nix::sys::statvfs::Statvfs::files_free),
            pids_max: numbers.min(threads),
            pids: pids.unwrap_or(0),
        }
    }
}

/// Huge pages by size: resource name and bytes.
pub fn huge_pages() -> Vec<(String, i64)> {
    let entries = fs::read_dir("/sys/kernel/mm/hugepages");
    let mut list = Vec::new();
    for entry in entries.into_iter().flatten().flatten() {
        let name = entry.file_name();
        let kilobytes = name.to_str().and_then(|n| {
            n.strip_prefix("hugepages-")?
                .strip_suffix("kB")?
                .parse()
                .ok()
        });
        let Some(kilobytes): Option<i64> = kilobytes else {
            continue;
        };
        let count = fs::read_to_string(entry.path().join("nr_hugepages"));
        let count: i64 = count.ok().and_then(|c| c.trim().parse().ok()).unwrap_or(0);
        let size = match kilobytes {
            k if k % (1 << 20) == 0 => format!("{}Gi", k >> 20),
            k if k % (1 << 10) == 0 => format!("{}Mi", k >> 10),
            k => format!("{k}Ki"),
        };
        list.push((format!("hugepages-{size}"), count * kilobytes * 1024));
    }
    list.sort();
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_proc_and_etc_are_read() {
        let text = "MemTotal:        2048 kB\nMemAvailable:    1024 kB\n";
        assert_eq!(meminfo(text, "MemAvailable"), 1 << 20);
        assert_eq!(os_image("PRETTY_NAME=\"Debian 12\"\n"), "Debian 12");
        assert!(Usage::look(Path::new("/")).disk > 0);
    }
}
