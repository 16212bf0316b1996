//! `hardway docker-env`: what a shell needs for ctr, crictl and nerdctl to reach a host's
//! containerd. There is no Docker in a cluster, which the output says where a person reads it.

use std::path::Path;

use anstream::{eprintln, print};

use crate::call;
use crate::failure::{Failure, Result};
use crate::lab::config::CONTAINERD_SOCKET;
use crate::lab::{Lab, node};
use crate::profiles::needs;

/// A shell, whose language is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Shell {
    /// bash, and sh
    Bash,
    /// zsh
    Zsh,
    /// fish
    Fish,
}

/// For whom, and which host's.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// The host [default: the first that runs pods]
    #[arg(short, long, value_name = "HOST")]
    pub node: Option<String>,
    /// The shell whose language is printed [default: that of SHELL]
    #[arg(long, value_enum)]
    pub shell: Option<Shell>,
    /// Print what takes the variables away again
    #[arg(short, long)]
    pub unset: bool,
}

/// Prints it.
pub fn run(lab: &Lab, options: &Options) -> Result<()> {
    let named = std::env::var("SHELL").unwrap_or_default();
    let shell = options.shell.unwrap_or_else(|| of_path(&named));
    if options.unset {
        print!("{}", unset(shell));
        return Ok(());
    }
    let what = "reach a host's containerd";
    let nodes = lab.plan.nodes();
    let host = match &options.node {
        Some(name) => nodes.into_iter().find(|host| host.name == *name),
        None => nodes.into_iter().next(),
    };
    let host = host.ok_or_else(|| {
        let nodes = lab.plan.nodes();
        let names: Vec<&str> = nodes.iter().map(|host| host.name.as_str()).collect();
        Failure::new(what, "no host of that name runs pods")
            .way_out(format!("those that do: {}", names.join(", ")))
    })?;
    needs::root(what)?;
    let process = node::init_pid(lab, &host)
        .ok_or_else(|| Failure::new(what, format!("{} is off", host.name)))?;
    eprintln!(
        "There is no Docker here: {} runs containerd. These variables lead ctr, crictl and nerdctl
to it, to look at images and containers; docker itself finds nothing. Images of Docker's
go in with `hardway image load`, a shell on the host is `hardway ssh {}`.",
        host.name, host.name
    );
    print!("{}", exports(shell, process, &host.name, &call::again()));
    Ok(())
}

fn of_path(shell: &str) -> Shell {
    match Path::new(shell).file_name().and_then(|name| name.to_str()) {
        Some("zsh") => Shell::Zsh,
        Some("fish") => Shell::Fish,
        _ => Shell::Bash,
    }
}

const NAMES: [&str; 4] = [
    "CONTAINERD_ADDRESS",
    "CONTAINERD_NAMESPACE",
    "CONTAINER_RUNTIME_ENDPOINT",
    "IMAGE_SERVICE_ENDPOINT",
];

fn exports(shell: Shell, process: i32, host: &str, call: &str) -> String {
    // The socket is on a file system of the host's own; its first process leads there.
    let socket = format!("/proc/{process}/root{CONTAINERD_SOCKET}");
    let values = [
        socket.clone(),
        "k8s.io".to_owned(),
        format!("unix://{socket}"),
        format!("unix://{socket}"),
    ];
    let mut text = String::new();
    for (name, value) in NAMES.iter().zip(values) {
        text += &match shell {
            Shell::Bash | Shell::Zsh => format!("export {name}=\"{value}\"\n"),
            Shell::Fish => format!("set -gx {name} \"{value}\";\n"),
        };
    }
    let how = match shell {
        Shell::Bash | Shell::Zsh => format!("eval $({call})"),
        Shell::Fish => format!("{call} | source"),
    };
    text + &format!(
        "# containerd of {host}, until the host is switched off. Have the shell take it over:\n# {how}\n"
    )
}

fn unset(shell: Shell) -> String {
    let line = |name: &&str| match shell {
        Shell::Bash | Shell::Zsh => format!("unset {name}\n"),
        Shell::Fish => format!("set -e {name};\n"),
    };
    NAMES.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_shell_gets_its_own_language() {
        let text = exports(Shell::Bash, 7, "worker-1", "hardway docker-env");
        assert!(text.starts_with(
            "export CONTAINERD_ADDRESS=\"/proc/7/root/run/containerd/containerd.sock\"\n"
        ));
        assert!(text.contains("export CONTAINER_RUNTIME_ENDPOINT=\"unix:///proc/7/root/run"));
        assert!(text.ends_with("# eval $(hardway docker-env)\n"));
        let text = exports(Shell::Fish, 7, "worker-1", "hardway docker-env");
        assert!(text.contains("set -gx CONTAINERD_NAMESPACE \"k8s.io\";\n"));
        assert!(unset(Shell::Fish).starts_with("set -e CONTAINERD_ADDRESS;\n"));
        assert!(unset(Shell::Zsh).starts_with("unset CONTAINERD_ADDRESS\n"));
        assert_eq!(of_path("/usr/bin/fish"), Shell::Fish);
        assert_eq!(of_path(""), Shell::Bash);
    }
}
