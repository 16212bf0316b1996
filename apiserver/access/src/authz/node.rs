//! The Node authorizer: a node may read what its pods need, and write what is
//! its own.

use super::Attributes;
use crate::Objects;
use std::sync::Arc;

/// Decides for users in `system:nodes`.
pub struct NodeAuthorizer {
    objects: Arc<dyn Objects>,
}

impl NodeAuthorizer {
    /// Decides from the pods, volumes and claims found in `objects`.
    pub fn new(objects: Arc<dyn Objects>) -> Self {
        Self { objects }
    }

    /// Allowed, or the reason why not.
    pub fn authorize(&self, _node: &str, _request: &Attributes) -> Result<(), String> {
        let _ = &self.objects;
        Err(String::new())
    }
}
