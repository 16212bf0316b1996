//! LimitRanges, ResourceQuotas, PodDisruptionBudgets, PriorityClasses, Leases.

mod names;
mod quota;
mod range;

pub(super) use names::is_standard;

use super::field::{Errors, Path};
use super::json::{get, has, int, list, list_mut, object_mut, set, set_default, text};
use super::kind::{Kind, PLAIN, WITH_STATUS};
use super::{labels, pod, status, workloads};
use hardway_proto::quantity::Quantity;
use serde_json::{Map, Value};
use std::collections::BTreeSet;

const AMOUNTS: [&str; 5] = [
    "max",
    "min",
    "default",
    "defaultRequest",
    "maxLimitRequestRatio",
];

/// `max` stands in for `default`, and that for `defaultRequest`.
fn default_limit(limit: &mut Value) {
    for field in AMOUNTS {
        pod::canonical_map(limit, field);
    }
    if text(limit, "type") != "Container" {
        return;
    }
    let map = |limit: &Value, field| get(limit, field).as_object().cloned().unwrap_or_default();
    let merge = |base: &mut Map<String, Value>, other: Map<String, Value>| {
        for (name, amount) in other {
            base.entry(name).or_insert(amount);
        }
    };
    let mut defaults = map(limit, "default");
    merge(&mut defaults, map(limit, "max"));
    let mut requests = map(limit, "defaultRequest");
    merge(&mut requests, defaults.clone());
    merge(&mut requests, map(limit, "min"));
    for (field, amounts) in [("default", defaults), ("defaultRequest", requests)] {
        if !amounts.is_empty() {
            set(limit, field, amounts);
        }
    }
}

pub(super) const LIMIT_RANGE: Kind = Kind {
    default: |object| {
        if let Some(spec) = object_mut(object, "spec") {
            list_mut(spec, "limits").for_each(default_limit);
        }
    },
    validate: |object| Errors::collect(|e| range::check(e, get(object, "spec"))),
    ..PLAIN
};

/// Requests that may be more than limits may: somebody has mixed them up.
fn quota_warnings(quota: &Value) -> Vec<String> {
    let hard = get(get(quota, "spec"), "hard");
    let mut warnings = Vec::new();
    for resource in ["cpu", "memory", "storage", "ephemeral-storage"] {
        let named = format!("requests.{resource}");
        let bare = has(hard, resource) && matches!(resource, "cpu" | "memory");
        let request = match has(hard, &named) || !bare {
            true => named.as_str(),
            false => resource,
        };
        let limit = format!("limits.{resource}");
        let amount = |name: &str| Quantity::from_json(hard.get(name)?).ok();
        if let (Some(requested), Some(limited)) = (amount(request), amount(&limit))
            && requested > limited
        {
            warnings.push(format!(
                "ResourceQuota {request} ({requested}) should be less than {limit} ({limited})"
            ));
        }
    }
    warnings
}

pub(super) const RESOURCE_QUOTA: Kind = Kind {
    warnings: |quota, old| match old {
        None => quota_warnings(quota),
        Some(_) => Vec::new(),
    },
    generation: false,
    default: |quota| {
        for field in ["spec", "status"] {
            if let Some(part) = object_mut(quota, field) {
                pod::canonical_map(part, "hard");
                pod::canonical_map(part, "used");
            }
        }
    },
    validate: |quota| Errors::collect(|e| quota::check(e, get(quota, "spec"))),
    validate_update: |new, old| {
        let scopes = |object| get(get(object, "spec"), "scopes");
        // In whatever order.
        let names = |object| -> BTreeSet<&str> {
            let scopes = scopes(object).as_array().into_iter().flatten();
            scopes.filter_map(Value::as_str).collect()
        };
        Errors::collect(|e| {
            if names(new) != names(old) {
                e.immutable(&Path::new("spec.scopes"), scopes(new), scopes(old));
            }
        })
    },
    validate_status: status::quota,
    ..WITH_STATUS
};

pub(super) const DISRUPTION_BUDGET: Kind = Kind {
    // Any that a path can have: nothing is made of it.
    name: hardway_proto::names::is_path_segment,
    status: r#"{"disruptionsAllowed":0,"currentHealthy":0,"desiredHealthy":0,"expectedPods":0}"#,
    validate: |budget| {
        Errors::collect(|e| {
            let (path, spec) = (Path::new("spec"), get(budget, "spec"));
            let (low, high) = ("minAvailable", "maxUnavailable");
            if has(spec, low) && has(spec, high) {
                e.invalid(
                    &path,
                    spec,
                    "minAvailable and maxUnavailable cannot be both set",
                );
            }
            for field in [low, high].into_iter().filter(|f| has(spec, f)) {
                workloads::check_amount(e, &path.child(field), get(spec, field));
                workloads::at_most_all(e, &path, spec, field);
            }
            labels::check_selector(e, &path.child("selector"), get(spec, "selector"));
            e.one_of_if_set(
                &path.child("unhealthyPodEvictionPolicy"),
                get(spec, "unhealthyPodEvictionPolicy"),
                &["AlwaysAllow", "IfHealthyBudget"],
            );
        })
    },
    validate_status: status::disruption_budget,
    ..WITH_STATUS
};

pub(super) const PRIORITY_CLASS: Kind = Kind {
    default: |class| set_default(class, "preemptionPolicy", "PreemptLowerPriority"),
    validate: |class| {
        Errors::collect(|e| {
            let name = text(get(class, "metadata"), "name");
            let value = int(class, "value").unwrap_or_default();
            let builtin = ["system-cluster-critical", "system-node-critical"].contains(&name);
            if name.starts_with("system-") && !builtin {
                let detail = format!(
                    "priority class names with 'system-' prefix are reserved for system use only. error: {name} is not a known system priority class"
                );
                e.forbidden(&Path::new("metadata.name"), &detail);
            }
            if !builtin && value > 1_000_000_000 {
                e.forbidden(
                    &Path::new("value"),
                    "maximum allowed value of a user defined priority is 1000000000",
                );
            }
            let path = Path::new("preemptionPolicy");
            match text(class, "preemptionPolicy") {
                "" => e.required(&path, ""),
                policy => e.one_of(&path, policy, &["PreemptLowerPriority", "Never"]),
            }
        })
    },
    validate_update: |new, old| {
        Errors::collect(|e| {
            if int(new, "value") != int(old, "value") {
                e.forbidden(&Path::new("value"), "may not be changed in an update.");
            }
            e.immutable(
                &Path::new("preemptionPolicy"),
                get(new, "preemptionPolicy"),
                get(old, "preemptionPolicy"),
            );
        })
    },
    ..PLAIN
};

/// How a leader is chosen, and who should be: only the feature gate
/// `CoordinatedLeaderElection`, which 1.33 has switched off, keeps them, unless the lease
/// had them (`pkg/registry/coordination/lease/strategy.go`).
fn drop_election(lease: &mut Value, old: Option<&Value>) {
    for field in ["strategy", "preferredHolder"] {
        if !old.is_some_and(|old| has(get(old, "spec"), field))
            && let Some(spec) = object_mut(lease, "spec")
        {
            super::json::remove(spec, field);
        }
    }
}

pub(super) const LEASE: Kind = Kind {
    prepare_create: |lease| drop_election(lease, None),
    prepare_update: |new, old| drop_election(new, Some(old)),
    validate: |lease| {
        Errors::collect(|e| {
            let (path, spec) = (Path::new("spec"), get(lease, "spec"));
            if let Some(n) = int(spec, "leaseDurationSeconds").filter(|n| *n <= 0) {
                e.invalid(
                    &path.child("leaseDurationSeconds"),
                    n,
                    "must be greater than 0",
                );
            }
            if let Some(n) = int(spec, "leaseTransitions").filter(|n| *n < 0) {
                let detail = "must be greater than or equal to 0";
                e.invalid(&path.child("leaseTransitions"), n, detail);
            }
        })
    },
    ..PLAIN
};

pub(super) const RUNTIME_CLASS: Kind = Kind {
    warnings: |class, _| super::node_labels::of_runtime_class(class),
    default: |class| {
        if let Some(overhead) = object_mut(class, "overhead") {
            pod::canonical_map(overhead, "podFixed");
        }
        if has(class, "scheduling")
            && let Some(scheduling) = object_mut(class, "scheduling")
        {
            for toleration in list_mut(scheduling, "tolerations") {
                set_default(toleration, "operator", "Equal");
            }
        }
    },
    validate: |class| {
        Errors::collect(|e| {
            let handler = text(class, "handler");
            let path = Path::new("handler");
            e.each(
                &path,
                handler,
                hardway_proto::names::is_dns1123_label(handler),
            );
            let fixed = get(get(class, "overhead"), "podFixed");
            let options = pod::Options::default();
            pod::check_overhead(e, &Path::new("overhead"), fixed, options);
            let (path, scheduling) = (Path::new("scheduling"), get(class, "scheduling"));
            labels::check(
                e,
                &path.child("nodeSelector"),
                get(scheduling, "nodeSelector"),
            );
            let tolerations = list(scheduling, "tolerations");
            let at = path.child("tolerations");
            pod::check_tolerations(e, &at.child("tolerations"), tolerations);
            let mut seen = BTreeSet::new();
            for (i, toleration) in tolerations.iter().enumerate() {
                let key = ["key", "operator", "value", "effect"].map(|part| text(toleration, part));
                if !seen.insert(key) {
                    e.duplicate(&at.index(i), toleration);
                }
            }
        })
    },
    validate_update: |new, old| {
        Errors::collect(|e| {
            e.immutable(
                &Path::new("handler"),
                get(new, "handler"),
                get(old, "handler"),
            )
        })
    },
    ..PLAIN
};

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// `TestValidateResourceQuotaUpdate`: scopes stay, in whatever order.
    #[test]
    fn scopes_of_a_quota_stay() {
        let quota = |scopes: &[&str]| json!({"spec": {"scopes": scopes}});
        let change = |new: &[&str]| {
            (RESOURCE_QUOTA.validate_update)(&quota(new), &quota(&["BestEffort", "Terminating"]))
        };
        assert!(change(&["Terminating", "BestEffort"]).is_empty());
        assert_eq!(
            change(&["Terminating"])[0].message,
            r#"Invalid value: ["Terminating"]: field is immutable"#
        );
    }

    #[test]
    fn leaders_are_not_chosen_by_a_strategy() {
        let with =
            || json!({"spec": {"strategy": "OldestEmulationVersion", "preferredHolder": "a"}});
        let mut lease = with();
        (LEASE.prepare_create)(&mut lease);
        assert_eq!(lease, json!({"spec": {}}));
        let mut lease = with();
        (LEASE.prepare_update)(&mut lease, &with());
        assert_eq!(lease, with());
    }

    /// `WarningsOnCreate` of `pkg/registry/core/resourcequota/strategy.go`.
    #[test]
    fn quotas_of_more_requests_than_limits() {
        let told = |hard: Value| quota_warnings(&json!({"spec": {"hard": hard}}));
        assert_eq!(
            told(
                json!({"cpu": "2", "limits.cpu": "1", "requests.memory": "2Gi", "limits.memory": "1Gi"})
            ),
            [
                "ResourceQuota cpu (2) should be less than limits.cpu (1)",
                "ResourceQuota requests.memory (2Gi) should be less than limits.memory (1Gi)",
            ]
        );
        assert_eq!(
            told(json!({"requests.cpu": "1", "limits.cpu": "1000m"})),
            [""; 0]
        );
        assert_eq!(
            told(json!({"storage": "2Gi", "limits.storage": "1Gi"})),
            [""; 0]
        );
    }
}
