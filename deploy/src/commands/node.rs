//! `hardway node kill|start|cut|join|exec NAME`: what can happen to a host.

use anstream::println;

use crate::failure::Result;
use crate::lab::{Lab, network, node, starting};

/// What happens to a host.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum Action {
    /// Cut a host's power: all its processes, mounts and links are gone at once
    Kill {
        /// Its name
        name: String,
    },
    /// Switch a host on, with all its processes
    Start {
        /// Its name
        name: String,
    },
    /// Pull a host's network plug
    Cut {
        /// Its name
        name: String,
    },
    /// Put a host's network plug back
    Join {
        /// Its name
        name: String,
    },
    /// Run a program on a host, a shell by default
    Exec {
        /// Its name
        name: String,
        /// Program and arguments
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
}

/// Makes it happen.
pub fn run(lab: &Lab, action: &Action) -> Result<()> {
    match action {
        Action::Kill { name } => {
            node::switch_off(lab, &lab.host(name)?)?;
            println!("{name} is off");
        }
        Action::Start { name } => {
            let host = lab.host(name)?;
            starting::switch_on(lab, &host)?;
            starting::start_all(lab, &host)?;
            println!("{name} is on");
        }
        Action::Cut { name } => {
            network::set_link(&lab.host(name)?, false)?;
            println!("{name} is cut off");
        }
        Action::Join { name } => {
            network::set_link(&lab.host(name)?, true)?;
            println!("{name} is connected");
        }
        Action::Exec { name, command } => {
            let shell = ["sh".to_owned()];
            let command = if command.is_empty() {
                &shell
            } else {
                command.as_slice()
            };
            return Err(node::enter(lab, &lab.host(name)?, command));
        }
    }
    Ok(())
}
