//! Volumes of a pod.

use super::super::field::{Errors, Path};
use super::super::json::{get, has, int, list, text};
use super::{env, resources};
use hardway_proto::names;
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
        let path = path.child(kind);
        if count > 0 {
            e.forbidden(&path, "may not specify more than 1 volume type");
            continue;
        }
        count += 1;
        match kind.as_str() {
            "emptyDir" if has(source, "sizeLimit") => {
                let at = path.child("sizeLimit");
                resources::check_quantity(e, &at, get(source, "sizeLimit"));
            }
            "hostPath" => host_path(e, &path, source),
            "configMap" => keyed(e, &path, source, "name"),
            "secret" => keyed(e, &path, source, "secretName"),
            "downwardAPI" => downward(e, &path, source),
            "projected" => projected(e, &path, source),
            "persistentVolumeClaim" => need(e, &path, source, &["claimName"]),
            "nfs" => nfs(e, &path, source),
            "csi" => need(e, &path, source, &["driver"]),
            "iscsi" => need(e, &path, source, &["targetPortal", "iqn"]),
            "flexVolume" => need(e, &path, source, &["driver"]),
            "ephemeral" if !has(source, "volumeClaimTemplate") => {
                e.required(&path.child("volumeClaimTemplate"), "");
            }
            _ => {}
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

fn nfs(e: &mut Errors, path: &Path, source: &Value) {
    need(e, path, source, &["server", "path"]);
    let at = text(source, "path");
    if !at.is_empty() && !at.starts_with('/') {
        e.invalid(&path.child("path"), at, "must be an absolute path");
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
    for (i, item) in list(source, "items").iter().enumerate() {
        let path = path.child("items").index(i);
        check_file(e, &path, item);
        match (has(item, "fieldRef"), has(item, "resourceFieldRef")) {
            (true, true) => e.invalid(
                &path,
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
            _ => e.required(
                &path.child("fieldRef"),
                "one of fieldRef and resourceFieldRef is required",
            ),
        }
    }
}

fn projected(e: &mut Errors, path: &Path, source: &Value) {
    mode(e, &path.child("defaultMode"), int(source, "defaultMode"));
    for (i, part) in list(source, "sources").iter().enumerate() {
        let path = path.child("sources").index(i);
        let mut count = 0;
        for (kind, source) in part.as_object().into_iter().flatten() {
            if source.is_null() {
                continue;
            }
            let path = path.child(kind);
            count += 1;
            if count > 1 {
                e.forbidden(&path, "may not specify more than 1 volume type per source");
            }
            match kind.as_str() {
                "secret" | "configMap" => keyed(e, &path, source, "name"),
                "downwardAPI" => downward(e, &path, source),
                "serviceAccountToken" => token(e, &path, source),
                _ => {}
            }
        }
        if count == 0 {
            e.required(&path, "must specify a projected volume source");
        }
    }
}

fn token(e: &mut Errors, path: &Path, source: &Value) {
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
        e.required(&path.child("path"), "");
    } else {
        check_relative(e, &path.child("path"), text(source, "path"));
    }
}
