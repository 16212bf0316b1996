//! Building the components and the programs inside the images.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::failure::{Failure, OrFail, Result};

/// The repository this tool was built from.
pub fn repository() -> Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap_or(Path::new("/"));
    if root.join("Cargo.toml").exists() {
        return Ok(root.to_owned());
    }
    Err(Failure::new(
        "find the sources of hardway",
        format!("{} is gone", root.display()),
    )
    .way_out("run `cargo hardway` inside a clone of the repository"))
}

/// Which build of the components to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// Optimised.
    Release,
    /// Quick to build.
    Debug,
}

/// The folder in which cargo leaves the binaries of a profile.
pub fn binaries(profile: Profile) -> Result<PathBuf> {
    Ok(target()?.join(match profile {
        Profile::Release => "release",
        Profile::Debug => "debug",
    }))
}

/// Cargo's folder of builds: the one this tool is in, or, where it was installed elsewhere,
/// that of the repository.
fn target() -> Result<PathBuf> {
    let tool = std::env::current_exe().or_fail(|| "find this program")?;
    let folder = tool.parent().unwrap_or(Path::new("/"));
    let is_build = folder.ends_with("release") || folder.ends_with("debug");
    match folder.parent().filter(|_| is_build) {
        Some(target) => Ok(target.to_owned()),
        None => Ok(repository()?.join("target")),
    }
}

/// The commit that is checked out, if this is a git repository without changes.
pub fn commit() -> Option<String> {
    let root = repository().ok()?.display().to_string();
    let git = |arguments: &[&str]| {
        let arguments = [&["-C", &*root], arguments].concat();
        crate::shell::run("git", &arguments).ok()
    };
    let changes = git(&["status", "--porcelain", "--untracked-files=no"])?;
    let commit = git(&["rev-parse", "HEAD"]).filter(|_| changes.is_empty())?;
    Some(commit.trim().to_owned())
}

/// Builds the components, which say that they are of this commit; cargo's own progress goes
/// to the terminal.
pub fn components(profile: Profile, packages: &[&str], commit: Option<&str>) -> Result<()> {
    let mut command = cargo()?;
    command.arg("build");
    if let Some(commit) = commit {
        command.env("HARDWAY_COMMIT", commit);
    }
    if profile == Profile::Release {
        command.arg("--release");
    }
    for package in packages {
        command.args(["--package", package]);
    }
    finish(command, "build the components")
}

/// Builds the components, not optimised, as `cargo test --workspace` builds them: what it has
/// built is not built again with other features. Cargo chooses these by whether there is a
/// test among the targets, so that there is one, and a small one.
pub fn components_as_for_tests() -> Result<()> {
    let mut command = cargo()?;
    command.args(["build", "--workspace", "--bins", "--test", "dependencies"]);
    finish(command, "build the components")
}

/// Builds the programs of the images, linked statically; returns their folder.
pub fn image_programs() -> Result<PathBuf> {
    let triple = host_triple()?;
    // A target of its own, named, so that the linking flag reaches no build script
    // and the workspace's other builds are not disturbed.
    let target = binaries(Profile::Release)?.with_file_name("images");
    let mut command = cargo()?;
    command
        .args([
            "build",
            "--release",
            "--quiet",
            "--package",
            "hardway-images",
            "--target",
            &triple,
        ])
        .arg("--target-dir")
        .arg(&target)
        .env("RUSTFLAGS", "-C target-feature=+crt-static");
    finish(command, "build the programs of the images")?;
    Ok(target.join(triple).join("release"))
}

/// A cargo that works in the repository, by the toolchain that built this tool.
pub fn cargo() -> Result<Command> {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    command.current_dir(repository()?).stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(is_about_this_package) {
            command.env_remove(name);
        }
    }
    Ok(command)
}

/// Whether `cargo run` set the variable to tell this tool of itself. Build scripts of
/// dependencies watch some of these: passed on, they would have everything built anew
/// each time, once with them and once without.
fn is_about_this_package(variable: &str) -> bool {
    [
        "CARGO_MANIFEST_",
        "CARGO_PKG_",
        "CARGO_BIN_",
        "CARGO_CRATE_",
        "CARGO_PRIMARY_",
    ]
    .iter()
    .any(|prefix| variable.starts_with(prefix))
}

/// Runs a command whose output goes to the terminal.
pub fn finish(mut command: Command, what: &str) -> Result<()> {
    let status = command.status().or_fail(|| what)?;
    if status.success() {
        return Ok(());
    }
    Err(Failure::new(what, format!("{status}; its output is above")))
}

/// What this toolchain builds for.
pub fn host_triple() -> Result<String> {
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let said = crate::shell::run(&rustc, &["--version", "--verbose"])?;
    said.lines()
        .find_map(|line| line.strip_prefix("host: "))
        .map(str::to_owned)
        .ok_or_else(|| Failure::new("ask rustc for its host", "it does not say"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cargo_run_says_of_this_tool_is_not_passed_on() {
        let command = cargo().expect("a cargo");
        let removed: Vec<_> = command
            .get_envs()
            .filter(|(_, value)| value.is_none())
            .filter_map(|(name, _)| name.to_str())
            .collect();
        // Cargo sets these for tests as it does for `cargo run`.
        assert!(removed.contains(&"CARGO_MANIFEST_DIR"), "{removed:?}");
        assert!(removed.contains(&"CARGO_PKG_NAME"), "{removed:?}");
        assert!(!is_about_this_package("CARGO_HOME"));
        assert!(!is_about_this_package("CARGO_TARGET_DIR"));
    }
}
