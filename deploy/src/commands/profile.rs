//! `hardway profile`: which clusters there are, and which is meant when nobody says.

use anstream::{print, println};
use serde_json::json;

use crate::failure::Result;
use crate::lab::node;
use crate::output::table;
use crate::profiles::choose::Asked;
use crate::profiles::settings::Settings;
use crate::profiles::{Home, Profile};

/// What `profile` may be told.
#[derive(Debug, Clone, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Options {
    /// Have this cluster meant from now on
    pub name: Option<String>,
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, Clone, clap::Subcommand)]
enum Action {
    /// Show all clusters
    List {
        /// How to write them
        #[arg(short, long, value_enum, default_value_t)]
        output: Output,
    },
}

#[derive(Debug, Clone, Copy, Default, clap::ValueEnum)]
enum Output {
    /// As a table
    #[default]
    Table,
    /// As JSON
    Json,
}

/// Shows or sets which cluster is meant, or shows all.
pub fn run(asked: &Asked, options: &Options) -> Result<()> {
    match (&options.action, &options.name) {
        (Some(Action::List { output }), _) => list(asked, *output),
        (None, None) => {
            println!("{}", asked.profile()?.name);
            Ok(())
        }
        (None, Some(name)) => {
            let home = Home::find()?;
            Settings::load(&home)?.set("profile", name)?.save(&home)?;
            println!("{name} is meant from now on");
            Ok(())
        }
    }
}

fn list(asked: &Asked, output: Output) -> Result<()> {
    let active = asked.profile()?.name;
    let all: Vec<Line> = Home::find()?
        .all()?
        .iter()
        .map(|profile| line(profile, &active))
        .collect::<Result<_>>()?;
    match output {
        Output::Table => {
            let titles = ["NAME", "IP", "NODES", "STATUS", "ACTIVE"].map(str::to_owned);
            let rows = all.into_iter().map(|line| {
                let active = if line.is_active { "*" } else { "" };
                let nodes = line.nodes.to_string();
                [
                    line.name,
                    line.address,
                    nodes,
                    line.state.to_owned(),
                    active.to_owned(),
                ]
            });
            let rows: Vec<[String; 5]> = std::iter::once(titles).chain(rows).collect();
            print!("{}", table(&rows));
        }
        Output::Json => {
            let lines: Vec<_> = all
                .iter()
                .map(|line| {
                    json!({"Name": line.name, "Status": line.state, "IP": line.address,
                        "Nodes": line.nodes, "Active": line.is_active})
                })
                .collect();
            println!("{}", json!({"invalid": [], "valid": lines}));
        }
    }
    Ok(())
}

struct Line {
    name: String,
    address: String,
    nodes: usize,
    state: &'static str,
    is_active: bool,
}

fn line(profile: &Profile, active: &str) -> Result<Line> {
    let lab = profile.lab()?;
    let hosts = lab.plan.hosts();
    let on = hosts
        .iter()
        .filter(|host| node::init_pid(&lab, host).is_some());
    let state = match on.count() {
        0 => "Stopped",
        count if count == hosts.len() => "Running",
        _ => "Degraded",
    };
    Ok(Line {
        name: profile.name.clone(),
        address: lab.plan.control_plane().address.to_string(),
        nodes: hosts.len(),
        state,
        is_active: profile.name == active,
    })
}
