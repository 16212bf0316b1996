//! Room on disks, and the clock.

use super::Line;
use super::facts::Facts;

/// From here on the kubelet removes images, and soon evicts pods.
const TIGHT: u64 = 85;
/// From here on things fail.
const FULL: u64 = 95;
/// Tokens and certificates bear that much.
const APART: u64 = 5;

/// Of each file system that a cluster writes to.
pub fn disks(facts: &Facts) -> Vec<Line> {
    let mut all: Vec<Line> = Vec::new();
    for (section, what) in [("disk", "disk"), ("inodes", "inodes")] {
        let mut rows: Vec<(String, u64)> = facts
            .lines(section)
            .iter()
            .filter_map(|it| row(it))
            .collect();
        rows.dedup();
        let Some((place, used)) = rows.iter().max_by_key(|(_, used)| *used) else {
            all.push(Line::unknown(what, "can't be read", "df -P"));
            continue;
        };
        let says = format!("{used}% used of the one with {place}");
        let way_out =
            "make room: remove what is not needed, unused images first (hardway image ls, rm)";
        all.push(match *used {
            FULL.. => Line::bad(what, says, way_out),
            TIGHT.. => Line::warning(what, says, way_out),
            _ => Line::good(what, says),
        });
    }
    all
}

/// Where it is mounted, and how many percent are used.
fn row(line: &str) -> Option<(String, u64)> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let used = words.get(4)?.strip_suffix('%')?.parse().ok()?;
    Some((words.get(5)?.to_string(), used))
}

/// Whether a clock is kept right, and agrees with the one of who asks; a clock of the same
/// kernel does by itself.
pub fn clock(facts: &Facts, now: u64) -> Line {
    let Some(theirs) = facts.first("clock").and_then(|it| it.parse::<u64>().ok()) else {
        return Line::unknown("clock", "can't be read", "date");
    };
    let apart = theirs.abs_diff(now);
    if apart > APART {
        let says = format!("{apart} s apart: certificates and tokens go by it");
        return Line::bad(
            "clock",
            says,
            "set it, and have it kept:  apt-get install systemd-timesyncd",
        );
    }
    match facts.first("synchronized") {
        Some("no") => Line::warning(
            "clock",
            "right, but nothing keeps it so",
            "apt-get install systemd-timesyncd",
        ),
        _ => Line::good("clock", "right"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    #[test]
    fn the_fullest_disk_is_told() {
        let facts = |used: &str| {
            Facts::parse(&format!(
                "[disk]\nFilesystem 1024-blocks Used Available Capacity Mounted on\n/dev/vda 100 1 99 10% /\n\
                 /dev/vdb 100 1 99 {used} /var/lib/etcd\n[inodes]\n/dev/vda 100 1 99 1% /\n"
            ))
        };
        let states = |used| {
            disks(&facts(used))
                .iter()
                .map(|it| it.state)
                .collect::<Vec<_>>()
        };
        assert_eq!(states("20%"), [State::Good, State::Good]);
        assert_eq!(states("90%")[0], State::Warning);
        assert_eq!(states("99%")[0], State::Bad);
        assert!(disks(&facts("99%"))[0].says.contains("/var/lib/etcd"));
    }

    #[test]
    fn clocks_that_are_apart_are_told() {
        let facts = |kept: &str| Facts::parse(&format!("[clock]\n1000\n[synchronized]\n{kept}\n"));
        assert_eq!(clock(&facts("yes"), 1002).state, State::Good);
        assert_eq!(clock(&facts("no"), 1002).state, State::Warning);
        assert_eq!(clock(&facts("yes"), 1900).state, State::Bad);
        assert_eq!(clock(&Facts::default(), 0).state, State::Unknown);
    }
}
