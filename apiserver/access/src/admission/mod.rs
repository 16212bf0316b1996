//! Admission: what is changed in objects on their way in, and what is refused
//! for reasons that lie outside the object.

use crate::{Authorizer, Objects, User};
use hardway_proto::Status;
use parking_lot::Mutex;
use serde_json::Value;
use std::sync::Arc;

/// What is being done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// A new object (or subresource body).
    Create,
    /// A change: PUT, PATCH, apply.
    Update,
    /// A deletion.
    Delete,
    /// exec, attach, port-forward, proxy.
    Connect,
}

/// One write, as admission sees it.
pub struct Review<'a> {
    /// Who writes.
    pub user: &'a User,
    /// What is being done.
    pub operation: Operation,
    /// API group; empty for the core group.
    pub group: &'a str,
    /// API version.
    pub version: &'a str,
    /// Plural resource name.
    pub resource: &'a str,
    /// Kind of the resource.
    pub kind: &'a str,
    /// Subresource, or empty.
    pub subresource: &'a str,
    /// Namespace, or empty.
    pub namespace: &'a str,
    /// Object name; empty while `generateName` hasn't been used.
    pub name: &'a str,
    /// Whether nothing will be stored.
    pub dry_run: bool,
    /// CreateOptions, UpdateOptions or DeleteOptions; may be null.
    pub options: &'a Value,
    /// `Warning:` headers that plugins want sent; start with `Default`.
    pub warnings: Mutex<Vec<String>>,
}

/// The chain of plugins, in Kubernetes' order.
pub struct Admission {
    objects: Arc<dyn Objects>,
    authorizer: Arc<Authorizer>,
}

impl Admission {
    /// A chain that looks things up in `objects`.
    pub fn new(objects: Arc<dyn Objects>, authorizer: Arc<Authorizer>) -> Self {
        Self {
            objects,
            authorizer,
        }
    }

    /// The mutating phase: after defaulting, before validation.
    pub fn mutate(&self, _review: &Review, _object: &mut Value) -> Result<(), Status> {
        Ok(())
    }

    /// The validating phase: after validation, before storing. `new` is absent
    /// for deletions, `old` for creations.
    pub fn validate(
        &self,
        _review: &Review,
        _new: Option<&Value>,
        _old: Option<&Value>,
    ) -> Result<(), Status> {
        let _ = (&self.objects, &self.authorizer);
        Ok(())
    }
}
