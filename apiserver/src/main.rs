//! The `hardway-apiserver` process.

fn main() {}
