//! Ports of this machine that lead to a Service which has none on the nodes, by kubectl's
//! port-forward.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::urls::{self, Port};
use crate::api::text;
use crate::commands::kubectl;
use crate::failure::{Failure, OrFail, Result};
use crate::lab::Lab;
use crate::shell;

/// Leads free ports of this machine's own address to the Service's, gives them to `ready`,
/// and goes on until kubectl ends.
///
/// # Errors
/// If there is no kubectl, or it fails.
pub fn run(lab: &Lab, service: &Value, https: bool, ready: impl FnOnce(&[Port])) -> Result<()> {
    let metadata = &service["metadata"];
    let (namespace, name) = (text(&metadata["namespace"]), text(&metadata["name"]));
    let what = || format!("forward ports to {namespace}/{name}");
    let ports: Vec<&Value> = service["spec"]["ports"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|port| !["UDP", "SCTP"].contains(&text(&port["protocol"])))
        .collect();
    if ports.is_empty() {
        return Err(Failure::new(what(), "it has no TCP port"));
    }
    let mut kubectl = until_this_ends(kubectl::command(lab)?);
    kubectl
        .args(["port-forward", "--address=127.0.0.1", "--namespace"])
        .args([namespace, &format!("service/{name}")])
        .args(ports.iter().map(|port| format!(":{}", port["port"])))
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    let mut child = kubectl.spawn().or_fail(what)?;
    let output = child.stdout.take();
    let output = output.ok_or_else(|| Failure::new(what(), "its output can't be read"))?;
    // A line for each, in their order, as soon as it listens.
    let mut lines = BufReader::new(output).lines();
    let mut forwarded = Vec::new();
    for port in &ports {
        let line = lines.find_map(|line| local_port(&line.ok()?));
        let Some(local) = line else { break };
        let target = match text(&port["name"]) {
            "" => port["port"].to_string(),
            name => format!("{name}/{}", port["port"]),
        };
        let scheme = urls::scheme(port, https);
        let url = Some(urls::url(scheme, [127, 0, 0, 1].into(), local.into()));
        forwarded.push(Port { target, url });
    }
    if forwarded.len() == ports.len() {
        ready(&forwarded);
    }
    // It says of every connection that there is one.
    for _ in lines.map_while(std::result::Result::ok) {}
    let status = child.wait().or_fail(what)?;
    match status.success() {
        true => Ok(()),
        false => Err(Failure::new(what(), format!("kubectl ended: {status}"))),
    }
}

/// The command as one that ends with this process, even where that is killed.
fn until_this_ends(command: Command) -> Command {
    let Some(setpriv) = shell::find_program("setpriv") else {
        return command;
    };
    let mut tied = Command::new(setpriv);
    tied.args(["--pdeathsig", "TERM", "--"]);
    tied.arg(command.get_program());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => tied.env(name, value),
            None => tied.env_remove(name),
        };
    }
    tied
}

/// The port in `Forwarding from 127.0.0.1:41234 -> 80`.
fn local_port(line: &str) -> Option<u16> {
    let rest = line.strip_prefix("Forwarding from 127.0.0.1:")?;
    rest.split_once(' ')?.0.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_tied_to_this_process_is_the_same_command() {
        let mut command = Command::new("sh");
        command.env("HARDWAY_TEST", "kept");
        let mut tied = until_this_ends(command);
        let output = tied.args(["-c", "echo $HARDWAY_TEST"]).output().unwrap();
        assert_eq!(output.stdout, b"kept\n");
    }

    #[test]
    fn the_port_is_read_from_what_kubectl_says() {
        let port = local_port("Forwarding from 127.0.0.1:41234 -> 8080");
        assert_eq!(port, Some(41234));
        assert_eq!(local_port("Forwarding from [::1]:41234 -> 8080"), None);
        assert_eq!(local_port("Handling connection for 41234"), None);
    }
}
