//! How much room etcd has, whether it has raised an alarm, whether it should be defragmented,
//! and whether its disk is fast enough.

use serde_json::Value;

use super::Line;
use crate::etcd::maintenance::metric;

/// Of its quota; the apiserver tells of it from here on.
const TIGHT: f64 = 0.8;
/// From here on the apiserver lets nothing grow.
const FULL: f64 = 0.95;
/// Of the file; below this there is more to win than a defragmentation costs.
const USED: f64 = 0.5;
/// A file smaller than this is not worth it.
const SMALL: f64 = 100.0 * 1024.0 * 1024.0;
/// 99 of 100 writes of the log should be on the disk within so many seconds, as etcd's
/// documentation has it ("Hardware recommendations", "Disks").
const PROMPT: f64 = 0.010;
/// At this the members take each other for dead: heartbeats wait for the disk.
const SLOW: f64 = 0.1;
/// Of fewer writes nothing can be said.
const ENOUGH: f64 = 100.0;

const DEFRAGMENT: &str = "hardway etcd defrag";
const RECOVER: &str = "hardway etcd recover-space";

/// From its metrics, and its answer to `POST /v3/maintenance/alarm`.
pub fn check(metrics: &str, alarms: Option<&Value>) -> Vec<Line> {
    let number = |name: &str| metric(metrics, name);
    let size = number("etcd_mvcc_db_total_size_in_bytes");
    let used = number("etcd_mvcc_db_total_size_in_use_in_bytes");
    let quota = number("etcd_server_quota_backend_bytes");
    let mut all = vec![space(size, used, quota)];
    if let (Some(size), Some(used)) = (size, used) {
        all.push(fragments(size, used));
    }
    if let Some(has_leader) = number("etcd_server_has_leader") {
        all.push(match has_leader > 0.0 {
            true => Line::good("etcd leader", "there is one"),
            false => Line::bad(
                "etcd leader",
                "there is none: nothing can be written",
                "see that most of its members run",
            ),
        });
    }
    all.extend(disk(metrics));
    all.push(alarm(alarms));
    all
}

fn mebibytes(bytes: f64) -> String {
    format!("{:.0} MiB", bytes / 1024.0 / 1024.0)
}

fn space(size: Option<f64>, used: Option<f64>, quota: Option<f64>) -> Line {
    let (Some(size), Some(quota)) = (size, quota) else {
        return Line::unknown(
            "etcd space",
            "its metrics don't say",
            "hardway etcd members",
        );
    };
    let used = used.unwrap_or(size);
    let says = format!(
        "{} of {} in use, a file of {}",
        mebibytes(used),
        mebibytes(quota),
        mebibytes(size)
    );
    let way_out = format!(
        "delete what is not needed, then  {RECOVER};  or raise --quota-backend-bytes in /etc/default/hardway-etcd"
    );
    match (used / quota, size / quota) {
        (used, size) if used >= FULL || size >= 1.0 => Line::bad("etcd space", says, way_out),
        (used, size) if used >= TIGHT || size >= TIGHT => {
            Line::warning("etcd space", says, way_out)
        }
        _ => Line::good("etcd space", says),
    }
}

/// How long the disk takes for what etcd must have on it before it answers.
fn disk(metrics: &str) -> Option<Line> {
    let name = "etcd_disk_wal_fsync_duration_seconds";
    let slowest = quantile(metrics, name, 0.99)?;
    let says = match slowest.is_finite() {
        true => format!(
            "99% of its writes are there within {:.0} ms",
            slowest * 1000.0
        ),
        false => "more than one of 100 writes takes longer than it measures".to_owned(),
    };
    let way_out =
        "etcd needs a disk of its own, of flash: see what else writes to it, with  iostat -x 1";
    Some(match slowest {
        slowest if slowest > SLOW => Line::bad("etcd disk", says, way_out),
        slowest if slowest > PROMPT => Line::warning("etcd disk", says, way_out),
        _ => Line::good("etcd disk", says),
    })
}

/// The upper bound of a share of what a histogram counted since its process began; none of few.
fn quantile(metrics: &str, name: &str, share: f64) -> Option<f64> {
    let prefix = format!("{name}_bucket{{le=\"");
    let buckets = metrics.lines().filter_map(|line| {
        let (bound, count) = line.strip_prefix(&prefix)?.split_once("\"} ")?;
        let bound = match bound {
            "+Inf" => f64::INFINITY,
            bound => bound.parse().ok()?,
        };
        Some((bound, count.trim().parse::<f64>().ok()?))
    });
    let buckets: Vec<(f64, f64)> = buckets.collect();
    let all = buckets.last()?.1;
    if all < ENOUGH {
        return None;
    }
    let found = buckets.iter().find(|(_, count)| *count >= all * share);
    found.map(|(bound, _)| *bound)
}

fn fragments(size: f64, used: f64) -> Line {
    let says = format!("{} of {} in use", mebibytes(used), mebibytes(size));
    match size > SMALL && used / size < USED {
        true => Line::warning("etcd fragments", says, DEFRAGMENT),
        false => Line::good("etcd fragments", says),
    }
}

fn alarm(answer: Option<&Value>) -> Line {
    let Some(answer) = answer else {
        return Line::unknown("etcd alarms", "it doesn't say", "hardway etcd members");
    };
    let all = answer["alarms"].as_array().into_iter().flatten();
    let names: Vec<&str> = all.filter_map(|it| it["alarm"].as_str()).collect();
    match names.as_slice() {
        [] => Line::good("etcd alarms", "none"),
        names => Line::bad(
            "etcd alarms",
            format!("{}: nothing but deletions is done", names.join(", ")),
            format!(
                "NOSPACE:  {RECOVER};  CORRUPT: have the member leave and join again (hardway etcd remove), or  hardway restore"
            ),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;
    use serde_json::json;

    #[test]
    fn room_fragments_and_alarms_are_told() {
        let metrics = |size: f64, used: f64| {
            format!(
                "# TYPE etcd_mvcc_db_total_size_in_bytes gauge\netcd_mvcc_db_total_size_in_bytes {size:e}\n\
                 etcd_mvcc_db_total_size_in_use_in_bytes {used}\netcd_server_quota_backend_bytes 2.147483648e+09\n\
                 etcd_server_has_leader 1\n"
            )
        };
        let states = |text: &str, alarms: Value| {
            check(text, Some(&alarms))
                .iter()
                .map(|it| it.state)
                .collect::<Vec<_>>()
        };
        let well = [State::Good, State::Good, State::Good, State::Good];
        assert_eq!(states(&metrics(2e7, 1e7), json!({})), well);
        let full = states(
            &metrics(2.2e9, 1e8),
            json!({"alarms": [{"memberID": "1", "alarm": "NOSPACE"}]}),
        );
        assert_eq!(full, [State::Bad, State::Warning, State::Good, State::Bad]);
        assert_eq!(check("", None)[0].state, State::Unknown);
        // What the file has beside what is in use would be given back.
        let fragmented = check(&metrics(1.9e9, 1e8), None);
        assert_eq!(fragmented[0].state, State::Warning);
        let used = check(&metrics(2.1e9, 2.1e9), None);
        assert_eq!(used[0].state, State::Bad);
    }

    #[test]
    fn a_slow_disk_is_told() {
        let metrics = |fast: u32, slow: u32| {
            let name = "etcd_disk_wal_fsync_duration_seconds_bucket";
            format!(
                "{name}{{le=\"0.008\"}} {fast}\n{name}{{le=\"0.064\"}} {}\n{name}{{le=\"+Inf\"}} {}\n",
                fast + slow,
                fast + slow
            )
        };
        let state = |fast, slow| disk(&metrics(fast, slow)).map(|line| line.state);
        assert_eq!(state(1000, 5), Some(State::Good));
        assert_eq!(state(1000, 50), Some(State::Warning));
        assert_eq!(state(10, 50), None, "too few to tell");
        let hanging = "etcd_disk_wal_fsync_duration_seconds_bucket{le=\"+Inf\"} 200\n";
        assert_eq!(disk(hanging).map(|line| line.state), Some(State::Bad));
    }
}
