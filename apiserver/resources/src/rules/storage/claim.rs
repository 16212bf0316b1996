//! PersistentVolumeClaims.

use super::{OLD_CLASS, access_modes, class_and_mode, drop_attributes_class, old_class, positive};
use crate::rules::field::{Errors, Path};
use crate::rules::json::{
    ensure_object, get, has, is_empty, list, object_mut, remove, set, set_default, text,
};
use crate::rules::kind::{Kind, WITH_STATUS};
use crate::rules::{FieldErrors, labels, pod};
use hardway_proto::names;
use hardway_proto::quantity::Quantity;
use serde_json::{Value, json};

/// Warnings of a claim's spec, on its own, in a StatefulSet or in a pod.
pub(in crate::rules) fn claim_warnings(warnings: &mut Vec<String>, path: &Path, spec: &Value) {
    let resources = get(spec, "resources");
    for kind in ["requests", "limits"] {
        let path = path.child("resources").child(kind).key("storage");
        pod::warnings::fraction(warnings, &path, get(get(resources, kind), "storage"));
    }
}

/// Fills in a claim, on its own or in a StatefulSet.
pub(in crate::rules) fn default_claim(claim: &mut Value) {
    if let Some(spec) = object_mut(claim, "spec") {
        set_default(spec, "volumeMode", "Filesystem");
        if let Some(resources) = ensure_object(spec, "resources") {
            pod::canonical_map(resources, "requests");
            pod::canonical_map(resources, "limits");
        }
    }
}

/// Of the older field only what it always could say is kept.
fn drop_unknown_source(claim: &mut Value) {
    let source = get(get(claim, "spec"), "dataSource");
    let known = matches!(
        (text(source, "apiGroup"), text(source, "kind")),
        ("", "PersistentVolumeClaim") | ("snapshot.storage.k8s.io", "VolumeSnapshot")
    );
    if !known && let Some(spec) = object_mut(claim, "spec") {
        remove(spec, "dataSource");
    }
}

/// What is in another namespace fills a claim only behind the feature gate
/// `CrossNamespaceVolumeDataSource`, which 1.33 has switched off.
fn drop_elsewhere(claim: &mut Value, old: Option<&Value>) {
    let field = "dataSourceRef";
    let elsewhere = |spec: &Value| !text(get(spec, field), "namespace").is_empty();
    if !old.is_some_and(|old| has(get(old, "spec"), field))
        && let Some(spec) = object_mut(claim, "spec").filter(|spec| elsewhere(spec))
    {
        remove(spec, field);
    }
}

/// What fills a claim is said twice (`pkg/api/persistentvolumeclaim`).
fn pair_sources(claim: &mut Value) {
    let Some(spec) = object_mut(claim, "spec") else {
        return;
    };
    let reference = get(spec, "dataSourceRef").clone();
    match (get(spec, "dataSource").clone(), reference) {
        (Value::Null, Value::Null) => {}
        (source, Value::Null) => set(spec, "dataSourceRef", source),
        (Value::Null, mut reference) if text(&reference, "namespace").is_empty() => {
            remove(&mut reference, "namespace");
            set(spec, "dataSource", reference);
        }
        _ => {}
    }
}

fn requested(claim: &Value) -> &Value {
    amount(get(claim, "spec"))
}

fn amount(spec: &Value) -> &Value {
    get(get(get(spec, "resources"), "requests"), "storage")
}

/// What a new claim, on its own or for a pod's own volume, is made from.
pub(in crate::rules) fn check_claim(e: &mut Errors, path: &Path, spec: &Value) {
    check_spec(e, path, spec, None);
}

/// The spec of a claim; `old` is the one that it replaces.
fn check_spec(e: &mut Errors, path: &Path, spec: &Value, old: Option<&Value>) {
    if list(spec, "accessModes").is_empty() {
        let detail = "at least 1 access mode is required";
        e.required(&path.child("accessModes"), detail);
    }
    let (at, selector) = (path.child("selector"), get(spec, "selector"));
    // Nobody looked at the values of expressions once: where some were wrong, they may be.
    let were_wrong = |old: &Value| {
        let before = get(old, "selector");
        !Errors::collect(|e| labels::check_selector(e, &at, before)).is_empty()
    };
    labels::check_selector_with(e, &at, selector, old.is_some_and(were_wrong));
    access_modes(e, path, spec);
    let at = path.child("resources").key("storage");
    match amount(spec) {
        Value::Null => e.required(&at, ""),
        amount => positive(e, &at, amount),
    }
    class_and_mode(e, path, spec);
    check_sources(e, path, spec, old);
}

/// What fills the volume. Nobody looked at its group once, so one that is wrong may stay.
fn check_sources(e: &mut Errors, path: &Path, spec: &Value, old: Option<&Value>) {
    let fields = ["dataSource", "dataSourceRef"];
    let grouped = |old: &Value| fields.iter().any(|field| has(get(old, field), "apiGroup"));
    let any_group = old.is_some_and(grouped);
    for field in fields.into_iter().filter(|field| has(spec, field)) {
        let (at, source) = (path.child(field), get(spec, field));
        for part in ["name", "kind"] {
            if text(source, part).is_empty() {
                e.required(&at.child(part), "");
            }
        }
        let (group, kind) = (text(source, "apiGroup"), text(source, "kind"));
        if group.is_empty() && kind != "PersistentVolumeClaim" {
            let detail = "must be 'PersistentVolumeClaim' when referencing the default apiGroup";
            e.invalid(&at, kind, detail);
        }
        if !group.is_empty() && !any_group {
            let problems = names::is_dns1123_subdomain(group);
            e.each(&at.child("apiGroup"), group, problems);
        }
        let namespace = text(source, "namespace");
        if field == "dataSourceRef" && !namespace.is_empty() {
            let problems = names::is_dns1123_label(namespace);
            e.each(&at.child("namespace"), namespace, problems);
        }
    }
    let [source, reference] = fields.map(|field| get(spec, field));
    if source.is_null() || reference.is_null() {
        return;
    }
    // The value that Kubernetes shows is a path, of which nothing is seen.
    let hidden = json!({});
    let said = |of: &Value| ["apiGroup", "kind", "name"].map(|field| get(of, field).clone());
    if !text(reference, "namespace").is_empty() {
        let detail = "may not be specified when dataSourceRef.namespace is specified";
        e.invalid(path, &hidden, detail);
    } else if said(source) != said(reference) {
        e.invalid(path, &hidden, "must match dataSourceRef");
    }
}

/// What a claim says of its class in the old way.
fn annotated(claim: &Value) -> &Value {
    get(get(get(claim, "metadata"), "annotations"), OLD_CLASS)
}

/// Whether the class that was named in the old way is named in the new one as well.
fn class_moved(new: &Value, old: &Value) -> bool {
    let class = |claim| get(get(claim, "spec"), "storageClassName");
    let before = annotated(old);
    !before.is_null()
        && class(old).is_null()
        && class(new) == before
        && (annotated(new).is_null() || annotated(new) == before)
}

/// What is wrong with a change, beside what is wrong with the claim.
fn check_change(e: &mut Errors, new: &Value, old: &Value) {
    let quantity = |amount| Quantity::from_json(amount).unwrap_or_default();
    let asked = quantity(requested(new));
    let given = get(get(get(old, "status"), "capacity"), "storage");
    if !class_moved(new, old) && annotated(new) != annotated(old) {
        let at = Path::new("metadata.annotations").child(OLD_CLASS);
        let class = annotated(new).as_str().unwrap_or_default();
        e.invalid(&at, class, "field is immutable");
    }
    let is_bound = text(get(new, "status"), "phase") == "Bound";
    let bare = |claim: &Value| {
        let mut spec = get(claim, "spec").clone();
        let requests = spec.pointer_mut("/resources/requests");
        if let Some(Value::Object(requests)) = requests.filter(|_| is_bound) {
            requests.remove("storage");
        }
        // A claim may be bound, and be given a class, once.
        for field in ["volumeName", "storageClassName"] {
            if is_empty(get(get(old, "spec"), field)) {
                remove(&mut spec, field);
            }
        }
        spec
    };
    if bare(new) != bare(old) {
        e.forbidden(&Path::new("spec"), "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims");
    }
    // Who asked for more than can be had may ask for less again, but never for what
    // would shrink the volume.
    if asked < quantity(requested(old)) && asked <= quantity(given) {
        e.forbidden(
            &Path::new("spec.resources.requests.storage"),
            "field can not be less than status.capacity",
        );
    }
    // Kubernetes names it as if it were no part of the spec.
    let mode = |claim| get(get(claim, "spec"), "volumeMode");
    e.immutable(&Path::new("volumeMode"), mode(new), mode(old));
}

fn check(claim: &Value, old: Option<&Value>) -> FieldErrors {
    Errors::collect(|e| {
        let before = old.map(|old| get(old, "spec"));
        check_spec(e, &Path::new("spec"), get(claim, "spec"), before);
        if let Some(old) = old {
            check_change(e, claim, old);
        }
    })
}

pub(in crate::rules) const CLAIM: Kind = Kind {
    warnings: |claim, _| {
        let mut warnings = Vec::new();
        old_class(&mut warnings, claim);
        claim_warnings(&mut warnings, &Path::new("spec"), get(claim, "spec"));
        warnings
    },
    status: r#"{"phase":"Pending"}"#,
    generation: false,
    default: default_claim,
    prepare_create: |claim| {
        drop_attributes_class(claim, None);
        drop_elsewhere(claim, None);
        drop_unknown_source(claim);
        pair_sources(claim);
    },
    prepare_update: |new, old| {
        drop_attributes_class(new, Some(old));
        drop_elsewhere(new, Some(old));
        let before = get(old, "spec");
        let (sourced, paired) = (has(before, "dataSource"), has(before, "dataSourceRef"));
        if !sourced && !paired {
            drop_unknown_source(new);
        }
        // One of before Kubernetes said it twice stays as it is.
        if paired || !sourced {
            pair_sources(new);
        }
    },
    validate: |claim| check(claim, None),
    validate_changed: Some(|new, old| check(new, Some(old))),
    ..WITH_STATUS
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::KindRules;

    fn changed(new: &Value, old: &Value) -> Vec<String> {
        let causes = KindRules::validate_changed(&CLAIM, new, old).causes;
        causes
            .into_iter()
            .map(|cause| format!("{}: {}", cause.field, cause.message))
            .collect()
    }

    #[test]
    fn claims() {
        let mut claim = json!({"spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "0.5Gi"}}}});
        CLAIM.default(&mut claim);
        assert_eq!(claim["spec"]["resources"]["requests"]["storage"], "512Mi");
        assert!(KindRules::validate(&CLAIM, &claim).is_empty());
        let mut bound = claim.clone();
        bound["spec"]["volumeName"] = json!("pv1");
        assert!(changed(&bound, &claim).is_empty());
        assert_eq!(changed(&claim, &bound), [FIXED]);
        let found = KindRules::validate(&CLAIM, &json!({"spec": {}}));
        assert_eq!(
            found[0].message,
            "Required value: at least 1 access mode is required"
        );
        assert_eq!(found[1].field, "spec.resources[storage]");
    }

    #[test]
    fn a_bound_claim_asks_for_more_and_less_than_that_again() {
        let claim = |asked: &str, given: Value| {
            json!({"spec": {"accessModes": ["ReadWriteOnce"],
                            "resources": {"requests": {"storage": asked}}},
                   "status": given})
        };
        let bound = || json!({"phase": "Bound", "capacity": {"storage": "1Gi"}});
        let said = |new: &str, old: &str, status: Value| {
            let (new, old) = (claim(new, status.clone()), claim(old, status));
            changed(&new, &old).join("; ")
        };
        assert_eq!(said("9Gi", "1Gi", bound()), "");
        assert_eq!(said("2Gi", "9Gi", bound()), "");
        assert!(
            said("1Gi", "9Gi", bound()).ends_with("field can not be less than status.capacity")
        );
        let pending = json!({"phase": "Pending"});
        assert!(said("9Gi", "1Gi", pending).contains("spec is immutable after creation"));
    }

    #[test]
    fn a_class_of_attributes_is_left_out_unless_it_was_there() {
        let with = || json!({"spec": {"volumeAttributesClassName": "fast"}});
        let mut new = with();
        CLAIM.prepare_create(&mut new);
        assert!(new["spec"]["volumeAttributesClassName"].is_null());
        let mut new = with();
        CLAIM.prepare_update(&mut new, &with());
        assert_eq!(new["spec"]["volumeAttributesClassName"], "fast");
    }

    const FIXED: &str = "spec: Forbidden: spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims";

    fn filled_by(source: Value, reference: Value) -> Value {
        let mut claim = json!({"metadata": {}, "spec": {"accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1Gi"}}}});
        for (field, value) in [("dataSource", source), ("dataSourceRef", reference)] {
            if !value.is_null() {
                claim["spec"][field] = value;
            }
        }
        claim
    }

    /// What becomes of a source while a claim isn't filled, and when it is.
    #[test]
    fn what_fills_a_claim_stays() {
        let other = |name: &str| json!({"kind": "PersistentVolumeClaim", "name": name});
        let mut old = filled_by(other("a"), Value::Null);
        CLAIM.prepare_create(&mut old);
        assert_eq!(old["spec"]["dataSourceRef"], other("a"));
        assert_eq!(changed(&old, &old), [""; 0]);
        for source in [
            other("b"),
            json!({"apiGroup": "a.b", "kind": "K", "name": "b"}),
        ] {
            let mut new = filled_by(source, other("a"));
            KindRules::prepare_update(&CLAIM, &mut new, &old);
            assert_eq!(
                changed(&new, &old),
                ["spec: Invalid value: {}: must match dataSourceRef", FIXED]
            );
        }
        let mut new = filled_by(
            Value::Null,
            json!({"kind": "PersistentVolumeClaim", "name": "a", "namespace": "n"}),
        );
        CLAIM.prepare_create(&mut new);
        assert!(new["spec"].get("dataSourceRef").is_none());
        let odd = filled_by(
            Value::Null,
            json!({"apiGroup": "A_b", "kind": "K", "name": "b"}),
        );
        assert_eq!(
            KindRules::validate(&CLAIM, &odd)[0].field,
            "spec.dataSourceRef.apiGroup"
        );
        assert_eq!(changed(&odd, &odd), [""; 0]);
    }

    #[test]
    fn an_old_class_moves_to_its_field() {
        let claim = |old: Value, class: Value| {
            let mut claim = filled_by(Value::Null, Value::Null);
            claim["metadata"]["annotations"] = json!({OLD_CLASS: old});
            claim["spec"]["storageClassName"] = class;
            claim
        };
        let old = claim("a".into(), Value::Null);
        assert_eq!(changed(&claim("a".into(), "a".into()), &old), [""; 0]);
        assert_eq!(
            changed(&claim("b".into(), Value::Null), &old),
            [
                r#"metadata.annotations.volume.beta.kubernetes.io/storage-class: Invalid value: "b": field is immutable"#
            ]
        );
        let mut block = old.clone();
        block["spec"]["volumeMode"] = "Block".into();
        assert_eq!(
            changed(&block, &old),
            [
                FIXED,
                r#"volumeMode: Invalid value: "Block": field is immutable"#
            ]
        );
    }
}
