//! Who may use the kubelet's API: cluster administrators, and whom the
//! apiserver's authorizers allow the node's subresource.

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

/// Whom a client certificate or a token names.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    name: String,
    groups: Vec<String>,
    /// When the certificate ends, in seconds since the epoch; nothing for a token, which
    /// the apiserver is asked about again.
    not_after: Option<i64>,
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
        Some(Self {
            name,
            groups,
            not_after: Some(certificate.validity().not_after.timestamp()),
        })
    }

    /// Whom the apiserver names for a token.
    pub fn of_token(name: String, groups: Vec<String>) -> Self {
        Self {
            name,
            groups,
            not_after: None,
        }
    }

    /// Whether the certificate, good when the connection began, has ended.
    fn is_expired(&self, now: i64) -> bool {
        self.not_after.is_some_and(|end| now > end)
    }
}

impl Identity {
    /// The user's name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

type Key = (Identity, &'static str, &'static str);

/// Decides.
pub struct Access {
    client: Client,
    node: String,
    cache: Mutex<HashMap<Key, (Instant, bool)>>,
}

/// The node's subresources that a path belongs to, by its decoded segments:
/// whoever is allowed one of them may go there. Those that are narrow come
/// before `proxy`, which is nearly everything (KubeletFineGrainedAuthz).
fn subresources(path: &[&str]) -> &'static [&'static str] {
    match path.first().copied().unwrap_or_default() {
        "stats" => &["stats"],
        "metrics" => &["metrics"],
        "logs" => &["log"],
        "checkpoint" => &["checkpoint"],
        "pods" | "runningpods" => &["pods", "proxy"],
        "configz" => &["configz", "proxy"],
        _ => &["proxy"],
    }
}

/// What is done there. Running something in a container is no reading, also
/// where WebSocket begins it with a GET.
fn verb(method: &Method, path: &[&str]) -> &'static str {
    if let Some(&("exec" | "attach" | "run" | "portForward")) = path.first() {
        return "create";
    }
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

    /// Refuses those who may not. `path` is in decoded segments.
    pub async fn check(
        &self,
        identity: &Identity,
        method: &Method,
        path: &[&str],
    ) -> Result<(), Refusal> {
        if identity.is_expired(jiff::Timestamp::now().as_second()) {
            return Err(Refusal(StatusCode::UNAUTHORIZED, "Unauthorized".into()));
        }
        if identity.groups.iter().any(|g| g == "system:masters") {
            return Ok(());
        }
        let (verb, subresources) = (verb(method, path), subresources(path));
        for subresource in subresources {
            let key = (identity.clone(), verb, *subresource);
            let allowed = match self.remembered(&key) {
                Some(allowed) => allowed,
                None => self.ask(&key).await?,
            };
            if allowed {
                return Ok(());
            }
        }
        Err(Refusal(
            StatusCode::FORBIDDEN,
            format!(
                "Forbidden (user={}, verb={verb}, resource=nodes, subresource(s)=[{}])",
                identity.name,
                subresources.join(" ")
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
    fn what_is_narrow_is_asked_for_before_proxy() {
        assert_eq!(subresources(&["stats", "summary"]), ["stats"]);
        assert_eq!(subresources(&["metrics"]), ["metrics"]);
        assert_eq!(subresources(&["logs", "x"]), ["log"]);
        assert_eq!(subresources(&["checkpoint", "a"]), ["checkpoint"]);
        assert_eq!(subresources(&["pods"]), ["pods", "proxy"]);
        assert_eq!(subresources(&["runningpods", ""]), ["pods", "proxy"]);
        assert_eq!(subresources(&["configz"]), ["configz", "proxy"]);
        for other in ["containerLogs", "exec", "run", ""] {
            assert_eq!(subresources(&[other]), ["proxy"]);
        }
    }

    #[test]
    fn running_something_is_no_reading() {
        for stream in ["exec", "attach", "run", "portForward"] {
            assert_eq!(verb(&Method::GET, &[stream, "ns", "pod"]), "create");
        }
        assert_eq!(verb(&Method::GET, &["containerLogs", "ns"]), "get");
        assert_eq!(verb(&Method::POST, &["pods"]), "create");
        assert_eq!(verb(&Method::HEAD, &["pods"]), "get");
    }

    #[test]
    fn a_certificate_counts_to_its_end() {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::default();
        params.not_after = rcgen::date_time_ymd(2030, 1, 1);
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, "somebody");
        let certificate = params.self_signed(&key).unwrap();
        let identity = Identity::of(certificate.der()).unwrap();
        let end: jiff::Timestamp = "2030-01-01T00:00:00Z".parse().unwrap();
        assert!(!identity.is_expired(end.as_second()));
        assert!(identity.is_expired(end.as_second() + 1));
    }
}
