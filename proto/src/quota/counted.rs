//! What quotas see of an object. It is the same for as long as the object is, so that who counts
//! the objects of a namespace again and again need not look into each of them each time.

use super::{Amounts, given_up_at, is_best_effort, items, strings, text, uses};
use crate::quantity::{Format, Quantity};
use jiff::Timestamp;
use serde_json::Value;

/// What quotas see of an object.
#[derive(Clone, Debug, PartialEq)]
pub struct Counted {
    /// Under which name every object of its kind counts one: `count/pods`.
    each: String,
    /// What it uses besides, …
    uses: Amounts,
    /// … until it is given up, if it is being deleted.
    until: Option<Timestamp>,
    /// If it is a pod, what scopes go by.
    pod: Option<Pod>,
}

/// What scopes go by; all of them are about pods.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Pod {
    /// It has a deadline, by which it has ended.
    terminates: bool,
    best_effort: bool,
    priority_class: String,
}

impl Counted {
    /// An object of a resource.
    pub fn of(group: &str, resource: &str, object: &Value) -> Self {
        let pod = Pod::of(resource, object).filter(|_| group.is_empty());
        Self {
            each: match group {
                "" => format!("count/{resource}"),
                _ => format!("count/{resource}.{group}"),
            },
            uses: uses(group, resource, object),
            until: pod.as_ref().and_then(|_| given_up_at(object)),
            pod,
        }
    }

    /// All that it uses at a time.
    pub fn usage(&self, now: Timestamp) -> Amounts {
        let mut usage = match self.counts(now) {
            true => self.uses.clone(),
            false => Amounts::new(),
        };
        usage.insert(self.each.clone(), one());
        usage
    }

    /// How much it uses at a time of what quotas limit under a name, if any.
    pub fn amount(&self, what: &str, now: Timestamp) -> Option<Quantity> {
        match what == self.each {
            true => Some(one()),
            false => self.uses.get(what).copied().filter(|_| self.counts(now)),
        }
    }

    /// Whether it is among those that a quota is about.
    pub fn is_within(&self, quota: &Value) -> bool {
        is_within(quota, self.pod.as_ref())
    }

    fn counts(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| now <= until)
    }
}

fn one() -> Quantity {
    Quantity::from_value(1, Format::DecimalSi)
}

impl Pod {
    pub(super) fn of(resource: &str, object: &Value) -> Option<Self> {
        let deadline = object.pointer("/spec/activeDeadlineSeconds");
        (resource == "pods").then(|| Self {
            terminates: deadline.is_some_and(Value::is_number),
            best_effort: is_best_effort(object),
            priority_class: text(object, "/spec/priorityClassName").to_owned(),
        })
    }
}

/// Whether the scopes of a quota are those of a pod, or it has none.
pub(super) fn is_within(quota: &Value, pod: Option<&Pod>) -> bool {
    let plain = strings(quota, "/spec/scopes").map(|scope| (scope, "Exists", Vec::new()));
    let selected = items(quota, "/spec/scopeSelector/matchExpressions")
        .iter()
        .map(|e| {
            (
                text(e, "/scopeName"),
                text(e, "/operator"),
                strings(e, "/values").collect(),
            )
        });
    plain.chain(selected).all(|(scope, operator, values)| {
        let Some(pod) = pod else {
            return false;
        };
        let class = pod.priority_class.as_str();
        match (scope, operator) {
            ("Terminating", _) => pod.terminates,
            ("NotTerminating", _) => !pod.terminates,
            ("BestEffort", _) => pod.best_effort,
            ("NotBestEffort", _) => !pod.best_effort,
            ("PriorityClass", "In") => values.contains(&class),
            ("PriorityClass", "NotIn") => !values.contains(&class),
            ("PriorityClass", "DoesNotExist") => class.is_empty(),
            ("PriorityClass", _) => !class.is_empty(),
            _ => false,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_amount_is_that_of_the_usage() {
        let pod = json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:30Z",
            "deletionGracePeriodSeconds": 30}, "spec": {"containers": [{"name": "c",
            "resources": {"requests": {"cpu": "100m"}, "limits": {"memory": "1Gi"}}}]}});
        let secret = json!({"metadata": {"name": "s"}});
        let set = json!({"spec": {"replicas": 2}});
        for (group, resource, object) in [
            ("", "pods", &pod),
            ("", "secrets", &secret),
            ("apps", "replicasets", &set),
        ] {
            let counted = Counted::of(group, resource, object);
            for time in ["2026-01-01T00:01:00Z", "2026-01-01T00:01:01Z"] {
                let now = time.parse().unwrap();
                let usage = counted.usage(now);
                for what in [
                    "count/pods",
                    "count/secrets",
                    "count/replicasets.apps",
                    "pods",
                    "cpu",
                    "requests.cpu",
                    "limits.memory",
                    "secrets",
                    "nothing",
                ] {
                    assert_eq!(
                        counted.amount(what, now),
                        usage.get(what).copied(),
                        "{what}"
                    );
                }
            }
        }
        let counted = Counted::of("", "pods", &pod);
        let at = |time: &str| counted.amount("requests.cpu", time.parse().unwrap());
        assert_eq!(at("2026-01-01T00:01:00Z").unwrap().to_string(), "100m");
        assert_eq!(at("2026-01-01T00:01:01Z"), None);
    }

    #[test]
    fn scopes_are_about_pods() {
        let quota = |spec: Value| json!({"spec": spec});
        let pod = |spec: Value| Counted::of("", "pods", &json!({"spec": spec}));
        let plain = pod(json!({"containers": []}));
        let limited = pod(
            json!({"activeDeadlineSeconds": 5, "priorityClassName": "high",
            "containers": [{"resources": {"requests": {"cpu": "1"}}}]}),
        );
        for (scope, of_plain) in [
            ("BestEffort", true),
            ("NotBestEffort", false),
            ("NotTerminating", true),
            ("Terminating", false),
            ("PriorityClass", false),
        ] {
            let quota = quota(json!({"scopes": [scope]}));
            assert_eq!(plain.is_within(&quota), of_plain, "{scope}");
            assert_eq!(limited.is_within(&quota), !of_plain, "{scope}");
            assert!(
                !Counted::of("", "secrets", &json!({})).is_within(&quota),
                "{scope}"
            );
        }
        let class = |operator: &str, values: &[&str]| {
            quota(json!({"scopeSelector": {"matchExpressions": [
                {"scopeName": "PriorityClass", "operator": operator, "values": values}]}}))
        };
        assert!(limited.is_within(&class("In", &["high"])));
        assert!(!limited.is_within(&class("NotIn", &["high"])));
        assert!(plain.is_within(&class("NotIn", &["high"])));
        assert!(plain.is_within(&class("DoesNotExist", &[])));
        assert!(Counted::of("", "secrets", &json!({})).is_within(&quota(json!({}))));
    }
}
