//! Pod templates, shared by everything that makes pods.

use super::field::{Errors, Path};
use super::json::{ensure_object, get, has, set_default, text};
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

/// What is wrong with a template, its labels and annotations included.
pub fn check(e: &mut Errors, path: &Path, template: &Value) {
    let metadata = get(template, "metadata");
    // As Kubernetes names them, without where they are.
    meta::check_template(e, path, metadata);
    pod::check_deletion_cost(e, &path.child("metadata"), metadata);
    let spec = get(template, "spec");
    pod::check_annotations(e, &path.child("metadata"), metadata, spec);
    pod::check_spec(e, &path.child("spec"), spec);
    if has(spec, "ephemeralContainers") {
        e.forbidden(
            &path.child("spec.ephemeralContainers"),
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
pub fn check_restarting(e: &mut Errors, path: &Path, template: &Value, owner: &str) {
    check(e, path, template);
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
    validate: |object| {
        Errors::collect(|e| check(e, &Path::new("template"), get(object, "template")))
    },
    warnings: |new, old| pod::warnings::of_template(new, old, "template", false),
    ..PLAIN
};
