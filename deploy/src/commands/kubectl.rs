//! `hardway kubectl -- …`: the kubectl of the PATH, with the cluster's kubeconfig.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::failure::{Failure, Result};
use crate::lab::Lab;
use crate::shell;

/// What is passed on as it is.
#[derive(Debug, Clone, clap::Args)]
pub struct Arguments {
    /// Arguments of kubectl; behind a `--` all of them are kubectl's
    #[arg(
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "ARGUMENT"
    )]
    pub words: Vec<OsString>,
}

/// Becomes kubectl, so that signals and the exit code are its own; returns only on failure.
pub fn run(lab: &Lab, arguments: &Arguments) -> Failure {
    match command(lab) {
        Err(failure) => failure,
        Ok(mut kubectl) => Failure::new("run kubectl", kubectl.args(&arguments.words).exec()),
    }
}

/// kubectl, asking the lab's cluster.
///
/// # Errors
/// If there is none, with where it can be had.
pub fn command(lab: &Lab) -> Result<Command> {
    let program = shell::find_program("kubectl").ok_or_else(|| {
        Failure::new("run kubectl", "there is none in the PATH").way_out(
            "get one of version 1.32 to 1.34: https://kubernetes.io/docs/tasks/tools/install-kubectl-linux/",
        )
    })?;
    let mut command = Command::new(program);
    command.env("KUBECONFIG", lab.kubeconfigs().join("admin.kubeconfig"));
    Ok(command)
}
