//! Creates the claims of pods' generic ephemeral volumes. A pod owns them, so that the garbage
//! collector takes them away with it.

use crate::Work;
use crate::context::Context;
use crate::informers::Informers;
use hardway_client::controller::{self, Next};
use hardway_client::events::{EventType, Recorder, reference};
use hardway_client::queue::WorkQueue;
use hardway_client::{Client, Store};
use hardway_proto::claims::{made_for, of_volume};
use hardway_proto::meta::{ObjectKey, controller_ref};
use hardway_proto::{Kind, Status};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod, Volume};

struct Controller {
    client: Client,
    recorder: Recorder,
    pods: Store<Pod>,
    claims: Store<PersistentVolumeClaim>,
}

/// The controller.
pub fn register(informers: &mut Informers, context: &Context) -> Work {
    let queue = WorkQueue::new();
    let controller = Controller {
        client: context.client.clone(),
        recorder: context.recorder("ephemeral_volume"),
        pods: informers.pods.store(),
        claims: informers.claims.store(),
    };
    let on_pod = queue.clone();
    informers.pods.subscribe(move |change| {
        let pod = change.object();
        if has_ephemeral(pod) {
            on_pod.add(ObjectKey::of(pod.as_ref()));
        }
    });
    // One that is gone may be needed again: a pod that is waiting got it away from another.
    let (on_claim, pods) = (queue.clone(), informers.pods.store());
    informers.claims.subscribe(move |change| {
        let claim = change.object();
        for owner in claim.metadata.owner_references.iter().flatten() {
            let key = ObjectKey::new(claim.namespace(), &owner.name);
            if owner.kind == Pod::KIND && pods.get(&key).is_some() {
                on_claim.add(key);
            }
        }
    });
    Box::pin(async move {
        controller.pods.wait_synced().await;
        controller.claims.wait_synced().await;
        controller::run("ephemeral-volume", queue, 5, |key| {
            controller.reconcile(key)
        })
        .await;
    })
}

fn volumes(pod: &Pod) -> impl Iterator<Item = &Volume> {
    pod.spec
        .iter()
        .flat_map(|spec| spec.volumes.iter().flatten())
}

fn has_ephemeral(pod: &Pod) -> bool {
    volumes(pod).any(|volume| volume.ephemeral.is_some())
}

/// The claim for a volume of a pod, if that is an ephemeral one.
fn claim_for(pod: &Pod, volume: &Volume) -> Option<PersistentVolumeClaim> {
    let template = volume.ephemeral.as_ref()?.volume_claim_template.as_ref()?;
    let metadata = template.metadata.clone().unwrap_or_default();
    let mut claim = PersistentVolumeClaim {
        spec: Some(template.spec.clone()),
        ..PersistentVolumeClaim::default()
    };
    claim.metadata.name = Some(of_volume(pod, volume)?.name.into_owned());
    claim.metadata.namespace = Some(pod.namespace().into());
    claim.metadata.labels = metadata.labels;
    claim.metadata.annotations = metadata.annotations;
    claim.metadata.owner_references = Some(vec![controller_ref(pod)]);
    Some(claim)
}

impl Controller {
    async fn reconcile(&self, key: ObjectKey) -> Result<Next, String> {
        let Some(pod) = self.pods.get(&key) else {
            return Ok(Next::Done);
        };
        if pod.metadata.deletion_timestamp.is_some() {
            return Ok(Next::Done);
        }
        for volume in volumes(&pod) {
            let Some(claim) = claim_for(&pod, volume) else {
                continue;
            };
            if let Err(why) = self.create(&pod, &claim).await {
                let why = format!("ephemeral volume {}: {why}", volume.name);
                let about = reference(pod.as_ref());
                self.recorder
                    .event(about, EventType::Warning, "FailedBinding", &*why);
                return Err(why);
            }
        }
        Ok(Next::Done)
    }

    async fn create(&self, pod: &Pod, claim: &PersistentVolumeClaim) -> Result<(), String> {
        if let Some(known) = self.claims.get(&ObjectKey::of(claim)) {
            return made_for(&known, pod);
        }
        let api = self.client.namespaced(pod.namespace());
        let created = api.create(claim).await;
        let why = |status: Status| format!("create PVC {}: {status}", claim.name());
        created.map(drop).map_err(why)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_claim_is_made_of_the_template_and_owned_by_the_pod() {
        let template = json!({"metadata": {"labels": {"a": "b"}}, "spec": {
            "accessModes": ["ReadWriteOnce"], "storageClassName": "fast",
            "resources": {"requests": {"storage": "1Gi"}}}});
        let pod: Pod = serde_json::from_value(json!({
            "metadata": {"namespace": "n", "name": "web", "uid": "u"},
            "spec": {"containers": [], "volumes": [
                {"name": "tmp", "emptyDir": {}},
                {"name": "scratch", "ephemeral": {"volumeClaimTemplate": template}}]}}))
        .unwrap();
        assert!(has_ephemeral(&pod));
        let claims: Vec<_> = volumes(&pod).filter_map(|v| claim_for(&pod, v)).collect();
        assert_eq!(claims.len(), 1);
        let claim = serde_json::to_value(&claims[0]).unwrap();
        let metadata = &claim["metadata"];
        assert_eq!(metadata["name"], "web-scratch");
        assert_eq!(metadata["labels"], json!({"a": "b"}));
        let owner = &metadata["ownerReferences"][0];
        assert_eq!(
            (&owner["uid"], &owner["controller"]),
            (&json!("u"), &json!(true))
        );
        assert_eq!(claim["spec"]["storageClassName"], "fast");
        assert_eq!(made_for(&claims[0], &pod), Ok(()));
    }
}
