//! `hardway status` of a cluster that is called by name, as minikube tells it.

use anstream::{print, println};

use crate::failure::{OrFail, Result};
use crate::health;
use crate::kubeconfig::merge::leads_to;
use crate::kubeconfig::{file, server};
use crate::lab::control::{self, Request};
use crate::lab::{Lab, node};
use crate::person::Person;
use crate::plan::Host;
use crate::profiles::Profile;
use crate::profiles::needs;
use crate::profiles::state::{self, HostState, State};
use crate::shell;

/// How to write it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    /// In paragraphs
    #[default]
    Text,
    /// As JSON
    Json,
}

/// Prints how the cluster is; the exit code has a bit for each thing that is not well.
pub fn run(profile: &Profile, output: Output) -> Result<u8> {
    let lab = profile.lab()?;
    // Only root may ask the hosts' init processes.
    needs::root("ask how a cluster is")?;
    let kubeconfig = kubeconfig(&lab, &profile.name)?;
    let hosts = lab.plan.hosts();
    let states: Vec<HostState> = hosts
        .iter()
        .map(|host| of_host(&lab, host, kubeconfig))
        .collect();
    match output {
        Output::Text => print!("{}", state::text(&states)),
        Output::Json => {
            let text = state::json(&states).or_fail(|| "describe the cluster")?;
            println!("{text}");
        }
    }
    Ok(state::exit_code(&states))
}

fn of_host(lab: &Lab, host: &Host, kubeconfig: State) -> HostState {
    let is_on = node::is_on(lab, host);
    let process = |name: &str| match is_on {
        true => of_process(lab, host, name),
        false => State::Stopped,
    };
    let is_control_plane = host.role.is_control_plane();
    HostState {
        name: host.name.clone(),
        host: if is_on {
            State::Running
        } else {
            State::Stopped
        },
        kubelet: process("kubelet"),
        api_server: match is_control_plane {
            true => process("apiserver"),
            false => State::Irrelevant,
        },
        kubeconfig: match (is_control_plane, is_on) {
            (true, true) => kubeconfig,
            (true, false) => State::Stopped,
            (false, _) => State::Irrelevant,
        },
        worker: !is_control_plane,
    }
}

fn of_process(lab: &Lab, host: &Host, name: &str) -> State {
    let known = control::ask(&lab.disk(host), &Request::List).unwrap_or_default();
    let runs = |process: &control::Process| process.name == name && process.pid.is_some();
    match known.iter().any(runs) {
        false => State::Stopped,
        true => match health::check(lab, host, name, "/healthz") {
            Ok(()) => State::Running,
            Err(_) => State::Error,
        },
    }
}

/// Whether the context of the cluster's name leads to it.
fn kubeconfig(lab: &Lab, name: &str) -> Result<State> {
    let path = file::path(&Person::who_calls()?)?;
    let text = shell::read_text(&path).unwrap_or_default();
    Ok(
        match leads_to(&text, name, &server(&lab.plan.control_plane())) {
            true => State::Configured,
            false => State::Misconfigured,
        },
    )
}
