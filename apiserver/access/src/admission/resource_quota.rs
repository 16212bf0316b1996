//! ResourceQuota: what a namespace may hold in total.
//!
//! Usage is summed up from the stored objects. A write that has been let
//! through but isn't among them yet is remembered for a moment, so that
//! writes at the same time can't exceed a quota together.

use super::{Context, Operation, Plugin, Review};
use crate::objects::items;
use crate::text;
use hardway_proto::Status;
use hardway_proto::quantity::Quantity;
use hardway_proto::quota::{Amounts, amounts, matches_scopes, usage};
use jiff::Timestamp;
use parking_lot::Mutex;
use serde_json::Value;
use std::time::{Duration, Instant};

/// How long a write may take from here into the cache of stored objects.
const MOMENT: Duration = Duration::from_secs(5);

/// The plugin.
#[derive(Default)]
pub struct ResourceQuota {
    admitted: Mutex<Vec<Admitted>>,
}

/// A write let through.
struct Admitted {
    group: String,
    resource: String,
    namespace: String,
    name: String,
    object: Value,
    at: Instant,
}

impl Plugin for ResourceQuota {
    fn validate(
        &self,
        cx: &Context,
        review: &Review,
        new: Option<&Value>,
        old: Option<&Value>,
    ) -> Result<(), Status> {
        let counts = matches!(review.operation, Operation::Create | Operation::Update)
            && (review.subresource.is_empty() || review.is_sub("", "pods", "resize"))
            && !review.namespace.is_empty();
        let Some(new) = new.filter(|_| counts) else {
            return Ok(());
        };
        let quotas = cx
            .objects
            .read_all("", "resourcequotas", Some(review.namespace));
        if quotas.is_empty() {
            return Ok(());
        }
        // Held until the write is remembered: two writers can't both see the
        // last free place.
        let mut admitted = self.admitted.lock();
        // One that is checked again counts once.
        let is_this = |a: &Admitted| {
            let this = (review.group, review.resource, review.namespace);
            review.operation == Operation::Create
                && (a.group.as_str(), a.resource.as_str(), a.namespace.as_str()) == this
                && a.object["metadata"]["uid"] == new["metadata"]["uid"]
                && new["metadata"]["uid"].is_string()
        };
        admitted.retain(|a| a.at.elapsed() < MOMENT && !a.is_stored(cx) && !is_this(a));
        let mut touched = false;
        for quota in &quotas {
            touched |= check(cx, review, quota, new, old, &admitted)?;
        }
        if touched && old.is_none() && !review.dry_run {
            admitted.push(Admitted {
                group: review.group.into(),
                resource: review.resource.into(),
                namespace: review.namespace.into(),
                name: text(new, "/metadata/name").into(),
                object: new.clone(),
                at: Instant::now(),
            });
        }
        Ok(())
    }
}

impl Admitted {
    fn is_stored(&self, cx: &Context) -> bool {
        let found = cx
            .objects
            .get(&self.group, &self.resource, &self.namespace, &self.name);
        found.is_some()
    }
}

/// Checks one quota; tells whether the write counts against it.
fn check(
    cx: &Context,
    review: &Review,
    quota: &Value,
    new: &Value,
    old: Option<&Value>,
    admitted: &[Admitted],
) -> Result<bool, Status> {
    let (group, resource) = (review.group, review.resource);
    let now = Timestamp::now();
    let usage_of = |object: &Value| match matches_scopes(quota, resource, object) {
        true => usage(group, resource, object, now),
        false => Amounts::new(),
    };
    if !matches_scopes(quota, resource, new) {
        return Ok(false);
    }
    let hard = amounts(quota, "/spec/hard");
    let name = text(quota, "/metadata/name");
    if group.is_empty() && resource == "pods" && old.is_none() {
        let missing = unspecified(&hard, new);
        if !missing.is_empty() {
            let why = format!("failed quota: {name}: must specify {missing}");
            return Err(review.forbid(Some(new), why));
        }
    }
    let before = old.map(usage_of).unwrap_or_default();
    let mut delta = usage_of(new);
    for (what, amount) in &before {
        *delta.entry(what.clone()).or_default() -= *amount;
    }
    delta.retain(|what, amount| hard.contains_key(what) && amount.sign() > 0);
    if delta.is_empty() {
        return Ok(false);
    }
    let mut used = Amounts::new();
    let mut count = |object: &Value| {
        for (what, amount) in usage_of(object) {
            *used.entry(what).or_default() += amount;
        }
    };
    cx.objects
        .read_all(group, resource, Some(review.namespace))
        .iter()
        .for_each(&mut count);
    admitted
        .iter()
        .filter(|a| {
            (a.group.as_str(), a.resource.as_str(), a.namespace.as_str())
                == (group, resource, review.namespace)
        })
        .for_each(|a| count(&a.object));
    let zero = |what: &String| Quantity::from_value(0, hard[what].format());
    let exceeded: Vec<(&String, Quantity, Quantity)> = delta
        .iter()
        .map(|(what, asked)| {
            (
                what,
                *asked,
                used.get(what).copied().unwrap_or_else(|| zero(what)),
            )
        })
        .filter(|(what, asked, used)| *used + *asked > hard[*what])
        .collect();
    if exceeded.is_empty() {
        return Ok(true);
    }
    let tell = |value: &dyn Fn(&(&String, Quantity, Quantity)) -> Quantity| -> String {
        let told: Vec<String> = exceeded
            .iter()
            .map(|e| format!("{}={}", e.0, value(e)))
            .collect();
        told.join(",")
    };
    let why = format!(
        "exceeded quota: {name}, requested: {}, used: {}, limited: {}",
        tell(&|e| e.1),
        tell(&|e| e.2),
        tell(&|e| hard[e.0])
    );
    Err(review.forbid(Some(new), why))
}

/// `limits.cpu for: a,b; requests.memory for: a`: what the quota limits but
/// containers don't say.
fn unspecified(hard: &Amounts, pod: &Value) -> String {
    let containers = || {
        items(pod, "/spec/containers")
            .iter()
            .chain(items(pod, "/spec/initContainers"))
    };
    let mut told = Vec::new();
    for what in hard.keys() {
        let (field, resource) = match what.split_once('.') {
            Some(("requests", resource)) => ("requests", resource),
            Some(("limits", resource)) => ("limits", resource),
            _ => ("requests", what.as_str()),
        };
        if !matches!(resource, "cpu" | "memory") {
            continue;
        }
        let pointer = format!("/resources/{field}/{resource}");
        let mut silent: Vec<&str> = containers()
            .filter(|container| container.pointer(&pointer).is_none())
            .map(|container| text(container, "/name"))
            .collect();
        silent.sort_unstable();
        if !silent.is_empty() {
            told.push(format!("{what} for: {}", silent.join(",")));
        }
    }
    told.join("; ")
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Bench, pod};
    use super::*;
    use serde_json::json;

    fn bench(hard: Value) -> Bench {
        let bench = Bench::new();
        bench.fake.put(
            "",
            "resourcequotas",
            json!({
            "metadata": {"name": "q", "namespace": "shop"}, "spec": {"hard": hard}}),
        );
        bench
    }

    #[test]
    fn the_last_place_is_given_once() {
        let bench = bench(json!({"pods": "2"}));
        let first = bench.create("", "pods", pod("a")).unwrap();
        bench.fake.put("", "pods", first);
        assert!(bench.create("", "pods", pod("b")).is_ok());
        // `b` isn't stored yet, but counts.
        assert_eq!(
            bench.create("", "pods", pod("c")).unwrap_err().message,
            r#"pods "c" is forbidden: exceeded quota: q, requested: pods=1, used: pods=2, limited: pods=2"#
        );
        let config = json!({"metadata": {"name": "x", "namespace": "shop"}});
        assert!(bench.create("", "configmaps", config).is_ok());
    }

    #[test]
    fn limited_resources_must_be_said() {
        let bench = bench(json!({"limits.cpu": "1", "requests.memory": "1Gi"}));
        assert_eq!(
            bench.create("", "pods", pod("a")).unwrap_err().message,
            r#"pods "a" is forbidden: failed quota: q: must specify limits.cpu for: c; requests.memory for: c"#
        );
        let mut big = pod("a");
        big["spec"]["containers"][0]["resources"] =
            json!({"limits": {"cpu": "2"}, "requests": {"memory": "1Gi"}});
        assert_eq!(
            bench.create("", "pods", big).unwrap_err().message,
            r#"pods "a" is forbidden: exceeded quota: q, requested: limits.cpu=2, used: limits.cpu=0, limited: limits.cpu=1"#
        );
    }
}
