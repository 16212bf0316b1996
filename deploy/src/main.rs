//! The `hardway` process.

fn main() {}
