//! `hardway test`: everything that must hold before a change is good.

use std::time::Duration;

use anstream::println;
use clap::ValueEnum;

use crate::compile;
use crate::failure::{Failure, Result};
use crate::packages;
use crate::progress::{Progress, seconds};
use runner::Runner;

mod deny;
mod end_to_end;
mod fuzz;
mod hosts;
mod lanes;
mod report;
mod run_tests;
mod runner;
mod second_try;
mod suites;

/// What `test` may be told.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Leave out what needs a running cluster
    #[arg(long)]
    pub skip_e2e: bool,
    /// Do only these parts
    #[arg(long, value_delimiter = ',', value_enum)]
    pub only: Vec<Part>,
    /// Only these end-to-end suites: names of files in tests/tests. `certificates`, `chaos`,
    /// `hosts`, `panics` and `rotation` run only when they are named
    #[arg(long, value_delimiter = ',')]
    pub suite: Vec<String>,
    /// So many labs beside each other, which share the end-to-end suites out
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=9))]
    pub labs: u8,
    /// Optimised components for the end-to-end tests, as users have them. They take ten
    /// minutes more to build, and can't be asked to panic
    #[arg(long)]
    pub release: bool,
    /// How long to fuzz
    #[command(flatten)]
    pub fuzz: fuzz::Bounds,
    /// Passed on to the end-to-end tests, e.g. a part of a test's name; parts of the names
    /// of what is to be fuzzed
    #[arg(last = true)]
    pub arguments: Vec<String>,
}

/// A part of the tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Part {
    /// Formatting
    Format,
    /// Lints, warnings denied
    Clippy,
    /// Documentation, warnings denied
    Doc,
    /// Licences, bans, sources and known vulnerabilities of what hardway is made of
    Deny,
    /// Unit and integration tests
    Unit,
    /// End-to-end tests in a lab of their own
    E2e,
    /// Fuzzing, only when it is named
    Fuzz,
}

impl Part {
    /// Whether it needs the sources alone, and nothing that runs.
    fn only_reads(self) -> bool {
        matches!(self, Part::Clippy | Part::Doc | Part::Deny)
    }

    fn name(self) -> &'static str {
        match self {
            Part::Format => "format",
            Part::Clippy => "clippy",
            Part::Doc => "documentation",
            Part::Deny => "what it is made of",
            Part::Unit => "unit and integration tests",
            Part::E2e => "end-to-end tests",
            Part::Fuzz => "fuzzing",
        }
    }
}

/// Runs the tests one part after another, the later ones even if an earlier one fails, and
/// sums up. What only reads the sources runs beside those that run something, which leave
/// much of the machine alone while they wait.
pub fn run(options: &Options) -> Result<()> {
    packages::ensure()?;
    let parts: Vec<Part> = Part::value_variants()
        .iter()
        .copied()
        .filter(|part| match options.only.is_empty() {
            true => *part != Part::Fuzz,
            false => options.only.contains(part),
        })
        .filter(|part| !(options.skip_e2e && *part == Part::E2e))
        .collect();
    let (reading, running): (Vec<Part>, Vec<Part>) =
        parts.iter().partition(|part| part.only_reads());
    let one_after_another = |parts: &[Part], runner: &Runner| -> Result<Vec<Done>> {
        parts
            .iter()
            .map(|part| run_part(*part, options, runner))
            .collect()
    };
    let mut outcomes = if running.is_empty() {
        one_after_another(&reading, &Runner::Foreground)?
    } else {
        let beside = Runner::beside()?;
        let (run, read) = std::thread::scope(|threads| {
            let read = threads.spawn(|| one_after_another(&reading, &beside));
            (
                one_after_another(&running, &Runner::Foreground),
                read.join(),
            )
        });
        beside.show()?;
        let read = read.map_err(|_| Failure::new("test", "a thread of it panicked"))??;
        [read, run?].concat()
    };
    outcomes.sort_by_key(|done| parts.iter().position(|part| *part == done.part));
    println!("\n{}", summary(&outcomes));
    let failed: Vec<&str> = outcomes
        .iter()
        .filter(|done| done.result.is_err())
        .map(|done| done.part.name())
        .collect();
    if failed.is_empty() {
        return Ok(());
    }
    Err(Failure::new(
        "test",
        format!("these failed: {}", failed.join(", ")),
    ))
}

/// How a part ended, and how long it took.
#[derive(Debug, Clone)]
struct Done {
    part: Part,
    result: Result<Notes>,
    time: Duration,
}

/// Runs one part.
///
/// # Errors
/// If what it prints can't be shown or kept; that it failed is in its outcome.
fn run_part(part: Part, options: &Options, runner: &Runner) -> Result<Done> {
    runner.print(&format!("\n== {} ==\n", part.name()))?;
    let progress = Progress::new();
    let cargo = |arguments: &[&str], environment: &[(&str, &str)]| {
        let mut command = compile::cargo()?;
        command.args(arguments).envs(environment.iter().copied());
        let what = format!("cargo {}", arguments.join(" "));
        runner.run(command, &what).map(|()| Notes::new())
    };
    let result = match part {
        Part::Format => cargo(&["fmt", "--all", "--check"], &[]),
        Part::Clippy => cargo(
            &[
                "clippy",
                "--workspace",
                "--all-targets",
                "--",
                "-D",
                "warnings",
            ],
            &[],
        ),
        Part::Doc => cargo(
            &["doc", "--workspace", "--no-deps"],
            // Who reads it has the source at hand: a link into private parts is of use.
            &[(
                "RUSTDOCFLAGS",
                "-D warnings -A rustdoc::private-intra-doc-links",
            )],
        ),
        Part::Deny => deny::run(runner),
        Part::Unit => cargo(&["test", "--workspace", "--no-fail-fast"], &[]),
        Part::E2e => end_to_end::run(options),
        Part::Fuzz => fuzz::run(options.fuzz, &options.arguments).map(|()| Notes::new()),
    };
    if let Err(failure) = &result {
        runner.print(&format!("{failure}\n"))?;
        if let Some(way_out) = &failure.way_out {
            runner.print(&format!("{way_out}\n"))?;
        }
    }
    Ok(Done {
        part,
        result,
        time: progress.elapsed(),
    })
}

/// What must be known of a part that passed: what it left out and why, and which tests are
/// flaky.
type Notes = Vec<String>;

/// A line for each part, how it went and how long it took, and below it what must be known:
/// all that was left out, and what failed with which complaint.
fn summary(outcomes: &[Done]) -> String {
    let mut lines = Vec::new();
    for Done { part, result, time } in outcomes {
        let word = if result.is_ok() { "passed" } else { "FAILED" };
        lines.push(format!("{word} {:28}{}", part.name(), seconds(*time)));
        let notes = match result {
            Ok(notes) => notes.clone(),
            Err(failure) => failure.to_string().lines().map(str::to_owned).collect(),
        };
        lines.extend(notes.iter().map(|note| format!("       {note}")));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_names_what_failed() {
        let outcomes = [
            (Part::Format, Ok(Notes::new()), 1),
            (Part::Deny, Ok(vec!["left out: advisories".to_owned()]), 2),
            (
                Part::E2e,
                Err(Failure::new("run them", "two failed\nrbac who\ndns what")),
                130,
            ),
        ]
        .map(|(part, result, seconds)| Done {
            part,
            result,
            time: Duration::from_secs(seconds),
        });
        assert_eq!(
            summary(&outcomes),
            "passed format                      1.0 s\n\
             passed what it is made of          2.0 s\n       left out: advisories\n\
             FAILED end-to-end tests            2 min 10 s\n       run them: two failed\n\
             \x20      rbac who\n       dns what"
        );
    }
}
