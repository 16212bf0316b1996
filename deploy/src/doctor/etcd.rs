//! How much room etcd has, whether it has raised an alarm, and whether it should be
//! defragmented.

use serde_json::Value;

use super::Line;

/// Of its quota; when it is full, nothing can be written.
const TIGHT: f64 = 0.8;
/// Of the file; below this there is more to win than a defragmentation costs.
const USED: f64 = 0.5;
/// A file smaller than this is not worth it.
const SMALL: f64 = 100.0 * 1024.0 * 1024.0;

const DEFRAGMENT: &str = "etcdctl defrag (it answers nobody meanwhile)";

/// From its metrics, and its answer to `POST /v3/maintenance/alarm`.
pub fn check(metrics: &str, alarms: Option<&Value>) -> Vec<Line> {
    let number = |name: &str| {
        let mut lines = metrics.lines();
        lines.find_map(|line| {
            line.strip_prefix(name)?
                .strip_prefix(' ')?
                .trim()
                .parse::<f64>()
                .ok()
        })
    };
    let size = number("etcd_mvcc_db_total_size_in_bytes");
    let used = number("etcd_mvcc_db_total_size_in_use_in_bytes");
    let quota = number("etcd_server_quota_backend_bytes");
    let mut all = vec![space(size, quota)];
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
    all.push(alarm(alarms));
    all
}

fn mebibytes(bytes: f64) -> String {
    format!("{:.0} MiB", bytes / 1024.0 / 1024.0)
}

fn space(size: Option<f64>, quota: Option<f64>) -> Line {
    let (Some(size), Some(quota)) = (size, quota) else {
        return Line::unknown(
            "etcd space",
            "its metrics don't say",
            "etcdctl endpoint status",
        );
    };
    let says = format!("{} of {}", mebibytes(size), mebibytes(quota));
    match size / quota {
        share if share >= 1.0 => Line::bad(
            "etcd space",
            says,
            format!("compact it, then {DEFRAGMENT}, then  etcdctl alarm disarm"),
        ),
        share if share >= TIGHT => Line::warning(
            "etcd space",
            says,
            format!("{DEFRAGMENT}, or raise --quota-backend-bytes"),
        ),
        _ => Line::good("etcd space", says),
    }
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
        return Line::unknown("etcd alarms", "it doesn't say", "etcdctl alarm list");
    };
    let all = answer["alarms"].as_array().into_iter().flatten();
    let names: Vec<&str> = all.filter_map(|it| it["alarm"].as_str()).collect();
    match names.as_slice() {
        [] => Line::good("etcd alarms", "none"),
        names => Line::bad(
            "etcd alarms",
            format!("{}: nothing can be written", names.join(", ")),
            format!(
                "NOSPACE: compact it, {DEFRAGMENT}, then  etcdctl alarm disarm;  CORRUPT: restore the member from a copy"
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
    }
}
