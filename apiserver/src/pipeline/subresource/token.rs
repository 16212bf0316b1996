//! The subresource token: a service account gets one.

use super::other_kind;
use crate::pipeline::{Object, Pipeline, Request};
use hardway_access::Operation;
use hardway_proto::Status;

impl Pipeline {
    /// Signs a token for a service account.
    pub(in crate::pipeline) async fn issue_token(
        &self,
        request: &Request,
    ) -> Result<Object, Status> {
        let target = &request.target;
        let mut body = other_kind(request, "authentication.k8s.io", &["v1"], "TokenRequest")?;
        let tokens = self.tokens.as_ref().ok_or_else(|| {
            Status::failure(404, "NotFound", "this server has no key to sign tokens with; start it with --service-account-signing-key-file")
        })?;
        self.cache.fresh().await?;
        self.admit_body(request, Operation::Create, &mut body)
            .await?;
        let answer = tokens.create(&*self.cache, &target.namespace, &target.name, &body)?;
        Ok(Object::of(&answer).created())
    }
}
