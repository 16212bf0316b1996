//! What may be said in a status: counts that can't be negative and that fit
//! together, and states that are not left again.

use super::field::{Errors, Path};
use super::json::{entries, get, has, int, list, text};
use super::{FieldErrors, pod};
use serde_json::Value;
use std::collections::{HashMap, HashSet};

/// The status of an object, and where it is.
struct Status<'a> {
    path: Path,
    value: &'a Value,
}

impl<'a> Status<'a> {
    fn of(object: &'a Value) -> Self {
        Self {
            path: Path::new("status"),
            value: get(object, "status"),
        }
    }

    fn count(&self, field: &str) -> i64 {
        int(self.value, field).unwrap_or_default()
    }

    /// None of these is negative.
    fn counts(&self, e: &mut Errors, fields: &[&str]) {
        for field in fields {
            e.non_negative(&self.path.child(field), int(self.value, field));
        }
    }

    /// None of these is more than another, which is called `name`.
    fn within(&self, e: &mut Errors, fields: &[&str], whole: &str, name: &str) {
        for field in fields {
            if self.count(field) > self.count(whole) {
                let detail = format!("cannot be greater than {name}");
                e.invalid(&self.path.child(field), self.count(field), &detail);
            }
        }
    }

    /// Names would collide again if this went back.
    fn collisions(&self, e: &mut Errors, old: &Value) {
        let field = "collisionCount";
        self.counts(e, &[field]);
        let before = int(get(old, "status"), field);
        if before.is_some_and(|before| self.count(field) < before) {
            e.invalid(
                &self.path.child(field),
                self.count(field),
                "cannot be decremented",
            );
        }
    }
}

/// ReplicationControllers and ReplicaSets.
pub(super) fn replicas(new: &Value, _old: &Value) -> FieldErrors {
    Errors::collect(|e| {
        let status = Status::of(new);
        let parts = ["fullyLabeledReplicas", "readyReplicas", "availableReplicas"];
        status.counts(e, &["replicas"]);
        status.counts(e, &parts);
        status.counts(e, &["observedGeneration"]);
        status.within(e, &parts, "replicas", "status.replicas");
        let available = ["availableReplicas"];
        status.within(e, &available, "readyReplicas", "readyReplicas");
    })
}

pub(super) fn deployment(new: &Value, old: &Value) -> FieldErrors {
    Errors::collect(|e| {
        let status = Status::of(new);
        let parts = ["updatedReplicas", "readyReplicas", "availableReplicas"];
        status.counts(e, &["observedGeneration", "replicas"]);
        status.counts(e, &parts);
        status.counts(e, &["unavailableReplicas"]);
        status.within(e, &parts, "replicas", "status.replicas");
        let available = ["availableReplicas"];
        status.within(e, &available, "readyReplicas", "readyReplicas");
        status.collisions(e, old);
    })
}

pub(super) fn daemon_set(new: &Value, old: &Value) -> FieldErrors {
    Errors::collect(|e| {
        let status = Status::of(new);
        let counts = [
            "currentNumberScheduled",
            "numberMisscheduled",
            "desiredNumberScheduled",
            "numberReady",
            "observedGeneration",
            "updatedNumberScheduled",
            "numberAvailable",
            "numberUnavailable",
        ];
        status.counts(e, &counts);
        status.collisions(e, old);
    })
}

pub(super) fn stateful_set(new: &Value, old: &Value) -> FieldErrors {
    Errors::collect(|e| {
        let status = Status::of(new);
        let parts = [
            "readyReplicas",
            "currentReplicas",
            "updatedReplicas",
            "availableReplicas",
        ];
        status.counts(e, &["replicas"]);
        status.counts(e, &parts);
        status.counts(e, &["observedGeneration"]);
        status.within(e, &parts, "replicas", "status.replicas");
        let available = ["availableReplicas"];
        status.within(e, &available, "readyReplicas", "status.readyReplicas");
        status.collisions(e, old);
    })
}

pub(super) fn autoscaler(new: &Value, _old: &Value) -> FieldErrors {
    Errors::collect(|e| Status::of(new).counts(e, &["currentReplicas", "desiredReplicas"]))
}

pub(super) fn disruption_budget(new: &Value, _old: &Value) -> FieldErrors {
    let counts = [
        "disruptionsAllowed",
        "currentHealthy",
        "desiredHealthy",
        "expectedPods",
    ];
    Errors::collect(|e| Status::of(new).counts(e, &counts))
}

pub(super) fn quota(new: &Value, _old: &Value) -> FieldErrors {
    Errors::collect(|e| {
        let status = Status::of(new);
        for field in ["hard", "used"] {
            for (name, amount) in entries(status.value, field) {
                pod::check_quantity(e, &status.path.child(field).key(name), amount);
            }
        }
    })
}

pub(super) fn namespace(new: &Value, _old: &Value) -> FieldErrors {
    Errors::collect(|e| {
        let status = Status::of(new);
        let going = has(get(new, "metadata"), "deletionTimestamp");
        let (only, not) = match going {
            true => ("Terminating", "not "),
            false => ("Active", ""),
        };
        let phase = text(status.value, "phase");
        if phase != only {
            let detail = format!("may only be '{only}' if `deletionTimestamp` is {not}empty");
            e.invalid(&Path::new("status.Phase"), phase, &detail);
        }
    })
}

/// A container that has ended stays so, unless the pod's policy lets it start
/// again.
pub(super) fn pod(new: &Value, old: &Value) -> FieldErrors {
    Errors::collect(|e| {
        let status = Status::of(new);
        let spec = get(old, "spec");
        let policy = text(spec, "restartPolicy");
        let fields = [
            ("containerStatuses", "containers", policy),
            ("initContainerStatuses", "initContainers", policy),
            ("ephemeralContainerStatuses", "ephemeralContainers", "Never"),
        ];
        for (field, containers, policy) in fields {
            let before = list(get(old, "status"), field);
            let policies: HashMap<&str, &str> = list(spec, containers)
                .iter()
                .map(|c| (text(c, "name"), text(c, "restartPolicy")))
                .collect();
            let alive: HashSet<&str> = list(status.value, field)
                .iter()
                .filter(|now| !has(get(now, "state"), "terminated"))
                .map(|now| text(now, "name"))
                .collect();
            for (i, ended) in before.iter().enumerate() {
                let name = text(ended, "name");
                let last = get(get(ended, "state"), "terminated");
                let failed = int(last, "exitCode").unwrap_or_default() != 0;
                let restarts = |policy: &str| policy == "Always" || policy == "OnFailure" && failed;
                let own = policies.get(name).copied().unwrap_or_default();
                if last.is_null() || restarts(policy) || restarts(own) {
                    continue;
                }
                if alive.contains(name) {
                    e.forbidden(
                        &status.path.child(field).index(i).child("state"),
                        "may not be transitioned to non-terminated state",
                    );
                }
            }
        }
        for (i, ip) in list(status.value, "podIPs").iter().enumerate() {
            let ip = text(ip, "ip");
            if ip.parse::<std::net::IpAddr>().is_err() {
                e.invalid(
                    &status.path.child("podIPs").index(i),
                    ip,
                    "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)",
                );
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn texts(causes: FieldErrors) -> Vec<String> {
        causes
            .iter()
            .map(|c| format!("{}: {}", c.field, c.message))
            .collect()
    }

    #[test]
    fn counts_fit_together() {
        let wrong = json!({"status": {"replicas": 2, "readyReplicas": 3, "availableReplicas": -1,
            "fullyLabeledReplicas": 1}});
        assert_eq!(
            texts(replicas(&wrong, &Value::Null)),
            [
                "status.availableReplicas: Invalid value: -1: must be greater than or equal to 0",
                "status.readyReplicas: Invalid value: 3: cannot be greater than status.replicas",
            ]
        );
        let wrong = json!({"status": {"replicas": 2, "readyReplicas": 1, "availableReplicas": 2}});
        assert_eq!(
            texts(deployment(
                &wrong,
                &json!({"status": {"collisionCount": 2}})
            )),
            [
                "status.availableReplicas: Invalid value: 2: cannot be greater than readyReplicas",
                "status.collisionCount: Invalid value: 0: cannot be decremented",
            ]
        );
        assert_eq!(
            texts(stateful_set(&wrong, &Value::Null)),
            [
                "status.availableReplicas: Invalid value: 2: cannot be greater than status.readyReplicas"
            ]
        );
        let fine = json!({"status": {"replicas": 2, "readyReplicas": 2, "availableReplicas": 2, "collisionCount": 3}});
        for check in [replicas, deployment, stateful_set, daemon_set, autoscaler] {
            let old = json!({"status": {"collisionCount": 3}});
            assert!(check(&fine, &old).is_empty());
        }
    }

    #[test]
    fn a_namespace_says_what_it_is() {
        let phase = |phase: &str, going: bool| {
            let mut object = json!({"metadata": {}, "status": {"phase": phase}});
            if going {
                object["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
            }
            texts(namespace(&object, &Value::Null))
        };
        assert!(phase("Active", false).is_empty() && phase("Terminating", true).is_empty());
        assert_eq!(
            phase("Terminating", false),
            [
                r#"status.Phase: Invalid value: "Terminating": may only be 'Active' if `deletionTimestamp` is empty"#
            ]
        );
        assert_eq!(phase("Active", true).len(), 1);
    }

    #[test]
    fn what_has_ended_does_not_come_back() {
        let old = |policy: &str, code: i64| {
            json!({"spec": {"restartPolicy": policy,
                "initContainers": [{"name": "side", "restartPolicy": "Always"}, {"name": "first"}]},
                "status": {
                "containerStatuses": [{"name": "a", "state": {"terminated": {"exitCode": code}}}],
                "initContainerStatuses": [
                    {"name": "side", "state": {"terminated": {"exitCode": 0}}},
                    {"name": "first", "state": {"terminated": {"exitCode": 0}}}],
            }})
        };
        let changed = |field: &str, name: &str, policy: &str, code: i64| {
            let new = json!({"status": {field: [{"name": name, "state": {"running": {}}}]}});
            texts(pod(&new, &old(policy, code)))
        };
        let forbidden = [
            "status.containerStatuses[0].state: Forbidden: may not be transitioned to non-terminated state",
        ];
        assert_eq!(changed("containerStatuses", "a", "Never", 1), forbidden);
        assert_eq!(changed("containerStatuses", "a", "OnFailure", 0), forbidden);
        assert!(changed("containerStatuses", "a", "OnFailure", 1).is_empty());
        assert!(changed("containerStatuses", "a", "Always", 0).is_empty());
        assert!(changed("initContainerStatuses", "side", "Never", 0).is_empty());
        assert_eq!(
            changed("initContainerStatuses", "first", "Never", 0).len(),
            1
        );
        let wrong = json!({"status": {"podIPs": [{"ip": "10.1"}]}});
        assert!(texts(pod(&wrong, &Value::Null))[0].starts_with("status.podIPs[0]: Invalid value"));
    }
}
