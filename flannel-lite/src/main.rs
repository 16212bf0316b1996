//! The `hardway-flannel-lite` process.

fn main() {}
