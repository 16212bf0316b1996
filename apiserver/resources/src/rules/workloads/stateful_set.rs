//! StatefulSets: their claims, which their pods see as volumes, and what may change.

use super::{check_template, replicas, selector, spec_of, with_spec};
use crate::rules::field::{Errors, Path};
use crate::rules::json::{
    default_text, ensure_object, get, has, int, list, list_mut, object_mut, remove, set,
    set_default, text,
};
use crate::rules::kind::{Kind, WITH_STATUS};
use crate::rules::pod::warnings::of_template;
use crate::rules::{status, storage, template};
use hardway_proto::names;
use serde_json::{Value, json};
use std::borrow::Cow;
use std::collections::HashSet;

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

/// What becomes of the claims, if the set says so.
fn check_retention(e: &mut Errors, path: &Path, policy: &Value) {
    if policy.is_null() {
        return;
    }
    let path = path.child("persistentVolumeClaimRetentionPolicy");
    for field in ["whenDeleted", "whenScaled"] {
        e.one_of(
            &path.child(field),
            text(policy, field),
            &["Retain", "Delete"],
        );
    }
}

fn check(e: &mut Errors, object: &Value, old: Option<&Value>) {
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
    check_retention(e, &path, get(spec, "persistentVolumeClaimRetentionPolicy"));
    replicas(e, &path, spec);
    e.non_negative(&path.child("minReadySeconds"), int(spec, "minReadySeconds"));
    let first = int(get(spec, "ordinals"), "start");
    e.non_negative(&path.child("ordinals.start"), first);
    selector(e, &path, spec, "statefulset");
    let spec = with_claims(spec);
    check_template(e, &path, &spec, old, "", "StatefulSet");
}

pub(in crate::rules) const STATEFUL_SET: Kind = Kind {
    // Its pods bear the name with a number behind it, as their host names.
    name: names::is_dns1123_label,
    status: r#"{"replicas":0,"availableReplicas":0}"#,
    prepare_create: |set| {
        drop_max_unavailable(set);
        template::drop_disabled_of_spec(set, &Value::Null);
    },
    prepare_update: |new, old| {
        drop_max_unavailable(new);
        template::drop_disabled_of_spec(new, old);
    },
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
    validate: |object| Errors::collect(|e| check(e, object, None)),
    validate_again: Some(|new, old| Errors::collect(|e| check(e, new, Some(old)))),
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

#[cfg(test)]
mod tests {
    use super::super::tests::{messages, spec};
    use super::*;
    use crate::rules::KindRules;

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
