//! `hardway down`: takes everything of the lab off the machine.

use std::path::Path;

use anstream::println;

use crate::failure::Result;
use crate::lab::mount_points::MountPoints;
use crate::lab::{self, Lab, network, node, numbers, purge};
use crate::shell;

/// Takes the lab down. Certificates and images stay for the next `up`, unless
/// `purge` asks for nothing to stay.
pub fn run(folder: &Path, purge: bool) -> Result<()> {
    if !folder.exists() {
        println!("there is no lab in {}", folder.display());
        return Ok(());
    }
    let lock = lab::lock(folder)?;
    if let Some(lab) = Lab::find_to_remove(folder)? {
        take_off(&lab)?;
    }
    if purge {
        drop(lock);
        if !purge::purge(folder)? {
            println!("{} stays: there is more in it than a lab", folder.display());
        }
    }
    println!("the lab in {} is down", folder.display());
    Ok(())
}

/// Takes a lab's hosts off the machine, with their disks. Goes on after failures and tells the
/// first.
pub fn take_off(lab: &Lab) -> Result<()> {
    let hosts = lab.plan.hosts();
    let off = hosts.iter().rev().map(|host| node::switch_off(lab, host));
    let mut results: Vec<Result<()>> = off.collect();
    results.push(network::remove_bridge(&lab.plan));
    if results.iter().all(Result::is_ok) {
        results.push(MountPoints::lock().and_then(|points| points.remove_unused()));
        numbers::disown(lab.plan.index);
        results.push(shell::remove(&lab.folder.join("nodes")).map(drop));
    }
    results.into_iter().collect()
}
