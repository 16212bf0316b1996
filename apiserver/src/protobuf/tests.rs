use super::*;
use hardway_resources::schema::{Schema, Type, builtin};
use serde_json::{Map, Value, json};

fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2, bytes.len() as u8];
    out.extend_from_slice(bytes);
    out
}

fn enveloped(api_version: &str, kind: &str, raw: &[u8]) -> Vec<u8> {
    let identity = [field(1, api_version.as_bytes()), field(2, kind.as_bytes())].concat();
    [MAGIC.to_vec(), field(1, &identity), field(2, raw)].concat()
}

fn parsed(body: &[u8]) -> Value {
    serde_json::from_slice(&to_json(body).unwrap()).unwrap()
}

fn decoded(api_version: &str, kind: &str, raw: &[u8]) -> Value {
    parsed(&enveloped(api_version, kind, raw))
}

/// What is written of an object is read as the same.
fn comes_back(object: &Value) {
    let encoded = Encoded::new(object).unwrap();
    assert_eq!(&parsed(encoded.bytes()), object);
}

#[test]
fn objects_become_their_json() {
    // metadata{name: a, namespace: "", creationTimestamp{}, labels{x: y}}, data{k: bytes}
    let label = field(11, &[field(1, b"x"), field(2, b"y")].concat());
    let metadata = [field(1, b"a"), field(3, b""), field(8, b""), label].concat();
    let data = [field(1, b"k"), field(2, b"\x01\x02")].concat();
    let raw = [field(1, &metadata), field(2, &data)].concat();
    assert_eq!(
        decoded("v1", "Secret", &raw),
        json!({"apiVersion": "v1", "kind": "Secret", "data": {"k": "AQI="},
            "metadata": {"name": "a", "labels": {"x": "y"}}})
    );
}

#[test]
fn zeros_stay_where_they_mean_something() {
    // `spec.replicas` of a Scale is a number in Go, of a Deployment a pointer.
    let zero = field(2, &[1 << 3, 0]);
    assert_eq!(decoded("autoscaling/v1", "Scale", &zero)["spec"], json!({}));
    assert_eq!(
        decoded("apps/v1", "Deployment", &zero)["spec"],
        json!({"replicas": 0})
    );
    let options = [1 << 3, 0];
    assert_eq!(
        decoded("policy/v1", "DeleteOptions", &options)["gracePeriodSeconds"],
        0
    );
    // `spec.hostNetwork: false` and `spec.automountServiceAccountToken: false`.
    let spec = [11 << 3, 0, 21 << 3 & 0x7f | 0x80, 1, 0];
    assert_eq!(
        decoded("v1", "Pod", &field(2, &spec))["spec"],
        json!({"automountServiceAccountToken": false})
    );
    // A claim's class `""` is none, on purpose; a volume's name `""` says nothing.
    let spec = [field(5, b""), field(3, b"")].concat();
    assert_eq!(
        decoded("v1", "PersistentVolumeClaim", &field(2, &spec))["spec"],
        json!({"storageClassName": ""})
    );
}

#[test]
fn some_fields_stand_beside_their_parents() {
    // spec.volumes[0]{name: v, volumeSource{emptyDir{}}}
    let volume = [field(1, b"v"), field(2, &field(2, b""))].concat();
    let spec = field(1, &volume);
    assert_eq!(
        decoded("v1", "Pod", &field(2, &spec))["spec"]["volumes"],
        json!([{"name": "v", "emptyDir": {}}])
    );
}

#[test]
fn old_versions_have_fields_of_their_own() {
    // spec.backend{serviceName: a, servicePort: 80}
    let backend = [field(1, b"a"), field(2, &[8, 0, 16, 80])].concat();
    let spec = field(1, &backend);
    assert_eq!(
        decoded("extensions/v1beta1", "Ingress", &field(2, &spec))["spec"],
        json!({"backend": {"serviceName": "a", "servicePort": 80}})
    );
    // spec.rollbackTo{revision: 3}
    let spec = field(8, &[8, 3]);
    assert_eq!(
        decoded("extensions/v1beta1", "Deployment", &field(2, &spec))["spec"],
        json!({"rollbackTo": {"revision": 3}})
    );
    // metadata{name: web}, as client-go before 1.22 evicts.
    let eviction = field(1, &field(1, b"web"));
    assert_eq!(
        decoded("policy/v1beta1", "Eviction", &eviction)["metadata"]["name"],
        "web"
    );
}

/// Go's generator has other names for some than JSON.
#[test]
fn names_are_those_of_the_json() {
    // spec.boundObjectRef{uid: u}
    let spec = field(3, &field(4, b"u"));
    assert_eq!(
        decoded("authentication.k8s.io/v1", "TokenRequest", &field(2, &spec))["spec"],
        json!({"boundObjectRef": {"uid": "u"}})
    );
    // webhooks[0]{name: a}
    let group = "admissionregistration.k8s.io/v1";
    let raw = field(2, &field(1, b"a"));
    assert_eq!(
        decoded(group, "ValidatingWebhookConfiguration", &raw)["webhooks"],
        json!([{"name": "a"}])
    );
}

#[test]
fn garbage_is_refused() {
    for body in [&b"{}"[..], b"k8s\0\xff", b"k8s\0\x0a\x05"] {
        assert_eq!(to_json(body).unwrap_err().code, 400);
    }
    for body in [
        enveloped("x/v1", "Unknown", b""),
        // The group's whole name counts, not what it begins with.
        enveloped("apps.example.com/v1", "Deployment", b""),
        enveloped("core/v1", "Pod", b""),
        enveloped("rbac/v1", "Role", b""),
        enveloped("v1", "Pod", b"\x0a\x09"),
    ] {
        assert_eq!(to_json(&body).unwrap_err().code, 400);
    }
    // Deeper than any object.
    let pod = TABLE.of_kind("v1", "Pod").unwrap();
    assert!(decode::read(pod, b"", MAX_DEPTH + 1).is_err());
}

/// An object with every field that the schema has; `open` are the types around it, which
/// end where they contain themselves.
fn full(schema: &Schema, open: &mut Vec<String>) -> Value {
    let node = schema.node();
    let of_any_name = node.additional.and(schema.field("key"));
    match (node.ty, node.format.as_str()) {
        (Type::Object, _) if of_any_name.is_some() => {
            let value = of_any_name.map(|of| full(&of, open));
            json!({"key": value})
        }
        (Type::Object, _) if open.contains(&node.name) => json!({}),
        (Type::Object, _) => {
            // Within others these have no type in protobuf.
            let typed = open.is_empty()
                || !["v1.PersistentVolumeClaim", "v1.DeleteOptions"].contains(&node.name.as_str());
            open.push(node.name.clone());
            let names = node.fields.keys();
            let names = names.filter(|name| typed || !["apiVersion", "kind"].contains(name));
            let object: Map<_, _> = names
                .map(|name| (name.to_owned(), full(&schema.field(name).unwrap(), open)))
                .collect();
            open.pop();
            object.into()
        }
        (Type::Array, _) => json!([full(&schema.items().unwrap(), open)]),
        (Type::String, "date-time") => json!("2026-01-02T03:04:05Z"),
        (Type::String, "micro-time") => json!("2026-01-02T03:04:05.000006Z"),
        (Type::String, "byte") => json!("AQI="),
        (Type::String, _) => json!("text"),
        (Type::Integer, _) => json!(-7),
        (Type::Number, _) => json!(0.5),
        (Type::Boolean, _) => json!(true),
        (Type::IntOrString, "quantity") => json!("100m"),
        (Type::IntOrString, _) => json!("50%"),
        // A schema, where it must be one.
        (Type::Any, _) => json!({"type": "string"}),
    }
}

/// Every kind and body that the schema has, with all its fields.
#[test]
fn full_objects_come_back() {
    let mut kinds = 0;
    for name in builtin::names() {
        let [kind, version, package] = name.rsplitn(4, '.').take(3).collect::<Vec<_>>()[..] else {
            panic!("{name}");
        };
        if kind.ends_with("List") || kind == "ObjectMeta" {
            continue;
        }
        let api_version = match package {
            "core" | "meta" => version.to_owned(),
            package => {
                let mut groups = hardway_resources::rows::GROUPS.iter();
                let group = groups.find(|group| group.split('.').next() == Some(package));
                format!("{}/{version}", group.expect(package))
            }
        };
        let schema = builtin::definition(name).unwrap();
        let mut object = full(&schema, &mut Vec::new());
        object["apiVersion"] = api_version.into();
        object["kind"] = kind.into();
        comes_back(&object);
        kinds += 1;
    }
    assert!(kinds > 80, "{kinds}");
}

/// Every kind of the registry has a message, under its own group's name.
#[test]
fn every_served_kind_is_known() {
    for row in hardway_resources::rows::all() {
        for version in row.versions {
            let api_version = match row.group {
                "" => (*version).to_owned(),
                group => format!("{group}/{version}"),
            };
            let object = json!({"apiVersion": api_version, "kind": row.kind});
            comes_back(&object);
        }
    }
}

#[test]
fn lists_have_their_items_without_envelopes() {
    let pods = ["a", "b"]
        .map(|name| json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}}));
    let metadata = json!({"resourceVersion": "7"});
    let encoded = pods.iter().map(|pod| Encoded::new(pod).unwrap()).collect();
    let (parts, size) = list("v1", "PodList", &metadata, encoded).unwrap();
    let bytes = parts.collect::<Vec<_>>().concat();
    assert_eq!(bytes.len(), size);
    let pod = |name: &[u8]| field(2, &field(1, &field(1, name)));
    let raw = [field(1, &field(2, b"7")), pod(b"a"), pod(b"b")].concat();
    assert_eq!(bytes, enveloped("v1", "PodList", &raw));
    // Made of one value it is the same.
    let list = json!({"apiVersion": "v1", "kind": "PodList", "metadata": metadata, "items": pods});
    assert_eq!(Encoded::new(&list).unwrap().bytes(), &bytes);
}

#[test]
fn events_of_a_watch_come_after_their_length() {
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}});
    let frame = watch_event("ADDED", &Encoded::new(&pod).unwrap());
    let object = enveloped("v1", "Pod", &field(1, &field(1, b"a")));
    let event = [field(1, b"ADDED"), field(2, &field(1, &object))].concat();
    assert_eq!(frame[..4], (event.len() as u32).to_be_bytes());
    assert_eq!(frame[4..], event);
}

#[test]
fn what_cannot_be_written_names_the_field() {
    let error = |object: Value| Encoded::new(&object).unwrap_err().to_string();
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "spec": {"containers": [{"tty": "no"}]}});
    assert_eq!(
        error(pod),
        "it can't be written in protobuf: spec.containers.tty: its value, a string, is none of the field's type; ask for JSON"
    );
    // What is secret stays so.
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "data": {"k": "hunter2!"}});
    assert_eq!(
        error(secret),
        "it can't be written in protobuf: data.k: its value, a string, is none of the field's type; ask for JSON"
    );
    assert_eq!(
        error(json!({"apiVersion": "example.com/v1", "kind": "Widget"})),
        "it can't be written in protobuf: Widget: there is no such message of example.com/v1; ask for JSON"
    );
}
