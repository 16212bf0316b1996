//! Every connection takes a file descriptor, here and at the server.

use crate::failure::Failure;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Allows this process, and those that it starts, as many as so many connections take. A
/// hardway-apiserver takes as many connections as half of its descriptors.
///
/// # Errors
/// If it may not have as many.
pub fn allow(connections: u64) -> Result<(), Failure> {
    let needed = 2 * connections + 1024;
    let limits = getrlimit(Resource::RLIMIT_NOFILE).and_then(|(soft, hard)| {
        if soft < needed {
            setrlimit(Resource::RLIMIT_NOFILE, needed, hard.max(needed))?;
        }
        Ok(())
    });
    limits.map_err(|error| {
        let what = format!("open {connections} connections");
        let why = format!("{needed} descriptors are needed: {error}");
        Failure::new(
            what,
            why,
            "be root, ask for fewer nodes, or allow more:  ulimit -n",
        )
    })
}
