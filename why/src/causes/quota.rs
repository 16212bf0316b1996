//! A quota that is full.

use hardway_proto::quota::amounts;

use crate::causes::Cause;
use crate::cluster::Cluster;
use crate::finding::Finding;
use crate::object::Object;
use crate::words::few;

pub(super) const CAUSE: Cause = Cause {
    name: "quota",
    about: "a quota that is full: nothing more that it counts is accepted",
    kinds: &["ResourceQuota"],
    reads: &[],
    find,
};

fn find<'a>(_: &Cluster<'a>, quota: &Object<'a>) -> Vec<Finding> {
    let used = amounts(quota.value, "/status/used");
    let full: Vec<String> = amounts(quota.value, "/status/hard")
        .iter()
        // A limit of nothing forbids something, and is meant so.
        .filter(|(name, hard)| !hard.is_zero() && used.get(*name).is_some_and(|used| used >= hard))
        .map(|(name, hard)| {
            format!(
                "{name} ({} of {hard})",
                used.get(name).copied().unwrap_or_default()
            )
        })
        .collect();
    if full.is_empty() {
        return Vec::new();
    }
    let finding = Finding::warning(format!("is full: {}", few(&full, 4)))
        .says([quota.field("/status/used", few(&full, 10))])
        .run("raise it", quota.kubectl("edit"))
        .run(
            "or see what takes it up, and delete what is not needed",
            format!("kubectl get all{}", quota.flag()),
        );
    vec![finding]
}

#[cfg(test)]
mod tests {
    use crate::fixtures::{found, one};
    use serde_json::json;

    #[test]
    fn what_is_full_is_told() {
        let quota = |used: &str| {
            json!({"metadata": {"name": "small", "namespace": "default"},
            "status": {"hard": {"pods": "2", "requests.cpu": "1"}, "used": {"pods": used, "requests.cpu": "500m"}}})
        };
        assert_eq!(
            one(&[("ResourceQuota", quota("2"))]).summary,
            "is full: pods (2 of 2)"
        );
        assert_eq!(found(&[("ResourceQuota", quota("1"))]), []);
    }
}
