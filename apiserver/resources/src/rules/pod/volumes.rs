//! Volumes of a pod.

use super::super::field::{Errors, Path};
use super::super::json::{get, has, int, list, text};
use super::super::volume_source::{self, Bearer, no_steps_back, relative};
use super::super::{labels, meta, storage};
use super::env;
use super::options::Options;
use hardway_proto::names;
use hardway_proto::quantity::Quantity;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Types of volumes, in the order in which Kubernetes looks at them.
const SOURCES: [&str; 30] = [
    "emptyDir",
    "hostPath",
    "gitRepo",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "secret",
    "nfs",
    "iscsi",
    "glusterfs",
    "flocker",
    "persistentVolumeClaim",
    "rbd",
    "cinder",
    "cephfs",
    "quobyte",
    "downwardAPI",
    "fc",
    "flexVolume",
    "configMap",
    "azureFile",
    "vsphereVolume",
    "photonPersistentDisk",
    "portworxVolume",
    "azureDisk",
    "storageos",
    "projected",
    "scaleIO",
    "csi",
    "ephemeral",
    "image",
];

/// Volumes without a fault, by their name.
pub type Volumes<'a> = BTreeMap<&'a str, &'a Value>;

/// A pod's `volumes`; returns those that containers can mount.
pub fn check<'a>(
    e: &mut Errors,
    path: &Path,
    volumes: &'a [Value],
    options: Options,
) -> Volumes<'a> {
    let pod = options.pod.map_or("", |metadata| text(metadata, "name"));
    let ephemeral = volumes.iter().filter(|volume| has(volume, "ephemeral"));
    // What is made for the pod, once it has its name.
    let made: BTreeSet<String> = ephemeral
        .filter(|_| !pod.is_empty())
        .map(|volume| format!("{pod}-{}", text(volume, "name")))
        .collect();
    let mut good = Volumes::new();
    for (i, volume) in volumes.iter().enumerate() {
        let path = path.index(i);
        let (at, name) = (path.child("name"), text(volume, "name"));
        let found = Errors::collect(|e| {
            check_source(e, &path, volume, options);
            match name {
                "" => e.required(&at, ""),
                _ => e.each(&at, name, names::is_dns1123_label(name)),
            }
            if good.contains_key(name) {
                e.duplicate(&at, name);
            }
        });
        if found.is_empty() {
            good.insert(name, volume);
        }
        e.extend(found);
        let claim = text(get(volume, "persistentVolumeClaim"), "claimName");
        if made.contains(claim) {
            let detail = "must not reference a PVC that gets created for an ephemeral volume";
            e.invalid(
                &path.child("persistentVolumeClaim.claimName"),
                claim,
                detail,
            );
        }
    }
    good
}

fn check_source(e: &mut Errors, path: &Path, volume: &Value, options: Options) {
    let name = text(volume, "name");
    volume_source::only(e, path, volume, &SOURCES, |e, kind, source| {
        let at = path.child(kind);
        match kind {
            "emptyDir" => {
                let limit = Quantity::from_json(get(source, "sizeLimit"));
                if limit.is_ok_and(|limit| limit.sign() < 0) {
                    let detail = "SizeLimit field must be a valid resource quantity";
                    e.forbidden(&at.child("sizeLimit"), detail);
                }
            }
            "hostPath" => host_path(e, &at, source),
            "configMap" => keyed(e, &at, source, "name"),
            "secret" => keyed(e, &at, source, "secretName"),
            "downwardAPI" => downward(e, &at, source),
            "projected" => projected(e, &at, source, options),
            "persistentVolumeClaim" => need(e, &at, source, &["claimName"]),
            "csi" => csi(e, &at, source),
            "ephemeral" => {
                ephemeral(e, &at.child("volumeClaimTemplate"), source);
                let pod = options.pod.map_or("", |metadata| text(metadata, "name"));
                claim_name(e, &path.child("name"), pod, name);
            }
            "image" => image(e, &at, source, options),
            kind => volume_source::check(e, path, Bearer::Pod(name), kind, source),
        }
    });
}

fn csi(e: &mut Errors, path: &Path, source: &Value) {
    volume_source::driver_name(e, &path.child("driver"), text(source, "driver"));
    let secret = get(source, "nodePublishSecretRef");
    match text(secret, "name") {
        _ if secret.is_null() => {}
        "" => e.required(&path.child("nodePublishSecretRef.name"), ""),
        // As Kubernetes names it.
        name => e.each(&path.child("name"), name, names::is_dns1123_subdomain(name)),
    }
}

/// The claim that is made for the pod: of its metadata there are labels and annotations.
fn ephemeral(e: &mut Errors, path: &Path, source: &Value) {
    let claim = get(source, "volumeClaimTemplate");
    if claim.is_null() {
        return e.required(path, "");
    }
    let (at, metadata) = (path.child("metadata"), get(claim, "metadata"));
    meta::annotations(e, &at.child("annotations"), metadata);
    labels::check(e, &at.child("labels"), get(metadata, "labels"));
    for (field, shown) in [
        ("name", "name"),
        ("generateName", "generateName"),
        ("namespace", "namespace"),
        ("selfLink", "selfLink"),
        // As Kubernetes names it.
        ("uid", "uID"),
        ("resourceVersion", "resourceVersion"),
        ("generation", "generation"),
        ("creationTimestamp", "creationTimestamp"),
        ("deletionTimestamp", "deletionTimestamp"),
        ("deletionGracePeriodSeconds", "deletionGracePeriodSeconds"),
        ("ownerReferences", "ownerReferences"),
        ("finalizers", "finalizers"),
        ("managedFields", "managedFields"),
    ] {
        let value = get(metadata, field);
        if !value.is_null() && value != "" && value != 0 {
            e.forbidden(&at.child(shown), "cannot be set");
        }
    }
    storage::check_claim(e, &path.child("spec"), get(claim, "spec"));
}

/// The name of the claim that is made for a volume of a pod.
fn claim_name(e: &mut Errors, path: &Path, pod: &str, volume: &str) {
    if pod.is_empty() || volume.is_empty() {
        return;
    }
    let name = format!("{pod}-{volume}");
    for problem in names::is_dns1123_subdomain(&name) {
        e.invalid(path, volume, &format!("PVC name {name:?}: {problem}"));
    }
}

/// The reference of a template's may come later.
fn image(e: &mut Errors, path: &Path, source: &Value, options: Options) {
    if options.pod.is_some() {
        need(e, path, source, &["reference"]);
    }
    let policies = ["Always", "IfNotPresent", "Never"];
    let policy = text(source, "pullPolicy");
    e.one_of(&path.child("pullPolicy"), policy, &policies);
}

fn need(e: &mut Errors, path: &Path, source: &Value, fields: &[&str]) {
    for field in fields.iter().filter(|f| text(source, f).is_empty()) {
        e.required(&path.child(field), "");
    }
}

/// A path on the host: there, and without `..`.
pub fn host_path(e: &mut Errors, path: &Path, source: &Value) {
    let place = text(source, "path");
    if place.is_empty() {
        return e.required(&path.child("path"), "");
    }
    no_steps_back(e, &path.child("path"), place);
    let kinds = [
        "",
        "BlockDevice",
        "CharDevice",
        "Directory",
        "DirectoryOrCreate",
        "File",
        "FileOrCreate",
        "Socket",
    ];
    e.one_of(&path.child("type"), text(source, "type"), &kinds);
}

fn mode(e: &mut Errors, path: &Path, mode: Option<i64>) {
    if let Some(mode) = mode.filter(|m| !(0..=0o777).contains(m)) {
        e.invalid(
            path,
            mode,
            "must be a number between 0 and 0777 (octal), both inclusive",
        );
    }
}

fn keyed(e: &mut Errors, path: &Path, source: &Value, name: &str) {
    need(e, path, source, &[name]);
    mode(e, &path.child("defaultMode"), int(source, "defaultMode"));
    env::check_items(e, &path.child("items"), list(source, "items"));
}

/// The file an item is projected to, by its path.
fn check_place(e: &mut Errors, path: &Path, item: &Value) {
    match text(item, "path") {
        "" => e.required(&path.child("path"), ""),
        place => check_file_name(e, &path.child("path"), place),
    }
}

/// A path within a volume that doesn't begin as the kubelet's own files there do.
fn check_file_name(e: &mut Errors, path: &Path, place: &str) {
    relative(e, path, place);
    // The check above tells of the others.
    if place.starts_with("..") && !place.starts_with("../") {
        e.invalid(path, place, "must not start with '..'");
    }
}

/// The file an item is projected to: `path` and `mode`.
pub fn check_file(e: &mut Errors, path: &Path, item: &Value) {
    check_place(e, path, item);
    mode(e, &path.child("mode"), int(item, "mode"));
}

fn downward(e: &mut Errors, path: &Path, source: &Value) {
    mode(e, &path.child("defaultMode"), int(source, "defaultMode"));
    // Kubernetes doesn't tell of which item.
    for item in list(source, "items") {
        check_place(e, path, item);
        let (field, resource) = (get(item, "fieldRef"), get(item, "resourceFieldRef"));
        if !field.is_null() {
            env::check_volume_field(e, &path.child("fieldRef"), field);
            if !resource.is_null() {
                let detail = "fieldRef and resourceFieldRef can not be specified simultaneously";
                e.invalid(path, "resource", detail);
            }
        } else if !resource.is_null() {
            env::check_resource_ref(e, &path.child("resourceFieldRef"), resource, true);
        } else {
            e.required(path, "one of fieldRef and resourceFieldRef is required");
        }
        mode(e, &path.child("mode"), int(item, "mode"));
    }
}

fn projected(e: &mut Errors, path: &Path, source: &Value, options: Options) {
    mode(e, &path.child("defaultMode"), int(source, "defaultMode"));
    let mut places = BTreeSet::new();
    for (i, part) in list(source, "sources").iter().enumerate() {
        let at = path.child("sources").index(i);
        let mut count = 0;
        for kind in ["secret", "configMap", "downwardAPI", "serviceAccountToken"] {
            let source = get(part, kind);
            if source.is_null() {
                continue;
            }
            count += 1;
            let at = at.child(kind);
            match kind {
                "secret" | "configMap" => keyed(e, &at, source, "name"),
                "downwardAPI" => downward(e, &at, source),
                _ => token(e, path, &at, source, options),
            }
            let items = list(source, "items").iter().map(|item| text(item, "path"));
            for place in items.filter(|place| !place.is_empty()) {
                if !places.insert(place) {
                    let shown = match kind {
                        "downwardAPI" => place,
                        _ => text(source, "name"),
                    };
                    e.invalid(path, shown, "conflicting duplicate paths");
                }
            }
        }
        let bundle = get(part, "clusterTrustBundle");
        if !bundle.is_null() {
            count += 1;
            trust_bundle(e, &at.child("clusterTrustBundle"), bundle);
            let place = text(bundle, "path");
            if !places.insert(place) {
                e.invalid(path, place, "conflicting duplicate paths");
            }
        }
        if count > 1 {
            e.forbidden(&at, "may not specify more than 1 volume type per source");
        }
    }
}

/// The path of a token is told of as that of the whole volume.
fn token(e: &mut Errors, volume: &Path, path: &Path, source: &Value, options: Options) {
    let at = path.child("expirationSeconds");
    match int(source, "expirationSeconds").unwrap_or(3600) {
        n if n < 600 => e.invalid(&at, n, "may not specify a duration less than 10 minutes"),
        n if n > 1 << 32 => e.invalid(
            &at,
            n,
            "may not specify a duration larger than 2^32 seconds",
        ),
        _ => {}
    }
    match text(source, "path") {
        "" => e.required(&volume.child("path"), ""),
        _ if options.any_token_paths => {}
        place => check_file_name(e, &volume.child("path"), place),
    }
}

/// Certificates by the name of their bundle, or by who signs. Pods have them from before
/// the feature was switched off.
fn trust_bundle(e: &mut Errors, path: &Path, source: &Value) {
    match (has(source, "name"), has(source, "signerName")) {
        (true, true) => e.invalid(path, source, "only one of name and signerName may be used"),
        (true, false) => {
            if text(source, "name").is_empty() {
                e.required(&path.child("name"), "must be a valid object name");
            }
            if has(source, "labelSelector") {
                let detail = "labelSelector must be unset if name is specified";
                e.invalid(
                    &path.child("labelSelector"),
                    get(source, "labelSelector"),
                    detail,
                );
            }
        }
        (false, true) => {
            if text(source, "signerName").is_empty() {
                e.required(&path.child("signerName"), "must be a valid signer name");
            }
            let selector = get(source, "labelSelector");
            labels::check_selector(e, &path.child("labelSelector"), selector);
        }
        (false, false) => e.required(path, "either name or signerName must be specified"),
    }
    check_place(e, path, source);
}
