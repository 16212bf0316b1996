//! Volumes of a pod.

use super::super::field::{Errors, Path};
use super::super::json::{get, has, int, list, text};
use super::super::{storage, volume_source};
use super::env;
use hardway_proto::names;
use hardway_proto::quantity::Quantity;
use serde_json::Value;
use std::collections::BTreeSet;

/// A pod's `volumes`.
pub fn check(e: &mut Errors, path: &Path, volumes: &[Value]) {
    let mut seen = BTreeSet::new();
    for (i, volume) in volumes.iter().enumerate() {
        let path = path.index(i);
        let name = text(volume, "name");
        if name.is_empty() {
            e.required(&path.child("name"), "");
        } else {
            e.each(&path.child("name"), name, names::is_dns1123_label(name));
        }
        if !name.is_empty() && !seen.insert(name) {
            e.duplicate(&path.child("name"), name);
        }
        check_source(e, &path, volume);
    }
}

fn check_source(e: &mut Errors, path: &Path, volume: &Value) {
    let mut count = 0;
    for (kind, source) in volume.as_object().into_iter().flatten() {
        if kind == "name" || source.is_null() {
            continue;
        }
        let at = path.child(kind);
        if count > 0 {
            e.forbidden(&at, "may not specify more than 1 volume type");
            continue;
        }
        count += 1;
        match kind.as_str() {
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
            "projected" => projected(e, &at, source),
            "persistentVolumeClaim" => need(e, &at, source, &["claimName"]),
            "csi" => volume_source::driver_name(e, &at.child("driver"), text(source, "driver")),
            "ephemeral" => {
                let at = at.child("volumeClaimTemplate");
                match get(source, "volumeClaimTemplate") {
                    Value::Null => e.required(&at, ""),
                    claim => storage::check_claim(e, &at.child("spec"), get(claim, "spec")),
                }
            }
            kind => volume_source::check(e, path, kind, source),
        }
    }
    if count == 0 {
        e.required(path, "must specify a volume type");
    }
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
    if place.split('/').any(|part| part == "..") {
        e.invalid(&path.child("path"), place, "must not contain '..'");
    }
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

/// A path that stays below where it starts.
pub fn check_relative(e: &mut Errors, path: &Path, place: &str) {
    if place.starts_with('/') {
        e.invalid(path, place, "must be a relative path");
    }
    if place.split('/').any(|part| part == "..") {
        e.invalid(path, place, "must not contain '..'");
    }
}

/// The file an item is projected to: `path` and `mode`.
pub fn check_file(e: &mut Errors, path: &Path, item: &Value) {
    let place = text(item, "path");
    if place.is_empty() {
        e.required(&path.child("path"), "");
    } else {
        check_relative(e, &path.child("path"), place);
        if place.starts_with("..") && !place.starts_with("../") && place != ".." {
            e.invalid(&path.child("path"), place, "must not start with '..'");
        }
    }
    mode(e, &path.child("mode"), int(item, "mode"));
}

fn downward(e: &mut Errors, path: &Path, source: &Value) {
    mode(e, &path.child("defaultMode"), int(source, "defaultMode"));
    // Kubernetes doesn't tell of which item.
    for item in list(source, "items") {
        check_file(e, path, item);
        match (has(item, "fieldRef"), has(item, "resourceFieldRef")) {
            (true, true) => e.invalid(
                path,
                "resource",
                "fieldRef and resourceFieldRef can not be specified simultaneously",
            ),
            (true, false) => {
                env::check_volume_field(e, &path.child("fieldRef"), get(item, "fieldRef"))
            }
            (false, true) => {
                let at = path.child("resourceFieldRef");
                env::check_resource_ref(e, &at, get(item, "resourceFieldRef"), true);
            }
            _ => e.required(path, "one of fieldRef and resourceFieldRef is required"),
        }
    }
}

fn projected(e: &mut Errors, path: &Path, source: &Value) {
    mode(e, &path.child("defaultMode"), int(source, "defaultMode"));
    let mut places = BTreeSet::new();
    for (i, part) in list(source, "sources").iter().enumerate() {
        let at = path.child("sources").index(i);
        let mut count = 0;
        for kind in [
            "secret",
            "configMap",
            "downwardAPI",
            "serviceAccountToken",
            "clusterTrustBundle",
        ] {
            let source = get(part, kind);
            if source.is_null() {
                continue;
            }
            count += 1;
            let at = at.child(kind);
            match kind {
                "secret" | "configMap" => keyed(e, &at, source, "name"),
                "downwardAPI" => downward(e, &at, source),
                "serviceAccountToken" => token(e, path, &at, source),
                _ => {}
            }
            let own = (kind == "clusterTrustBundle").then(|| text(source, "path"));
            let items = list(source, "items").iter().map(|item| text(item, "path"));
            for place in own.into_iter().chain(items).filter(|p| !p.is_empty()) {
                if !places.insert(place) {
                    let shown = match text(source, "name") {
                        "" => place,
                        name => name,
                    };
                    e.invalid(path, shown, "conflicting duplicate paths");
                }
            }
        }
        if count > 1 {
            e.forbidden(&at, "may not specify more than 1 volume type");
        }
    }
}

/// The path of a token is told of as that of the whole volume.
fn token(e: &mut Errors, volume: &Path, path: &Path, source: &Value) {
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
    if text(source, "path").is_empty() {
        e.required(&volume.child("path"), "");
    } else {
        check_relative(e, &volume.child("path"), text(source, "path"));
    }
}
