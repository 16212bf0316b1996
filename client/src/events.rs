//! Records Events, with the aggregation of Kubernetes' `client-go/tools/record`:
//! a repeated event counts up one object; many that differ only in their
//! message become one "combined from similar events"; a source that talks too
//! much about one object is silenced.

use crate::api::{Client, Patch};
use crate::steps::{self, Step};
use crate::task;
use hardway_proto::meta::ObjectKey;
use hardway_proto::{Kind, Status, names, status};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::json;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::Hash;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// client-go's defaults.
const CACHE_SIZE: usize = 4096;
const MAX_SIMILAR: usize = 10;
const SIMILAR_WINDOW: Duration = Duration::from_secs(600);
const SPAM_BURST: f64 = 25.0;
const SPAM_REFILL_PER_SECOND: f64 = 1.0 / 300.0;
/// Events waiting to be sent; more are dropped, never waited for.
const BACKLOG: usize = 1000;
const ATTEMPTS: u32 = 12;

/// `Normal` or `Warning`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventType {
    /// For information.
    Normal,
    /// Something went wrong.
    Warning,
}

impl EventType {
    fn as_str(self) -> &'static str {
        match self {
            EventType::Normal => "Normal",
            EventType::Warning => "Warning",
        }
    }
}

/// What identifies an event's series.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct EventKey {
    api_version: String,
    namespace: String,
    kind: String,
    name: String,
    uid: String,
    field_path: String,
    r#type: EventType,
    reason: String,
    message: String,
}

struct Occurrence {
    object: ObjectReference,
    annotations: BTreeMap<String, String>,
    key: EventKey,
    at: Timestamp,
}

/// Sends events in the background; clones share one queue.
#[derive(Clone)]
pub struct Recorder {
    sender: mpsc::Sender<Occurrence>,
}

/// A reference to an object, for an event about it.
pub fn reference<K: Kind>(object: &K) -> ObjectReference {
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    ObjectReference {
        api_version: Some(K::api_version()),
        kind: Some(K::KIND.into()),
        namespace: some(object.namespace()),
        name: some(object.name()),
        uid: some(object.uid()),
        resource_version: some(object.resource_version()),
        field_path: None,
    }
}

impl Recorder {
    /// Events of a component, on a host if it is a node's.
    pub fn new(client: Client, component: &str, host: Option<&str>) -> Self {
        let (sender, receiver) = mpsc::channel(BACKLOG);
        let source = EventSource {
            component: Some(component.into()),
            host: host.map(Into::into),
        };
        // It ends when nobody is left to record anything.
        task::spawn_job("events", send_all(client, source, receiver));
        Self { sender }
    }

    /// Records an event about an object. Never blocks; drops it if the
    /// apiserver has been away for very long.
    pub fn event(
        &self,
        object: ObjectReference,
        r#type: EventType,
        reason: &str,
        message: impl Into<String>,
    ) {
        self.annotated(object, r#type, reason, message, BTreeMap::new());
    }

    /// Records an event that says more in its annotations; see [`Recorder::event`].
    pub fn annotated(
        &self,
        object: ObjectReference,
        r#type: EventType,
        reason: &str,
        message: impl Into<String>,
        annotations: BTreeMap<String, String>,
    ) {
        let text = |field: &Option<String>| field.clone().unwrap_or_default();
        let key = EventKey {
            api_version: text(&object.api_version),
            namespace: text(&object.namespace),
            kind: text(&object.kind),
            name: text(&object.name),
            uid: text(&object.uid),
            field_path: text(&object.field_path),
            r#type,
            reason: reason.into(),
            message: message.into(),
        };
        let at = Timestamp::now();
        let occurrence = Occurrence {
            object,
            annotations,
            key,
            at,
        };
        if occurrence.key.r#type == EventType::Warning {
            steps::record(warning(&occurrence.key));
        }
        if self.sender.try_send(occurrence).is_err() {
            tracing::debug!("event dropped: too many are waiting");
        }
    }
}

/// These tell in their message, after a colon, what a program of the user's has put out.
const WITH_OUTPUT: [&str; 4] = [
    "FailedPostStartHook",
    "FailedPreStopHook",
    "ProbeWarning",
    "Unhealthy",
];

/// A warning as a step. What programs have put out is not told to who may see only the object.
fn warning(key: &EventKey) -> Step {
    let message = match WITH_OUTPUT.contains(&key.reason.as_str()) {
        true => key.message.split(':').next().unwrap_or_default(),
        false => &key.message,
    };
    let about = ObjectKey::new(key.namespace.as_str(), key.name.as_str());
    Step::of(key.resource(), about, key.uid.as_str(), "warned")
        .with("reason", &key.reason)
        .with("message", message)
        .with("part", &key.field_path)
}

impl EventKey {
    /// The resource of the kind: as Kubernetes guesses it where it has no discovery
    /// (`meta.UnsafeGuessKindToResource` of `k8s.io/apimachinery`).
    fn resource(&self) -> String {
        let kind = self.kind.to_ascii_lowercase();
        let plural = match kind.strip_suffix('y') {
            _ if kind.ends_with("endpoints") => kind,
            Some(stem) => format!("{stem}ies"),
            None if kind.ends_with('s') => format!("{kind}es"),
            None => format!("{kind}s"),
        };
        match self.api_version.split_once('/') {
            Some((group, _)) => status::qualified(group, &plural),
            None => plural,
        }
    }
}

/// What to do about one occurrence.
#[derive(Debug, PartialEq)]
enum Decision {
    Silence,
    /// Create a new event with this message.
    Create(String),
    /// Count up the existing event of this name.
    Bump {
        name: String,
        count: i32,
        message: String,
    },
}

/// A map that forgets everything older when it gets too large.
struct Bounded<K, V>(HashMap<K, V>);

impl<K: Hash + Eq, V> Bounded<K, V> {
    fn entry_or(&mut self, key: K, new: impl FnOnce() -> V) -> &mut V {
        if self.0.len() >= CACHE_SIZE && !self.0.contains_key(&key) {
            self.0.clear();
        }
        self.0.entry(key).or_insert_with(new)
    }
}

struct Bucket {
    tokens: f64,
    at: Instant,
}

struct Similar {
    messages: HashSet<String>,
    last: Instant,
}

struct Sent {
    name: String,
    count: i32,
}

/// Decides, without any I/O, how occurrences become event objects.
struct Correlator {
    buckets: Bounded<(String, String, String), Bucket>,
    similar: Bounded<EventKey, Similar>,
    sent: Bounded<EventKey, Sent>,
}

impl Correlator {
    fn new() -> Self {
        Self {
            buckets: Bounded(HashMap::new()),
            similar: Bounded(HashMap::new()),
            sent: Bounded(HashMap::new()),
        }
    }

    /// The decision, and the key under which the outcome is to be kept.
    fn decide(&mut self, key: &EventKey, now: Instant) -> (Decision, EventKey) {
        let mut group = key.clone();
        group.message.clear();
        let similar = self.similar.entry_or(group.clone(), || Similar {
            messages: HashSet::new(),
            last: now,
        });
        if now.duration_since(similar.last) > SIMILAR_WINDOW {
            similar.messages.clear();
        }
        similar.last = now;
        similar.messages.insert(key.message.clone());
        let (series, message) = if similar.messages.len() >= MAX_SIMILAR {
            // Any one message keeps the set at its limit; more only cost memory.
            similar
                .messages
                .retain(|m| m != &key.message || m.is_empty());
            let text = format!("(combined from similar events): {}", key.message);
            (group, text)
        } else {
            (key.clone(), key.message.clone())
        };
        let decision = if !self.spend_token(key, now) {
            Decision::Silence
        } else if let Some(sent) = self.sent.0.get(&series) {
            Decision::Bump {
                name: sent.name.clone(),
                count: sent.count + 1,
                message,
            }
        } else {
            Decision::Create(message)
        };
        (decision, series)
    }

    fn spend_token(&mut self, key: &EventKey, now: Instant) -> bool {
        let about = (key.namespace.clone(), key.name.clone(), key.uid.clone());
        let bucket = self.buckets.entry_or(about, || Bucket {
            tokens: SPAM_BURST,
            at: now,
        });
        let earned = now.duration_since(bucket.at).as_secs_f64() * SPAM_REFILL_PER_SECOND;
        bucket.tokens = (bucket.tokens + earned).min(SPAM_BURST);
        bucket.at = now;
        if bucket.tokens < 1.0 {
            return false;
        }
        bucket.tokens -= 1.0;
        true
    }

    fn remember(&mut self, series: EventKey, name: String, count: i32) {
        let sent = self.sent.entry_or(series, || Sent {
            name: String::new(),
            count: 0,
        });
        *sent = Sent { name, count };
    }
}

async fn send_all(client: Client, source: EventSource, mut receiver: mpsc::Receiver<Occurrence>) {
    let mut correlator = Correlator::new();
    while let Some(occurrence) = receiver.recv().await {
        let (decision, series) = correlator.decide(&occurrence.key, Instant::now());
        for attempt in 1..=ATTEMPTS {
            match send(&client, &source, &occurrence, &decision).await {
                Ok(Some((name, count))) => {
                    correlator.remember(series, name, count);
                    break;
                }
                Ok(None) => break,
                // The apiserver is away or busy: that passes; a refusal doesn't.
                Err(status) if status.code >= 500 || status.code == 429 => {
                    let pause = crate::queue::backoff(
                        attempt,
                        Duration::from_millis(200),
                        Duration::from_secs(10),
                    );
                    tokio::time::sleep(pause).await;
                }
                Err(status) => {
                    tracing::debug!(%status, "event refused");
                    break;
                }
            }
        }
    }
}

/// Sends one decision; returns the event's name and count.
async fn send(
    client: &Client,
    source: &EventSource,
    occurrence: &Occurrence,
    decision: &Decision,
) -> Result<Option<(String, i32)>, Status> {
    let key = &occurrence.key;
    let namespace = match key.namespace.as_str() {
        "" => "default",
        namespace => namespace,
    };
    let api = client.namespaced::<Event>(namespace);
    let message = match decision {
        Decision::Silence => return Ok(None),
        Decision::Create(message) => message,
        Decision::Bump {
            name,
            count,
            message,
        } => {
            let patch = json!({
                "count": count, "message": message,
                "lastTimestamp": Time(occurrence.at),
            });
            match api.patch(name, Patch::Merge(&patch)).await {
                Ok(_) => return Ok(Some((name.clone(), *count))),
                // Expired meanwhile: start a new one.
                Err(status) if status.is_not_found() => message,
                Err(status) => return Err(status),
            }
        }
    };
    let event = new_event(source, occurrence, namespace, message);
    let created = match api.create(&event).await {
        Err(status) if status.is_already_exists() => event,
        outcome => outcome?,
    };
    Ok(Some((created.name().to_owned(), 1)))
}

/// The name of an event of this time about an object, after that object where that makes a
/// name (`GenerateEventName` in `k8s.io/client-go/tools/record/util`).
fn event_name(about: &str, at: Timestamp) -> String {
    let at = at.as_nanosecond();
    let name = format!("{about}.{at:x}");
    match names::is_dns1123_subdomain(&name).is_empty() {
        true => name,
        false => format!("{}.{at:x}", names::random_suffix(20)),
    }
}

fn new_event(source: &EventSource, what: &Occurrence, namespace: &str, message: &str) -> Event {
    let mut event = Event::default();
    event.metadata.name = Some(event_name(&what.key.name, what.at));
    event.metadata.namespace = Some(namespace.into());
    let annotations = &what.annotations;
    event.metadata.annotations = (!annotations.is_empty()).then(|| annotations.clone());
    event.involved_object = what.object.clone();
    event.type_ = Some(what.key.r#type.as_str().into());
    event.reason = Some(what.key.reason.clone());
    event.message = Some(message.into());
    event.source = Some(source.clone());
    event.reporting_component = source.component.clone();
    event.reporting_instance = source.host.clone();
    event.count = Some(1);
    event.first_timestamp = Some(Time(what.at));
    event.last_timestamp = Some(Time(what.at));
    event
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(message: &str) -> EventKey {
        EventKey {
            api_version: "v1".into(),
            namespace: "default".into(),
            kind: "Pod".into(),
            name: "web".into(),
            uid: "1".into(),
            field_path: String::new(),
            r#type: EventType::Warning,
            reason: "BackOff".into(),
            message: message.into(),
        }
    }

    #[test]
    fn events_have_names_whatever_theirs_is_called() {
        let at = Timestamp::from_nanosecond(0xabc).unwrap();
        assert_eq!(event_name("web", at), "web.abc");
        // A role may be called so, and a pod may have a name as long as an event's.
        for about in ["system:node", "Web", &"a".repeat(253)] {
            let name = event_name(about, at);
            assert_eq!(names::is_dns1123_subdomain(&name), [""; 0], "{name}");
            assert_ne!(name, event_name(about, at));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_repeated_event_counts_up() {
        let mut correlator = Correlator::new();
        let (first, series) = correlator.decide(&key("a"), Instant::now());
        assert_eq!(first, Decision::Create("a".into()));
        correlator.remember(series, "web.1".into(), 1);
        let (second, _) = correlator.decide(&key("a"), Instant::now());
        let bump = Decision::Bump {
            name: "web.1".into(),
            count: 2,
            message: "a".into(),
        };
        assert_eq!(second, bump);
    }

    #[tokio::test(start_paused = true)]
    async fn many_similar_events_are_combined() {
        let mut correlator = Correlator::new();
        for n in 0..9 {
            let (decision, _) = correlator.decide(&key(&n.to_string()), Instant::now());
            assert_eq!(decision, Decision::Create(n.to_string()));
        }
        let (tenth, _) = correlator.decide(&key("9"), Instant::now());
        let text = "(combined from similar events): 9";
        assert_eq!(tenth, Decision::Create(text.into()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_is_silenced_until_tokens_return() {
        let mut correlator = Correlator::new();
        for _ in 0..25 {
            assert_ne!(
                correlator.decide(&key("a"), Instant::now()).0,
                Decision::Silence
            );
        }
        assert_eq!(
            correlator.decide(&key("a"), Instant::now()).0,
            Decision::Silence
        );
        tokio::time::advance(Duration::from_secs(301)).await;
        assert_ne!(
            correlator.decide(&key("a"), Instant::now()).0,
            Decision::Silence
        );
    }

    #[test]
    fn a_warning_tells_no_output_of_programs() {
        let mut unhealthy = key("Readiness probe failed: token=s3cret");
        unhealthy.reason = "Unhealthy".into();
        let step = warning(&unhealthy).into_message();
        let text = |name: &str| {
            let found = step.details.iter().find(|detail| detail.name == name);
            found.map(|detail| detail.value.clone())
        };
        assert_eq!(text("message").as_deref(), Some("Readiness probe failed"));
        assert_eq!(step.what, "warned");
    }

    #[test]
    fn resources_are_guessed_as_kubernetes_does() {
        for (api_version, kind, resource) in [
            ("v1", "Pod", "pods"),
            ("v1", "Endpoints", "endpoints"),
            ("apps/v1", "ReplicaSet", "replicasets.apps"),
            (
                "networking.k8s.io/v1",
                "NetworkPolicy",
                "networkpolicies.networking.k8s.io",
            ),
            (
                "networking.k8s.io/v1",
                "Ingress",
                "ingresses.networking.k8s.io",
            ),
        ] {
            let mut key = key("m");
            key.api_version = api_version.into();
            key.kind = kind.into();
            assert_eq!(key.resource(), resource);
        }
    }
}
