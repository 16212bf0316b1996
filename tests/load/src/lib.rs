//! Puts load on a Kubernetes cluster, measures what it does, and checks what it answers.
//!
//! It knows nothing of hardway: it speaks plain REST by a kubeconfig, so that the same run can
//! be pointed at any Kubernetes.

pub mod api;
pub mod cli;
mod connection;
pub mod etcd;
pub mod failure;
pub mod heard;
pub mod latency;
pub mod measure;
mod namespace;
pub mod objects;
pub mod options;
pub mod process;
pub mod progress;
pub mod reference;
pub mod report;
pub mod run;
pub mod scheduling;
pub mod simulate;
pub mod target;
pub mod version;
pub mod workers;
pub mod workload;
pub mod workloads;
