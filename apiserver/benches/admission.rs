//! What admission costs a request: beside webhook configurations and policies that aren't
//! concerned with it, and with policies that are.

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use hardway_access::admission::policies::{Check, Host, ParamResource};
use hardway_access::admission::webhooks::{CallError, ClientConfig, Observation, WebhookCaller};
use hardway_access::admission::{GroupVersionKind, Notes, ResourceKind, Versions};
use hardway_access::authz::node::Graph;
use hardway_access::{Admission, Authorizer, Objects, Operation, Review, User};
use hardway_proto::Status;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

const GROUP: &str = "admissionregistration.k8s.io";

/// Objects by group and resource, which nobody changes.
#[derive(Default)]
struct Stored {
    objects: BTreeMap<(&'static str, &'static str), BTreeMap<String, Bytes>>,
    graph: Graph,
}

impl Stored {
    fn put(&mut self, group: &'static str, resource: &'static str, object: &Value) {
        let of = self.objects.entry((group, resource)).or_default();
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        of.insert(name.to_owned(), object.to_string().into());
    }

    fn of(&self, group: &str, resource: &str) -> Option<&BTreeMap<String, Bytes>> {
        let found = self
            .objects
            .iter()
            .find(|((g, r), _)| (*g, *r) == (group, resource));
        found.map(|(_, objects)| objects)
    }
}

impl Objects for Stored {
    fn get(&self, group: &str, resource: &str, _: &str, name: &str) -> Option<Bytes> {
        self.of(group, resource)?.get(name).cloned()
    }
    fn list(&self, group: &str, resource: &str, _: Option<&str>) -> Vec<Bytes> {
        let objects = self.of(group, resource).into_iter().flatten();
        objects.map(|(_, bytes)| bytes.clone()).collect()
    }
    fn revision(&self, _: &str, _: &str) -> u64 {
        1
    }
    fn graph(&self) -> &Graph {
        &self.graph
    }
    fn shown(&self) -> i64 {
        1
    }
    fn catch_up(&self) -> BoxFuture<'_, Result<i64, Status>> {
        Box::pin(std::future::ready(Ok(1)))
    }
}

/// Nobody is asked in vain: no webhook here is concerned.
struct Nobody;

impl WebhookCaller for Nobody {
    fn call<'a>(
        &'a self,
        _: &'a ClientConfig,
        _: Bytes,
        _: Duration,
    ) -> BoxFuture<'a, Result<Value, CallError>> {
        let nobody = CallError::NoClient("there is nobody".to_owned());
        Box::pin(std::future::ready(Err(nobody)))
    }
    fn observe(&self, _: &Observation<'_>) {}
}

impl Host for Nobody {
    fn find(&self, _: &str, _: &str) -> Option<ParamResource> {
        None
    }
    fn show<'a>(
        &'a self,
        _: &'a str,
        _: &'a str,
        kept: Vec<Value>,
    ) -> BoxFuture<'a, Result<Vec<Value>, String>> {
        Box::pin(std::future::ready(Ok(kept)))
    }
    fn merge(&self, _: &ResourceKind, object: &Value, _: &Value) -> Result<Value, String> {
        Ok(object.clone())
    }
    fn patch(&self, _: &Value, _: &Value) -> Result<Option<Value>, String> {
        Ok(None)
    }
    fn observe(&self, _: &Check<'_>) {}
}

/// One version, in which objects are sent as they are kept.
struct Kept;

impl Versions for Kept {
    fn others(&self) -> Vec<ResourceKind> {
        Vec::new()
    }
    fn show<'a>(
        &'a self,
        kept: &'a Value,
        _: &'a ResourceKind,
    ) -> BoxFuture<'a, Result<Value, Status>> {
        Box::pin(std::future::ready(Ok(kept.clone())))
    }
    fn patch(&self, shown: &Value, _: &[u8]) -> Result<Value, String> {
        Ok(shown.clone())
    }
    fn take<'a>(
        &'a self,
        shown: Value,
        _: &'a ResourceKind,
        kept: &'a mut Value,
    ) -> BoxFuture<'a, Result<(), Status>> {
        *kept = shown;
        Box::pin(std::future::ready(Ok(())))
    }
}

/// Rules about one resource.
fn rules(group: &str, resource: &str) -> Value {
    json!([{"operations": ["*"], "apiGroups": [group], "apiVersions": ["*"],
        "resources": [resource], "scope": "*"}])
}

/// So many configurations of both kinds, of one webhook each.
fn webhooks(stored: &mut Stored, count: usize, rules: &Value) {
    for number in 0..count {
        let resource = match number % 2 {
            0 => "mutatingwebhookconfigurations",
            _ => "validatingwebhookconfigurations",
        };
        let configuration = json!({"metadata": {"name": format!("c{number}")}, "webhooks": [{
            "name": format!("w{number}.example.com"), "rules": rules, "failurePolicy": "Fail",
            "clientConfig": {"url": "https://127.0.0.1:1/"}, "matchPolicy": "Equivalent",
            "namespaceSelector": {"matchLabels": {"environment": "other"}},
            "objectSelector": {}, "sideEffects": "None", "timeoutSeconds": 10,
            "admissionReviewVersions": ["v1"]}]});
        stored.put(GROUP, resource, &configuration);
    }
}

/// So many validating policies of one expression each, bound everywhere.
fn policies(stored: &mut Stored, count: usize, rules: &Value) {
    for number in 0..count {
        let name = format!("p{number}");
        let policy = json!({"metadata": {"name": name}, "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": {"matchPolicy": "Equivalent", "namespaceSelector": {},
                "objectSelector": {}, "resourceRules": rules},
            "validations": [{"expression":
                "!has(object.data) || object.data.all(key, size(object.data[key]) < 1000)"}]}});
        stored.put(GROUP, "validatingadmissionpolicies", &policy);
        let binding = json!({"metadata": {"name": name}, "spec": {
            "policyName": name, "validationActions": ["Deny"]}});
        stored.put(GROUP, "validatingadmissionpolicybindings", &binding);
    }
}

/// Both phases of the creation of a ConfigMap.
fn create(admission: &Admission, user: &User, object: &Value) {
    let mut object = object.clone();
    let review = Review {
        user,
        operation: Operation::Create,
        group: "",
        version: "v1",
        resource: "configmaps",
        kind: "ConfigMap",
        subresource: "",
        namespace: "shop",
        name: "map",
        dry_run: false,
        options: &Value::Null,
        requested: ResourceKind {
            group: String::new(),
            version: "v1".to_owned(),
            resource: "configmaps".to_owned(),
            kind: GroupVersionKind {
                group: String::new(),
                version: "v1".to_owned(),
                kind: "ConfigMap".to_owned(),
            },
        },
        versions: &Kept,
        deadline: Instant::now() + Duration::from_secs(30),
        notes: Notes::default(),
    };
    let both = async {
        admission.mutate(&review, Some(&mut object), None).await?;
        admission.validate(&review, Some(&object), None).await
    };
    let outcome = both.now_or_never().expect("nobody is asked");
    outcome.expect("nothing is wrong with it");
}

fn admission(benches: &mut Criterion) {
    let mut group = benches.benchmark_group("admission");
    let elsewhere = rules("example.com", "widgets");
    let here = rules("", "configmaps");
    let mut measure = |what: &str, count: usize, fill: &dyn Fn(&mut Stored, usize)| {
        let mut stored = Stored::default();
        let shop = json!({"metadata": {"name": "shop", "labels": {"environment": "test"}},
            "status": {"phase": "Active"}});
        stored.put("", "namespaces", &shop);
        fill(&mut stored, count);
        let stored = Arc::new(stored);
        let authorizer = Arc::new(Authorizer::new(stored.clone()));
        let admission = Admission::new(stored, authorizer, Arc::new(Nobody), Arc::new(Nobody));
        let user = User::new("jane", ["dev"]);
        let object = json!({"apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "map", "namespace": "shop"}, "data": {"a": "1", "b": "2"}});
        group.bench_function(BenchmarkId::new(what, count), |bencher| {
            bencher.iter(|| create(&admission, &user, &object));
        });
    };
    for count in [0, 10, 200] {
        measure("webhooks for other resources", count, &|stored, count| {
            webhooks(stored, count, &elsewhere);
        });
    }
    for count in [10, 200] {
        measure("webhooks for other namespaces", count, &|stored, count| {
            webhooks(stored, count, &here);
        });
    }
    measure("policies for other resources", 100, &|stored, count| {
        policies(stored, count, &elsewhere);
    });
    measure("policies that are evaluated", 100, &|stored, count| {
        policies(stored, count, &here);
    });
}

fn main() {
    let mut benches = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(20)
        .configure_from_args();
    admission(&mut benches);
    benches.final_summary();
}
