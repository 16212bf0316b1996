//! What must exist in a new cluster.

use serde_json::Value;

/// Everything the apiserver makes sure of when it starts.
pub fn objects() -> Vec<Value> {
    Vec::new()
}
