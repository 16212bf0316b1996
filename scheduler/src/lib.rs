//! Finds a node for every pod that has none.
//!
//! [`queue`] says which pod is next, [`cache`] what the nodes hold,
//! [`framework`] and [`plugins`] which node suits, [`scheduler`] ties them
//! together and binds.

pub mod affinity;
pub mod budgets;
pub mod cache;
pub mod fit_error;
pub mod framework;
pub mod images;
pub mod namespaces;
pub mod node_info;
pub mod nodes;
pub mod plugins;
pub mod pod_info;
pub mod pod_set;
pub mod preemption;
pub mod queue;
pub mod rejections;
pub mod reports;
pub mod resources;
pub mod scheduler;
pub mod selection;
pub mod storage;
mod trim;

pub use scheduler::Scheduler;
