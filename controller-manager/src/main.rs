//! The `hardway-controller-manager` process.

fn main() {}
