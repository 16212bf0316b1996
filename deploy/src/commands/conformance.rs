//! `hardway conformance --e2e FILE`: Kubernetes' own end-to-end tests against the lab, or
//! against another cluster.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::num::NonZeroU8;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anstream::println;

use crate::compile::{self, Profile};
use crate::conformance::images::Programs;
use crate::conformance::report::{self, Summary};
use crate::conformance::{images, progress, tokens, version};
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
    /// Folder with programs of other images, as Kubernetes' sources make them:
    /// sample-apiserver, resource-consumer, consume-cpu
    #[arg(long, value_name = "FOLDER")]
    pub programs: Option<PathBuf>,
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
    /// So many tests at a time; those that need the cluster for themselves, `[Serial]` and
    /// `[Disruptive]`, are left out unless it is one
    #[arg(long, value_name = "N", default_value_t = NonZeroU8::MIN)]
    pub parallel: NonZeroU8,
    /// Ginkgo's program, of the version that the tests were built with, which shares them
    /// out for `--parallel` [default: that in PATH]
    #[arg(long, value_name = "FILE")]
    pub ginkgo: Option<PathBuf>,
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
            let of_tests = Programs {
                agnhost: options.agnhost.as_deref(),
                folder: options.programs.as_deref(),
            };
            publish_images(&lab, &e2e, of_tests)?;
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
    let ginkgo = match options.parallel.get() {
        1 => None,
        _ => Some(program(options.ginkgo.as_deref(), "ginkgo")?),
    };
    let mut options = options.clone();
    if let Some(kubectl) = &mut options.kubectl {
        // The tests work in a folder of their own.
        *kubectl = program(Some(kubectl), "kubectl")?;
    }
    let version = shell::run(&e2e.display().to_string(), &["--version"]).unwrap_or_default();
    let before_1_24 = version::is_before_1_24(&version).unwrap_or_else(|| {
        println!(
            "  the tests don't say their version (`--version`) and are taken for recent ones: \
             those older than 1.24 will wait in vain for token Secrets"
        );
        false
    });
    let maker = match before_1_24 {
        true => Some(tokens::Maker::start(
            &program(options.kubectl.as_deref(), "kubectl")?,
            &kubeconfig,
        )?),
        false => None,
    };
    let began = Instant::now();
    let mut command = command(&e2e, ginkgo.as_deref(), &kubeconfig, &folder, &options);
    if before_1_24 {
        // What is particular to Docker, of which these suppose otherwise that it is there.
        command.arg("--container-runtime=remote");
    }
    let ended = follow(command, &log);
    if let Some(failure) = maker.and_then(|maker| maker.end().pop()) {
        println!("a service account has got no token Secret: {failure}");
    }
    let ended = ended?;
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
fn publish_images(lab: &Lab, e2e: &Path, of_tests: Programs<'_>) -> Result<()> {
    let progress = Progress::new();
    progress.step("Debian packages", packages::ensure_for_conformance)?;
    let listed = shell::run(&e2e.display().to_string(), &["--list-images"])?;
    let names: Vec<&str> = listed.split_whitespace().collect();
    let programs = compile::image_programs()?;
    let mut missing = Vec::new();
    progress.step("images of the tests", || {
        let images = images::make(&names, of_tests, &programs)?;
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

/// The program that the user named, or that of PATH.
fn program(named: Option<&Path>, name: &str) -> Result<PathBuf> {
    match named {
        Some(file) => file
            .canonicalize()
            .or_fail(|| format!("find {}", file.display())),
        None => shell::find_program(name).ok_or_else(|| {
            Failure::new("run the tests", format!("{name} is not in PATH"))
                .way_out(format!("say where it is: --{name} FILE"))
        }),
    }
}

/// Tests that can't run beside others.
const ALONE: &str = r"\[Serial\]|\[Disruptive\]";

/// These flags have had the same names since Kubernetes 1.13, with Ginkgo 1 and 2.
fn command(
    e2e: &Path,
    ginkgo: Option<&Path>,
    kubeconfig: &Path,
    folder: &Path,
    options: &Options,
) -> Command {
    let mut skip: Vec<&str> = options.skip.as_deref().into_iter().collect();
    let mut command;
    let prefix;
    if let Some(ginkgo) = ginkgo {
        skip.push(ALONE);
        prefix = "";
        command = Command::new(ginkgo);
        command
            .arg(format!("-nodes={}", options.parallel))
            // The output of each as it comes: progress is read from it.
            .arg("-stream");
    } else {
        prefix = "ginkgo.";
        command = Command::new(e2e);
    }
    command
        .arg(format!("-{prefix}noColor"))
        .arg(format!("-{prefix}focus={}", options.focus));
    if !skip.is_empty() {
        command.arg(format!("-{prefix}skip={}", skip.join("|")));
    }
    if ginkgo.is_some() {
        command.arg(e2e).arg("--");
    }
    command
        .arg(format!("--kubeconfig={}", kubeconfig.display()))
        .arg(format!("--report-dir={}", folder.display()))
        .arg("--provider=skeleton")
        .env("KUBECONFIG", kubeconfig);
    if let Some(kubectl) = &options.kubectl {
        command.arg(format!("--kubectl-path={}", kubectl.display()));
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
    let began = Instant::now();
    let mut count = 0;
    let output = child.stdout.take().map(BufReader::new);
    for line in output.into_iter().flat_map(|output| output.split(b'\n')) {
        let mut line = line.or_fail(what)?;
        line.push(b'\n');
        file.write_all(&line).or_fail(what)?;
        if let Some(test) = progress::finished(&String::from_utf8_lossy(&line)) {
            count += 1;
            let of = test.total.map(|total| format!(" of {total}"));
            println!(
                "  {} {count}{}: {} (after {})",
                if test.passed { "✓" } else { "✗" },
                of.unwrap_or_default(),
                test.name,
                seconds(began.elapsed())
            );
        }
    }
    child.wait().or_fail(what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(parallel: u8) -> Vec<String> {
        let options = Options {
            e2e: "e2e.test".into(),
            agnhost: None,
            programs: None,
            kubectl: Some("/k".into()),
            focus: "apps".to_owned(),
            skip: Some("Slow".to_owned()),
            parallel: NonZeroU8::new(parallel).unwrap(),
            ginkgo: None,
            kubeconfig: None,
            report: None,
        };
        let ginkgo = (parallel > 1).then_some(Path::new("/ginkgo"));
        let command = command(
            Path::new("/e2e.test"),
            ginkgo,
            Path::new("/admin"),
            Path::new("/report"),
            &options,
        );
        let words = [command.get_program()]
            .into_iter()
            .chain(command.get_args());
        words
            .map(|word| word.to_str().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn tests_are_shared_out_by_ginkgo() {
        let own = [
            "--kubeconfig=/admin",
            "--report-dir=/report",
            "--provider=skeleton",
            "--kubectl-path=/k",
        ];
        let one = [
            "/e2e.test",
            "-ginkgo.noColor",
            "-ginkgo.focus=apps",
            "-ginkgo.skip=Slow",
        ];
        assert_eq!(arguments(1), [one.as_slice(), &own].concat());
        let shared = [
            "/ginkgo",
            "-nodes=3",
            "-stream",
            "-noColor",
            "-focus=apps",
            r"-skip=Slow|\[Serial\]|\[Disruptive\]",
            "/e2e.test",
            "--",
        ];
        assert_eq!(arguments(3), [shared.as_slice(), &own].concat());
    }

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
