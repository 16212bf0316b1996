//! Events have two faces, core/v1 and events.k8s.io/v1, of one stored object
//! (core/v1, as in Kubernetes).

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

/// From events.k8s.io/v1 to what is stored.
pub fn to_core(event: Value) -> Value {
    renamed(event, "v1", |(core, new)| (new, core))
}

/// From what is stored to events.k8s.io/v1.
pub fn from_core(event: Value) -> Value {
    renamed(event, "events.k8s.io/v1", |(core, new)| (core, new))
}

type Pair = (&'static str, &'static str);

fn renamed(mut event: Value, api_version: &str, direction: impl Fn(Pair) -> Pair) -> Value {
    if let Some(map) = event.as_object_mut() {
        for pair in NAMES {
            let (from, to) = direction(*pair);
            if let Some(value) = map.remove(from) {
                map.insert(to.to_owned(), value);
            }
        }
        map.insert("apiVersion".into(), api_version.into());
    }
    event
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn both_ways() {
        let core = json!({"apiVersion": "v1", "kind": "Event", "message": "m", "count": 2,
            "involvedObject": {"name": "p"}, "reason": "r"});
        let new = from_core(core.clone());
        assert_eq!(
            new,
            json!({"apiVersion": "events.k8s.io/v1", "kind": "Event", "note": "m",
            "deprecatedCount": 2, "regarding": {"name": "p"}, "reason": "r"})
        );
        assert_eq!(to_core(new), core);
    }
}
