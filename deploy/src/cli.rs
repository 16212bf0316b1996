//! The command line.

use std::path::PathBuf;
use std::process::ExitCode;

use anstream::eprintln;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::commands::process::Action;
use crate::commands::{
    addons, backup, bench, certificates, completion, config, conformance, cp, delete, docker_env,
    doctor, down, etcd, image, init as init_host, ip, join, kubectl, logs, node, package, process,
    profile, reset, restore, service, ssh, start, status, stop, storage, swap, test, token, tools,
    tunnel, tutorial, up, upgrade,
};
use crate::compile;
use crate::failure::{Failure, Result};
use crate::lab::init;
use crate::profiles::Profile;
use crate::profiles::choose::Asked;

/// Sets up Kubernetes: on this machine with `start`, on real hosts with `init` and `join`, or,
/// for work on hardway itself, as a lab of several hosts with `up`.
#[derive(Debug, Parser)]
#[command(name = "hardway", version)]
struct Arguments {
    /// Name of the cluster [default: $HARDWAY_PROFILE, or what `profile` has set, or hardway]
    #[arg(
        short,
        long,
        global = true,
        value_name = "NAME",
        conflicts_with = "dir"
    )]
    profile: Option<String>,
    /// Folder of a lab, instead of a cluster's name [default: .lab in the repository, where
    /// there is no cluster]
    #[arg(long, global = true, value_name = "FOLDER")]
    dir: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start a cluster, which is made the first time: one host that is control plane and
    /// worker, or several
    Start(start::Options),
    /// End a cluster's processes; what it has stored is kept, and `start` resumes it
    Stop(stop::Options),
    /// Take a cluster off this machine, with all it has stored
    Delete(delete::Options),
    /// Show how the cluster is; of a lab every process
    Status(status::Options),
    /// Print a host's address
    Ip(ip::Options),
    /// Which clusters there are, and which is meant when nobody says
    Profile(profile::Options),
    /// Defaults that stay
    Config {
        #[command(subcommand)]
        action: config::Action,
    },
    /// Build everything and bring a lab of several hosts up; repeat it after a change
    Up(up::Options),
    /// Take a lab off this machine; certificates and images stay
    Down {
        /// Remove certificates and images as well
        #[arg(long)]
        purge: bool,
    },
    /// Show the log of a process, or what in the logs of all is worth looking at
    Logs(logs::Options),
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
    /// Make this host a node of a cluster, or one more control plane; repeat it to repair
    Join(join::Options),
    /// Have this host leave its cluster; what was installed stays
    Reset(reset::Options),
    /// Put another version of hardway's packages on this host of a cluster, or go back
    Upgrade(upgrade::Options),
    /// Certificates: make those of a cluster on real hosts, renew those of a control plane
    Certificates {
        #[command(subcommand)]
        action: certificates::Action,
    },
    /// Put all that the cluster goes on from into a file: etcd's snapshot, keys, settings
    Backup(backup::Options),
    /// Have this host go on from a backup, as the first control plane of its cluster
    Restore(restore::Options),
    /// Members of the cluster's store, on the host of a control plane
    Etcd {
        #[command(subcommand)]
        action: etcd::Action,
    },
    /// Store objects anew, after another storage version or encryption key: in the lab that
    /// `--dir` names, or on the host of the control plane
    Storage {
        #[command(subcommand)]
        action: storage::Action,
    },
    /// Put images into the nodes without a registry, list and remove them; build some
    Image {
        #[command(subcommand)]
        action: image::Action,
    },
    /// What runs in the cluster itself: DNS, metrics, volumes and more
    Addons {
        #[command(subcommand)]
        action: addons::Action,
    },
    /// Show where a Service is reached, and open it in the browser
    Service(service::Options),
    /// Give Services of type LoadBalancer addresses, until Ctrl-C
    Tunnel(tunnel::Options),
    /// Run kubectl with the cluster's kubeconfig
    #[command(disable_help_flag = true)]
    Kubectl(kubectl::Arguments),
    /// Open a shell on a host, or run a command there
    Ssh(ssh::Options),
    /// Copy files and folders to a host, from it, or between hosts
    Cp(cp::Options),
    /// Print what leads ctr, crictl and nerdctl of this machine to a host's containerd
    DockerEnv(docker_env::Options),
    /// See how the whole installation is, host by host, and what is wrong in its cluster
    Doctor(doctor::Options),
    /// Say why something in the cluster is stuck (hardway-why)
    #[command(disable_help_flag = true)]
    Why(tools::Arguments),
    /// Show what becomes of a request, live, across the processes (hardway-follow)
    #[command(disable_help_flag = true)]
    Follow(tools::Arguments),
    /// Look at the cluster in a browser, through a port of this machine (hardway-dashboard)
    #[command(disable_help_flag = true)]
    Dashboard(tools::Arguments),
    /// Measure the cluster, or any other, under load, and check what it answers (hardway-load)
    #[command(disable_help_flag = true)]
    Bench(tools::Arguments),
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
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            eprintln!("error: {failure}");
            if let Some(way_out) = &failure.way_out {
                eprintln!("  {way_out}");
            }
            ExitCode::from(failure.exit)
        }
    }
}

/// Does it; with 0 all is well.
fn run(arguments: &Arguments) -> Result<u8> {
    let asked = Asked {
        dir: arguments.dir.clone(),
        profile: arguments.profile.clone(),
    };
    let is_named = asked.dir.is_some() || asked.profile.is_some();
    let folder = || folder_of_lab(&asked);
    let lab = || asked.choose()?.lab();
    let process = |name: &str, action| process::run(&lab()?, name, action);
    let code = |is_well: bool| u8::from(!is_well);
    let run_tool = |tool, words: &tools::Arguments| {
        let lab = match lab() {
            Err(failure) if is_named => return Err(failure),
            other => other.ok(),
        };
        Ok(tools::run(tool, words, lab.as_ref(), is_named))
    };
    match &arguments.command {
        Command::Start(options) => match &options.process {
            Some(name) => process(name, Action::Start)?,
            None => start::run(&named_cluster(&asked, "start")?, options)?,
        },
        Command::Stop(options) => match &options.process {
            Some(name) => process(name, Action::Stop)?,
            None => stop::run(&named_cluster(&asked, "stop")?, options)?,
        },
        Command::Delete(options) => delete::run(&named_cluster(&asked, "delete")?, options)?,
        Command::Status(options) => return status::run(&asked.choose()?, options),
        Command::Ip(options) => ip::run(&lab()?, options)?,
        Command::Profile(options) => profile::run(&asked, options)?,
        Command::Config { action } => config::run(action)?,
        Command::Up(options) => up::run(&folder()?, options)?,
        Command::Down { purge } => down::run(&folder()?, *purge)?,
        Command::Logs(options) => logs::run(&lab()?, options)?,
        Command::Restart { process: name } => process(name, Action::Restart)?,
        Command::Kill { process: name } => process(name, Action::Kill)?,
        Command::Suspend { process: name } => process(name, Action::Suspend)?,
        Command::Resume { process: name } => process(name, Action::Resume)?,
        Command::Swap(options) => swap::run(&lab()?, options)?,
        Command::Node { action } => node::run(&lab()?, action)?,
        Command::Init(options) => init_host::run(options)?,
        Command::Token { action } => token::run(action)?,
        Command::Join(options) => join::run(options)?,
        Command::Reset(options) => reset::run(options)?,
        Command::Upgrade(options) => upgrade::run(options)?,
        Command::Backup(options) => backup::run(options)?,
        Command::Restore(options) => restore::run(options)?,
        Command::Etcd { action } => return etcd::run(action).map(code),
        Command::Certificates { action } => {
            // On a control plane's host there is no lab unless it is named.
            let named = is_named.then(lab).transpose()?;
            certificates::run(action, named.as_ref())?;
        }
        Command::Storage { action } => {
            let named = is_named.then(lab).transpose()?;
            return storage::run(action, named.as_ref()).map(code);
        }
        Command::Image { action } => image::run(&lab()?, action)?,
        Command::Addons { action } => addons::run(&lab()?, action)?,
        Command::Service(options) => service::run(&lab()?, options)?,
        Command::Tunnel(options) => tunnel::run(&lab()?, options)?,
        Command::Kubectl(words) => return Err(kubectl::run(&lab()?, words)),
        Command::Ssh(options) => return Err(ssh::run(&lab()?, options)?),
        Command::Cp(options) => cp::run(&lab()?, options)?,
        Command::DockerEnv(options) => docker_env::run(&lab()?, options)?,
        Command::Doctor(options) if options.only_api() => return doctor::of_cluster(options),
        Command::Doctor(_) => match lab() {
            Ok(lab) => return doctor::of_lab(&lab),
            Err(_) if !is_named && doctor::is_real_host() => return doctor::of_this_host(),
            Err(failure) => return Err(failure.exit(2)),
        },
        Command::Why(words) => return Err(run_tool(tools::Tool::Why, words)?),
        Command::Follow(words) => return Err(run_tool(tools::Tool::Follow, words)?),
        Command::Dashboard(words) => return Err(run_tool(tools::Tool::Dashboard, words)?),
        Command::Bench(words) => {
            let lab = match lab() {
                Err(failure) if is_named => return Err(failure),
                other => other.ok(),
            };
            return Err(bench::run(words, lab.as_ref(), is_named));
        }
        Command::Completion { shell } => completion::run(*shell)?,
        Command::Names { kind } => completion::names(*kind, lab)?,
        Command::Package(options) => package::run(options)?,
        Command::Tutorial(options) => return tutorial::run(&lab()?, options).map(code),
        Command::Test(options) => test::run(options)?,
        Command::Conformance(options) => return conformance::run(lab, options).map(code),
        Command::NodeInit { name, disk } => init::run(name, disk)?,
    }
    Ok(0)
}

/// The folder of the lab for `up` and `down`, which know of no names.
fn folder_of_lab(asked: &Asked) -> Result<PathBuf> {
    if let Some(name) = &asked.profile {
        return Err(Failure::new(
            format!("find the lab {name}"),
            "labs have folders, not names",
        )
        .way_out(
            "name its folder with --dir; clusters with names are for `start`, `stop` and `delete`",
        ));
    }
    match asked.folder()? {
        Some(folder) => Ok(folder),
        None => Ok(compile::repository()?.join(".lab")),
    }
}

/// The cluster for what is done only to those with a name.
fn named_cluster(asked: &Asked, what: &str) -> Result<Profile> {
    match &asked.dir {
        None => asked.profile(),
        Some(folder) => Err(Failure::new(
            format!("{what} the lab in {}", folder.display()),
            "it is not a cluster with a name",
        )
        .way_out(
            "labs in folders are for `up` and `down`; name a process, or a cluster with --profile",
        )),
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
