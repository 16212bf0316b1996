//! `hardway token`: bootstrap tokens, with which hosts join.

use std::path::PathBuf;
use std::time::Duration;

use anstream::println;
use jiff::Timestamp;

use crate::failure::{Failure, Result};
use crate::host::Layout;
use crate::host::control_plane::{administrator, here};
use crate::host::shared_keys::secret;
use crate::host::token::{self, Token};
use crate::pki::CLUSTER_CA;
use crate::shell;

/// What can be done with tokens.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum Action {
    /// Make a token, and say what to type on a host that is to join
    Create {
        /// How long it is good: 24h, 30m, 90s; 0 for ever
        #[arg(long, value_name = "TIME", default_value = "24h", value_parser = token::life)]
        ttl: Duration,
        /// What it is for, in your words
        #[arg(long, value_name = "TEXT", default_value = "")]
        description: String,
        /// For a control plane: uploads the keys that control planes share as well, for two
        /// hours, and encrypted by a key that is only printed
        #[arg(long)]
        control_plane: bool,
    },
    /// Show all tokens
    List,
    /// Make tokens worthless
    Delete {
        /// Tokens, or their first six characters
        #[arg(required = true, value_name = "TOKEN", value_parser = token::id)]
        tokens: Vec<String>,
    },
}

/// Does it, on the host of the control plane.
pub fn run(action: &Action) -> Result<()> {
    let layout = Layout::new(&PathBuf::from("/"));
    let cluster = here(&layout)?;
    let api = administrator(&layout, &cluster);
    match action {
        Action::Create {
            ttl,
            description,
            control_plane,
        } => {
            let token = Token::random()?;
            let life = (!ttl.is_zero()).then_some(*ttl);
            let secret = token.secret(Timestamp::now(), life, description);
            api.create(token::PATH, &secret)?;
            let ca = shell::read_text(&layout.pki().certificate(CLUSTER_CA))?;
            let line = if *control_plane {
                let key = secret::upload(&api, &layout.etc(), Timestamp::now())?;
                token::control_plane_join_command(&cluster.server(), &token, &ca, &key)?
            } else {
                token::join_command(&cluster.server(), &token, &ca)?
            };
            println!("{line}");
        }
        Action::List => {
            let secrets = api.get(token::PATH)?.unwrap_or_default();
            println!(
                "{:<25}{:<10}{:<22}{:<24}DESCRIPTION",
                "TOKEN", "TTL", "EXPIRES", "USAGES"
            );
            for row in token::rows(&secrets, Timestamp::now()) {
                println!(
                    "{:<25}{:<10}{:<22}{:<24}{}",
                    row.token, row.left, row.expires, row.usages, row.description
                );
            }
        }
        Action::Delete { tokens } => {
            for id in tokens {
                if !api.delete(&format!("{}/bootstrap-token-{id}", token::PATH))? {
                    return Err(Failure::new(
                        format!("delete token {id}"),
                        "there is none of that name",
                    )
                    .way_out("see which there are:  hardway token list"));
                }
                println!("token {id} deleted");
            }
        }
    }
    Ok(())
}
