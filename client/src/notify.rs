//! Waiting for changes in a directory.

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use std::io;
use std::path::Path;
use std::time::Duration;
use tokio::net::unix::pipe::Receiver;

/// How often to look where the kernel can't tell, because all its watches are
/// in use.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// Room for many events, and for any one of them.
const BUFFER: usize = 4096;

/// A watched directory.
pub struct Watch(Option<Receiver>);

impl Watch {
    /// Watches for files in a directory that come, go, or are written.
    pub fn new(dir: &Path) -> Self {
        let watch = start(dir).inspect_err(|error| {
            tracing::debug!(dir = %dir.display(), %error, "no inotify: looking instead");
        });
        Self(watch.ok())
    }

    /// Waits until something changes (or may have).
    pub async fn changed(&self) {
        let Some(watch) = &self.0 else {
            return tokio::time::sleep(LOOK_AGAIN).await;
        };
        loop {
            if watch.readable().await.is_err() {
                return tokio::time::sleep(LOOK_AGAIN).await;
            }
            match watch.try_read(&mut [0; BUFFER]) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // Which file it was doesn't matter: those who wait look.
                _ => return,
            }
        }
    }
}

fn start(dir: &Path) -> io::Result<Receiver> {
    let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
    inotify.add_watch(
        dir,
        AddWatchFlags::IN_MODIFY
            | AddWatchFlags::IN_CREATE
            | AddWatchFlags::IN_DELETE
            | AddWatchFlags::IN_MOVE
            | AddWatchFlags::IN_CLOSE_WRITE,
    )?;
    // The descriptor is no pipe, but is waited for and read like one.
    Receiver::from_owned_fd_unchecked(inotify.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn changes_are_noticed() {
        let dir = tempfile::tempdir().unwrap();
        for watch in [Watch::new(dir.path()), Watch(None)] {
            std::fs::write(dir.path().join("f"), "x").unwrap();
            let patience = Duration::from_secs(10);
            tokio::time::timeout(patience, watch.changed())
                .await
                .unwrap();
        }
    }
}
