//! Giving a pod that runs other resources: its cgroup grows first, then its containers change
//! one by one, and last its cgroup shrinks.

use super::observed::Observed;
use super::{Error, Worker};
use crate::cri::LinuxContainerResources;
use crate::{pod, qos};
use hardway_proto::Kind;
use k8s_openapi::api::core::v1::Pod;

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

    async fn try_resize(
        &mut self,
        pod: &Pod,
        observed: &Observed,
        containers: &[(String, String)],
    ) -> Result<(), Error> {
        let context = self.context.clone();
        let failed = |error: std::io::Error| Error::Told(error.to_string());
        self.cgroup = None;
        context.cgroups.grow(pod).map_err(failed)?;
        for (name, id) in containers {
            let Some(container) = pod::container(pod, name) else {
                continue;
            };
            let resources = LinuxContainerResources {
                // Those can't be changed.
                hugepage_limits: Vec::new(),
                ..qos::container_resources(pod, &container, context.memory_capacity)
            };
            context.runtime.update_resources(id, resources).await?;
            let given = container.resources.clone().unwrap_or_default();
            let kept = context.allocations.actuated(pod.uid(), id, given, observed);
            kept.map_err(failed)?;
            tracing::info!(pod = pod::full_name(pod), name, "has other resources");
        }
        Ok(())
    }

    /// Brings the pod's cgroup to what its containers have together, once they have it.
    pub(super) fn settle_cgroup(&mut self, pod: &Pod) -> Result<(), Error> {
        let resources = qos::pod_resources(pod);
        if self.cgroup.as_ref() == Some(&resources) {
            return Ok(());
        }
        let settled = self.context.cgroups.create(pod);
        self.notes.resize_error = settled.as_ref().err().map(ToString::to_string);
        settled.map_err(|error| Error::Told(error.to_string()))?;
        self.cgroup = Some(resources);
        Ok(())
    }
}
