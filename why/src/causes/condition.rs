//! Objects of other kinds, such as custom ones, that say of themselves that they are not well.

use crate::causes::{ANY, Cause, lasts};
use crate::cluster::Cluster;
use crate::finding::Finding;
use crate::object::Object;
use crate::resources::resource;
use crate::words::one_line;

pub(super) const CAUSE: Cause = Cause {
    name: "condition",
    about: "an object of another kind whose own condition says that it is not ready",
    kinds: &[ANY],
    reads: &[],
    find,
};

/// Conditions that operators commonly write, and that are good when true.
const GOOD: &[&str] = &[
    "Ready",
    "Available",
    "Healthy",
    "Synced",
    "Reconciled",
    "Established",
];
const PATIENCE: i64 = 30;

fn find<'a>(cluster: &Cluster<'a>, object: &Object<'a>) -> Vec<Finding> {
    // Of kinds that are known the causes about them tell more.
    if resource(object.kind).is_some() {
        return Vec::new();
    }
    let bad = object
        .conditions()
        .filter(|it| it.status == "False" && GOOD.contains(&it.kind));
    bad.filter(|it| lasts(cluster, it.since, PATIENCE))
        .map(|condition| {
            Finding::error(format!(
                "is not {}: {}",
                condition.kind,
                one_line(&condition.says())
            ))
            .key(condition.kind)
            .since(condition.since)
            .says([object.told_by(&condition)])
            .says(cluster.events(object).first().map(|it| it.evidence()))
            .advise("see what its controller says in its log")
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use crate::fixtures::{ask, says};
    use serde_json::json;

    #[test]
    fn a_custom_object_is_told_by_its_condition() {
        let widget = json!({"metadata": {"name": "w", "namespace": "default"}, "status": {"conditions": [
            {"type": "Ready", "status": "False", "reason": "NoParts", "message": "2 parts are missing"}]}});
        let told = ask(&[("Widget", widget)], "Widget", "w");
        assert_eq!(told.summary, "is not Ready: NoParts: 2 parts are missing");
        says(&told.causes[0], "NoParts");
    }
}
