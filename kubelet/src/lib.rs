//! The node agent: runs the pods bound to its node through a container
//! runtime, and tells the apiserver how they are.
//!
//! One small state machine per pod ([`worker`]) is fed by changes of the API,
//! events of containers ([`pleg`]) and results of probes ([`probes`]). What is
//! observed comes from the runtime ([`cri`]) alone, so pods survive a restart
//! of this process untouched.

pub mod admission;
pub mod allocation;
pub mod app;
pub mod apparmor;
pub mod certificates;
pub mod cgroups;
mod cluster_ca;
pub mod container;
pub mod context;
pub mod cri;
pub mod dns;
pub mod downward;
pub mod env;
pub mod eviction;
pub mod expansion;
pub mod features;
pub mod flags;
pub mod garbage;
pub mod hooks;
pub mod hosts;
pub mod images;
pub mod kernel;
pub mod leftovers;
pub mod logs;
pub mod manager;
pub mod mirrors;
pub mod node;
pub mod objects;
pub mod pleg;
pub mod pod;
pub mod probes;
pub mod qos;
pub mod requirements;
pub mod root_dir;
pub mod sandbox;
pub mod seccomp;
pub mod security_context;
pub mod server;
pub mod shutdown;
pub mod static_pods;
pub mod status;
pub mod sysctls;
pub mod usage;
pub mod volumes;
pub mod worker;

#[cfg(test)]
mod pod_fields;
