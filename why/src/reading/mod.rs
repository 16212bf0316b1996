//! Reading what the engine asks for, by whoever can ask an API server for paths.

mod paths;

pub use paths::Paths;

use std::sync::Arc;

use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt, stream};
use jiff::Timestamp;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use crate::follow_up::FollowUp;
use crate::resources::Resource;
use crate::snapshot::{DnsOutcome, DnsRequest, Listing, LogRequest, Snapshot};

/// How many requests are made at once.
const AT_ONCE: usize = 8;
/// How many objects a list is read at a time.
const PAGE: usize = 500;
/// How much is read of a log, in bytes.
const LONGEST_LOG: usize = 16 << 10;
const JSON: &str = "application/json";

/// An API server, asked with somebody's credentials.
pub trait Api: Sync {
    /// What is at a path, query included.
    fn get(
        &self,
        path: &str,
        accept: &'static str,
    ) -> impl Future<Output = Result<Vec<u8>, Refusal>> + Send;

    /// What a DNS server in a pod answers; nothing for who does not ask any.
    fn ask_dns(&self, request: &DnsRequest) -> impl Future<Output = Option<DnsOutcome>> + Send;
}

/// An answer that is no success.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct Refusal {
    /// The HTTP status, if there was an answer.
    pub code: Option<u16>,
    /// The API server's words, or those of the connection.
    pub why: String,
}

impl Refusal {
    /// What the engine is told of a list that was refused.
    pub fn listing(self) -> Listing {
        match self.code {
            Some(403) => Listing::Forbidden(self.why),
            Some(404) => Listing::NotServed,
            _ => Listing::Failed(self.why),
        }
    }
}

/// What is kept of an object of a kind: all of it, or what [`condense`](crate::condense) leaves.
pub type Kept = fn(&str, Value) -> Value;

/// Reads lists: of all namespaces, or of the one that matters as far as that will do.
///
/// # Errors
/// With the first refusal, if there was no answer to any of them but that there is none, or
/// that the user is not known.
pub async fn lists<'a, A: Api>(
    api: &A,
    resources: impl IntoIterator<Item = &'a Resource>,
    namespace: Option<&str>,
    kept: Kept,
) -> Result<Snapshot, Refusal> {
    // On the heap, and of one type: closures that borrow can't be sent to other threads.
    let read = resources.into_iter();
    let read: Vec<BoxFuture<'_, _>> = read
        .map(|resource| listed(api, resource, namespace, kept).boxed())
        .collect();
    let mut read = stream::iter(read).buffer_unordered(AT_ONCE);
    let mut snapshot = Snapshot::new(Timestamp::now());
    let (mut some, mut failed) = (false, None);
    while let Some((resource, outcome)) = read.next().await {
        let listing = match outcome {
            Ok(objects) => Listing::Read(objects),
            Err(refusal) => {
                failed = failed.or_else(|| Some(refusal.clone()));
                refusal.listing()
            }
        };
        some |= !matches!(listing, Listing::Failed(_));
        snapshot.put(resource, listing);
    }
    match failed.filter(|_| !some) {
        Some(refusal) => Err(refusal),
        None => Ok(snapshot),
    }
}

/// A list, and of what.
async fn listed<'a>(
    api: &impl Api,
    resource: &'a Resource,
    namespace: Option<&str>,
    kept: Kept,
) -> (&'a Resource, Result<Vec<Arc<Value>>, Refusal>) {
    let mut paths = Paths::new(resource, namespace);
    loop {
        let outcome = pages(api, resource, paths.first(), kept).await;
        let refused = outcome.as_ref().err().and_then(|refusal| refusal.code);
        match refused.and_then(|code| paths.after(code)) {
            Some(next) => paths = next,
            None => return (resource, outcome),
        }
    }
}

/// Reads what else is worth a request, and adds it. What can't be had is left out, or said in its
/// place.
pub async fn further(api: &impl Api, snapshot: &mut Snapshot, requests: Vec<FollowUp>) {
    let asked = requests.into_iter();
    let asked: Vec<BoxFuture<'_, _>> = asked
        .map(|request| answered(api, request).boxed())
        .collect();
    let mut asked = stream::iter(asked).buffer_unordered(AT_ONCE);
    while let Some(got) = asked.next().await {
        match got {
            Got::Log(request, lines) => snapshot.put_log(request, lines),
            Got::Objects(resource, listing) => snapshot.put(&resource, listing),
            Got::Dns(request, outcome) => snapshot.put_dns(request, outcome),
            Got::Nothing => {}
        }
    }
}

/// What came of a further request.
enum Got {
    Log(LogRequest, Result<String, String>),
    Objects(Resource, Listing),
    Dns(DnsRequest, DnsOutcome),
    Nothing,
}

async fn answered(api: &impl Api, request: FollowUp) -> Got {
    match request {
        FollowUp::Log(request) => {
            let lines = log(api, &request).await;
            Got::Log(request, lines.map_err(|refusal| refusal.why))
        }
        FollowUp::Objects {
            group,
            plural,
            namespace,
        } => match remaining(api, &group, &plural, &namespace).await {
            Some((resource, objects)) => Got::Objects(resource, Listing::Read(objects)),
            None => Got::Nothing,
        },
        FollowUp::Dns(request) => match api.ask_dns(&request).await {
            Some(outcome) => Got::Dns(request, outcome),
            None => Got::Nothing,
        },
    }
}

/// All of an object.
pub fn whole(_: &str, object: Value) -> Value {
    object
}

async fn json(api: &impl Api, path: &str) -> Result<Value, Refusal> {
    let body = api.get(path, JSON).await?;
    serde_json::from_slice(&body).map_err(|error| Refusal {
        code: None,
        why: format!("the answer to {path} makes no sense: {error}"),
    })
}

/// All objects of a list, page by page.
async fn pages(
    api: &impl Api,
    resource: &Resource,
    path: &str,
    kept: Kept,
) -> Result<Vec<Arc<Value>>, Refusal> {
    let mut objects = Vec::new();
    let mut at = String::new();
    loop {
        let mut page = json(api, &format!("{path}?limit={PAGE}{at}")).await?;
        let token = page.pointer("/metadata/continue").and_then(Value::as_str);
        at = token
            .filter(|it| !it.is_empty())
            .map_or_else(String::new, |it| {
                format!("&continue={}", utf8_percent_encode(it, NON_ALPHANUMERIC))
            });
        if let Some(Value::Array(items)) = page.get_mut("items").map(Value::take) {
            let items = items.into_iter().map(|it| conceal(resource, it));
            objects.extend(items.map(|it| Arc::new(kept(&resource.kind, it))));
        }
        if at.is_empty() {
            return Ok(objects);
        }
    }
}

/// What of an object is kept: of a Secret's values only certificates, which servers show to
/// everybody.
fn conceal(resource: &Resource, mut object: Value) -> Value {
    if resource.kind == "Secret" {
        let is_certificate = object["type"] == "kubernetes.io/tls";
        let data = object.get_mut("data").and_then(Value::as_object_mut);
        let hidden = data.into_iter().flatten();
        let hidden = hidden.filter(|(name, _)| !(is_certificate && *name == "tls.crt"));
        hidden.for_each(|(_, value)| *value = Value::Null);
        // kubectl's copy of it.
        let annotations = object.pointer_mut("/metadata/annotations");
        if let Some(annotations) = annotations.and_then(Value::as_object_mut) {
            annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
        }
    }
    object
}

async fn log(api: &impl Api, request: &LogRequest) -> Result<String, Refusal> {
    let path = format!(
        "/api/v1/namespaces/{}/pods/{}/log?container={}&previous={}&tailLines={}&limitBytes={LONGEST_LOG}",
        request.namespace,
        request.pod,
        request.container,
        request.previous,
        LogRequest::LINES
    );
    let text = api.get(&path, "text/plain, */*").await?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// What is left of a resource in a namespace. Discovery says what it is.
async fn remaining(
    api: &impl Api,
    group: &str,
    plural: &str,
    namespace: &str,
) -> Option<(Resource, Vec<Arc<Value>>)> {
    let version = match group {
        "" => "v1".to_owned(),
        group => {
            let found = json(api, &format!("/apis/{group}")).await.ok()?;
            let preferred = found.pointer("/preferredVersion/version")?;
            preferred.as_str()?.to_owned()
        }
    };
    let base = match group {
        "" => format!("/api/{version}"),
        group => format!("/apis/{group}/{version}"),
    };
    let found = json(api, &base).await.ok()?;
    let resources = found["resources"].as_array()?;
    let found = resources.iter().find(|it| it["name"] == plural)?;
    let resource = Resource::other(group, &version, plural, found["kind"].as_str()?, true);
    let path = resource.path(&version, Some(namespace));
    let objects = pages(api, &resource, &path, whole).await.ok()?;
    Some((resource, objects))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::collections::BTreeMap;

    /// Answers by path; what it has not is not served.
    #[derive(Default)]
    struct Recorded {
        answers: BTreeMap<&'static str, Result<Value, u16>>,
    }

    impl Recorded {
        fn with(mut self, path: &'static str, answer: Result<Value, u16>) -> Self {
            self.answers.insert(path, answer);
            self
        }
    }

    impl Api for Recorded {
        async fn get(&self, path: &str, _: &'static str) -> Result<Vec<u8>, Refusal> {
            let missing = Err(404);
            let answer = self.answers.get(path).unwrap_or(&missing);
            answer
                .as_ref()
                .map(|value| value.to_string().into_bytes())
                .map_err(|code| Refusal {
                    code: Some(*code),
                    why: format!("answered {code}"),
                })
        }

        async fn ask_dns(&self, _: &DnsRequest) -> Option<DnsOutcome> {
            None
        }
    }

    fn names(snapshot: &Snapshot, resource: &str) -> Vec<String> {
        let Listing::Read(objects) = &snapshot.lists[resource].listing else {
            panic!("{resource} was not read");
        };
        let names = objects.iter().map(|it| it["metadata"]["name"].to_string());
        names.map(|it| it.replace('"', "")).collect()
    }

    fn list(name: &str) -> Result<Value, u16> {
        Ok(json!({"metadata": {}, "items": [{"metadata": {"name": name}}]}))
    }

    /// The versions that Kubernetes 1.20 serves of what has moved on since.
    #[tokio::test]
    async fn an_old_cluster_is_read_by_the_versions_it_has() {
        let old = Recorded::default()
            .with("/api/v1/pods?limit=500", list("web"))
            .with(
                "/apis/batch/v1beta1/namespaces/a/cronjobs?limit=500",
                list("nightly"),
            )
            .with(
                "/apis/policy/v1beta1/namespaces/a/poddisruptionbudgets?limit=500",
                list("web"),
            )
            .with(
                "/apis/discovery.k8s.io/v1beta1/namespaces/a/endpointslices?limit=500",
                list("web-1"),
            )
            .with(
                "/apis/autoscaling/v2beta2/namespaces/a/horizontalpodautoscalers?limit=500",
                list("web"),
            );
        let snapshot = lists(&old, crate::everything(), Some("a"), crate::condense)
            .await
            .unwrap();
        assert_eq!(names(&snapshot, "pods"), ["web"]);
        assert_eq!(names(&snapshot, "cronjobs.batch"), ["nightly"]);
        assert_eq!(names(&snapshot, "poddisruptionbudgets.policy"), ["web"]);
        assert_eq!(
            names(&snapshot, "endpointslices.discovery.k8s.io"),
            ["web-1"]
        );
        let scalers = "horizontalpodautoscalers.autoscaling";
        assert_eq!(names(&snapshot, scalers), ["web"]);
        assert!(
            snapshot.all_unread().is_empty(),
            "what it lacks is no refusal"
        );
    }

    #[tokio::test]
    async fn pages_are_put_together_and_their_tokens_escaped() {
        let page =
            json!({"metadata": {"continue": "a+/="}, "items": [{"metadata": {"name": "a"}}]});
        let api = Recorded::default()
            .with("/api/v1/nodes?limit=500", Ok(page))
            .with("/api/v1/nodes?limit=500&continue=a%2B%2F%3D", list("b"));
        let nodes = crate::resource("Node");
        let snapshot = lists(&api, nodes, None, whole).await.unwrap();
        assert_eq!(names(&snapshot, "nodes"), ["a", "b"]);
    }

    #[tokio::test]
    async fn who_may_not_read_all_reads_their_own_and_who_is_unknown_nothing() {
        let pods = crate::resource("Pod");
        let own = Recorded::default()
            .with("/api/v1/pods?limit=500", Err(403))
            .with("/api/v1/namespaces/a/pods?limit=500", list("web"));
        let snapshot = lists(&own, pods, Some("a"), whole).await.unwrap();
        assert_eq!(names(&snapshot, "pods"), ["web"]);
        assert_eq!(snapshot.reads_nothing(), None);
        let forbidden = Recorded::default().with("/api/v1/pods?limit=500", Err(403));
        let snapshot = lists(&forbidden, pods, None, whole).await.unwrap();
        assert_eq!(snapshot.reads_nothing(), Some("answered 403"));
        let unknown = Recorded::default().with("/api/v1/pods?limit=500", Err(401));
        let refusal = lists(&unknown, pods, None, whole).await.err().unwrap();
        assert_eq!(refusal.code, Some(401));
    }

    #[tokio::test]
    async fn what_holds_a_namespace_is_found_by_discovery() {
        let api = Recorded::default()
            .with(
                "/apis/example.com",
                Ok(json!({"preferredVersion": {"version": "v2"}})),
            )
            .with(
                "/apis/example.com/v2",
                Ok(
                    json!({"resources": [{"name": "widgets/status", "kind": "Widget"},
                    {"name": "widgets", "kind": "Widget"}]}),
                ),
            )
            .with(
                "/apis/example.com/v2/namespaces/a/widgets?limit=500",
                list("w"),
            );
        let left = |plural: &str| FollowUp::Objects {
            group: "example.com".to_owned(),
            plural: plural.to_owned(),
            namespace: "a".to_owned(),
        };
        let mut snapshot = Snapshot::new(Timestamp::UNIX_EPOCH);
        further(&api, &mut snapshot, vec![left("widgets"), left("gone")]).await;
        assert_eq!(names(&snapshot, "widgets.example.com"), ["w"]);
        assert_eq!(snapshot.lists.len(), 1);
    }

    #[test]
    fn of_secrets_only_certificates_are_kept() {
        let secret = crate::resource("Secret").unwrap();
        let object = |kind: &str| {
            let annotations = json!({"kubectl.kubernetes.io/last-applied-configuration": "data"});
            let kept = conceal(
                secret,
                json!({"type": kind, "metadata": {"annotations": annotations},
                    "data": {"tls.crt": "c", "tls.key": "k"}}),
            );
            assert_eq!(kept["metadata"]["annotations"], json!({}));
            kept["data"].clone()
        };
        let of_tls = json!({"tls.crt": "c", "tls.key": null});
        assert_eq!(object("kubernetes.io/tls"), of_tls);
        let none = json!({"tls.crt": null, "tls.key": null});
        assert_eq!(object("Opaque"), none);
    }
}
