//! `hardway test`: everything that must hold before a change is good.

use std::time::Duration;

use anstream::println;
use clap::ValueEnum;

use crate::compile;
use crate::failure::{Failure, Result};
use crate::packages;
use crate::progress::{Progress, seconds};

mod deny;
mod end_to_end;
mod fuzz;
mod hosts;
mod lanes;
mod report;
mod run_tests;
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
    /// `hosts` and `panics` run only when they are named
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

/// Runs the tests one part after another, the later ones even if an earlier one
/// fails, and sums up.
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
    let mut outcomes = Vec::new();
    for part in parts {
        println!("\n== {} ==", part.name());
        let progress = Progress::new();
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
            Part::Deny => deny::run(),
            Part::Unit => cargo(&["test", "--workspace", "--no-fail-fast"], &[]),
            Part::E2e => end_to_end::run(options),
            Part::Fuzz => fuzz::run(options.fuzz, &options.arguments).map(|()| Notes::new()),
        };
        if let Err(failure) = &result {
            println!("{failure}");
            if let Some(way_out) = &failure.way_out {
                println!("{way_out}");
            }
        }
        outcomes.push((part, result, progress.elapsed()));
    }
    println!("\n{}", summary(&outcomes));
    let failed: Vec<&str> = outcomes
        .iter()
        .filter(|(_, result, _)| result.is_err())
        .map(|(part, _, _)| part.name())
        .collect();
    if failed.is_empty() {
        return Ok(());
    }
    Err(Failure::new(
        "test",
        format!("these failed: {}", failed.join(", ")),
    ))
}

/// What must be known of a part that passed: what it left out and why, and which tests are
/// flaky.
type Notes = Vec<String>;

/// A line for each part, how it went and how long it took, and below it what must be known:
/// all that was left out, and what failed with which complaint.
fn summary(outcomes: &[(Part, Result<Notes>, Duration)]) -> String {
    let mut lines = Vec::new();
    for (part, result, time) in outcomes {
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

fn cargo(arguments: &[&str], environment: &[(&str, &str)]) -> Result<Notes> {
    let mut command = compile::cargo()?;
    command.args(arguments).envs(environment.iter().copied());
    compile::finish(command, &format!("cargo {}", arguments.join(" ")))?;
    Ok(Notes::new())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_names_what_failed() {
        let outcomes = [
            (Part::Format, Ok(Notes::new()), Duration::from_secs(1)),
            (
                Part::Deny,
                Ok(vec!["left out: advisories".to_owned()]),
                Duration::from_secs(2),
            ),
            (
                Part::E2e,
                Err(Failure::new("run them", "two failed\nrbac who\ndns what")),
                Duration::from_secs(130),
            ),
        ];
        assert_eq!(
            summary(&outcomes),
            "passed format                      1.0 s\n\
             passed what it is made of          2.0 s\n       left out: advisories\n\
             FAILED end-to-end tests            2 min 10 s\n       run them: two failed\n\
             \x20      rbac who\n       dns what"
        );
    }
}
