//! Calls to the runtime that are brought to their end whatever the worker turns to: a start
//! that is given up halfway would leave a container that has failed in a pod that was only
//! to end. Kubernetes' kubelet doesn't cancel them either (`context.WithoutCancel` in its
//! `SyncPod`).

use hardway_client::task;
use std::sync::Arc;
use tokio::sync::{Mutex, oneshot};

/// The calls of one worker: one at a time.
#[derive(Clone, Default)]
pub(super) struct Calls(Arc<Mutex<()>>);

impl Calls {
    /// What a call answers. If this is dropped, the call goes on.
    pub async fn whole<T: Send + 'static>(
        &self,
        call: impl Future<Output = T> + Send + 'static,
    ) -> T {
        let running = self.0.clone().lock_owned().await;
        let (done, answer) = oneshot::channel();
        task::spawn_job("runtime-call", async move {
            let _ = done.send(call.await);
            drop(running);
        });
        match answer.await {
            Ok(answer) => answer,
            // It panicked, and the process ends for that.
            Err(_) => std::future::pending().await,
        }
    }

    /// Waits until no call runs.
    pub async fn finished(&self) {
        drop(self.0.lock().await);
    }
}
