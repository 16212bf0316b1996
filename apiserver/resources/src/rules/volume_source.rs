//! Where a volume's data is: what volumes of pods and PersistentVolumes have in common,
//! as `pkg/apis/core/validation` checks and `pkg/apis/core/v1` fills it in.

mod iscsi;

use super::field::{Errors, Path};
use super::json::{default_text, entries, get, has, int, is_empty, list, set_default, text};
use hardway_proto::names;
use serde_json::Value;

/// Whose source it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bearer<'a> {
    /// A pod's volume, by its name.
    Pod(&'a str),
    /// A PersistentVolume, by its name.
    PersistentVolume(&'a str),
}

/// Fields that must not be empty, by the source's field.
const REQUIRED: [(&str, &[&str]); 16] = [
    ("awsElasticBlockStore", &["volumeID"]),
    ("azureDisk", &["diskName", "diskURI"]),
    ("azureFile", &["secretName", "shareName"]),
    ("cephfs", &["monitors"]),
    ("cinder", &["volumeID"]),
    ("flexVolume", &["driver"]),
    ("gcePersistentDisk", &["pdName"]),
    ("gitRepo", &["repository"]),
    ("glusterfs", &["endpoints", "path"]),
    ("iscsi", &["targetPortal"]),
    ("nfs", &["server", "path"]),
    ("photonPersistentDisk", &["pdID"]),
    ("portworxVolume", &["volumeID"]),
    ("rbd", &["monitors", "image"]),
    ("scaleIO", &["gateway", "system", "volumeName"]),
    ("vsphereVolume", &["volumePath"]),
];

/// Checks the one source that a volume is to have: the first of `kinds`. Others are told of.
pub(super) fn only(
    e: &mut Errors,
    path: &Path,
    volume: &Value,
    kinds: &[&str],
    check: impl FnOnce(&mut Errors, &str, &Value),
) {
    let mut present = kinds.iter().filter(|kind| has(volume, kind));
    let Some(kind) = present.next() else {
        return e.required(path, "must specify a volume type");
    };
    check(e, kind, get(volume, kind));
    for other in present {
        // As Kubernetes spells them.
        let shown = match *other {
            "cephfs" => "cephFS",
            "downwardAPI" => "downwarAPI",
            other => other,
        };
        e.forbidden(
            &path.child(shown),
            "may not specify more than 1 volume type",
        );
    }
}

/// Checks a source by the name of its field; what pods or PersistentVolumes alone have
/// is theirs to check.
pub(super) fn check(e: &mut Errors, volume: &Path, bearer: Bearer, kind: &str, source: &Value) {
    let path = match kind {
        "gcePersistentDisk" => volume.child("persistentDisk"),
        kind => volume.child(kind),
    };
    let required = REQUIRED.iter().find(|(name, _)| *name == kind);
    for field in required.map_or(&[][..], |(_, fields)| fields) {
        if is_empty(get(source, field)) {
            e.required(&path.child(field), "");
        }
    }
    let in_cluster = matches!(bearer, Bearer::PersistentVolume(_));
    match kind {
        "awsElasticBlockStore" | "gcePersistentDisk" => {
            // None at all is 0.
            let at = path.child("partition");
            in_a_byte(e, &at, int(source, "partition"), "1 and 255");
        }
        "azureDisk" => azure_disk(e, &path, source),
        "azureFile" if in_cluster && get(source, "secretNamespace") == "" => {
            e.required(&path.child("secretNamespace"), "");
        }
        "cinder" => secret(e, &path, source, in_cluster),
        "fc" => fibre_channel(e, &path, source),
        "flexVolume" => flex_volume(e, &path, source),
        "flocker" => flocker(e, &path, source),
        "gitRepo" => relative(e, &path.child("directory"), text(source, "directory")),
        "glusterfs" if in_cluster && has(source, "endpointsNamespace") => {
            endpoints_namespace(e, &path, text(source, "endpointsNamespace"));
        }
        "iscsi" => iscsi::check(e, volume, bearer, source),
        "nfs" if !text(source, "path").starts_with('/') => {
            let place = text(source, "path");
            e.invalid(&path.child("path"), place, "must be an absolute path");
        }
        "quobyte" => quobyte(e, &path, source),
        "storageos" => storage_os(e, &path, source, in_cluster),
        _ => {}
    }
}

fn in_a_byte(e: &mut Errors, path: &Path, number: Option<i64>, bounds: &str) {
    if let Some(number) = number.filter(|n| !(0..=255).contains(n)) {
        let detail = format!("must be between {bounds}, inclusive");
        e.invalid(path, number, &detail);
    }
}

/// A path that stays below where it starts.
pub(super) fn relative(e: &mut Errors, path: &Path, place: &str) {
    if place.starts_with('/') {
        e.invalid(path, place, "must be a relative path");
    }
    no_steps_back(e, path, place);
}

/// A path without `..`.
pub(super) fn no_steps_back(e: &mut Errors, path: &Path, place: &str) {
    if place.split('/').any(|part| part == "..") {
        e.invalid(path, place, "must not contain '..'");
    }
}

/// A reference to a secret has its name; that of a PersistentVolume its namespace, too.
fn secret(e: &mut Errors, path: &Path, source: &Value, in_cluster: bool) {
    let reference = get(source, "secretRef");
    let fields = if in_cluster {
        &["name", "namespace"][..]
    } else {
        &["name"]
    };
    for field in fields.iter().filter(|_| !reference.is_null()) {
        if text(reference, field).is_empty() {
            e.required(&path.child("secretRef").child(field), "");
        }
    }
}

fn fibre_channel(e: &mut Errors, path: &Path, source: &Value) {
    let at = path.child("targetWWNs");
    let (targets, ids) = (list(source, "targetWWNs"), list(source, "wwids"));
    if targets.is_empty() && ids.is_empty() {
        e.required(&at, "must specify either targetWWNs or wwids, but not both");
    }
    if targets.is_empty() {
        return;
    }
    if !ids.is_empty() {
        let detail = "targetWWNs and wwids can not be specified simultaneously";
        e.invalid(&at, get(source, "targetWWNs"), detail);
    }
    match int(source, "lun") {
        None => e.required(
            &path.child("lun"),
            "lun is required if targetWWNs is specified",
        ),
        lun => in_a_byte(e, &path.child("lun"), lun, "0 and 255"),
    }
}

fn flex_volume(e: &mut Errors, path: &Path, source: &Value) {
    for (option, _) in entries(source, "options") {
        let domain = option.split('/').next().unwrap_or_default().to_lowercase();
        let domain = format!(".{domain}");
        if domain.ends_with(".kubernetes.io") || domain.ends_with(".k8s.io") {
            e.invalid(
                &path.child("options").key(option),
                option,
                "kubernetes.io and k8s.io namespaces are reserved",
            );
        }
    }
}

fn flocker(e: &mut Errors, path: &Path, source: &Value) {
    let (name, id) = (text(source, "datasetName"), text(source, "datasetUUID"));
    match (name.is_empty(), id.is_empty()) {
        (true, true) => e.required(path, "one of datasetName and datasetUUID is required"),
        (false, false) => e.invalid(
            path,
            "resource",
            "datasetName and datasetUUID can not be specified simultaneously",
        ),
        _ => {}
    }
    if name.contains('/') {
        e.invalid(&path.child("datasetName"), name, "must not contain '/'");
    }
}

fn endpoints_namespace(e: &mut Errors, path: &Path, namespace: &str) {
    let at = path.child("endpointsNamespace");
    match namespace {
        "" => {
            let detail = "if the endpointnamespace is set, it must be a valid namespace name";
            e.invalid(&at, namespace, detail);
        }
        _ => e.each(&at, namespace, names::is_dns1123_label(namespace)),
    }
}

fn quobyte(e: &mut Errors, path: &Path, source: &Value) {
    const PAIRS: &str = "must be a host:port pair or multiple pairs separated by commas";
    const MAX_TENANT: usize = 64;
    let registry = text(source, "registry");
    let at = path.child("registry");
    if registry.is_empty() {
        e.required(&at, PAIRS);
    } else if text(source, "tenant").len() > MAX_TENANT {
        let detail = "must be a UUID and may not exceed a length of 64 characters";
        e.required(&path.child("tenant"), detail);
    } else {
        for _ in registry.split(',').filter(|pair| !is_host_and_port(pair)) {
            e.invalid(&at, registry, PAIRS);
        }
    }
    if text(source, "volume").is_empty() {
        e.required(&path.child("volume"), "");
    }
}

/// Whether Go's `net.SplitHostPort` takes it: one colon, or several in brackets before it.
fn is_host_and_port(pair: &str) -> bool {
    let Some((host, port)) = pair.rsplit_once(':') else {
        return false;
    };
    let host = match host.strip_prefix('[') {
        Some(inner) => match inner.strip_suffix(']') {
            Some(inner) => inner,
            None => return false,
        },
        None if host.contains(':') => return false,
        None => host,
    };
    !host.contains(['[', ']']) && !port.contains(['[', ']'])
}

fn storage_os(e: &mut Errors, path: &Path, source: &Value, in_cluster: bool) {
    let name = text(source, "volumeName");
    match name {
        "" => e.required(&path.child("volumeName"), ""),
        _ => e.each(
            &path.child("volumeName"),
            name,
            names::is_dns1123_label(name),
        ),
    }
    let namespace = text(source, "volumeNamespace");
    if !namespace.is_empty() {
        let at = path.child("volumeNamespace");
        e.each(&at, namespace, names::is_dns1123_label(namespace));
    }
    secret(e, path, source, in_cluster);
}

fn azure_disk(e: &mut Errors, path: &Path, source: &Value) {
    const MODES: &[&str] = &["None", "ReadOnly", "ReadWrite"];
    const KINDS: &[&str] = &["Dedicated", "Managed", "Shared"];
    for (field, known) in [("cachingMode", MODES), ("kind", KINDS)] {
        // Both have a default, so that one is empty only if somebody says so.
        if let Some(value) = get(source, field).as_str()
            && !known.contains(&value)
        {
            e.not_supported(&path.child(field), value, known);
        }
    }
    let (start, form) = match text(source, "kind") {
        "Managed" => (
            "/subscriptions/",
            "/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}",
        ),
        _ => (
            "https://",
            "https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd",
        ),
    };
    let place = text(source, "diskURI");
    if !place.starts_with(start) {
        e.not_supported(&path.child("diskURI"), place, &[form]);
    }
}

/// The name of a CSI driver.
pub(super) fn driver_name(e: &mut Errors, path: &Path, name: &str) {
    if name.is_empty() {
        e.required(path, "");
    }
    if name.len() > 63 {
        e.too_long(path, 63);
    }
    e.each(
        path,
        name,
        names::is_dns1123_subdomain(&name.to_lowercase()),
    );
}

/// Fills in a source of either kind of volume.
pub(super) fn default(kind: &str, source: &mut Value) {
    match kind {
        "hostPath" => set_default(source, "type", ""),
        "iscsi" => default_text(source, "iscsiInterface", "default"),
        "rbd" => {
            default_text(source, "pool", "rbd");
            default_text(source, "user", "admin");
            default_text(source, "keyring", "/etc/ceph/keyring");
        }
        "azureDisk" => {
            set_default(source, "cachingMode", "ReadWrite");
            set_default(source, "kind", "Shared");
            set_default(source, "fsType", "ext4");
            set_default(source, "readOnly", false);
        }
        "scaleIO" => {
            default_text(source, "storageMode", "ThinProvisioned");
            default_text(source, "fsType", "xfs");
        }
        _ => {}
    }
}
