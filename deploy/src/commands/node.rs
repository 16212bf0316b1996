//! `hardway node kill|start|cut|join|exec NAME`: what can happen to a host.

use anstream::println;

use crate::failure::Result;
use crate::lab::{Lab, network, node, starting};
use crate::plan::Host;

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
    /// Pull a host's network plug, or cut it off from some other hosts only
    Cut {
        /// Its name
        name: String,
        /// Drop packets between it and this host; repeat it for more
        #[arg(long, value_name = "HOST")]
        from: Vec<String>,
        /// Drop only what the others send to it: they hear it, and it doesn't hear them
        #[arg(long, requires = "from")]
        one_way: bool,
    },
    /// Put a host's network plug back, and undo what `cut` did to it
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
        Action::Cut {
            name,
            from,
            one_way,
        } => {
            let host = lab.host(name)?;
            let others: Vec<Host> = from
                .iter()
                .map(|other| lab.host(other))
                .collect::<Result<_>>()?;
            match others.as_slice() {
                [] => network::set_link(&host, false)?,
                others => network::cut(&host, others, *one_way)?,
            }
            match (from.join(", "), one_way) {
                (others, _) if others.is_empty() => println!("{name} is cut off"),
                (others, true) => println!("{name} doesn't hear {others}"),
                (others, false) => println!("{name} is cut off from {others}"),
            }
        }
        Action::Join { name } => {
            let host = lab.host(name)?;
            network::set_link(&host, true)?;
            network::undo_cuts(&host)?;
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
