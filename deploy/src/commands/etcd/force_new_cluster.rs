//! `hardway etcd force-new-cluster`: when most members are lost for good, the one of this
//! host goes on alone with what it has stored.

use std::path::Path;
use std::time::Duration;

use anstream::println;

use crate::etcd::{self, Client, Member, Status};
use crate::failure::{Failure, Result};
use crate::host::control_plane::{administrator, here, wait_ready};
use crate::host::steps::Steps;
use crate::host::{Layout, apiserver_lease, departure, etcd_env, systemd};
use crate::shell;

/// How long the processes may take to be ready.
const PATIENCE: Duration = Duration::from_secs(120);
/// What tells etcd, for this one start: it is gone after a reboot.
const DROP_IN: &str = "/run/systemd/system/hardway-etcd.service.d/force-new-cluster.conf";
const UNIT: &str = "hardway-etcd.service";
const APISERVER: &str = "hardway-apiserver.service";

/// Whether it is meant.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Really do it: what the others had agreed on without this member is lost
    #[arg(long)]
    pub force: bool,
}

/// Makes it the only one.
pub fn run(layout: &Layout, client: &Client, options: &Options) -> Result<()> {
    let what = "make this host's member the only one";
    if !etcd::has_data(layout) {
        return Err(Failure::new(what, "it has stored nothing")
            .way_out("type it on a control plane that has, or restore a copy:  hardway restore"));
    }
    let members = client.members().unwrap_or_default();
    let status = client.status().ok();
    let is_healthy = status.as_ref().is_some_and(Status::is_healthy);
    if is_healthy && members.len() > 1 {
        return Err(
            Failure::new(what, "most members are healthy, and nothing is lost")
                .way_out("take out those that are:  hardway etcd remove NAME"),
        );
    }
    if !is_healthy && !options.force {
        let own = status.map(|status| status.member);
        return Err(Failure::new(what, warning(&members, own))
            .way_out("if they are lost for good:  hardway etcd force-new-cluster --force"));
    }
    // One that is alone and well may be so since the command was interrupted after the deed.
    steps(layout, !is_healthy).run(false)?;
    println!(
        "etcd has one member. The other hosts must not come back as they are: on each  hardway reset --force --lose-majority, then have it join:  hardway token create --control-plane"
    );
    Ok(())
}

/// What makes it the only one, and what follows from that.
fn steps(layout: &Layout, is_to_be: bool) -> Steps<'_> {
    let mut steps = Steps::default();
    if is_to_be {
        steps.add("stop the apiserver", move || {
            shell::run("systemctl", &["stop", APISERVER])?;
            departure::forget_members(layout)?;
            Ok(String::new())
        });
        steps.add("etcd starts with its member alone", move || {
            let text = "[Service]\nEnvironment=ETCD_FORCE_NEW_CLUSTER=true\n";
            shell::write_file(Path::new(DROP_IN), text.as_bytes(), 0o644)?;
            systemd::start(&[UNIT], true, PATIENCE)
        });
    }
    steps.add("the next time it starts as ever", move || {
        finish(layout)?;
        Ok(String::new())
    });
    steps.add("start the apiserver", move || {
        systemd::start(&[APISERVER], is_to_be, PATIENCE)?;
        wait_ready(layout, &here(layout)?)
    });
    steps.add("who joins looks for the API here", move || {
        let cluster = here(layout)?;
        let api = administrator(layout, &cluster);
        departure::point_elsewhere(&api, |it| it != cluster.address, &cluster.server())?;
        Ok(String::new())
    });
    steps.add("nobody waits for the hosts that were lost", move || {
        let cluster = here(layout)?;
        let api = administrator(layout, &cluster);
        let gone = apiserver_lease::forget(&api, |it| it != cluster.address)?;
        let gone: Vec<String> = gone.iter().map(ToString::to_string).collect();
        Ok(gone.join(", "))
    });
    steps
}

/// Has it not happen again.
fn finish(layout: &Layout) -> Result<()> {
    shell::remove(Path::new(DROP_IN))?;
    if let Some(folder) = Path::new(DROP_IN).parent() {
        // Others' settings in it stay.
        let _ = std::fs::remove_dir(folder);
    }
    shell::run("systemctl", &["daemon-reload"])?;
    etcd_env::settle(&layout.etc())
}

/// What is lost with it.
fn warning(members: &[Member], own: Option<u64>) -> String {
    let others = members.iter().filter(|member| Some(member.id) != own);
    let names: Vec<String> = others.map(Member::label).collect();
    let of = match names.is_empty() {
        true => String::new(),
        false => format!(" ({})", names.join(", ")),
    };
    format!(
        "the other members{of} would be none any more; what they had agreed on and this one hasn't heard of is lost, and hosts that come back with their old data would be a second cluster"
    )
}
