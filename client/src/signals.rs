//! When to stop.

use crate::systemd;
use tokio::signal::unix::{SignalKind, signal};

/// Returns on SIGTERM or SIGINT; systemd hears that the process stops.
///
/// # Errors
/// If the process can't listen for signals.
pub async fn shutdown() -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    systemd::stopping();
    Ok(())
}
