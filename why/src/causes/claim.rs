//! A claim that gets no volume, or has lost it.

use hardway_proto::quantity::Quantity;

use crate::causes::{Cause, lasts};
use crate::cluster::Cluster;
use crate::finding::Finding;
use crate::object::{Json, Object};
use crate::relations::waits_for_consumer;
use crate::words::{near, one_line};

pub(super) const CAUSE: Cause = Cause {
    name: "claim",
    about: "a claim that is not bound: no class, no provisioner, no volume that fits, or no pod yet",
    kinds: &["PersistentVolumeClaim"],
    reads: &[
        "StorageClass",
        "PersistentVolume",
        "CSIDriver",
        "Pod",
        "Event",
    ],
    find,
};

const DEFAULT: &str = "storageclass.kubernetes.io/is-default-class";
/// The provisioner of classes whose volumes are made by hand.
const BY_HAND: &str = "kubernetes.io/no-provisioner";
/// A provisioner needs a while.
const PATIENCE: i64 = 20;

fn find<'a>(cluster: &Cluster<'a>, claim: &Object<'a>) -> Vec<Finding> {
    let found = match claim.value.text("/status/phase") {
        Some("Lost") => Some(lost(claim)),
        Some("Pending") => pending(cluster, claim),
        _ => None,
    };
    found
        .map(|it| it.since(claim.created()))
        .into_iter()
        .collect()
}

fn lost(claim: &Object<'_>) -> Finding {
    let volume = claim.value.text("/spec/volumeName").unwrap_or_default();
    Finding::error(format!("has lost its volume {volume}"))
        .says([claim.field("/status/phase", "Lost")])
        .advise("bring the PersistentVolume back, or delete the claim and restore from a copy")
}

fn pending<'a>(cluster: &Cluster<'a>, claim: &Object<'a>) -> Option<Finding> {
    let phase = claim.field("/status/phase", "Pending");
    let event = cluster.event(
        claim,
        &[
            "ProvisioningFailed",
            "FailedBinding",
            "ExternalProvisioning",
        ],
    );
    let told = event.map(|it| it.evidence());
    if let Some(volume) = claim.value.text("/spec/volumeName") {
        return Some(named(cluster, claim, volume).says([phase]).says(told));
    }
    // An empty text, unlike none, asks for volumes without a class.
    let class = claim
        .value
        .pointer("/spec/storageClassName")
        .and_then(|it| it.as_str());
    let Some(name) = class else {
        return Some(no_class(cluster, claim).says([phase]).says(told));
    };
    if name.is_empty() {
        return Some(by_hand(cluster, claim, "").says([phase]).says(told));
    }
    if !cluster.can_read("StorageClass") {
        let said = event.map_or_else(String::new, |it| format!(": {}", one_line(it.message)));
        return Some(
            Finding::error(format!("is not bound{said}"))
                .says([phase])
                .says(told),
        );
    }
    let Some(class) = cluster.get("StorageClass", "", name) else {
        let others = cluster.all("StorageClass").iter().map(Object::name);
        let names: Vec<&str> = others.clone().collect();
        let meant = match near(name, others).first() {
            Some(near) => format!("; there is {near}"),
            None if names.is_empty() => "; there are no classes at all".to_owned(),
            None => format!("; there is {}", names.join(", ")),
        };
        let finding = Finding::error(format!("its storage class {name} is not there{meant}"))
            .says([claim.field("/spec/storageClassName", name), phase])
            .says(told)
            .run("name a class that is there (a claim can't be changed: make it anew), or make the class", "kubectl get storageclass");
        return Some(finding);
    };
    if waits_for_consumer(cluster, claim) {
        return Some(waits(cluster, claim, &class).says([phase]).says(told));
    }
    let provisioner = class.value.text("/provisioner").unwrap_or_default();
    if provisioner == BY_HAND {
        return Some(by_hand(cluster, claim, name).says([phase]).says(told));
    }
    let failed = cluster.event(claim, &["ProvisioningFailed"]);
    if failed.is_none() && !lasts(cluster, claim.created(), PATIENCE) {
        return None;
    }
    let summary = match failed {
        Some(event) => format!(
            "its provisioner {provisioner} fails: {}",
            one_line(event.message)
        ),
        None => format!("its provisioner {provisioner} has not made a volume"),
    };
    let driver =
        cluster.can_read("CSIDriver") && cluster.get("CSIDriver", "", provisioner).is_none();
    let says = class.field(
        "/provisioner",
        match driver {
            true => format!("{provisioner}; there is no CSIDriver of this name"),
            false => provisioner.to_owned(),
        },
    );
    let finding = Finding::error(summary)
        .key(provisioner)
        .says([claim.field("/spec/storageClassName", name), says, phase])
        .says(told)
        .run(
            "see that the provisioner runs",
            "kubectl get pods -A -o wide",
        )
        .run("and what it says of the claim", claim.kubectl("describe"));
    Some(finding)
}

/// Who waits for a pod is explained while there is none, and follows the pod's fate after.
fn waits<'a>(cluster: &Cluster<'a>, claim: &Object<'a>, class: &Object<'a>) -> Finding {
    let users = crate::relations::below(cluster, claim);
    let mode = class.field("/volumeBindingMode", "WaitForFirstConsumer");
    match users.first() {
        None => Finding::info("is bound once a pod uses it; none does yet")
            .says([mode])
            .advise("start a pod that uses it"),
        Some(pod) => Finding::info(format!("is bound once {} is scheduled", pod.subject()))
            .symptom()
            .says([mode])
            .run(
                "see why the pod isn't",
                format!("hardway why {}{}", pod.subject(), pod.flag()),
            ),
    }
}

fn no_class<'a>(cluster: &Cluster<'a>, claim: &Object<'a>) -> Finding {
    let classes = cluster.all("StorageClass");
    let default = classes
        .iter()
        .find(|it| it.annotation(DEFAULT) == Some("true"));
    match default {
        Some(class) => Finding::error(format!(
            "names no storage class, and was made before {} was the default",
            class.name()
        ))
        .says([claim.field("/spec/storageClassName", "none")])
        .advise("make the claim anew: it then gets the default class"),
        None => {
            let names: Vec<&str> = classes.iter().map(Object::name).collect();
            let there = match names.as_slice() {
                [] => "there are no classes".to_owned(),
                names => format!("none of {} is the default", names.join(", ")),
            };
            let fits = volumes(cluster, claim, "");
            let finding = Finding::error(format!("names no storage class, and {there}"))
                .says([claim.field("/spec/storageClassName", "none")])
                .says(fits);
            match names.first() {
                Some(name) => finding.run(
                    "make a class the default",
                    format!("kubectl annotate storageclass {name} {DEFAULT}=true"),
                ),
                None => finding.run(
                    "have something provide volumes",
                    "hardway addons enable local-path",
                ),
            }
        }
    }
}

fn by_hand<'a>(cluster: &Cluster<'a>, claim: &Object<'a>, class: &str) -> Finding {
    let why_not = volumes(cluster, claim, class);
    let of = match class {
        "" => "without a class".to_owned(),
        class => format!("of the class {class}, for which nothing makes any"),
    };
    let summary = match why_not.len() {
        0 => format!("asks for a volume {of}, and there is none"),
        n => format!("asks for a volume {of}, and none of {n} fits"),
    };
    Finding::error(summary)
        .says([claim.field(
            "/spec/storageClassName",
            if class.is_empty() { "\"\"" } else { class },
        )])
        .says(why_not)
        .advise("make a PersistentVolume that fits, or name a class with a provisioner")
}

/// What each volume of a class has against a claim.
fn volumes<'a>(
    cluster: &Cluster<'a>,
    claim: &Object<'a>,
    class: &str,
) -> Vec<crate::diagnosis::Evidence> {
    let volumes = cluster.all("PersistentVolume").iter();
    volumes
        .filter(|it| it.value.text("/spec/storageClassName").unwrap_or_default() == class)
        .filter_map(|it| Some(it.compared(unfit(claim, it)?)))
        .take(8)
        .collect()
}

fn unfit(claim: &Object<'_>, volume: &Object<'_>) -> Option<String> {
    let amount = |object: &Object<'_>, pointer: &str| {
        let value = object.value.pointer(pointer)?;
        Quantity::from_json(value).ok()
    };
    let bound = volume.value.text("/spec/claimRef/name");
    let own = bound == Some(claim.name())
        && volume.value.text("/spec/claimRef/namespace") == Some(claim.namespace());
    match volume.value.text("/status/phase") {
        Some("Released") => {
            return Some("Released: it still names its last claim (spec.claimRef)".to_owned());
        }
        Some("Failed") => return Some("Failed: its storage could not be reclaimed".to_owned()),
        _ => {}
    }
    if let Some(bound) = bound.filter(|_| !own) {
        return Some(format!("belongs to pvc/{bound}"));
    }
    let has = amount(volume, "/spec/capacity/storage").unwrap_or_default();
    let asks = amount(claim, "/spec/resources/requests/storage").unwrap_or_default();
    if has < asks {
        return Some(format!("too small: {has}, {asks} asked for"));
    }
    let modes = volume.value.list("/spec/accessModes");
    let lacks: Vec<&str> = claim
        .value
        .list("/spec/accessModes")
        .iter()
        .filter(|it| !modes.contains(it))
        .filter_map(|it| it.as_str())
        .collect();
    if !lacks.is_empty() {
        return Some(format!(
            "does not offer the access mode {}",
            lacks.join(", ")
        ));
    }
    let mode = |object: &Object<'_>| {
        object
            .value
            .text("/spec/volumeMode")
            .unwrap_or("Filesystem")
            .to_owned()
    };
    if mode(volume) != mode(claim) {
        return Some(format!(
            "is of the mode {}, {} asked for",
            mode(volume),
            mode(claim)
        ));
    }
    let selector = claim.value.pointer("/spec/selector")?;
    let selector = hardway_proto::labels::Selector::from_json(selector).ok()?;
    (!selector.matches_with(|key| volume.label(key)))
        .then(|| "the claim's selector does not select it".to_owned())
}

/// A claim that names its volume.
fn named<'a>(cluster: &Cluster<'a>, claim: &Object<'a>, name: &str) -> Finding {
    let asks = claim.field("/spec/volumeName", name);
    let volume = cluster.get("PersistentVolume", "", name);
    let summary = match volume {
        None if cluster.can_read("PersistentVolume") => {
            format!("names the volume {name}, which is not there")
        }
        None => format!("waits for the volume {name}"),
        Some(volume) => match unfit(claim, &volume) {
            Some(why) => format!("names the volume {name}, which does not fit: {why}"),
            None => format!("waits for the volume {name} to be bound"),
        },
    };
    Finding::error(summary)
        .says([asks])
        .run("see the volume", format!("kubectl describe pv {name}"))
}

#[cfg(test)]
mod tests {
    use crate::fixtures::{ask, event, found, one, says};
    use serde_json::{Value, json};

    fn claim(spec: Value) -> (&'static str, Value) {
        let mut spec = spec;
        spec["resources"] = json!({"requests": {"storage": "5Gi"}});
        spec["accessModes"] = json!(["ReadWriteOnce"]);
        let value = json!({"metadata": {"name": "data", "namespace": "default", "creationTimestamp": "2025-01-01T00:00:00Z"},
            "spec": spec, "status": {"phase": "Pending"}});
        ("PersistentVolumeClaim", value)
    }

    fn class(name: &str, mode: &str, provisioner: &str) -> (&'static str, Value) {
        let value = json!({"metadata": {"name": name}, "provisioner": provisioner, "volumeBindingMode": mode});
        ("StorageClass", value)
    }

    fn volume(size: &str, mode: &str, phase: &str) -> (&'static str, Value) {
        let value = json!({"metadata": {"name": format!("pv-{size}-{mode}").to_lowercase()}, "spec":
            {"capacity": {"storage": size}, "accessModes": [mode]}, "status": {"phase": phase}});
        ("PersistentVolume", value)
    }

    #[test]
    fn classes_that_are_missing_are_told() {
        let none = event(
            "PersistentVolumeClaim",
            "data",
            "FailedBinding",
            "no persistent volumes available for this claim and no storage class is set",
        );
        let told = one(&[claim(json!({})), class("local", "Immediate", "x"), none]);
        assert_eq!(
            told.summary,
            "names no storage class, and none of local is the default"
        );
        says(&told, "no persistent volumes available for this claim");
        assert_eq!(
            told.remedies[0].command.as_deref(),
            Some(
                "kubectl annotate storageclass local storageclass.kubernetes.io/is-default-class=true"
            )
        );
        let told = one(&[
            claim(json!({"storageClassName": "fst"})),
            class("fast", "Immediate", "x"),
        ]);
        assert_eq!(
            told.summary,
            "its storage class fst is not there; there is fast"
        );
    }

    #[test]
    fn provisioners_and_volumes_that_do_not_fit_are_told() {
        let told = one(&[
            claim(json!({"storageClassName": "fast"})),
            class("fast", "Immediate", "csi.example.com"),
        ]);
        assert_eq!(
            told.summary,
            "its provisioner csi.example.com has not made a volume"
        );
        says(&told, "there is no CSIDriver of this name");
        let told = one(&[
            claim(json!({"storageClassName": ""})),
            volume("1Gi", "ReadWriteOnce", "Available"),
            volume("9Gi", "ReadOnlyMany", "Available"),
            volume("8Gi", "ReadWriteOnce", "Released"),
        ]);
        assert_eq!(
            told.summary,
            "asks for a volume without a class, and none of 3 fits"
        );
        says(&told, "too small: 1Gi, 5Gi asked for");
        says(&told, "does not offer the access mode ReadWriteOnce");
        says(&told, "Released: it still names its last claim");
    }

    #[test]
    fn who_waits_for_a_pod_is_explained() {
        let objects = [
            claim(json!({"storageClassName": "late"})),
            class("late", "WaitForFirstConsumer", "x"),
        ];
        assert_eq!(found(&objects), []);
        let told = ask(&objects, "PersistentVolumeClaim", "data");
        assert_eq!(told.summary, "is bound once a pod uses it; none does yet");
    }
}
