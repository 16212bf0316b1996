//! `hardway delete`: takes a cluster off this machine, with all it has stored.

use std::fs;

use anstream::println;

use crate::failure::Result;
use crate::kubeconfig::merge::{Change, Known};
use crate::kubeconfig::{self, file};
use crate::lab::{self, Lab};
use crate::profiles::{Home, Profile, needs};
use crate::progress::Progress;

use super::down;

/// What `delete` may be told.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Delete all clusters
    #[arg(long)]
    pub all: bool,
    /// Delete the settings and the images that all clusters have in common, too
    #[arg(long, requires = "all")]
    pub purge: bool,
}

/// Deletes one cluster, or all.
pub fn run(profile: &Profile, options: &Options) -> Result<()> {
    needs::root("delete a cluster")?;
    let home = Home::find()?;
    home.remove_deleted()?;
    if !options.all {
        if !profile.exists() {
            // With the way out.
            profile.lab()?;
        }
        return delete(&home, profile);
    }
    for profile in home.all()? {
        delete(&home, &profile)?;
    }
    if options.purge {
        let folder = home.folder.display();
        match home.purge()? {
            true => println!("{folder} is gone"),
            false => println!("{folder} stays: there is more in it than hardway's"),
        }
    }
    Ok(())
}

fn delete(home: &Home, profile: &Profile) -> Result<()> {
    let progress = Progress::new();
    let lock = lab::lock(&profile.folder)?;
    let lab = Lab::find_to_remove(&profile.folder)?;
    progress.step(&format!("cluster {} deleted", profile.name), || {
        lab.as_ref().map_or(Ok(()), down::take_off)
    })?;
    for file in profile.merged_into() {
        let Some(lab) = &lab else {
            let file = file.display();
            println!("  ! its context may still be there, in {file}: nobody knows its address");
            continue;
        };
        let known = Known {
            name: &profile.name,
            server: &kubeconfig::server(&lab.plan.control_plane()),
        };
        // A file that somebody broke meanwhile is theirs to mend; the cluster goes nevertheless.
        if let Err(failure) = file::change(&file, &home.person, Change::Remove(known)) {
            println!("  ! its context may still be there: {failure}");
        }
    }
    profile.remove_folder()?;
    // Held until the folder is gone: a `start` that comes in between would lose its cluster.
    drop(lock);
    // The last one leaves no empty folders.
    let _ = fs::remove_dir(home.profiles());
    let _ = fs::remove_dir(&home.folder);
    Ok(())
}
