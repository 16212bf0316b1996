//! Shims: the processes of containerd that hold a pod's containers. One whose
//! sandbox containerd has forgotten holds them for ever.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::ffi::OsString;
use std::fs;
use std::path::Path;

/// What the programs are called, up to the version of their interface.
const PROGRAM: &str = "containerd-shim";
/// The namespace of containerd that pods are in.
const NAMESPACE: &str = "k8s.io";

/// A shim that runs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Shim {
    /// Its process.
    pub pid: i32,
    /// Id of its sandbox.
    pub id: String,
}

/// The shims of the containerd at this socket. Those of other mount namespaces
/// are another machine's, whatever their socket is called. `proc` is `/proc`.
pub fn find(proc: &Path, socket: &Path) -> Vec<Shim> {
    let namespace = |process: &str| fs::read_link(proc.join(process).join("ns/mnt")).ok();
    let own = namespace("self");
    let entries = fs::read_dir(proc).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let mut found = Vec::new();
    for name in names {
        let Ok(pid) = name.parse() else { continue };
        let Some(id) = sandbox(&proc.join(&name).join("cmdline"), socket) else {
            continue;
        };
        if own.is_some() && namespace(&name) == own {
            found.push(Shim { pid, id });
        }
    }
    found
}

/// The sandbox in the command line of a shim, if it is one of this socket.
fn sandbox(command: &Path, socket: &Path) -> Option<String> {
    let text = fs::read(command).ok()?;
    let text = String::from_utf8(text).ok()?;
    let mut words = text.split('\0');
    let program = Path::new(words.next()?).file_name()?.to_owned();
    if !program.to_string_lossy().starts_with(PROGRAM) {
        return None;
    }
    let words: Vec<&str> = words.collect();
    let value = |flag: &str| {
        let at = words.iter().position(|word| *word == flag)?;
        words.get(at + 1).copied()
    };
    let ours = value("-namespace") == Some(NAMESPACE)
        && value("-address").is_some_and(|address| Path::new(address) == socket);
    value("-id").filter(|_| ours).map(str::to_owned)
}

/// Kills a shim, and first what it holds.
pub fn end(shim: &Shim) {
    for child in children(Path::new("/proc"), shim.pid) {
        let _ = kill(Pid::from_raw(child), Signal::SIGKILL);
    }
    // It may be gone by itself once its last child is.
    let _ = kill(Pid::from_raw(shim.pid), Signal::SIGKILL);
}

fn children(proc: &Path, parent: i32) -> Vec<i32> {
    let entries = fs::read_dir(proc).into_iter().flatten().flatten();
    let is_child = |name: &OsString| {
        let stat = fs::read_to_string(proc.join(name).join("stat")).unwrap_or_default();
        // The name, in parentheses, may hold anything; state and parent follow.
        let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        rest.split_whitespace().nth(1).and_then(|p| p.parse().ok()) == Some(parent)
    };
    entries
        .map(|entry| entry.file_name())
        .filter(is_child)
        .filter_map(|name| name.to_str()?.parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use std::process::Command;

    #[test]
    fn only_shims_of_this_runtime_and_machine_are_found() {
        let dir = tempfile::tempdir().unwrap();
        let process = |name: &str, command: &[&str], mounts: &str| {
            let path = dir.path().join(name);
            fs::create_dir_all(path.join("ns")).unwrap();
            fs::write(path.join("cmdline"), command.join("\0") + "\0").unwrap();
            symlink(mounts, path.join("ns/mnt")).unwrap();
        };
        let shim = |namespace, id, socket| {
            [
                "/usr/bin/containerd-shim-runc-v2",
                "-namespace",
                namespace,
                "-id",
                id,
                "-address",
                socket,
            ]
        };
        process("self", &["kubelet"], "mnt:[1]");
        process("10", &shim("k8s.io", "ours", "/run/c.sock"), "mnt:[1]");
        process("11", &shim("k8s.io", "other", "/run/other.sock"), "mnt:[1]");
        process("12", &shim("moby", "docker", "/run/c.sock"), "mnt:[1]");
        process("13", &shim("k8s.io", "elsewhere", "/run/c.sock"), "mnt:[2]");
        process(
            "14",
            &[
                "sh",
                "-namespace",
                "k8s.io",
                "-id",
                "x",
                "-address",
                "/run/c.sock",
            ],
            "mnt:[1]",
        );
        let found = find(dir.path(), Path::new("/run/c.sock"));
        let ours = Shim {
            pid: 10,
            id: "ours".into(),
        };
        assert_eq!(found, [ours]);
    }

    #[test]
    fn a_shim_ends_with_what_it_holds() {
        let mut shim = Command::new("sh")
            .args(["-c", "sleep 600 & wait; exit 1"])
            .spawn()
            .unwrap();
        let pid = i32::try_from(shim.id()).unwrap();
        let proc = Path::new("/proc");
        let mut held = Vec::new();
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while held.is_empty() && std::time::Instant::now() < deadline {
            held = children(proc, pid);
            std::thread::yield_now();
        }
        assert_eq!(held.len(), 1);
        let id = "x".into();
        end(&Shim { pid, id });
        assert!(!shim.wait().unwrap().success());
        // Killed, and reaped by whoever it was left to, or about to be.
        let state = fs::read_to_string(proc.join(held[0].to_string()).join("stat"));
        let dead = |stat: String| stat.contains(") Z") || stat.contains(") X");
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        let mut gone = state.map_or(true, dead);
        while !gone && std::time::Instant::now() < deadline {
            let state = fs::read_to_string(proc.join(held[0].to_string()).join("stat"));
            gone = state.map_or(true, dead);
            std::thread::yield_now();
        }
        assert!(gone);
    }
}
