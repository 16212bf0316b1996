//! `hardway test`: everything that must hold before a change is good.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{down, up};
use crate::compile;
use crate::failure::{Failure, OrFail, Result};
use crate::packages;
use crate::plan::Plan;
use crate::progress::{Progress, seconds};

/// What `test` may be told.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Leave out what needs a running cluster
    #[arg(long)]
    pub skip_e2e: bool,
    /// Do only these parts
    #[arg(long, value_delimiter = ',', value_enum)]
    pub only: Vec<Part>,
    /// Only these end-to-end suites: names of files in tests/tests
    #[arg(long, value_delimiter = ',')]
    pub suite: Vec<String>,
    /// Passed on to the end-to-end tests, e.g. a part of a test's name
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
    /// Unit and integration tests
    Unit,
    /// End-to-end tests in a lab of their own
    E2e,
}

impl Part {
    fn name(self) -> &'static str {
        match self {
            Part::Format => "format",
            Part::Clippy => "clippy",
            Part::Unit => "unit and integration tests",
            Part::E2e => "end-to-end tests",
        }
    }
}

/// Runs the tests one part after another, the later ones even if an earlier one
/// fails, and sums up.
pub fn run(options: &Options) -> Result<()> {
    packages::ensure()?;
    let parts: Vec<Part> = [Part::Format, Part::Clippy, Part::Unit, Part::E2e]
        .into_iter()
        .filter(|part| options.only.is_empty() || options.only.contains(part))
        .filter(|part| !(options.skip_e2e && *part == Part::E2e))
        .collect();
    let mut outcomes = Vec::new();
    for part in parts {
        println!("\n== {} ==", part.name());
        let progress = Progress::new();
        let result = match part {
            Part::Format => cargo(&["fmt", "--all", "--check"]),
            Part::Clippy => cargo(&[
                "clippy",
                "--workspace",
                "--all-targets",
                "--",
                "-D",
                "warnings",
            ]),
            Part::Unit => cargo(&["test", "--workspace", "--no-fail-fast"]),
            Part::E2e => end_to_end(options),
        };
        if let Err(failure) = &result {
            println!("{failure}");
            if let Some(way_out) = &failure.way_out {
                println!("{way_out}");
            }
        }
        outcomes.push((part, result.is_ok(), progress.elapsed()));
    }
    println!("\n{}", summary(&outcomes));
    let failed: Vec<&str> = outcomes
        .iter()
        .filter(|(_, good, _)| !good)
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

fn summary(outcomes: &[(Part, bool, Duration)]) -> String {
    let line = |(part, good, time): &(Part, bool, Duration)| {
        format!(
            "{} {:28}{}",
            if *good { "passed" } else { "FAILED" },
            part.name(),
            seconds(*time)
        )
    };
    outcomes.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn cargo(arguments: &[&str]) -> Result<()> {
    let mut command = compile::cargo()?;
    command.args(arguments);
    compile::finish(command, &format!("cargo {}", arguments.join(" ")))
}

/// Brings up a lab, runs the suite in it, and takes it down whatever happened.
fn end_to_end(options: &Options) -> Result<()> {
    let suites = suites(&compile::repository()?.join("tests/tests"))?;
    let suites = choose(suites, &options.suite)?;
    let target = compile::binaries(compile::Profile::Release)?;
    let folder = target.with_file_name("test-lab");
    down::run(&folder, true)?;
    let result = in_lab(&folder, &suites, &options.arguments);
    if result.is_err() {
        let logs = target.with_file_name("test-lab-logs");
        match keep_logs(&folder, &logs) {
            Ok(()) => println!("logs of all processes are kept in {}", logs.display()),
            Err(failure) => println!("{failure}"),
        }
    }
    result.and(down::run(&folder, true)).inspect_err(|_| {
        // A failed test must not leave its lab behind either.
        if let Err(failure) = down::run(&folder, true) {
            println!("{failure}");
        }
    })
}

fn in_lab(folder: &Path, suites: &[String], arguments: &[String]) -> Result<()> {
    let free = (0..100).find(|&index| up::owner(&Plan { index, workers: 0 }).is_none());
    let options = up::Options {
        workers: Some(2),
        index: free,
        internet: false,
        debug: false,
        only: Vec::new(),
    };
    up::run(folder, &options)?;
    let mut command = compile::cargo()?;
    // The same selection as the unit tests', so that nothing is built anew.
    command.args(["test", "--workspace", "--no-fail-fast"]);
    for suite in suites {
        command.args(["--test", suite]);
    }
    command
        .args(["--", "--ignored", "--test-threads=1"])
        .args(arguments);
    command.env("HARDWAY_LAB", folder);
    command.env(
        "HARDWAY_TOOL",
        std::env::current_exe().or_fail(|| "find this program")?,
    );
    command.env("KUBECONFIG", folder.join("kubeconfig/admin.kubeconfig"));
    compile::finish(command, "run the end-to-end tests")
}

/// The suites asked for, or all.
fn choose(suites: Vec<String>, asked: &[String]) -> Result<Vec<String>> {
    if let Some(unknown) = asked.iter().find(|name| !suites.contains(name)) {
        return Err(
            Failure::new(format!("run suite {unknown}"), "there is none of that name")
                .way_out(format!("suites are: {}", suites.join(", "))),
        );
    }
    Ok(if asked.is_empty() {
        suites
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
    }

    #[test]
    fn the_summary_names_what_failed() {
        let outcomes = [
            (Part::Format, true, Duration::from_secs(1)),
            (Part::Unit, false, Duration::from_secs(130)),
        ];
        assert_eq!(
            summary(&outcomes),
            "passed format                      1.0 s\nFAILED unit and integration tests  2 min 10 s"
        );
    }
}
