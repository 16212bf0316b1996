//! Where containers see volumes: as files, or as devices.

use super::super::field::{Errors, Path};
use super::super::json::{flag, get, has, list, text};
use super::super::volume_source::relative;
use super::volumes::Volumes;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// A container's `volumeMounts` and `volumeDevices`.
pub fn check(e: &mut Errors, path: &Path, container: &Value, volumes: &Volumes) {
    mounts(e, &path.child("volumeMounts"), container, volumes);
    devices(e, &path.child("volumeDevices"), container, volumes);
}

/// Where volumes are seen, by their name.
fn places<'a>(container: &'a Value, list_field: &str, place: &str) -> BTreeMap<&'a str, &'a str> {
    let entries = list(container, list_field).iter();
    entries
        .map(|entry| (text(entry, "name"), text(entry, place)))
        .collect()
}

/// Kubernetes tells of some fields without the mount they are in: these are `whole`'s.
fn mounts(e: &mut Errors, whole: &Path, container: &Value, volumes: &Volumes) {
    let devices = places(container, "volumeDevices", "devicePath");
    let privileged = flag(get(container, "securityContext"), "privileged");
    let mut seen = BTreeSet::new();
    for (i, mount) in list(container, "volumeMounts").iter().enumerate() {
        let path = whole.index(i);
        let (name, place) = (text(mount, "name"), text(mount, "mountPath"));
        let (at_name, at_place) = (path.child("name"), path.child("mountPath"));
        if name.is_empty() {
            e.required(&at_name, "");
        }
        let volume = volumes.get(name).copied();
        if volume.is_none() {
            e.not_found(&at_name, name);
        }
        if place.is_empty() {
            e.required(&at_place, "");
        }
        if !seen.insert(place) {
            e.invalid(&at_place, place, "must be unique");
        }
        if devices.contains_key(name) {
            e.invalid(&at_name, name, "must not already exist in volumeDevices");
        }
        if devices.values().any(|device| *device == place) {
            let detail = "must not already exist as a path in volumeDevices";
            e.invalid(&at_place, place, detail);
        }
        let is_image = volume.is_some_and(|volume| has(volume, "image"));
        for field in ["subPath", "subPathExpr"] {
            let part = text(mount, field);
            if is_image && !part.is_empty() {
                e.invalid(
                    &path.child(field),
                    part,
                    "not allowed in image volume sources",
                );
            }
        }
        sub_path(e, whole, &path, mount);
        let at = whole.child("mountPropagation");
        if let Some(propagation) = get(mount, "mountPropagation").as_str() {
            check_propagation(e, &at, propagation, privileged);
        }
        read_only(e, &whole.child("recursiveReadOnly"), mount);
    }
}

fn sub_path(e: &mut Errors, whole: &Path, path: &Path, mount: &Value) {
    let (part, expression) = (text(mount, "subPath"), text(mount, "subPathExpr"));
    relative(e, &whole.child("subPath"), part);
    if !part.is_empty() && !expression.is_empty() {
        let detail = "subPathExpr and subPath are mutually exclusive";
        e.invalid(&path.child("subPathExpr"), expression, detail);
    }
    relative(e, &whole.child("subPathExpr"), expression);
}

fn check_propagation(e: &mut Errors, path: &Path, propagation: &str, privileged: bool) {
    let known = ["Bidirectional", "HostToContainer", "None"];
    if !known.contains(&propagation) {
        e.not_supported(path, propagation, &known);
    }
    if propagation == "Bidirectional" && !privileged {
        e.forbidden(
            path,
            "Bidirectional mount propagation is available only to privileged containers",
        );
    }
}

/// Whether what is mounted below a volume can't be written either.
fn read_only(e: &mut Errors, path: &Path, mount: &Value) {
    match get(mount, "recursiveReadOnly").as_str() {
        None | Some("Disabled") => {}
        Some("Enabled" | "IfPossible") => {
            if !flag(mount, "readOnly") {
                e.forbidden(path, "may only be specified when readOnly is true");
            }
            let propagation = get(mount, "mountPropagation").as_str();
            if propagation.is_some_and(|propagation| propagation != "None") {
                let detail = "may only be specified when mountPropagation is None or not specified";
                e.forbidden(path, detail);
            }
        }
        Some(other) => e.not_supported(path, other, &["Disabled", "Enabled", "IfPossible"]),
    }
}

fn devices(e: &mut Errors, whole: &Path, container: &Value, volumes: &Volumes) {
    let mounts = places(container, "volumeMounts", "mountPath");
    let (mut names, mut seen) = (BTreeSet::new(), BTreeSet::new());
    for (i, device) in list(container, "volumeDevices").iter().enumerate() {
        let path = whole.index(i);
        let (name, place) = (text(device, "name"), text(device, "devicePath"));
        let (at_name, at_place) = (path.child("name"), path.child("devicePath"));
        if name.is_empty() {
            e.required(&at_name, "");
        } else if !names.insert(name) {
            e.invalid(&at_name, name, "must be unique");
        }
        match volumes.get(name) {
            None => e.not_found(&at_name, name),
            Some(volume) if has(volume, "persistentVolumeClaim") || has(volume, "ephemeral") => {}
            Some(_) => e.invalid(
                &at_name,
                name,
                "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode",
            ),
        }
        if place.is_empty() {
            e.required(&at_place, "");
        }
        if seen.contains(place) {
            e.invalid(&at_place, place, "must be unique");
        }
        if place.split('/').any(|part| part == "..") {
            let detail = "can not contain backsteps ('..')";
            e.invalid(&at_place, place, detail);
        } else {
            seen.insert(place);
        }
        if mounts.contains_key(name) {
            e.invalid(&at_name, name, "must not already exist in volumeMounts");
        }
        if mounts.values().any(|mount| *mount == place) {
            let detail = "must not already exist as a path in volumeMounts";
            e.invalid(&at_place, place, detail);
        }
    }
}
