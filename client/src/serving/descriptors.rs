//! File descriptors: how many there may be, and one in reserve.

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::fs::File;

/// How many descriptors this process may have open.
pub fn descriptors() -> usize {
    let limit = getrlimit(Resource::RLIMIT_NOFILE).map_or(1024, |(soft, _)| soft);
    usize::try_from(limit).unwrap_or(usize::MAX)
}

/// Raises the soft limit to the hard one, as Go's runtime does.
pub fn raise_descriptors() {
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < hard
        && let Err(error) = setrlimit(Resource::RLIMIT_NOFILE, hard, hard)
    {
        tracing::warn!(%error, soft, hard, "cannot raise the limit of open files");
    }
}

/// A descriptor that is open for nothing but to be closed when there are no
/// others, so that a connection can be accepted to be closed.
pub(super) struct Reserve(Option<File>);

impl Reserve {
    pub fn new() -> Self {
        Self(File::open("/dev/null").ok())
    }

    /// Gives the descriptor away.
    pub fn release(&mut self) {
        self.0 = None;
    }

    /// Takes one again, if there is one.
    pub fn refill(&mut self) {
        if self.0.is_none() {
            *self = Self::new();
        }
    }
}
