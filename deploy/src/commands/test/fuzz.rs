//! Fuzzing for a bounded time, with the stable toolchain: libFuzzer on a build whose
//! every branch counts how often it is taken.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anstream::println;

use crate::compile;
use crate::failure::{Failure, OrFail, Result};

/// What a branch must be compiled with for libFuzzer to see it. `cargo fuzz` gives the
/// same; only the sanitizers, which it adds if it may, need a nightly toolchain.
const INSTRUMENTED: &str = "--cfg fuzzing -Cdebug-assertions -Coverflow-checks \
    -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares";

/// Longest input, in bytes: enough for every construct, and quick. Targets that read
/// their input as a row of choices make large objects of a few bytes.
fn longest(name: &str) -> usize {
    match name {
        "apply" | "strategic_merge" | "field_set" => 256,
        _ => 1024,
    }
}
/// An input that takes longer, in seconds, or more memory, in MiB, is a finding.
const SLOWEST: usize = 10;
const MOST_MEMORY: usize = 2048;

/// How long to fuzz.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct Bounds {
    /// Seconds for which each target is fuzzed (0: without end)
    #[arg(long, default_value_t = 10, value_name = "SECONDS")]
    pub fuzz_time: u64,
    /// Executions of each target, instead of a time
    #[arg(long, value_name = "N")]
    pub fuzz_runs: Option<u64>,
}

impl Bounds {
    fn arguments(self) -> String {
        match self.fuzz_runs {
            Some(runs) => format!("-runs={runs}"),
            None => format!("-max_total_time={}", self.fuzz_time),
        }
    }
}

/// Fuzzes each target, or those whose names have one of these parts, one after the
/// other, and goes on when one has a finding.
pub fn run(bounds: Bounds, filters: &[String]) -> Result<()> {
    let folder = compile::repository()?.join("tests/fuzz");
    let target = compile::binaries(compile::Profile::Release)?.with_file_name("fuzz");
    let chosen: Vec<String> = targets(&folder)?
        .into_iter()
        .filter(|name| filters.is_empty() || filters.iter().any(|part| name.contains(part)))
        .collect();
    if chosen.is_empty() {
        return Err(Failure::new("fuzz", "no target has such a name")
            .way_out("targets are the folders of tests/fuzz/corpus"));
    }
    let programs = build(&target)?;
    let mut findings = Vec::new();
    for name in &chosen {
        println!("\n-- {name} --");
        if let Err(failure) = one(bounds, &folder, &target, &programs, name) {
            println!("{failure}");
            findings.push(name.as_str());
        }
    }
    match findings.is_empty() {
        true => Ok(()),
        false => Err(Failure::new(
            "fuzz",
            format!(
                "findings in {}; what led to them is in tests/fuzz/artifacts",
                findings.join(", ")
            ),
        )
        .way_out(
            "mend it, and move the file to tests/fuzz/corpus/TARGET: `cargo test -p hardway-fuzz` \
             runs all that is there and in artifacts",
        )),
    }
}

/// The targets: each has seeds.
fn targets(folder: &Path) -> Result<Vec<String>> {
    let corpus = folder.join("corpus");
    let entries = fs::read_dir(&corpus).or_fail(|| format!("list {}", corpus.display()))?;
    let mut names: Vec<String> = entries
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort();
    Ok(names)
}

/// Builds all targets in a folder of their own; returns where they are.
fn build(target: &Path) -> Result<PathBuf> {
    let triple = compile::host_triple()?;
    let mut command = compile::cargo()?;
    command
        .args(["build", "--release", "--package", "hardway-fuzz", "--bins"])
        // With a target named, build scripts and macros are left as they are.
        .args(["--features", "libfuzzer", "--target", &triple])
        .arg("--target-dir")
        .arg(target)
        .env("RUSTFLAGS", INSTRUMENTED);
    compile::finish(command, "build the fuzz targets")?;
    Ok(target.join(triple).join("release"))
}

/// Fuzzes one target. What it finds worth keeping stays in the build's folder, to go on
/// from the next time.
fn one(bounds: Bounds, folder: &Path, target: &Path, programs: &Path, name: &str) -> Result<()> {
    let found = target.join("corpus").join(name);
    let artifacts = folder.join("artifacts").join(name);
    for folder in [&found, &artifacts] {
        fs::create_dir_all(folder).or_fail(|| format!("create {}", folder.display()))?;
    }
    let mut command = Command::new(programs.join(name));
    command
        .arg(&found)
        .arg(folder.join("corpus").join(name))
        .arg(format!("-artifact_prefix={}/", artifacts.display()))
        .args([bounds.arguments(), format!("-max_len={}", longest(name))])
        .args([
            format!("-timeout={SLOWEST}"),
            format!("-rss_limit_mb={MOST_MEMORY}"),
        ])
        .args(["-print_final_stats=1", "-verbosity=0"]);
    let outcome = compile::finish(command, &format!("fuzz {name}"));
    // Without a finding nothing is left of the folder.
    let _ = fs::remove_dir(&artifacts);
    let _ = fs::remove_dir(folder.join("artifacts"));
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_has_a_program_and_seeds() {
        let folder = compile::repository().unwrap().join("tests/fuzz");
        let targets = targets(&folder).unwrap();
        let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap();
        assert_eq!(manifest.matches("[[bin]]").count(), targets.len());
        for name in targets {
            assert!(
                folder.join(format!("fuzz_targets/{name}.rs")).exists(),
                "{name}"
            );
            assert!(
                manifest.contains(&format!("fuzz_targets/{name}.rs")),
                "{name}"
            );
        }
    }

    #[test]
    fn bounds_are_a_time_or_a_number() {
        let bounds = |fuzz_runs| Bounds {
            fuzz_time: 10,
            fuzz_runs,
        };
        assert_eq!(bounds(None).arguments(), "-max_total_time=10");
        assert_eq!(bounds(Some(7)).arguments(), "-runs=7");
    }
}
