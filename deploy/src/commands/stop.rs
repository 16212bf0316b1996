//! `hardway stop`: ends a cluster's processes and keeps what it has stored.

use anstream::println;

use crate::failure::Result;
use crate::kubeconfig::merge::{Change, Known};
use crate::kubeconfig::{self, file};
use crate::lab;
use crate::profiles::{Home, Profile, halt, needs};
use crate::progress::Progress;

/// What `stop` may be told.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Stop this process of a cluster, and nothing else: PROCESS or PROCESS@HOST
    #[arg(conflicts_with_all = ["all", "keep_context_active"])]
    pub process: Option<String>,
    /// Stop all clusters
    #[arg(long)]
    pub all: bool,
    /// Leave kubectl's current context as it is
    #[arg(long)]
    pub keep_context_active: bool,
}

/// Stops one cluster, or all.
pub fn run(profile: &Profile, options: &Options) -> Result<()> {
    needs::root("stop a cluster")?;
    let home = Home::find()?;
    let clusters = match options.all {
        true => home.all()?,
        false => vec![profile.clone()],
    };
    for cluster in clusters {
        stop(&home, &cluster, options.keep_context_active)?;
    }
    Ok(())
}

fn stop(home: &Home, profile: &Profile, keep_context: bool) -> Result<()> {
    let lab = profile.lab()?;
    let _lock = lab::lock(&profile.folder)?;
    let progress = Progress::new();
    progress.step(&format!("cluster {} stopped", profile.name), || {
        halt::halt(&lab)
    })?;
    if !keep_context {
        let known = Known {
            name: &profile.name,
            server: &kubeconfig::server(&lab.plan.control_plane()),
        };
        for file in profile.merged_into() {
            let left = file::change(&file, &home.person, Change::Leave(known));
            if let Err(failure) = left {
                println!("  ! it may still be the current context: {failure}");
            }
        }
    }
    println!("What it has stored is kept.");
    Ok(())
}
