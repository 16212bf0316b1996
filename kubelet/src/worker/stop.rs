//! Bringing containers and pods down.

use super::decide::Kill;
use super::mailbox::Mail;
use super::observed::{Instance, Observed};
use super::{Error, Worker};
use crate::context::Context;
use crate::cri;
use crate::hooks::Hooks;
use crate::sandbox::log_directory;
use crate::{garbage, pod};
use hardway_client::steps::{self, Step};
use hardway_proto::Kind;
use k8s_openapi::api::core::v1::Pod;
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// What a container gets at least after its hook has used up the time.
const MINIMUM: Duration = Duration::from_secs(2);

/// A grace period; one that is longer than clocks can tell is a very long one.
fn seconds(seconds: i64) -> Duration {
    let longest = i64::from(u32::MAX);
    Duration::from_secs(u64::try_from(seconds.min(longest)).unwrap_or(0))
}

impl Worker {
    /// Ends a pod: containers, sandboxes, volumes, cgroups, in this order;
    /// then tells the API. True if the worker has nothing left to do.
    pub(super) async fn end(&mut self, mail: &Mail) -> Result<bool, Error> {
        let pod = &mail.pod;
        let mut observed = self.observe(pod.uid()).await?;
        self.take_note(pod, &observed).await;
        self.notes.waiting.clear();
        if !observed.is_still() {
            self.publish(mail, &observed, false);
            let stopper = self.stopper.clone();
            // Readiness is probed to the end, and containers end one by one.
            let stopping = stopper.stop_all(pod, &observed, mail.grace());
            self.looking_on(mail, stopping).await?;
            observed = self.observe(pod.uid()).await?;
            self.take_note(pod, &observed).await;
        }
        self.publish(mail, &observed, true);
        if !self.cleaned {
            self.clean(pod).await?;
        }
        self.mailbox.end();
        if mail.removed {
            self.vanish(pod, &observed).await?;
            return Ok(true);
        }
        if pod::is_deleting(pod) {
            self.context.statuses.remove(pod);
        }
        Ok(false)
    }

    /// Gives back what the node holds for the pod.
    async fn clean(&mut self, pod: &Pod) -> Result<(), Error> {
        let context = self.context.clone();
        context
            .volumes
            .unmount(pod.uid())
            .await
            .map_err(|e| Error::Told(e.to_string()))?;
        self.volumes = None;
        context.objects.unregister(pod.uid());
        context.cgroups.remove(pod.uid());
        self.cleaned = true;
        Ok(())
    }

    /// Takes every trace of the pod off the node.
    async fn vanish(&self, pod: &Pod, observed: &Observed) -> Result<(), Error> {
        let context = &self.context;
        garbage::remove_all(context.runtime.as_ref(), observed).await?;
        context.cgroups.remove(pod.uid());
        let logs = log_directory(&context.places.logs, pod.namespace(), pod.name(), pod.uid());
        if let Err(error) = tokio::fs::remove_dir_all(&logs).await
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(logs = %logs.display(), %error, "logs stay");
        }
        context.statuses.forget(pod.uid());
        Ok(())
    }
}

/// Brings containers down, while the worker may look on; clones share what
/// has been done.
#[derive(Clone)]
pub(super) struct Stopper {
    context: Arc<Context>,
    /// Containers whose end was told and whose hook has run.
    pre_stopped: Arc<Mutex<BTreeSet<String>>>,
}

impl Stopper {
    pub(super) fn new(context: Arc<Context>) -> Self {
        Self {
            context,
            pre_stopped: Arc::default(),
        }
    }

    /// Stops all containers, sidecars last, then all sandboxes.
    pub(super) async fn stop_all(
        &self,
        pod: &Pod,
        observed: &Observed,
        grace: i64,
    ) -> Result<(), Error> {
        let until = Instant::now() + seconds(grace);
        let is_sidecar = |instance: &Instance| {
            let init = pod::init_containers(pod).iter();
            init.filter(|c| pod::is_sidecar(c))
                .any(|c| c.name == instance.name)
        };
        let (sidecars, others): (Vec<_>, Vec<_>) = observed.alive().partition(|i| is_sidecar(i));
        let stops = others.iter().map(|instance| {
            let message = format!("Stopping container {}", instance.name);
            self.stop_one(pod, observed, instance, message, until)
        });
        futures_util::future::try_join_all(stops).await?;
        let mut in_order = sidecars;
        in_order.sort_by_key(|instance| {
            let mut init = pod::init_containers(pod).iter();
            std::cmp::Reverse(init.position(|c| c.name == instance.name))
        });
        for instance in in_order {
            let message = format!("Stopping container {}", instance.name);
            self.stop_one(pod, observed, instance, message, until)
                .await?;
        }
        for sandbox in observed.sandboxes.iter().filter(|s| s.ready) {
            let begun = Instant::now();
            let stopped = self.context.runtime.stop_pod_sandbox(&sandbox.id).await;
            ignore_missing(stopped).inspect_err(|error| {
                let text = format!("error killing pod: {error}");
                self.context.pod_event(pod, true, "FailedKillPod", text);
            })?;
            steps::record(Step::about(pod, "sandbox stopped").took(begun.elapsed()));
        }
        Ok(())
    }

    /// Stops sandboxes that have died, after a power cut for example: only that
    /// gives their addresses back.
    pub(super) async fn release(&self, observed: &Observed) -> Result<(), Error> {
        for sandbox in observed.sandboxes.iter().filter(|s| !s.ready) {
            ignore_missing(self.context.runtime.stop_pod_sandbox(&sandbox.id).await)?;
        }
        Ok(())
    }

    /// Stops one container for the reason given.
    pub(super) async fn stop_for(
        &self,
        pod: &Pod,
        observed: &Observed,
        kill: &Kill,
    ) -> Result<(), Error> {
        let Some(instance) = observed.containers.iter().find(|c| c.id == kill.id) else {
            return Ok(());
        };
        let grace = kill.grace.unwrap_or_else(|| pod::grace_period(pod));
        let until = Instant::now() + seconds(grace);
        self.stop_one(pod, observed, instance, kill.message.clone(), until)
            .await
    }

    async fn stop_one(
        &self,
        pod: &Pod,
        observed: &Observed,
        instance: &Instance,
        message: String,
        until: Instant,
    ) -> Result<(), Error> {
        let context = &self.context;
        let first = self.pre_stopped.lock().insert(instance.id.clone());
        if first {
            context.container_event(pod, &instance.name, false, "Killing", message);
            context.probes.terminating(&instance.id);
            self.pre_stop(pod, observed, instance, until).await;
        }
        let begun = Instant::now();
        let left = until.saturating_duration_since(begun).max(MINIMUM);
        let stopped = context.runtime.stop_container(&instance.id, left).await;
        ignore_missing(stopped)?;
        let step = Step::about(pod, "stopped").took(begun.elapsed());
        steps::record(step.with("container", &instance.name));
        Ok(())
    }

    async fn pre_stop(&self, pod: &Pod, observed: &Observed, instance: &Instance, until: Instant) {
        let Some(container) = pod::container(pod, &instance.name) else {
            return;
        };
        let ip = observed.sandbox().and_then(|s| s.ips.first());
        let ip = ip.or(self.context.facts.host_ips.first());
        let left = until.saturating_duration_since(Instant::now());
        let hooks = Hooks {
            runtime: &self.context.runtime,
            recorder: &self.context.recorder,
            pod,
            container: &container,
            id: &instance.id,
            ip: ip.map(String::as_str).unwrap_or_default(),
        };
        hooks.pre_stop(left).await;
    }
}

fn ignore_missing(outcome: Result<(), cri::Error>) -> Result<(), cri::Error> {
    match outcome {
        Err(error) if error.is_not_found() => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_grace_period_has_an_end() {
        assert_eq!(seconds(30), Duration::from_secs(30));
        assert_eq!(seconds(-1), Duration::ZERO);
        assert!(Instant::now() + seconds(i64::MAX) > Instant::now());
    }
}
