//! The `hardway-why` process.

fn main() {}
