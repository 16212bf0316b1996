//! Policies as links of the chain.

use super::super::review::Review;
use super::super::{Context, Stage, Written};
use super::{Mutating, Validating};
use futures_util::future::BoxFuture;
use hardway_proto::Status;
use serde_json::Value;

impl Stage for Mutating {
    fn mutate<'a>(
        &'a self,
        context: &'a Context,
        review: &'a Review<'a>,
        written: Written<'a>,
    ) -> BoxFuture<'a, Result<(), Status>> {
        Box::pin(async move {
            // A deletion changes nothing.
            let Some(object) = written.new else {
                return Ok(());
            };
            let Context {
                objects,
                authorizer,
                policies,
                ..
            } = context;
            let (objects, policies) = (&**objects, &**policies);
            Mutating::mutate(
                self,
                objects,
                authorizer,
                policies,
                review,
                object,
                written.old,
            )
            .await
        })
    }
}

impl Stage for Validating {
    fn validate<'a>(
        &'a self,
        context: &'a Context,
        review: &'a Review<'a>,
        new: Option<&'a Value>,
        old: Option<&'a Value>,
    ) -> BoxFuture<'a, Result<(), Status>> {
        let Context {
            objects,
            authorizer,
            policies,
            ..
        } = context;
        let (objects, policies) = (&**objects, &**policies);
        Box::pin(Validating::validate(
            self, objects, authorizer, policies, review, new, old,
        ))
    }
}
