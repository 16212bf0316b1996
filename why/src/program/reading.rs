//! Lists, page by page, as many at once as a server takes easily.

use std::sync::Arc;

use futures_util::{StreamExt, stream};
use hardway_why::{FollowUp, Listing, LogRequest, Resource, Snapshot, Subject, follow_ups};
use jiff::Timestamp;
use serde_json::Value;

use crate::Failure;
use crate::connection::{Cluster, Refusal};

const AT_ONCE: usize = 8;
const PAGE: usize = 500;

/// Kinds that are read of all namespaces even if one is asked about: what nodes have left is
/// up to everybody's pods, and others' Services stand behind webhooks and APIs.
const EVERYWHERE: &[&str] = &["Pod", "Service"];

impl Cluster {
    /// Reads these resources, of one namespace as far as that will do.
    pub async fn snapshot(
        &self,
        resources: &[Resource],
        namespace: Option<&str>,
    ) -> Result<Snapshot, Failure> {
        let read = stream::iter(resources)
            .map(|resource| async move { (resource, self.list(resource, namespace).await) })
            .buffer_unordered(AT_ONCE);
        let (lists, certificates) = tokio::join!(read.collect::<Vec<_>>(), self.certificates());
        // Where nothing at all could be read, that nothing is wrong can't be said.
        let reason = lists.iter().find_map(|(_, listing)| match listing {
            Listing::Failed(why) | Listing::Forbidden(why) => Some(why.clone()),
            Listing::Read(_) | Listing::NotServed => None,
        });
        let is_read = |listing: &Listing| matches!(listing, Listing::Read(_));
        if let Some(why) = reason.filter(|_| !lists.iter().any(|(_, it)| is_read(it))) {
            return Err(Failure::new(
                format!("ask {}", self.url()),
                why,
                "see whether the API server answers, and what you may read:  kubectl get --raw /readyz; kubectl auth can-i --list",
            ));
        }
        let mut snapshot = Snapshot::new(Timestamp::now());
        for (resource, listing) in lists {
            snapshot.put(resource, listing);
        }
        for certificate in certificates {
            snapshot.put_certificate(certificate);
        }
        Ok(snapshot)
    }

    async fn list(&self, resource: &Resource, namespace: Option<&str>) -> Listing {
        let everywhere = EVERYWHERE.contains(&&*resource.kind);
        let scope = match &*resource.kind {
            "Lease" => Some("kube-node-lease"),
            _ => namespace.filter(|_| !everywhere),
        };
        let listing = self.versions(resource, scope).await;
        match (&listing, namespace) {
            // Who may not read all may still read this one.
            (Listing::Forbidden(_), Some(_)) if everywhere => {
                self.versions(resource, namespace).await
            }
            _ => listing,
        }
    }

    async fn versions(&self, resource: &Resource, namespace: Option<&str>) -> Listing {
        for version in resource.versions.iter() {
            match self.pages(&resource.path(version, namespace)).await {
                Ok(items) => {
                    return Listing::Read(items.into_iter().map(|it| keep(resource, it)).collect());
                }
                Err(refusal) => match refusal.code {
                    Some(404) => {}
                    Some(401 | 403) => return Listing::Forbidden(refusal.why),
                    _ => return Listing::Failed(refusal.why),
                },
            }
        }
        Listing::NotServed
    }

    async fn pages(&self, path: &str) -> Result<Vec<Value>, Refusal> {
        let mut all = Vec::new();
        let mut at = String::new();
        loop {
            let page = format!("{path}?limit={PAGE}{at}");
            let mut page = self.get(&page, "application/json").await?;
            let token = page.pointer("/metadata/continue").and_then(Value::as_str);
            at = token
                .filter(|it| !it.is_empty())
                .map(|it| format!("&continue={it}"))
                .unwrap_or_default();
            if let Some(Value::Array(items)) = page.get_mut("items").map(Value::take) {
                all.extend(items);
            }
            if at.is_empty() {
                return Ok(all);
            }
        }
    }

    async fn log(&self, request: &LogRequest) -> Result<String, String> {
        let path = format!(
            "/api/v1/namespaces/{}/pods/{}/log?container={}&previous={}&tailLines={}",
            request.namespace,
            request.pod,
            request.container,
            request.previous,
            LogRequest::LINES
        );
        self.text(&path).await.map_err(|refusal| refusal.why)
    }
}

/// What of an object is kept: of a secret's values only certificates.
fn keep(resource: &Resource, mut object: Value) -> Arc<Value> {
    if resource.kind == "Secret"
        && let Some(data) = object.get_mut("data").and_then(Value::as_object_mut)
    {
        let hidden = data.iter_mut().filter(|(name, _)| *name != "tls.crt");
        hidden.for_each(|(_, value)| *value = Value::Null);
    }
    Arc::new(object)
}

/// Asks what else is worth it, and adds it. What can't be had is left out, or said in its place.
pub async fn follow_up(cluster: &Cluster, snapshot: &mut Snapshot, subject: Option<&Subject>) {
    let wanted = follow_ups(snapshot, subject);
    let mut logs = Vec::new();
    for follow_up in wanted {
        match follow_up {
            FollowUp::Log(request) => logs.push(request),
            FollowUp::Objects {
                group,
                plural,
                namespace,
            } => {
                let word = match group.as_str() {
                    "" => plural,
                    group => format!("{plural}.{group}"),
                };
                if let Ok(resource) = crate::kinds::find(cluster, &word).await {
                    let listing = cluster.versions(&resource, Some(&namespace)).await;
                    if matches!(listing, Listing::Read(_)) {
                        snapshot.put(&resource, listing);
                    }
                }
            }
        }
    }
    let read = stream::iter(logs)
        .map(|request| async move {
            let lines = cluster.log(&request).await;
            (request, lines)
        })
        .buffer_unordered(AT_ONCE);
    for (request, lines) in read.collect::<Vec<_>>().await {
        snapshot.put_log(request, lines);
    }
}
