//! The command line.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anstream::eprintln;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::commands::process::Action;
use crate::commands::{
    addons, certificates, completion, conformance, cp, docker_env, down, image, init as init_host,
    join, kubectl, logs, node, package, process, reset, ssh, status, storage, swap, test, token,
    tools, tutorial, up,
};
use crate::compile;
use crate::failure::{OrFail, Result};
use crate::lab::{Lab, init};

/// Sets up Kubernetes: on real hosts with `init` and `join`, or as a lab of several
/// hosts on this machine with `up`.
#[derive(Debug, Parser)]
#[command(name = "hardway", version)]
struct Arguments {
    /// Folder of the lab [default: .lab in the repository]
    #[arg(long, global = true, value_name = "FOLDER")]
    dir: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Build everything and bring the cluster up; repeat it after a change
    Up(up::Options),
    /// Take the cluster off this machine; certificates and images stay
    Down {
        /// Remove certificates and images as well
        #[arg(long)]
        purge: bool,
    },
    /// Show every process: number, age, memory, health
    Status,
    /// Show the log of a process
    Logs {
        /// PROCESS or PROCESS@HOST
        process: String,
        /// Go on showing what is added
        #[arg(short, long)]
        follow: bool,
        /// Show only this many lines from the end
        #[arg(long)]
        tail: Option<u64>,
    },
    /// Start a process and wait until it does its work
    Start {
        /// PROCESS or PROCESS@HOST
        process: String,
    },
    /// End a process politely
    Stop {
        /// PROCESS or PROCESS@HOST
        process: String,
    },
    /// End a process politely and start it again
    Restart {
        /// PROCESS or PROCESS@HOST
        process: String,
    },
    /// End a process by force, as a crash would
    Kill {
        /// PROCESS or PROCESS@HOST
        process: String,
    },
    /// Let a process stand still
    Suspend {
        /// PROCESS or PROCESS@HOST
        process: String,
    },
    /// Let a process go on that stands still
    Resume {
        /// PROCESS or PROCESS@HOST
        process: String,
    },
    /// Have Kubernetes' own component do a process' work, or put hardway's back
    Swap(swap::Options),
    /// Cut a host's power or network, and bring them back
    Node {
        #[command(subcommand)]
        action: node::Action,
    },
    /// Make this host the control plane of a cluster; repeat it to repair
    Init(init_host::Options),
    /// Tokens, with which nodes join
    Token {
        #[command(subcommand)]
        action: token::Action,
    },
    /// Make this host a node of a cluster; repeat it to repair
    Join(join::Options),
    /// Have this host leave its cluster; what was installed stays
    Reset(reset::Options),
    /// Certificates: make those of a cluster on real hosts, renew those of a control plane
    Certificates {
        #[command(subcommand)]
        action: certificates::Action,
    },
    /// Store objects anew, after another storage version or encryption key: in the lab that
    /// `--dir` names, or on the host of the control plane
    Storage {
        #[command(subcommand)]
        action: storage::Action,
    },
    /// Build the image of an example that `up` doesn't build, and put it into the lab's registry
    Image {
        /// The example
        #[arg(value_enum)]
        example: image::Example,
    },
    /// What runs in the cluster itself: DNS, metrics, volumes and more
    Addons {
        #[command(subcommand)]
        action: addons::Action,
    },
    /// Run kubectl with the cluster's kubeconfig
    #[command(disable_help_flag = true)]
    Kubectl(kubectl::Arguments),
    /// Open a shell on a host, or run a command there
    Ssh(ssh::Options),
    /// Copy files and folders to a host, from it, or between hosts
    Cp(cp::Options),
    /// Print what leads ctr, crictl and nerdctl of this machine to a host's containerd
    DockerEnv(docker_env::Options),
    /// Say why something in the cluster is stuck (hardway-why)
    #[command(disable_help_flag = true)]
    Why(tools::Arguments),
    /// Show what becomes of a request, live, across the processes (hardway-follow)
    #[command(disable_help_flag = true)]
    Follow(tools::Arguments),
    /// Look at the cluster in a browser, through a port of this machine (hardway-dashboard)
    #[command(disable_help_flag = true)]
    Dashboard(tools::Arguments),
    /// Print what has a shell complete this tool's words
    Completion {
        /// The shell
        #[arg(value_enum)]
        shell: completion::Shell,
    },
    /// Print names of the lab, for completions
    #[command(hide = true)]
    Names {
        #[arg(value_enum)]
        kind: completion::Kind,
    },
    /// Build what is installed on hosts: Debian packages, and a tarball for others
    Package(package::Options),
    /// Walk through the tutorial, showing each command and what it proves
    Tutorial(tutorial::Options),
    /// Check format and lints, and run all tests
    Test(test::Options),
    /// Run Kubernetes' own end-to-end tests
    Conformance(conformance::Options),
    /// The first process of a host; started by `up`
    #[command(hide = true)]
    NodeInit {
        /// Name of the host
        name: String,
        /// Its disk
        disk: PathBuf,
    },
}

/// The command line, for what is made out of it.
pub fn command() -> clap::Command {
    Arguments::command()
}

/// With the words it was called with: installed it has a name of its own.
fn as_called(command: clap::Command) -> clap::Command {
    match std::env::var_os("CARGO") {
        Some(_) => command.bin_name("cargo hardway"),
        None => command,
    }
}

/// Does what the command line says.
pub fn main() -> ExitCode {
    let matches = as_called(Arguments::command()).get_matches();
    let arguments = match Arguments::from_arg_matches(&matches) {
        Ok(arguments) => arguments,
        Err(error) => error.exit(),
    };
    match run(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(failure) => {
            eprintln!("error: {failure}");
            if let Some(way_out) = &failure.way_out {
                eprintln!("  {way_out}");
            }
            ExitCode::FAILURE
        }
    }
}

/// Whether all is well.
fn run(arguments: &Arguments) -> Result<bool> {
    let folder = || folder(arguments.dir.as_deref());
    let lab = || Lab::open(&folder()?);
    let run_tool = |tool, words: &tools::Arguments| {
        let named = arguments.dir.is_some();
        let lab = match lab() {
            Err(failure) if named => return Err(failure),
            other => other.ok(),
        };
        Ok(tools::run(tool, words, lab.as_ref(), named))
    };
    match &arguments.command {
        Command::Up(options) => up::run(&folder()?, options)?,
        Command::Down { purge } => down::run(&folder()?, *purge)?,
        Command::Status => return status::run(&lab()?),
        Command::Logs {
            process,
            follow,
            tail,
        } => logs::run(&lab()?, process, *follow, *tail)?,
        Command::Start { process } => process::run(&lab()?, process, Action::Start)?,
        Command::Stop { process } => process::run(&lab()?, process, Action::Stop)?,
        Command::Restart { process } => process::run(&lab()?, process, Action::Restart)?,
        Command::Kill { process } => process::run(&lab()?, process, Action::Kill)?,
        Command::Suspend { process } => process::run(&lab()?, process, Action::Suspend)?,
        Command::Resume { process } => process::run(&lab()?, process, Action::Resume)?,
        Command::Swap(options) => swap::run(&lab()?, options)?,
        Command::Node { action } => node::run(&lab()?, action)?,
        Command::Init(options) => init_host::run(options)?,
        Command::Token { action } => token::run(action)?,
        Command::Join(options) => join::run(options)?,
        Command::Reset(options) => reset::run(options)?,
        Command::Certificates { action } => {
            // On a control plane's host there is no lab unless it is named.
            let named = arguments.dir.as_ref().map(|_| lab()).transpose()?;
            certificates::run(action, named.as_ref())?;
        }
        Command::Storage { action } => {
            let named = arguments.dir.as_ref().map(|_| lab()).transpose()?;
            return storage::run(action, named.as_ref());
        }
        Command::Image { example } => image::run(&lab()?, *example)?,
        Command::Addons { action } => addons::run(&lab()?, action)?,
        Command::Kubectl(words) => return Err(kubectl::run(&lab()?, words)),
        Command::Ssh(options) => return Err(ssh::run(&lab()?, options)?),
        Command::Cp(options) => cp::run(&lab()?, options)?,
        Command::DockerEnv(options) => docker_env::run(&lab()?, options)?,
        Command::Why(words) => return Err(run_tool(tools::Tool::Why, words)?),
        Command::Follow(words) => return Err(run_tool(tools::Tool::Follow, words)?),
        Command::Dashboard(words) => return Err(run_tool(tools::Tool::Dashboard, words)?),
        Command::Completion { shell } => completion::run(*shell)?,
        Command::Names { kind } => completion::names(*kind, &lab()?)?,
        Command::Package(options) => package::run(options)?,
        Command::Tutorial(options) => return tutorial::run(&lab()?, options),
        Command::Test(options) => test::run(options)?,
        Command::Conformance(options) => return conformance::run(lab, options),
        Command::NodeInit { name, disk } => init::run(name, disk)?,
    }
    Ok(true)
}

/// The lab's folder as an absolute path, for processes that start elsewhere.
fn folder(asked: Option<&Path>) -> Result<PathBuf> {
    match asked {
        Some(path) => {
            std::path::absolute(path).or_fail(|| format!("use folder {}", path.display()))
        }
        None => Ok(compile::repository()?.join(".lab")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }
}
