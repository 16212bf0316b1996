//! The `hardway-dashboard` process.

fn main() {}
