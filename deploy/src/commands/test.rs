//! `hardway test`: everything that must hold before a change is good.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anstream::println;
use clap::ValueEnum;

use super::{down, status, up};

use crate::compile;
use crate::failure::{Failure, OrFail, Result};
use crate::lab::Lab;
use crate::packages;
use crate::plan::Plan;
use crate::progress::{Progress, seconds};

mod deny;
mod fuzz;
mod hosts;
mod report;
mod second_try;

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
            Part::E2e => end_to_end(options),
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

/// Runs the suites: in a lab, but for the one that boots hosts of its own.
fn end_to_end(options: &Options) -> Result<Notes> {
    let suites = suites(&compile::repository()?.join("tests/tests"))?;
    let mut suites = choose(suites, &options.suite)?;
    let named = suites.len();
    suites.retain(|suite| suite != hosts::SUITE);
    let on_hosts = match suites.len() < named {
        true => hosts::run(!options.release, &options.arguments),
        false => Ok(()),
    };
    if suites.is_empty() {
        return on_hosts.map(|()| Notes::new());
    }
    let notes = with_lab(&suites, options)?;
    on_hosts.map(|()| notes)
}

/// Brings up a lab, runs suites in it, and takes it down whatever happened.
fn with_lab(suites: &[String], options: &Options) -> Result<Notes> {
    let target = compile::binaries(compile::Profile::Release)?;
    let folder = target.with_file_name("test-lab");
    down::run(&folder, true)?;
    let result = in_lab(&folder, suites, options);
    // What is flaky wants to be looked into as well.
    if result.as_ref().map_or(true, |flaky| !flaky.is_empty()) {
        let logs = target.with_file_name("test-lab-logs");
        match keep_logs(&folder, &logs) {
            Ok(()) => println!("logs of all processes are kept in {}", logs.display()),
            Err(failure) => println!("{failure}"),
        }
    }
    let left_out = left_out(&folder);
    let down = down::run(&folder, true).inspect_err(|_| {
        // A failed test must not leave its lab behind either.
        if let Err(failure) = down::run(&folder, true) {
            println!("{failure}");
        }
    });
    let flaky = result?;
    down?;
    Ok([flaky, left_out].concat())
}

/// What the tests noted in their lab that they left out.
fn left_out(lab: &Path) -> Notes {
    let text = fs::read_to_string(lab.join("left-out")).unwrap_or_default();
    // A second try may have noted it again.
    let lines: BTreeSet<&str> = text.lines().collect();
    let notes = lines.iter().map(|line| format!("left out: {line}"));
    notes.collect()
}

fn in_lab(folder: &Path, suites: &[String], asked: &Options) -> Result<Notes> {
    let free = (0..100).find(|&index| up::owner(&Plan { index, workers: 0 }).is_none());
    let options = up::Options {
        workers: Some(2),
        index: free,
        internet: false,
        debug: !asked.release,
        only: Vec::new(),
    };
    up::run(folder, &options)?;
    let tool = std::env::current_exe().or_fail(|| "find this program")?;
    let command = |suites: &[String], arguments: &[String]| {
        let mut command = ignored_tests(suites, arguments)?;
        command
            .env("HARDWAY_LAB", folder)
            .env("HARDWAY_TOOL", &tool)
            .env("KUBECONFIG", folder.join("kubeconfig/admin.kubeconfig"));
        Ok(command)
    };
    second_try::run(
        command(suites, &asked.arguments)?,
        |test| {
            let only = ["--exact".to_owned(), test.test.clone()];
            command(std::slice::from_ref(&test.suite), &only)
        },
        || match status::run(&Lab::open(folder)?)? {
            true => Ok(()),
            false => Err(Failure::new("the lab", "not everything in it is well")),
        },
    )
}

/// The command that runs the tests of suites, which are ignored without what they need.
fn ignored_tests(suites: &[String], arguments: &[String]) -> Result<Command> {
    let mut command = compile::cargo()?;
    // The same selection as the unit tests', so that nothing is built anew.
    command.args(["test", "--workspace", "--no-fail-fast"]);
    for suite in suites {
        command.args(["--test", suite]);
    }
    command
        .args(["--", "--ignored", "--test-threads=1"])
        .args(arguments);
    Ok(command)
}

/// Suites that run only when they are asked for: they take long.
const BY_NAME: &[&str] = &["certificates", "chaos", hosts::SUITE, "panics"];

/// The suites asked for, or all but those that want to be asked for.
fn choose(suites: Vec<String>, asked: &[String]) -> Result<Vec<String>> {
    if let Some(unknown) = asked.iter().find(|name| !suites.contains(name)) {
        return Err(
            Failure::new(format!("run suite {unknown}"), "there is none of that name")
                .way_out(format!("suites are: {}", suites.join(", "))),
        );
    }
    Ok(if asked.is_empty() {
        let always = |suite: &String| !BY_NAME.contains(&suite.as_str());
        suites.into_iter().filter(always).collect()
    } else {
        asked.to_vec()
    })
}

/// Names of the suites: the files in a folder.
fn suites(folder: &Path) -> Result<Vec<String>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.or_fail(|| format!("list {}", folder.display()))?,
    };
    let mut names: Vec<String> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "rs"))
        .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
        .collect();
    names.sort();
    Ok(names)
}

fn keep_logs(lab: &Path, kept: &Path) -> Result<()> {
    let what = || format!("keep the logs in {}", kept.display());
    if kept.exists() {
        fs::remove_dir_all(kept).or_fail(what)?;
    }
    let hosts: Vec<PathBuf> = fs::read_dir(lab.join("nodes"))
        .or_fail(what)?
        .flatten()
        .map(|entry| entry.path())
        .collect();
    for host in hosts {
        let to = kept.join(host.file_name().unwrap_or_default());
        fs::create_dir_all(&to).or_fail(what)?;
        for log in fs::read_dir(host.join("log"))
            .into_iter()
            .flatten()
            .flatten()
        {
            fs::copy(log.path(), to.join(log.file_name())).or_fail(what)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suites_are_the_files_of_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["tutorial.rs", "faults.rs", "notes.md"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        assert_eq!(suites(folder.path()).unwrap(), ["faults", "tutorial"]);
        assert!(suites(&folder.path().join("none")).unwrap().is_empty());
        let all = || vec!["faults".to_owned(), "tutorial".to_owned()];
        assert_eq!(choose(all(), &[]).unwrap(), all());
        assert_eq!(choose(all(), &all()[1..]).unwrap(), ["tutorial"]);
        assert!(choose(all(), &["fault".to_owned()]).is_err());
        let with_chaos = || [all(), vec!["chaos".to_owned()]].concat();
        assert_eq!(choose(with_chaos(), &[]).unwrap(), all());
        assert_eq!(choose(with_chaos(), &with_chaos()[2..]).unwrap(), ["chaos"]);
    }

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
