//! Calling webhooks: posting a review to a Service or URL, over connections that are kept.

mod answer;
mod client;
mod metrics;

use crate::cache::Cache;
use bytes::Bytes;
use client::Client;
use futures_util::future::BoxFuture;
use hardway_access::admission::webhooks::{
    CallError, ClientConfig, ConditionsObservation, Observation, WebhookCaller,
};
use parking_lot::Mutex;
use serde_json::Value;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// So many clients are kept (`k8s.io/apiserver`, `pkg/util/webhook/client.go`). Where there
/// are more all are made anew, as they are needed.
const MOST: usize = 200;

/// Who calls webhooks, of admission and of conversion.
pub struct Webhooks {
    cache: Arc<Cache>,
    clients: Mutex<HashMap<ClientConfig, Arc<Client>>>,
}

impl Webhooks {
    /// Nobody is called yet; Services are found in the cache.
    pub fn new(cache: Arc<Cache>) -> Self {
        Self {
            cache,
            clients: Mutex::default(),
        }
    }

    /// Posts a review to a webhook, and gives back the JSON that it answered.
    ///
    /// # Errors
    /// If the server can't be reached, says that it failed, answers no JSON, or takes longer
    /// than `timeout`.
    pub async fn post(
        &self,
        config: &ClientConfig,
        review: Bytes,
        timeout: Duration,
    ) -> Result<Value, CallError> {
        self.client(config)?.post(review, timeout).await
    }

    fn client(&self, config: &ClientConfig) -> Result<Arc<Client>, CallError> {
        let mut clients = self.clients.lock();
        if let Some(known) = clients.get(config) {
            return Ok(known.clone());
        }
        let client = Client::new(self.cache.clone(), config).map_err(CallError::NoClient)?;
        let client = Arc::new(client);
        if clients.len() >= MOST {
            clients.clear();
        }
        clients.insert(config.clone(), client.clone());
        Ok(client)
    }
}

impl WebhookCaller for Webhooks {
    fn call<'a>(
        &'a self,
        client: &'a ClientConfig,
        review: Bytes,
        timeout: Duration,
    ) -> BoxFuture<'a, Result<Value, CallError>> {
        Box::pin(self.post(client, review, timeout))
    }

    fn observe(&self, observation: &Observation<'_>) {
        metrics::observe(observation);
    }

    fn observe_conditions(&self, observation: &ConditionsObservation<'_>) {
        metrics::observe_conditions(observation);
    }
}
