//! Says of claims that ask for more than their volume has who is to expand it: the resizer of
//! its driver. No volume is expanded here; that, and the conditions of the claim, are the
//! resizer's and then the kubelet's.

use crate::Work;
use crate::context::Context;
use crate::informers::{Informers, follow};
use hardway_client::Store;
use hardway_client::controller::{self, Next};
use hardway_client::events::{EventType, Recorder, reference};
use hardway_client::queue::WorkQueue;
use hardway_proto::claims::{is_for, requested, volume_name};
use hardway_proto::meta::ObjectKey;
use hardway_proto::quantity::Quantity;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use std::convert::Infallible;

struct Controller {
    recorder: Recorder,
    claims: Store<PersistentVolumeClaim>,
    volumes: Store<PersistentVolume>,
}

/// The controller.
pub fn register(informers: &mut Informers, context: &Context) -> Work {
    let queue = WorkQueue::new();
    let controller = Controller {
        recorder: context.recorder("volume_expand"),
        claims: informers.claims.store(),
        volumes: informers.volumes.store(),
    };
    follow(&mut informers.claims, &queue);
    Box::pin(async move {
        controller.claims.wait_synced().await;
        controller.volumes.wait_synced().await;
        controller::run("volume-expand", queue, 1, |key| {
            controller.reconcile(&key);
            std::future::ready(Ok::<_, Infallible>(Next::Done))
        })
        .await;
    })
}

/// Whether a claim asks for more than it has.
fn wants_more(claim: &PersistentVolumeClaim) -> bool {
    let Some(status) = &claim.status else {
        return false;
    };
    let has = status.capacity.as_ref().and_then(|c| c.get("storage"));
    let has = has.and_then(|amount| amount.0.parse::<Quantity>().ok());
    status.phase.as_deref() == Some("Bound") && has.is_some_and(|has| requested(claim) > has)
}

impl Controller {
    fn reconcile(&self, key: &ObjectKey) {
        let Some(claim) = self.claims.get(key).filter(|claim| wants_more(claim)) else {
            return;
        };
        let volume = self.volumes.get(&ObjectKey::new("", volume_name(&claim)));
        if volume.is_some_and(|volume| is_for(&volume, &claim)) {
            let message = "waiting for an external controller to expand this PVC";
            let about = reference(claim.as_ref());
            self.recorder
                .event(about, EventType::Normal, "ExternalExpanding", message);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_bound_claim_may_want_more_than_it_has() {
        let wants = |asked: &str, phase: &str| {
            let claim = json!({"spec": {"resources": {"requests": {"storage": asked}}},
                               "status": {"phase": phase, "capacity": {"storage": "1Gi"}}});
            wants_more(&serde_json::from_value(claim).unwrap())
        };
        assert!(wants("2Gi", "Bound"));
        assert!(!wants("1024Mi", "Bound"));
        assert!(!wants("2Gi", "Pending"));
    }
}
