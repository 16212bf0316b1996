//! `hardway certificates status`: where the rotation of each key is, and who isn't there yet.

use std::time::Duration;

use anstream::println;

use crate::failure::Result;
use crate::host::token;
use crate::lab::Lab;
use crate::rotation::control_planes::Without;
use crate::rotation::describe;
use crate::rotation::gates::Gates;
use crate::rotation::material::{CAS, Kind, Material};
use crate::rotation::place::Place;
use crate::rotation::steps::{self, Goal, Step};

/// What is to be shown.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Of how long a time those are shown who used something of a former CA or key
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = token::life)]
    pub unused_for: Duration,
}

/// Shows it.
///
/// # Errors
/// If the files can't be read, or the cluster can't be asked.
pub fn run(options: &Options, lab: Option<&Lab>) -> Result<()> {
    let place = Place::here(lab)?;
    let pki = place.pki();
    let without = Without::default();
    let mut gates = Gates::new(&place, &without, options.unused_for);
    for kind in [CAS.as_slice(), &[Kind::ServiceAccounts]].concat() {
        for line in describe(&place, &[kind])? {
            println!("{line}");
        }
        let state = Material::new(&pki, kind).state()?;
        let next = steps::next(&state, Goal::Drop).filter(|(step, _)| *step != Step::Make);
        let Some((_, gate)) = next else { continue };
        for missing in gates.missing(kind, &gate)? {
            println!("    waits for {missing}");
        }
    }
    Ok(())
}
