//! What comes next for a claim.

use crate::pod_ranking::is_finished;
use hardway_client::events::EventType;
use hardway_proto::Kind;
use hardway_proto::claims::{
    BIND_COMPLETED, BOUND_BY_CONTROLLER, NO_PROVISIONER, PROVISIONER, PROVISIONER_BETA,
    SELECTED_NODE, annotation, best_match, claim_ref, class_of_claim, is_bound, is_for, satisfies,
    volume_name, waits_for_consumer,
};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod};
use k8s_openapi::api::storage::v1::StorageClass;
use std::sync::Arc;

/// On a class: claims that name none are of this one.
const IS_DEFAULT: [&str; 2] = [
    "storageclass.kubernetes.io/is-default-class",
    "storageclass.beta.kubernetes.io/is-default-class",
];

/// An event about a claim.
#[derive(Debug, PartialEq, Eq)]
pub struct Notice {
    /// Normal or Warning.
    pub r#type: EventType,
    /// In one word.
    pub reason: &'static str,
    /// For people.
    pub message: String,
}

impl Notice {
    fn normal(reason: &'static str, message: impl Into<String>) -> Self {
        let (r#type, message) = (EventType::Normal, message.into());
        Self {
            r#type,
            reason,
            message,
        }
    }

    fn warning(reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            r#type: EventType::Warning,
            ..Self::normal(reason, message)
        }
    }
}

/// What comes next.
#[derive(Debug, PartialEq)]
pub enum Step {
    /// It has no volume yet.
    Pending(Option<Notice>),
    /// It is of the default class, which it doesn't name yet.
    Classify(String),
    /// Whoever this is makes its volume; the claim is to say so.
    Provision(String, Notice),
    /// It gets this volume, or has it: both are to say so.
    Bind(Arc<PersistentVolume>),
    /// The volume that it had is not its own any more.
    Lost(Notice),
}

/// Decides. `volumes` are all there are, of `classes` likewise; `pods` those that name the
/// claim.
pub fn next(
    claim: &PersistentVolumeClaim,
    volumes: &[Arc<PersistentVolume>],
    classes: &[Arc<StorageClass>],
    pods: &[Arc<Pod>],
) -> Step {
    let named = volume_name(claim);
    let volume = volumes.iter().find(|volume| volume.name() == named);
    if annotation(claim, BIND_COMPLETED).is_some() {
        return bound(claim, volume);
    }
    if named.is_empty() {
        return unbound(claim, volumes, classes, pods);
    }
    match volume {
        None => Step::Pending(None),
        Some(volume) if claim_ref(volume).is_none() => match satisfies(volume, claim) {
            Ok(()) => Step::Bind(volume.clone()),
            Err(mismatch) => Step::Pending(Some(Notice::warning(
                "VolumeMismatch",
                format!("Cannot bind to requested volume {named:?}: {mismatch}"),
            ))),
        },
        Some(volume) if is_for(volume, claim) => Step::Bind(volume.clone()),
        Some(_) => Step::Pending(Some(Notice::warning(
            "FailedBinding",
            format!("volume {named:?} already bound to a different claim."),
        ))),
    }
}

/// Of a claim that was bound.
fn bound(claim: &PersistentVolumeClaim, volume: Option<&Arc<PersistentVolume>>) -> Step {
    let lost = |reason, message: &str| Step::Lost(Notice::warning(reason, message));
    if volume_name(claim).is_empty() {
        let message =
            "Bound claim has lost reference to PersistentVolume. Data on the volume is lost!";
        return lost("ClaimLost", message);
    }
    match volume {
        None => lost(
            "ClaimLost",
            "Bound claim has lost its PersistentVolume. Data on the volume is lost!",
        ),
        Some(volume) if claim_ref(volume).is_none() || is_for(volume, claim) => {
            Step::Bind(volume.clone())
        }
        Some(_) => lost(
            "ClaimMisbound",
            "Two claims are bound to the same volume, this one is bound incorrectly",
        ),
    }
}

/// Of a claim that names no volume.
fn unbound(
    claim: &PersistentVolumeClaim,
    volumes: &[Arc<PersistentVolume>],
    classes: &[Arc<StorageClass>],
    pods: &[Arc<Pod>],
) -> Step {
    let name = class_of_claim(claim).unwrap_or_default();
    let class = classes.iter().find(|class| class.name() == name);
    let waits = class.is_some_and(|class| waits_for_consumer(class));
    let selected = annotation(claim, SELECTED_NODE).is_some();
    // While the scheduler has not chosen, only what it or somebody else keeps for the claim.
    let usable = |volume: &PersistentVolume| !waits || is_for(volume, claim);
    if let Some(volume) = best_match(claim, volumes, usable) {
        return Step::Bind(volume);
    }
    if class_of_claim(claim).is_none()
        && let Some(class) = default_class(classes)
    {
        return Step::Classify(class.name().to_owned());
    }
    if waits && !selected {
        return Step::Pending(Some(consumers(pods)));
    }
    match class {
        _ if name.is_empty() => Step::Pending(Some(Notice::normal(
            "FailedBinding",
            "no persistent volumes available for this claim and no storage class is set",
        ))),
        None => Step::Pending(Some(Notice::warning(
            "ProvisioningFailed",
            format!("storageclass.storage.k8s.io {name:?} not found"),
        ))),
        Some(class) if class.provisioner == NO_PROVISIONER => Step::Pending(Some(Notice::warning(
            "ProvisioningFailed",
            format!("no volume plugin matched name: {NO_PROVISIONER}"),
        ))),
        Some(class) => {
            let by = &class.provisioner;
            let message = format!(
                "Waiting for a volume to be created either by the external provisioner '{by}' or manually by the system administrator. If volume creation is delayed, please verify that the provisioner is running and correctly registered."
            );
            Step::Provision(by.clone(), Notice::normal("ExternalProvisioning", message))
        }
    }
}

/// What a claim waits for whose class waits for its first pod.
fn consumers(pods: &[Arc<Pod>]) -> Notice {
    let waits = |pod: &&Arc<Pod>| {
        let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_ref());
        node.is_none_or(String::is_empty) && !is_finished(pod)
    };
    let names: Vec<&str> = pods.iter().filter(waits).map(|pod| pod.name()).collect();
    let (pods, names) = match names.as_slice() {
        [] => {
            let message = "waiting for first consumer to be created before binding";
            return Notice::normal("WaitForFirstConsumer", message);
        }
        [one] => ("pod", (*one).to_owned()),
        many => ("pods", many.join(",")),
    };
    let message = format!("waiting for {pods} {names} to be scheduled");
    Notice::normal("WaitForPodScheduled", message)
}

/// The default class; of several the newest, of equally old ones the first by name.
fn default_class(classes: &[Arc<StorageClass>]) -> Option<&Arc<StorageClass>> {
    let is_default = |class: &&Arc<StorageClass>| {
        let says = |name: &&str| annotation(class.as_ref(), name) == Some("true");
        IS_DEFAULT.iter().any(says)
    };
    let defaults = classes.iter().filter(is_default);
    defaults.min_by_key(|class| {
        let created = class
            .metadata
            .creation_timestamp
            .as_ref()
            .map(|time| time.0);
        (std::cmp::Reverse(created), class.name().to_owned())
    })
}

/// The claim as it names its volume; `None` if it does.
pub fn naming(
    claim: &PersistentVolumeClaim,
    volume: &PersistentVolume,
) -> Option<PersistentVolumeClaim> {
    if is_bound(claim) {
        return None;
    }
    let mut new = claim.clone();
    let annotations = new.metadata.annotations.get_or_insert_default();
    if volume_name(claim).is_empty() {
        annotations.insert(BOUND_BY_CONTROLLER.into(), "yes".into());
    }
    annotations.insert(BIND_COMPLETED.into(), "yes".into());
    new.spec.get_or_insert_default().volume_name = Some(volume.name().into());
    Some(new)
}

/// The claim as its status shows its volume; `None` if it does.
pub fn showing(
    claim: &PersistentVolumeClaim,
    volume: &PersistentVolume,
) -> Option<PersistentVolumeClaim> {
    let before = claim.status.clone().unwrap_or_default();
    let mut status = before.clone();
    let spec = volume.spec.as_ref();
    status.access_modes = spec.and_then(|s| s.access_modes.clone());
    // What it has grown to since is known better elsewhere.
    if before.phase.as_deref() != Some("Bound") || before.capacity.is_none() {
        status.capacity = spec.and_then(|s| s.capacity.clone());
    }
    status.phase = Some("Bound".into());
    (status != before).then(|| PersistentVolumeClaim {
        status: Some(status),
        ..claim.clone()
    })
}

/// The claim in a phase without a volume; `None` if it is.
pub fn in_phase(claim: &PersistentVolumeClaim, phase: &str) -> Option<PersistentVolumeClaim> {
    let status = claim.status.as_ref();
    if status.and_then(|s| s.phase.as_deref()) == Some(phase) {
        return None;
    }
    let mut new = claim.clone();
    let status = new.status.get_or_insert_default();
    status.phase = Some(phase.into());
    status.access_modes = None;
    status.capacity = None;
    Some(new)
}

/// The claim as it says who is to make its volume; `None` if it does.
pub fn provisioned(claim: &PersistentVolumeClaim, by: &str) -> Option<PersistentVolumeClaim> {
    let names = [PROVISIONER, PROVISIONER_BETA];
    if names.iter().all(|name| annotation(claim, name) == Some(by)) {
        return None;
    }
    let mut new = claim.clone();
    let annotations = new.metadata.annotations.get_or_insert_default();
    annotations.extend(names.map(|name| (name.to_owned(), by.to_owned())));
    Some(new)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{claim, class, volume};
    use super::*;
    use serde_json::json;

    /// The step in words.
    fn step(
        claim: &PersistentVolumeClaim,
        volumes: &[Arc<PersistentVolume>],
        classes: &[Arc<StorageClass>],
    ) -> String {
        match next(claim, volumes, classes, &[]) {
            Step::Pending(None) => "pending".to_owned(),
            Step::Pending(Some(notice)) | Step::Lost(notice) => notice.reason.to_owned(),
            Step::Classify(class) => format!("class {class}"),
            Step::Provision(by, _) => format!("made by {by}"),
            Step::Bind(volume) => format!("bind {}", volume.name()),
        }
    }

    #[test]
    fn a_claim_without_a_volume_gets_one_or_is_told_why_not() {
        let plain = claim(json!({"storageClassName": ""}), json!({}));
        assert_eq!(step(&plain, &[volume("v", json!({}))], &[]), "bind v");
        assert_eq!(step(&plain, &[], &[]), "FailedBinding");
        let fast = claim(json!({"storageClassName": "fast"}), json!({}));
        assert_eq!(step(&fast, &[], &[]), "ProvisioningFailed");
        let by = |by: &str, mode: &str| [class("fast", by, mode, false)];
        assert_eq!(
            step(&fast, &[], &by("x.io/p", "Immediate")),
            "made by x.io/p"
        );
        let nobody = by("kubernetes.io/no-provisioner", "Immediate");
        assert_eq!(step(&fast, &[], &nobody), "ProvisioningFailed");
    }

    #[test]
    fn a_claim_waits_for_its_first_pod_if_its_class_does() {
        let classes = [class("local", "x.io/p", "WaitForFirstConsumer", false)];
        let volumes = [volume("v", json!({"storageClassName": "local"}))];
        let waiting = claim(json!({"storageClassName": "local"}), json!({}));
        assert_eq!(step(&waiting, &volumes, &classes), "WaitForFirstConsumer");
        // The scheduler keeps one for it …
        let kept = json!({"storageClassName": "local",
                          "claimRef": {"namespace": "n", "name": "data", "uid": "u"}});
        assert_eq!(step(&waiting, &[volume("v", kept)], &classes), "bind v");
        // … or asks for one on its pod's node.
        let annotations = json!({"volume.kubernetes.io/selected-node": "a"});
        let selected = claim(json!({"storageClassName": "local"}), annotations);
        assert_eq!(step(&selected, &[], &classes), "made by x.io/p");
    }

    #[test]
    fn who_waits_for_pods_says_for_which() {
        let pod = |name: &str, node: &str| {
            let pod =
                json!({"metadata": {"name": name}, "spec": {"containers": [], "nodeName": node}});
            Arc::new(serde_json::from_value(pod).unwrap())
        };
        let said = |pods: &[Arc<Pod>]| consumers(pods).message;
        assert!(said(&[pod("p", "a")]).starts_with("waiting for first consumer"));
        let one = said(&[pod("p", ""), pod("q", "a")]);
        assert_eq!(one, "waiting for pod p to be scheduled");
        let two = said(&[pod("p", ""), pod("q", "")]);
        assert_eq!(two, "waiting for pods p,q to be scheduled");
    }

    #[test]
    fn the_newest_default_class_is_that_of_claims_without() {
        let classless = claim(json!({}), json!({}));
        assert_eq!(step(&classless, &[], &[]), "FailedBinding");
        let classes = [
            class("a", "x.io/p", "Immediate", false),
            class("b", "x.io/p", "Immediate", true),
        ];
        assert_eq!(step(&classless, &[], &classes), "class b");
        let free = [volume("v", json!({}))];
        assert_eq!(step(&classless, &free, &classes), "bind v");
        let none = claim(json!({"storageClassName": ""}), json!({}));
        assert_eq!(step(&none, &[], &classes), "FailedBinding");
    }

    #[test]
    fn a_volume_that_is_named_must_be_free_and_fit() {
        let named = claim(
            json!({"storageClassName": "", "volumeName": "v"}),
            json!({}),
        );
        assert_eq!(step(&named, &[], &[]), "pending");
        assert_eq!(step(&named, &[volume("v", json!({}))], &[]), "bind v");
        let small = volume("v", json!({"capacity": {"storage": "1Mi"}}));
        assert_eq!(step(&named, &[small], &[]), "VolumeMismatch");
        let of = json!({"claimRef": {"namespace": "n", "name": "other", "uid": "o"}});
        assert_eq!(step(&named, &[volume("v", of)], &[]), "FailedBinding");
    }

    #[test]
    fn a_bound_claim_may_lose_its_volume() {
        let done = json!({"pv.kubernetes.io/bind-completed": "yes"});
        let bound = claim(json!({"volumeName": "v"}), done.clone());
        let of = |name: &str, uid: &str| {
            volume(
                "v",
                json!({"claimRef": {"namespace": "n", "name": name, "uid": uid}}),
            )
        };
        assert_eq!(step(&bound, &[of("data", "u")], &[]), "bind v");
        assert_eq!(step(&bound, &[volume("v", json!({}))], &[]), "bind v");
        assert_eq!(step(&bound, &[], &[]), "ClaimLost");
        assert_eq!(step(&bound, &[of("data", "another")], &[]), "ClaimMisbound");
        assert_eq!(step(&claim(json!({}), done), &[], &[]), "ClaimLost");
    }

    #[test]
    fn a_bound_claim_says_so_once() {
        let unbound = claim(json!({"storageClassName": ""}), json!({}));
        let volume = volume("v", json!({}));
        let named = naming(&unbound, &volume).unwrap();
        assert_eq!(volume_name(&named), "v");
        assert_eq!(annotation(&named, BOUND_BY_CONTROLLER), Some("yes"));
        assert!(naming(&named, &volume).is_none());
        let shown = showing(&named, &volume).unwrap();
        let status = shown.status.as_ref().unwrap();
        assert_eq!(status.phase.as_deref(), Some("Bound"));
        assert_eq!(status.capacity.as_ref().unwrap()["storage"].0, "1Gi");
        assert!(showing(&shown, &volume).is_none());
        let lost = in_phase(&shown, "Lost").unwrap();
        assert!(lost.status.as_ref().unwrap().capacity.is_none());
        assert!(in_phase(&lost, "Lost").is_none());
    }

    #[test]
    fn a_volume_the_user_named_is_not_the_controllers_choice() {
        let named = claim(json!({"volumeName": "v"}), json!({}));
        let bound = naming(&named, &volume("v", json!({}))).unwrap();
        assert_eq!(annotation(&bound, BOUND_BY_CONTROLLER), None);
        let asked = provisioned(&named, "x.io/p").unwrap();
        assert_eq!(annotation(&asked, PROVISIONER), Some("x.io/p"));
        assert!(provisioned(&asked, "x.io/p").is_none());
    }
}
