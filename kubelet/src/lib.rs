//! The node agent: runs the pods bound to its node through a container
//! runtime, and tells the apiserver how they are.
//!
//! One small state machine per pod ([`worker`]) is fed by changes of the API,
//! events of containers ([`pleg`]) and results of probes ([`probes`]). What is
//! observed comes from the runtime ([`cri`]) alone, so pods survive a restart
//! of this process untouched.

pub mod cri;
pub mod dns;
pub mod downward;
pub mod env;
pub mod expansion;
pub mod hooks;
pub mod hosts;
pub mod images;
pub mod logs;
pub mod objects;
pub mod probes;
pub mod static_pods;
pub mod volumes;
