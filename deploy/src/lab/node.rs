//! A host's life: switched on, switched off by force, entered.

use std::fs::{self, OpenOptions};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::control::{self, Request};
use super::mount_points::MountPoints;
use super::{Lab, init, network, process};
use crate::call;
use crate::failure::{Failure, OrFail, Result};
use crate::plan::Host;
use crate::shell;

const PATIENCE: Duration = Duration::from_secs(10);

/// Number of the host's init process on the machine, while it lives.
pub fn init_pid(lab: &Lab, host: &Host) -> Option<i32> {
    process::children(launcher_pid(lab, host)?).first().copied()
}

/// The launcher waits for the init process; when it dies so does all of the host.
fn launcher_pid(lab: &Lab, host: &Host) -> Option<i32> {
    let note = fs::read_to_string(note(lab, host)).ok()?;
    let (pid, began) = note.trim().split_once(' ')?;
    let pid = pid.parse().ok()?;
    // The number alone may belong to another process by now.
    (start_time(pid)? == began).then_some(pid)
}

/// What tells this start of a host from others; nodes report it.
pub fn boot_id(lab: &Lab, host: &Host) -> Option<String> {
    let path = format!("/proc/{}/root{}", init_pid(lab, host)?, init::BOOT_ID);
    let text = fs::read_to_string(path).ok()?;
    Some(text.trim().to_owned())
}

fn note(lab: &Lab, host: &Host) -> PathBuf {
    lab.disk(host).join("launcher.pid")
}

/// When a living process began, in the kernel's ticks.
fn start_time(pid: i32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    (*fields.first()? != "Z").then(|| fields.get(19).map(|field| (*field).to_owned()))?
}

/// Whether the host is on and answers.
pub fn is_on(lab: &Lab, host: &Host) -> bool {
    launcher_pid(lab, host).is_some() && control::ask(&lab.disk(host), &Request::List).is_ok()
}

/// Switches a host on, unless it is; says whether it had to.
pub fn switch_on(lab: &Lab, host: &Host) -> Result<bool> {
    network::ensure_host(&lab.plan, host)?;
    if is_on(lab, host) {
        return Ok(false);
    }
    end(lab, host)?;
    // Held until the host has mounted its own over them.
    let points = MountPoints::lock()?;
    points.ensure(init::OWN_FOLDERS)?;
    let disk = lab.disk(host);
    shell::make_directory(&disk.join("log"))?;
    let what = || format!("switch on host {}", host.name);
    let log_path = lab.log(host, "init");
    let log = OpenOptions::new()
        .create(true)
        .append(true)
        .open(&log_path)
        .or_fail(what)?;
    let errors = log.try_clone().or_fail(what)?;
    let tool = std::env::current_exe().or_fail(what)?;
    // A namespace of mounts, processes and names inside the network namespace.
    // `ip netns exec` would hide the machine's cgroups.
    let mut child = Command::new("setsid")
        .arg("nsenter")
        .arg(format!("--net=/run/netns/{}", host.namespace))
        .args([
            "unshare",
            "--mount",
            "--pid",
            "--uts",
            "--fork",
            "--kill-child=SIGKILL",
        ])
        .args(["--mount-proc", "--propagation", "slave", "--"])
        .arg(tool)
        .args(["node-init", &host.name])
        .arg(&disk)
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(errors)
        .spawn()
        .or_fail(what)?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        let pid = child.id().cast_signed();
        if let Some(began) = start_time(pid) {
            shell::write_file(
                &note(lab, host),
                format!("{pid} {began}\n").as_bytes(),
                0o644,
            )?;
        }
        if is_on(lab, host) {
            return Ok(true);
        }
        let ended = child.try_wait().or_fail(what)?;
        if ended.is_some() || Instant::now() > deadline {
            let said = shell::last_lines(&log_path, 5).join("\n");
            return Err(Failure::new(
                what(),
                if said.is_empty() {
                    "its init process does not answer"
                } else {
                    &said
                },
            )
            .way_out(format!("see {}", log_path.display())));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Switches a host off as a power cut does: processes, mounts, links, routes and
/// rules are gone at once; its disk stays.
pub fn switch_off(lab: &Lab, host: &Host) -> Result<()> {
    end(lab, host)?;
    network::remove_host(host)?;
    remove_cgroups(&host.cgroup)
}

/// Ends all processes of a host and waits until they are gone.
fn end(lab: &Lab, host: &Host) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    // The launcher ends at once, its child only when all of the host is gone.
    let first = init_pid(lab, host).and_then(|pid| Some((pid, start_time(pid)?)));
    loop {
        let launcher = launcher_pid(lab, host);
        let first = first
            .iter()
            .filter(|(pid, began)| start_time(*pid).as_ref() == Some(began));
        let own = launcher.into_iter().chain(first.map(|(pid, _)| *pid));
        // Others only when the notes were lost, by a lab whose folder was deleted.
        let pids = own.chain(pids_in(&host.namespace));
        let pids: Vec<i32> = pids.filter(|pid| start_time(*pid).is_some()).collect();
        if pids.is_empty() {
            return Ok(());
        }
        if Instant::now() > deadline {
            let what = format!("switch off host {}", host.name);
            return Err(Failure::new(what, "its processes do not end"));
        }
        // With its first process a namespace loses all others, pods included.
        for pid in pids {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Processes in a network namespace.
fn pids_in(namespace: &str) -> Vec<i32> {
    if !Path::new("/run/netns").join(namespace).exists() {
        return Vec::new();
    }
    let listed = shell::run("ip", &["netns", "pids", namespace]).unwrap_or_default();
    listed
        .split_whitespace()
        .filter_map(|pid| pid.parse().ok())
        .collect()
}

/// Removes a host's cgroups, in each hierarchy the machine has.
fn remove_cgroups(name: &str) -> Result<()> {
    let root = Path::new("/sys/fs/cgroup");
    let mut roots = vec![root.to_owned()];
    let hierarchies = fs::read_dir(root).into_iter().flatten().flatten();
    roots.extend(
        hierarchies
            .map(|entry| entry.path())
            .filter(|path| path.is_dir()),
    );
    let deadline = Instant::now() + PATIENCE;
    for group in roots.iter().map(|root| root.join(name)) {
        while let Err(error) = remove_cgroup(&group) {
            // The last processes may still be on their way out.
            if Instant::now() > deadline {
                return Err(Failure::new(
                    format!("remove cgroup {}", group.display()),
                    error,
                ));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    Ok(())
}

fn remove_cgroup(group: &Path) -> std::io::Result<()> {
    let Ok(entries) = fs::read_dir(group) else {
        return Ok(());
    };
    for entry in entries
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
    {
        remove_cgroup(&entry.path())?;
    }
    fs::remove_dir(group)
}

/// Replaces this process by a program inside a host; returns only on failure.
pub fn enter(lab: &Lab, host: &Host, command: &[String]) -> Failure {
    match inside(lab, host) {
        Err(failure) => failure,
        Ok(inside) => {
            let error = Command::new(&inside[0])
                .args(&inside[1..])
                .args(command)
                .exec();
            Failure::new(format!("run a program on host {}", host.name), error)
        }
    }
}

/// The words before a command that have it run inside a host.
///
/// # Errors
/// If the host is off.
pub fn inside(lab: &Lab, host: &Host) -> Result<Vec<String>> {
    let init =
        init_pid(lab, host).ok_or_else(|| {
            Failure::new(format!("run a program on host {}", host.name), "it is off").way_out(
                format!("switch it on: {} node start {}", call::tool(), host.name),
            )
        })?;
    let words = ["nsenter", "--target", &init.to_string()].map(str::to_owned);
    let spaces = ["--mount", "--net", "--pid", "--uts", "--"].map(str::to_owned);
    Ok(words.into_iter().chain(spaces).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_are_told_apart_by_when_they_began() {
        let own = std::process::id().cast_signed();
        assert_eq!(start_time(own), start_time(own));
        assert!(start_time(own).is_some());
        assert_eq!(start_time(-1), None);
    }

    #[test]
    fn cgroups_go_from_the_leaves_up() {
        let folder = tempfile::tempdir().unwrap();
        let group = folder.path().join("lab-worker-1");
        fs::create_dir_all(group.join("kubepods/burstable/pod1")).unwrap();
        remove_cgroup(&group).unwrap();
        assert!(!group.exists());
        remove_cgroup(&group).unwrap();
    }
}
