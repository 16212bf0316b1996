//! The kernel's word that processes wait for memory (pressure stall information,
//! `Documentation/accounting/psi.rst`), so that the next look need not come to its hour.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Told of when something has waited for 100 ms within 2 s, and at most once in 2 s.
const TRIGGER: &[u8] = b"some 100000 2000000\0";
const FILE: &str = "/proc/pressure/memory";

/// Waits for such moments.
pub struct MemoryStall(Option<AsyncFd<File>>);

impl MemoryStall {
    /// Asks the kernel. One that doesn't tell, or not us, is never waited for.
    pub fn watch() -> Self {
        let watched = Self::open().inspect_err(|error| {
            tracing::debug!(%error, "the kernel doesn't tell when memory is short");
        });
        Self(watched.ok())
    }

    fn open() -> io::Result<AsyncFd<File>> {
        let mut file = OpenOptions::new().read(true).write(true).open(FILE)?;
        file.write_all(TRIGGER)?;
        #[expect(
            deprecated,
            reason = "a file keeps its descriptor as long as it lives, and what replaces this is unsafe"
        )]
        AsyncFd::with_interest(file, Interest::PRIORITY)
    }

    /// Waits for the next one.
    pub async fn happened(&self) {
        match &self.0 {
            Some(file) => match file.ready(Interest::PRIORITY).await {
                Ok(mut ready) => ready.clear_ready(),
                Err(_) => std::future::pending().await,
            },
            None => std::future::pending().await,
        }
    }
}
