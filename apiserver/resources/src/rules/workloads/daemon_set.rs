//! DaemonSets: their rollout's steps, and the count of their templates.

use super::{
    at_most_all, check_steps, immutable_selector, is_malformed, is_some, rolling, selector,
    spec_of, with_spec,
};
use crate::rules::conversions::TEMPLATE_GENERATION;
use crate::rules::field::{Errors, Path};
use crate::rules::json::{default_text, ensure_object, get, int, set, set_default, text};
use crate::rules::kind::{Kind, WITH_STATUS};
use crate::rules::pod::warnings::of_template;
use crate::rules::{status, template};
use serde_json::Value;

/// A DaemonSet's pods are gone before others come, or there are others before they go.
fn check_daemons(e: &mut Errors, path: &Path, rolling: &Value) {
    check_steps(e, path, rolling);
    let (unavailable, surge) = ("maxUnavailable", "maxSurge");
    match (is_some(rolling, unavailable), is_some(rolling, surge)) {
        (false, false) => e.required(&path.child(unavailable), "cannot be 0 when maxSurge is 0"),
        (true, true) => e.invalid(
            &path.child(surge),
            get(rolling, surge),
            "may not be set when maxUnavailable is non-zero",
        ),
        _ => {}
    }
    for field in [unavailable, surge] {
        at_most_all(e, path, rolling, field);
    }
}

fn default_daemon_set(object: &mut Value) {
    with_spec(object, |spec| {
        set_default(spec, "revisionHistoryLimit", 10);
        if let Some(strategy) = ensure_object(spec, "updateStrategy") {
            default_text(strategy, "type", "RollingUpdate");
            rolling(strategy, 1, 0);
        }
    });
}

/// How often a DaemonSet's template has changed. Clients can't say.
fn set_template_generation(object: &mut Value, generation: i64) {
    if let Some(meta) = ensure_object(object, "metadata")
        && let Some(annotations) = ensure_object(meta, "annotations")
    {
        set(annotations, TEMPLATE_GENERATION, generation.to_string());
    }
}

fn count_template_generation(new: &mut Value, old: &Value) {
    let annotations = get(get(old, "metadata"), "annotations");
    let before = text(annotations, TEMPLATE_GENERATION).parse().ok();
    let mut filled = new.clone();
    default_daemon_set(&mut filled);
    let template = |object| get(get(object, "spec"), "template");
    match (before, template(&filled) == template(old)) {
        (Some(count), true) => set_template_generation(new, count),
        (count, false) => set_template_generation(new, count.unwrap_or(0).saturating_add(1)),
        (None, true) => {}
    }
}

fn check(e: &mut Errors, object: &Value, old: Option<&Value>) {
    let (path, spec) = spec_of(object);
    let chosen = get(spec, "selector");
    if !chosen.is_null() {
        selector(e, &path, spec, "daemonset");
    }
    let (at, template) = (path.child("template"), get(spec, "template"));
    if chosen.is_null() || !is_malformed(chosen) {
        template::check_labels(e, &at, template, chosen);
    }
    template::check_restarting(e, &at, template, template::of_spec(old), "DaemonSet");
    e.non_negative(&path.child("minReadySeconds"), int(spec, "minReadySeconds"));
    let history = int(spec, "revisionHistoryLimit");
    e.non_negative(&path.child("revisionHistoryLimit"), history);
    let (at, strategy) = (path.child("updateStrategy"), get(spec, "updateStrategy"));
    match text(strategy, "type") {
        "RollingUpdate" => {
            let rolling = get(strategy, "rollingUpdate");
            check_daemons(e, &at.child("rollingUpdate"), rolling);
        }
        "OnDelete" => {}
        _ => e.not_supported(&at, strategy, &["RollingUpdate", "OnDelete"]),
    }
}

pub(in crate::rules) const DAEMON_SET: Kind = Kind {
    status: r#"{"currentNumberScheduled":0,"numberMisscheduled":0,"desiredNumberScheduled":0,"numberReady":0}"#,
    default: default_daemon_set,
    prepare_create: |object| {
        template::drop_disabled_of_spec(object, &Value::Null);
        set_template_generation(object, 1);
    },
    prepare_update: |new, old| {
        template::drop_disabled_of_spec(new, old);
        count_template_generation(new, old);
    },
    validate: |object| Errors::collect(|e| check(e, object, None)),
    validate_again: Some(|new, old| Errors::collect(|e| check(e, new, Some(old)))),
    validate_update: immutable_selector,
    validate_status: status::daemon_set,
    warnings: |new, old| of_template(new, old, "spec.template", false),
    ..WITH_STATUS
};

#[cfg(test)]
mod tests {
    use super::super::tests::spec;
    use super::*;
    use crate::rules::KindRules;
    use serde_json::json;

    #[test]
    fn daemon_sets_count_their_templates() {
        let mut old = spec(json!({"matchLabels": {"a": "b"}}), json!({"a": "b"}));
        KindRules::prepare_create(&DAEMON_SET, &mut old);
        DAEMON_SET.default(&mut old);
        let count = |object: &Value| object["metadata"]["annotations"][TEMPLATE_GENERATION].clone();
        assert_eq!(count(&old), "1");
        // A replacement that says the same again, without defaults and count.
        let mut new = spec(json!({"matchLabels": {"a": "b"}}), json!({"a": "b"}));
        KindRules::prepare_update(&DAEMON_SET, &mut new, &old);
        assert_eq!(count(&new), "1");
        new["spec"]["template"]["spec"]["containers"][0]["image"] = json!("x:2");
        KindRules::prepare_update(&DAEMON_SET, &mut new, &old);
        assert_eq!(count(&new), "2");
    }
}
