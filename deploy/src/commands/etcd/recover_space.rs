//! `hardway etcd recover-space`: history goes, files shrink, and an alarm about space is taken
//! back once there is some.

use anstream::println;

use super::{defrag, failure};
use crate::etcd::Client;
use crate::etcd::maintenance::NOSPACE;
use crate::failure::{Failure, Result};

/// Above this share of the quota the alarm would be back at once.
const FULL: f64 = 0.95;

/// What `recover-space` may be told.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Go on though a member doesn't answer
    #[arg(long)]
    force: bool,
}

/// Does it.
///
/// # Errors
/// If etcd doesn't do it, or what is stored needs all the space there is.
pub fn run(client: &Client, options: &Options) -> Result<()> {
    let what = "recover etcd's space";
    let failed = |error| failure(what, &error);
    let revision = client.revision().map_err(failed)?;
    client.compact(revision).map_err(failed)?;
    println!("history before revision {revision} is forgotten");
    let survey = client.survey().map_err(failed)?;
    defrag::all(client, &survey, options.force)?;
    let quota = client.quota().map_err(failed)?;
    for (member, status) in client.survey().map_err(failed)? {
        let Ok(status) = status else {
            continue;
        };
        if status.db_size as f64 >= quota as f64 * FULL {
            let mebibytes = |bytes: u64| bytes >> 20;
            let why = format!(
                "{} has {} of {} MiB in use still",
                member.label(),
                mebibytes(status.db_size),
                mebibytes(quota)
            );
            return Err(Failure::new(what, why).way_out(
                "delete objects, which is possible (kubectl delete --force --grace-period=0 for pods), and do this again; or raise --quota-backend-bytes in /etc/default/hardway-etcd: FLAGS=--quota-backend-bytes=…  and  systemctl restart hardway-etcd",
            ));
        }
    }
    let alarms = client.alarms().map_err(failed)?;
    let alarms = alarms.iter().filter(|alarm| alarm.name == NOSPACE);
    let mut count = 0;
    for alarm in alarms {
        client.disarm(alarm).map_err(failed)?;
        count += 1;
    }
    println!(
        "{}",
        match count {
            0 => "there was no alarm",
            _ => "the alarm is taken back: objects can be written again",
        }
    );
    Ok(())
}
