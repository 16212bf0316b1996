//! Starting, ending and finding the processes of the lab.

use std::fs;
use std::path::{Path, PathBuf};

use super::Lab;
use super::control::{self, Process, Request, Spec};
use super::node;
use crate::components;
use crate::failure::{Failure, Result};
use crate::plan::Host;

/// What `converge` did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It was running and up to date.
    Kept,
    /// It was not running.
    Started,
    /// It was running with an old binary, configuration or certificate.
    Restarted,
}

/// Makes a process run in its current form.
pub fn converge(lab: &Lab, host: &Host, spec: &Spec) -> Result<Change> {
    let folder = lab.disk(host);
    let running = control::ask(&folder, &Request::List)?
        .into_iter()
        .find(|process| process.name == spec.name && process.pid.is_some());
    let change = match running {
        Some(process) if process.fingerprint == spec.fingerprint => return Ok(Change::Kept),
        Some(_) => {
            control::ask(
                &folder,
                &Request::Stop {
                    name: spec.name.clone(),
                    polite: true,
                },
            )?;
            Change::Restarted
        }
        None => Change::Started,
    };
    control::ask(&folder, &Request::Start(spec.clone()))?;
    Ok(change)
}

/// Ends a process.
pub fn stop(lab: &Lab, host: &Host, name: &str, polite: bool) -> Result<()> {
    control::ask(
        &lab.disk(host),
        &Request::Stop {
            name: name.to_owned(),
            polite,
        },
    )
    .map(|_| ())
}

/// Lets a process stand still, or go on again.
pub fn suspend(lab: &Lab, host: &Host, name: &str, still: bool) -> Result<()> {
    control::ask(
        &lab.disk(host),
        &Request::Suspend {
            name: name.to_owned(),
            still,
        },
    )
    .map(|_| ())
}

/// Fails when a process that was started has ended by itself.
pub fn check_alive(lab: &Lab, host: &Host, name: &str) -> Result<()> {
    let processes = control::ask(&lab.disk(host), &Request::List)?;
    match processes.into_iter().find(|process| process.name == name) {
        Some(Process {
            ended: Some(how), ..
        }) => Err(Failure::new(format!("{name}@{} ended", host.name), how)),
        _ => Ok(()),
    }
}

/// The processes a `PROCESS[@HOST]` names; without a host, all of that name.
pub fn find(lab: &Lab, name: &str) -> Result<Vec<(Host, Spec)>> {
    let (process, wanted) = match name.split_once('@') {
        Some((process, host)) => (process, Some(lab.host(host)?.name)),
        None => (name, None),
    };
    let hosts = lab.plan.hosts();
    let mut known = Vec::new();
    let mut found = Vec::new();
    for host in hosts
        .into_iter()
        .filter(|host| wanted.as_ref().is_none_or(|name| *name == host.name))
    {
        for spec in components::specs(lab, &host) {
            known.push(format!("{}@{}", spec.name, host.name));
            if spec.name == process {
                found.push((host.clone(), spec));
            }
        }
    }
    if found.is_empty() {
        return Err(Failure::new(
            format!("find process {name}"),
            "the lab has none of that name",
        )
        .way_out(format!("processes are: {}", known.join(", "))));
    }
    Ok(found)
}

/// A process as the machine sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// Its number in the machine's numbering.
    pub pid: i32,
    /// Its resident memory in KiB.
    pub resident: u64,
}

/// Finds a host's process on the machine by its number inside the host.
pub fn seen(lab: &Lab, host: &Host, inner: i32) -> Option<Seen> {
    let init = node::init_pid(lab, host)?;
    children(init).into_iter().find_map(|pid| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let (own, resident) = read_status(&status)?;
        (own == inner).then_some(Seen { pid, resident })
    })
}

/// Children of a process, of all its threads.
pub fn children(pid: i32) -> Vec<i32> {
    let threads = fs::read_dir(format!("/proc/{pid}/task"))
        .into_iter()
        .flatten()
        .flatten();
    let lists =
        threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    lists
        .flat_map(|list| {
            list.split_whitespace()
                .filter_map(|pid| pid.parse().ok())
                .collect::<Vec<_>>()
        })
        .collect()
}

/// The innermost number and the resident KiB in a /proc/PID/status.
fn read_status(status: &str) -> Option<(i32, u64)> {
    let line = |key: &str| status.lines().find_map(|line| line.strip_prefix(key));
    let inner = line("NSpid:")?.split_whitespace().last()?.parse().ok()?;
    let resident = line("VmRSS:").and_then(|text| text.split_whitespace().next()?.parse().ok());
    Some((inner, resident.unwrap_or(0)))
}

/// What a restart depends on besides the command: the binary and the files it reads.
pub fn fingerprint(command: &[String], reads: &[PathBuf]) -> String {
    use sha2::{Digest, Sha256};
    use std::os::unix::fs::MetadataExt;
    let mut digest = Sha256::new();
    for word in command {
        digest.update(word.as_bytes());
        digest.update([0]);
    }
    if let Some(binary) = command
        .first()
        .and_then(|path| fs::metadata(Path::new(path)).ok())
    {
        for number in [
            binary.len().cast_signed(),
            binary.mtime(),
            binary.mtime_nsec(),
        ] {
            digest.update(number.to_le_bytes());
        }
    }
    for file in reads {
        digest.update(fs::read(file).unwrap_or_default());
        digest.update([0]);
    }
    digest
        .finalize()
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_tells_the_inner_number_and_memory() {
        let status = "Name:\tx\nNSpid:\t4242\t17\nVmRSS:\t    5120 kB\n";
        assert_eq!(read_status(status), Some((17, 5120)));
        assert_eq!(read_status("Name:\tx\n"), None);
    }

    #[test]
    fn fingerprints_follow_command_binary_and_files() {
        let folder = tempfile::tempdir().unwrap();
        let (binary, config) = (folder.path().join("binary"), folder.path().join("config"));
        fs::write(&binary, "1").unwrap();
        fs::write(&config, "a").unwrap();
        let command = |flag: &str| vec![binary.display().to_string(), flag.to_owned()];
        let take = |flag: &str| fingerprint(&command(flag), std::slice::from_ref(&config));
        let first = take("-a");
        assert_eq!(first, take("-a"));
        assert_ne!(first, take("-b"));
        fs::write(&config, "b").unwrap();
        let second = take("-a");
        assert_ne!(first, second);
        fs::write(&binary, "12").unwrap();
        assert_ne!(second, take("-a"));
    }
}
