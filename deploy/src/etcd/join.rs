//! A host becomes a member: step by step, as [`next`] says, until it is a full one.

use std::thread;
use std::time::{Duration, Instant};

use anstream::println;

use super::next::{Next, Own, next};
use super::{Client, Error};
use crate::failure::{Failure, Result};

/// How long nothing may change while there is something to wait for. A learner that is
/// behind gets a snapshot of all that is stored first.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(200);
const PORTS: &str = "etcd of the control planes must be reached by this host at port 2379, and this host by theirs at port 2380; a control plane of an older version needs this version's packages first";
const JOINS_JUST_NOW: &str = "another host joins just now";

/// etcd on the host that joins.
pub trait Local {
    /// Whether a member has stored something in its folder.
    fn has_data(&self) -> bool;

    /// Has it run, and waits until it takes part; with an empty folder as one of the members
    /// of `initial_cluster`.
    ///
    /// # Errors
    /// If it doesn't come up.
    fn run(&self, initial_cluster: Option<&str>) -> Result<()>;

    /// A client of it.
    fn client(&self) -> &Client;
}

/// Makes the host a member beside others; says what was done.
///
/// # Errors
/// If something is in the way that somebody must decide about, or nothing moves any more.
pub fn join(others: &Client, local: &dyn Local, name: &str, peer_url: &str) -> Result<String> {
    let what = || format!("make {name} a member of etcd");
    let mut waiting = Waiting::new();
    let mut was_added = false;
    loop {
        let members = others
            .members()
            .map_err(|error| unreachable(&what(), &error))?;
        let own = Own {
            name: name.to_owned(),
            peer_url: peer_url.to_owned(),
            has_data: local.has_data(),
        };
        let step = next(&members, &own)
            .map_err(|obstacle| Failure::new(what(), &obstacle).way_out(obstacle.way_out()))?;
        let done = match step {
            Next::Announce { id, peer_url } => others.update_peer(id, &peer_url),
            Next::Add => others.add_learner(peer_url).inspect(|()| was_added = true),
            Next::Replace { id } => others.remove(id),
            Next::Await { learner } => Err(Error::Refused(format!("{JOINS_JUST_NOW}: {learner}"))),
            Next::Start { initial_cluster } => {
                local.run(Some(&initial_cluster))?;
                Ok(())
            }
            Next::Promote { id } => {
                local.run(None)?;
                let progress = local.client().status().map(|status| status.applied_index);
                waiting.has_moved_to(progress.unwrap_or(0));
                others.promote(id)
            }
            Next::Run => {
                local.run(None)?;
                let all = members.len();
                return Ok(match was_added {
                    true => format!("{all} members"),
                    false => format!("it is one of {all}"),
                });
            }
        };
        match done {
            Ok(()) => waiting = Waiting::new(),
            Err(error) => waiting.on(&what(), &error)?,
        }
    }
}

/// What is waited for, and since when it hasn't changed.
struct Waiting {
    since: Instant,
    progress: u64,
    was_said: bool,
}

impl Waiting {
    fn new() -> Self {
        Self {
            since: Instant::now(),
            progress: 0,
            was_said: false,
        }
    }

    /// Something moves.
    fn has_moved_to(&mut self, progress: u64) {
        if progress > self.progress {
            self.progress = progress;
            self.since = Instant::now();
        }
    }

    /// Waits a little for something that will pass, and not for ever.
    fn on(&mut self, what: &str, error: &Error) -> Result<()> {
        let Some(way_out) = passing(error) else {
            return Err(unreachable(what, error));
        };
        if self.since.elapsed() > PATIENCE {
            let seconds = PATIENCE.as_secs();
            return Err(Failure::new(
                what,
                format!("{error}; nothing has changed for {seconds} s"),
            )
            .way_out(way_out));
        }
        // A member that has just come is connected with the others for some seconds first.
        if self.since.elapsed() > Duration::from_secs(1) && !self.was_said {
            println!("{error}: waiting");
            self.was_said = true;
        }
        thread::sleep(PAUSE);
        Ok(())
    }
}

/// What to do should something last that usually passes; nothing if it doesn't pass.
fn passing(error: &Error) -> Option<&'static str> {
    const SEE: &str = "see  hardway etcd members  on a control plane";
    if matches!(error, Error::Unreachable(_)) {
        return Some(PORTS);
    }
    // The words are those of etcd's `rpctypes/error.go`.
    let known = [
        (
            "unhealthy cluster",
            "a member is not healthy: see  hardway etcd members  on a control plane; bring it back, or take it out:  hardway etcd remove NAME",
        ),
        (
            "not enough started members",
            "a member was added and never started: see  hardway etcd members  on a control plane; have it join, or take it out:  hardway etcd remove NAME",
        ),
        (
            "too many learner members",
            "another host has begun to join: let it end, or take it out, on a control plane:  hardway etcd remove ADDRESS",
        ),
        (
            JOINS_JUST_NOW,
            "let it end, or, if it is lost, take it out, on a control plane:  hardway etcd remove ADDRESS",
        ),
        (
            "in sync with leader",
            "see what it says:  journalctl --unit hardway-etcd; then join again",
        ),
        // Done already, by a request whose answer was lost: the members show it.
        ("can only promote a learner member", SEE),
        ("already exist", SEE),
        ("member not found", SEE),
        ("leader changed", SEE),
        ("no leader", SEE),
        (
            "request timed out",
            "see  hardway etcd members  on a control plane; is a disk slow?",
        ),
    ];
    let found = known.iter().find(|(words, _)| error.says(words));
    found.map(|(_, way_out)| *way_out)
}

fn unreachable(what: &str, error: &Error) -> Failure {
    let way_out = match error {
        Error::Refused(_) => "see  hardway etcd members  on a control plane; then join again",
        Error::Unreachable(_) => PORTS,
    };
    Failure::new(what, error).way_out(way_out)
}

#[cfg(test)]
mod tests;
