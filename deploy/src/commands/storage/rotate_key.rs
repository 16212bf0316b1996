//! `hardway storage rotate-key`.

use std::thread;
use std::time::{Duration, Instant};

use anstream::println;

use super::migrate_all;
use crate::failure::{Failure, Result};
use crate::host::shared_keys::{CertificateKey, secret};
use crate::lab::{self, Lab};
use crate::rotation::control_planes::Without;
use crate::rotation::encryption::{Configuration, Step};
use crate::rotation::missing::Missing;
use crate::rotation::options::HostByHost;
use crate::rotation::place::Place;
use crate::shell;

const AGAIN: &str = "hardway storage rotate-key --resume";
/// How often apiservers are asked while they are waited for.
const LOOK: Duration = Duration::from_secs(1);

/// How the key is to be replaced.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// How far to go
    #[arg(long, value_enum, default_value = "drop")]
    to_step: Step,
    /// From host to host
    #[command(flatten)]
    common: HostByHost,
}

/// Replaces it. Whether all objects were stored anew, if that was asked for.
///
/// # Errors
/// With who doesn't go by the same configuration, or what couldn't be read or written; typed again it
/// goes on.
pub fn run(options: &Options, lab: Option<&Lab>) -> Result<bool> {
    let Options { to_step, common } = options;
    let place = Place::here(lab)?;
    let _lock = lab::wait_for_lock(&place.folder())?;
    let followers = Followers {
        place: &place,
        without: &common.without(&[]),
        patience: common.patience,
    };
    place.check(followers.without)?;
    if let Some(key) = &common.certificate_key {
        take_over(&place, key)?;
    }
    if common.upload {
        place.hand_over(AGAIN)?;
    }
    let mut may_add = common.begins();
    let read = || Configuration::parse(&shell::read_text(&place.encryption())?);
    loop {
        let current = read()?;
        let step = current.next();
        if step > *to_step || step == Step::Add && !std::mem::replace(&mut may_add, false) {
            break;
        }
        if step != Step::Add {
            may_add = false;
            followers.wait_for_all(&[&current, &current.after(step)?])?;
        }
        if step == Step::Remove && !migrate_all(&place.api(), &current.resources())? {
            println!("the former key stays until all are stored anew; again:  {AGAIN}");
            return Ok(false);
        }
        let after = current.after(step)?;
        shell::write_file(&place.encryption(), after.text().as_bytes(), 0o600)?;
        println!("  ✓ {}", state(&after.keys()));
        if step == Step::Add {
            place.hand_over(AGAIN)?;
        }
    }
    let last = read()?;
    if last.next() != Step::Add {
        println!("{}; to go on:  {AGAIN}", state(&last.keys()));
        return Ok(true);
    }
    let others = followers.wait_for_own(&last)?;
    println!("stored with {}", last.keys().join(", "));
    if !others.is_empty() {
        let others = lines(&others);
        println!(
            "on these hosts the former key still reads, until the same is typed there:\n      {others}"
        );
    }
    Ok(true)
}

/// What each key does, the one that writes first.
fn state(keys: &[String]) -> String {
    match keys {
        [only] => format!("{only} alone reads and writes"),
        [first, others @ ..] => format!("{first} writes, {} reads", others.join(", ")),
        [] => String::new(),
    }
}

/// Apiservers, which follow the file of their host.
struct Followers<'a> {
    place: &'a Place,
    /// Who isn't waited for.
    without: &'a Without,
    patience: Duration,
}

impl Followers<'_> {
    /// Waits until every one goes by one of these configurations.
    fn wait_for_all(&self, configurations: &[&Configuration]) -> Result<()> {
        self.wait(configurations, |_| true).map(drop)
    }

    /// Waits until those of this host, or of the lab, go by a configuration. Gives the others that
    /// don't.
    fn wait_for_own(&self, configuration: &Configuration) -> Result<Vec<Missing>> {
        self.wait(&[configuration], |it| self.place.is_own_apiserver(&it.who))
    }

    fn wait(
        &self,
        configurations: &[&Configuration],
        is_waited_for: impl Fn(&Missing) -> bool,
    ) -> Result<Vec<Missing>> {
        let hashes: Vec<String> = configurations.iter().map(|it| it.hash()).collect();
        let deadline = Instant::now() + self.patience;
        let mut named = String::new();
        loop {
            let missing = self
                .place
                .apiservers_with_other_configurations(&hashes, self.without)?;
            let (waited_for, others): (Vec<_>, Vec<_>) =
                missing.into_iter().partition(&is_waited_for);
            if waited_for.is_empty() {
                return Ok(others);
            }
            let all = lines(&waited_for);
            if Instant::now() > deadline {
                return Err(Failure::new(
                    "go on",
                    format!("these don't go by the same keys yet:\n      {all}"),
                )
                .way_out(format!(
                    "nothing is lost: there  {AGAIN} --certificate-key KEY, then here  {AGAIN}"
                )));
            }
            if all != named {
                println!("  … waits for\n      {all}");
                named = all;
            }
            thread::sleep(LOOK);
        }
    }
}

fn lines(all: &[Missing]) -> String {
    let all: Vec<String> = all.iter().map(ToString::to_string).collect();
    all.join("\n      ")
}

/// Takes the configuration of the control plane where this was begun, if it has all keys that
/// are here.
fn take_over(place: &Place, key: &CertificateKey) -> Result<()> {
    let theirs = secret::fetch_as(&place.api(), key)?.encryption()?;
    let own = Configuration::parse(&shell::read_text(&place.encryption())?)?;
    let theirs = Configuration::parse(&theirs)?;
    let names = theirs.keys();
    match own.keys().iter().all(|name| names.contains(name)) {
        // Who has gone further than what was handed over stays there.
        true if own.keys().len() < names.len() => {
            shell::write_file(&place.encryption(), theirs.text().as_bytes(), 0o600)
        }
        true => Ok(()),
        false => Err(Failure::new(
            "take over the encryption configuration",
            format!(
                "it has the keys {}, and here are {}: what those have written could not be read any more",
                names.join(", "),
                own.keys().join(", ")
            ),
        )),
    }
}
