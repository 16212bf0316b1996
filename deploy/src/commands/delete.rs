//! `hardway delete`: takes a cluster off this machine, with all it has stored.

use std::fs;

use anstream::println;

use crate::failure::Result;
use crate::kubeconfig::file;
use crate::kubeconfig::merge::Change;
use crate::lab;
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
        profile.lab()?;
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
    progress.step(&format!("cluster {} deleted", profile.name), || {
        let lock = lab::lock(&profile.folder)?;
        down::take_off(&profile.folder)?;
        drop(lock);
        Ok(())
    })?;
    for file in profile.merged_into() {
        // A file that somebody broke meanwhile is theirs to mend; the cluster goes nevertheless.
        if let Err(failure) = file::change(&file, &home.person, Change::Remove(&profile.name)) {
            println!("  ! its context may still be there: {failure}");
        }
    }
    profile.remove_folder()?;
    // The last one leaves no empty folders.
    let _ = fs::remove_dir(home.profiles());
    let _ = fs::remove_dir(&home.folder);
    Ok(())
}
