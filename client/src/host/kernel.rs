//! The host behind a small trait, so that tests can be one.

use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

/// What is asked of a host, and done to it.
pub trait Host: Send + Sync {
    /// A file's text.
    ///
    /// # Errors
    /// As `std::fs::read_to_string`.
    fn read(&self, path: &str) -> io::Result<String>;

    /// Writes to a file that is there.
    ///
    /// # Errors
    /// As `std::fs::write`.
    fn write(&self, path: &str, text: &str) -> io::Result<()>;

    /// Whether there is such a file.
    fn exists(&self, path: &str) -> bool;

    /// Folders that programs are looked for in.
    fn program_folders(&self) -> Vec<String>;

    /// Loads a module into the kernel.
    ///
    /// # Errors
    /// With what the tool said.
    fn load_module(&self, name: &str) -> Result<(), String>;
}

/// The host, and the network namespace, that the process is in.
pub struct Linux;

impl Host for Linux {
    fn read(&self, path: &str) -> io::Result<String> {
        std::fs::read_to_string(path)
    }

    fn write(&self, path: &str, text: &str) -> io::Result<()> {
        std::fs::write(path, text)
    }

    fn exists(&self, path: &str) -> bool {
        Path::new(path).exists()
    }

    fn program_folders(&self) -> Vec<String> {
        let path = std::env::var("PATH").unwrap_or_default();
        path.split(':').map(str::to_owned).collect()
    }

    fn load_module(&self, name: &str) -> Result<(), String> {
        let tool = Command::new("modprobe")
            .arg(name)
            .stdin(Stdio::null())
            .output()
            .map_err(|error| format!("cannot run modprobe: {error}"))?;
        match tool.status.success() {
            true => Ok(()),
            false => Err(String::from_utf8_lossy(&tool.stderr).trim().to_owned()),
        }
    }
}
