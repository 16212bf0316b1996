//! How large the simulated clusters are.

use crate::failure::Failure;
use std::num::{NonZeroU32, NonZeroU64};
use std::path::PathBuf;

/// Simulates the kubelets and proxies of clusters that grow, against one API server that is
/// started for it on an etcd of its own, and says what that takes.
#[derive(Debug, Clone, clap::Args)]
pub struct Simulation {
    /// Folder with hardway-apiserver, or kube-apiserver
    #[arg(long, value_name = "FOLDER", default_value = "target/release")]
    pub binaries: PathBuf,
    /// Sizes, each larger than the one before. What the first two take foretells the others
    #[arg(
        long,
        value_name = "N",
        value_delimiter = ',',
        default_value = "500,1000,2000"
    )]
    pub nodes: Vec<NonZeroU64>,
    /// Pods of each node
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub pods_per_node: u64,
    /// Services, of ten endpoints each
    #[arg(long, value_name = "N", default_value = "100")]
    pub services: NonZeroU64,
    /// Changes of endpoints a second for 1,000 nodes; every proxy hears of each
    #[arg(long, value_name = "N", default_value_t = 1.0)]
    pub endpoint_changes: f64,
    /// Pods that come and go a second for 1,000 nodes
    #[arg(long, value_name = "N", default_value_t = 2.0)]
    pub pod_starts: f64,
    /// How long each size is measured
    #[arg(long, value_name = "SECONDS", default_value = "60")]
    pub seconds: NonZeroU32,
    /// Write the report as JSON, too
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write the report as a page with plots, too
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
}

impl Simulation {
    /// Checks what can be said before anything is started.
    ///
    /// # Errors
    /// If sizes don't grow, or a rate is none.
    pub fn check(&self) -> Result<(), Failure> {
        if !self.nodes.is_sorted_by(|a, b| a < b) {
            let why = "each size must be larger than the one before";
            let way_out = "for example:  --nodes 500,1000,2000";
            return Err(Failure::new("simulate --nodes", why, way_out));
        }
        for (flag, rate) in [
            ("--endpoint-changes", self.endpoint_changes),
            ("--pod-starts", self.pod_starts),
        ] {
            if !(0.0..=1000.0).contains(&rate) {
                let why = "it must be between 0 and 1000";
                let way_out = "0 leaves them out";
                return Err(Failure::new(format!("simulate {flag}"), why, way_out));
            }
        }
        Ok(())
    }

    /// All options by name, for reports.
    pub fn named(&self) -> impl Iterator<Item = (String, String)> {
        let nodes: Vec<String> = self.nodes.iter().map(ToString::to_string).collect();
        [
            ("nodes", nodes.join(",")),
            ("pods-per-node", self.pods_per_node.to_string()),
            ("services", self.services.to_string()),
            ("endpoint-changes", self.endpoint_changes.to_string()),
            ("pod-starts", self.pod_starts.to_string()),
            ("seconds", self.seconds.to_string()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Parsed {
        #[command(flatten)]
        simulation: Simulation,
    }

    fn check(words: &[&str]) -> Result<(), Failure> {
        let words = std::iter::once(&"x").chain(words);
        Parsed::try_parse_from(words).unwrap().simulation.check()
    }

    #[test]
    fn sizes_grow_and_rates_are_rates() {
        check(&[]).unwrap();
        check(&["--nodes", "7", "--pod-starts", "0"]).unwrap();
        assert!(check(&["--nodes", "1000,500"]).is_err());
        assert!(check(&["--nodes", "500,500"]).is_err());
        assert!(check(&["--endpoint-changes=-1"]).is_err());
        assert!(check(&["--pod-starts", "NaN"]).is_err());
    }
}
