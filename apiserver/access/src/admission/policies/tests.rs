//! Policies against requests: cases of Kubernetes' documentation ("Validating Admission
//! Policy", "Mutating Admission Policy") and of its `validating/admission_test.go`,
//! `validating/validator_test.go` and `test/integration/apiserver/cel`.

mod inputs;
mod mutating;
mod validating;

use super::super::review::{AnnotationLevel, GroupVersionKind, Operation, ResourceKind, Review};
use super::super::testing::{now, review};
use super::*;
use crate::objects::fake::Fake;
use crate::{Authorizer, User};
use futures_util::future::BoxFuture;
use hardway_proto::Status;
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::sync::Arc;

/// A server with ConfigMaps and, of the cluster, Limits as parameters.
#[derive(Default)]
pub struct Server {
    seen: Mutex<Vec<String>>,
}

impl Host for Server {
    fn find(&self, api_version: &str, kind: &str) -> Option<ParamResource> {
        let (group, resource, namespaced) = match (api_version, kind) {
            ("v1", "ConfigMap") => ("", "configmaps", true),
            ("example.com/v1", "Limit") => ("example.com", "limits", false),
            _ => return None,
        };
        Some(ParamResource {
            group: group.into(),
            resource: resource.into(),
            namespaced,
        })
    }

    fn show<'a>(
        &'a self,
        _: &'a str,
        _: &'a str,
        kept: Vec<Value>,
    ) -> BoxFuture<'a, Result<Vec<Value>, String>> {
        Box::pin(std::future::ready(Ok(kept)))
    }

    /// Merges objects, whatever their schema.
    fn merge(&self, _: &ResourceKind, object: &Value, with: &Value) -> Result<Value, String> {
        fn merge(into: &mut Value, with: &Value) {
            match (into, with) {
                (Value::Object(into), Value::Object(with)) => {
                    for (name, value) in with {
                        merge(into.entry(name).or_insert(Value::Null), value);
                    }
                }
                (into, with) => *into = with.clone(),
            }
        }
        let mut merged = object.clone();
        merge(&mut merged, with);
        Ok(merged)
    }

    fn patch(&self, _: &Value, operations: &Value) -> Result<Option<Value>, String> {
        Err(format!("nothing here can be patched with {operations}"))
    }

    fn observe(&self, check: &Check<'_>) {
        let (error, done) = (check.error.as_str(), check.enforcement.as_str());
        let told = format!("{}/{} {error} {done}", check.policy, check.binding);
        self.seen.lock().push(told.trim().to_owned());
    }
}

/// What is stored, and who is asked.
struct World {
    fake: Arc<Fake>,
    server: Server,
    validating: Validating,
    mutating: Mutating,
}

/// What became of a request.
#[derive(Debug, Default)]
struct Told {
    refusal: Option<Status>,
    warnings: Vec<String>,
    annotations: Vec<(String, String)>,
    seen: Vec<String>,
    /// Whether the object is put in order again.
    changed: bool,
}

impl Told {
    fn message(&self) -> &str {
        self.refusal.as_ref().map_or("", |status| &status.message)
    }
}

impl World {
    fn new() -> Self {
        let fake = Arc::new(Fake::default());
        let shop = json!({"metadata": {"name": "shop", "labels": {"environment": "test"}}});
        fake.put("", "namespaces", shop);
        Self {
            fake,
            server: Server::default(),
            validating: Validating::default(),
            mutating: Mutating::default(),
        }
    }

    fn put(&self, resource: &str, object: Value) {
        self.fake
            .put("admissionregistration.k8s.io", resource, object);
    }

    /// A validating policy for Deployments, and its binding.
    fn validate_with(name: &str, spec: Value, binding: Value) -> Self {
        let world = Self::new();
        world.add("validatingadmissionpolicies", name, spec, binding);
        world
    }

    fn add(&self, resource: &str, name: &str, spec: Value, binding: Value) {
        let mut spec = spec;
        spec["matchConstraints"] = json!({"matchPolicy": "Equivalent", "namespaceSelector": {},
            "objectSelector": {}, "resourceRules": [{"operations": ["*"], "apiGroups": ["apps"],
            "apiVersions": ["v1"], "resources": ["deployments"]}]});
        let mut binding = binding;
        binding["policyName"] = name.into();
        self.put(resource, json!({"metadata": {"name": name}, "spec": spec}));
        let bindings = format!("{}bindings", resource.replace("policies", "policy"));
        self.put(
            &bindings,
            json!({"metadata": {"name": "binding"}, "spec": binding}),
        );
    }

    fn authorizer(&self) -> Arc<Authorizer> {
        Arc::new(Authorizer::new(self.fake.clone()))
    }

    /// Validates a request of jane's about a Deployment in the namespace `shop`.
    fn ask(&self, operation: Operation, new: Option<&Value>, old: Option<&Value>) -> Told {
        let user = User::new("jane", ["dev"]);
        let review = asked(&user, operation);
        let authorizer = self.authorizer();
        let outcome = now(self.validating.validate(
            &*self.fake,
            &authorizer,
            &self.server,
            &review,
            new,
            old,
        ));
        self.told(outcome, review)
    }

    fn create(&self, object: &Value) -> Told {
        self.ask(Operation::Create, Some(object), None)
    }

    fn mutate(&self, object: &mut Value) -> Told {
        let user = User::new("jane", ["dev"]);
        let review = asked(&user, Operation::Create);
        let authorizer = self.authorizer();
        let outcome = now(self.mutating.mutate(
            &*self.fake,
            &authorizer,
            &self.server,
            &review,
            object,
            None,
        ));
        self.told(outcome, review)
    }

    fn told(&self, outcome: Result<(), Status>, review: Review<'_>) -> Told {
        let changed = review.notes.is_changed();
        let annotations = review.notes.annotations.into_inner().into_iter();
        Told {
            changed,
            refusal: outcome.err(),
            warnings: review.notes.warnings.into_inner(),
            annotations: annotations
                .inspect(|note| assert_eq!(note.level, AnnotationLevel::Metadata))
                .map(|note| (note.key, note.value))
                .collect(),
            seen: std::mem::take(&mut *self.server.seen.lock()),
        }
    }
}

fn asked(user: &User, operation: Operation) -> Review<'_> {
    let mut review = review(user, operation, "apps", "deployments", "shop", "web");
    review.requested.kind = GroupVersionKind {
        group: "apps".into(),
        version: "v1".into(),
        kind: "Deployment".into(),
    };
    review
}

fn deployment(replicas: u32) -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "shop", "labels": {"app": "web"}},
        "spec": {"replicas": replicas, "template": {"spec": {"containers": [{"name": "c", "image": "i"}]}}},
    })
}

/// Of the documentation: no more than five replicas.
fn replica_limit() -> Value {
    json!({"failurePolicy": "Fail", "validations": [{"expression": "object.spec.replicas <= 5"}]})
}
