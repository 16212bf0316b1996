//! Where a volume's data is: what volumes of pods and PersistentVolumes have in common,
//! as `pkg/apis/core/validation` checks and `pkg/apis/core/v1` fills it in.

use super::field::{Errors, Path};
use super::json::{default_text, entries, flag, get, has, int, is_empty, list, set_default, text};
use hardway_proto::names;
use serde_json::Value;

/// Fields that must not be empty, by the source's field.
const REQUIRED: [(&str, &[&str]); 17] = [
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
    ("quobyte", &["registry"]),
    ("rbd", &["monitors", "image"]),
    ("scaleIO", &["gateway", "system", "volumeName"]),
    ("vsphereVolume", &["volumePath"]),
];

/// Checks a source by the name of its field; what pods or PersistentVolumes alone have
/// is theirs to check.
pub(super) fn check(e: &mut Errors, volume: &Path, kind: &str, source: &Value) {
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
    match kind {
        "awsElasticBlockStore" | "gcePersistentDisk" => {
            // None at all is 0.
            let at = path.child("partition");
            in_a_byte(e, &at, int(source, "partition"), "1 and 255");
        }
        "nfs" if !text(source, "path").starts_with('/') => {
            let place = text(source, "path");
            e.invalid(&path.child("path"), place, "must be an absolute path");
        }
        "iscsi" => iscsi(e, &path, source),
        "fc" => fibre_channel(e, &path, source),
        "azureDisk" => azure_disk(e, &path, source),
        "flexVolume" => {
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
        _ => {}
    }
}

fn in_a_byte(e: &mut Errors, path: &Path, number: Option<i64>, bounds: &str) {
    if let Some(number) = number.filter(|n| !(0..=255).contains(n)) {
        let detail = format!("must be between {bounds}, inclusive");
        e.invalid(path, number, &detail);
    }
}

fn iscsi(e: &mut Errors, path: &Path, source: &Value) {
    let at = path.child("iqn");
    match text(source, "iqn") {
        "" => e.required(&at, ""),
        name if !is_iscsi_name(name) => e.invalid(&at, name, "must be valid format"),
        _ => {}
    }
    in_a_byte(e, &path.child("lun"), int(source, "lun"), "0 and 255");
    let secret = get(source, "secretRef");
    let authenticates = flag(source, "chapAuthDiscovery") || flag(source, "chapAuthSession");
    if authenticates && secret.is_null() {
        e.required(&path.child("secretRef"), "");
    }
    if !secret.is_null() && text(secret, "name").is_empty() {
        e.required(&path.child("secretRef.name"), "");
    }
    if has(source, "initiatorName") && !is_iscsi_name(text(source, "initiatorName")) {
        let name = text(source, "initiatorName");
        e.invalid(&path.child("initiatorname"), name, "must be valid format");
    }
}

/// `iqn.2001-04.com.example:disk`, `eui.` and 16 digits, `naa.` and 16 or 32.
fn is_iscsi_name(name: &str) -> bool {
    let (form, rest) = name.split_once('.').unwrap_or((name, ""));
    let is_hex = |text: &str| text.bytes().all(|b| b.is_ascii_hexdigit());
    match form {
        "iqn" => {
            let (date, rest) = rest.split_once('.').unwrap_or((rest, ""));
            let (year, month) = date.split_once('-').unwrap_or((date, ""));
            let digits =
                |text: &str, count| text.len() == count && text.bytes().all(|b| b.is_ascii_digit());
            let authority = rest.split(':').next().unwrap_or_default();
            digits(year, 4) && digits(month, 2) && authority.bytes().any(|b| b.is_ascii_lowercase())
        }
        "eui" => rest.len() == 16 && is_hex(rest),
        "naa" => matches!(rest.len(), 16 | 32) && is_hex(rest),
        _ => false,
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

fn azure_disk(e: &mut Errors, path: &Path, source: &Value) {
    let kind = text(source, "kind");
    e.one_of(
        &path.child("cachingMode"),
        text(source, "cachingMode"),
        &["None", "ReadOnly", "ReadWrite"],
    );
    e.one_of(
        &path.child("kind"),
        kind,
        &["Dedicated", "Managed", "Shared"],
    );
    let (start, form) = match kind {
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
