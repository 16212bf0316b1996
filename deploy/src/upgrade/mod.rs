//! Another version of hardway on a host of a cluster: what may follow what (`version`, `skew`),
//! what is installed and what is to be (`packages`), whether the cluster can spare the host
//! (`health`), which steps there are (`steps`) and which are done (`journal`), and where the
//! pods go meanwhile (`drain`). Each decides from what it is given; `commands/upgrade.rs` finds
//! that out, and does the steps.

pub mod cluster;
pub mod drain;
pub mod health;
pub mod journal;
pub mod kept;
pub mod packages;
pub mod skew;
pub mod steps;
pub mod version;
