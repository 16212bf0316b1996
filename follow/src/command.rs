//! The command that is followed: run as it is, under a name that its requests can be told by.
//!
//! Clients written in Go (kubectl and all that use client-go's defaults) call themselves by the
//! name they were started by (`DefaultKubernetesUserAgent` of `k8s.io/client-go/rest`). So they
//! are started by one that nobody else has. Nothing stands between them and the apiserver.

use crate::cli::{Arguments, Output};
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::Stdio;
use tokio::process::{Child, Command};

/// A command, ready to be run.
pub struct Followed {
    command: Command,
    marker: String,
    /// Names the context. It has no credentials.
    _context: Option<tempfile::NamedTempFile>,
}

/// A command that can't be run.
#[derive(Debug, thiserror::Error)]
#[error("cannot run {program}: {cause}")]
pub struct Error {
    program: String,
    cause: io::Error,
}

impl Followed {
    /// The command of the arguments, which is told of the kubeconfig by `KUBECONFIG`.
    ///
    /// # Errors
    /// If the file that names the context can't be written.
    pub fn of(arguments: &Arguments) -> Result<Option<Self>, Error> {
        let Some((program, rest)) = arguments.command.split_first() else {
            return Ok(None);
        };
        let failed = |cause| Error {
            program: program.clone(),
            cause,
        };
        let name = Path::new(program).file_name();
        let name = name.map_or(program.as_str().into(), |name| name.to_string_lossy());
        // kubectl takes names that begin with "kubectl-" for plugins.
        let own = RandomState::new().hash_one(std::process::id()) >> 32;
        let marker = format!("{name}.{own:08x}");
        let mut command = Command::new(program);
        command.args(rest).arg0(&marker);
        if arguments.output == Output::Json {
            let stderr = io::stderr().as_fd().try_clone_to_owned().map_err(failed)?;
            command.stdout(Stdio::from(stderr));
        }
        let mut files: Vec<String> = Vec::new();
        let mut context = None;
        if let Some(name) = &arguments.context {
            let file = context_file(name).map_err(failed)?;
            files.push(file.path().display().to_string());
            context = Some(file);
        }
        match &arguments.kubeconfig {
            Some(file) => files.push(file.display().to_string()),
            None if context.is_some() => {
                let home = std::env::var("HOME").unwrap_or_default();
                let usual = || format!("{home}/.kube/config");
                files.push(std::env::var("KUBECONFIG").unwrap_or_else(|_| usual()));
            }
            None => {}
        }
        if !files.is_empty() {
            command.env("KUBECONFIG", files.join(":"));
        }
        Ok(Some(Self {
            command,
            marker,
            _context: context,
        }))
    }

    /// The name that its requests are known by.
    pub fn marker(&self) -> &str {
        &self.marker
    }

    /// Runs it.
    ///
    /// # Errors
    /// If there is no such program.
    pub fn start(&mut self) -> Result<Child, Error> {
        let program = self.command.as_std().get_program().display().to_string();
        let child = self.command.kill_on_drop(true).spawn();
        child.map_err(|cause| Error { program, cause })
    }
}

/// A kubeconfig that names a context, and leaves the rest to those after it: of several files
/// the first that names one counts (`clientcmd` of `k8s.io/client-go`).
fn context_file(name: &str) -> io::Result<tempfile::NamedTempFile> {
    let file = tempfile::Builder::new()
        .prefix("hardway-follow-")
        .tempfile()?;
    let config = serde_json::json!({"apiVersion": "v1", "kind": "Config", "current-context": name});
    std::fs::write(file.path(), config.to_string())?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    fn followed(arguments: &str) -> Followed {
        let arguments = arguments.split(' ');
        let arguments = Arguments::try_parse_from(["hardway-follow"].into_iter().chain(arguments));
        Followed::of(&arguments.unwrap()).unwrap().unwrap()
    }

    #[test]
    fn every_run_has_a_name_of_its_own() {
        let (one, other) = (followed("-- /bin/kubectl get"), followed("-- kubectl get"));
        for name in [one.marker(), other.marker()] {
            assert!(name.starts_with("kubectl.") && name.len() == 16, "{name}");
        }
        assert_ne!(one.marker(), other.marker());
    }

    #[tokio::test]
    async fn the_command_has_its_name_and_the_context() {
        let mut shell = followed("--kubeconfig /k --context lab -- /bin/sh -c :");
        let script = "printf '%s %s' \"$0\" \"$KUBECONFIG\"; cat ${KUBECONFIG%%:*}";
        shell.command = {
            let env = shell.command.as_std().get_envs();
            let env: Vec<_> = env
                .map(|(name, value)| (name.to_owned(), value.map(ToOwned::to_owned)))
                .collect();
            let mut command = Command::new("/bin/sh");
            command.args(["-c", script]);
            for (name, value) in env {
                command.env(name, value.unwrap_or_default());
            }
            command.arg0(&shell.marker).stdout(Stdio::piped());
            command
        };
        let output = shell.start().unwrap().wait_with_output().await.unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains(&format!("{} ", shell.marker)), "{text}");
        assert!(
            text.contains(":/k") && text.contains("\"current-context\":\"lab\""),
            "{text}"
        );
        assert!(!text.contains("token") && !text.contains("certificate"));
    }
}
