//! Why something is stuck, told from what the API shows.
//!
//! The engine does no I/O. Who uses it reads the lists that [`needs`] (or [`everything`]) names
//! into a [`Snapshot`], says there also what could not be read, asks [`follow_ups`] what else
//! is worth a request (logs of containers that crash, objects that hold a namespace, answers of DNS
//! servers), and then calls [`explain`] for one object or [`problems`] for all. [`reading`] does
//! the reading for whoever can ask an API server for a path.
//!
//! ```
//! use std::sync::Arc;
//! use hardway_why::{Listing, Snapshot, problems, resource};
//! use serde_json::json;
//!
//! let mut snapshot = Snapshot::new("2025-01-01T00:10:00Z".parse().unwrap());
//! let nodes = vec![Arc::new(json!({
//!     "metadata": {"name": "worker-1"},
//!     "status": {"conditions": [{"type": "Ready", "status": "False", "reason": "KubeletNotReady",
//!         "message": "container runtime network not ready"}]},
//! }))];
//! snapshot.put(resource("Node").unwrap(), Listing::Read(nodes));
//! let found = problems(&snapshot, None);
//! assert_eq!(found[0].subject.to_string(), "node/worker-1");
//! ```

mod causes;
mod cluster;
mod condense;
mod diagnosis;
mod explain;
mod finding;
mod follow_up;
mod object;
pub mod reading;
mod relations;
mod resources;
mod snapshot;
mod validity;
mod words;

#[cfg(test)]
mod fixtures;

pub use causes::{CAUSES, Cause};
pub use condense::condense;
pub use diagnosis::{Diagnosis, Evidence, Explanation, Remedy, Severity, Source, Subject, Unread};
pub use explain::{NotExplained, explain, problems};
pub use follow_up::{FollowUp, follow_ups};
pub use resources::{Resource, everything, needs, resource};
pub use snapshot::{Certificate, DnsAnswer, DnsOutcome, DnsRequest, Listing, LogRequest, Snapshot};
