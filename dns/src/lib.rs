//! The cluster's DNS server: names of Services and pods out of a watch cache,
//! everything else from the name servers of the node.
//!
//! What is said of a name follows Kubernetes' DNS specification 1.1.0.
//! [`records`] knows what there is at a name, [`authority`] makes answers of
//! it, [`forward`] asks others, [`resolver`] decides between them, and
//! [`server`] talks to clients.

pub mod authority;
pub mod forward;
pub mod message;
pub mod metrics;
pub mod names;
pub mod records;
pub mod resolver;
pub mod server;
pub mod settings;
