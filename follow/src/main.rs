//! The `hardway-follow` process.

fn main() {}
