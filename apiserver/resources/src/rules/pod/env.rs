//! Environment variables and where their values come from.

use super::super::field::{Errors, Path};
use super::super::json::{get, has, text};
use hardway_proto::names;
use hardway_proto::quantity::Quantity;
use serde_json::Value;

const ENV_FIELDS: &[&str] = &[
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];
const VOLUME_FIELDS: &[&str] = &[
    "metadata.annotations",
    "metadata.labels",
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
];
/// Fields that there are, but that neither variables nor volumes may refer to.
const OTHER_FIELDS: &[&str] = &["spec.restartPolicy", "spec.schedulerName", "status.phase"];
const HUGE_PAGES: [&str; 2] = ["limits.hugepages-", "requests.hugepages-"];
const RESOURCES: &[&str] = &[
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
];

/// A container's `env`.
pub fn check(e: &mut Errors, path: &Path, variables: &[Value]) {
    for (i, variable) in variables.iter().enumerate() {
        let path = path.index(i);
        let name = text(variable, "name");
        if name.is_empty() {
            e.required(&path.child("name"), "");
        } else {
            e.each(&path.child("name"), name, names::is_env_var_name(name));
        }
        if has(variable, "valueFrom") {
            check_source(e, &path.child("valueFrom"), variable);
        }
    }
}

fn check_source(e: &mut Errors, path: &Path, variable: &Value) {
    let source = get(variable, "valueFrom");
    let mut count = 0;
    if has(source, "fieldRef") {
        count += 1;
        check_field_ref(
            e,
            &path.child("fieldRef"),
            get(source, "fieldRef"),
            ENV_FIELDS,
        );
    }
    if has(source, "resourceFieldRef") {
        count += 1;
        check_resource_ref(
            e,
            &path.child("resourceFieldRef"),
            get(source, "resourceFieldRef"),
            false,
        );
    }
    for kind in ["configMapKeyRef", "secretKeyRef"] {
        if has(source, kind) {
            count += 1;
            let reference = get(source, kind);
            let path = path.child(kind);
            let name = text(reference, "name");
            e.each(&path.child("name"), name, names::is_dns1123_subdomain(name));
            check_key(e, &path.child("key"), text(reference, "key"));
        }
    }
    if count == 0 {
        e.invalid(
            path,
            "",
            "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`",
        );
    } else if !text(variable, "value").is_empty() {
        e.invalid(path, "", "may not be specified when `value` is not empty");
    } else if count > 1 {
        e.invalid(
            path,
            "",
            "may not have more than one field specified at a time",
        );
    }
}

fn check_key(e: &mut Errors, path: &Path, key: &str) {
    if key.is_empty() {
        e.required(path, "");
    } else {
        e.each(path, key, names::is_config_map_key(key));
    }
}

/// A reference to a field of the pod from a volume of type downwardAPI.
pub fn check_volume_field(e: &mut Errors, path: &Path, reference: &Value) {
    check_field_ref(e, path, reference, VOLUME_FIELDS);
}

fn check_field_ref(e: &mut Errors, path: &Path, reference: &Value, allowed: &[&str]) {
    let field = text(reference, "fieldPath");
    let at = path.child("fieldPath");
    if text(reference, "apiVersion").is_empty() {
        return e.required(&path.child("apiVersion"), "");
    }
    if field.is_empty() {
        return e.required(&at, "");
    }
    let version = text(reference, "apiVersion");
    if version != "v1" {
        let detail = format!("error converting fieldPath: unsupported pod version: {version}");
        return e.invalid(&at, field, &detail);
    }
    if let Some((map, key)) = subscripted(field) {
        return match map {
            "metadata.annotations" => {
                let key = key.to_lowercase();
                e.each(path, &key, names::is_qualified_name(&key));
            }
            "metadata.labels" => e.each(path, key, names::is_qualified_name(key)),
            _ => {
                let why = format!("field label does not support subscript: {field}");
                e.invalid(&at, field, &format!("error converting fieldPath: {why}"));
            }
        };
    }
    let known = |list: &[&str]| list.contains(&field);
    if !known(ENV_FIELDS) && !known(VOLUME_FIELDS) && !known(OTHER_FIELDS) {
        let detail = format!("error converting fieldPath: field label not supported: {field}");
        e.invalid(&at, field, &detail);
    } else if !known(allowed) {
        e.not_supported(&at, field, allowed);
    }
}

/// The map and the key of `map['key']`.
fn subscripted(field: &str) -> Option<(&str, &str)> {
    let (map, key) = field.strip_suffix("']")?.split_once("['")?;
    (!map.is_empty()).then_some((map, key))
}

/// A reference to a container's resource; a volume has to name the container.
pub fn check_resource_ref(e: &mut Errors, path: &Path, reference: &Value, volume: bool) {
    let resource = text(reference, "resource");
    let is_huge = HUGE_PAGES.iter().any(|huge| resource.starts_with(huge));
    if volume && text(reference, "containerName").is_empty() {
        e.required(&path.child("containerName"), "");
    } else if resource.is_empty() {
        e.required(&path.child("resource"), "");
    } else if !RESOURCES.contains(&resource) && !is_huge {
        e.not_supported(&path.child("resource"), resource, RESOURCES);
    }
    check_divisor(
        e,
        &path.child("divisor"),
        resource,
        get(reference, "divisor"),
    );
}

/// What amounts are told in.
fn check_divisor(e: &mut Errors, path: &Path, resource: &str, divisor: &Value) {
    const SIZES: &str = "1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, 1Pi, 1Ei";
    // Nothing, or 0, is 1.
    let Ok(unit) = Quantity::from_json(divisor) else {
        return;
    };
    if unit.is_zero() {
        return;
    }
    let unit = unit.to_string();
    let sized = SIZES.split(", ").any(|size| size == unit);
    let (fits, units, what) = match resource.split_once('.').map(|(_, name)| name) {
        Some("cpu") => (["1m", "1"].contains(&&*unit), "1m and 1", "cpu resource"),
        Some("memory") => (sized, SIZES, "memory resource"),
        Some("ephemeral-storage") => (sized, SIZES, "local ephemeral storage resource"),
        Some(name) if name.starts_with("hugepages-") => (sized, SIZES, "hugepages resource"),
        _ => return,
    };
    if !fits {
        let detail = format!("only divisor's values {units} are supported with the {what}");
        e.invalid(path, resource, &detail);
    }
}

/// A container's `envFrom`.
pub fn check_from(e: &mut Errors, path: &Path, sources: &[Value]) {
    let whole = path;
    for (i, source) in sources.iter().enumerate() {
        let path = path.index(i);
        let prefix = text(source, "prefix");
        if !prefix.is_empty() {
            e.each(
                &path.child("prefix"),
                prefix,
                names::is_env_var_name(prefix),
            );
        }
        let mut count = 0;
        for kind in ["configMapRef", "secretRef"] {
            if has(source, kind) {
                count += 1;
                let (at, name) = (
                    path.child(kind).child("name"),
                    text(get(source, kind), "name"),
                );
                match name {
                    "" => e.required(&at, ""),
                    _ => e.each(&at, name, names::is_dns1123_subdomain(&prefix_like(name))),
                }
            }
        }
        match count {
            0 => e.invalid(
                whole,
                "",
                "must specify one of: `configMapRef` or `secretRef`",
            ),
            1 => {}
            _ => e.invalid(
                whole,
                "",
                "may not have more than one field specified at a time",
            ),
        }
    }
}

/// The name of a source may end in a dash, as if something came after it.
fn prefix_like(name: &str) -> String {
    match name.strip_suffix('-') {
        Some(head) if !head.is_empty() => format!("{head}a"),
        _ => name.to_owned(),
    }
}

/// `items` of a volume: which key goes to which file.
pub fn check_items(e: &mut Errors, path: &Path, items: &[Value]) {
    for (i, item) in items.iter().enumerate() {
        let path = path.index(i);
        if text(item, "key").is_empty() {
            e.required(&path.child("key"), "");
        }
        super::volumes::check_file(e, &path, item);
    }
}
