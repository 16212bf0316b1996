//! An apiserver of a few hundred lines, for tests: it keeps objects of any
//! resource as JSON in memory, and answers over the real protocol. It knows
//! versions, watches, finalizers and deletion policies, and nothing of what
//! objects mean. It runs on the [`vital`] runtime, whatever the test does.

use crate::{Client, vital};
use futures_util::stream::BoxStream;
use hardway_proto::Status;
use hardway_proto::api::api_server::{self, ApiServer};
use hardway_proto::api::{self, EventType, Object, ResourceInfo, Target, WatchEvent};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Endpoint, Server};
use tonic::{Request, Response};

/// Group, resource, namespace, name.
type Key = (String, String, String, String);

struct Happened {
    revision: i64,
    kind: EventType,
    key: Key,
    object: Object,
}

#[derive(Default)]
struct State {
    revision: i64,
    objects: BTreeMap<Key, Value>,
    history: Vec<Happened>,
    /// What happened up to here is forgotten.
    compacted: i64,
    resources: Vec<ResourceInfo>,
    /// How many calls there were, by verb and resource.
    calls: BTreeMap<String, usize>,
    uids: u64,
}

struct Shared {
    address: SocketAddr,
    state: Mutex<State>,
    /// Revision, and how many times all watches were broken.
    news: watch::Sender<(i64, u32)>,
    /// Whether calls are answered.
    up: watch::Sender<bool>,
}

/// The server; clones are the same one.
#[derive(Clone)]
pub struct Fake(Arc<Shared>);

fn key(target: &Target) -> Key {
    let Target {
        group,
        resource,
        namespace,
        name,
        ..
    } = target.clone();
    (group, resource, namespace, name)
}

fn envelope(value: &Value) -> Object {
    let text = |field: &str| value["metadata"][field].as_str().unwrap_or("").to_owned();
    Object {
        json: value.to_string().into(),
        namespace: text("namespace"),
        name: text("name"),
        uid: text("uid"),
        resource_version: text("resourceVersion").parse().unwrap_or(0),
    }
}

fn merge(into: &mut Value, patch: &Value) {
    let Value::Object(fields) = patch else {
        *into = patch.clone();
        return;
    };
    if !into.is_object() {
        *into = json!({});
    }
    for (name, value) in fields {
        match value {
            Value::Null => drop(into.as_object_mut().and_then(|o| o.remove(name))),
            value => merge(&mut into[name.as_str()], value),
        }
    }
}

impl State {
    fn happen(&mut self, kind: EventType, key: Key, mut value: Value) -> Object {
        self.revision += 1;
        value["metadata"]["resourceVersion"] = self.revision.to_string().into();
        let object = envelope(&value);
        match kind {
            EventType::Deleted => self.objects.remove(&key),
            _ => self.objects.insert(key.clone(), value),
        };
        self.history.push(Happened {
            revision: self.revision,
            kind,
            key,
            object: object.clone(),
        });
        object
    }

    fn find(&self, key: &Key) -> Result<&Value, Status> {
        let found = self.objects.get(key);
        found.ok_or_else(|| Status::not_found(&key.0, &key.1, &key.3))
    }

    fn create(&mut self, mut key: Key, mut value: Value) -> Result<Object, Status> {
        if key.3.is_empty() {
            let name = value["metadata"]["name"].as_str();
            key.3 = name.unwrap_or_default().to_owned();
        }
        if self.objects.contains_key(&key) {
            return Err(Status::already_exists(&key.0, &key.1, &key.3));
        }
        if value["metadata"]["uid"].is_null() {
            self.uids += 1;
            value["metadata"]["uid"] = format!("uid-{}", self.uids).into();
        }
        Ok(self.happen(EventType::Added, key, value))
    }

    /// Writes an object; one that is being deleted goes with its last finalizer.
    fn replace(&mut self, key: Key, value: Value) -> Result<Object, Status> {
        let old = self.find(&key)?;
        for field in ["uid", "resourceVersion"] {
            let wanted = &value["metadata"][field];
            if !wanted.is_null() && *wanted != old["metadata"][field] {
                return Err(Status::stale(&key.0, &key.1, &key.3));
            }
        }
        let mut value = value;
        value["metadata"]["uid"] = old["metadata"]["uid"].clone();
        let finalizers = value["metadata"]["finalizers"].as_array();
        let goes = value["metadata"]["deletionTimestamp"].is_string()
            && finalizers.is_none_or(Vec::is_empty);
        let kind = match goes {
            true => EventType::Deleted,
            false => EventType::Modified,
        };
        Ok(self.happen(kind, key, value))
    }

    fn delete(&mut self, key: Key, options: &Value) -> Result<Object, Status> {
        let mut value = self.find(&key)?.clone();
        for field in ["uid", "resourceVersion"] {
            let wanted = &options["preconditions"][field];
            if !wanted.is_null() && *wanted != value["metadata"][field] {
                return Err(Status::conflict(
                    &key.0,
                    &key.1,
                    &key.3,
                    "Precondition failed",
                ));
            }
        }
        let finalizers = value["metadata"]["finalizers"].as_array();
        let mut finalizers = finalizers.cloned().unwrap_or_default();
        if let Some(policy) = options["propagationPolicy"].as_str() {
            finalizers.retain(|f| f != "foregroundDeletion" && f != "orphan");
            match policy {
                "Foreground" => finalizers.push("foregroundDeletion".into()),
                "Orphan" => finalizers.push("orphan".into()),
                _ => {}
            }
        }
        if finalizers.is_empty() {
            return Ok(self.happen(EventType::Deleted, key, value));
        }
        value["metadata"]["finalizers"] = finalizers.into();
        value["metadata"]["deletionTimestamp"] = "2024-01-01T00:00:00Z".into();
        Ok(self.happen(EventType::Modified, key, value))
    }
}

impl Fake {
    /// Starts one that serves these resources.
    pub fn start(resources: Vec<ResourceInfo>) -> (Self, Client) {
        let state = State {
            resources,
            revision: 1,
            ..State::default()
        };
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("the loopback");
        let address = listener.local_addr().expect("a bound port");
        let fake = Self(Arc::new(Shared {
            address,
            state: Mutex::new(state),
            news: watch::Sender::new((1, 0)),
            up: watch::Sender::new(true),
        }));
        listener.set_nonblocking(true).expect("a socket");
        let _on_it = vital::runtime().enter();
        let listener = TcpListener::from_std(listener).expect("a listener");
        let service = ApiServer::new(fake.clone());
        let server = Server::builder().add_service(service);
        vital::runtime().spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
        let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address");
        let client = Client::from_channel(endpoint.connect_lazy(), "test");
        (fake, client)
    }

    /// Where it listens, without TLS.
    pub fn address(&self) -> SocketAddr {
        self.0.address
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let (result, revision) = {
            let mut state = self.0.state.lock();
            (change(&mut state), state.revision)
        };
        self.0.news.send_modify(|news| news.0 = revision);
        result
    }

    /// Creates an object, as it is.
    pub fn create(&self, group: &str, resource: &str, object: Value) {
        let namespace = object["metadata"]["namespace"].as_str().unwrap_or("");
        let key = (
            group.into(),
            resource.into(),
            namespace.into(),
            String::new(),
        );
        let created = self.change(|state| state.create(key, object));
        created.expect("no such object yet");
    }

    /// Deletes an object with a policy.
    pub fn delete(&self, group: &str, resource: &str, namespace: &str, name: &str, policy: &str) {
        let key = (group.into(), resource.into(), namespace.into(), name.into());
        let options = json!({"propagationPolicy": policy});
        let deleted = self.change(|state| state.delete(key, &options));
        deleted.expect("there is such an object");
    }

    /// The objects of a resource, by namespace and name.
    pub fn objects(&self, group: &str, resource: &str) -> Vec<Value> {
        let state = self.0.state.lock();
        let (group, resource) = (group.to_owned(), resource.to_owned());
        let first = (group, resource, String::new(), String::new());
        let from = state.objects.range(first.clone()..);
        from.take_while(|(key, _)| (&key.0, &key.1) == (&first.0, &first.1))
            .map(|(_, value)| value.clone())
            .collect()
    }

    /// How many calls there were, such as `list pods`.
    pub fn calls(&self, call: &str) -> usize {
        let state = self.0.state.lock();
        state.calls.get(call).copied().unwrap_or_default()
    }

    /// How many calls there were.
    pub fn all_calls(&self) -> usize {
        self.0.state.lock().calls.values().sum()
    }

    /// Ends all watches.
    pub fn break_watches(&self) {
        self.0.news.send_modify(|news| news.1 += 1);
    }

    /// Forgets what happened up to now: who watches from an earlier version is
    /// told so.
    pub fn compact(&self) {
        let mut state = self.0.state.lock();
        state.history.clear();
        state.compacted = state.revision;
    }

    /// From now on, every watch is told that what it asks for is forgotten.
    pub fn forget_all(&self) {
        self.0.state.lock().compacted = i64::MAX;
    }

    /// Whether calls are answered; those that aren't wait.
    pub fn answer(&self, up: bool) {
        self.0.up.send_replace(up);
    }

    /// Waits until something is so; panics after a while.
    pub async fn wait_until(&self, what: &str, so: impl Fn(&Self) -> bool) {
        let mut news = self.0.news.subscribe();
        let wait = async {
            while !so(self) {
                let _ = news.changed().await;
            }
        };
        let patience = Duration::from_secs(120);
        assert!(
            tokio::time::timeout(patience, wait).await.is_ok(),
            "never: {what}"
        );
    }

    async fn called(&self, verb: &str, target: &Option<Target>) -> Key {
        // The sender is our own.
        let _ = self.0.up.subscribe().wait_for(|up| *up).await;
        let key = key(target.as_ref().unwrap_or(&Target::default()));
        let call = format!("{verb} {}", key.1);
        *self.0.state.lock().calls.entry(call).or_default() += 1;
        self.0.news.send_modify(|_| ());
        key
    }

    /// What a watcher of a resource is sent for what happened after a revision.
    fn events(&self, of: &Key, after: i64) -> (Vec<WatchEvent>, i64) {
        let state = self.0.state.lock();
        let event = |kind: EventType, object| WatchEvent {
            r#type: kind.into(),
            object: Some(object),
            initial_events_end: false,
        };
        if after < state.compacted {
            let status = Status::expired("too old resource version");
            let object = Object {
                json: serde_json::to_vec(&status).expect("a status").into(),
                ..Object::default()
            };
            return (vec![event(EventType::Error, object)], state.revision);
        }
        let here = |key: &Key| key.0 == of.0 && key.1 == of.1 && (of.2.is_empty() || key.2 == of.2);
        let known = state.history.partition_point(|h| h.revision <= after);
        let news = state.history[known..].iter().filter(|h| here(&h.key));
        let events = news.map(|h| event(h.kind, h.object.clone())).collect();
        (events, state.revision)
    }
}

fn value(json: &[u8]) -> Result<Value, Status> {
    serde_json::from_slice(json).map_err(|e| Status::bad_request(e.to_string()))
}

type Answer<T> = Result<Response<T>, tonic::Status>;

#[tonic::async_trait]
impl api_server::Api for Fake {
    type WatchStepReadersStream = BoxStream<'static, Result<api::StepReaders, tonic::Status>>;
    type ListStream = ReceiverStream<Result<api::ListPage, tonic::Status>>;
    type WatchStream = ReceiverStream<Result<WatchEvent, tonic::Status>>;

    /// Nobody reads steps here.
    async fn watch_step_readers(
        &self,
        _: Request<api::WatchStepReadersRequest>,
    ) -> Answer<Self::WatchStepReadersStream> {
        Err(Status::method_not_allowed().into())
    }

    async fn report_steps(
        &self,
        _: Request<api::ReportStepsRequest>,
    ) -> Answer<api::ReportStepsResponse> {
        Err(Status::method_not_allowed().into())
    }

    async fn discover(&self, _: Request<api::DiscoverRequest>) -> Answer<api::DiscoverResponse> {
        self.called("discover", &None).await;
        let resources = self.0.state.lock().resources.clone();
        Ok(Response::new(api::DiscoverResponse {
            resources,
            unavailable: Vec::new(),
        }))
    }

    async fn get(&self, request: Request<api::GetRequest>) -> Answer<Object> {
        let key = self.called("get", &request.into_inner().target).await;
        let found = self.0.state.lock().find(&key).map(envelope);
        Ok(Response::new(found?))
    }

    async fn list(&self, request: Request<api::ListRequest>) -> Answer<Self::ListStream> {
        let of = self.called("list", &request.into_inner().target).await;
        let page = {
            let state = self.0.state.lock();
            let here =
                |key: &Key| key.0 == of.0 && key.1 == of.1 && (of.2.is_empty() || key.2 == of.2);
            let here = state.objects.iter().filter(|(key, _)| here(key));
            api::ListPage {
                items: here.map(|(_, value)| envelope(value)).collect(),
                resource_version: state.revision,
                ..api::ListPage::default()
            }
        };
        let (sender, receiver) = mpsc::channel(1);
        let _ = sender.send(Ok(page)).await;
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    async fn watch(&self, request: Request<api::WatchRequest>) -> Answer<Self::WatchStream> {
        let request = request.into_inner();
        // From before the call is counted: who saw it may break it.
        let (this, mut news) = (self.clone(), self.0.news.subscribe());
        let breaks = news.borrow_and_update().1;
        let of = self.called("watch", &request.target).await;
        let mut after = request.resource_version.parse().unwrap_or(0);
        let (sender, receiver) = mpsc::channel(16);
        tokio::spawn(async move {
            while news.borrow_and_update().1 == breaks {
                let (events, revision) = this.events(&of, after);
                after = revision;
                for event in events {
                    if sender.send(Ok(event)).await.is_err() {
                        return;
                    }
                }
                if news.changed().await.is_err() {
                    return;
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    async fn create(&self, request: Request<api::CreateRequest>) -> Answer<Object> {
        let request = request.into_inner();
        let mut key = self.called("create", &request.target).await;
        // The name in the path is for subresources.
        key.3.clear();
        let value = value(&request.json)?;
        Ok(Response::new(
            self.change(|state| state.create(key, value))?,
        ))
    }

    async fn update(&self, request: Request<api::UpdateRequest>) -> Answer<Object> {
        let request = request.into_inner();
        let key = self.called("update", &request.target).await;
        let value = value(&request.json)?;
        Ok(Response::new(
            self.change(|state| state.replace(key, value))?,
        ))
    }

    async fn patch(&self, request: Request<api::PatchRequest>) -> Answer<Object> {
        let request = request.into_inner();
        let key = self.called("patch", &request.target).await;
        let patch = value(&request.patch)?;
        let patched = self.change(|state| {
            let mut value = state.find(&key)?.clone();
            merge(&mut value, &patch);
            state.replace(key, value)
        });
        Ok(Response::new(patched?))
    }

    async fn delete(&self, request: Request<api::DeleteRequest>) -> Answer<Object> {
        let request = request.into_inner();
        let key = self.called("delete", &request.target).await;
        let options = match request.options.is_empty() {
            true => Value::Null,
            false => value(&request.options)?,
        };
        Ok(Response::new(
            self.change(|state| state.delete(key, &options))?,
        ))
    }

    async fn delete_collection(&self, _: Request<api::DeleteCollectionRequest>) -> Answer<Object> {
        Err(Status::method_not_allowed().into())
    }
}
