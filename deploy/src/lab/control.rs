//! What the tool and a host's init process say to each other: one line of JSON
//! each way over a Unix socket in the host's folder.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::failure::{Failure, OrFail, Result};

const SOCKET: &str = "control.sock";
/// Longer than the longest a process gets to stop.
const PATIENCE: Duration = Duration::from_secs(30);

/// A process to run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    /// Its name in the lab.
    pub name: String,
    /// Program and arguments.
    pub command: Vec<String>,
    /// Environment on top of the inherited one.
    pub environment: BTreeMap<String, String>,
    /// Where its output is appended.
    pub log: PathBuf,
    /// Changes whenever the process must be restarted to be up to date.
    pub fingerprint: String,
}

/// What the tool asks.
#[derive(Debug, Serialize, Deserialize)]
pub enum Request {
    /// Start a process unless it runs.
    Start(Spec),
    /// End a process: politely and in the end by force, or by force at once.
    Stop {
        /// Its name.
        name: String,
        /// Whether to ask politely first.
        polite: bool,
    },
    /// Let a process stand still (SIGSTOP), or go on again (SIGCONT).
    Suspend {
        /// Its name.
        name: String,
        /// Whether it stands still from now on.
        still: bool,
    },
    /// Tell about all processes.
    List,
}

/// A process as its init process knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Its name in the lab.
    pub name: String,
    /// Its number in the host's own numbering, while it runs.
    pub pid: Option<i32>,
    /// When it was started, in seconds since 1970.
    pub started: u64,
    /// The fingerprint it was started with.
    pub fingerprint: String,
    /// How it ended, when it did.
    pub ended: Option<String>,
}

/// What the init process answers.
pub type Reply = std::result::Result<Vec<Process>, String>;

/// Asks the init process of the host with this folder.
pub fn ask(folder: &Path, request: &Request) -> Result<Vec<Process>> {
    let what = || format!("talk to the init process in {}", folder.display());
    let (_open, path) = socket(folder)?;
    let stream = UnixStream::connect(path).or_fail(what)?;
    stream.set_read_timeout(Some(PATIENCE)).or_fail(what)?;
    send(&stream, request).or_fail(what)?;
    let reply: Reply = receive(&stream).or_fail(what)?;
    reply.map_err(|why| Failure::new(what(), why))
}

/// Listens for requests in the folder, replacing what a dead one left.
pub fn listen(folder: &Path) -> Result<UnixListener> {
    let (_open, path) = socket(folder)?;
    let _ = std::fs::remove_file(&path);
    UnixListener::bind(&path).or_fail(|| format!("listen in {}", folder.display()))
}

/// A short path to the socket: the kernel allows 107 bytes, folders may be deeper.
fn socket(folder: &Path) -> Result<(File, PathBuf)> {
    let open = File::open(folder).or_fail(|| format!("open {}", folder.display()))?;
    let path = PathBuf::from(format!("/proc/self/fd/{}/{SOCKET}", open.as_raw_fd()));
    Ok((open, path))
}

/// Sends one message.
pub fn send(mut stream: &UnixStream, message: &impl Serialize) -> std::io::Result<()> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    stream.write_all(&line)
}

/// Receives one message.
pub fn receive<T: for<'de> Deserialize<'de>>(stream: &UnixStream) -> std::io::Result<T> {
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    Ok(serde_json::from_str(&line)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deep_folder_is_no_obstacle() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("deep".repeat(40));
        std::fs::create_dir(&folder).unwrap();
        let listener = listen(&folder).unwrap();
        let server = std::thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let request: Request = receive(&stream).unwrap();
            assert!(matches!(request, Request::Stop { polite: true, .. }));
            send(&stream, &Reply::Err("no such process".to_owned())).unwrap();
        });
        let request = Request::Stop {
            name: "etcd".to_owned(),
            polite: true,
        };
        assert_eq!(ask(&folder, &request).unwrap_err().why, "no such process");
        server.join().unwrap();
    }
}
