//! Telling which containers break a rule.

use crate::objects::items;
use crate::text;
use serde_json::Value;

/// All containers of a pod.
pub fn all(spec: &Value) -> impl Iterator<Item = &Value> {
    ["/initContainers", "/containers", "/ephemeralContainers"]
        .into_iter()
        .flat_map(|list| items(spec, list))
}

/// Names of the containers for which something holds.
pub fn which(spec: &Value, holds: impl Fn(&Value) -> bool) -> Vec<&str> {
    all(spec)
        .filter(|c| holds(c))
        .map(|c| text(c, "/name"))
        .collect()
}

/// `"a", "b"`.
pub fn quote<S: AsRef<str>>(names: &[S]) -> String {
    let quoted: Vec<String> = names.iter().map(|n| format!("{:?}", n.as_ref())).collect();
    quoted.join(", ")
}

/// `container "a"` or `containers "a", "b"`.
pub fn named<S: AsRef<str>>(noun: &str, names: &[S]) -> String {
    let plural = if names.len() == 1 { "" } else { "s" };
    format!("{noun}{plural} {}", quote(names))
}
