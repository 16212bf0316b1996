//! What goes wrong on command: a file `faults/CALL` in the driver's folder that says `hang`, or
//! `fail CODE MESSAGE` with the number of a gRPC code. Calls are noted in the file `calls`, a
//! line each: the call, its volume and its target.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use tonic::{Code, Status};

/// The commands of a driver.
#[derive(Clone, Debug)]
pub struct Faults {
    root: PathBuf,
}

impl Faults {
    /// Those in a folder.
    pub fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
        }
    }

    /// Commands a call to go wrong from now on.
    pub fn set(&self, call: &str, command: &str) {
        let folder = self.root.join("faults");
        let done = fs::create_dir_all(&folder).and_then(|()| fs::write(folder.join(call), command));
        done.expect("the driver's folder can be written");
    }

    /// Takes that back.
    pub fn clear(&self, call: &str) {
        // It may be clear already.
        let _ = fs::remove_file(self.root.join("faults").join(call));
    }

    /// All calls so far, in order.
    pub fn calls(&self) -> Vec<String> {
        let text = fs::read_to_string(self.root.join("calls")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// How often a call was made.
    pub fn count(&self, call: &str) -> usize {
        let calls = self.calls();
        let of = |line: &&String| line.split(' ').next() == Some(call);
        calls.iter().filter(of).count()
    }

    /// Notes a call, and does to it what is commanded.
    pub(crate) async fn meet(&self, call: &str, volume: &str, target: &str) -> Result<(), Status> {
        let mut log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.root.join("calls"))?;
        log.write_all(format!("{call} {volume} {target}\n").as_bytes())?;
        let command = fs::read_to_string(self.root.join("faults").join(call)).unwrap_or_default();
        let mut words = command.trim().splitn(3, ' ');
        match words.next() {
            Some("hang") => std::future::pending().await,
            Some("fail") => {
                let code = words
                    .next()
                    .and_then(|word| word.parse().ok())
                    .unwrap_or(13);
                Err(Status::new(
                    Code::from_i32(code),
                    words.next().unwrap_or("as commanded"),
                ))
            }
            _ => Ok(()),
        }
    }
}
