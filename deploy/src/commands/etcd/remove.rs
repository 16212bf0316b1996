//! `hardway etcd remove`: takes the member of a host out, so that it doesn't count any more
//! when the others look for a majority.

use std::net::IpAddr;

use anstream::println;

use crate::etcd::removal::{Removal, Seen, removal};
use crate::etcd::{Client, Member};
use crate::failure::{Failure, Result};
use crate::host::control_plane::{administrator, here};
use crate::host::{Layout, apiserver_lease, departure};

/// Which member goes.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Its host's name or address, or its number as `hardway etcd members` shows it
    #[arg(value_name = "NAME")]
    pub member: String,
    /// Take it out even if the others can't write any more without it
    #[arg(long)]
    pub force: bool,
}

/// Takes it out.
pub fn run(layout: &Layout, client: &Client, options: &Options) -> Result<()> {
    let what = format!("take {} out of etcd", options.member);
    let survey = client
        .survey()
        .map_err(|error| super::failure(&what, &error))?;
    let seen: Vec<Seen<'_>> = survey
        .iter()
        .map(|(member, status)| (member, status.as_ref().is_ok_and(|it| it.is_healthy())))
        .collect();
    let member = find(&seen, &options.member)?;
    check(&what, removal(&seen, member.id), options.force)?;
    let cluster = here(layout)?;
    let is_here = |address: std::net::SocketAddr| address.ip() == cluster.address;
    if member.peer_address().is_some_and(is_here) {
        return Err(Failure::new(what, "it is the member of this host")
            .way_out("have this host leave the control plane:  hardway reset"));
    }
    client
        .remove_in_time(member.id)
        .map_err(|error| super::failure(&what, &error))?;
    println!("{} is no member of etcd any more", member.label());
    if let Some(gone) = member.peer_address() {
        let (api, is_gone) = (administrator(layout, &cluster), |it: IpAddr| {
            it == gone.ip()
        });
        // Typed again it would find no member any more: both are tried, and told of.
        if let Err(failure) = apiserver_lease::forget(&api, is_gone) {
            println!(
                "its apiserver still has a Lease, by which its host is waited for when keys are replaced: {failure}\n  later:  kubectl delete lease --namespace kube-system {}",
                apiserver_lease::name(gone.ip())
            );
        }
        departure::point_elsewhere(&api, is_gone, &cluster.server())?;
    }
    println!(
        "its host must be reset before it comes back:  hardway reset --force; a node of that name goes with  kubectl delete node {}",
        member.label()
    );
    Ok(())
}

/// The one that is meant.
fn find<'a>(seen: &[Seen<'a>], name: &str) -> Result<&'a Member> {
    let mut found = seen.iter().filter(|(member, _)| member.is_called(name));
    let names = || -> Vec<String> { seen.iter().map(|(member, _)| member.label()).collect() };
    match (found.next(), found.next()) {
        (Some((member, _)), None) => Ok(*member),
        (None, _) => Err(Failure::new(
            format!("find the member {name}"),
            format!("etcd has none of that name; it has {}", names().join(", ")),
        )
        .way_out("see them all:  hardway etcd members")),
        (Some(_), Some(_)) => Err(Failure::new(
            format!("find the member {name}"),
            "several are called so",
        )
        .way_out("name it by its number, as  hardway etcd members  shows it")),
    }
}

/// Whether the others go on without it.
///
/// # Errors
/// If they don't, unless it is forced and possible.
pub fn check(what: &str, removal: Removal, force: bool) -> Result<()> {
    match removal {
        Removal::Fine { .. } => Ok(()),
        Removal::Last => Err(Failure::new(
            what,
            "it is the last member: with it goes the cluster",
        )
        .way_out("if you mean it, on its host:  hardway reset")),
        Removal::NoMajority { all, healthy } => Err(Failure::new(
            what,
            format!("only {healthy} of {all} members are healthy, which is no majority: nothing can be decided"),
        )
        .way_out("bring others back; if they are lost for good, on the host of one that is not:  hardway etcd force-new-cluster")),
        Removal::LosesMajority { .. } if force => Ok(()),
        Removal::LosesMajority { left, healthy } => Err(Failure::new(
            what,
            format!("of the {left} members that stay only {healthy} is healthy: nothing could be written any more"),
        )
        .way_out("bring the others back first, or take out those that are lost")),
    }
}
