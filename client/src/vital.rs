//! A small runtime on a thread of its own, for what has to go on whatever the
//! process' work does: renewing the leader's lease, and answering how the
//! process is.

use std::sync::LazyLock;
use tokio::runtime::{Builder, Handle};

static RUNTIME: LazyLock<Handle> = LazyLock::new(|| {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("the system has a few file descriptors left");
    let handle = runtime.handle().clone();
    std::thread::Builder::new()
        .name("vital".into())
        .spawn(move || runtime.block_on(std::future::pending::<()>()))
        .expect("the system has room for a thread");
    handle
});

/// The runtime's handle; it starts with the first call. Work on it never
/// computes for long.
pub fn runtime() -> &'static Handle {
    &RUNTIME
}
