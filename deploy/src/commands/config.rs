//! `hardway config`: defaults that stay.

use anstream::println;

use crate::failure::{Failure, Result};
use crate::profiles::Home;
use crate::profiles::settings::{KEYS, Settings};

/// What to do with a setting.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum Action {
    /// Set one
    Set {
        /// Its name; `config view --all` shows which there are
        key: String,
        /// What it is from now on
        value: String,
    },
    /// Show one; fails when it isn't set
    Get {
        /// Its name
        key: String,
    },
    /// Go back to the built-in default
    Unset {
        /// Its name
        key: String,
    },
    /// Show those that are set
    View {
        /// Show which there are, and what they mean
        #[arg(long)]
        all: bool,
    },
}

/// Does it.
pub fn run(action: &Action) -> Result<()> {
    let home = Home::find()?;
    let settings = Settings::load(&home)?;
    match action {
        Action::Set { key, value } => settings.set(key, value)?.save(&home)?,
        Action::Unset { key } => settings.unset(key)?.save(&home)?,
        Action::Get { key } => match settings.get(key)? {
            Some(value) => println!("{value}"),
            None => return Err(Failure::new(format!("show setting {key}"), "it is not set")),
        },
        Action::View { all: true } => {
            for (key, meaning) in KEYS {
                println!("{key:14}{meaning}");
            }
        }
        Action::View { all: false } => {
            for (key, value) in settings.view()? {
                println!("- {key}: {value}");
            }
        }
    }
    Ok(())
}
