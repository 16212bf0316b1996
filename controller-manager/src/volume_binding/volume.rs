//! What comes next for a volume.

use super::claim::Notice;
use hardway_client::events::EventType;
use hardway_proto::Kind;
use hardway_proto::claims::{
    BOUND_BY_CONTROLLER, PROVISIONED_BY, annotation, claim_ref, is_for, volume_name,
};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// It is in this phase, because of what is noticed.
    Phase(&'static str, Option<Notice>),
    /// Its claim has another volume: it is free again.
    Free,
    /// Nothing: its claim is bound first.
    Wait,
}

/// Decides. `claim` is the one of the name that the volume is for, if there is one.
pub fn next(volume: &PersistentVolume, claim: Option<&PersistentVolumeClaim>) -> Step {
    let Some(of) = claim_ref(volume) else {
        return Step::Phase("Available", None);
    };
    if of.uid.as_deref().unwrap_or_default().is_empty() {
        // It is kept for a claim that has not got it yet.
        return Step::Phase("Available", None);
    }
    let Some(claim) = claim.filter(|claim| is_for(volume, claim)) else {
        return released(volume);
    };
    match volume_name(claim) {
        "" => Step::Wait,
        name if name == volume.name() => Step::Phase("Bound", None),
        // What was made for the claim is of no use to others.
        _ if annotation(volume, PROVISIONED_BY).is_some() && reclaims(volume, "Delete") => {
            released(volume)
        }
        _ => Step::Free,
    }
}

fn reclaims(volume: &PersistentVolume, policy: &str) -> bool {
    let spec = volume.spec.as_ref();
    spec.and_then(|s| s.persistent_volume_reclaim_policy.as_deref()) == Some(policy)
}

/// Its claim is gone. Who made it deletes it; nobody else can.
fn released(volume: &PersistentVolume) -> Step {
    let failed = |reason, message: String| {
        let notice = Notice {
            r#type: EventType::Warning,
            reason,
            message,
        };
        Step::Phase("Failed", Some(notice))
    };
    let name = volume.name();
    if reclaims(volume, "Recycle") {
        return failed(
            "VolumeFailedRecycle",
            "No recycler plugin found for the volume!".to_owned(),
        );
    }
    if reclaims(volume, "Delete") && annotation(volume, PROVISIONED_BY).is_none() {
        return failed(
            "VolumeFailedDelete",
            format!(
                "error getting deleter volume plugin for volume {name:?}: no deletable volume plugin matched"
            ),
        );
    }
    Step::Phase("Released", None)
}

/// The volume without its claim; one that an administrator keeps for a name stays kept.
pub fn freed(volume: &PersistentVolume) -> PersistentVolume {
    let mut new = volume.clone();
    let chosen = annotation(volume, BOUND_BY_CONTROLLER).is_some();
    if let Some(spec) = &mut new.spec {
        match (&mut spec.claim_ref, chosen) {
            (Some(of), false) => (of.uid, of.resource_version) = (None, None),
            _ => spec.claim_ref = None,
        }
    }
    if let Some(annotations) = &mut new.metadata.annotations {
        annotations.remove(BOUND_BY_CONTROLLER);
    }
    new
}

/// The volume in a phase; `None` if it is.
pub fn in_phase(
    volume: &PersistentVolume,
    phase: &str,
    message: Option<&str>,
) -> Option<PersistentVolume> {
    let status = volume.status.as_ref();
    if status.and_then(|s| s.phase.as_deref()) == Some(phase) {
        return None;
    }
    let mut new = volume.clone();
    let status = new.status.get_or_insert_default();
    status.phase = Some(phase.into());
    status.message = message.map(str::to_owned);
    Some(new)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{claim, volume, volume_of};
    use super::*;
    use hardway_proto::claims::kept_for;
    use serde_json::json;

    #[test]
    fn a_volume_is_available_until_it_has_a_claim() {
        let phase = |volume: &PersistentVolume| next(volume, None);
        let free = volume("v", json!({}));
        assert_eq!(phase(&free), Step::Phase("Available", None));
        let kept = volume_of("v", "data", "", json!({}));
        assert_eq!(phase(&kept), Step::Phase("Available", None));
    }

    #[test]
    fn a_volume_is_bound_with_its_claim() {
        let mine = volume_of("v", "data", "u", json!({}));
        let unbound = claim(json!({}), json!({}));
        assert_eq!(next(&mine, Some(&unbound)), Step::Wait);
        let bound = claim(json!({"volumeName": "v"}), json!({}));
        assert_eq!(next(&mine, Some(&bound)), Step::Phase("Bound", None));
        let elsewhere = claim(json!({"volumeName": "w"}), json!({}));
        assert_eq!(next(&mine, Some(&elsewhere)), Step::Free);
        let made = json!({"pv.kubernetes.io/provisioned-by": "x.io/p"});
        let deleted = json!({"persistentVolumeReclaimPolicy": "Delete"});
        let mut made_for = (*volume_of("v", "data", "u", deleted)).clone();
        made_for.metadata.annotations = serde_json::from_value(made).unwrap();
        assert_eq!(
            next(&made_for, Some(&elsewhere)),
            Step::Phase("Released", None)
        );
    }

    #[test]
    fn a_volume_whose_claim_is_gone_is_released_as_its_policy_says() {
        let phase = |policy: &str| {
            let spec = json!({ "persistentVolumeReclaimPolicy": policy });
            match next(&volume_of("v", "data", "former", spec), None) {
                Step::Phase(phase, notice) => (phase, notice.map(|n| n.reason)),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(phase("Retain"), ("Released", None));
        assert_eq!(phase("Delete"), ("Failed", Some("VolumeFailedDelete")));
        assert_eq!(phase("Recycle"), ("Failed", Some("VolumeFailedRecycle")));
        // A claim of the same name is another one.
        let of_former = volume_of("v", "data", "former", json!({}));
        let another = claim(json!({}), json!({}));
        assert_eq!(
            next(&of_former, Some(&another)),
            Step::Phase("Released", None)
        );
    }

    #[test]
    fn a_volume_names_its_claim_once_and_can_be_freed() {
        let unbound = claim(json!({}), json!({}));
        let named = kept_for(&volume("v", json!({})), &unbound).unwrap();
        assert!(is_for(&named, &unbound));
        assert!(kept_for(&named, &unbound).is_none());
        assert_eq!(claim_ref(&freed(&named)), None);
        let kept = kept_for(&volume_of("v", "data", "", json!({})), &unbound).unwrap();
        assert_eq!(annotation(&kept, BOUND_BY_CONTROLLER), None);
        let freed = freed(&kept);
        let of = claim_ref(&freed).unwrap();
        assert_eq!(
            (of.name.as_deref(), of.uid.as_deref()),
            (Some("data"), None)
        );
        assert!(in_phase(&freed, "Available", None).is_none(), "it is");
        let released = in_phase(&freed, "Released", None).unwrap();
        assert!(in_phase(&released, "Released", None).is_none());
    }
}
