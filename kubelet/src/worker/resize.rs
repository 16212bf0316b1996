//! Giving a pod that runs other resources: its cgroup grows first, then its containers change
//! one by one, and last its cgroup shrinks.

use super::observed::Observed;
use super::{Error, Worker};
use crate::context::Context;
use crate::cri::LinuxContainerResources;
use crate::{pod, qos};
use hardway_proto::Kind;
use k8s_openapi::api::core::v1::{Container, Pod};

impl Worker {
    /// Has the runtime change containers: names and ids.
    pub(super) async fn resize(
        &mut self,
        pod: &Pod,
        observed: &Observed,
        containers: &[(String, String)],
    ) -> Result<(), Error> {
        if containers.is_empty() {
            return Ok(());
        }
        let resized = self.try_resize(pod, observed, containers).await;
        self.notes.resize_error = resized.as_ref().err().map(ToString::to_string);
        resized
    }

    /// The first error is told; the others are resized all the same.
    async fn try_resize(
        &mut self,
        pod: &Pod,
        observed: &Observed,
        containers: &[(String, String)],
    ) -> Result<(), Error> {
        self.cgroup = None;
        self.context.cgroups.grow(pod).map_err(told)?;
        let mut outcome = Ok(());
        for (name, id) in containers {
            let Some(container) = pod::container(pod, name) else {
                continue;
            };
            let resized = self.resize_one(pod, observed, &container, id).await;
            if resized.is_ok() {
                tracing::info!(pod = pod::full_name(pod), name, "has other resources");
            }
            outcome = outcome.and(resized);
        }
        outcome
    }

    async fn resize_one(
        &self,
        pod: &Pod,
        observed: &Observed,
        container: &Container,
        id: &str,
    ) -> Result<(), Error> {
        let Context {
            allocations,
            runtime,
            memory_capacity,
            ..
        } = self.context.as_ref();
        let resources = LinuxContainerResources {
            // Those can't be changed.
            hugepage_limits: Vec::new(),
            ..qos::container_resources(pod, container, *memory_capacity)
        };
        // Whenever this process ends, the next one knows that the old record may be wrong.
        let kept = allocations.actuating(pod.uid(), id, observed);
        kept.map_err(told)?;
        runtime.update_resources(id, resources).await?;
        let given = container.resources.clone().unwrap_or_default();
        let kept = allocations.actuated(pod.uid(), id, given, observed);
        kept.map_err(told)
    }

    /// Brings the pod's cgroup to what its containers have together, once they have it. One
    /// that uses more memory than it would be left is not touched: the kernel would kill for
    /// it.
    pub(super) fn settle_cgroup(&mut self, pod: &Pod) -> Result<(), Error> {
        let resources = qos::pod_resources(pod);
        if self.cgroup.as_ref() == Some(&resources) {
            return Ok(());
        }
        let settled = self.try_settle(pod);
        self.notes.resize_error = settled.as_ref().err().map(ToString::to_string);
        // After a failure nothing is taken for granted, not even if what was before is wanted.
        self.cgroup = settled.is_ok().then_some(resources);
        settled
    }

    fn try_settle(&self, pod: &Pod) -> Result<(), Error> {
        let cgroups = &self.context.cgroups;
        if cgroups.would_starve(pod) {
            // `doPodResizeAction` in `pkg/kubelet/kuberuntime/kuberuntime_manager.go`.
            return Err(Error::Told(format!(
                "aborting attempt to set pod memory limit less than current memory usage for pod {}",
                pod.name()
            )));
        }
        cgroups.create(pod).map_err(told)
    }
}

fn told(error: std::io::Error) -> Error {
    Error::Told(error.to_string())
}
