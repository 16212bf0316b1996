//! Pods made of a template, created and deleted for an owner: with events,
//! and with expectations of what the cache doesn't show yet. As Kubernetes'
//! `RealPodControl` does it for all controllers but StatefulSets.

use crate::expectations::Expectations;
use futures_util::future::join_all;
use hardway_client::api::DeleteParams;
use hardway_client::events::{EventType, Recorder, reference};
use hardway_client::{Client, Store};
use hardway_proto::meta::{ObjectKey, controller_ref};
use hardway_proto::status::NAMESPACE_TERMINATING;
use hardway_proto::{Kind, Status};
use k8s_openapi::api::core::v1::{Pod, PodTemplateSpec};
use std::borrow::Borrow;
use std::sync::Arc;

/// At most this many pods of an owner are created or deleted in one go.
pub const BURST: usize = 500;

/// A pod made of its owner's template, with a name that is made up when it is created.
pub fn pod_of<K: Kind>(owner: &K, template: &PodTemplateSpec) -> Pod {
    let mut pod = Pod {
        spec: template.spec.clone(),
        ..Default::default()
    };
    if let Some(meta) = &template.metadata {
        pod.metadata.labels = meta.labels.clone();
        pod.metadata.annotations = meta.annotations.clone();
        pod.metadata.finalizers = meta.finalizers.clone();
    }
    pod.metadata.namespace = Some(owner.namespace().into());
    pod.metadata.generate_name = Some(format!("{}-", owner.name()));
    pod.metadata.owner_references = Some(vec![controller_ref(owner)]);
    pod
}

/// What became of pods that were to be created.
pub struct Creation {
    /// Those that were.
    pub pods: Vec<Arc<Pod>>,
    /// How many were refused.
    pub refused: usize,
    /// The refusal of one of them; `Ok` where the namespace is going away, which
    /// refuses for good.
    pub outcome: Result<(), Status>,
}

/// The hands of a controller of pods.
pub struct PodControl {
    /// The apiserver.
    pub client: Client,
    /// Where events go.
    pub recorder: Recorder,
    /// All pods.
    pub pods: Store<Pod>,
    /// What has been done and isn't in `pods` yet.
    pub expectations: Arc<Expectations>,
}

impl PodControl {
    /// Creates pods in batches that double as long as all goes well, so that a
    /// refusal (quota, admission) costs one request and not hundreds.
    ///
    /// # Errors
    /// The refusal of one of them; the next batches are left out.
    pub async fn create<K: Kind>(
        &self,
        owner: &K,
        pods: impl IntoIterator<Item: Borrow<Pod>>,
    ) -> Result<(), Status> {
        self.create_counted(owner, pods).await.outcome
    }

    /// The same; also says what became of each.
    pub async fn create_counted<K: Kind>(
        &self,
        owner: &K,
        pods: impl IntoIterator<Item: Borrow<Pod>>,
    ) -> Creation {
        let mut creation = Creation {
            pods: Vec::new(),
            refused: 0,
            outcome: Ok(()),
        };
        let key = ObjectKey::of(owner);
        let api = self.client.namespaced::<Pod>(&key.namespace);
        let mut left = pods.into_iter();
        for doubled in 0.. {
            let batch: Vec<_> = left.by_ref().take(1 << doubled.min(16)).collect();
            if batch.is_empty() {
                break;
            }
            let results = join_all(batch.iter().map(|pod| api.create(pod.borrow()))).await;
            let mut failure = None;
            for result in results {
                match result {
                    Ok(created) => {
                        self.expectations.created(&key, created.uid());
                        if self.pods.get(&ObjectKey::of(&created)).is_some() {
                            self.expectations.settle(&key, created.uid());
                        }
                        let text = format!("Created pod: {}", created.name());
                        self.event(owner, EventType::Normal, "SuccessfulCreate", text);
                        creation.pods.push(Arc::new(created));
                    }
                    Err(status) => {
                        creation.refused += 1;
                        failure = Some(status);
                    }
                }
            }
            if let Some(status) = failure {
                if !status.has_cause(NAMESPACE_TERMINATING) {
                    let text = format!("Error creating: {status}");
                    self.event(owner, EventType::Warning, "FailedCreate", text);
                    creation.outcome = Err(status);
                }
                break;
            }
        }
        creation
    }

    /// Deletes pods, all at once.
    ///
    /// # Errors
    /// If one of them couldn't be deleted, and isn't gone anyhow.
    pub async fn delete<K: Kind>(&self, owner: &K, victims: &[Arc<Pod>]) -> Result<(), Status> {
        self.delete_counted(owner, victims).await.1
    }

    /// The same; also says which pods leave or are gone.
    pub async fn delete_counted<K: Kind>(
        &self,
        owner: &K,
        victims: &[Arc<Pod>],
    ) -> (Vec<Arc<Pod>>, Result<(), Status>) {
        let key = ObjectKey::of(owner);
        let api = self.client.namespaced::<Pod>(&key.namespace);
        let deletions = victims.iter().map(|pod| async {
            self.expectations.deleting(&key, pod.uid());
            match api.delete(pod.name(), &DeleteParams::of(pod.uid())).await {
                Ok(()) => {
                    let text = format!("Deleted pod: {}", pod.name());
                    self.event(owner, EventType::Normal, "SuccessfulDelete", text);
                    Ok(())
                }
                Err(status) => {
                    self.expectations.settle(&key, pod.uid());
                    if status.is_not_found() {
                        return Ok(());
                    }
                    let text = format!("Error deleting: {status}");
                    self.event(owner, EventType::Warning, "FailedDelete", text);
                    Err(status)
                }
            }
        });
        let results = join_all(deletions).await;
        let done = victims
            .iter()
            .zip(&results)
            .filter(|(_, result)| result.is_ok());
        let done = done.map(|(pod, _)| pod.clone()).collect();
        (done, results.into_iter().collect())
    }

    fn event<K: Kind>(&self, owner: &K, r#type: EventType, reason: &str, message: String) {
        self.recorder
            .event(reference(owner), r#type, reason, message);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hardway_proto::meta::controller_of;
    use k8s_openapi::api::core::v1::ReplicationController;
    use serde_json::json;

    #[test]
    fn pods_carry_the_template_and_their_owner() {
        let rc: ReplicationController = serde_json::from_value(json!({
            "metadata": {"name": "web", "namespace": "d", "uid": "1"},
            "spec": {"template": {
                "metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c"}]}}},
        }))
        .unwrap();
        let template = rc.spec.as_ref().unwrap().template.as_ref().unwrap();
        let made = pod_of(&rc, template);
        assert_eq!(made.metadata.generate_name.as_deref(), Some("web-"));
        assert_eq!(made.metadata.labels.as_ref().unwrap()["app"], "web");
        assert_eq!(made.spec.as_ref().unwrap().containers[0].name, "c");
        let owner = controller_of(&made.metadata).unwrap();
        assert_eq!(
            (owner.api_version.as_str(), owner.kind.as_str()),
            ("v1", "ReplicationController")
        );
        assert_eq!(owner.block_owner_deletion, Some(true));
    }
}
