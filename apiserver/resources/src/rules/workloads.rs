//! Controllers of pods that run on: ReplicationController, ReplicaSet,
//! Deployment, DaemonSet, StatefulSet; and ControllerRevision.

use super::conversions::TEMPLATE_GENERATION;
use super::field::{Errors, Path};
use super::json::{
    default_text, ensure_object, get, has, int, is_empty, list, list_mut, object_mut, remove, set,
    set_default, text,
};
use super::kind::{Kind, PLAIN, WITH_STATUS};
use super::pod::warnings::of_template;
use super::{labels, status, storage, template};
use hardway_proto::names;
use serde_json::{Value, json};
use std::borrow::Cow;
use std::collections::HashSet;

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
    validate: |object| {
        Errors::collect(|e| {
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
                    template::check_restarting(e, &at, template, "ReplicationController");
                }
            }
        })
    },
    validate_status: status::replicas,
    fields: replicas_field,
    warnings: |new, old| of_template(new, old, "spec.template", true),
    ..WITH_STATUS
};

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
/// told in these words.
fn check_template(e: &mut Errors, path: &Path, spec: &Value, malformed: &str, owner: &str) {
    let selector = get(spec, "selector");
    if !selector.is_null() && is_malformed(selector) {
        return e.invalid(&path.child("selector"), selector, malformed);
    }
    let (path, template) = (path.child("template"), get(spec, "template"));
    template::check_labels(e, &path, template, selector);
    template::check_restarting(e, &path, template, owner);
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

pub(super) const REPLICA_SET: Kind = Kind {
    status: r#"{"replicas":0}"#,
    default: |object| with_spec(object, |spec| set_default(spec, "replicas", 1)),
    validate: |object| {
        Errors::collect(|e| {
            let (path, spec) = spec_of(object);
            replicas(e, &path, spec);
            e.non_negative(&path.child("minReadySeconds"), int(spec, "minReadySeconds"));
            // Its words, too.
            selector(e, &path, spec, "deployment");
            check_template(e, &path, spec, MALFORMED, "ReplicaSet");
        })
    },
    validate_update: immutable_selector,
    fields: replicas_field,
    validate_status: status::replicas,
    warnings: |new, old| of_template(new, old, "spec.template", true),
    ..WITH_STATUS
};

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
    validate: |object| {
        Errors::collect(|e| {
            let (path, spec) = spec_of(object);
            replicas(e, &path, spec);
            selector(e, &path, spec, "deployment");
            check_template(e, &path, spec, MALFORMED, "ReplicaSet");
            check_strategy(e, &path.child("strategy"), get(spec, "strategy"));
            e.non_negative(&path.child("minReadySeconds"), int(spec, "minReadySeconds"));
            e.non_negative(
                &path.child("revisionHistoryLimit"),
                int(spec, "revisionHistoryLimit"),
            );
            let deadline = int(spec, "progressDeadlineSeconds");
            let at = path.child("progressDeadlineSeconds");
            e.non_negative(&at, deadline);
            if let Some(n) =
                deadline.filter(|n| *n <= int(spec, "minReadySeconds").unwrap_or_default())
            {
                e.invalid(&at, n, "must be greater than minReadySeconds");
            }
        })
    },
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

pub(super) const DAEMON_SET: Kind = Kind {
    status: r#"{"currentNumberScheduled":0,"numberMisscheduled":0,"desiredNumberScheduled":0,"numberReady":0}"#,
    default: default_daemon_set,
    prepare_create: |object| set_template_generation(object, 1),
    prepare_update: count_template_generation,
    validate: |object| {
        Errors::collect(|e| {
            let (path, spec) = spec_of(object);
            let chosen = get(spec, "selector");
            if !chosen.is_null() {
                selector(e, &path, spec, "daemonset");
            }
            let (at, template) = (path.child("template"), get(spec, "template"));
            if chosen.is_null() || !is_malformed(chosen) {
                template::check_labels(e, &at, template, chosen);
            }
            template::check_restarting(e, &at, template, "DaemonSet");
            e.non_negative(&path.child("minReadySeconds"), int(spec, "minReadySeconds"));
            e.non_negative(
                &path.child("revisionHistoryLimit"),
                int(spec, "revisionHistoryLimit"),
            );
            let (at, strategy) = (path.child("updateStrategy"), get(spec, "updateStrategy"));
            match text(strategy, "type") {
                "RollingUpdate" => {
                    let rolling = get(strategy, "rollingUpdate");
                    check_daemons(e, &at.child("rollingUpdate"), rolling);
                }
                "OnDelete" => {}
                _ => e.not_supported(&at, strategy, &["RollingUpdate", "OnDelete"]),
            }
        })
    },
    validate_update: immutable_selector,
    validate_status: status::daemon_set,
    warnings: |new, old| of_template(new, old, "spec.template", false),
    ..WITH_STATUS
};

/// The spec of a StatefulSet whose template has the volumes that its claims become.
fn with_claims(spec: &Value) -> Cow<'_, Value> {
    let claims = list(spec, "volumeClaimTemplates").iter();
    let claims: Vec<&str> = claims
        .map(|claim| text(get(claim, "metadata"), "name"))
        .collect();
    if claims.is_empty() || !has(spec, "template") {
        return Cow::Borrowed(spec);
    }
    let mut spec = spec.clone();
    if let Some(pod) = object_mut(&mut spec, "template").and_then(|t| ensure_object(t, "spec")) {
        let mut volumes = list(pod, "volumes").to_vec();
        let named = |volume: &Value| text(volume, "name").to_owned();
        let mut names: HashSet<String> = volumes.iter().map(named).collect();
        for claim in claims {
            // A claim takes the place of a volume of its name.
            if names.insert(claim.to_owned()) {
                volumes.push(json!({"name": claim, "persistentVolumeClaim": {"claimName": claim}}));
            }
        }
        set(pod, "volumes", volumes);
    }
    Cow::Owned(spec)
}

/// Takes out what only the feature gate `MaxUnavailableStatefulSet` lets in,
/// which 1.33 has switched off.
fn drop_max_unavailable(set: &mut Value) {
    if let Some(rolling) = object_mut(set, "spec")
        .and_then(|spec| object_mut(spec, "updateStrategy"))
        .and_then(|strategy| object_mut(strategy, "rollingUpdate"))
    {
        remove(rolling, "maxUnavailable");
    }
}

pub(super) const STATEFUL_SET: Kind = Kind {
    name: names::is_dns1123_subdomain,
    status: r#"{"replicas":0,"availableReplicas":0}"#,
    prepare_create: drop_max_unavailable,
    prepare_update: |new, _| drop_max_unavailable(new),
    default: |object| {
        with_spec(object, |spec| {
            set_default(spec, "replicas", 1);
            set_default(spec, "revisionHistoryLimit", 10);
            default_text(spec, "podManagementPolicy", "OrderedReady");
            if let Some(strategy) = ensure_object(spec, "updateStrategy") {
                // Who names the type, and nothing else, has no partition.
                if text(strategy, "type").is_empty() {
                    ensure_object(strategy, "rollingUpdate");
                }
                default_text(strategy, "type", "RollingUpdate");
                if text(strategy, "type") == "RollingUpdate"
                    && let Some(rolling) = object_mut(strategy, "rollingUpdate")
                {
                    set_default(rolling, "partition", 0);
                }
            }
            if let Some(policy) = ensure_object(spec, "persistentVolumeClaimRetentionPolicy") {
                default_text(policy, "whenDeleted", "Retain");
                default_text(policy, "whenScaled", "Retain");
            }
            for claim in list_mut(spec, "volumeClaimTemplates") {
                // Whatever they say: nothing else can stand here.
                set(claim, "apiVersion", "v1");
                set(claim, "kind", "PersistentVolumeClaim");
                storage::default_claim(claim);
                set_default(claim, "status", json!({"phase": "Pending"}));
            }
        });
    },
    validate: |object| {
        Errors::collect(|e| {
            let (path, spec) = spec_of(object);
            let policy = text(spec, "podManagementPolicy");
            if !["OrderedReady", "Parallel"].contains(&policy) {
                let detail = "must be 'OrderedReady' or 'Parallel'";
                e.invalid(&path.child("podManagementPolicy"), policy, detail);
            }
            let at = path.child("updateStrategy");
            let strategy = get(spec, "updateStrategy");
            match text(strategy, "type") {
                "RollingUpdate" => {
                    let rolling = get(strategy, "rollingUpdate");
                    e.non_negative(
                        &at.child("rollingUpdate.partition"),
                        int(rolling, "partition"),
                    );
                }
                "OnDelete" => {
                    if has(strategy, "rollingUpdate") {
                        e.invalid(
                            &at.child("rollingUpdate"),
                            get(strategy, "rollingUpdate"),
                            "only allowed for updateStrategy 'RollingUpdate'",
                        );
                    }
                }
                _ => e.invalid(&at, strategy, "must be 'RollingUpdate' or 'OnDelete'"),
            }
            replicas(e, &path, spec);
            e.non_negative(&path.child("minReadySeconds"), int(spec, "minReadySeconds"));
            selector(e, &path, spec, "statefulset");
            let spec = with_claims(spec);
            check_template(e, &path, &spec, "", "StatefulSet");
        })
    },
    validate_update: |new, old| {
        Errors::collect(|e| {
            let allowed = [
                "replicas",
                "ordinals",
                "template",
                "updateStrategy",
                "revisionHistoryLimit",
                "persistentVolumeClaimRetentionPolicy",
                "minReadySeconds",
            ];
            let (mut new, mut old) = (get(new, "spec").clone(), get(old, "spec").clone());
            for field in allowed {
                remove(&mut new, field);
                remove(&mut old, field);
            }
            if new != old {
                e.forbidden(&Path::new("spec"), "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden");
            }
        })
    },
    validate_status: status::stateful_set,
    warnings: |new, old| {
        let mut warnings = of_template(new, old, "spec.template", false);
        let spec = get(new, "spec");
        for (i, claim) in list(spec, "volumeClaimTemplates").iter().enumerate() {
            let path = Path::new("spec.volumeClaimTemplates").index(i);
            storage::claim_warnings(&mut warnings, &path, get(claim, "spec"));
        }
        if int(spec, "revisionHistoryLimit").is_some_and(|limit| limit < 0) {
            warnings.push("spec.revisionHistoryLimit: a negative value retains all historical revisions; a value >= 0 is recommended".to_owned());
        }
        warnings
    },
    ..WITH_STATUS
};

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

    fn spec(selector: Value, labels: Value) -> Value {
        json!({"metadata": {"name": "web"}, "spec": {
            "selector": selector,
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "a", "image": "x:1"}]}},
        }})
    }

    fn messages(causes: crate::rules::FieldErrors) -> Vec<String> {
        causes
            .iter()
            .map(|c| format!("{}: {}", c.field, c.message))
            .collect()
    }

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

    #[test]
    fn stateful_sets_have_a_partition_unless_they_name_the_type() {
        let with = |strategy: Value| {
            let mut set = spec(json!({"matchLabels": {"a": "b"}}), json!({"a": "b"}));
            set["spec"]["updateStrategy"] = strategy;
            KindRules::prepare_create(&STATEFUL_SET, &mut set);
            STATEFUL_SET.default(&mut set);
            set["spec"]["updateStrategy"].clone()
        };
        let partition = json!({"type": "RollingUpdate", "rollingUpdate": {"partition": 0}});
        assert_eq!(with(json!({})), partition);
        assert_eq!(
            with(json!({"rollingUpdate": {"maxUnavailable": 2}})),
            partition
        );
        let named = json!({"type": "RollingUpdate"});
        assert_eq!(with(named.clone()), named);
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

    #[test]
    fn claims_of_a_stateful_set_are_volumes() {
        let mut set = spec(json!({"matchLabels": {"app": "db"}}), json!({"app": "db"}));
        set["spec"]["volumeClaimTemplates"] = json!([{"metadata": {"name": "data"}, "spec": {
            "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1.5"}}}}]);
        let container = &mut set["spec"]["template"]["spec"]["containers"][0];
        container["volumeMounts"] =
            json!([{"name": "data", "mountPath": "/d"}, {"name": "no", "mountPath": "/n"}]);
        STATEFUL_SET.default(&mut set);
        assert_eq!(
            messages(KindRules::validate(&STATEFUL_SET, &set)),
            [r#"spec.template.spec.containers[0].volumeMounts[1].name: Not found: "no""#]
        );
        assert_eq!(
            KindRules::warnings(&STATEFUL_SET, &set, None),
            [
                r#"spec.volumeClaimTemplates[0].resources.requests[storage]: fractional byte value "1500m" is invalid, must be an integer"#
            ]
        );
    }

    #[test]
    fn stateful_sets_change_in_few_fields() {
        let mut set = spec(
            json!({"matchLabels": {"app": "web"}}),
            json!({"app": "web"}),
        );
        STATEFUL_SET.default(&mut set);
        let mut new = set.clone();
        new["spec"]["replicas"] = json!(4);
        assert!(KindRules::validate_update(&STATEFUL_SET, &new, &set).is_empty());
        new["spec"]["serviceName"] = json!("other");
        assert_eq!(
            KindRules::validate_update(&STATEFUL_SET, &new, &set)[0].field,
            "spec"
        );
        assert!(set["spec"].get("volumeClaimTemplates").is_none());
    }
}
