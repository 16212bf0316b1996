//! What hardway is made of may be used: licences, bans and sources as in deny.toml, and
//! no dependency with a known vulnerability.

use std::path::PathBuf;
use std::process::Command;

use super::Notes;
use super::runner::Runner;
use crate::compile;
use crate::failure::{Failure, OrFail, Result};
use crate::shell;

/// The version that is built where the machine has none; Debian has no package of it.
const VERSION: &str = "0.20.2";
/// What cargo-deny says when it can't get the list of vulnerabilities.
const NO_DATABASE: &str = "failed to fetch advisory database";

/// Checks licences, bans and sources, and vulnerabilities where their list can be had.
pub fn run(runner: &Runner) -> Result<Notes> {
    let program = program(runner)?;
    let check = |what: &[&str]| -> Result<Command> {
        let mut command = Command::new(&program);
        command.current_dir(compile::repository()?).arg("check");
        // Several versions of a crate are told of in deny.toml's words, but fail nothing.
        command.args(["--hide-inclusion-graph"]).args(what);
        Ok(command)
    };
    runner.run(
        check(&["licenses", "bans", "sources"])?,
        "check licences, bans and sources",
    )?;
    let what = "check for known vulnerabilities";
    let output = check(&["advisories"])?.output().or_fail(|| what)?;
    let said = String::from_utf8_lossy(&output.stderr);
    if said.contains(NO_DATABASE) {
        runner.print(&format!(
            "{what}: left out, their list can't be fetched from here\n"
        ))?;
        return Ok(vec![
            "left out: known vulnerabilities, whose list can't be fetched from here".to_owned(),
        ]);
    }
    runner.print(&said)?;
    if output.status.success() {
        Ok(Notes::new())
    } else {
        Err(Failure::new(what, output.status))
    }
}

/// The machine's cargo-deny, or else one that is built beside this tool's own build,
/// once, in about a minute.
fn program(runner: &Runner) -> Result<PathBuf> {
    if let Some(found) = shell::find_program("cargo-deny") {
        return Ok(found);
    }
    let folder = compile::binaries(compile::Profile::Release)?.with_file_name("tools");
    let program = folder.join("bin/cargo-deny");
    if !program.exists() {
        let mut command = compile::cargo()?;
        // It runs for seconds: optimising it would take longer.
        command.args(["install", "cargo-deny", "--locked", "--debug", "--quiet"]);
        command.args(["--version", VERSION, "--root"]).arg(&folder);
        // Nor is it debugged: without line numbers it takes a third less.
        command.env("CARGO_PROFILE_DEV_DEBUG", "false");
        runner.run(command, "build cargo-deny").map_err(|failure| {
            failure.way_out("install it yourself: cargo install cargo-deny --locked")
        })?;
    }
    Ok(program)
}
