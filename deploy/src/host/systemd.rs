//! systemd's units of a host.

use std::thread;
use std::time::{Duration, Instant};

use super::Layout;
use crate::failure::{Failure, Result};
use crate::shell;

/// Enables units, so that they start with the host.
///
/// # Errors
/// With what systemctl says.
pub fn enable(layout: &Layout, units: &[&str]) -> Result<String> {
    let root = format!("--root={}", layout.root().display());
    let mut arguments = vec!["--quiet", "enable"];
    if !layout.is_running() {
        arguments.push(&root);
    }
    arguments.extend(units);
    shell::run("systemctl", &arguments)?;
    Ok(String::new())
}

/// Runs units, `anew` those as well that run, and waits until all are ready.
///
/// # Errors
/// With what the first one that isn't ready in time logged last.
pub fn start(units: &[&str], anew: bool, patience: Duration) -> Result<String> {
    shell::run("systemctl", &["daemon-reload"])?;
    let verb = if anew { "restart" } else { "start" };
    let mut arguments = vec!["--no-block", verb];
    arguments.extend(units);
    shell::run("systemctl", &arguments)?;
    let began = Instant::now();
    for unit in units {
        wait(unit, began, patience)?;
    }
    Ok(String::new())
}

fn wait(unit: &str, began: Instant, patience: Duration) -> Result<()> {
    loop {
        let state = property(unit, "ActiveState")?;
        if state == "active" {
            return Ok(());
        }
        if began.elapsed() > patience {
            let log = ["--no-pager", "--output=cat", "--lines=5", "--unit", unit];
            let log = shell::run("journalctl", &log).unwrap_or_default();
            let seconds = patience.as_secs();
            return Err(Failure::new(
                format!("start {unit}"),
                format!(
                    "it is {state} after {seconds} s; its last words:\n{}",
                    log.trim_end()
                ),
            )
            .way_out(format!("see all of them:  journalctl --unit {unit}")));
        }
        thread::sleep(Duration::from_millis(100));
    }
}

/// Has units start anew, and waits for none of them.
///
/// # Errors
/// With what systemctl says.
pub fn restart_later(units: &[&str]) -> Result<String> {
    shell::run("systemctl", &["daemon-reload"])?;
    let arguments = [["--no-block", "restart"].as_slice(), units].concat();
    shell::run("systemctl", &arguments)?;
    Ok(String::new())
}

/// Whether a unit runs.
pub fn is_active(unit: &str) -> bool {
    shell::succeeds("systemctl", &["--quiet", "is-active", unit])
}

/// Whether a unit has processes, or is about to have some: one that starts listens before it
/// is active.
pub fn has_processes(unit: &str) -> bool {
    property(unit, "ActiveState").is_ok_and(|state| is_up(&state))
}

/// States as systemd(1) has them, under "Units".
fn is_up(state: &str) -> bool {
    !["inactive", "failed"].contains(&state)
}

fn property(unit: &str, name: &str) -> Result<String> {
    let property = format!("--property={name}");
    let said = shell::run("systemctl", &["show", "--value", &property, unit])?;
    Ok(said.trim().to_owned())
}

/// Stops units, and keeps them from starting with the host. Those that aren't installed
/// are no matter.
///
/// # Errors
/// With what systemctl says.
pub fn stop(layout: &Layout, units: &[&str]) -> Result<String> {
    let there = |unit: &&&str| {
        layout
            .path(&format!("usr/lib/systemd/system/{unit}"))
            .exists()
    };
    let units: Vec<&str> = units.iter().filter(there).copied().collect();
    if units.is_empty() {
        return Ok("none is installed".to_owned());
    }
    let root = format!("--root={}", layout.root().display());
    let mut arguments = match layout.is_running() {
        true => vec!["--quiet", "disable", "--now"],
        false => vec!["--quiet", "disable", &root],
    };
    arguments.extend(units);
    shell::run("systemctl", &arguments)?;
    Ok(String::new())
}

/// Gives files the owners and modes that `tmpfiles.d` says.
///
/// # Errors
/// If there is no such configuration.
pub fn apply_owners(layout: &Layout, configuration: &str) -> Result<String> {
    if !layout.is_running() {
        return Ok("at the first boot".to_owned());
    }
    shell::run("systemd-tmpfiles", &["--create", configuration])?;
    Ok(String::new())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_starts_listens_already() {
        for state in ["active", "reloading", "activating", "deactivating"] {
            assert!(is_up(state), "{state}");
        }
        assert!(!is_up("inactive") && !is_up("failed"));
    }
}
