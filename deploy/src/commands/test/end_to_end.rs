//! The end-to-end tests: suites that are shared out to labs beside each other.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anstream::println;

use super::report::Report;
use super::run_tests::{self, Show};
use super::{Notes, Options, hosts, lanes, second_try, suites};
use crate::commands::{down, status, up};
use crate::compile;
use crate::failure::{Failure, OrFail, Result};
use crate::lab::{Lab, numbers};
use crate::packages;
use crate::progress::Progress;

/// The suite that drives the dashboard's page in a browser.
const IN_A_BROWSER: &str = "dashboard";

/// Runs the suites: in labs, but for the one that boots hosts of its own.
pub fn run(options: &Options) -> Result<Notes> {
    let all = suites::all(&compile::repository()?.join("tests/tests"))?;
    let mut chosen = suites::choose(all, &options.suite)?;
    let named = chosen.len();
    chosen.retain(|suite| suite != hosts::SUITE);
    let on_hosts = match chosen.len() < named {
        true => hosts::run(!options.release, &options.arguments),
        false => Ok(()),
    };
    if chosen.is_empty() {
        return on_hosts.map(|()| Notes::new());
    }
    let notes = with_labs(suites::longest_first(chosen), options)?;
    on_hosts.map(|()| notes)
}

/// Brings up labs, runs suites in them, and takes them down whatever happened.
fn with_labs(suites: Vec<String>, options: &Options) -> Result<Notes> {
    if suites.iter().any(|suite| suite == IN_A_BROWSER) {
        let what = "Debian packages for the browser";
        Progress::new().step(what, packages::ensure_for_browser)?;
    }
    build(&suites)?;
    let count = usize::from(options.labs).min(suites.len());
    let folders: Vec<PathBuf> = (1..=count).map(folder).collect::<Result<_>>()?;
    for folder in &folders {
        down::run(folder, true)?;
    }
    let result = in_labs(&folders, suites, options);
    // What is flaky wants to be looked into as well.
    if result.as_ref().map_or(true, |flaky| !flaky.is_empty()) {
        for folder in &folders {
            match keep_logs(folder) {
                Ok(logs) => println!("logs of all processes are kept in {}", logs.display()),
                Err(failure) => println!("{failure}"),
            }
        }
    }
    let left_out = left_out(&folders);
    let down: Vec<Result<()>> = folders.iter().map(|folder| take_down(folder)).collect();
    let flaky = result?;
    down.into_iter().collect::<Result<()>>()?;
    Ok([flaky, left_out].concat())
}

/// The folder of the first lab, the second and so on.
fn folder(number: usize) -> Result<PathBuf> {
    let name = match number {
        1 => "test-lab".to_owned(),
        _ => format!("test-lab-{number}"),
    };
    Ok(compile::binaries(compile::Profile::Release)?.with_file_name(name))
}

fn take_down(folder: &Path) -> Result<()> {
    down::run(folder, true).inspect_err(|_| {
        // A failed test must not leave its lab behind either.
        if let Err(failure) = down::run(folder, true) {
            println!("{failure}");
        }
    })
}

/// What the tests noted in their labs that they left out.
fn left_out(labs: &[PathBuf]) -> Notes {
    let texts = labs
        .iter()
        .filter_map(|lab| fs::read_to_string(lab.join("left-out")).ok());
    let text: String = texts.collect();
    // A second try may have noted it again.
    let lines: BTreeSet<&str> = text.lines().collect();
    let notes = lines.iter().map(|line| format!("left out: {line}"));
    notes.collect()
}

fn in_labs(folders: &[PathBuf], suites: Vec<String>, asked: &Options) -> Result<Notes> {
    for folder in folders {
        bring_up(folder, !asked.release)?;
    }
    let tool = std::env::current_exe().or_fail(|| "find this program")?;
    let command = |folder: &Path, suite: &str, arguments: &[String]| {
        let mut command = ignored_tests(suite, arguments)?;
        command
            .env("HARDWAY_LAB", folder)
            .env("HARDWAY_TOOL", &tool)
            .env("KUBECONFIG", folder.join("kubeconfig/admin.kubeconfig"));
        Ok(command)
    };
    let show = match folders.len() {
        1 => Show::AtOnce,
        _ => Show::AtTheEnd,
    };
    let reports = lanes::share_out(folders, suites, |folder, suite| {
        println!("{suite} begins in {}", folder.display());
        run_tests::run(command(folder, &suite, &asked.arguments)?, show)
    });
    let report: Report = reports.into_iter().collect::<Result<_>>()?;
    let empty = without_tests(&report, &asked.arguments);
    let flaky = second_try::run(
        report,
        |test| {
            let only = ["--exact".to_owned(), test.test.clone()];
            command(&folders[0], &test.suite, &only)
        },
        || folders.iter().try_for_each(|folder| check(folder)),
    )?;
    empty.map(|()| flaky)
}

/// Fails if a suite has run no test though none was left out on purpose.
pub fn without_tests(report: &Report, arguments: &[String]) -> Result<()> {
    let empty = report.empty();
    if empty.is_empty() || !arguments.is_empty() {
        return Ok(());
    }
    Err(Failure::new(
        "run the end-to-end tests",
        format!("no test ran of {}", empty.join(", ")),
    )
    .way_out("tests that need a lab or hosts are marked with #[ignore = \"needs …\"]"))
}

/// A lab under a number that nobody has. A person's labs are counted from 0: the last are
/// the least likely to be wanted while the tests run.
fn bring_up(folder: &Path, debug: bool) -> Result<()> {
    let is_free = |&index: &u8| numbers::owner(index).is_none();
    let options = up::Options {
        control_planes: Some(1),
        workers: Some(2),
        index: (0..100).rev().find(is_free),
        internet: false,
        debug,
        only: Vec::new(),
    };
    up::run(folder, &options)
}

fn check(folder: &Path) -> Result<()> {
    match status::processes(&Lab::open(folder)?)? {
        true => Ok(()),
        false => {
            let lab = format!("the lab in {}", folder.display());
            Err(Failure::new(lab, "not everything in it is well"))
        }
    }
}

/// Builds suites before labs stand waiting for them.
fn build(suites: &[String]) -> Result<()> {
    let mut command = compile::cargo()?;
    command.args(["test", "--workspace", "--no-run"]);
    for suite in suites {
        command.args(["--test", suite]);
    }
    compile::finish(command, "build the end-to-end tests")
}

/// The command that runs the tests of a suite, which are ignored without what they need.
pub fn ignored_tests(suite: &str, arguments: &[String]) -> Result<Command> {
    let mut command = compile::cargo()?;
    // The same selection as the unit tests', so that nothing is built anew.
    command
        .args(["test", "--workspace", "--no-fail-fast", "--test", suite])
        .args(["--", "--ignored", "--test-threads=1"])
        .args(arguments);
    Ok(command)
}

/// Copies the logs of a lab's processes beside it, and says where they are.
fn keep_logs(lab: &Path) -> Result<PathBuf> {
    let mut kept = lab.as_os_str().to_owned();
    kept.push("-logs");
    let kept = PathBuf::from(kept);
    let what = || format!("keep the logs in {}", kept.display());
    if kept.exists() {
        fs::remove_dir_all(&kept).or_fail(what)?;
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
    Ok(kept)
}
