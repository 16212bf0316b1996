//! A request as the expressions of a policy are told of it.

use super::super::review::{ResourceKind, Review};
use super::evaluation::Inputs;
use super::shown::Shown;
use super::{asked, request};
use crate::{Authorizer, Objects};
use hardway_cel::Value as CelValue;
use hardway_proto::Status;
use serde_json::Value;
use std::sync::Arc;

static NULL: Value = Value::Null;

/// A request as the expressions of a policy are told of it.
pub struct Subject<'a> {
    shown: &'a Shown,
    request: Value,
    namespace: &'a Value,
    authorizer: (CelValue<'static>, CelValue<'static>),
}

impl<'a> Subject<'a> {
    /// Of a request whose objects are shown in the version that the policy names.
    ///
    /// # Errors
    /// 404, if there is no such namespace.
    pub fn of(
        review: &'a Review<'_>,
        objects: &dyn Objects,
        authorizer: &Arc<Authorizer>,
        shown_as: &ResourceKind,
        shown: &'a Shown,
    ) -> Result<Self, Status> {
        // To policies a Namespace is in none.
        let namespace = match review.is_of_namespaces() || review.namespace.is_empty() {
            true => &NULL,
            false => review
                .namespace_object(objects)
                .ok_or_else(|| Status::not_found("", "namespaces", review.namespace))?,
        };
        Ok(Self {
            shown,
            request: request::describe(review, shown_as, shown.new.as_ref()),
            namespace,
            authorizer: asked::variables(review, authorizer),
        })
    }

    /// With parameters.
    pub fn inputs<'s>(&'s self, params: &'s Value) -> Inputs<'s> {
        Inputs {
            object: self.shown.new.as_ref().unwrap_or(&NULL),
            old_object: self.shown.old.as_ref().unwrap_or(&NULL),
            request: &self.request,
            params,
            namespace: self.namespace,
            authorizer: &self.authorizer,
        }
    }
}
