//! Bootstrap tokens go when their time is over.

use crate::Work;
use crate::bootstrap_tokens::expiration;
use crate::context::Context;
use crate::informers::{Informers, follow};
use hardway_client::api::DeleteParams;
use hardway_client::controller::{self, Next};
use hardway_client::queue::WorkQueue;
use hardway_client::{Client, Store};
use hardway_proto::meta::ObjectKey;
use hardway_proto::{Kind, Status};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use std::time::Duration;

struct Controller {
    client: Client,
    tokens: Store<Secret>,
}

/// The controller.
pub fn register(informers: &mut Informers, context: &Context) -> Work {
    let queue = WorkQueue::new();
    let controller = Controller {
        client: context.client.clone(),
        tokens: informers.bootstrap_tokens.store(),
    };
    follow(&mut informers.bootstrap_tokens, &queue);
    Box::pin(async move {
        controller.tokens.wait_synced().await;
        controller::run("tokencleaner", queue, 1, |key| controller.reconcile(key)).await;
    })
}

impl Controller {
    async fn reconcile(&self, key: ObjectKey) -> Result<Next, Status> {
        let Some(token) = self.tokens.get(&key) else {
            return Ok(Next::Done);
        };
        let Some(at) = expiration(&token) else {
            return Ok(Next::Done);
        };
        let left = at.duration_since(Timestamp::now());
        let left = Duration::try_from(left).unwrap_or_default();
        if !left.is_zero() {
            return Ok(Next::After(left));
        }
        tracing::info!(token = token.name(), "has expired");
        let api = self.client.namespaced::<Secret>(token.namespace());
        match api
            .delete(token.name(), &DeleteParams::of(token.uid()))
            .await
        {
            Err(status) if !status.is_not_found() && !status.is_conflict() => Err(status),
            _ => Ok(Next::Done),
        }
    }
}
