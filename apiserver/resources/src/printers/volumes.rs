//! Volumes, claims, classes and drivers.

use super::Spec;
use super::cells::*;
use serde_json::Value;

pub fn spec(_group: &str, _version: &str, kind: &str) -> Option<Spec> {
    Some(match kind {
        "PersistentVolume" => (
            "Name|Capacity|Access Modes|Reclaim Policy|Status|Claim|StorageClass|VolumeAttributesClass|Reason|Age|VolumeMode+",
            volume,
        ),
        "PersistentVolumeClaim" => (
            "Name|Status|Volume|Capacity|Access Modes|StorageClass|VolumeAttributesClass|Age|VolumeMode+",
            claim,
        ),
        "StorageClass" => (
            "Name|Provisioner|ReclaimPolicy|VolumeBindingMode|AllowVolumeExpansion|Age",
            storage_class,
        ),
        "VolumeAttachment" => ("Name|Attacher|PV|Node|Attached:b|Age", |object| {
            let spec = &object["spec"];
            vec![
                name(object),
                spec["attacher"].clone().into(),
                text(&spec["source"]["persistentVolumeName"]).into(),
                spec["nodeName"].clone().into(),
                (object["status"]["attached"] == true).into(),
                age(object),
            ]
        }),
        "CSINode" => ("Name|Drivers:i|Age", |object| {
            let drivers = list(&object["spec"]["drivers"]).len();
            vec![name(object), drivers.into(), age(object)]
        }),
        "CSIDriver" => (
            "Name|AttachRequired:b|PodInfoOnMount:b|StorageCapacity:b|TokenRequests|RequiresRepublish:b|Modes|Age",
            driver,
        ),
        "CSIStorageCapacity" => ("Name|StorageClassName|Capacity", |object| {
            vec![
                name(object),
                object["storageClassName"].clone().into(),
                text_or(&object["capacity"], UNSET).into(),
            ]
        }),
        _ => return None,
    })
}

fn access_modes(modes: &Value) -> Cell {
    let short: Vec<&str> = list(modes)
        .iter()
        .map(|mode| match text(mode) {
            "ReadWriteOnce" => "RWO",
            "ReadOnlyMany" => "ROX",
            "ReadWriteMany" => "RWX",
            "ReadWriteOncePod" => "RWOP",
            other => other,
        })
        .collect();
    short.join(",").into()
}

fn phase(object: &Value) -> Cell {
    if object["metadata"]["deletionTimestamp"].is_null() {
        text(&object["status"]["phase"]).into()
    } else {
        "Terminating".into()
    }
}

fn class(object: &Value) -> Cell {
    let annotation = &object["metadata"]["annotations"]["volume.beta.kubernetes.io/storage-class"];
    text_or(annotation, text(&object["spec"]["storageClassName"])).into()
}

fn volume(object: &Value) -> Cells {
    let spec = &object["spec"];
    let claim = match text(&spec["claimRef"]["name"]) {
        "" => String::new(),
        name => format!("{}/{name}", text(&spec["claimRef"]["namespace"])),
    };
    vec![
        name(object),
        text(&spec["capacity"]["storage"]).into(),
        access_modes(&spec["accessModes"]),
        text(&spec["persistentVolumeReclaimPolicy"]).into(),
        phase(object),
        claim.into(),
        class(object),
        text_or(&spec["volumeAttributesClassName"], UNSET).into(),
        text(&object["status"]["reason"]).into(),
        age(object),
        text_or(&spec["volumeMode"], UNSET).into(),
    ]
}

fn claim(object: &Value) -> Cells {
    let (spec, status) = (&object["spec"], &object["status"]);
    let bound = !text(&spec["volumeName"]).is_empty();
    let capacity = if bound {
        text(&status["capacity"]["storage"])
    } else {
        ""
    };
    vec![
        name(object),
        phase(object),
        text(&spec["volumeName"]).into(),
        capacity.into(),
        if bound {
            access_modes(&status["accessModes"])
        } else {
            "".into()
        },
        class(object),
        text_or(&spec["volumeAttributesClassName"], UNSET).into(),
        age(object),
        text_or(&spec["volumeMode"], UNSET).into(),
    ]
}

fn storage_class(object: &Value) -> Cells {
    let annotations = &object["metadata"]["annotations"];
    let is_default = [
        "storageclass.kubernetes.io/is-default-class",
        "storageclass.beta.kubernetes.io/is-default-class",
    ]
    .iter()
    .any(|key| annotations[*key] == "true");
    let shown = text(&object["metadata"]["name"]);
    vec![
        if is_default {
            format!("{shown} (default)").into()
        } else {
            shown.into()
        },
        object["provisioner"].clone().into(),
        text_or(&object["reclaimPolicy"], "Delete").into(),
        text_or(&object["volumeBindingMode"], "Immediate").into(),
        (object["allowVolumeExpansion"] == true).into(),
        age(object),
    ]
}

fn driver(object: &Value) -> Cells {
    let spec = &object["spec"];
    let flag = |field: &str, default: bool| Cell::from(spec[field].as_bool().unwrap_or(default));
    let all = |items: &Value, show: fn(&Value) -> &str| {
        let texts: Vec<&str> = list(items).iter().map(show).collect();
        texts.join(",")
    };
    let tokens = match all(&spec["tokenRequests"], |request| text(&request["audience"])) {
        texts if texts.is_empty() => UNSET.to_owned(),
        texts => texts,
    };
    let modes = match all(&spec["volumeLifecycleModes"], text) {
        texts if texts.is_empty() => NONE.to_owned(),
        texts => texts,
    };
    vec![
        name(object),
        flag("attachRequired", true),
        flag("podInfoOnMount", false),
        flag("storageCapacity", false),
        tokens.into(),
        flag("requiresRepublish", false),
        modes.into(),
        age(object),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_bound_claim_and_a_default_class() {
        let cells = shown(claim(&json!({"metadata": {"name": "c"},
                "spec": {"volumeName": "pv1", "storageClassName": "fast", "volumeMode": "Filesystem"},
                "status": {"phase": "Bound", "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"]}})));
        assert_eq!(
            cells,
            [
                "c",
                "Bound",
                "pv1",
                "1Gi",
                "RWO",
                "fast",
                "<unset>",
                "<unknown>",
                "Filesystem"
            ]
        );
        let cells = shown(storage_class(
            &json!({"metadata": {"name": "s", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}}}),
        ));
        assert_eq!(cells[0], "s (default)");
    }
}
