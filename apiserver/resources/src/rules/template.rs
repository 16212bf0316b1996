//! Pod templates, shared by everything that makes pods.

use super::field::{Errors, Path};
use super::json::{ensure_object, get, has, object_mut, set_default, text};
use super::kind::{Kind, PLAIN};
use super::{labels, meta, pod};
use serde_json::{Value, json};

/// Fills in the pod spec of `bearer.template`.
pub fn default_template(bearer: &mut Value) {
    if let Some(template) = ensure_object(bearer, "template") {
        set_default(template, "metadata", json!({}));
        if let Some(spec) = ensure_object(template, "spec") {
            pod::default_spec(spec);
        }
    }
}

/// Takes out of `bearer.template` what 1.33 has switched off, unless an earlier version of
/// the bearer has it.
pub fn drop_disabled(bearer: &mut Value, old: &Value) {
    if let Some(spec) = object_mut(bearer, "template").and_then(|t| object_mut(t, "spec")) {
        pod::drop_disabled(spec, get(get(old, "template"), "spec"));
    }
}

/// The same for the many kinds whose spec bears the template.
pub fn drop_disabled_of_spec(object: &mut Value, old: &Value) {
    if let Some(spec) = object_mut(object, "spec") {
        drop_disabled(spec, get(old, "spec"));
    }
}

/// The template of an earlier version, if there is one and it has one.
pub fn of_spec(object: Option<&Value>) -> Option<&Value> {
    let template = get(get(object?, "spec"), "template");
    (!template.is_null()).then_some(template)
}

/// What is wrong with a template, its labels and annotations included; faults of an
/// earlier one may stay (`ValidatePodTemplateSpec`).
pub fn check(e: &mut Errors, path: &Path, template: &Value, old: Option<&Value>) {
    let (metadata, spec) = (get(template, "metadata"), get(template, "spec"));
    let options = pod::Options::default().after(old);
    // As Kubernetes names them, without where they are.
    meta::check_template(e, path, metadata);
    pod::check_annotations(e, &path.child("annotations"), metadata, spec, options);
    let path = path.child("spec");
    pod::check_spec(e, &path, spec, options);
    pod::check_seccomp(e, &path, metadata, spec);
    if has(spec, "ephemeralContainers") {
        e.forbidden(
            &path.child("ephemeralContainers"),
            "ephemeral containers not allowed in pod template",
        );
    }
}

/// What is wrong with labels that are to be selected: no selector selects nothing, an
/// empty one everything.
pub fn check_labels(e: &mut Errors, path: &Path, template: &Value, selector: &Value) {
    let own = get(get(template, "metadata"), "labels");
    let all = !selector.is_null() && super::json::is_empty(selector);
    if !all && (selector.is_null() || !labels::selects(selector, own)) {
        e.invalid(
            &path.child("metadata.labels"),
            own,
            "`selector` does not match template `labels`",
        );
    }
}

/// A template of pods that always restart.
pub fn check_restarting(
    e: &mut Errors,
    path: &Path,
    template: &Value,
    old: Option<&Value>,
    owner: &str,
) {
    check(e, path, template, old);
    let spec = get(template, "spec");
    let restart = text(spec, "restartPolicy");
    if restart != "Always" && !restart.is_empty() {
        e.not_supported(&path.child("spec.restartPolicy"), restart, &["Always"]);
    }
    if has(spec, "activeDeadlineSeconds") {
        let detail = format!("activeDeadlineSeconds in {owner} is not Supported");
        e.forbidden(&path.child("spec.activeDeadlineSeconds"), &detail);
    }
}

/// The kind PodTemplate.
pub(super) const POD_TEMPLATE: Kind = Kind {
    default: default_template,
    prepare_create: |object| drop_disabled(object, &Value::Null),
    prepare_update: drop_disabled,
    validate: |object| {
        Errors::collect(|e| check(e, &Path::new("template"), get(object, "template"), None))
    },
    validate_again: Some(|new, old| {
        let (new, old) = (get(new, "template"), get(old, "template"));
        Errors::collect(|e| check(e, &Path::new("template"), new, Some(old)))
    }),
    warnings: |new, old| pod::warnings::of_template(new, old, "template", false),
    ..PLAIN
};
