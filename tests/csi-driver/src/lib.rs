//! A CSI driver for tests: its volumes are folders of a folder that all nodes share. It hangs,
//! fails and counts on command ([`faults`]).

pub mod controller;
pub mod driver;
pub mod faults;
pub mod mounts;
pub mod node;
pub mod serve;
pub mod sidecars;

/// The messages of CSI 1.x.
#[allow(missing_docs, clippy::all)]
pub mod api {
    tonic::include_proto!("csi.v1");
}

/// The messages of registration with a kubelet.
#[allow(missing_docs, clippy::all)]
pub mod registration {
    tonic::include_proto!("pluginregistration");
}
