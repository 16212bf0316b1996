//! `hardway etcd`: the store's members, on the host of a control plane.

use std::path::Path;

use crate::etcd::{Client, Error};
use crate::failure::{Failure, Result};
use crate::host::Layout;
use crate::host::control_plane::here;

pub mod defrag;
pub mod force_new_cluster;
pub mod members;
pub mod recover_space;
pub mod remove;

/// What can be done with etcd.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum Action {
    /// Show all members and how each is; ends with 1 if one is not healthy
    Members,
    /// Take the member of a host out that is lost or is to go
    Remove(remove::Options),
    /// Make this host's member the only one, when most of the others are lost for good
    ForceNewCluster(force_new_cluster::Options),
    /// Give back to the disk what the members' files have no use for, one at a time; who does it
    /// answers nobody meanwhile
    Defrag(defrag::Options),
    /// Forget history, defragment, and take back an alarm about space
    RecoverSpace(recover_space::Options),
}

/// Does it; says whether all is well.
pub fn run(action: &Action) -> Result<bool> {
    let layout = Layout::new(Path::new("/"));
    here(&layout)?;
    let client = Client::of_host(&layout);
    match action {
        Action::Members => members::run(&client),
        Action::Remove(options) => remove::run(&layout, &client, options).map(|()| true),
        Action::ForceNewCluster(options) => {
            force_new_cluster::run(&layout, &client, options).map(|()| true)
        }
        Action::Defrag(options) => defrag::run(&client, options).map(|()| true),
        Action::RecoverSpace(options) => recover_space::run(&client, options).map(|()| true),
    }
}

/// What could not be done, because etcd said no or isn't there.
fn failure(what: &str, error: &Error) -> Failure {
    let failure = Failure::new(what, error);
    match error {
        Error::Refused(_) => failure.way_out("see how its members are:  hardway etcd members"),
        Error::Unreachable(_) => failure.way_out(
            "see what etcd of this host says:  journalctl --unit hardway-etcd; or type this on another control plane",
        ),
    }
}
