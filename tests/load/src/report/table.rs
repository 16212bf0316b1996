//! A report as text.

use std::fmt::Write;

use super::{Measurement, Report};
use crate::process::Cost;

/// The report as a table, for a terminal.
pub fn table(report: &Report) -> String {
    let mut text = String::new();
    // Writing to a String can't fail.
    let _ = write(&mut text, report);
    text
}

fn write(text: &mut String, report: &Report) -> std::fmt::Result {
    let [before, after] = report.load_average;
    writeln!(
        text,
        "{} {}, {}; load of the machine {before:.1} to {after:.1}",
        report.server, report.server_version, report.began
    )?;
    let mut workload = "";
    for measurement in &report.measurements {
        if measurement.workload != workload {
            workload = &measurement.workload;
            writeln!(
                text,
                "\n{workload:<34} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}",
                "done", "/s", "p50 ms", "p90 ms", "p99 ms", "max ms"
            )?;
        }
        row(text, measurement)?;
    }
    for (workload, failure) in &report.failures {
        writeln!(
            text,
            "\n{workload} could not be run to its end\n  {failure}"
        )?;
    }
    Ok(())
}

fn row(text: &mut String, it: &Measurement) -> std::fmt::Result {
    write!(
        text,
        "  {:<32} {:>9} {:>9.1}",
        it.name,
        it.operations,
        it.rate()
    )?;
    if let Some(latency) = &it.latency {
        for value in [latency.p50, latency.p90, latency.p99, latency.max] {
            write!(text, " {value:>9.2}")?;
        }
    }
    writeln!(text)?;
    if it.bytes > 0 && it.seconds > 0.0 {
        let rate = it.bytes as f64 / it.seconds / 1e6;
        let each = it.bytes as f64 / it.operations.max(1) as f64 / 1e3;
        writeln!(text, "      {rate:.1} MB/s, {each:.1} kB each")?;
    }
    for cost in &it.processes {
        writeln!(text, "      {}", cost_line(cost, it.operations))?;
    }
    for (name, value) in &it.figures {
        writeln!(text, "      {name}: {value:.2}")?;
    }
    for (sort, count) in &it.failures {
        writeln!(text, "      FAILED {count} times: {sort}")?;
    }
    for violation in &it.violations {
        writeln!(text, "      WRONG: {violation}")?;
    }
    for note in &it.notes {
        writeln!(text, "      {note}")?;
    }
    Ok(())
}

/// What a process took, in words: for each operation or, where there are none, all the time.
pub(super) fn cost_line(cost: &Cost, operations: u64) -> String {
    let mebibytes = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let each = match cost.cpu_per(operations) {
        Some(seconds) => format!("{:.3} ms CPU each", seconds * 1e3),
        None => format!(
            "{:.2} % of a core, {:.1} wake-ups/s",
            cost.cpu_share() * 100.0,
            cost.wakeups_per_second()
        ),
    };
    format!(
        "{}: {:.2} s CPU, {each}, {:.1} MiB, peak {:.1} MiB",
        cost.process,
        cost.cpu_seconds,
        mebibytes(cost.resident),
        mebibytes(cost.peak)
    )
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::latency::Latencies;
    use std::collections::BTreeMap;
    use std::time::Duration;

    /// A report with one measurement that went wrong in every way.
    pub(in crate::report) fn report() -> Report {
        let mut latencies = Latencies::default();
        latencies.record(Duration::from_millis(2));
        latencies.record(Duration::from_millis(40));
        let measurement = Measurement {
            workload: "create".to_owned(),
            name: "create <pods>".to_owned(),
            operations: 2,
            seconds: 0.5,
            bytes: 4000,
            failures: BTreeMap::from([("409 Conflict".to_owned(), 3)]),
            latency: latencies.percentiles(),
            processes: vec![Cost {
                process: "apiserver".to_owned(),
                seconds: 0.5,
                cpu_seconds: 0.01,
                wakeups: 7,
                resident: 1 << 20,
                anonymous: 0,
                peak: 3 << 20,
            }],
            violations: vec!["pod load-1 is not there".to_owned()],
            ..Measurement::default()
        };
        Report {
            tool: "1".to_owned(),
            began: "2026-01-01T00:00:00Z".to_owned(),
            server: "https://a".to_owned(),
            server_version: "v1.33.0".to_owned(),
            options: BTreeMap::new(),
            load_average: [1.0, 2.5],
            measurements: vec![measurement],
            failures: BTreeMap::from([("watch".to_owned(), "no connection".to_owned())]),
        }
    }

    #[test]
    fn a_table_has_everything_that_was_measured_and_went_wrong() {
        let text = table(&report());
        for part in [
            "load of the machine 1.0 to 2.5",
            "create <pods>",
            "4.0",
            "0.0 MB/s, 2.0 kB each",
            "apiserver: 0.01 s CPU, 5.000 ms CPU each, 1.0 MiB, peak 3.0 MiB",
            "FAILED 3 times: 409 Conflict",
            "WRONG: pod load-1 is not there",
            "watch could not be run to its end\n  no connection",
        ] {
            assert!(text.contains(part), "{part} in\n{text}");
        }
        assert!(!report().is_good());
    }

    #[test]
    fn where_nothing_is_done_costs_are_those_of_a_second() {
        let measurement = &report().measurements[0];
        assert_eq!(
            cost_line(&measurement.processes[0], 0),
            "apiserver: 0.01 s CPU, 2.00 % of a core, 14.0 wake-ups/s, 1.0 MiB, peak 3.0 MiB"
        );
    }

    #[test]
    fn a_report_is_read_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.json");
        report().write(&file).unwrap();
        assert_eq!(Report::read(&file).unwrap(), report());
        std::fs::write(&file, "{}").unwrap();
        let failure = Report::read(&file).unwrap_err();
        assert!(failure.what.contains("a.json"), "{failure}");
    }
}
