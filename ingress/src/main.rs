//! The `hardway-ingress` process.

fn main() {}
