//! What comes next for a claim.

use crate::volume;
use hardway_proto::Kind;
use hardway_proto::claims::{
    PROVISIONER, PROVISIONER_BETA, SELECTED_NODE, allows_labels, annotation, volume_name,
    waits_for_consumer,
};
use k8s_openapi::api::core::v1::{Node, PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::api::storage::v1::StorageClass;
use std::path::Path;

/// Who decides: the provisioner of a node.
pub struct Place<'a> {
    /// What classes call the provisioner.
    pub provisioner: &'a str,
    /// The node it runs on.
    pub node: &'a Node,
    /// Where its volumes are.
    pub root: &'a Path,
}

/// What comes next.
#[derive(Debug, PartialEq)]
pub enum Step {
    /// Nothing here.
    Nothing,
    /// It may be of any node: this one offers itself.
    Offer,
    /// The node it was to be made on is no more: the scheduler is to choose anew.
    Forget,
    /// Its folder, and then this volume.
    Make(Box<PersistentVolume>),
    /// It can't be had here, and why.
    Refuse(String),
}

/// Decides. `is_node` says whether there is a node of a name.
pub fn next(
    claim: &PersistentVolumeClaim,
    class: Option<&StorageClass>,
    place: &Place<'_>,
    is_node: impl Fn(&str) -> bool,
) -> Step {
    let by = annotation(claim, PROVISIONER).or_else(|| annotation(claim, PROVISIONER_BETA));
    let is_ours = by == Some(place.provisioner);
    let goes = claim.metadata.deletion_timestamp.is_some();
    let class = class.filter(|class| class.provisioner == place.provisioner);
    let Some(class) = class.filter(|_| is_ours && !goes && volume_name(claim).is_empty()) else {
        return Step::Nothing;
    };
    match annotation(claim, SELECTED_NODE) {
        Some(node) if node == place.node.name() => match refusal(claim, class) {
            Some(why) => Step::Refuse(why),
            None => volume::new(claim, class, place)
                .map_or_else(Step::Refuse, |volume| Step::Make(Box::new(volume))),
        },
        Some(node) if !is_node(node) => Step::Forget,
        Some(_) => Step::Nothing,
        None if waits_for_consumer(class) => Step::Nothing,
        None => {
            let labels = place.node.metadata.labels.clone().unwrap_or_default();
            match allows_labels(class, &labels) {
                true => Step::Offer,
                false => Step::Nothing,
            }
        }
    }
}

/// What a folder can't do for a claim.
fn refusal(claim: &PersistentVolumeClaim, class: &StorageClass) -> Option<String> {
    if let Some(name) = class
        .parameters
        .iter()
        .flatten()
        .map(|(name, _)| name)
        .next()
    {
        return Some(format!("parameter {name:?} of the class is not known"));
    }
    if class.mount_options.as_ref().is_some_and(|o| !o.is_empty()) {
        return Some("mountOptions of the class: a folder is not mounted with any".to_owned());
    }
    let spec = claim.spec.as_ref()?;
    if spec.selector.is_some() {
        return Some("claim Selector is not supported".to_owned());
    }
    if spec.data_source.is_some() || spec.data_source_ref.is_some() {
        return Some("dataSource is not supported: the folder starts empty".to_owned());
    }
    if spec.volume_mode.as_deref() == Some("Block") {
        return Some("volumeMode Block is not supported: the volume is a folder".to_owned());
    }
    let mut modes = spec.access_modes.iter().flatten();
    let other = modes.find(|mode| !["ReadWriteOnce", "ReadWriteOncePod"].contains(&mode.as_str()));
    other.map(|mode| {
        format!(
            "access mode {mode} is not supported, only ReadWriteOnce and ReadWriteOncePod: the volume is a folder of one node"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{PROVISIONER_NAME, claim, class, node, place};
    use serde_json::{Value, json};

    /// The step on node `a`, in words.
    fn step(spec: Value, selected: Option<&str>, class: &StorageClass) -> String {
        let node = node("a");
        let claim = claim(spec, selected);
        let is_node = |name: &str| ["a", "b"].contains(&name);
        match next(&claim, Some(class), &place(&node), is_node) {
            Step::Nothing => "nothing".to_owned(),
            Step::Offer => "offer".to_owned(),
            Step::Forget => "forget".to_owned(),
            Step::Make(volume) => volume.name().to_owned(),
            Step::Refuse(why) => why,
        }
    }

    #[test]
    fn a_claim_gets_its_volume_on_the_node_of_its_pod() {
        let waits = class("WaitForFirstConsumer", json!({}));
        assert_eq!(step(json!({}), None, &waits), "nothing");
        assert_eq!(step(json!({}), Some("a"), &waits), "pvc-u");
        assert_eq!(step(json!({}), Some("b"), &waits), "nothing");
        assert_eq!(step(json!({}), Some("gone"), &waits), "forget");
        let bound = json!({"volumeName": "v"});
        assert_eq!(step(bound, Some("a"), &waits), "nothing");
    }

    #[test]
    fn one_that_waits_for_no_pod_is_made_by_the_first_who_offers() {
        let immediate = class("Immediate", json!({}));
        assert_eq!(step(json!({}), None, &immediate), "offer");
        let only = |host: &str| {
            json!({"allowedTopologies": [{"matchLabelExpressions": [
                {"key": "kubernetes.io/hostname", "values": [host]}]}]})
        };
        let here = class("Immediate", only("host-a"));
        assert_eq!(step(json!({}), None, &here), "offer");
        let elsewhere = class("Immediate", only("host-b"));
        assert_eq!(step(json!({}), None, &elsewhere), "nothing");
    }

    #[test]
    fn what_a_folder_cannot_do_is_refused() {
        let waits = class("WaitForFirstConsumer", json!({}));
        let refused = |spec: Value| step(spec, Some("a"), &waits);
        assert!(refused(json!({"volumeMode": "Block"})).contains("Block is not supported"));
        let many = json!({"accessModes": ["ReadWriteOnce", "ReadWriteMany"]});
        assert!(refused(many).contains("ReadWriteMany is not supported"));
        let selector = json!({"selector": {"matchLabels": {"a": "b"}}});
        assert_eq!(refused(selector), "claim Selector is not supported");
        let copy = json!({"dataSource": {"kind": "PersistentVolumeClaim", "name": "x"}});
        assert!(refused(copy).contains("dataSource"));
        let odd = class("WaitForFirstConsumer", json!({"parameters": {"x": "y"}}));
        assert!(step(json!({}), Some("a"), &odd).contains("\"x\""));
    }

    #[test]
    fn others_claims_are_left_alone() {
        let node = node("a");
        let foreign = class("WaitForFirstConsumer", json!({"provisioner": "x.io/p"}));
        let ours = class("WaitForFirstConsumer", json!({}));
        let mut claim = claim(json!({}), Some("a"));
        let at = place(&node);
        assert_eq!(next(&claim, Some(&foreign), &at, |_| true), Step::Nothing);
        assert_eq!(next(&claim, None, &at, |_| true), Step::Nothing);
        let annotations = claim.metadata.annotations.as_mut().unwrap();
        assert_eq!(annotations[PROVISIONER], PROVISIONER_NAME);
        annotations.insert(PROVISIONER.into(), "x.io/p".into());
        assert_eq!(next(&claim, Some(&ours), &at, |_| true), Step::Nothing);
    }
}
