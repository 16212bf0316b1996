//! Removes pods that nobody else will: those bound to a node that is gone,
//! those that end on a node that somebody has declared out of service,
//! those that were deleted before they got one and are kept by a finalizer, and
//! the oldest of very many finished ones.

use crate::Work;
use crate::context::Context;
use crate::informers::{BY_NODE, Informers};
use crate::out_of_service;
use crate::pod_ranking::is_finished;
use hardway_client::api::{DeleteParams, Patch};
use hardway_client::controller::{self, Next};
use hardway_client::informer::Change;
use hardway_client::metrics::{IntCounterVec, register_int_counter_vec};
use hardway_client::queue::WorkQueue;
use hardway_client::{Client, Store};
use hardway_proto::meta::ObjectKey;
use hardway_proto::{Kind, Status};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::json;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

/// A node that is missing may be about to register: wait before judging.
const QUARANTINE: Duration = Duration::from_secs(40);

// Kubernetes' names (`pkg/controller/podgc/metrics`).
static DELETED: LazyLock<IntCounterVec> = LazyLock::new(|| {
    register_int_counter_vec!(
        "pod_gc_collector_force_delete_pods_total",
        "Number of pods that are being forcefully deleted since the Pod GC Controller started.",
        &["namespace", "reason"]
    )
    .expect("the name is registered once")
});

static NOT_DELETED: LazyLock<IntCounterVec> = LazyLock::new(|| {
    register_int_counter_vec!(
        "pod_gc_collector_force_delete_pod_errors_total",
        "Number of errors encountered when forcefully deleting the pods since the Pod GC Controller started.",
        &["namespace", "reason"]
    )
    .expect("the name is registered once")
});

/// What to look at.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Task {
    /// Pods of a node that seems to be gone.
    Node(String),
    /// Pods that are being deleted on a node that is out of service.
    OutOfService(String),
    /// A pod that was deleted before it got a node.
    Unscheduled(ObjectKey),
    /// The number of finished pods.
    Finished,
}

struct Controller {
    client: Client,
    nodes: Store<Node>,
    pods: Store<Pod>,
    /// How many finished pods stay; `None`: all.
    max_finished: Option<usize>,
}

/// Why a pod is deleted, as the metrics call it.
#[derive(Clone, Copy)]
enum Reason {
    /// There are too many that have finished.
    Terminated,
    /// Its node is out of service.
    OutOfService,
    /// Its node is gone.
    Orphaned,
    /// It was deleted before it got a node.
    Unscheduled,
}

impl Reason {
    fn label(self) -> &'static str {
        match self {
            Self::Terminated => "terminated",
            Self::OutOfService => "out-of-service",
            Self::Orphaned => "orphaned",
            Self::Unscheduled => "unscheduled",
        }
    }

    /// What the pod's condition `DisruptionTarget` says, if it gets one.
    fn disruption(self) -> Option<&'static str> {
        match self {
            Self::Orphaned => Some("PodGC: node no longer exists"),
            _ => None,
        }
    }
}

/// The controller.
pub fn register(informers: &mut Informers, context: &Context) -> Work {
    let queue = WorkQueue::new();
    let controller = Controller {
        client: context.client.clone(),
        nodes: informers.nodes.store(),
        pods: informers.pods.store(),
        max_finished: usize::try_from(context.settings.terminated_pod_gc_threshold)
            .ok()
            .filter(|threshold| *threshold > 0),
    };
    let on_node = queue.clone();
    informers.nodes.subscribe(move |change| match change {
        Change::Deleted(node) => {
            on_node.add_after(Task::Node(node.name().to_owned()), QUARANTINE);
        }
        Change::Applied { old, new } if is_out_of_service(new) => {
            if !old.as_ref().is_some_and(|old| is_out_of_service(old)) {
                on_node.add(Task::OutOfService(new.name().to_owned()));
            }
        }
        Change::Applied { .. } => {}
    });
    let (on_pod, nodes) = (queue.clone(), informers.nodes.store());
    informers.pods.subscribe(move |change| {
        let Change::Applied { old, new } = change else {
            return;
        };
        let node = |pod: &Pod| pod.spec.as_ref().and_then(|s| s.node_name.clone());
        if let Some(name) = node(new)
            && old.as_ref().and_then(|old| node(old)).is_none()
            && nodes.get(&ObjectKey::new("", &name)).is_none()
        {
            on_pod.add_after(Task::Node(name), QUARANTINE);
        }
        if new.metadata.deletion_timestamp.is_some()
            && let Some(name) = node(new)
            && let Some(node) = nodes.get(&ObjectKey::new("", &name))
            && is_out_of_service(&node)
        {
            on_pod.add(Task::OutOfService(name));
        }
        if ends_unscheduled(new) {
            on_pod.add(Task::Unscheduled(ObjectKey::of(new.as_ref())));
        }
        if is_finished(new) && !old.as_ref().is_some_and(|old| is_finished(old)) {
            on_pod.add(Task::Finished);
        }
    });
    Box::pin(async move {
        controller.nodes.wait_synced().await;
        controller.pods.wait_synced().await;
        controller::run("pod-garbage-collector", queue, 1, |task| {
            controller.reconcile(task)
        })
        .await;
    })
}

/// Whether a pod has been deleted before it got a node: no kubelet will say that
/// it has ended.
fn ends_unscheduled(pod: &Pod) -> bool {
    let node = pod.spec.as_ref().and_then(|s| s.node_name.as_deref());
    node.unwrap_or_default().is_empty()
        && pod.metadata.deletion_timestamp.is_some()
        && !is_finished(pod)
}

/// Whether a node is down, and somebody has said that it stays so.
fn is_out_of_service(node: &Node) -> bool {
    !out_of_service::is_ready(node) && out_of_service::is_tainted(node)
}

/// The finished pods beyond the limit: evicted ones first, then the oldest.
fn surplus(mut finished: Vec<Arc<Pod>>, limit: usize) -> Vec<Arc<Pod>> {
    finished.sort_by_cached_key(|pod| {
        let reason = pod.status.as_ref().and_then(|s| s.reason.as_deref());
        let created = pod.metadata.creation_timestamp.as_ref().map(|t| t.0);
        (reason != Some("Evicted"), created, pod.name().to_owned())
    });
    let count = finished.len().saturating_sub(limit);
    finished.truncate(count);
    finished
}

impl Controller {
    async fn reconcile(&self, task: Task) -> Result<Next, Status> {
        match task {
            Task::Node(name) => self.collect_of(&name).await?,
            Task::OutOfService(name) => self.end_on(&name).await?,
            Task::Unscheduled(key) => {
                let pod = self.pods.get(&key).filter(|pod| ends_unscheduled(pod));
                if let Some(pod) = pod {
                    self.collect(&pod, Reason::Unscheduled).await?;
                }
            }
            Task::Finished => {
                let Some(limit) = self.max_finished else {
                    return Ok(Next::Done);
                };
                let mut finished = self.pods.list();
                finished.retain(|pod| is_finished(pod));
                for pod in surplus(finished, limit) {
                    self.collect(&pod, Reason::Terminated).await?;
                }
            }
        }
        Ok(Next::Done)
    }

    async fn collect_of(&self, node: &str) -> Result<(), Status> {
        let pods = self.pods.by_index(BY_NODE, node);
        if pods.is_empty() || self.nodes.get(&ObjectKey::new("", node)).is_some() {
            return Ok(());
        }
        // The cache may be behind: ask before pods are taken away for good.
        if self.client.all::<Node>().get_opt(node).await?.is_some() {
            return Ok(());
        }
        for pod in pods {
            tracing::info!(pod = %ObjectKey::of(pod.as_ref()), node, "deleting a pod whose node is gone");
            self.collect(&pod, Reason::Orphaned).await?;
        }
        Ok(())
    }

    /// Ends what is being deleted on a node that is out of service: no kubelet will.
    async fn end_on(&self, name: &str) -> Result<(), Status> {
        let node = self.nodes.get(&ObjectKey::new("", name));
        if !node.is_some_and(|node| is_out_of_service(&node)) {
            return Ok(());
        }
        for pod in self.pods.by_index(BY_NODE, name) {
            if pod.metadata.deletion_timestamp.is_some() {
                self.collect(&pod, Reason::OutOfService).await?;
            }
        }
        Ok(())
    }

    /// Takes a pod away, having said that it failed unless it has finished.
    async fn collect(&self, pod: &Pod, reason: Reason) -> Result<(), Status> {
        let labels = [pod.namespace(), reason.label()];
        DELETED.with_label_values(&labels).inc();
        let collected = async {
            if !is_finished(pod) {
                self.fail(pod, reason.disruption()).await?;
            }
            self.delete(pod).await
        };
        let outcome = collected.await;
        if outcome.is_err() {
            NOT_DELETED.with_label_values(&labels).inc();
        }
        outcome
    }

    /// Says in a pod's place that it has failed; if something was done to it, what.
    async fn fail(&self, pod: &Pod, disruption: Option<&str>) -> Result<(), Status> {
        let mut patch = json!({"metadata": {"uid": pod.uid()}, "status": {"phase": "Failed"}});
        if let Some(message) = disruption {
            patch["status"]["conditions"] = json!([{
                "type": "DisruptionTarget", "status": "True", "reason": "DeletionByPodGC",
                "message": message, "lastTransitionTime": Time(Timestamp::now()),
            }]);
        }
        let api = self.client.namespaced::<Pod>(pod.namespace());
        match api.patch_status(pod.name(), Patch::Strategic(&patch)).await {
            Err(status) if !status.is_not_found() && !status.is_conflict() => Err(status),
            _ => Ok(()),
        }
    }

    async fn delete(&self, pod: &Pod) -> Result<(), Status> {
        let api = self.client.namespaced::<Pod>(pod.namespace());
        match api.delete(pod.name(), &DeleteParams::now(pod.uid())).await {
            Err(status) if !status.is_not_found() && !status.is_conflict() => Err(status),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hardway_client::fake::Fake;
    use serde_json::Value;

    #[test]
    fn a_pod_without_a_node_ends_by_itself() {
        for (node, deleted, phase, ends) in [
            ("", true, "Pending", true),
            ("", false, "Pending", false),
            ("a", true, "Pending", false),
            ("", true, "Failed", false),
        ] {
            let time = deleted.then_some("2024-01-01T00:00:00Z");
            let pod = json!({"metadata": {"deletionTimestamp": time},
                "spec": {"nodeName": node, "containers": []}, "status": {"phase": phase}});
            let pod: Pod = serde_json::from_value(pod.clone()).unwrap();
            assert_eq!(ends_unscheduled(&pod), ends, "{node} {deleted} {phase}");
        }
    }

    #[test]
    fn the_oldest_beyond_the_limit_go() {
        let pod = |name: &str, day: u8| -> Arc<Pod> {
            let time = format!("2024-01-{day:02}T00:00:00Z");
            Arc::new(
                serde_json::from_value(
                    json!({"metadata": {"name": name, "creationTimestamp": time}}),
                )
                .unwrap(),
            )
        };
        let gone = surplus(vec![pod("b", 2), pod("c", 3), pod("a", 1)], 2);
        assert_eq!(gone.len(), 1);
        assert_eq!(gone[0].name(), "a");
        let mut evicted = Pod::clone(&pod("d", 4));
        evicted.status.get_or_insert_default().reason = Some("Evicted".into());
        let gone = surplus(vec![pod("a", 1), Arc::new(evicted), pod("b", 2)], 2);
        assert_eq!(gone[0].name(), "d");
    }

    #[tokio::test]
    async fn finished_pods_stay_up_to_the_threshold() {
        for (max_finished, left) in [(None, vec!["a", "b", "run"]), (Some(1), vec!["b", "run"])] {
            let (fake, client) = Fake::start(Vec::new());
            let pods = Store::default();
            for (name, phase) in [("a", "Succeeded"), ("b", "Failed"), ("run", "Running")] {
                let pod = json!({"metadata": {"name": name, "namespace": "d"},
                    "spec": {"containers": []}, "status": {"phase": phase}});
                fake.create("", "pods", pod);
            }
            for pod in fake.objects("", "pods") {
                pods.insert(Arc::new(serde_json::from_value(pod).unwrap()));
            }
            let controller = Controller {
                client,
                nodes: Store::default(),
                pods,
                max_finished,
            };
            let count = || DELETED.with_label_values(&["d", "terminated"]).get();
            let before = count();
            controller.reconcile(Task::Finished).await.unwrap();
            let there = fake.objects("", "pods").into_iter();
            let there: Vec<_> = there.map(|pod| pod["metadata"]["name"].clone()).collect();
            assert_eq!(there, left);
            assert_eq!(count() - before, 3 - left.len() as u64);
        }
    }

    #[tokio::test]
    async fn what_is_deleted_on_a_node_out_of_service_ends() {
        let (fake, client) = Fake::start(Vec::new());
        let controller = Controller {
            client,
            nodes: Store::default(),
            max_finished: None,
            pods: Store::new(&[(BY_NODE, |pod: &Pod| {
                let node = pod.spec.as_ref().and_then(|s| s.node_name.clone());
                node.into_iter().collect()
            })]),
        };
        for (name, deleted) in [("going", true), ("staying", false)] {
            let time = deleted.then_some("2024-01-01T00:00:00Z");
            fake.create(
                "",
                "pods",
                json!({"metadata": {"name": name, "namespace": "d", "deletionTimestamp": time,
                        "finalizers": ["keep"]},
                    "spec": {"nodeName": "n", "containers": []}, "status": {"phase": "Running"}}),
            );
        }
        for pod in fake.objects("", "pods") {
            controller
                .pods
                .insert(Arc::new(serde_json::from_value(pod).unwrap()));
        }
        let node = |ready: &str, taint: &str| {
            let node = json!({"metadata": {"name": "n"},
                "spec": {"taints": [{"key": taint, "effect": "NoExecute"}]},
                "status": {"conditions": [{"type": "Ready", "status": ready}]}});
            Arc::new(serde_json::from_value(node).unwrap())
        };
        let phases = || -> Vec<Value> {
            let pods = fake.objects("", "pods").into_iter();
            pods.map(|pod| pod["status"]["phase"].clone()).collect()
        };
        for (ready, taint, first) in [
            ("True", out_of_service::TAINT, "Running"),
            ("False", "node.kubernetes.io/unreachable", "Running"),
            ("Unknown", out_of_service::TAINT, "Failed"),
        ] {
            controller.nodes.insert(node(ready, taint));
            let task = Task::OutOfService("n".into());
            controller.reconcile(task).await.unwrap();
            assert_eq!(phases(), [first, "Running"], "{ready} {taint}");
        }
        assert_eq!(fake.calls("delete pods"), 1);
    }
}
