//! EndpointSlices of discovery.k8s.io/v1beta1: where an endpoint is, labels tell (`topology`),
//! of which the kept version has made fields.
//!
//! As in Kubernetes' `pkg/apis/discovery/v1beta1/conversion.go` of 1.21 to 1.24.

use super::super::json::{get, has, list_mut, remove, set, text};
use super::{Conversion, SAME};
use serde_json::{Map, Value};

const ZONE: &str = "topology.kubernetes.io/zone";
const HOST: &str = "kubernetes.io/hostname";

pub(super) const SLICE: Conversion = Conversion {
    to_storage: |slice| list_mut(slice, "endpoints").for_each(to_fields),
    to_external: |slice| list_mut(slice, "endpoints").for_each(to_labels),
    ..SAME
};

fn to_fields(endpoint: &mut Value) {
    let Some(Value::Object(mut labels)) = remove(endpoint, "topology") else {
        return;
    };
    if let Some(zone) = labels.remove(ZONE) {
        set(endpoint, "zone", zone);
    }
    // A label that names another node than the field does stays a label.
    match labels.get(HOST) {
        Some(host) if !has(endpoint, "nodeName") => {
            let host = host.clone();
            labels.remove(HOST);
            set(endpoint, "nodeName", host);
        }
        Some(host) if *host == *get(endpoint, "nodeName") => drop(labels.remove(HOST)),
        _ => {}
    }
    if !labels.is_empty() {
        set(endpoint, "deprecatedTopology", Value::Object(labels));
    }
}

fn to_labels(endpoint: &mut Value) {
    let mut labels = match remove(endpoint, "deprecatedTopology") {
        Some(Value::Object(labels)) => labels,
        _ => Map::new(),
    };
    if let Some(zone) = remove(endpoint, "zone").filter(|zone| !zone.is_null()) {
        labels.insert(ZONE.to_owned(), zone);
    }
    let node = text(endpoint, "nodeName");
    if !node.is_empty() && !labels.contains_key(HOST) {
        labels.insert(HOST.to_owned(), Value::from(node));
    }
    if !labels.is_empty() {
        set(endpoint, "topology", Value::Object(labels));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn labels_are_fields_and_labels_again() {
        for (shown, kept) in [
            (
                json!({"nodeName": "one", "topology": {HOST: "one", ZONE: "z", "rack": "7"}}),
                json!({"nodeName": "one", "zone": "z", "deprecatedTopology": {"rack": "7"}}),
            ),
            (
                json!({"nodeName": "one", "topology": {HOST: "other"}}),
                json!({"nodeName": "one", "deprecatedTopology": {HOST: "other"}}),
            ),
            (
                json!({"addresses": ["10.0.0.1"]}),
                json!({"addresses": ["10.0.0.1"]}),
            ),
        ] {
            let mut slice = json!({"endpoints": [shown]});
            (SLICE.to_storage)(&mut slice);
            assert_eq!(slice["endpoints"][0], kept);
            (SLICE.to_external)(&mut slice);
            assert_eq!(slice["endpoints"][0], shown);
        }
        // Clients of 1.20 set the label alone.
        let mut slice = json!({"endpoints": [{"topology": {HOST: "one"}}]});
        (SLICE.to_storage)(&mut slice);
        assert_eq!(slice["endpoints"][0], json!({"nodeName": "one"}));
    }
}
