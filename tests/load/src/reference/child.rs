//! A process that ends when its value goes, and also when this program is killed.

use crate::failure::Failure;
use crate::process::Watched;
use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A process of ours, and where its output goes.
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Process {
    /// Starts a program; its output goes to `NAME.log` in a folder. The kernel kills it when
    /// this program ends in whatever way, for which it is started through setpriv(1).
    ///
    /// # Errors
    /// If there is no such program.
    pub fn start(
        name: &str,
        program: &Path,
        arguments: &[String],
        folder: &Path,
    ) -> Result<Self, Failure> {
        let fail = |error: std::io::Error| {
            let way_out = "is it there, may it be run, and is setpriv (util-linux) installed?";
            Failure::new(format!("start {}", program.display()), error, way_out)
        };
        let log = folder.join(format!("{name}.log"));
        let output = File::create(&log).map_err(fail)?;
        let errors = output.try_clone().map_err(fail)?;
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--"])
            .arg(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .spawn()
            .map_err(fail)?;
        Ok(Self {
            name: name.to_owned(),
            child,
            log,
        })
    }

    /// Ends it, if it hasn't ended. It need not do so in order: what it holds is thrown away, or
    /// read again by the next one.
    pub fn stop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// As whom its costs are measured. setpriv becomes the program itself, so that the number
    /// is the program's.
    pub fn watched(&self) -> Watched {
        Watched {
            name: self.name.clone(),
            pid: self.child.id(),
        }
    }

    /// Fails if it has ended, with the last lines that it wrote.
    ///
    /// # Errors
    /// If it has.
    pub fn check(&mut self) -> Result<(), Failure> {
        let ended = match self.child.try_wait() {
            Ok(None) => return Ok(()),
            Ok(Some(status)) => format!("it ended with {status}: {}", self.last_lines()),
            Err(error) => error.to_string(),
        };
        let way_out = "what it said before it ended is the reason; try it by hand";
        Err(Failure::new(format!("run {}", self.name), ended, way_out))
    }

    /// The last lines that it wrote.
    pub fn last_lines(&self) -> String {
        let text = std::fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(5)..].join("\n")
    }
}

/// A port of the loopback that nobody has at the moment.
///
/// # Errors
/// If there is none.
pub fn free_port() -> Result<u16, Failure> {
    let listener = TcpListener::bind(("127.0.0.1", 0));
    let address = listener.and_then(|listener| listener.local_addr());
    let address = address.map_err(|error| {
        let way_out = "see what listens on the loopback:  ss -tln";
        Failure::new("find a free port", error, way_out)
    })?;
    Ok(address.port())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    #[test]
    fn it_is_the_program_itself_and_ends_with_the_value() {
        let folder = tempfile::tempdir().unwrap();
        let arguments = ["60".to_owned()];
        let process = Process::start("x", Path::new("sleep"), &arguments, folder.path());
        let process = process.unwrap();
        let pid = process.watched().pid;
        let name = || std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        let deadline = Instant::now() + Duration::from_secs(10);
        while name().trim() != "sleep" {
            assert!(Instant::now() < deadline, "it is {}", name());
            std::thread::yield_now();
        }
        drop(process);
        assert!(!Path::new(&format!("/proc/{pid}")).exists());
    }

    #[test]
    fn who_ended_is_told_of_with_its_last_words() {
        let folder = tempfile::tempdir().unwrap();
        let arguments = ["-c", "echo sorry; exit 3"].map(str::to_owned);
        let process = Process::start("x", Path::new("sh"), &arguments, folder.path());
        let mut process = process.unwrap();
        process.child.wait().unwrap();
        let failure = process.check().unwrap_err().to_string();
        assert!(
            failure.contains("sorry") && failure.contains('3'),
            "{failure}"
        );
    }
}
