//! ResourceQuota: what a namespace may hold in total.
//!
//! Usage is summed up from the stored objects, each of which is looked into once. A write that
//! has been let through but isn't among them yet is remembered for a moment, so that writes at
//! the same time can't exceed a quota together.

use super::{Context, Operation, Plugin, Review};
use crate::objects::items;
use crate::text;
use hardway_proto::Status;
use hardway_proto::quantity::Quantity;
use hardway_proto::quota::{Amounts, Counted, amounts};
use jiff::Timestamp;
use parking_lot::Mutex;
use serde_json::Value;
use std::sync::Arc;
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
    uid: String,
    counted: Arc<Counted>,
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
                && !a.uid.is_empty()
                && a.uid == text(new, "/metadata/uid")
        };
        admitted.retain(|a| a.at.elapsed() < MOMENT && !a.is_stored(cx) && !is_this(a));
        let counted = |object| Arc::new(Counted::of(review.group, review.resource, object));
        let write = Counting {
            object: new,
            new: counted(new),
            old: old.map(counted),
        };
        let mut touched = false;
        for quota in &quotas {
            touched |= check(cx, review, quota, &write, &admitted)?;
        }
        if touched && old.is_none() && !review.dry_run {
            admitted.push(Admitted {
                group: review.group.into(),
                resource: review.resource.into(),
                namespace: review.namespace.into(),
                name: text(new, "/metadata/name").into(),
                uid: text(new, "/metadata/uid").into(),
                counted: write.new,
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

/// The object of a write, and what quotas see of it.
struct Counting<'a> {
    object: &'a Value,
    new: Arc<Counted>,
    old: Option<Arc<Counted>>,
}

/// Checks one quota; tells whether the write counts against it.
fn check(
    cx: &Context,
    review: &Review,
    quota: &Value,
    write: &Counting,
    admitted: &[Admitted],
) -> Result<bool, Status> {
    let (group, resource) = (review.group, review.resource);
    let now = Timestamp::now();
    if !write.new.is_within(quota) {
        return Ok(false);
    }
    let hard = amounts(quota, "/spec/hard");
    let name = text(quota, "/metadata/name");
    if group.is_empty() && resource == "pods" && write.old.is_none() {
        let missing = unspecified(&hard, write.object);
        if !missing.is_empty() {
            let why = format!("failed quota: {name}: must specify {missing}");
            return Err(review.forbid(Some(write.object), why));
        }
    }
    let mut delta = write.new.usage(now);
    if let Some(old) = write.old.as_ref().filter(|old| old.is_within(quota)) {
        for (what, amount) in old.usage(now) {
            *delta.entry(what).or_default() -= amount;
        }
    }
    delta.retain(|what, amount| hard.contains_key(what) && amount.sign() > 0);
    if delta.is_empty() {
        return Ok(false);
    }
    let mut used = Amounts::new();
    let mut count = |object: &Counted| {
        if !object.is_within(quota) {
            return;
        }
        for what in delta.keys() {
            if let Some(amount) = object.amount(what, now) {
                *used.entry(what.clone()).or_default() += amount;
            }
        }
    };
    let stored = cx.objects.counted(group, resource, review.namespace);
    stored.iter().for_each(|object| count(object));
    admitted
        .iter()
        .filter(|a| {
            (a.group.as_str(), a.resource.as_str(), a.namespace.as_str())
                == (group, resource, review.namespace)
        })
        .for_each(|a| count(&a.counted));
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
    Err(review.forbid(Some(write.object), why))
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
