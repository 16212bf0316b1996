//! Events have two versions, core/v1 and events.k8s.io/v1, of one stored object
//! (core/v1, as in Kubernetes).

use super::{Conversion, SAME};
use serde_json::Value;

/// Field names: core/v1 and events.k8s.io/v1.
const NAMES: &[(&str, &str)] = &[
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("reportingComponent", "reportingController"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
];

/// By what an event can be selected in events.k8s.io/v1, and in core/v1.
const LABELS: &[(&str, &str)] = &[
    ("reason", "reason"),
    ("regarding.apiVersion", "involvedObject.apiVersion"),
    ("regarding.fieldPath", "involvedObject.fieldPath"),
    ("regarding.kind", "involvedObject.kind"),
    ("regarding.name", "involvedObject.name"),
    ("regarding.namespace", "involvedObject.namespace"),
    (
        "regarding.resourceVersion",
        "involvedObject.resourceVersion",
    ),
    ("regarding.uid", "involvedObject.uid"),
    ("reportingController", "reportingComponent"),
    ("type", "type"),
];

/// events.k8s.io/v1.
pub(super) const EVENTS: Conversion = Conversion {
    labels: Some(LABELS),
    to_storage: |event| renamed(event, |(core, new)| (new, core)),
    to_external: |event| renamed(event, |(core, new)| (core, new)),
    ..SAME
};

type Pair = (&'static str, &'static str);

fn renamed(event: &mut Value, direction: impl Fn(Pair) -> Pair) {
    if let Some(map) = event.as_object_mut() {
        for pair in NAMES {
            let (from, to) = direction(*pair);
            if let Some(value) = map.remove(from) {
                map.insert(to.to_owned(), value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn both_ways() {
        let core = json!({"kind": "Event", "message": "m", "count": 2,
            "involvedObject": {"name": "p"}, "reason": "r"});
        let mut event = core.clone();
        (EVENTS.to_external)(&mut event);
        assert_eq!(
            event,
            json!({"kind": "Event", "note": "m",
            "deprecatedCount": 2, "regarding": {"name": "p"}, "reason": "r"})
        );
        (EVENTS.to_storage)(&mut event);
        assert_eq!(event, core);
    }
}
