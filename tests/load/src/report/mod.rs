//! What a run has measured, and its forms: a table, JSON, a page.

pub mod compare;
pub mod page;
mod plot;
pub mod table;

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::latency::Percentiles;
use crate::process::Cost;

/// A run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// This tool's version.
    pub tool: String,
    /// When it began (RFC 3339).
    pub began: String,
    /// The API server's address.
    pub server: String,
    /// Its version, as it says.
    pub server_version: String,
    /// Sizes and rates that were asked for.
    pub options: BTreeMap<String, String>,
    /// The machine's load average of a minute: at the beginning and at the end.
    pub load_average: [f64; 2],
    /// What was measured, in order.
    pub measurements: Vec<Measurement>,
    /// Workloads that could not be run to their end, with the reason.
    pub failures: BTreeMap<String, String>,
}

/// One thing that was measured.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Measurement {
    /// The workload it is of.
    pub workload: String,
    /// What was done, such as `create pods`.
    pub name: String,
    /// How often it was done, without failures.
    pub operations: u64,
    /// How long all took, by the clock.
    pub seconds: f64,
    /// Bytes of the answers' bodies, where they count.
    pub bytes: u64,
    /// What failed, by the sort of failure.
    pub failures: BTreeMap<String, u64>,
    /// How long each took.
    pub latency: Option<Percentiles>,
    /// What processes of the cluster used meanwhile.
    pub processes: Vec<Cost>,
    /// Promises of Kubernetes' API that were broken.
    pub violations: Vec<String>,
    /// Other figures, by name with unit.
    pub figures: BTreeMap<String, f64>,
    /// What has to be known with it.
    pub notes: Vec<String>,
}

impl Measurement {
    /// Operations a second.
    pub fn rate(&self) -> f64 {
        match self.seconds > 0.0 {
            true => self.operations as f64 / self.seconds,
            false => 0.0,
        }
    }

    /// How many failed.
    pub fn failed(&self) -> u64 {
        self.failures.values().sum()
    }
}

impl Report {
    /// Whether everything was done, and no promise was broken.
    pub fn is_good(&self) -> bool {
        let is_good = |it: &Measurement| it.failed() == 0 && it.violations.is_empty();
        self.failures.is_empty() && self.measurements.iter().all(is_good)
    }

    /// Reads a report that `--json` has written.
    ///
    /// # Errors
    /// If the file can't be read or is no report.
    pub fn read(file: &Path) -> Result<Self, Failure> {
        let fail = |why: &dyn ToString| {
            let what = format!("read the report {}", file.display());
            Failure::new(what, why.to_string(), "give a file that --json has written")
        };
        let text = std::fs::read(file).map_err(|error| fail(&error))?;
        serde_json::from_slice(&text).map_err(|error| fail(&error))
    }

    /// Writes it as JSON.
    ///
    /// # Errors
    /// If the file can't be written.
    pub fn write(&self, file: &Path) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(self).map_err(|error| unwritten(file, &error))?;
        std::fs::write(file, text + "\n").map_err(|error| unwritten(file, &error))
    }

    /// Writes it as a page for a browser.
    ///
    /// # Errors
    /// If the file can't be written.
    pub fn write_page(&self, file: &Path) -> Result<(), Failure> {
        std::fs::write(file, page::page(self)).map_err(|error| unwritten(file, &error))
    }
}

fn unwritten(file: &Path, why: &dyn ToString) -> Failure {
    let what = format!("write {}", file.display());
    Failure::new(
        what,
        why.to_string(),
        "name a file in a folder you may write to",
    )
}
