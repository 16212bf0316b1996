//! The `hardway-scheduler` process.

fn main() {}
