//! Holds a pod's namespaces: does nothing, ends when told, and reaps what loses
//! its parent when the pod's processes share one namespace.

use nix::sys::signal::{SigSet, Signal};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};

fn main() -> nix::Result<()> {
    let signals: SigSet = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGCHLD]
        .into_iter()
        .collect();
    signals.thread_block()?;
    while signals.wait()? == Signal::SIGCHLD {
        while !matches!(
            waitpid(None, Some(WaitPidFlag::WNOHANG)),
            Ok(WaitStatus::StillAlive) | Err(_)
        ) {}
    }
    Ok(())
}
