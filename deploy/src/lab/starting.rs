//! Starting a host's processes and waiting until each does its work.

use std::time::{Duration, Instant};

use super::process::{self, Change};
use super::{Lab, config, node};
use crate::components::{self, kubernetes};
use crate::failure::{Failure, Result};
use crate::health;
use crate::plan::Host;
use crate::shell;

/// How long a process may take until it does its work.
const PATIENCE: Duration = Duration::from_secs(60);
const LOG_LINES: usize = 20;

/// Switches a host on with its configuration in place; says whether it was off.
pub fn switch_on(lab: &Lab, host: &Host) -> Result<bool> {
    if host.role.is_control_plane() {
        config::ensure_registry(lab, host)?;
    }
    if host.role.runs_pods() {
        config::ensure_worker(lab, host)?;
    }
    for spec in components::specs(lab, host) {
        shell::make_directory(&lab.state(host, &spec.name))?;
        if lab.has_faults() {
            shell::make_directory(&lab.faults(host, &spec.name))?;
        }
    }
    node::switch_on(lab, host)
}

/// Makes one process run in its current form, without waiting for it.
pub fn start(lab: &Lab, host: &Host, name: &str) -> Result<Change> {
    if let Some(program) = lab.swapped(host, name) {
        kubernetes::prepare(lab, host, name, program)?;
    }
    process::converge(lab, host, &components::spec(lab, host, name))
}

/// Waits until a process does its work.
pub fn wait_healthy(lab: &Lab, host: &Host, name: &str) -> Result<()> {
    let path = if name == "apiserver" {
        "/readyz"
    } else {
        "/healthz"
    };
    wait(lab, host, name, PATIENCE, || {
        health::check(lab, host, name, path)
    })
}

/// Starts all processes of a host and waits until each does its work. The others
/// need the store or the container runtime, so those come first.
pub fn start_all(lab: &Lab, host: &Host) -> Result<()> {
    let specs = components::specs(lab, host);
    let (first, others): (Vec<_>, Vec<_>) = specs
        .iter()
        .partition(|spec| ["etcd", "containerd"].contains(&spec.name.as_str()));
    for group in [first, others] {
        for spec in &group {
            start(lab, host, &spec.name)?;
        }
        for spec in &group {
            wait_healthy(lab, host, &spec.name)?;
        }
    }
    Ok(())
}

/// Waits until `check` succeeds. When the process ends or time runs out, the
/// failure tells what its log says last.
pub fn wait(
    lab: &Lab,
    host: &Host,
    name: &str,
    patience: Duration,
    check: impl Fn() -> Result<()>,
) -> Result<()> {
    let deadline = Instant::now() + patience;
    loop {
        let failure = match check() {
            Ok(()) => return Ok(()),
            Err(failure) => failure,
        };
        if let Err(ended) = process::check_alive(lab, host, name) {
            return Err(with_log(lab, host, name, ended));
        }
        if Instant::now() > deadline {
            let why = format!("not after {} s: {failure}", patience.as_secs());
            let failure = Failure::new(format!("wait for {name}@{}", host.name), why);
            return Err(with_log(lab, host, name, failure));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn with_log(lab: &Lab, host: &Host, name: &str, failure: Failure) -> Failure {
    let log = lab.log(host, name);
    let lines = shell::last_lines(&log, LOG_LINES);
    let lines: String = lines.iter().map(|line| format!("    {line}\n")).collect();
    failure.way_out(format!(
        "the end of its log:\n{lines}  all of it: {}",
        log.display()
    ))
}
