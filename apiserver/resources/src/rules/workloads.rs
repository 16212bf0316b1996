//! Controllers of pods that run on: ReplicationController, ReplicaSet,
//! Deployment, DaemonSet, StatefulSet; and ControllerRevision. Here are the first three and
//! what they share with the others, which have files of their own.

use super::field::{Errors, Path};
use super::json::{
    default_text, ensure_object, get, has, int, is_empty, object_mut, set, set_default, text,
};
use super::kind::{Kind, PLAIN, WITH_STATUS};
use super::pod::warnings::of_template;
use super::{labels, status, template};
use hardway_proto::names;
use serde_json::Value;

mod daemon_set;
mod stateful_set;

pub(super) use daemon_set::DAEMON_SET;
pub(super) use stateful_set::STATEFUL_SET;

type Selectable = Vec<(&'static str, String)>;

fn replicas_field(object: &Value) -> Selectable {
    let replicas = int(get(object, "status"), "replicas").unwrap_or_default();
    vec![("status.replicas", replicas.to_string())]
}

fn spec_of(object: &Value) -> (Path, &Value) {
    (Path::new("spec"), get(object, "spec"))
}

fn with_spec(object: &mut Value, fill: impl FnOnce(&mut Value)) {
    if let Some(spec) = ensure_object(object, "spec") {
        template::default_template(spec);
        fill(spec);
    }
}

pub(super) const REPLICATION_CONTROLLER: Kind = Kind {
    name: names::is_dns1123_subdomain,
    status: r#"{"replicas":0}"#,
    default: |object| {
        if let Some(spec) = ensure_object(object, "spec") {
            set_default(spec, "replicas", 1);
            // Unlike elsewhere a template left out is an error of its own.
            if has(spec, "template") {
                template::default_template(spec);
            }
        }
        let spec = get(object, "spec");
        let own = get(get(get(spec, "template"), "metadata"), "labels").clone();
        if is_empty(&own) {
            return;
        }
        if is_empty(get(spec, "selector"))
            && let Some(spec) = object_mut(object, "spec")
        {
            set(spec, "selector", own.clone());
        }
        if let Some(meta) = ensure_object(object, "metadata")
            && is_empty(get(meta, "labels"))
        {
            set(meta, "labels", own);
        }
    },
    prepare_create: |object| template::drop_disabled_of_spec(object, &Value::Null),
    prepare_update: template::drop_disabled_of_spec,
    validate: |object| Errors::collect(|e| check_controller(e, object, None)),
    validate_again: Some(|new, old| Errors::collect(|e| check_controller(e, new, Some(old)))),
    validate_status: status::replicas,
    fields: replicas_field,
    warnings: |new, old| of_template(new, old, "spec.template", true),
    ..WITH_STATUS
};

fn check_controller(e: &mut Errors, object: &Value, old: Option<&Value>) {
    let (path, spec) = spec_of(object);
    e.non_negative(&path.child("minReadySeconds"), int(spec, "minReadySeconds"));
    let selector = get(spec, "selector");
    if is_empty(selector) {
        e.required(&path.child("selector"), "");
    }
    labels::check(e, &path.child("selector"), selector);
    replicas(e, &path, spec);
    let at = path.child("template");
    match get(spec, "template") {
        Value::Null => e.required(&at, ""),
        template => {
            if !is_empty(selector) {
                template::check_labels(e, &at, template, selector);
            }
            let old = template::of_spec(old);
            template::check_restarting(e, &at, template, old, "ReplicationController");
        }
    }
}

fn replicas(e: &mut Errors, path: &Path, spec: &Value) {
    e.non_negative(&path.child("replicas"), int(spec, "replicas"));
}

/// `spec.selector` of apps/v1: there, not empty, and well-formed.
fn selector(e: &mut Errors, path: &Path, spec: &Value, kind: &str) {
    let at = path.child("selector");
    let selector = get(spec, "selector");
    if selector.is_null() {
        return e.required(&at, "");
    }
    labels::check_selector(e, &at, selector);
    if is_empty(get(selector, "matchLabels")) && is_empty(get(selector, "matchExpressions")) {
        let detail = format!("empty selector is invalid for {kind}");
        e.invalid(&at, selector, &detail);
    }
}

/// Whether no labels could be told to match it.
fn is_malformed(selector: &Value) -> bool {
    hardway_proto::labels::Selector::from_json(selector).is_err()
        || !Errors::collect(|e| labels::check_selector(e, &Path::default(), selector)).is_empty()
}

/// The template of an apps/v1 kind, unless its selector can't be understood, which is
/// told in these words. Faults of an earlier version's template may stay.
fn check_template(
    e: &mut Errors,
    path: &Path,
    spec: &Value,
    old: Option<&Value>,
    malformed: &str,
    owner: &str,
) {
    let selector = get(spec, "selector");
    if !selector.is_null() && is_malformed(selector) {
        return e.invalid(&path.child("selector"), selector, malformed);
    }
    let (path, template) = (path.child("template"), get(spec, "template"));
    template::check_labels(e, &path, template, selector);
    template::check_restarting(e, &path, template, template::of_spec(old), owner);
}

/// What Kubernetes says of a selector that it can't understand.
const MALFORMED: &str = "invalid label selector";

fn selector_stays(e: &mut Errors, new: &Value, old: &Value) {
    let of = |object| get(get(object, "spec"), "selector");
    e.immutable(&Path::new("spec.selector"), of(new), of(old));
}

fn immutable_selector(new: &Value, old: &Value) -> super::FieldErrors {
    Errors::collect(|e| selector_stays(e, new, old))
}

fn check_replica_set(e: &mut Errors, object: &Value, old: Option<&Value>) {
    let (path, spec) = spec_of(object);
    replicas(e, &path, spec);
    e.non_negative(&path.child("minReadySeconds"), int(spec, "minReadySeconds"));
    // Its words, too.
    selector(e, &path, spec, "deployment");
    check_template(e, &path, spec, old, MALFORMED, "ReplicaSet");
}

pub(super) const REPLICA_SET: Kind = Kind {
    status: r#"{"replicas":0}"#,
    default: |object| with_spec(object, |spec| set_default(spec, "replicas", 1)),
    prepare_create: |object| template::drop_disabled_of_spec(object, &Value::Null),
    prepare_update: template::drop_disabled_of_spec,
    validate: |object| Errors::collect(|e| check_replica_set(e, object, None)),
    validate_again: Some(|new, old| Errors::collect(|e| check_replica_set(e, new, Some(old)))),
    validate_update: immutable_selector,
    fields: replicas_field,
    validate_status: status::replicas,
    warnings: |new, old| of_template(new, old, "spec.template", true),
    ..WITH_STATUS
};

fn check_deployment(e: &mut Errors, object: &Value, old: Option<&Value>) {
    let (path, spec) = spec_of(object);
    replicas(e, &path, spec);
    selector(e, &path, spec, "deployment");
    check_template(e, &path, spec, old, MALFORMED, "ReplicaSet");
    check_strategy(e, &path.child("strategy"), get(spec, "strategy"));
    e.non_negative(&path.child("minReadySeconds"), int(spec, "minReadySeconds"));
    let history = int(spec, "revisionHistoryLimit");
    e.non_negative(&path.child("revisionHistoryLimit"), history);
    let deadline = int(spec, "progressDeadlineSeconds");
    let at = path.child("progressDeadlineSeconds");
    e.non_negative(&at, deadline);
    let ready = int(spec, "minReadySeconds").unwrap_or_default();
    if let Some(n) = deadline.filter(|n| *n <= ready) {
        e.invalid(&at, n, "must be greater than minReadySeconds");
    }
}

pub(super) const DEPLOYMENT: Kind = Kind {
    // They go on to its ReplicaSets.
    counted_metadata: &["annotations"],
    default: |object| {
        with_spec(object, |spec| {
            set_default(spec, "replicas", 1);
            set_default(spec, "revisionHistoryLimit", 10);
            set_default(spec, "progressDeadlineSeconds", 600);
            if let Some(strategy) = ensure_object(spec, "strategy") {
                default_text(strategy, "type", "RollingUpdate");
                rolling(strategy, "25%", "25%");
            }
        });
    },
    prepare_create: |object| template::drop_disabled_of_spec(object, &Value::Null),
    prepare_update: template::drop_disabled_of_spec,
    validate: |object| Errors::collect(|e| check_deployment(e, object, None)),
    validate_again: Some(|new, old| Errors::collect(|e| check_deployment(e, new, Some(old)))),
    validate_update: immutable_selector,
    validate_status: status::deployment,
    warnings: |new, old| of_template(new, old, "spec.template", true),
    ..WITH_STATUS
};

/// Fills in `rollingUpdate` where that is the strategy.
fn rolling(strategy: &mut Value, unavailable: impl Into<Value>, surge: impl Into<Value>) {
    if text(strategy, "type") == "RollingUpdate"
        && let Some(rolling) = ensure_object(strategy, "rollingUpdate")
    {
        set_default(rolling, "maxUnavailable", unavailable);
        set_default(rolling, "maxSurge", surge);
    }
}

fn check_strategy(e: &mut Errors, path: &Path, strategy: &Value) {
    let at = path.child("rollingUpdate");
    match text(strategy, "type") {
        "RollingUpdate" => {
            let rolling = get(strategy, "rollingUpdate");
            check_steps(e, &at, rolling);
            if !is_some(rolling, "maxUnavailable") && !is_some(rolling, "maxSurge") {
                e.invalid(
                    &at.child("maxUnavailable"),
                    get(rolling, "maxUnavailable"),
                    "may not be 0 when `maxSurge` is 0",
                );
            }
            at_most_all(e, &at, rolling, "maxUnavailable");
        }
        "Recreate" => {
            if has(strategy, "rollingUpdate") {
                e.forbidden(
                    &at,
                    "may not be specified when strategy `type` is 'Recreate'",
                );
            }
        }
        _ => e.not_supported(path, strategy, &["Recreate", "RollingUpdate"]),
    }
}

/// How many pods at a time, as numbers or percentages.
fn check_steps(e: &mut Errors, path: &Path, rolling: &Value) {
    for field in ["maxUnavailable", "maxSurge"] {
        check_amount(e, &path.child(field), get(rolling, field));
    }
}

/// Whether a number or percentage is of any; what is neither is none.
fn is_some(rolling: &Value, field: &str) -> bool {
    match get(rolling, field) {
        Value::String(text) => {
            let number = text.strip_suffix('%').unwrap_or(text);
            number.parse::<i64>().is_ok_and(|number| number != 0)
        }
        number => number.as_i64().is_some_and(|number| number != 0),
    }
}

/// A percentage may be no more than all there are.
pub(super) fn at_most_all(e: &mut Errors, path: &Path, bearer: &Value, field: &str) {
    let amount = text(bearer, field);
    let percent = amount.strip_suffix('%').unwrap_or_default().parse::<i64>();
    if names::is_percent(amount).is_empty() && percent.is_ok_and(|percent| percent > 100) {
        let detail = "must not be greater than 100%";
        e.invalid(&path.child(field), amount, detail);
    }
}

/// A number or percentage.
pub(super) fn check_amount(e: &mut Errors, path: &Path, amount: &Value) {
    match amount {
        Value::String(text) => e.each(path, text, names::is_percent(text)),
        other => e.non_negative(path, other.as_i64()),
    }
}

pub(super) const CONTROLLER_REVISION: Kind = Kind {
    validate: |object| {
        Errors::collect(|e| {
            e.non_negative(&Path::new("revision"), int(object, "revision"));
            if !has(object, "data") {
                e.required(&Path::new("data"), "data is mandatory");
            }
        })
    },
    validate_update: |new, old| {
        Errors::collect(|e| e.immutable(&Path::new("data"), get(new, "data"), get(old, "data")))
    },
    ..PLAIN
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::KindRules;
    use serde_json::json;

    pub(super) fn spec(selector: Value, labels: Value) -> Value {
        json!({"metadata": {"name": "web"}, "spec": {
            "selector": selector,
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "a", "image": "x:1"}]}},
        }})
    }

    pub(super) fn messages(causes: crate::rules::FieldErrors) -> Vec<String> {
        causes
            .iter()
            .map(|c| format!("{}: {}", c.field, c.message))
            .collect()
    }

    #[test]
    fn replication_controllers_take_selector_and_labels_from_the_template() {
        let mut rc = spec(Value::Null, json!({"name": "web"}));
        REPLICATION_CONTROLLER.default(&mut rc);
        assert_eq!(rc["spec"]["selector"], json!({"name": "web"}));
        assert_eq!(rc["metadata"]["labels"], json!({"name": "web"}));
        assert_eq!(rc["spec"]["replicas"], 1);
        assert_eq!(
            messages(KindRules::validate(&REPLICATION_CONTROLLER, &rc)),
            [""; 0]
        );
        rc["spec"]["selector"] = json!({"name": "db"});
        assert_eq!(
            messages(KindRules::validate(&REPLICATION_CONTROLLER, &rc)),
            [
                r#"spec.template.metadata.labels: Invalid value: {"name":"web"}: `selector` does not match template `labels`"#
            ]
        );
    }

    #[test]
    fn what_is_missing_is_named() {
        let mut rc = json!({"metadata": {"name": "web"}});
        REPLICATION_CONTROLLER.default(&mut rc);
        assert_eq!(
            messages(KindRules::validate(&REPLICATION_CONTROLLER, &rc)),
            [
                "spec.selector: Required value",
                "spec.template: Required value"
            ]
        );
        let mut deployment = json!({"metadata": {"name": "web"}});
        DEPLOYMENT.default(&mut deployment);
        assert_eq!(
            messages(KindRules::validate(&DEPLOYMENT, &deployment)),
            [
                "spec.selector: Required value",
                "spec.template.metadata.labels: Invalid value: null: `selector` does not match template `labels`",
                "spec.template.spec.containers: Required value"
            ]
        );
    }

    #[test]
    fn deployments() {
        let mut deployment = spec(
            json!({"matchLabels": {"app": "web"}}),
            json!({"app": "web"}),
        );
        DEPLOYMENT.default(&mut deployment);
        assert_eq!(
            deployment["spec"]["strategy"],
            json!({"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"}})
        );
        assert_eq!(deployment["spec"]["progressDeadlineSeconds"], 600);
        assert_eq!(
            messages(KindRules::validate(&DEPLOYMENT, &deployment)),
            [""; 0]
        );
        let mut changed = deployment.clone();
        changed["spec"]["selector"] = json!({"matchLabels": {"app": "db"}});
        assert_eq!(
            messages(KindRules::validate_update(
                &DEPLOYMENT,
                &changed,
                &deployment
            )),
            [r#"spec.selector: Invalid value: {"matchLabels":{"app":"db"}}: field is immutable"#]
        );
        changed["spec"]["strategy"] = json!({"type": "Replace"});
        changed["spec"]["template"]["spec"]["restartPolicy"] = json!("Never");
        changed["spec"]["replicas"] = json!(-1);
        assert_eq!(
            messages(KindRules::validate(&DEPLOYMENT, &changed)),
            [
                "spec.replicas: Invalid value: -1: must be greater than or equal to 0",
                r#"spec.template.metadata.labels: Invalid value: {"app":"web"}: `selector` does not match template `labels`"#,
                r#"spec.template.spec.restartPolicy: Unsupported value: "Never": supported values: "Always""#,
                r#"spec.strategy: Unsupported value: {"type":"Replace"}: supported values: "Recreate", "RollingUpdate""#,
            ]
        );
    }

    #[test]
    fn a_missing_selector_is_required() {
        let mut rs = spec(Value::Null, json!({"app": "web"}));
        REPLICA_SET.default(&mut rs);
        assert_eq!(
            messages(KindRules::validate(&REPLICA_SET, &rs)),
            [
                "spec.selector: Required value",
                r#"spec.template.metadata.labels: Invalid value: {"app":"web"}: `selector` does not match template `labels`"#
            ]
        );
    }
}
