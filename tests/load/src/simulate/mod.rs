//! A cluster of many nodes of which nothing runs but what speaks with the API server: the
//! kubelets and proxies, simulated as tasks of this process. What that takes of the API
//! server and its etcd is measured at several sizes, and compared with what the smallest two
//! foretell (see docs/scale.md).

mod change;
mod cluster;
mod descriptors;
mod follow;
mod kubelet;
mod model;
mod objects;
mod options;
mod proxy;
mod sizes;
mod tally;

pub use options::Simulation;

use crate::api::ApiError;
use crate::failure::Failure;
use crate::progress::Progress;
use crate::report::{Report, table};
use crate::run::{Stop, load_average};
use anstream::print;
use tally::Tally;
use tokio::sync::Semaphore;

/// Simulates, prints what was measured, and writes it where that is wanted; whether all was
/// well.
///
/// # Errors
/// If the API server can't be started or gives up under way, or the process is asked to end.
pub async fn report(options: &Simulation, progress: Progress) -> Result<bool, Failure> {
    options.check()?;
    let mut stop = Stop::new()?;
    let (began, load) = (jiff::Timestamp::now().to_string(), load_average());
    let measured = tokio::select! {
        measured = sizes::run(options, progress) => measured?,
        () = stop.asked() => {
            let way_out = "what was started has ended; run it again";
            return Err(Failure::new("simulate nodes", "interrupted", way_out));
        }
    };
    let report = Report {
        tool: env!("CARGO_PKG_VERSION").to_owned(),
        began,
        server: format!("simulated nodes, {}", options.binaries.display()),
        server_version: String::new(),
        options: options.named().collect(),
        load_average: [load, load_average()],
        measurements: measured,
        failures: Default::default(),
    };
    print!("{}", table::table(&report));
    if let Some(file) = &options.json {
        report.write(file)?;
    }
    if let Some(file) = &options.html {
        report.write_page(file)?;
    }
    Ok(report.is_good())
}

/// What all simulated nodes share.
pub struct World {
    /// What they have asked and been told.
    tally: Tally,
    /// Who may come now.
    door: Semaphore,
    /// The version of discovery.k8s.io that the server has.
    slices: &'static str,
}

/// An error that something failed by, if anything did.
fn as_failure(what: &str, error: Option<ApiError>) -> Result<(), Failure> {
    error.map_or(Ok(()), |error| {
        Err(Failure::new(what, &error, error.way_out()))
    })
}
