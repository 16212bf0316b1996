//! `hardway restore`: has this host go on from a backup, as the first control plane of its
//! cluster. Nothing is changed before the backup has proven whole and etcd has come up with it;
//! from then on an interrupted restore is finished by typing it again.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use anstream::println;
use jiff::Timestamp;

use super::init;
use crate::backup::staged::{self, Journal, Staged};
use crate::failure::{Failure, Result};
use crate::host::{Layout, facts, preflight, systemd};
use crate::packaging::Package;
use crate::progress::Progress;

/// What `restore` may be told.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// The backup
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The key that it is encrypted to
    #[arg(long, value_name = "FILE")]
    identity: Option<PathBuf>,
    /// Address of this host for nodes and users [default: that of the host that was backed up]
    #[arg(long, value_name = "IP")]
    address: Option<Ipv4Addr>,
    /// Go on though this host has a cluster already, whose files are moved aside, or though the
    /// backup was taken later than it is by this host's clock
    #[arg(long)]
    force: bool,
}

/// Does it.
///
/// # Errors
/// If the backup is not whole, or the host has a cluster already; then nothing was changed.
pub fn run(options: &Options) -> Result<()> {
    let layout = Layout::new(Path::new("/"));
    let staged = Staged::on(&layout);
    let progress = Progress::new();
    let journal = match staged.journal()? {
        Some(journal) => {
            progress.say(&format!(
                "going on with the backup of {}, {:.0}, that was made ready before; for another one remove {} first",
                journal.backup.host,
                journal.backup.created,
                staged.folder().display()
            ));
            journal
        }
        None => {
            let made = make_ready(options, &layout, &staged, &progress);
            if made.is_err() {
                staged.remove()?;
            }
            made?
        }
    };
    let units = Package::ControlPlane.units();
    progress.step("stop what runs here", || systemd::stop(&layout, units))?;
    progress.step("put store, keys and settings in place", || {
        let kept = staged.install(&journal)?;
        let kept: Vec<String> = kept.iter().map(|it| it.display().to_string()).collect();
        Ok(match kept.is_empty() {
            true => String::new(),
            false => format!("what was there is kept: {}", kept.join(", ")),
        })
    })?;
    init::run(&init::Options {
        address: Some(journal.address),
        root: PathBuf::from("/"),
        ..init::Options::default()
    })?;
    staged.remove()?;
    println!(
        "
Restored as of {:.0}. What else there is of the cluster:
  other control planes   on each:  hardway reset --force, then join it again:  hardway token create --control-plane
  nodes                  {}",
        journal.backup.created,
        match journal.address == journal.backup.address {
            true => "go on by themselves".to_owned(),
            false => format!(
                "know {} only: on each  hardway reset --force, then join it again",
                journal.backup.address
            ),
        }
    );
    Ok(())
}

/// Does all that changes nothing yet.
fn make_ready(
    options: &Options,
    layout: &Layout,
    staged: &Staged<'_>,
    progress: &Progress,
) -> Result<Journal> {
    let host = facts::host_name()?;
    let backup = progress.step("unpack the backup, and check it", || {
        staged
            .unpack(&options.file, options.identity.as_deref())
            .map(Unpacked)
    })?;
    let (backup, now) = (backup.0, Timestamp::now());
    if backup.is_of_the_future(now) && !options.force {
        return Err(Failure::new(
            "restore onto this host",
            format!(
                "the backup was taken at {:.0}, and by this host's clock it is {now:.0}: by the clock revisions are chosen that no client has seen",
                backup.created
            ),
        )
        .way_out("set the clock:  timedatectl set-time …;  if that of the backup was wrong:  hardway restore --force …"));
    }
    let in_the_way = staged::in_the_way(layout, &staged.ca()?)?;
    if !in_the_way.is_empty() && !options.force {
        return Err(
            Failure::new("restore onto this host", in_the_way.join("; "))
                .way_out("to have it moved aside:  hardway restore --force …"),
        );
    }
    let cluster = staged.cluster(options.address)?;
    let gathered = facts::Facts::gather(layout, cluster.address, Package::ControlPlane.units())?;
    let findings = preflight::findings(&gathered, Package::ControlPlane);
    preflight::check(&findings, false)?;
    progress.step(
        "make a store of it, after all revisions that anybody has seen",
        || {
            let made = staged.prepare(&backup, &cluster, &host, now)?;
            Ok(format!("{} keys, revision {}", made.keys, made.revision))
        },
    )?;
    let journal = staged.journal()?;
    journal.ok_or_else(|| Failure::new("restore onto this host", "its journal is gone"))
}

/// The backup that was unpacked.
struct Unpacked(crate::backup::Facts);

impl crate::progress::Outcome for Unpacked {
    fn describe(&self) -> String {
        let facts = &self.0;
        format!(
            ": {} on {}, {:.0}",
            facts.cluster, facts.host, facts.created
        )
    }
}
