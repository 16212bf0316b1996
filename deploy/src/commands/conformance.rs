//! `hardway conformance --e2e FILE`: Kubernetes' own end-to-end tests against the lab, or
//! against another cluster.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anstream::println;

use crate::compile::{self, Profile};
use crate::conformance::report::{self, Summary};
use crate::conformance::{images, progress};
use crate::failure::{Failure, OrFail, Result};
use crate::images::publish;
use crate::lab::Lab;
use crate::packages;
use crate::progress::{Progress, seconds};
use crate::shell;

/// What `conformance` may be told.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Kubernetes' `e2e.test`, of any version
    #[arg(long, value_name = "FILE")]
    pub e2e: PathBuf,
    /// The program of the image agnhost (test/images/agnhost of Kubernetes), for the lab's
    /// registry; tests that use it fail without
    #[arg(long, value_name = "FILE")]
    pub agnhost: Option<PathBuf>,
    /// The kubectl that the tests call, whose words some of them compare: of their version
    /// [default: that in PATH]
    #[arg(long, value_name = "FILE")]
    pub kubectl: Option<PathBuf>,
    /// Only tests whose names match
    #[arg(long, value_name = "RE", default_value = r"\[Conformance\]")]
    pub focus: String,
    /// Without tests whose names match
    #[arg(long, value_name = "RE")]
    pub skip: Option<String>,
    /// Another cluster than the lab; it has to get the images of the tests by itself
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Folder for JUnit's report and the whole output [default: target/conformance]
    #[arg(long, value_name = "FOLDER")]
    pub report: Option<PathBuf>,
}

/// Runs the tests; whether all have passed.
///
/// # Errors
/// If they can't be run, or end without a report.
pub fn run(lab: impl FnOnce() -> Result<Lab>, options: &Options) -> Result<bool> {
    let e2e = options
        .e2e
        .canonicalize()
        .or_fail(|| format!("find {}", options.e2e.display()))?;
    let kubeconfig = match &options.kubeconfig {
        Some(file) => std::path::absolute(file).or_fail(|| "find the kubeconfig")?,
        None => {
            let lab = lab()?;
            publish_images(&lab, &e2e, options.agnhost.as_deref())?;
            lab.kubeconfigs().join("admin.kubeconfig")
        }
    };
    let folder = match &options.report {
        Some(folder) => std::path::absolute(folder).or_fail(|| "find the report's folder")?,
        None => compile::binaries(Profile::Release)?.with_file_name("conformance"),
    };
    shell::make_directory(&folder)?;
    // What an earlier run has left would be taken for this one's.
    for old in reports(&folder)? {
        std::fs::remove_file(&old).or_fail(|| format!("remove {}", old.display()))?;
    }
    let log = folder.join("e2e.log");
    let began = Instant::now();
    let ended = follow(command(&e2e, &kubeconfig, &folder, options), &log)?;
    let mut tests = Vec::new();
    for file in reports(&folder)? {
        let text = shell::read_text(&file)?;
        tests.extend(report::read(&text).or_fail(|| format!("read {}", file.display()))?);
    }
    if tests.is_empty() {
        let end = shell::last_lines(&log, 10).join("\n    ");
        return Err(
            Failure::new("run the tests", format!("{ended}, and none has run"))
                .way_out(format!("the end of {}:\n    {end}", log.display())),
        );
    }
    println!("{}", Summary(&tests));
    println!(
        "{} in {}; report and output are in {}",
        tests.len(),
        seconds(began.elapsed()),
        folder.display()
    );
    if !ended.success() {
        println!("the tests' program ended with {ended}");
    }
    Ok(ended.success() && tests.iter().all(|test| test.failure.is_none()))
}

/// Has the lab's registry serve what the tests will ask for.
fn publish_images(lab: &Lab, e2e: &Path, agnhost: Option<&Path>) -> Result<()> {
    let progress = Progress::new();
    progress.step("Debian packages", packages::ensure_for_conformance)?;
    let listed = shell::run(&e2e.display().to_string(), &["--list-images"])?;
    let names: Vec<&str> = listed.split_whitespace().collect();
    let programs = compile::image_programs()?;
    let mut missing = Vec::new();
    progress.step("images of the tests", || {
        let images = images::make(&names, agnhost, &programs)?;
        missing = images.missing;
        let folder = lab.folder.join("images");
        let written: Result<Vec<_>> = images
            .made
            .iter()
            .map(|image| image.write(&folder))
            .collect();
        publish::publish(lab, &written?)
    })?;
    if !missing.is_empty() {
        println!(
            "  not made, so that tests which use them fail: {}",
            missing.join(", ")
        );
    }
    Ok(())
}

/// The reports in a folder.
fn reports(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).or_fail(|| format!("list {}", folder.display()))?;
    let is_report = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| name.starts_with("junit") && name.ends_with(".xml"))
    };
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    files.retain(is_report);
    files.sort();
    Ok(files)
}

/// These flags have had the same names since Kubernetes 1.13, with Ginkgo 1 and 2.
fn command(e2e: &Path, kubeconfig: &Path, folder: &Path, options: &Options) -> Command {
    let mut command = Command::new(e2e);
    command
        .arg(format!("--kubeconfig={}", kubeconfig.display()))
        .arg(format!("--report-dir={}", folder.display()))
        .arg("--provider=skeleton")
        .arg("--ginkgo.noColor")
        .arg(format!("--ginkgo.focus={}", options.focus))
        .env("KUBECONFIG", kubeconfig);
    if let Some(kubectl) = &options.kubectl {
        command.arg(format!("--kubectl-path={}", kubectl.display()));
    }
    if let Some(skip) = &options.skip {
        command.arg(format!("--ginkgo.skip={skip}"));
    }
    command
}

/// Runs the tests to their end, printing how far they are; their output goes into a file.
fn follow(mut command: Command, log: &Path) -> Result<std::process::ExitStatus> {
    let what = || "run the tests";
    let mut file = File::create(log).or_fail(|| format!("write {}", log.display()))?;
    let errors = file.try_clone().or_fail(what)?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(errors)
        .spawn()
        .or_fail(what)?;
    let mut last = Instant::now();
    let output = child.stdout.take().map(BufReader::new);
    for line in output.into_iter().flat_map(|output| output.split(b'\n')) {
        let mut line = line.or_fail(what)?;
        line.push(b'\n');
        file.write_all(&line).or_fail(what)?;
        if let Some(test) = progress::finished(&String::from_utf8_lossy(&line)) {
            println!(
                "  {} {} of {}: {} ({})",
                if test.passed { "✓" } else { "✗" },
                test.count,
                test.total,
                test.name,
                seconds(last.elapsed())
            );
            last = Instant::now();
        }
    }
    child.wait().or_fail(what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_earlier_run_reported_is_found() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["junit_01.xml", "e2e.log", "junit_runner.xml"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let found = reports(folder.path()).unwrap();
        let names: Vec<_> = found.iter().filter_map(|path| path.file_name()).collect();
        assert_eq!(names, ["junit_01.xml", "junit_runner.xml"]);
    }

    #[test]
    fn output_is_kept_and_the_end_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("e2e.log");
        let mut command = Command::new("sh");
        command.args(["-c", "echo one; echo two >&2; exit 3"]);
        let ended = follow(command, &log).unwrap();
        assert_eq!(ended.code(), Some(3));
        let text = shell::read_text(&log).unwrap();
        assert!(text.contains("one\n") && text.contains("two\n"), "{text}");
    }
}
