//! Volumes and claims, and the storage.k8s.io kinds.

use super::field::{Errors, Path};
use super::json::{
    default_text, ensure_object, entries, get, has, is_empty, list, object_mut, set_default, text,
};
use super::kind::{Kind, PLAIN, WITH_STATUS};
use super::{labels, node_labels, pod};
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

/// Fields of a volume's spec that don't tell its type.
const NO_SOURCE: [&str; 9] = [
    "capacity",
    "accessModes",
    "claimRef",
    "persistentVolumeReclaimPolicy",
    "storageClassName",
    "mountOptions",
    "volumeMode",
    "nodeAffinity",
    "volumeAttributesClassName",
];

fn access_modes(e: &mut Errors, path: &Path, spec: &Value) {
    let modes = list(spec, "accessModes");
    if modes.is_empty() {
        e.required(
            &path.child("accessModes"),
            "at least 1 access mode is required",
        );
    }
    for mode in modes {
        let mode = mode.as_str().unwrap_or_default();
        if !MODES.contains(&mode) {
            e.not_supported(&path.child("accessModes"), mode, &MODES);
        }
    }
    if modes.len() > 1 && modes.iter().any(|m| m == "ReadWriteOncePod") {
        e.forbidden(
            &path.child("accessModes"),
            "may not use ReadWriteOncePod with other access modes",
        );
    }
    let mode = text(spec, "volumeMode");
    e.one_of(&path.child("volumeMode"), mode, &["Block", "Filesystem"]);
}

fn check_volume(e: &mut Errors, volume: &Value) {
    let (path, spec) = (Path::new("spec"), get(volume, "spec"));
    access_modes(e, &path, spec);
    if is_empty(get(spec, "capacity")) {
        e.required(&path.child("capacity"), "");
    } else if !has(get(spec, "capacity"), "storage") {
        e.not_supported(&path.child("capacity"), get(spec, "capacity"), &["storage"]);
    }
    for (name, amount) in entries(spec, "capacity") {
        let at = path.child("capacity").key(name);
        if let Some(quantity) = pod::check_quantity(e, &at, amount)
            && quantity.is_zero()
        {
            e.invalid(&at, amount, "must be greater than zero");
        }
    }
    e.one_of(
        &path.child("persistentVolumeReclaimPolicy"),
        text(spec, "persistentVolumeReclaimPolicy"),
        &RECLAIM,
    );
    let mut count = 0;
    for (kind, source) in spec.as_object().into_iter().flatten() {
        if NO_SOURCE.contains(&kind.as_str()) || source.is_null() {
            continue;
        }
        count += 1;
        if count > 1 {
            e.forbidden(&path.child(kind), "may not specify more than 1 volume type");
        } else if kind == "hostPath" {
            pod::host_path(e, &path.child(kind), source);
        } else if kind == "local" && !has(get(spec, "nodeAffinity"), "required") {
            e.required(
                &Path::new("metadata.annotations"),
                "Local volume requires node affinity",
            );
        }
    }
    if count == 0 {
        e.required(&path, "must specify a volume type");
    }
    if has(get(spec, "nodeAffinity"), "required") {
        let at = path.child("nodeAffinity.required");
        pod::check_node_selector(e, &at, get(get(spec, "nodeAffinity"), "required"));
    }
    let class = text(spec, "storageClassName");
    if !class.is_empty() {
        e.each(
            &path.child("storageClassName"),
            class,
            names::is_dns1123_subdomain(class),
        );
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

/// Warnings of a claim's spec, on its own, in a StatefulSet or in a pod.
pub(super) fn claim_warnings(warnings: &mut Vec<String>, path: &Path, spec: &Value) {
    let resources = get(spec, "resources");
    for kind in ["requests", "limits"] {
        let path = path.child("resources").child(kind).key("storage");
        pod::warnings::fraction(warnings, &path, get(get(resources, kind), "storage"));
    }
}

pub(super) const CAPACITY: Kind = Kind {
    warnings: |capacity, _| node_labels::of_capacity(capacity),
    ..PLAIN
};

pub(super) const VOLUME: Kind = Kind {
    warnings: |volume, _| volume_warnings(volume),
    status: r#"{"phase":"Pending"}"#,
    generation: false,
    default: |volume| {
        if let Some(spec) = object_mut(volume, "spec") {
            default_text(spec, "persistentVolumeReclaimPolicy", "Retain");
            default_text(spec, "volumeMode", "Filesystem");
            pod::canonical_map(spec, "capacity");
            if let Some(path) = object_mut(spec, "hostPath") {
                set_default(path, "type", "");
            }
        }
    },
    validate: |volume| Errors::collect(|e| check_volume(e, volume)),
    validate_update: |new, old| {
        Errors::collect(|e| {
            let (new, old) = (get(new, "spec"), get(old, "spec"));
            let sources = |spec: &Value| -> Vec<(String, Value)> {
                let fields = spec.as_object().into_iter().flatten();
                fields
                    .filter(|(k, v)| !NO_SOURCE.contains(&k.as_str()) && !v.is_null())
                    .map(|(k, v)| (k.clone(), v.clone()))
                    .collect()
            };
            if sources(new) != sources(old) {
                e.forbidden(
                    &Path::new("spec.persistentvolumesource"),
                    "spec.persistentvolumesource is immutable after creation",
                );
            }
            e.immutable(
                &Path::new("spec.volumeMode"),
                get(new, "volumeMode"),
                get(old, "volumeMode"),
            );
            if !is_empty(get(old, "nodeAffinity")) {
                e.immutable(
                    &Path::new("spec.nodeAffinity"),
                    get(new, "nodeAffinity"),
                    get(old, "nodeAffinity"),
                );
            }
        })
    },
    ..WITH_STATUS
};

/// Fills in a claim, on its own or in a StatefulSet.
pub(super) fn default_claim(claim: &mut Value) {
    if let Some(spec) = object_mut(claim, "spec") {
        default_text(spec, "volumeMode", "Filesystem");
        if let Some(resources) = ensure_object(spec, "resources") {
            pod::canonical_map(resources, "requests");
            pod::canonical_map(resources, "limits");
        }
    }
}

fn requested(claim: &Value) -> &Value {
    get(
        get(get(get(claim, "spec"), "resources"), "requests"),
        "storage",
    )
}

pub(super) const CLAIM: Kind = Kind {
    warnings: |claim, _| {
        let mut warnings = Vec::new();
        old_class(&mut warnings, claim);
        claim_warnings(&mut warnings, &Path::new("spec"), get(claim, "spec"));
        warnings
    },
    status: r#"{"phase":"Pending"}"#,
    generation: false,
    default: default_claim,
    validate: |claim| {
        Errors::collect(|e| {
            let (path, spec) = (Path::new("spec"), get(claim, "spec"));
            access_modes(e, &path, spec);
            labels::check_selector(e, &path.child("selector"), get(spec, "selector"));
            let storage = requested(claim);
            let at = path.child("resources").key("storage");
            if storage.is_null() {
                e.required(&at, "");
            } else if let Some(quantity) = pod::check_quantity(e, &at, storage)
                && quantity.is_zero()
            {
                e.invalid(&at, storage, "must be greater than zero");
            }
            let class = text(spec, "storageClassName");
            if !class.is_empty() {
                e.each(
                    &path.child("storageClassName"),
                    class,
                    names::is_dns1123_subdomain(class),
                );
            }
        })
    },
    validate_update: |new, old| {
        Errors::collect(|e| {
            let amount = |claim| Quantity::from_json(requested(claim)).unwrap_or_default();
            if amount(new) < amount(old) {
                e.forbidden(
                    &Path::new("spec.resources.requests.storage"),
                    "field can not be less than previous value",
                );
            }
            let bare = |claim: &Value| {
                let mut spec = get(claim, "spec").clone();
                for field in ["resources", "volumeAttributesClassName"] {
                    super::json::remove(&mut spec, field);
                }
                // A claim may be bound, and be given a class, once.
                for field in ["volumeName", "storageClassName"] {
                    if is_empty(get(get(old, "spec"), field)) {
                        super::json::remove(&mut spec, field);
                    }
                }
                spec
            };
            if bare(new) != bare(old) {
                e.forbidden(&Path::new("spec"), "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims");
            }
        })
    },
    ..WITH_STATUS
};

pub(super) const STORAGE_CLASS: Kind = Kind {
    warnings: |class, _| node_labels::of_storage_class(class),
    default: |class| {
        default_text(class, "reclaimPolicy", "Delete");
        default_text(class, "volumeBindingMode", "Immediate");
    },
    validate: |class| {
        Errors::collect(|e| {
            if text(class, "provisioner").is_empty() {
                e.required(&Path::new("provisioner"), "");
            }
            e.one_of(
                &Path::new("reclaimPolicy"),
                text(class, "reclaimPolicy"),
                &["Delete", "Retain"],
            );
            e.one_of(
                &Path::new("volumeBindingMode"),
                text(class, "volumeBindingMode"),
                &["Immediate", "WaitForFirstConsumer"],
            );
        })
    },
    validate_update: |new, old| {
        Errors::collect(|e| {
            for field in ["parameters", "provisioner", "reclaimPolicy"] {
                if get(new, field) != get(old, field) {
                    let detail = format!("updates to {field} are forbidden.");
                    e.forbidden(&Path::new(field), &detail);
                }
            }
            let field = "volumeBindingMode";
            e.immutable(&Path::new(field), get(new, field), get(old, field));
        })
    },
    ..PLAIN
};

pub(super) const CSI_DRIVER: Kind = Kind {
    generation: true,
    default: |driver| {
        if let Some(spec) = ensure_object(driver, "spec") {
            set_default(spec, "attachRequired", true);
            set_default(spec, "podInfoOnMount", false);
            set_default(spec, "storageCapacity", false);
            default_text(spec, "fsGroupPolicy", "ReadWriteOnceWithFSType");
            if is_empty(get(spec, "volumeLifecycleModes")) {
                super::json::set(spec, "volumeLifecycleModes", vec!["Persistent"]);
            }
            set_default(spec, "requiresRepublish", false);
            set_default(spec, "seLinuxMount", false);
        }
    },
    validate_update: |new, old| {
        Errors::collect(|e| {
            for field in ["attachRequired", "volumeLifecycleModes"] {
                let path = Path::new("spec").child(field);
                e.immutable(
                    &path,
                    get(get(new, "spec"), field),
                    get(get(old, "spec"), field),
                );
            }
        })
    },
    ..PLAIN
};

pub(super) const ATTACHMENT: Kind = Kind {
    status: r#"{"attached":false}"#,
    generation: false,
    validate: |attachment| {
        Errors::collect(|e| {
            let spec = get(attachment, "spec");
            for field in ["attacher", "nodeName"] {
                if text(spec, field).is_empty() {
                    e.required(&Path::new("spec").child(field), "");
                }
            }
        })
    },
    validate_update: |new, old| {
        Errors::collect(|e| {
            e.immutable(&Path::new("spec"), get(new, "spec"), get(old, "spec"));
        })
    },
    ..WITH_STATUS
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::KindRules;
    use serde_json::json;

    #[test]
    fn claims() {
        let mut claim = json!({"spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "0.5Gi"}}}});
        CLAIM.default(&mut claim);
        assert_eq!(claim["spec"]["resources"]["requests"]["storage"], "512Mi");
        assert!(KindRules::validate(&CLAIM, &claim).is_empty());
        let mut bound = claim.clone();
        bound["spec"]["volumeName"] = json!("pv1");
        assert!(KindRules::validate_update(&CLAIM, &bound, &claim).is_empty());
        assert_eq!(
            KindRules::validate_update(&CLAIM, &claim, &bound)[0].field,
            "spec"
        );
        let found = KindRules::validate(&CLAIM, &json!({"spec": {}}));
        assert_eq!(
            found[0].message,
            "Required value: at least 1 access mode is required"
        );
        assert_eq!(found[1].field, "spec.resources[storage]");
    }

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
