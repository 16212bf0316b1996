//! Who may use the kubelet's API: cluster administrators, and whom the
//! apiserver's authorisers allow the node's subresource.

use super::Refusal;
use hardway_client::api::Client;
use http::{Method, StatusCode};
use parking_lot::Mutex;
use rustls_pki_types::CertificateDer;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// How long an answer counts.
const ALLOWED: Duration = Duration::from_secs(300);
const DENIED: Duration = Duration::from_secs(30);
/// Answers kept.
const CACHE: usize = 1024;

/// Whom a client certificate names.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    name: String,
    groups: Vec<String>,
}

impl Identity {
    /// Common name and organisations of a verified certificate.
    pub fn of(certificate: &CertificateDer<'_>) -> Option<Self> {
        let (_, certificate) = x509_parser::parse_x509_certificate(certificate).ok()?;
        let subject = certificate.subject();
        let name = subject.iter_common_name().next()?.as_str().ok()?.to_owned();
        let groups = subject
            .iter_organization()
            .filter_map(|o| o.as_str().ok())
            .chain(["system:authenticated"])
            .map(str::to_owned)
            .collect();
        Some(Self { name, groups })
    }
}

type Key = (Identity, &'static str, &'static str);

/// Decides.
pub struct Access {
    client: Client,
    node: String,
    cache: Mutex<HashMap<Key, (Instant, bool)>>,
}

/// The node's subresource that a path belongs to.
fn subresource(path: &str) -> &'static str {
    let first = path.trim_start_matches('/').split('/').next();
    match first {
        Some("stats") => "stats",
        Some("metrics") => "metrics",
        Some("logs") => "log",
        _ => "proxy",
    }
}

fn verb(method: &Method) -> &'static str {
    match *method {
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        _ => "get",
    }
}

impl Access {
    /// For a node's API.
    pub fn new(client: Client, node: String) -> Self {
        Self {
            client,
            node,
            cache: Mutex::default(),
        }
    }

    /// Refuses those who may not.
    pub async fn check(
        &self,
        identity: &Identity,
        method: &Method,
        path: &str,
    ) -> Result<(), Refusal> {
        if identity.groups.iter().any(|g| g == "system:masters") {
            return Ok(());
        }
        let key = (identity.clone(), verb(method), subresource(path));
        let allowed = match self.remembered(&key) {
            Some(allowed) => allowed,
            None => self.ask(&key).await?,
        };
        if allowed {
            return Ok(());
        }
        let (_, verb, subresource) = key;
        Err(Refusal(
            StatusCode::FORBIDDEN,
            format!(
                "Forbidden (user={}, verb={verb}, resource=nodes, subresource={subresource})",
                identity.name
            ),
        ))
    }

    fn remembered(&self, key: &Key) -> Option<bool> {
        let cache = self.cache.lock();
        let (at, allowed) = cache.get(key)?;
        let counts = if *allowed { ALLOWED } else { DENIED };
        (at.elapsed() < counts).then_some(*allowed)
    }

    async fn ask(&self, key: &Key) -> Result<bool, Refusal> {
        let (identity, verb, subresource) = key;
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {
                "user": identity.name,
                "groups": identity.groups,
                "resourceAttributes": {
                    "verb": verb, "version": "v1", "resource": "nodes",
                    "subresource": subresource, "name": self.node,
                },
            },
        });
        let api = self
            .client
            .dynamic("authorization.k8s.io", "v1", "subjectaccessreviews", "");
        let answer = api.create("", "", review.to_string().into_bytes()).await;
        let object = answer.map_err(|status| {
            Refusal::internal(format!(
                "Authorization error (user={}, verb={verb}, resource=nodes, subresource={subresource}): {status}",
                identity.name
            ))
        })?;
        let answer: Value = serde_json::from_slice(&object.json).map_err(Refusal::internal)?;
        let allowed = answer["status"]["allowed"] == Value::Bool(true);
        let mut cache = self.cache.lock();
        if cache.len() >= CACHE {
            cache.clear();
        }
        cache.insert(key.clone(), (Instant::now(), allowed));
        Ok(allowed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_map_to_subresources_of_nodes() {
        assert_eq!(subresource("/stats/summary"), "stats");
        assert_eq!(subresource("/metrics"), "metrics");
        assert_eq!(subresource("/containerLogs/a/b/c"), "proxy");
        assert_eq!(subresource("/exec/a/b/c"), "proxy");
        assert_eq!(verb(&Method::POST), "create");
    }
}
