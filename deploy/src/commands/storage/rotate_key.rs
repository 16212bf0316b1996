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
use crate::rotation::options::HostByHost;
use crate::rotation::place::Place;
use crate::shell;

const AGAIN: &str = "hardway storage rotate-key --resume";
/// How often apiservers are asked while they are waited for.
const LOOK: Duration = Duration::from_secs(1);

/// Replaces it. Whether all objects were stored anew.
pub fn run(options: &HostByHost, lab: Option<&Lab>) -> Result<bool> {
    let place = Place::here(lab)?;
    let _lock = lab::wait_for_lock(&place.folder())?;
    let without = options.without(&[]);
    place.check(&without)?;
    let wait = |one: &Configuration, other: &Configuration| {
        wait(&place, &without, (one, other), options.patience)
    };
    if let Some(key) = &options.certificate_key {
        take_over(&place, key)?;
    }
    if options.upload {
        place.hand_over(AGAIN)?;
    }
    let mut may_add = options.begins();
    let read = || Configuration::parse(&shell::read_text(&place.encryption())?);
    loop {
        let current = read()?;
        let step = current.next();
        match step {
            Step::Add if !std::mem::replace(&mut may_add, false) => break,
            Step::Add => {}
            Step::Promote | Step::Remove => {
                may_add = false;
                wait(&current, &current.after(step)?)?;
            }
        }
        if step == Step::Remove && !migrate_all(&place.api(), &current.resources())? {
            println!("the former key stays until all are stored anew; again:  {AGAIN}");
            return Ok(false);
        }
        let after = current.after(step)?;
        shell::write_file(&place.encryption(), after.text().as_bytes(), 0o600)?;
        println!("  ✓ {}", word(step, &after.keys()));
        if step == Step::Add {
            place.hand_over(AGAIN)?;
        }
    }
    let last = read()?;
    wait(&last, &last)?;
    println!("stored with {}", last.keys().join(", "));
    Ok(true)
}

fn word(step: Step, keys: &[String]) -> String {
    let (first, last) = (keys.first(), keys.last());
    let name = |it: Option<&String>| it.cloned().unwrap_or_default();
    match step {
        Step::Add => format!("{} reads, {} writes", name(last), name(first)),
        Step::Promote => format!("{} writes, {} reads", name(first), name(last)),
        Step::Remove => format!("{} alone reads and writes", name(first)),
    }
}

/// Waits until every apiserver goes by one of these two configurations.
fn wait(
    place: &Place,
    without: &Without,
    (one, other): (&Configuration, &Configuration),
    patience: Duration,
) -> Result<()> {
    let hashes = [one.hash(), other.hash()];
    let deadline = Instant::now() + patience;
    let mut named = String::new();
    loop {
        let others = place.apiservers_with_other_configurations(&hashes, without)?;
        if others.is_empty() {
            return Ok(());
        }
        let all: Vec<String> = others.iter().map(ToString::to_string).collect();
        let all = all.join("\n      ");
        if Instant::now() > deadline {
            return Err(Failure::new(
                "go on",
                format!("these don't read the new key yet:\n      {all}"),
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
