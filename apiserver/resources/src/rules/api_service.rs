//! APIServices: which server serves a group's version. Kubernetes' rules are in
//! `staging/src/k8s.io/kube-aggregator/pkg/apis/apiregistration/validation/validation.go`.

use super::FieldErrors;
use super::field::{Errors, Path};
use super::json::{flag, get, has, int, list, object_mut, set, set_default, text};
use super::kind::{Kind, WITH_STATUS};
use crate::rows;
use base64::{Engine, engine::general_purpose::STANDARD};
use hardway_proto::names;
use serde_json::{Value, json};

fn validate(e: &mut Errors, service: &Value) {
    let (path, spec) = (Path::new("spec"), get(service, "spec"));
    let (group, version) = (text(spec, "group"), text(spec, "version"));
    let name = text(get(service, "metadata"), "name");
    let required = format!("{version}.{group}");
    if names::is_path_segment(name).is_empty() && name != required {
        let why = format!("must be `spec.version+\".\"+spec.group`: {required:?}");
        e.invalid(&Path::new("metadata").child("name"), name, &why);
    }
    match group {
        "" if version != "v1" => e.required(
            &path.child("group"),
            "only v1 may have an empty group and it better be legacy kube",
        ),
        "" => {}
        group => e.each(
            &path.child("group"),
            group,
            names::is_dns1123_subdomain(group),
        ),
    }
    e.each(
        &path.child("version"),
        version,
        names::is_dns1035_label(version),
    );
    for (field, most) in [("groupPriorityMinimum", 20_000), ("versionPriority", 1000)] {
        let priority = int(spec, field).unwrap_or(0);
        if !(1..=most).contains(&priority) {
            let why = format!("must be positive and less than {most}");
            e.invalid(&path.child(field), priority, &why);
        }
    }
    let insecure = flag(spec, "insecureSkipTLSVerify");
    let bundle = STANDARD.decode(text(spec, "caBundle")).unwrap_or_default();
    let skip = path.child("insecureSkipTLSVerify");
    if !has(spec, "service") {
        if !bundle.is_empty() {
            let shown = format!("{} bytes", bundle.len());
            let why = "local APIServices may not have a caBundle";
            e.invalid(&path.child("caBundle"), shown.as_str(), why);
        }
        if insecure {
            e.invalid(
                &skip,
                &Value::Bool(true),
                "local APIServices may not have insecureSkipTLSVerify",
            );
        }
        return;
    }
    if group.is_empty() || rows::GROUPS.contains(&group) {
        // Kubernetes would pass all requests for it on.
        let why = "the API server serves this group itself, and passes no request for it on";
        e.forbidden(&path.child("service"), why);
    }
    let reference = get(spec, "service");
    for field in ["namespace", "name"] {
        if text(reference, field).is_empty() {
            e.required(&path.child("service").child(field), "");
        }
    }
    let port = int(reference, "port").unwrap_or_default();
    for problem in names::is_port_number(port) {
        let why = format!("port is not valid: {problem}");
        e.invalid(&path.child("service").child("port"), port, &why);
    }
    if insecure && !bundle.is_empty() {
        e.invalid(
            &skip,
            &Value::Bool(true),
            "may not be true if caBundle is present",
        );
    }
}

fn validate_status(new: &Value) -> FieldErrors {
    Errors::collect(|e| {
        let path = Path::new("status").child("conditions");
        let conditions = list(get(new, "status"), "conditions");
        for (index, condition) in conditions.iter().enumerate() {
            let status = text(condition, "status");
            if !["True", "False", "Unknown"].contains(&status) {
                let path = path.index(index).child("status");
                e.not_supported(&path, status, &["True", "False", "Unknown"]);
            }
        }
    })
}

pub(super) const API_SERVICE: Kind = Kind {
    name: names::is_path_segment,
    generation: false,
    default: |service| {
        let spec = object_mut(service, "spec");
        if let Some(reference) = spec.and_then(|spec| object_mut(spec, "service")) {
            set_default(reference, "port", 443);
        }
    },
    // What this server has itself is there at once.
    prepare_create: |service| {
        if !has(get(service, "spec"), "service") {
            let since = get(get(service, "metadata"), "creationTimestamp").clone();
            let condition = json!({
                "type": "Available",
                "status": "True",
                "lastTransitionTime": since,
                "reason": "Local",
                "message": "Local APIServices are always available",
            });
            set(service, "status", json!({"conditions": [condition]}));
        }
    },
    validate: |service| Errors::collect(|e| validate(e, service)),
    validate_status: |new, _| validate_status(new),
    ..WITH_STATUS
};

#[cfg(test)]
mod tests {
    use super::*;

    fn told(spec: &Value, name: &str) -> Vec<String> {
        let mut service = json!({"metadata": {"name": name}, "spec": spec});
        (API_SERVICE.default)(&mut service);
        let causes = (API_SERVICE.validate)(&service);
        causes
            .into_iter()
            .map(|cause| format!("{}: {}", cause.field, cause.message))
            .collect()
    }

    #[test]
    fn a_service_is_named_by_what_it_serves() {
        let mut spec = json!({"group": "metrics.k8s.io", "version": "v1beta1",
            "groupPriorityMinimum": 100, "versionPriority": 100,
            "service": {"namespace": "kube-system", "name": "metrics"}});
        assert!(told(&spec, "v1beta1.metrics.k8s.io").is_empty());
        assert_eq!(
            told(&spec, "metrics"),
            [
                "metadata.name: Invalid value: \"metrics\": must be `spec.version+\".\"+spec.group`: \"v1beta1.metrics.k8s.io\""
            ]
        );
        spec["service"]["port"] = 0.into();
        assert_eq!(
            told(&spec, "v1beta1.metrics.k8s.io"),
            [
                "spec.service.port: Invalid value: 0: port is not valid: must be between 1 and 65535, inclusive"
            ]
        );
        spec["service"]["port"] = 443.into();
        spec["caBundle"] = "YQ==".into();
        spec["insecureSkipTLSVerify"] = true.into();
        assert_eq!(
            told(&spec, "v1beta1.metrics.k8s.io"),
            [
                "spec.insecureSkipTLSVerify: Invalid value: true: may not be true if caBundle is present"
            ]
        );
        let mut ours = spec.clone();
        (ours["group"], ours["version"]) = ("apps".into(), "v1".into());
        ours["insecureSkipTLSVerify"] = Value::Null;
        assert_eq!(
            told(&ours, "v1.apps"),
            [
                "spec.service: Forbidden: the API server serves this group itself, and passes no request for it on"
            ]
        );
        spec["service"] = Value::Null;
        spec["groupPriorityMinimum"] = 20_001.into();
        assert_eq!(
            told(&spec, "v1beta1.metrics.k8s.io"),
            [
                "spec.groupPriorityMinimum: Invalid value: 20001: must be positive and less than 20000",
                "spec.caBundle: Invalid value: \"1 bytes\": local APIServices may not have a caBundle",
                "spec.insecureSkipTLSVerify: Invalid value: true: local APIServices may not have insecureSkipTLSVerify",
            ]
        );
        let legacy = json!({"version": "v1", "groupPriorityMinimum": 18_000, "versionPriority": 1});
        assert!(told(&legacy, "v1.").is_empty());
        let mut local = json!({"metadata": {"creationTimestamp": "t"}, "spec": legacy});
        (API_SERVICE.prepare_create)(&mut local);
        let condition = &local["status"]["conditions"][0];
        assert_eq!(
            (&condition["reason"], &condition["lastTransitionTime"]),
            (&json!("Local"), &json!("t"))
        );
    }
}
