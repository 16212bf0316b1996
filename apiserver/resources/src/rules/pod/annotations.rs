//! Annotations of pods and templates that mean something to Kubernetes.

use super::super::field::{Errors, Path};
use super::super::json::{get, has, text};
use super::super::volume_source::relative;
use super::options::Options;
use super::{affinity, containers};
use serde_json::Value;

/// What it costs to delete a pod, for controllers that have to choose.
pub const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";
/// That a pod mirrors what a node runs on its own.
const MIRROR: &str = "kubernetes.io/config.mirror";
/// How tolerations were said before there was a field: as JSON.
const TOLERATIONS: &str = "scheduler.alpha.kubernetes.io/tolerations";
/// How profiles were asked for before there were fields.
const SECCOMP_POD: &str = "seccomp.security.alpha.kubernetes.io/pod";
const SECCOMP_CONTAINER: &str = "container.seccomp.security.alpha.kubernetes.io/";
const APP_ARMOR: &str = "container.apparmor.security.beta.kubernetes.io/";
const LOCAL: &str = "localhost/";

/// Annotations that are settled at birth: that a pod mirrors what a node runs on its own
/// (as in Kubernetes), and where a kubelet has it from. Kubelets and the Node authorizer
/// go by them.
const SETTLED: [(&str, &str); 2] = [
    (MIRROR, "mirror pod"),
    ("kubernetes.io/config.source", "pod source"),
];

fn of(metadata: &Value) -> &Value {
    get(metadata, "annotations")
}

/// The annotations at this path, of a pod or template with this spec
/// (`ValidatePodSpecificAnnotations`).
pub fn check(e: &mut Errors, path: &Path, metadata: &Value, spec: &Value, options: Options) {
    let annotations = of(metadata);
    if let Some(mirror) = get(annotations, MIRROR).as_str()
        && text(spec, "nodeName").is_empty()
    {
        let detail = "must set spec.nodeName if mirror pod annotation is set";
        e.invalid(&path.key(MIRROR), mirror, detail);
    }
    tolerations(e, path, text(annotations, TOLERATIONS));
    if !options.any_deletion_cost {
        deletion_cost(e, path, metadata);
    }
    let all = || {
        let all = annotations.as_object().into_iter().flatten();
        all.map(|(key, value)| (key, value.as_str().unwrap_or_default()))
    };
    for (key, profile) in all() {
        if key == SECCOMP_POD || key.starts_with(SECCOMP_CONTAINER) {
            let at = path.child(key);
            match profile.strip_prefix(LOCAL) {
                Some(file) => relative(e, &at, file),
                None if ["runtime/default", "docker/default", "unconfined"].contains(&profile) => {}
                None => e.invalid(&at, profile, "must be a valid seccomp profile"),
            }
        }
    }
    for (key, profile) in all() {
        let Some(container) = key.strip_prefix(APP_ARMOR) else {
            continue;
        };
        let mut all = containers::all(&Path::default(), spec);
        if !all.any(|(_, other)| text(other, "name") == container) {
            e.invalid(&path.key(key), container, "container not found");
        }
        let plain = ["", "runtime/default", "unconfined"].contains(&profile);
        if !plain && !profile.starts_with(LOCAL) {
            let detail = format!("invalid AppArmor profile name: {profile:?}");
            e.invalid(&path.key(key), profile, &detail);
        }
    }
}

/// The cost of deletion is a number, written without plus sign or leading zeros.
pub fn deletion_cost(e: &mut Errors, path: &Path, metadata: &Value) {
    let Some(cost) = get(of(metadata), DELETION_COST).as_str() else {
        return;
    };
    let number = cost.parse::<i32>().map(|number| number.to_string());
    if number.as_deref() != Ok(cost) {
        e.invalid(&path.key(DELETION_COST), cost, "must be a 32bit integer");
    }
}

/// Tolerations as JSON. What is none is told of in the words of Go's decoder.
fn tolerations(e: &mut Errors, path: &Path, text: &str) {
    if text.is_empty() {
        return;
    }
    let detail = match serde_json::from_str::<Value>(text) {
        Ok(Value::Array(list)) => {
            return affinity::check_tolerations(e, &path.child(TOLERATIONS), &list);
        }
        Ok(Value::Null) => return,
        Ok(other) => {
            let kind = match other {
                Value::Object(_) => "object",
                Value::String(_) => "string",
                Value::Bool(_) => "bool",
                _ => "number",
            };
            format!("json: cannot unmarshal {kind} into Go value of type []core.Toleration")
        }
        Err(error) if error.is_eof() => "unexpected end of JSON input".to_owned(),
        Err(error) => {
            let line = text.lines().nth(error.line().saturating_sub(1));
            let before = error.column().saturating_sub(1);
            let found = line.and_then(|line| line.get(before..)?.chars().next());
            let found = found.unwrap_or(' ');
            format!("invalid character {found:?} looking for beginning of value")
        }
    };
    e.invalid(path, TOLERATIONS, &detail);
}

/// Profiles of seccomp that are asked for in both ways are the same
/// (`validateSeccompAnnotationsAndFields`).
pub fn check_seccomp(e: &mut Errors, path: &Path, metadata: &Value, spec: &Value) {
    let mut compare = |path: &Path, key: &str, bearer: &Value| {
        let profile = get(get(bearer, "securityContext"), "seccompProfile");
        if let Some(annotation) = get(of(metadata), key).as_str() {
            let path = path.child("securityContext.seccompProfile");
            let default = ["runtime/default", "docker/default"];
            match_profile(e, &path, "seccomp", profile, annotation, &default);
        }
    };
    compare(path, SECCOMP_POD, spec);
    for (at, container) in containers::all(path, spec) {
        let key = format!("{SECCOMP_CONTAINER}{}", text(container, "name"));
        compare(&at, &key, container);
    }
}

/// The same for AppArmor, whose profile a container may have from its pod
/// (`validateAppArmorAnnotationsAndFieldsMatchOnCreate`).
pub fn check_app_armor(e: &mut Errors, path: &Path, metadata: &Value, spec: &Value) {
    if text(get(spec, "os"), "name") == "windows" {
        return;
    }
    let profile_of = |bearer| get(get(bearer, "securityContext"), "appArmorProfile");
    for (at, container) in containers::all(path, spec) {
        let profile = match profile_of(container) {
            Value::Null => profile_of(spec),
            own => own,
        };
        let key = format!("{APP_ARMOR}{}", text(container, "name"));
        if let Some(annotation) = get(of(metadata), &key).as_str() {
            let at = at.child("securityContext.appArmorProfile");
            match_profile(
                e,
                &at,
                "apparmor",
                profile,
                annotation,
                &["runtime/default"],
            );
        }
    }
}

fn match_profile(
    e: &mut Errors,
    path: &Path,
    word: &str,
    profile: &Value,
    annotation: &str,
    default: &[&str],
) {
    let local = annotation.strip_prefix(LOCAL);
    let same = match text(profile, "type") {
        "Unconfined" => annotation == "unconfined",
        "RuntimeDefault" => default.contains(&annotation),
        "Localhost" => local.is_some(),
        _ => return,
    };
    if !same {
        let detail = format!("{word} type in annotation and field must match");
        e.forbidden(&path.child("type"), &detail);
    } else if local != get(profile, "localhostProfile").as_str()
        && text(profile, "type") == "Localhost"
    {
        let detail = format!("{word} profile in annotation and field must match");
        e.forbidden(&path.child("localhostProfile"), &detail);
    }
}

/// Compares the metadata of a pod before and after an update of it or of its status
/// (`ValidatePodSpecificAnnotationUpdates`).
pub fn check_update(e: &mut Errors, new: &Value, old: &Value, options: Options) {
    let path = Path::new("metadata.annotations");
    let (metadata, spec) = (get(new, "metadata"), get(new, "spec"));
    let (after, before) = (of(metadata), of(get(old, "metadata")));
    let settled = |key: &str| {
        let mut settled = SETTLED.iter();
        let name = settled.find_map(|(settled, name)| (*settled == key).then_some(*name));
        match name {
            Some(name) => Some(format!("{name} annotation")),
            None if key.starts_with(APP_ARMOR) => Some("AppArmor annotations".to_owned()),
            None => None,
        }
    };
    for (key, value) in before.as_object().into_iter().flatten() {
        if let Some(name) = settled(key).filter(|_| get(after, key) != value) {
            e.forbidden(&path.key(key), &format!("may not remove or update {name}"));
        }
    }
    for (key, _) in after.as_object().into_iter().flatten() {
        if let Some(name) = settled(key).filter(|_| !has(before, key)) {
            e.forbidden(&path.key(key), &format!("may not add {name}"));
        }
    }
    check(e, &path, metadata, spec, options);
}
