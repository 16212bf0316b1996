//! Odd objects stop nobody: whatever the apiserver stores is readable to every
//! component, and what is in etcd without being readable is left out alone.

mod bases;
#[path = "../integration/common/mod.rs"]
mod common;
mod decisions;
mod garbage;
mod generate;

use bytes::Bytes;
use common::Lab;
use futures_util::{StreamExt, stream};
use generate::{FORMS, Form};
use hardway_client::{Client, Informer, Store};
use hardway_proto::Kind;
use hardway_proto::kind::{self, KindVisitor};
use hardway_proto::meta::ObjectKey;
use hardway_resources::schema::{Schema, builtin};
use hardway_resources::{Registry, strict};
use http::Method;
use k8s_openapi::api::core::v1::Service;
use serde_json::{Value, json};
use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A kind that components use typed.
struct Typed {
    group: &'static str,
    version: &'static str,
    resource: &'static str,
    kind: &'static str,
    namespaced: bool,
    /// Whether its reader reads an object, or why not.
    read: fn(&[u8]) -> Result<(), String>,
    /// Starts an informer.
    follow: fn(&Client) -> Followed,
}

/// What an informer knows, whichever its kind.
struct Followed {
    has: Box<dyn Fn(&str) -> bool>,
    synced: Box<dyn Fn() -> bool>,
}

fn read<K: Kind>(json: &[u8]) -> Result<(), String> {
    K::parse(json).map(drop).map_err(|error| error.to_string())
}

fn follow<K: Kind>(client: &Client) -> Followed {
    let store: Store<K> = Informer::new(client.all::<K>()).start();
    let same = store.clone();
    Followed {
        has: Box::new(move |name| {
            let namespace = if K::NAMESPACED { "default" } else { "" };
            store.get(&ObjectKey::new(namespace, name)).is_some()
        }),
        synced: Box::new(move || same.is_synced()),
    }
}

fn kinds() -> Vec<Typed> {
    struct All(Vec<Typed>);
    impl KindVisitor for All {
        fn visit<K: Kind>(&mut self) {
            self.0.push(Typed {
                group: K::RESOURCE.group,
                version: K::RESOURCE.version,
                resource: K::RESOURCE.resource,
                kind: K::KIND,
                namespaced: K::NAMESPACED,
                read: read::<K>,
                follow: follow::<K>,
            });
        }
    }
    let mut all = All(Vec::new());
    kind::each(&mut all);
    all.0
}

impl Typed {
    fn schema(&self) -> Schema {
        builtin::kind(self.group, self.version, self.kind).expect("built in")
    }

    fn api_version(&self) -> String {
        hardway_resources::resource::api_version(self.group, self.version)
    }

    fn path(&self) -> String {
        let prefix = match self.group {
            "" => "/api".to_owned(),
            group => format!("/apis/{group}"),
        };
        let namespace = if self.namespaced {
            "/namespaces/default"
        } else {
            ""
        };
        format!("{prefix}/{}{namespace}/{}", self.version, self.resource)
    }

    /// What is accepted, under a name.
    fn base(&self, name: &str) -> Value {
        let mut object = bases::of(self.group, self.kind);
        object["apiVersion"] = self.api_version().into();
        object["kind"] = self.kind.into();
        object["metadata"]["name"] = name.into();
        object
    }

    fn has_status(&self) -> bool {
        let row = Registry::new().resource(self.group, self.resource);
        row.is_some_and(|row| {
            let mut versions = row.versions.iter();
            versions.any(|it| row.subresource(&it.name, "status").is_some())
        })
    }

    /// Fails unless what was answered, or is served now, can be read.
    async fn check(&self, lab: &Lab, what: &str, name: &str, code: u16, answer: &Value) -> bool {
        let at = format!("{what} of {} {name}", self.kind);
        // Kubernetes, too, calls this its own fault.
        let unmergeable = answer["message"]
            .as_str()
            .is_some_and(|why| why.starts_with("failed to create typed "));
        assert!(code < 500 || unmergeable, "{at}: {code} {answer}");
        if code >= 300 {
            return false;
        }
        let (code, served) = lab.get(&format!("{}/{name}", self.path())).await;
        assert_eq!(code, 200, "{at}: {served}");
        for object in [answer, &served] {
            if let Err(why) = (self.read)(object.to_string().as_bytes()) {
                panic!("{at}: {why}: {object}");
            }
        }
        true
    }
}

/// Every field of every kind by itself: what decoding lets pass is readable
/// once zero values are filled in.
#[test]
fn what_is_decoded_is_readable() {
    let table = Registry::new();
    let mut seen = HashSet::new();
    let mut all = (0, 0);
    for typed in kinds() {
        let schema = typed.schema();
        let row = table.resource(typed.group, typed.resource).expect("a row");
        let (mut passed, mut refused) = (0, 0);
        generate::each_field(&schema, &mut seen, &mut |object| {
            let text = object.to_string();
            let Ok((mut value, _)) = strict::check(&schema, text.as_bytes()) else {
                refused += 1;
                return;
            };
            passed += 1;
            if value.is_object() {
                value["apiVersion"] = typed.api_version().into();
                value["kind"] = typed.kind.into();
            }
            match row.external {
                None => row.default(&mut value),
                Some(_) => schema.fill_zero(&mut value),
            }
            if let Err(why) = (typed.read)(value.to_string().as_bytes()) {
                panic!("{} {text}: {why}: {value}", typed.kind);
            }
        });
        all.0 += passed;
        all.1 += refused;
    }
    assert!(all.0 > 10_000 && all.1 > 20, "{all:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn odd_objects_are_stored_so_that_everybody_reads_them() {
    let lab = Lab::start().await;
    common::service_account(&lab).await;
    let client = Client::new(&lab.kubeconfig(), "poison").unwrap();
    let kinds = kinds();
    let followed: Vec<Followed> = kinds.iter().map(|typed| (typed.follow)(&client)).collect();
    let statuses = AtomicUsize::new(0);
    let all = stream::iter(&kinds).for_each_concurrent(4, async |typed| {
        let accepted = odd_creations(&lab, typed).await;
        assert!(accepted > 0, "{}: nothing was accepted", typed.kind);
        if typed.has_status() {
            let accepted = odd_statuses(&lab, typed).await;
            statuses.fetch_add(accepted, Ordering::Relaxed);
        }
    });
    all.await;
    let statuses = statuses.into_inner();
    assert!(statuses > 100, "only {statuses} statuses were accepted");
    // Informers have followed it all, and still do.
    for (at, (typed, informer)) in kinds.iter().zip(&followed).enumerate() {
        // Events are the same in two groups.
        let name = format!("last-{at}");
        lab.create(&typed.path(), &typed.base(&name)).await;
        let what = format!("{} arrives", typed.kind);
        lab.until(&what, async || (informer.has)(&name)).await;
    }
}

fn row_name(typed: &Typed) -> String {
    match typed.group {
        "" => typed.resource.to_owned(),
        group => format!("{}.{group}", typed.resource),
    }
}

/// Creates objects with odd metadata, and with each field odd in turn, by
/// create and by apply; tells how many were accepted.
async fn odd_creations(lab: &Lab, typed: &Typed) -> usize {
    let schema = typed.schema();
    let mut odd = vec![typed.base("")];
    for form in FORMS {
        let mut metadata = generate::value(&builtin::object_meta(), form);
        if !matches!(form, Form::Missing | Form::NullInside) {
            metadata.as_object_mut().map(|m| m.remove("finalizers"));
        }
        let mut object = typed.base("");
        object["metadata"] = metadata;
        object["metadata"]["namespace"] = Value::Null;
        odd.push(object);
    }
    for form in [
        Form::Null,
        Form::Empty,
        Form::NullInside,
        Form::Unusual(0),
        Form::Unusual(2),
    ] {
        // The fields of spec, or of the object where there is none.
        let (inside, schema) = match schema.field("spec") {
            Some(spec) => (true, spec),
            None => (false, schema.clone()),
        };
        for name in schema.node().fields.keys() {
            if !inside && ["apiVersion", "kind", "metadata", "status"].contains(&name) {
                continue;
            }
            let field = schema.field(name).expect("a field");
            let mut object = typed.base("");
            let holder = if inside {
                &mut object["spec"]
            } else {
                &mut object
            };
            let base = holder[name].take();
            let value = generate::value(&field, form);
            holder[name] = if base.is_object() {
                overlay(base, value)
            } else {
                value
            };
            odd.push(object);
        }
    }
    let mut accepted = 0;
    for (at, mut object) in odd.into_iter().enumerate() {
        let name = format!("odd-{at}");
        object["metadata"]["name"] = name.as_str().into();
        object["metadata"]["resourceVersion"] = Value::Null;
        object["metadata"]
            .as_object_mut()
            .map(|m| m.remove("managedFields"));
        let (code, answer) = match at % 2 {
            0 => lab.post(&typed.path(), &object).await,
            _ => {
                object["metadata"]["uid"] = Value::Null;
                let path = format!("{}/{name}?fieldManager=odd&force=true", typed.path());
                apply(lab, &path, &object).await
            }
        };
        accepted += usize::from(typed.check(lab, "creation", &name, code, &answer).await);
    }
    accepted
}

/// What the first lacks, from the second.
fn overlay(base: Value, other: Value) -> Value {
    match (base, other) {
        (Value::Object(mut base), Value::Object(other)) => {
            for (name, value) in other {
                base.entry(name).or_insert(value);
            }
            Value::Object(base)
        }
        (base, _) => base,
    }
}

/// Gives an object odd statuses, by patch and by apply.
async fn odd_statuses(lab: &Lab, typed: &Typed) -> usize {
    let name = "status";
    lab.create(&typed.path(), &typed.base(name)).await;
    let schema = typed.schema().field("status").expect("a status");
    let path = format!("{}/{name}/status", typed.path());
    let mut accepted = 0;
    for form in FORMS {
        let mut status = generate::value(&schema, form);
        // These are validated, and would have all of it refused.
        if let Some(fields) = status.as_object_mut() {
            match typed.kind {
                "Namespace" => drop(fields.remove("phase")),
                "CertificateSigningRequest" => drop(fields.remove("certificate")),
                _ => {}
            }
        }
        let (code, answer) = lab.merge(&path, &json!({"status": status})).await;
        let patched = typed
            .check(lab, &format!("{form:?} status"), name, code, &answer)
            .await;
        let object = json!({"apiVersion": typed.api_version(), "kind": typed.kind,
            "metadata": {"name": name}, "status": status});
        let path = format!("{path}?fieldManager=odd&force=true");
        let (code, answer) = apply(lab, &path, &object).await;
        typed
            .check(
                lab,
                &format!("{form:?} applied status"),
                name,
                code,
                &answer,
            )
            .await;
        accepted += usize::from(patched);
    }
    accepted
}

async fn apply(lab: &Lab, path: &str, object: &Value) -> (u16, Value) {
    let body = Bytes::from(object.to_string());
    lab.send(Method::PATCH, path, "application/apply-patch+yaml", body)
        .await
}

/// A condition without its time, as `kubectl patch svc X --subresource=status
/// --type=merge` writes it, used to stop every informer of Services for good.
#[tokio::test(flavor = "multi_thread")]
async fn a_condition_without_its_time_stops_no_informer() {
    let lab = Lab::start().await;
    let client = Client::new(&lab.kubeconfig(), "poison").unwrap();
    let services: Store<Service> = Informer::new(client.all::<Service>()).start();
    let path = "/api/v1/namespaces/default/services";
    let service =
        |name: &str| json!({"metadata": {"name": name}, "spec": {"ports": [{"port": 80}]}});
    lab.create(path, &service("a")).await;
    let patch = json!({"status": {"conditions": [{"type": "T", "status": "True"}]}});
    let (code, patched) = lab.merge(&format!("{path}/a/status"), &patch).await;
    assert_eq!(code, 200, "{patched}");
    assert_eq!(
        patched["status"]["conditions"],
        json!([{"type": "T", "status": "True", "lastTransitionTime": null, "message": "", "reason": ""}]),
        "as kube-apiserver 1.33 stores it"
    );
    let conditions = || {
        let service = services.get(&ObjectKey::new("default", "a"))?;
        service.status.as_ref()?.conditions.clone()
    };
    lab.until("the condition arrives", async || conditions().is_some())
        .await;
    lab.create(path, &service("b")).await;
    let next = ObjectKey::new("default", "b");
    lab.until("the next Service arrives", async || {
        services.get(&next).is_some()
    })
    .await;
}
