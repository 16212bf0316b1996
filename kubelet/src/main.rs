//! The `hardway-kubelet` process.

fn main() {}
