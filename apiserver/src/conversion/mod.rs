//! Custom resources whose versions differ in more than their name: a webhook converts their
//! objects, many at a time, before they are answered, told or stored. The watch cache keeps
//! what is stored; what was converted is kept beside it ([`converted`]), so that a webhook that
//! is away fails those who ask for another version than the stored one, and nobody else.

mod converted;
mod metrics;
mod review;

use crate::cache::{Entry, Event};
use crate::pipeline::metadata;
use converted::{Converted, Failure, Found, Key};
use hardway_access::admission::webhooks::{CallError, ClientConfig, WebhookCaller};
use hardway_proto::Status;
use hardway_resources::crd::ConversionWebhook;
use hardway_resources::resource::Resource;
use review::Error;
use serde_json::Value;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// How many objects a webhook is sent at once …
const BATCH: usize = 500;
/// … of how many bytes, unless it is only one.
const BATCH_BYTES: usize = 4 << 20;
/// How long it may take (Kubernetes' clients of webhooks, `?timeout=30s`).
const TIMEOUT: Duration = Duration::from_secs(30);

/// Converts objects, and knows those that were.
pub struct Conversion {
    caller: Arc<dyn WebhookCaller>,
    converted: Converted,
}

/// What clients are told of objects that could not be converted.
fn failed(message: &str) -> Status {
    Status::failure(500, "", message)
}

impl Conversion {
    /// One that has converted nothing yet.
    pub fn new(caller: Arc<dyn WebhookCaller>) -> Self {
        Self {
            caller,
            converted: Converted::default(),
        }
    }

    /// Objects of a resource, in whichever versions, in this one.
    ///
    /// # Errors
    /// 500, if it takes a webhook and that doesn't.
    pub async fn objects(
        &self,
        of: &Resource,
        mut objects: Vec<Value>,
        version: &str,
    ) -> Result<Vec<Value>, Status> {
        let Some(webhook) = &of.webhook else {
            return Ok(objects);
        };
        let wanted = of.api_version(version);
        let others = objects.iter().enumerate();
        let others = others.filter(|(_, object)| object["apiVersion"] != wanted.as_str());
        let places: Vec<usize> = others.map(|(place, _)| place).collect();
        for places in places.chunks(BATCH) {
            let sent = places.iter().map(|place| objects[*place].take()).collect();
            let converted = self.ask(of, webhook, sent, version).await;
            let converted = converted.map_err(|message| failed(&message))?;
            for (place, object) in places.iter().zip(converted) {
                objects[*place] = object;
            }
        }
        Ok(objects)
    }

    /// Objects of the cache in this version.
    ///
    /// # Errors
    /// 500, if it takes a webhook and that doesn't.
    pub async fn entries(
        &self,
        of: &Resource,
        mut entries: Vec<Arc<Entry>>,
        version: &str,
    ) -> Result<Vec<Arc<Entry>>, Status> {
        let Some(webhook) = &of.webhook else {
            return Ok(entries);
        };
        let wanted = of.api_version(version);
        let (revision, version): (Arc<str>, Arc<str>) =
            (webhook.revision.as_str().into(), version.into());
        loop {
            let others = entries.iter().enumerate();
            let others = others.filter(|(_, entry)| !entry.is_in(&wanted));
            let places: Vec<usize> = others.map(|(place, _)| place).collect();
            if places.is_empty() {
                return Ok(entries);
            }
            let keys = places.iter().map(|place| Key {
                webhook: revision.clone(),
                version: version.clone(),
                object: entries[*place].key.clone(),
                revision: entries[*place].revision,
            });
            let (found, mut claim) = self.converted.look(keys);
            let (mut ours, mut awaited) = (Vec::new(), Vec::<watch::Receiver<Failure>>::new());
            for (place, found) in places.into_iter().zip(found) {
                match found {
                    Found::Here(entry) => entries[place] = entry,
                    Found::Claimed => ours.push(place),
                    Found::Awaited(end) => {
                        if !awaited.iter().any(|other| other.same_channel(&end)) {
                            awaited.push(end);
                        }
                    }
                }
            }
            let mut rest = &ours[..];
            while !rest.is_empty() {
                let sizes = rest.iter().map(|place| entries[*place].bytes().len());
                let (places, later) = rest.split_at(batch(sizes));
                rest = later;
                let sent = places.iter().map(|place| entries[*place].value());
                let sent: Vec<Value> = sent.collect();
                match self.ask(of, webhook, sent, &version).await {
                    Ok(objects) => {
                        for (place, object) in places.iter().zip(objects) {
                            entries[*place] = converted_entry(of, &entries[*place], &object)?;
                        }
                        let done: Vec<_> = places.iter().map(|p| entries[*p].clone()).collect();
                        claim.fill(&done);
                    }
                    Err(message) => {
                        claim.fail(&message);
                        return Err(failed(&message));
                    }
                }
            }
            drop(claim);
            for mut end in awaited {
                if let Ok(failure) = end.wait_for(Option::is_some).await
                    && let Some(failure) = &*failure
                {
                    return Err(failed(failure));
                }
            }
        }
    }

    /// One object of the cache in this version.
    ///
    /// # Errors
    /// As [`entries`](Self::entries).
    pub async fn entry(
        &self,
        of: &Resource,
        entry: Arc<Entry>,
        version: &str,
    ) -> Result<Arc<Entry>, Status> {
        if of.webhook.is_none() {
            return Ok(entry);
        }
        let mut entries = self.entries(of, vec![entry], version).await?;
        entries
            .pop()
            .ok_or_else(|| Status::internal("no object was converted"))
    }

    /// Changes of objects in this version.
    ///
    /// # Errors
    /// As [`entries`](Self::entries).
    pub async fn events(
        &self,
        of: &Resource,
        events: Vec<Arc<Event>>,
        version: &str,
    ) -> Result<Vec<Arc<Event>>, Status> {
        if of.webhook.is_none() {
            return Ok(events);
        }
        let both = events
            .iter()
            .flat_map(|event| [&event.entry, &event.previous]);
        let all = both.flatten().cloned().collect();
        let mut converted = self.entries(of, all, version).await?.into_iter();
        let mut take = |there: &Option<Arc<Entry>>| there.as_ref().and_then(|_| converted.next());
        let events = events.iter().map(|event| {
            let (entry, previous) = (take(&event.entry), take(&event.previous));
            Arc::new(event.showing(entry, previous))
        });
        Ok(events.collect())
    }

    /// Asks a webhook for objects in another version; or says why there are none.
    async fn ask(
        &self,
        of: &Resource,
        webhook: &ConversionWebhook,
        objects: Vec<Value>,
        version: &str,
    ) -> Result<Vec<Value>, String> {
        let began = Instant::now();
        let first = objects.first().map(
            |first| serde_json::json!({"apiVersion": first["apiVersion"], "kind": first["kind"]}),
        );
        let first = first.unwrap_or_default();
        let from = first["apiVersion"].as_str().unwrap_or_default();
        let from = from.rsplit('/').next().unwrap_or_default();
        let converted = self.review(of, webhook, objects, version).await;
        let failure = converted.as_ref().err();
        metrics::observe(webhook, (from, version), failure, began.elapsed());
        converted.map_err(|error| {
            let message = error.message(&first);
            tracing::debug!(definition = webhook.definition, message, "conversion");
            message
        })
    }

    async fn review(
        &self,
        of: &Resource,
        webhook: &ConversionWebhook,
        objects: Vec<Value>,
        version: &str,
    ) -> Result<Vec<Value>, Error> {
        let uid = metadata::uid();
        let body = review::request(webhook, &uid, &objects, &of.api_version(version))?;
        let server = ClientConfig::of(&webhook.client_config);
        let answer = self.caller.call(&server, body.into(), TIMEOUT).await;
        let answer = answer.map_err(|error| match error {
            CallError::NoClient(message) | CallError::Failed { message, .. } => {
                Error::Call(message)
            }
        })?;
        let converted = review::answered(webhook, &uid, answer)?;
        review::accepted(of, version, objects, converted)
    }
}

/// How many of the objects of these sizes are sent at once: at least one.
fn batch(sizes: impl Iterator<Item = usize>) -> usize {
    let mut bytes = 0;
    let fitting = sizes.take(BATCH).take_while(|size| {
        bytes += size;
        bytes <= BATCH_BYTES
    });
    fitting.count().max(1)
}

/// A cached object as it was converted.
fn converted_entry(of: &Resource, entry: &Entry, object: &Value) -> Result<Arc<Entry>, Status> {
    entry
        .as_another_version(of, object)
        .map(Arc::new)
        .ok_or_else(|| Status::internal("a converted object has no metadata"))
}

#[cfg(test)]
mod tests;
