//! `hardway ssh [HOST] [-- COMMAND…]`: a shell or a command on a host. There is no SSH: the
//! command runs in the host's namespaces, with this terminal, and its exit code is the tool's.

use crate::failure::{Failure, Result};
use crate::lab::config::CONTAINERD_SOCKET;
use crate::lab::{Lab, node};
use crate::profiles::needs;
use crate::shell;

/// Where to, and what to run there.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// The host [default: that of the control plane]
    #[arg(value_name = "HOST")]
    pub host: Option<String>,
    /// Program and arguments; a single word is for the shell, as in `-- 'ip route | wc -l'`
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

/// Becomes the command on the host; returns only on failure.
pub fn run(lab: &Lab, options: &Options) -> Result<Failure> {
    needs::root("enter a host")?;
    let host = match &options.host {
        Some(name) => lab.host(name)?,
        None => lab.plan.control_plane(),
    };
    let shell = shell::find_program("bash").map_or("sh", |_| "bash");
    let mut command = environment();
    command.extend(words(&options.command, shell));
    Ok(node::enter(lab, &host, &command))
}

/// What is run on the host for the words of the command line.
fn words(command: &[String], shell: &str) -> Vec<String> {
    match command {
        [] => vec![shell.to_owned(), "-i".to_owned()],
        [line] => [shell, "-c", line].map(str::to_owned).into(),
        several => several.to_vec(),
    }
}

/// The words before a command that give it the administrators' programs, and the host's
/// containerd to ctr, crictl and nerdctl.
fn environment() -> Vec<String> {
    let path = std::env::var("PATH").unwrap_or_default();
    vec![
        "env".to_owned(),
        format!("PATH={path}:/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin"),
        format!("CONTAINERD_ADDRESS={CONTAINERD_SOCKET}"),
        "CONTAINERD_NAMESPACE=k8s.io".to_owned(),
        format!("CONTAINER_RUNTIME_ENDPOINT=unix://{CONTAINERD_SOCKET}"),
    ]
}

#[cfg(test)]
mod tests {
    #[test]
    fn one_word_is_a_line_for_the_shell_and_several_are_a_program() {
        let run = |words: &[&str]| {
            let given: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            super::words(&given, "sh").join("|")
        };
        assert_eq!(run(&[]), "sh|-i");
        assert_eq!(run(&["exit 3"]), "sh|-c|exit 3");
        assert_eq!(run(&["echo", "a b"]), "echo|a b");
    }
}
