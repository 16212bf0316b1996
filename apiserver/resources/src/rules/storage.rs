//! Volumes and claims, and the storage.k8s.io kinds.

mod capacity;
mod claim;
mod class;
mod csi;

pub(super) use capacity::CAPACITY;
pub(super) use claim::{CLAIM, check_claim, claim_warnings, default_claim};
pub(super) use class::STORAGE_CLASS;
pub(super) use csi::{ATTACHMENT, CSI_DRIVER, CSI_NODE};

use super::field::{Errors, Path};
use super::json::{
    default_text, entries, get, has, is_empty, list, object_mut, remove, set_default, text,
};
use super::kind::{Kind, WITH_STATUS};
use super::volume_source::{self, Bearer};
use super::{node_labels, pod};
use hardway_proto::names;
use hardway_proto::quantity::Quantity;
use serde_json::Value;

const MODES: [&str; 4] = [
    "ReadOnlyMany",
    "ReadWriteMany",
    "ReadWriteOnce",
    "ReadWriteOncePod",
];
const RECLAIM: [&str; 3] = ["Delete", "Recycle", "Retain"];

fn access_modes(e: &mut Errors, path: &Path, spec: &Value) {
    let modes = list(spec, "accessModes");
    for mode in modes {
        let mode = mode.as_str().unwrap_or_default();
        if !MODES.contains(&mode) {
            e.not_supported(&path.child("accessModes"), mode, &MODES);
        }
    }
    let is_of_one_pod = |mode: &&Value| **mode == "ReadWriteOncePod";
    let known = || {
        modes
            .iter()
            .filter(|mode| MODES.iter().any(|known| *mode == known))
    };
    if known().any(|mode| is_of_one_pod(&mode)) && !known().all(|mode| is_of_one_pod(&mode)) {
        e.forbidden(
            &path.child("accessModes"),
            "may not use ReadWriteOncePod with other access modes",
        );
    }
}

/// Its class and how its volume is seen.
fn class_and_mode(e: &mut Errors, path: &Path, spec: &Value) {
    let class = text(spec, "storageClassName");
    if !class.is_empty() {
        e.each(
            &path.child("storageClassName"),
            class,
            names::is_dns1123_subdomain(class),
        );
    }
    let mode = get(spec, "volumeMode");
    e.one_of_if_set(&path.child("volumeMode"), mode, &["Block", "Filesystem"]);
}

/// More of something than nothing.
fn positive(e: &mut Errors, path: &Path, amount: &Value) {
    match Quantity::from_json(amount) {
        Ok(quantity) if quantity.sign() <= 0 => {
            e.invalid(path, amount, "must be greater than zero");
        }
        Ok(_) => {}
        Err(error) => e.invalid(path, amount, &error.to_string()),
    }
}

/// Sources of a volume, in the order in which Kubernetes looks at them.
const SOURCES: [&str; 22] = [
    "hostPath",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "glusterfs",
    "flocker",
    "nfs",
    "rbd",
    "quobyte",
    "cephfs",
    "iscsi",
    "cinder",
    "fc",
    "flexVolume",
    "azureFile",
    "vsphereVolume",
    "photonPersistentDisk",
    "portworxVolume",
    "azureDisk",
    "scaleIO",
    "local",
    "storageos",
    "csi",
];

/// Those that take options of the mount in an annotation, as they did before there was a
/// field (`pkg/volume/validation`).
const WITH_MOUNT_OPTIONS: [&str; 13] = [
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "glusterfs",
    "nfs",
    "rbd",
    "quobyte",
    "iscsi",
    "cinder",
    "cephfs",
    "azureFile",
    "vsphereVolume",
    "azureDisk",
    "photonPersistentDisk",
];
const MOUNT_OPTIONS: &str = "volume.beta.kubernetes.io/mount-options";

/// Checks a volume; values that no label can have may stay where an earlier version had some.
fn check_volume(e: &mut Errors, volume: &Value, old: Option<&Value>) {
    let (path, spec) = (Path::new("spec"), get(volume, "spec"));
    let required = |volume| get(get(get(volume, "spec"), "nodeAffinity"), "required");
    let any_values = old.is_some_and(|old| pod::has_invalid_values(required(old)));
    if list(spec, "accessModes").is_empty() {
        e.required(&path.child("accessModes"), "");
    }
    access_modes(e, &path, spec);
    let at = path.child("capacity");
    let capacity = get(spec, "capacity");
    if is_empty(capacity) {
        e.required(&at, "");
    }
    if !has(capacity, "storage") || entries(spec, "capacity").count() > 1 {
        e.not_supported(&at, capacity, &["storage"]);
    }
    for (name, amount) in entries(spec, "capacity") {
        let at = at.key(name);
        if let Ok(quantity) = Quantity::from_json(amount)
            && quantity.sign() < 0
        {
            e.invalid(&at, quantity.value(), "must be a valid resource quantity");
        }
        positive(e, &at, amount);
    }
    let policy = text(spec, "persistentVolumeReclaimPolicy");
    let policy_at = path.child("persistentVolumeReclaimPolicy");
    e.one_of(&policy_at, policy, &RECLAIM);
    let affinity = get(spec, "nodeAffinity");
    if !affinity.is_null() {
        let at = path.child("nodeAffinity.required");
        match get(affinity, "required") {
            Value::Null => e.required(&at, "must specify required node constraints"),
            required => pod::check_node_selector(e, &at, required, any_values),
        }
    }
    check_source(e, &path, volume);
    let place = text(get(spec, "hostPath"), "path");
    let is_root = !place.is_empty() && place.split('/').all(|part| ["", "."].contains(&part));
    if is_root && policy == "Recycle" {
        let detail = "may not be 'recycle' for a hostPath mount of '/'";
        e.forbidden(&policy_at, detail);
    }
    class_and_mode(e, &path, spec);
    let takes_options = WITH_MOUNT_OPTIONS.iter().any(|kind| has(spec, kind));
    let metadata = get(volume, "metadata");
    if !takes_options && has(get(metadata, "annotations"), MOUNT_OPTIONS) {
        e.forbidden(
            &Path::new("metadata.annotations").child(MOUNT_OPTIONS),
            "may not specify mount options for this volume type",
        );
    }
}

fn check_source(e: &mut Errors, path: &Path, volume: &Value) {
    let spec = get(volume, "spec");
    let bearer = Bearer::PersistentVolume(text(get(volume, "metadata"), "name"));
    volume_source::only(e, path, spec, &SOURCES, |e, kind, source| {
        let at = path.child(kind);
        match kind {
            "hostPath" => pod::host_path(e, &at, source),
            "local" => {
                match text(source, "path") {
                    "" => e.required(&at.child("path"), ""),
                    place => volume_source::no_steps_back(e, &at.child("path"), place),
                }
                if !has(spec, "nodeAffinity") {
                    e.required(
                        &path.child("nodeAffinity"),
                        "Local volume requires node affinity",
                    );
                }
            }
            "csi" => csi_volume(e, &at, source),
            kind => volume_source::check(e, path, bearer, kind, source),
        }
    });
}

fn csi_volume(e: &mut Errors, path: &Path, source: &Value) {
    volume_source::driver_name(e, &path.child("driver"), text(source, "driver"));
    if text(source, "volumeHandle").is_empty() {
        e.required(&path.child("volumeHandle"), "");
    }
    for field in [
        "controllerPublishSecretRef",
        "controllerExpandSecretRef",
        "nodePublishSecretRef",
        "nodeExpandSecretRef",
    ] {
        let secret = get(source, field);
        if secret.is_null() {
            continue;
        }
        let path = path.child(field);
        let (name, namespace) = (text(secret, "name"), text(secret, "namespace"));
        match name {
            "" => e.required(&path.child("name"), ""),
            _ => e.each(&path.child("name"), name, names::is_dns1123_subdomain(name)),
        }
        let at = path.child("namespace");
        match namespace {
            "" => e.required(&at, ""),
            _ => e.each(&at, namespace, names::is_dns1123_label(namespace)),
        }
    }
}

const OLD_CLASS: &str = "volume.beta.kubernetes.io/storage-class";

/// Warnings of a class named as it was done once.
fn old_class(warnings: &mut Vec<String>, object: &Value) {
    if has(get(get(object, "metadata"), "annotations"), OLD_CLASS) {
        warnings.push(format!(
            "metadata.annotations[{OLD_CLASS}]: deprecated since v1.8; use \"storageClassName\" attribute instead"
        ));
    }
}

fn volume_warnings(volume: &Value) -> Vec<String> {
    let mut warnings = Vec::new();
    old_class(&mut warnings, volume);
    let (path, spec) = (Path::new("spec"), get(volume, "spec"));
    if text(spec, "persistentVolumeReclaimPolicy") == "Recycle" {
        warnings.push("spec.persistentVolumeReclaimPolicy: The Recycle reclaim policy is deprecated. Instead, the recommended approach is to use dynamic provisioning.".to_owned());
    }
    let required = get(get(spec, "nodeAffinity"), "required");
    for (i, term) in list(required, "nodeSelectorTerms").iter().enumerate() {
        let at = path
            .child("nodeAffinity.required.nodeSelectorTerms")
            .index(i);
        node_labels::of_expressions(&mut warnings, &at, term, false);
    }
    for (kind, shown, since) in [
        ("cephfs", "cephfs", "v1.28, non-functional in v1.31+"),
        (
            "photonPersistentDisk",
            "photonPersistentDisk",
            "v1.11, non-functional in v1.16+",
        ),
        ("rbd", "rbd", "v1.28, non-functional in v1.31+"),
        ("scaleIO", "scaleIO", "v1.16, non-functional in v1.22+"),
        ("storageos", "storageOS", "v1.22, non-functional in v1.25+"),
        ("glusterfs", "glusterfs", "v1.25, non-functional in v1.26+"),
    ] {
        if has(spec, kind) {
            warnings.push(format!("{}: deprecated in {since}", path.child(shown)));
        }
    }
    warnings
}

pub(super) const VOLUME: Kind = Kind {
    warnings: |volume, _| volume_warnings(volume),
    status: r#"{"phase":"Pending"}"#,
    generation: false,
    default: |volume| {
        if let Some(spec) = object_mut(volume, "spec") {
            default_text(spec, "persistentVolumeReclaimPolicy", "Retain");
            set_default(spec, "volumeMode", "Filesystem");
            pod::canonical_map(spec, "capacity");
            for (kind, source) in spec.as_object_mut().into_iter().flatten() {
                volume_source::default(kind, source);
            }
        }
    },
    prepare_create: |volume| drop_attributes_class(volume, None),
    prepare_update: |new, old| drop_attributes_class(new, Some(old)),
    validate: |volume| Errors::collect(|e| check_volume(e, volume, None)),
    validate_again: Some(|new, old| Errors::collect(|e| check_volume(e, new, Some(old)))),
    validate_update: |new, old| {
        Errors::collect(|e| check_volume_update(e, get(new, "spec"), get(old, "spec")))
    },
    ..WITH_STATUS
};

/// What may change in a volume's spec.
fn check_volume_update(e: &mut Errors, new: &Value, old: &Value) {
    let sources = |spec: &Value| -> Vec<Value> {
        let mut sources: Vec<Value> = SOURCES.map(|kind| get(spec, kind).clone()).into();
        // The secret by which it is expanded may come later.
        let secret = "controllerExpandSecretRef";
        if !has(get(old, "csi"), secret)
            && let Some(csi) = sources.last_mut().filter(|csi| csi.is_object())
        {
            remove(csi, secret);
        }
        sources
    };
    if sources(new) != sources(old) {
        e.forbidden(
            &Path::new("spec.persistentvolumesource"),
            "spec.persistentvolumesource is immutable after creation",
        );
    }
    // Kubernetes tells of these without where they are.
    let field = "volumeMode";
    e.immutable(&Path::new(field), get(new, field), get(old, field));
    let field = "nodeAffinity";
    let (new, old) = (get(new, field), get(old, field));
    if !old.is_null() && !node_labels::are_equal_but_for_names(new, old) {
        let detail = "field is immutable, except for updating from beta label to GA";
        e.invalid(&Path::new(field), new, detail);
    }
}

/// The feature that uses it is off in Kubernetes 1.33 unless switched on: the field is left
/// out, unless the object had it before.
fn drop_attributes_class(new: &mut Value, old: Option<&Value>) {
    let field = "volumeAttributesClassName";
    if !old.is_some_and(|old| has(get(old, "spec"), field))
        && let Some(spec) = object_mut(new, "spec")
    {
        remove(spec, field);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::KindRules;
    use serde_json::json;

    #[test]
    fn volumes() {
        let mut volume =
            json!({"spec": {"accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"}}});
        VOLUME.default(&mut volume);
        assert_eq!(
            KindRules::validate(&VOLUME, &volume)[0].message,
            "Required value: must specify a volume type"
        );
        volume["spec"]["hostPath"] = json!({"path": "/data"});
        assert!(KindRules::validate(&VOLUME, &volume).is_empty());
    }
}
