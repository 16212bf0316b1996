//! Makes volumes for claims: each is a folder on the node of the claim's first pod, and goes
//! with the claim. What a claim asks for is written on the volume; no quota holds anybody to
//! it.
//!
//! One of these runs on every node and looks after the folders there, so that nothing has to
//! be started on a node to make or remove one, and a node that was away does its part when it
//! is back. [`claim`] and [`volume`] decide what comes next, [`folder`] is the disk, and
//! [`controller`] carries out.
//!
//! To the cluster it is an external provisioner like any other, on every node as
//! `external-provisioner --node-deployment` is: the annotations, finalizer and events are
//! those of `sigs.k8s.io/sig-storage-lib-external-provisioner`.

pub mod claim;
pub mod controller;
pub mod folder;
pub mod settings;
#[cfg(test)]
mod testing;
pub mod volume;
