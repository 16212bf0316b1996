//! Deployments, DaemonSets, ReplicaSets and StatefulSets of extensions/v1beta1
//! and apps/v1beta1. Their shapes are almost those of apps/v1; what they
//! default is not, and that is what lets manifests without a selector apply.

use super::super::json::{
    default_text, ensure_object, get, has, is_empty, object_mut, remove, set, set_default, text,
};
use super::{Conversion, SAME};
use serde_json::{Value, json};

/// Where apps/v1 keeps `spec.rollbackTo.revision`.
const ROLLBACK_TO: &str = "deprecated.deployment.rollback.to";
/// Where apps/v1 keeps `spec.templateGeneration`.
pub(in crate::rules) const TEMPLATE_GENERATION: &str = "deprecated.daemonset.template.generation";
/// What these versions have for "without limit".
const NO_LIMIT: i32 = i32::MAX;

pub(super) const DEPLOYMENT_OF_EXTENSIONS: Conversion = Conversion {
    labels: None,
    default: |object| {
        labels_from_template(object);
        if let Some(spec) = ensure_object(object, "spec") {
            set_default(spec, "progressDeadlineSeconds", NO_LIMIT);
            set_default(spec, "revisionHistoryLimit", NO_LIMIT);
            rolling_update(
                spec,
                "strategy",
                "RollingUpdate",
                &["maxUnavailable", "maxSurge"],
            );
        }
    },
    to_storage: |object| {
        annotate(object, "rollbackTo", ROLLBACK_TO, |rollback| {
            let revision = get(rollback, "revision").as_i64().unwrap_or_default();
            Some(revision.to_string())
        })
    },
    to_external: |object| {
        restore(object, "rollbackTo", ROLLBACK_TO, |text| {
            let revision: i64 = text.parse().ok()?;
            Some(match revision {
                0 => json!({}),
                revision => json!({"revision": revision}),
            })
        })
    },
};

pub(super) const DEPLOYMENT_OF_APPS_V1BETA1: Conversion = Conversion {
    default: |object| {
        labels_from_template(object);
        if let Some(spec) = ensure_object(object, "spec") {
            set_default(spec, "revisionHistoryLimit", 2);
        }
    },
    ..DEPLOYMENT_OF_EXTENSIONS
};

pub(super) const DAEMON_SET: Conversion = Conversion {
    labels: None,
    default: |object| {
        labels_from_template(object);
        if let Some(spec) = ensure_object(object, "spec") {
            rolling_update(spec, "updateStrategy", "OnDelete", &["maxUnavailable"]);
        }
    },
    to_storage: |object| {
        annotate(
            object,
            "templateGeneration",
            TEMPLATE_GENERATION,
            |number| Some(number.as_i64()?.to_string()),
        )
    },
    to_external: |object| {
        restore(object, "templateGeneration", TEMPLATE_GENERATION, |text| {
            text.parse::<i64>().ok().map(Value::from)
        })
    },
};

pub(super) const REPLICA_SET: Conversion = Conversion {
    default: labels_from_template,
    ..SAME
};

pub(super) const STATEFUL_SET: Conversion = Conversion {
    default: |object| {
        labels_from_template(object);
        if let Some(spec) = ensure_object(object, "spec")
            && let Some(strategy) = ensure_object(spec, "updateStrategy")
        {
            default_text(strategy, "type", "OnDelete");
        }
    },
    ..SAME
};

/// The template's labels are selector and labels, where those are left out.
fn labels_from_template(object: &mut Value) {
    let template = get(get(object, "spec"), "template");
    let own = get(get(template, "metadata"), "labels").clone();
    if !own.is_object() || is_empty(&own) {
        return;
    }
    if let Some(spec) = object_mut(object, "spec")
        && !has(spec, "selector")
    {
        set(spec, "selector", json!({"matchLabels": own}));
    }
    if let Some(meta) = ensure_object(object, "metadata")
        && is_empty(get(meta, "labels"))
    {
        set(meta, "labels", own);
    }
}

/// A strategy, and one pod at a time where it is a rolling update.
fn rolling_update(spec: &mut Value, field: &str, kind: &str, amounts: &[&str]) {
    let Some(strategy) = ensure_object(spec, field) else {
        return;
    };
    default_text(strategy, "type", kind);
    if text(strategy, "type") == "RollingUpdate"
        && let Some(rolling) = ensure_object(strategy, "rollingUpdate")
    {
        for amount in amounts {
            set_default(rolling, amount, 1);
        }
    }
}

/// Takes a field of the spec into an annotation.
fn annotate(
    object: &mut Value,
    field: &str,
    annotation: &str,
    write: impl Fn(&Value) -> Option<String>,
) {
    let value = object_mut(object, "spec").and_then(|spec| remove(spec, field));
    let text = value
        .filter(|value| !value.is_null())
        .and_then(|value| write(&value));
    if let Some(text) = text
        && let Some(meta) = ensure_object(object, "metadata")
        && let Some(annotations) = ensure_object(meta, "annotations")
    {
        set(annotations, annotation, text);
    }
}

/// Makes an annotation a field of the spec again. What can't be read stays.
fn restore(
    object: &mut Value,
    field: &str,
    annotation: &str,
    read: impl Fn(&str) -> Option<Value>,
) {
    let annotations = get(get(object, "metadata"), "annotations");
    let Some(value) = get(annotations, annotation).as_str().and_then(read) else {
        return;
    };
    let Some(spec) = object_mut(object, "spec") else {
        return;
    };
    set(spec, field, value);
    if let Some(meta) = object_mut(object, "metadata")
        && let Some(annotations) = object_mut(meta, "annotations")
    {
        remove(annotations, annotation);
        if is_empty(annotations) {
            remove(meta, "annotations");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn old(labels: Value) -> Value {
        json!({"metadata": {"name": "web"}, "spec": {"template": {"metadata": {"labels": labels}}}})
    }

    #[test]
    fn what_manifests_of_2016_leave_out() {
        let mut deployment = old(json!({"app": "web"}));
        (DEPLOYMENT_OF_EXTENSIONS.default)(&mut deployment);
        assert_eq!(deployment["metadata"]["labels"], json!({"app": "web"}));
        let spec = &deployment["spec"];
        assert_eq!(spec["selector"], json!({"matchLabels": {"app": "web"}}));
        assert_eq!(
            spec["strategy"],
            json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 1}})
        );
        assert_eq!(spec["revisionHistoryLimit"], i32::MAX);
        assert_eq!(spec["progressDeadlineSeconds"], i32::MAX);

        let mut deployment = old(json!({"app": "web"}));
        (DEPLOYMENT_OF_APPS_V1BETA1.default)(&mut deployment);
        assert_eq!(deployment["spec"]["revisionHistoryLimit"], 2);
        assert!(deployment["spec"].get("progressDeadlineSeconds").is_none());
        assert!(
            deployment["spec"].get("strategy").is_none(),
            "as in apps/v1"
        );

        let mut daemon = old(json!({"app": "web"}));
        (DAEMON_SET.default)(&mut daemon);
        assert_eq!(
            daemon["spec"]["updateStrategy"],
            json!({"type": "OnDelete"})
        );
        daemon["spec"]["updateStrategy"]["type"] = json!("RollingUpdate");
        (DAEMON_SET.default)(&mut daemon);
        let rolling = &daemon["spec"]["updateStrategy"]["rollingUpdate"];
        assert_eq!(rolling, &json!({"maxUnavailable": 1}));

        let mut set = old(json!({"app": "web"}));
        (STATEFUL_SET.default)(&mut set);
        assert_eq!(set["spec"]["updateStrategy"]["type"], "OnDelete");
        assert_eq!(set["spec"]["selector"]["matchLabels"]["app"], "web");
    }

    #[test]
    fn what_is_there_stays() {
        let mut deployment = json!({
            "metadata": {"labels": {"own": "label"}},
            "spec": {
                "revisionHistoryLimit": 3, "progressDeadlineSeconds": 60,
                "selector": {"matchLabels": {"a": "b"}},
                "strategy": {"type": "Recreate"},
                "template": {"metadata": {"labels": {"a": "b", "c": "d"}}},
            },
        });
        let before = deployment.clone();
        (DEPLOYMENT_OF_EXTENSIONS.default)(&mut deployment);
        assert_eq!(deployment, before);
        let mut bare = json!({"metadata": {}, "spec": {"template": {"metadata": {}}}});
        let before = bare.clone();
        (REPLICA_SET.default)(&mut bare);
        assert_eq!(bare, before);
    }

    #[test]
    fn fields_that_became_annotations() {
        for (conversion, field, value, annotation) in [
            (
                DEPLOYMENT_OF_EXTENSIONS,
                "rollbackTo",
                json!({"revision": 3}),
                ROLLBACK_TO,
            ),
            (
                DEPLOYMENT_OF_APPS_V1BETA1,
                "rollbackTo",
                json!({}),
                ROLLBACK_TO,
            ),
            (
                DAEMON_SET,
                "templateGeneration",
                json!(4),
                TEMPLATE_GENERATION,
            ),
        ] {
            let shown = json!({"metadata": {"name": "a"}, "spec": {"x": 1, field: value}});
            let mut object = shown.clone();
            (conversion.to_storage)(&mut object);
            assert!(object["spec"].get(field).is_none());
            assert!(object["metadata"]["annotations"][annotation].is_string());
            (conversion.to_external)(&mut object);
            assert_eq!(object, shown);
        }
        // An annotation that is no revision is nobody's field.
        let strange = json!({"metadata": {"annotations": {ROLLBACK_TO: "x"}}, "spec": {}});
        let mut object = strange.clone();
        (DEPLOYMENT_OF_EXTENSIONS.to_external)(&mut object);
        assert_eq!(object, strange);
    }
}
