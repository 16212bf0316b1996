//! A command line, put together from a program and its flags.

use std::path::{Path, PathBuf};

use crate::shell;

/// A command line that is being put together, and the files it reads at start.
pub(super) struct Parts {
    pub command: Vec<String>,
    pub reads: Vec<PathBuf>,
}

impl Parts {
    pub fn new(program: &Path) -> Self {
        Self {
            command: vec![program.display().to_string()],
            reads: Vec::new(),
        }
    }

    pub fn word(mut self, word: &str) -> Self {
        self.command.push(word.to_owned());
        self
    }

    pub fn flag(mut self, name: &str, value: impl std::fmt::Display) -> Self {
        self.command.push(format!("--{name}={value}"));
        self
    }

    pub fn path(self, name: &str, path: &Path) -> Self {
        self.flag(name, path.display())
    }

    /// A flag with a file whose change asks for a restart. That of a certificate doesn't.
    pub fn file(mut self, name: &str, path: PathBuf) -> Self {
        self.reads.push(path.clone());
        self.path(name, &path)
    }
}

/// A Debian program; where it is missing the plain name makes the start fail by name.
pub(super) fn program(name: &str) -> PathBuf {
    shell::find_program(name).unwrap_or_else(|| PathBuf::from(name))
}
