//! The quality-of-service class, from requests and limits.

use super::super::json::{entries, get, list};
use hardway_proto::quantity::Quantity;
use serde_json::Value;

/// `Guaranteed`, `Burstable` or `BestEffort`.
pub fn qos_class(spec: &Value) -> &'static str {
    let containers = || {
        list(spec, "containers")
            .iter()
            .chain(list(spec, "initContainers"))
    };
    let amount = |container: &Value, kind: &str, name: &str| {
        Quantity::from_json(get(get(get(container, "resources"), kind), name)).unwrap_or_default()
    };
    let counts = |kind: &str, container: &Value| {
        entries(get(container, "resources"), kind).any(|(name, _)| {
            ["cpu", "memory"].contains(&name.as_str()) && !amount(container, kind, name).is_zero()
        })
    };
    if !containers().any(|c| counts("requests", c) || counts("limits", c)) {
        return "BestEffort";
    }
    let guaranteed = containers().all(|c| {
        ["cpu", "memory"].iter().all(|name| {
            let limit = amount(c, "limits", name);
            let request = amount(c, "requests", name);
            // A request left out is the limit.
            !limit.is_zero() && (request.is_zero() || request == limit)
        })
    });
    if guaranteed {
        "Guaranteed"
    } else {
        "Burstable"
    }
}
