//! The overlay between pods of different nodes: VXLAN between the nodes'
//! subnets, masquerading on the way out of the cluster, and the CNI
//! configuration for this node's own pods.
//!
//! What should be is decided by pure functions from the Node objects
//! ([`lease`], [`peers`], [`announce`], [`cni`], [`egress`]); [`DataPath`]
//! brings the kernel there through the [`Kernel`] trait. Nothing is undone
//! when the process ends: pods keep their connections over a restart.

mod agent;
pub mod announce;
pub mod cni;
mod data_path;
pub mod egress;
mod kernel;
pub mod lease;
mod netlink;
pub mod peers;
pub mod requirements;

pub use agent::{Agent, Settings};
pub use data_path::{DataPath, DesiredState, Error, Local, Uplink};
pub use kernel::{Interface, Kernel, KernelError, Vxlan};
pub use netlink::Netlink;
