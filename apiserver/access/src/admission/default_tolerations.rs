//! DefaultTolerationSeconds: pods stay five minutes on a node that fails.

use super::{Context, Plugin, Review, array_at};
use crate::text;
use hardway_proto::Status;
use serde_json::{Value, json};

const KEYS: [&str; 2] = [
    "node.kubernetes.io/not-ready",
    "node.kubernetes.io/unreachable",
];
const SECONDS: i64 = 300;

/// The plugin.
pub struct DefaultTolerationSeconds;

impl Plugin for DefaultTolerationSeconds {
    fn mutate(&self, _: &Context, review: &Review, pod: &mut Value) -> Result<(), Status> {
        if !review.is_of("", "pods") {
            return Ok(());
        }
        let tolerations = array_at(&mut pod["spec"], "tolerations");
        for key in KEYS {
            let is_met = tolerations.iter().any(|t| {
                matches!(text(t, "/effect"), "" | "NoExecute")
                    && (text(t, "/key").is_empty() || text(t, "/key") == key)
            });
            if !is_met {
                tolerations.push(json!({
                    "key": key, "operator": "Exists", "effect": "NoExecute",
                    "tolerationSeconds": SECONDS,
                }));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Bench, pod};
    use super::*;

    #[test]
    fn only_what_is_not_tolerated_yet() {
        let bench = Bench::new();
        let stored = bench.create("", "pods", pod("p")).unwrap();
        assert_eq!(stored["spec"]["tolerations"].as_array().unwrap().len(), 2);
        let mut all = pod("p");
        all["spec"]["tolerations"] = json!([{"operator": "Exists"}]);
        let stored = bench.create("", "pods", all).unwrap();
        assert_eq!(stored["spec"]["tolerations"].as_array().unwrap().len(), 1);
    }
}
