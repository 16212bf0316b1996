//! One requirement: whether it is met, how it is put right, what to say if it
//! can't be. No I/O but through [`Host`].

use super::Host;
use std::io;

/// Something of the host that a process counts on.
#[derive(Clone, Copy)]
pub struct Requirement {
    /// What it is.
    pub what: What,
    /// What is wrong without it, as a sentence's end: "pods can't reach …".
    pub otherwise: &'static str,
    /// Whether the process isn't ready without it.
    pub vital: bool,
}

/// What can be required.
#[derive(Clone, Copy)]
pub enum What {
    /// A setting of the kernel.
    Sysctl {
        /// Its name with dots.
        name: &'static str,
        /// What it must be.
        value: &'static str,
        /// The module that it belongs to, if it isn't always there.
        module: Option<&'static str>,
    },
    /// A program in the `PATH`.
    Program {
        /// Its name.
        name: &'static str,
        /// Debian's package that has it.
        package: &'static str,
    },
    /// A file in one of several folders.
    File {
        /// Its name.
        name: &'static str,
        /// The folders.
        folders: &'static [&'static str],
        /// Debian's package that has it.
        package: &'static str,
    },
    /// Something that can only be looked at; `Err` says how it is, and the way out.
    Fact {
        /// What it is called.
        name: &'static str,
        /// Looks.
        look: fn(&dyn Host) -> Result<(), String>,
    },
}

/// A requirement that isn't met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaint {
    /// What is wrong, what follows from it, and the way out.
    pub text: String,
    /// Whether the process isn't ready for that.
    pub vital: bool,
}

/// What became of a requirement.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was met.
    Met,
    /// It is met now; says what was done.
    Mended(String),
    /// It isn't.
    Unmet(Complaint),
}

impl Requirement {
    /// The setting, program, file or fact.
    pub fn name(&self) -> &'static str {
        match self.what {
            What::Sysctl { name, .. }
            | What::Program { name, .. }
            | What::File { name, .. }
            | What::Fact { name, .. } => name,
        }
    }

    /// Looks, and puts it right where that is possible.
    pub fn settle(&self, host: &dyn Host) -> Outcome {
        let found = match self.what {
            What::Sysctl {
                name,
                value,
                module,
            } => settle_sysctl(host, name, value, module),
            What::Program { name, package } => {
                let folders = host.program_folders();
                find(host, name, folders.iter().map(String::as_str)).map_err(|()| {
                    format!(
                        "program {name} is not in the PATH ({}); install the package {package}",
                        folders.join(":")
                    )
                })
            }
            What::File {
                name,
                folders,
                package,
            } => find(host, name, folders.iter().copied()).map_err(|()| {
                format!(
                    "file {name} is in none of {}; install the package {package}",
                    folders.join(", ")
                )
            }),
            What::Fact { look, .. } => look(host).map(|()| None),
        };
        match found {
            Ok(None) => Outcome::Met,
            Ok(Some(done)) => Outcome::Mended(done),
            Err(wrong) => Outcome::Unmet(Complaint {
                text: format!("{wrong} (otherwise {})", self.otherwise),
                vital: self.vital,
            }),
        }
    }
}

fn find<'a>(
    host: &dyn Host,
    name: &str,
    mut folders: impl Iterator<Item = &'a str>,
) -> Result<Option<String>, ()> {
    let found = folders.any(|folder| host.exists(&format!("{folder}/{name}")));
    found.then_some(None).ok_or(())
}

/// `Ok(Some(…))` says what was done.
fn settle_sysctl(
    host: &dyn Host,
    name: &str,
    value: &str,
    module: Option<&str>,
) -> Result<Option<String>, String> {
    let path = format!("/proc/sys/{}", name.replace('.', "/"));
    let mut done = Vec::new();
    let mut current = host.read(&path);
    if let Some(module) = module
        && is_missing(&current)
    {
        let loaded = host.load_module(module);
        current = host.read(&path);
        if is_missing(&current) {
            let why = loaded.err().unwrap_or_else(|| "it has no effect".into());
            return Err(format!(
                "{name} isn't there, since the kernel's module {module} is not loaded, and can't be loaded from here: {why}; run `modprobe {module}`, and write {module} to /etc/modules-load.d/hardway.conf"
            ));
        }
        done.push(format!("loaded the module {module}"));
    }
    let current = current.map_err(|error| format!("{name} can't be read: {error}"))?;
    let current = current.trim();
    if current != value {
        host.write(&path, value).map_err(|error| {
            format!(
                "{name} is {current}, must be {value}, and can't be set from here: {error}; run `sysctl -w {name}={value}`, and write {name}={value} to /etc/sysctl.d/hardway.conf"
            )
        })?;
        done.push(format!("set {name} from {current} to {value}"));
    }
    Ok((!done.is_empty()).then(|| done.join(", ")))
}

fn is_missing(read: &io::Result<String>) -> bool {
    read.as_ref()
        .is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
}
