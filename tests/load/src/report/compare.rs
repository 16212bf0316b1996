//! Two sides held against each other: ratios of medians over runs that alternated. Pure.

use std::collections::BTreeMap;
use std::fmt;

use super::{Measurement, Report};
use crate::failure::Failure;

/// What the second side is, in multiples of the first.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// Server and version of each side, and how many runs there are of it.
    pub sides: [(String, usize); 2],
    /// What both have measured.
    pub rows: Vec<Row>,
    /// What only one has.
    pub only_one: Vec<String>,
}

/// The ratios of one measurement.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Workload and measurement.
    pub name: String,
    /// By quantity.
    pub ratios: Vec<(String, Ratio)>,
}

/// The second side in multiples of the first.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ratio {
    /// Of the medians of all runs.
    pub of_medians: f64,
    /// The least of a pair of runs.
    pub min: f64,
    /// The greatest of a pair of runs.
    pub max: f64,
}

/// Compares runs of two sides; those at the same place alternated.
///
/// # Errors
/// If a side has no runs, or not all did the same.
pub fn compare(first: &[Report], second: &[Report]) -> Result<Comparison, Failure> {
    let fail = |why: String, way_out: &str| Failure::new("compare reports", why, way_out);
    let (Some(a), Some(b)) = (first.first(), second.first()) else {
        return Err(fail("a side has none".to_owned(), "name files of both"));
    };
    for report in first.iter().chain(second) {
        for (name, value) in &a.options {
            let other = report.options.get(name);
            if other != Some(value) {
                let other = other.map_or("nothing", String::as_str);
                return Err(fail(
                    format!("--{name} was {value} in one run and {other} in another"),
                    "compare runs of the same sizes",
                ));
            }
        }
    }
    let (of_first, of_second) = (by_name(first), by_name(second));
    let mut rows = Vec::new();
    let mut only_one = Vec::new();
    for name in names(a).chain(names(b).filter(|name| !of_first.contains_key(name))) {
        match (of_first.get(&name), of_second.get(&name)) {
            (Some(a), Some(b)) => rows.push(Row {
                ratios: ratios(a, b),
                name,
            }),
            _ => only_one.push(name),
        }
    }
    let side = |report: &Report, runs: &[Report]| {
        let name = format!("{} {}", report.server, report.server_version);
        (name, runs.len())
    };
    Ok(Comparison {
        sides: [side(a, first), side(b, second)],
        rows,
        only_one,
    })
}

fn name_of(measurement: &Measurement) -> String {
    format!("{}: {}", measurement.workload, measurement.name)
}

fn names(report: &Report) -> impl Iterator<Item = String> {
    report.measurements.iter().map(name_of)
}

fn by_name(runs: &[Report]) -> BTreeMap<String, Vec<&Measurement>> {
    let mut named: BTreeMap<String, Vec<&Measurement>> = BTreeMap::new();
    for measurement in runs.iter().flat_map(|run| &run.measurements) {
        named
            .entry(name_of(measurement))
            .or_default()
            .push(measurement);
    }
    named
}

/// Of everything that both sides have figures of.
fn ratios(first: &[&Measurement], second: &[&Measurement]) -> Vec<(String, Ratio)> {
    let (a, b) = (quantities(first), quantities(second));
    let both = a.into_iter().filter_map(|(name, values)| {
        let others = &b.iter().find(|(other, _)| *other == name)?.1;
        Some((name, ratio(&values, others)?))
    });
    both.collect()
}

/// Quantities by name, each with its value of every run that has it.
fn quantities(runs: &[&Measurement]) -> Vec<(String, Vec<f64>)> {
    let mut all: Vec<(String, Vec<f64>)> = Vec::new();
    let mut add = |name: String, value: f64| match all.iter_mut().find(|(it, _)| *it == name) {
        Some((_, values)) => values.push(value),
        None => all.push((name, vec![value])),
    };
    for run in runs {
        add("per second".to_owned(), run.rate());
        if let Some(latency) = &run.latency {
            add("p50".to_owned(), latency.p50);
            add("p99".to_owned(), latency.p99);
        }
        for cost in &run.processes {
            match cost.cpu_per(run.operations) {
                Some(cpu) => add(format!("CPU of {}", cost.process), cpu),
                None => {
                    let name = format!("CPU of {}, of a core", cost.process);
                    add(name, cost.cpu_share());
                    let name = format!("wake-ups of {}", cost.process);
                    add(name, cost.wakeups_per_second());
                }
            }
            add(format!("peak of {}", cost.process), cost.peak as f64);
        }
        for (name, value) in &run.figures {
            add(name.clone(), *value);
        }
    }
    all
}

/// The second values in multiples of the first; nothing where one is zero or missing.
fn ratio(first: &[f64], second: &[f64]) -> Option<Ratio> {
    let divided = |a: f64, b: f64| (a > 0.0 && b > 0.0).then(|| b / a);
    let of_medians = divided(median(first)?, median(second)?)?;
    let pairs = first.iter().zip(second);
    let pairs: Vec<f64> = pairs.filter_map(|(a, b)| divided(*a, *b)).collect();
    Some(Ratio {
        of_medians,
        min: pairs.iter().copied().reduce(f64::min)?,
        max: pairs.iter().copied().reduce(f64::max)?,
    })
}

fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    let upper = sorted.get(middle)?;
    match sorted.len() % 2 {
        0 => Some((sorted.get(middle.checked_sub(1)?)? + upper) / 2.0),
        _ => Some(*upper),
    }
}

impl Comparison {
    /// Without what only one side has measured.
    pub fn of_both(mut self) -> Self {
        self.only_one.clear();
        self
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [(a, runs_of_a), (b, runs_of_b)] = &self.sides;
        writeln!(f, "A  {a}, {runs_of_a} runs")?;
        writeln!(f, "B  {b}, {runs_of_b} runs")?;
        writeln!(
            f,
            "B / A: ratio of medians (least and greatest of a pair of runs)"
        )?;
        for row in &self.rows {
            writeln!(f, "\n{}", row.name)?;
            for (name, ratio) in &row.ratios {
                writeln!(f, "  {name:<28} {ratio}")?;
            }
        }
        for name in &self.only_one {
            writeln!(f, "\n{name}\n  only one side has it")?;
        }
        Ok(())
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            of_medians,
            min,
            max,
        } = self;
        let [of_medians, min, max] = [of_medians, min, max].map(|it| digits(*it));
        write!(f, "{of_medians:>8}  ({min} .. {max})")
    }
}

/// Two digits after the point, and as many as it takes to see that a small one isn't nothing.
fn digits(ratio: f64) -> String {
    match ratio < 0.1 {
        true => format!("{ratio:.4}"),
        false => format!("{ratio:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::Cost;

    fn run(rate: u64, cpu: f64) -> Report {
        let measurement = Measurement {
            workload: "create".to_owned(),
            name: "create pods".to_owned(),
            operations: rate,
            seconds: 1.0,
            processes: vec![Cost {
                process: "apiserver".to_owned(),
                seconds: 1.0,
                cpu_seconds: cpu * rate as f64,
                wakeups: 0,
                resident: 0,
                anonymous: 0,
                peak: 100,
            }],
            ..Measurement::default()
        };
        Report {
            tool: String::new(),
            began: String::new(),
            server: "https://a".to_owned(),
            server_version: "v1.33".to_owned(),
            options: BTreeMap::from([("pods".to_owned(), "10".to_owned())]),
            load_average: [0.0; 2],
            measurements: vec![measurement],
            failures: BTreeMap::new(),
        }
    }

    #[test]
    fn ratios_are_of_medians_with_the_pairs_beside() {
        let first = [run(100, 4.0), run(200, 4.0), run(110, 4.0)];
        let second = [run(220, 1.0), run(300, 1.0), run(110, 1.0)];
        let compared = compare(&first, &second).unwrap();
        let ratios: BTreeMap<_, _> = compared.rows[0].ratios.iter().cloned().collect();
        let rate = ratios["per second"];
        assert_eq!((rate.of_medians, rate.min, rate.max), (2.0, 1.0, 2.2));
        assert_eq!(ratios["CPU of apiserver"].of_medians, 0.25);
        assert_eq!(ratios["peak of apiserver"].of_medians, 1.0);
        assert!(!ratios.contains_key("p50"));
    }

    #[test]
    fn what_is_not_the_same_is_not_compared() {
        let mut other = run(100, 1.0);
        other.options.insert("pods".to_owned(), "20".to_owned());
        let failure = compare(&[run(100, 1.0)], &[other]).unwrap_err();
        assert!(failure.why.contains("--pods was 10"), "{failure}");
        assert!(compare(&[run(1, 1.0)], &[]).is_err());
        let mut lone = run(100, 1.0);
        lone.measurements[0].name = "other".to_owned();
        let compared = compare(&[run(100, 1.0)], &[lone]).unwrap();
        assert!(compared.rows.is_empty());
        assert_eq!(compared.only_one, ["create: create pods", "create: other"]);
    }

    #[test]
    fn a_small_ratio_is_not_nothing() {
        let ratio = Ratio {
            of_medians: 2.091,
            min: 0.00312,
            max: 264.0,
        };
        assert_eq!(ratio.to_string(), "    2.09  (0.0031 .. 264.00)");
    }

    #[test]
    fn the_median_of_an_even_number_is_between() {
        assert_eq!(median(&[3.0, 1.0]), Some(2.0));
        assert_eq!(median(&[3.0, 1.0, 9.0]), Some(3.0));
        assert_eq!(median(&[]), None);
    }
}
