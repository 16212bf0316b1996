//! Lifecycle hooks: what runs right after a container starts, and before it
//! is stopped.

use crate::cri;
use crate::pod;
use crate::probes::http;
use hardway_client::events::{EventType, Recorder};
use k8s_openapi::api::core::v1::{Container, LifecycleHandler, Pod};
use std::time::Duration;

/// A container whose hooks are to run.
pub struct Hooks<'a> {
    /// The runtime.
    pub runtime: &'a cri::Handle,
    /// Where failures are told.
    pub recorder: &'a Recorder,
    /// The pod.
    pub pod: &'a Pod,
    /// The container.
    pub container: &'a Container,
    /// The runtime's id of the container.
    pub id: &'a str,
    /// The pod's address.
    pub ip: &'a str,
}

/// Why a hook failed. Events don't repeat it, because it may hold secrets; it
/// goes to the log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct HookError(pub String);

impl Hooks<'_> {
    /// Runs `postStart`, if there is one. The container has to be killed when
    /// it fails.
    pub async fn post_start(&self) -> Result<(), HookError> {
        let lifecycle = self.container.lifecycle.as_ref();
        let Some(handler) = lifecycle.and_then(|l| l.post_start.as_ref()) else {
            return Ok(());
        };
        let outcome = self.run(handler).await;
        if let Err(error) = &outcome {
            self.failed("FailedPostStartHook", "PostStartHook failed", error);
        }
        outcome
    }

    /// Runs `preStop`, if there is one, for no longer than `grace`. A failure
    /// is told, but doesn't keep the container.
    pub async fn pre_stop(&self, grace: Duration) {
        let lifecycle = self.container.lifecycle.as_ref();
        let Some(handler) = lifecycle.and_then(|l| l.pre_stop.as_ref()) else {
            return;
        };
        match tokio::time::timeout(grace, self.run(handler)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => self.failed("FailedPreStopHook", "PreStopHook failed", &error),
            Err(_) => {
                let container = &self.container.name;
                tracing::warn!(container, ?grace, "preStop hook did not end in time");
            }
        }
    }

    fn failed(&self, reason: &str, message: &str, error: &HookError) {
        let pod = pod::full_name(self.pod);
        tracing::warn!(pod, container = self.container.name, %error, "{message}");
        let object = pod::container_reference(self.pod, &self.container.name);
        self.recorder
            .event(object, EventType::Warning, reason, message);
    }

    async fn run(&self, handler: &LifecycleHandler) -> Result<(), HookError> {
        if let Some(action) = &handler.exec {
            let command = action.command.clone().unwrap_or_default();
            return self.exec(command).await;
        }
        if let Some(action) = &handler.http_get {
            let request = http::Request::new(action, self.container, self.ip).map_err(HookError)?;
            let response = request.send().await.map_err(HookError)?;
            return match response.status {
                200..400 => Ok(()),
                status => Err(HookError(format!(
                    "HTTP lifecycle hook failed with statuscode: {status}, body: {:?}",
                    response.body
                ))),
            };
        }
        if let Some(action) = &handler.sleep {
            let seconds = action.seconds.try_into().unwrap_or_default();
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            return Ok(());
        }
        Err(HookError(
            "cannot run handler: it is neither exec, httpGet nor sleep (tcpSocket is not supported for hooks)".into(),
        ))
    }

    async fn exec(&self, command: Vec<String>) -> Result<(), HookError> {
        let text = command.join(" ");
        // Zero: a hook has no timeout of its own.
        let answer = self.runtime.exec_sync(self.id, command, Duration::ZERO);
        match answer.await {
            Ok(answer) if answer.exit_code == 0 => Ok(()),
            Ok(answer) => Err(HookError(format!(
                "command {text:?} exited with {}: {}",
                answer.exit_code,
                String::from_utf8_lossy(&answer.stderr)
            ))),
            Err(error) => Err(HookError(format!("command {text:?}: {error}"))),
        }
    }
}
