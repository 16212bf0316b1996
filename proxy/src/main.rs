//! The `hardway-proxy` process.

fn main() {}
