//! Where commands are typed: a shell with kubectl, in the folder of the manifests.

use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use super::lines::plain;
use crate::failure::{Failure, OrFail, Result};
use crate::http;
use crate::shell;

/// A command that should end by itself is ended after so many seconds.
const SECONDS: &str = "60";
/// The oldest kubectl the tutorial is tested with: minor of version 1.
const OLDEST: u32 = 27;
const GET_ONE: &str = "install kubectl (https://kubernetes.io/docs/tasks/tools/), or name yours \
                       in the variable KUBECTL, and try again";

/// The shell.
#[derive(Debug, Clone)]
pub struct Terminal {
    folder: PathBuf,
    kubeconfig: PathBuf,
    path: std::ffi::OsString,
}

/// What came of a command.
#[derive(Debug)]
pub struct Output {
    /// Whether it succeeded.
    pub success: bool,
    /// All it printed, complaints included.
    pub printed: String,
}

impl Terminal {
    /// A shell in a folder, with a kubeconfig of its own and the kubectl of $KUBECTL or
    /// $PATH; `scratch` is a folder for what it needs.
    pub fn open(folder: &Path, kubeconfig: &Path, scratch: &Path) -> Result<Self> {
        let mut path = std::env::var_os("PATH").unwrap_or_default();
        if let Some(named) = std::env::var_os("KUBECTL") {
            // Commands say `kubectl`, so the one asked for has to be found by this name.
            let link = scratch.join("kubectl");
            let what = || format!("use kubectl {}", named.display());
            match std::fs::remove_file(&link) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(error).or_fail(what);
                }
                _ => std::os::unix::fs::symlink(&named, &link).or_fail(what)?,
            }
            let mut folders = vec![scratch.to_owned()];
            folders.extend(std::env::split_paths(&path));
            path = std::env::join_paths(folders).or_fail(what)?;
        } else if shell::find_program("kubectl").is_none() {
            return Err(Failure::new("find kubectl", "there is none in the PATH").way_out(GET_ONE));
        }
        let terminal = Self {
            folder: folder.to_owned(),
            kubeconfig: kubeconfig.to_owned(),
            path,
        };
        terminal.check_version()?;
        Ok(terminal)
    }

    fn check_version(&self) -> Result<()> {
        let what = "ask kubectl for its version";
        let output = self.run("kubectl version --client -o json")?;
        let said: Option<Value> = serde_json::from_str(&output.printed).ok();
        let version = said
            .as_ref()
            .and_then(|said| said["clientVersion"]["gitVersion"].as_str());
        let Some(version) = version.filter(|_| output.success) else {
            return Err(Failure::new(what, output.printed.trim()).way_out(GET_ONE));
        };
        match minor(version) {
            Some(minor) if minor >= OLDEST => Ok(()),
            Some(_) => Err(Failure::new(
                "walk through the tutorial",
                format!("kubectl is {version}, which is too old; it takes v1.{OLDEST} or later"),
            )
            .way_out(GET_ONE)),
            None => Err(Failure::new(what, format!("it says {version}")).way_out(GET_ONE)),
        }
    }

    /// Runs a command to its end.
    pub fn run(&self, command: &str) -> Result<Output> {
        if let Some(url) = command.strip_prefix("curl ") {
            return Ok(visit(url));
        }
        let output = self
            .shell(command)
            .output()
            .or_fail(|| format!("run {command}"))?;
        Ok(Output {
            success: output.status.success(),
            printed: plain(&String::from_utf8_lossy(&output.stdout)),
        })
    }

    /// Runs a command that must succeed; tells what it printed.
    pub fn must(&self, command: &str) -> Result<String> {
        let output = self.run(command)?;
        if output.success {
            Ok(output.printed)
        } else {
            Err(Failure::new(command, output.printed.trim()))
        }
    }

    /// What a command that prints JSON prints.
    pub fn json(&self, command: &str) -> Result<Value> {
        let printed = self.must(command)?;
        serde_json::from_str(&printed).or_fail(|| command)
    }

    /// Starts a command that goes on until it is dropped.
    pub fn start(&self, command: &str) -> Result<Running> {
        let what = || format!("start {command}");
        let mut child = self.shell(command).spawn().or_fail(what)?;
        let printed = Arc::new(Mutex::new(String::new()));
        if let Some(stream) = child.stdout.take() {
            collect(stream, Arc::clone(&printed));
        }
        Ok(Running { child, printed })
    }

    fn shell(&self, command: &str) -> Command {
        let mut shell = Command::new("env");
        shell
            // The walk itself keeps these signals away, which its children would inherit.
            .args(["--default-signal=TERM,INT", "timeout", "--kill-after=5"])
            .args([SECONDS, "sh", "-c"])
            .arg(format!("exec 2>&1; {command}"))
            .current_dir(&self.folder)
            .env("KUBECONFIG", &self.kubeconfig)
            .env("PATH", &self.path)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        shell
    }
}

/// Minor of `v1.MINOR.PATCH`.
fn minor(version: &str) -> Option<u32> {
    let rest = version.strip_prefix("v1.")?;
    let digits = rest
        .split(|character: char| !character.is_ascii_digit())
        .next()?;
    digits.parse().ok()
}

/// What curl would print; it need not be installed for this.
fn visit(url: &str) -> Output {
    let answer = url
        .strip_prefix("http://")
        .and_then(|rest| rest.strip_suffix('/'))
        .and_then(|address| address.parse::<SocketAddr>().ok())
        .ok_or_else(|| Failure::new(format!("visit {url}"), "it is no http://ADDRESS:PORT/"))
        .and_then(page);
    match answer {
        Ok(page) => Output {
            success: true,
            printed: page,
        },
        Err(failure) => Output {
            success: false,
            printed: failure.to_string(),
        },
    }
}

/// The page at a port of a host.
pub fn visit_port(address: Ipv4Addr, port: u16) -> Result<String> {
    page(SocketAddr::from((address, port)))
}

fn page(address: SocketAddr) -> Result<String> {
    let answer = http::get_plain(address, "/", "")?;
    let page = String::from_utf8_lossy(&answer.body).into_owned();
    if answer.status == 200 {
        return Ok(page);
    }
    Err(Failure::new(
        format!("GET http://{address}/"),
        format!("{}: {}", answer.status, page.trim()),
    ))
}

fn collect(stream: impl Read + Send + 'static, printed: Arc<Mutex<String>>) {
    std::thread::spawn(move || {
        for line in BufReader::new(stream)
            .split(b'\n')
            .map_while(std::io::Result::ok)
        {
            let line = plain(&String::from_utf8_lossy(&line));
            let mut printed = printed.lock().unwrap_or_else(PoisonError::into_inner);
            printed.push_str(&line);
            printed.push('\n');
        }
    });
}

/// A command that goes on; dropped, it is ended.
#[derive(Debug)]
pub struct Running {
    child: Child,
    printed: Arc<Mutex<String>>,
}

impl Running {
    /// All whole lines it printed so far.
    pub fn printed(&self) -> String {
        self.printed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // `timeout` passes it on to the command. It may have ended by itself.
        if let Ok(pid) = i32::try_from(self.child.id()) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
        drop(self.child.wait());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_their_minor() {
        assert_eq!(minor("v1.32.4-dispatcher"), Some(32));
        assert_eq!(minor("v1.9.0"), Some(9));
        assert_eq!(minor("v2.0.0"), None);
    }

    #[test]
    fn only_plain_addresses_are_visited() {
        assert!(!visit("https://10.0.0.1/").success);
    }

    #[test]
    fn a_shell_runs_what_is_typed() {
        let terminal = Terminal {
            folder: std::env::temp_dir(),
            kubeconfig: PathBuf::from("/nonexistent"),
            path: std::env::var_os("PATH").unwrap_or_default(),
        };
        let output = terminal
            .run("echo 'a  b' | cat; echo no >&2; exit 3")
            .unwrap();
        assert_eq!(
            (output.success, output.printed.as_str()),
            (false, "a  b\nno\n")
        );
        // As when the walk listens for Ctrl-C.
        let signals: nix::sys::signal::SigSet = [Signal::SIGTERM].into_iter().collect();
        signals.thread_block().unwrap();
        let began = std::time::Instant::now();
        let running = terminal.start("echo begun; sleep 50").unwrap();
        while running.printed() != "begun\n" {
            std::thread::yield_now();
        }
        drop(running);
        assert!(began.elapsed() < std::time::Duration::from_secs(4));
    }
}
