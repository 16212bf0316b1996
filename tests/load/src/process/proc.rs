//! What the kernel says of a process, in the text of `/proc/PID` (proc(5)).

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;
use std::{fs, io};

/// What one process has taken up to a moment, and what it holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Usage {
    /// Time on a processor, in user mode and in the kernel, of all its threads, those that
    /// have ended included. The kernel counts it in hundredths of a second.
    pub cpu: Duration,
    /// Resident memory in bytes (`VmRSS`).
    pub resident: u64,
    /// The part of it that is no file's: heap and stacks (`RssAnon`).
    pub anonymous: u64,
    /// The most that was ever resident (`VmHWM`), since the process began or the peak was
    /// last set back.
    pub peak: u64,
    /// How often each thread that is there has gone to sleep by itself: as often as it was
    /// woken.
    pub sleeps: BTreeMap<u32, u64>,
}

/// Clock ticks in a second, as the kernel counts them for user space on every architecture
/// that hardway is built for (`USER_HZ`).
const TICKS: u64 = 100;

/// Reads what a process has taken.
///
/// # Errors
/// If it isn't there (any more), or the kernel writes something else than proc(5) says.
pub fn usage(pid: u32) -> io::Result<Usage> {
    let folder = Path::new("/proc").join(pid.to_string());
    let stat = fs::read_to_string(folder.join("stat"))?;
    let status = fs::read_to_string(folder.join("status"))?;
    let cpu = cpu_time(&stat).ok_or_else(|| malformed(&folder.join("stat")))?;
    let mut sleeps = BTreeMap::new();
    for thread in fs::read_dir(folder.join("task"))?.flatten() {
        let Some(number) = thread.file_name().to_str().and_then(|n| n.parse().ok()) else {
            continue;
        };
        // A thread may end at any moment.
        if let Ok(status) = fs::read_to_string(thread.path().join("status"))
            && let Some(count) = number_after(&status, "voluntary_ctxt_switches:")
        {
            sleeps.insert(number, count);
        }
    }
    Ok(Usage {
        cpu,
        resident: kibibytes(&status, "VmRSS:"),
        anonymous: kibibytes(&status, "RssAnon:"),
        peak: kibibytes(&status, "VmHWM:"),
        sleeps,
    })
}

/// Sets the peak of resident memory back to what is resident now; whether that was allowed:
/// it is to the same user and to root.
pub fn reset_peak(pid: u32) -> bool {
    fs::write(format!("/proc/{pid}/clear_refs"), "5").is_ok()
}

fn malformed(file: &Path) -> io::Error {
    let text = format!("{} is not what proc(5) says", file.display());
    io::Error::new(io::ErrorKind::InvalidData, text)
}

/// User and system time in a `/proc/PID/stat`. The name of the program, in parentheses, may
/// have spaces and parentheses in it: fields are counted behind the last one.
fn cpu_time(stat: &str) -> Option<Duration> {
    let (_, fields) = stat.rsplit_once(')')?;
    // utime and stime are the fields 14 and 15; the first one behind the name is number 3.
    let mut fields = fields.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(Duration::from_millis((user + system) * (1000 / TICKS)))
}

/// The parent's number in a `/proc/PID/stat`: the second field behind the name.
pub fn parent(stat: &str) -> Option<u32> {
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_ascii_whitespace().nth(1)?.parse().ok()
}

fn number_after(status: &str, key: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(key))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

/// An amount of memory in bytes; a process of the kernel, or one that has ended, has none.
fn kibibytes(status: &str, key: &str) -> u64 {
    number_after(status, key).unwrap_or(0) * 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_found_behind_any_name() {
        let stat = "4242 (a) b (c) S 1 4242 4242 0 -1 4194560 100 0 0 0 150 50 7 7 20 0 5 0";
        assert_eq!(cpu_time(stat), Some(Duration::from_secs(2)));
        assert_eq!(parent(stat), Some(1));
        assert_eq!(cpu_time("4242 (x) S 1"), None);
        assert_eq!(cpu_time(""), None);
    }

    #[test]
    fn memory_is_in_bytes_and_lines_that_begin_alike_are_told_apart() {
        let status = "Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\nRssAnon:\t 512 kB\n\
                      nonvoluntary_ctxt_switches:\t9\nvoluntary_ctxt_switches:\t7\n";
        assert_eq!(kibibytes(status, "VmHWM:"), 2 << 20);
        assert_eq!(kibibytes(status, "RssAnon:"), 512 << 10);
        assert_eq!(number_after(status, "voluntary_ctxt_switches:"), Some(7));
        assert_eq!(kibibytes("Name:\tkthreadd\n", "VmRSS:"), 0);
    }

    #[test]
    fn work_and_memory_of_this_process_are_seen() {
        let own = std::process::id();
        let before = usage(own).unwrap();
        assert!(before.resident > 0 && before.peak >= before.resident);
        assert!(before.anonymous <= before.resident);
        let begun = std::time::Instant::now();
        let mut sum = 0_u64;
        while begun.elapsed() < Duration::from_millis(200) {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        let after = usage(own).unwrap();
        assert!(after.cpu > before.cpu, "{before:?} {after:?}");
    }

    #[test]
    fn who_is_not_there_is_an_error() {
        // Above the largest number that Linux gives (PID_MAX_LIMIT).
        assert_eq!(usage(1 << 23).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
