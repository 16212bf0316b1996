//! A chain over a fake store, for the tests of its plugins.

use super::*;
use crate::User;
use crate::objects::fake::Fake;
use std::time::{Duration, Instant};

/// An admission chain over a fake store with the namespace `shop`, its
/// default service account, and what bootstrap makes.
pub struct Bench {
    pub fake: Arc<Fake>,
    pub admission: Admission,
}

impl Bench {
    pub fn new() -> Self {
        let fake = Arc::new(Fake::default());
        for object in crate::bootstrap::objects() {
            match text(&object, "/kind") {
                "Namespace" => fake.put("", "namespaces", object),
                "PriorityClass" => fake.put("scheduling.k8s.io", "priorityclasses", object),
                _ => {}
            }
        }
        let shop = serde_json::json!({"metadata": {"name": "shop"}, "status": {"phase": "Active"}});
        fake.put("", "namespaces", shop);
        let account = serde_json::json!({"metadata": {"name": "default", "namespace": "shop"}});
        fake.put("", "serviceaccounts", account);
        let authorizer = Arc::new(Authorizer::new(fake.clone()));
        let admission = Admission::new(
            fake.clone(),
            authorizer,
            Arc::new(Nobody),
            Arc::new(policies::tests::Server::default()),
        );
        Self { fake, admission }
    }

    /// Both phases of a create; the object as it would be stored.
    pub fn create(&self, group: &str, resource: &str, mut object: Value) -> Result<Value, Status> {
        let user = User::new("jane", ["dev"]);
        let namespace = text(&object, "/metadata/namespace").to_owned();
        let review = review(&user, Operation::Create, group, resource, &namespace, "");
        now(self.admission.mutate(&review, Some(&mut object), None))?;
        now(self.admission.validate(&review, Some(&object), None))?;
        Ok(object)
    }

    /// The validating phase.
    pub fn validate(
        &self,
        review: &Review,
        new: Option<&Value>,
        old: Option<&Value>,
    ) -> Result<(), Status> {
        now(self.admission.validate(review, new, old))
    }
}

/// No webhook answers.
pub struct Nobody;

impl WebhookCaller for Nobody {
    fn call<'a>(
        &'a self,
        _: &'a webhooks::ClientConfig,
        _: bytes::Bytes,
        _: Duration,
    ) -> BoxFuture<'a, Result<Value, webhooks::CallError>> {
        let nobody = webhooks::CallError::NoClient("there is nobody".into());
        Box::pin(std::future::ready(Err(nobody)))
    }
    fn observe(&self, _: &webhooks::Observation<'_>) {}
}

/// What comes of something that has nothing to wait for.
pub fn now<T>(future: impl Future<Output = T>) -> T {
    futures_util::FutureExt::now_or_never(future).expect("it has to wait")
}

/// A resource with one version only, and what is sent in it as it is kept.
pub struct Kept;

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
    /// Replaces members of the object, which is all that the tests do.
    fn patch(&self, shown: &Value, operations: &[u8]) -> Result<Value, String> {
        let mut patched = shown.clone();
        let operations: Vec<Value> =
            serde_json::from_slice(operations).map_err(|error| error.to_string())?;
        for operation in operations {
            let (parent, name) = text(&operation, "/path")
                .rsplit_once('/')
                .unwrap_or_default();
            match patched.pointer_mut(parent) {
                Some(parent) => parent[name] = operation["value"].clone(),
                None => return Err("there is no such path".to_owned()),
            }
        }
        Ok(patched)
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

pub fn review<'a>(
    user: &'a User,
    operation: Operation,
    group: &'a str,
    resource: &'a str,
    namespace: &'a str,
    name: &'a str,
) -> Review<'a> {
    let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
    Review {
        user,
        operation,
        group,
        version: "v1",
        resource,
        kind: "",
        subresource,
        namespace,
        name,
        dry_run: false,
        options: &Value::Null,
        requested: ResourceKind {
            group: group.into(),
            version: "v1".into(),
            resource: resource.into(),
            kind: GroupVersionKind::default(),
        },
        versions: &Kept,
        deadline: Instant::now() + Duration::from_secs(30),
        notes: Notes::default(),
    }
}

pub fn pod(name: &str) -> Value {
    serde_json::json!({
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {"containers": [{"name": "c", "image": "i"}]},
    })
}
