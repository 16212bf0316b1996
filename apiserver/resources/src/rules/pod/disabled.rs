//! Fields that belong to features which are off in Kubernetes 1.33 unless switched on. They
//! are taken out, as there, but for specs that have them from before
//! (`DropDisabledPodFields` of `pkg/api/pod`).

use super::super::json::{get, has, is_empty, list, list_mut, object_mut, remove, set, text};
use super::containers;
use crate::rules::field::Path;
use serde_json::Value;
use std::collections::HashSet;

/// A pod's lists of containers.
const CONTAINERS: [&str; 3] = ["initContainers", "containers", "ephemeralContainers"];

/// Takes out of a spec what its earlier version, if there is one, hasn't.
pub fn drop_disabled(spec: &mut Value, old: &Value) {
    let pod_resources = get(old, "resources");
    if is_empty(get(pod_resources, "requests")) && is_empty(get(pod_resources, "limits")) {
        remove(spec, "resources");
    }
    if list(old, "resourceClaims").is_empty() {
        remove(spec, "resourceClaims");
        for_each_container(spec, |container| {
            if let Some(resources) = object_mut(container, "resources") {
                remove(resources, "claims");
            }
        });
    }
    drop_trust_bundles(spec, old);
    drop_stop_signals(spec, old);
    drop_image_volumes(spec, old);
}

fn for_each_container(spec: &mut Value, mut change: impl FnMut(&mut Value)) {
    for field in CONTAINERS {
        list_mut(spec, field).for_each(&mut change);
    }
}

/// `ClusterTrustBundleProjection`.
fn drop_trust_bundles(spec: &mut Value, old: &Value) {
    let volumes = list(old, "volumes").iter();
    let mut sources = volumes.flat_map(|volume| list(get(volume, "projected"), "sources"));
    if sources.any(|source| has(source, "clusterTrustBundle")) {
        return;
    }
    for volume in list_mut(spec, "volumes") {
        if let Some(projected) = object_mut(volume, "projected") {
            for source in list_mut(projected, "sources") {
                remove(source, "clusterTrustBundle");
            }
        }
    }
}

/// `ContainerStopSignals`. A lifecycle of nothing else is none.
fn drop_stop_signals(spec: &mut Value, old: &Value) {
    let has_signal = |container: &Value| has(get(container, "lifecycle"), "stopSignal");
    if containers::all(&Path::default(), old).any(|(_, container)| has_signal(container)) {
        return;
    }
    for_each_container(spec, |container| {
        if has_signal(container)
            && let Some(lifecycle) = object_mut(container, "lifecycle")
        {
            remove(lifecycle, "stopSignal");
            if is_empty(lifecycle) {
                remove(container, "lifecycle");
            }
        }
    });
}

/// `ImageVolume`: the volumes go, and what mounts them.
fn drop_image_volumes(spec: &mut Value, old: &Value) {
    let is_image = |volume: &&Value| has(volume, "image");
    if list(old, "volumes").iter().any(|volume| is_image(&volume)) {
        return;
    }
    let images: HashSet<String> = list(spec, "volumes")
        .iter()
        .filter(is_image)
        .map(|volume| text(volume, "name").to_owned())
        .collect();
    if images.is_empty() {
        return;
    }
    keep(spec, "volumes", |volume| !has(volume, "image"));
    for_each_container(spec, |container| {
        keep(container, "volumeMounts", |mount| {
            !images.contains(text(mount, "name"))
        });
    });
}

/// Keeps some of a list's elements; none of them are no list.
fn keep(bearer: &mut Value, field: &str, stays: impl Fn(&Value) -> bool) {
    if !has(bearer, field) {
        return;
    }
    let elements = list(bearer, field).iter();
    let kept: Vec<Value> = elements.filter(|element| stays(element)).cloned().collect();
    match kept.is_empty() {
        true => remove(bearer, field).map(drop),
        false => {
            set(bearer, field, kept);
            None
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn spec() -> Value {
        json!({
            "resources": {"limits": {"cpu": "1"}},
            "resourceClaims": [{"name": "gpu", "resourceClaimName": "gpu"}],
            "volumes": [
                {"name": "files", "image": {"reference": "files:1"}},
                {"name": "certificates", "projected": {"sources": [
                    {"clusterTrustBundle": {"name": "a", "path": "a"}},
                    {"secret": {"name": "s"}},
                ]}},
            ],
            "containers": [{
                "name": "web", "image": "web:1",
                "resources": {"limits": {"cpu": "1"}, "claims": [{"name": "gpu"}]},
                "volumeMounts": [
                    {"name": "files", "mountPath": "/f"},
                    {"name": "certificates", "mountPath": "/c"},
                ],
                "lifecycle": {"stopSignal": "SIGUSR1"},
            }],
            "initContainers": [{
                "name": "first", "image": "web:1",
                "volumeMounts": [{"name": "files", "mountPath": "/f"}],
                "lifecycle": {"stopSignal": "SIGUSR1", "preStop": {"exec": {"command": ["a"]}}},
            }],
        })
    }

    #[test]
    fn what_is_off_is_left_out() {
        let mut new = spec();
        drop_disabled(&mut new, &Value::Null);
        assert_eq!(
            new,
            json!({
                "volumes": [{"name": "certificates", "projected": {"sources": [
                    {}, {"secret": {"name": "s"}},
                ]}}],
                "containers": [{
                    "name": "web", "image": "web:1",
                    "resources": {"limits": {"cpu": "1"}},
                    "volumeMounts": [{"name": "certificates", "mountPath": "/c"}],
                }],
                "initContainers": [{
                    "name": "first", "image": "web:1",
                    "lifecycle": {"preStop": {"exec": {"command": ["a"]}}},
                }],
            })
        );
    }

    #[test]
    fn what_was_there_stays() {
        let mut new = spec();
        drop_disabled(&mut new, &spec());
        assert_eq!(new, spec());
    }
}
