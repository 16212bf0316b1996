//! Bodies in Kubernetes' protobuf encoding, as Go clients send them: read into
//! the JSON they mean. Answers are JSON always, which those clients take too.
//!
//! Messages and field numbers are data: `fields.txt` has for each message its
//! name, and indented below it `NUMBER NAME [list|map] TYPE`.

mod special;
mod wire;

use hardway_proto::Status;
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::sync::LazyLock;
use wire::{Field, Malformed, fields};

/// The media type.
pub const MEDIA_TYPE: &str = "application/vnd.kubernetes.protobuf";

/// What every body begins with.
const MAGIC: &[u8] = b"k8s\0";
/// Messages within messages at most.
const MAX_DEPTH: usize = 64;

/// Fields whose own fields stand beside them in JSON.
const INLINE: [&str; 8] = [
    "ephemeralContainerCommon",
    "handler",
    "ingressRuleValue",
    "localObjectReference",
    "persistentVolumeSource",
    "rule",
    "ruleWithOperations",
    "volumeSource",
];

/// Numbers whose zero is not the same as their absence. Go writes zeros of all
/// other fields as well, which JSON has not.
const ZERO_COUNTS: [&str; 27] = [
    "activeDeadlineSeconds",
    "backoffLimit",
    "backoffLimitPerIndex",
    "completions",
    "defaultMode",
    "failedJobsHistoryLimit",
    "fsGroup",
    "gracePeriodSeconds",
    "leaseTransitions",
    "maxFailedIndexes",
    "minReplicas",
    "mode",
    "parallelism",
    "partition",
    "priority",
    "replicas",
    "revisionHistoryLimit",
    "runAsGroup",
    "runAsUser",
    "sinceSeconds",
    "stabilizationWindowSeconds",
    "successfulJobsHistoryLimit",
    "tailLines",
    "terminationGracePeriodSeconds",
    "tolerationSeconds",
    "ttlSecondsAfterFinished",
    "value",
];

/// Flags whose `false` is the same as their absence.
const FALSE_IS_NOTHING: [&str; 10] = [
    "hostIPC",
    "hostNetwork",
    "hostPID",
    "paused",
    "publishNotReadyAddresses",
    "readOnly",
    "stdin",
    "stdinOnce",
    "tty",
    "unschedulable",
];

/// One field of a message.
struct Row {
    number: u64,
    name: &'static str,
    shape: Shape,
    ty: &'static str,
}

#[derive(PartialEq)]
enum Shape {
    One,
    List,
    Map,
}

static TABLE: LazyLock<HashMap<&'static str, Vec<Row>>> = LazyLock::new(|| {
    let mut table: HashMap<&'static str, Vec<Row>> = HashMap::new();
    let mut message = "";
    for line in include_str!("fields.txt").lines() {
        let Some(row) = line.strip_prefix(' ') else {
            message = line;
            continue;
        };
        let mut words = row.split(' ');
        let (number, name) = (words.next(), words.next());
        let (shape, ty) = match (words.next(), words.next()) {
            (Some("list"), Some(ty)) => (Shape::List, ty),
            (Some("map"), Some(ty)) => (Shape::Map, ty),
            (ty, _) => (Shape::One, ty.unwrap_or_default()),
        };
        table.entry(message).or_default().push(Row {
            number: number.and_then(|n| n.parse().ok()).unwrap_or_default(),
            name: name.unwrap_or_default(),
            shape,
            ty,
        });
    }
    table
});

/// Reads a body; gives it as JSON.
pub fn to_json(body: &[u8]) -> Result<Vec<u8>, Status> {
    let refused = |why: &str| {
        Status::bad_request(format!(
            "the body is no Kubernetes object in protobuf: {why}"
        ))
    };
    let envelope = body
        .strip_prefix(MAGIC)
        .ok_or_else(|| refused("it does not begin with k8s\\0"))?;
    let (mut api_version, mut kind, mut raw) = (String::new(), String::new(), &[][..]);
    for field in fields(envelope) {
        match field.map_err(|_| refused("the envelope is malformed"))? {
            (1, Field::Bytes(identity)) => {
                for field in fields(identity) {
                    match field.map_err(|_| refused("the envelope is malformed"))? {
                        (1, Field::Bytes(text)) => api_version = wire::text(text),
                        (2, Field::Bytes(text)) => kind = wire::text(text),
                        _ => {}
                    }
                }
            }
            (2, Field::Bytes(bytes)) => raw = bytes,
            _ => {}
        }
    }
    let message = message_of(&api_version, &kind);
    if !TABLE.contains_key(message.as_str()) {
        return Err(refused(&format!(
            "{kind} of {api_version} is not known in this encoding; send JSON"
        )));
    }
    let mut object = read(&message, raw, 0).map_err(|_| refused("a field is malformed"))?;
    if let Some(map) = object.as_object_mut() {
        map.insert("apiVersion".into(), api_version.into());
        map.insert("kind".into(), kind.into());
    }
    Ok(object.to_string().into_bytes())
}

/// `apps/v1` and `Deployment`: `apps.v1.Deployment`. Options are the same for
/// all groups.
fn message_of(api_version: &str, kind: &str) -> String {
    if kind.ends_with("Options") && TABLE.contains_key(format!("meta.v1.{kind}").as_str()) {
        return format!("meta.v1.{kind}");
    }
    match api_version.split_once('/') {
        None => format!("core.{api_version}.{kind}"),
        Some((group, version)) => {
            let package = group.split('.').next().unwrap_or(group);
            format!("{package}.{version}.{kind}")
        }
    }
}

/// Reads a message.
fn read(message: &str, bytes: &[u8], depth: usize) -> Result<Value, Malformed> {
    if depth > MAX_DEPTH {
        return Err(Malformed);
    }
    if let Some(value) = special::read(message, bytes)? {
        return Ok(value);
    }
    let empty = Vec::new();
    let rows = TABLE.get(message).unwrap_or(&empty);
    let mut object = Map::new();
    for field in fields(bytes) {
        let (number, field) = field?;
        let Some(row) = rows.iter().find(|row| row.number == number) else {
            continue;
        };
        match row.shape {
            Shape::One => {
                let value = one(row.ty, &field, depth)?;
                match value {
                    Value::Object(inner) if INLINE.contains(&row.name) => object.extend(inner),
                    value if is_absent(row, &value) => {}
                    value => drop(object.insert(row.name.into(), value)),
                }
            }
            Shape::List => {
                let list = object
                    .entry(row.name)
                    .or_insert_with(|| Value::Array(Vec::new()));
                if let Value::Array(list) = list {
                    list.push(one(row.ty, &field, depth)?);
                }
            }
            Shape::Map => {
                let (key, value) = entry(row.ty, &field, depth)?;
                let map = object
                    .entry(row.name)
                    .or_insert_with(|| Value::Object(Map::new()));
                map[key] = value;
            }
        }
    }
    Ok(object.into())
}

fn one(ty: &str, field: &Field<'_>, depth: usize) -> Result<Value, Malformed> {
    Ok(match (ty, field) {
        ("int", Field::Number(number)) => (*number as i64).into(),
        ("bool", Field::Number(number)) => (*number != 0).into(),
        ("double", Field::Fixed64(bits)) => f64::from_bits(*bits).into(),
        ("string", Field::Bytes(bytes)) => wire::text(bytes).into(),
        ("bytes", Field::Bytes(bytes)) => special::base64(bytes),
        (message, Field::Bytes(bytes)) => read(message, bytes, depth + 1)?,
        _ => return Err(Malformed),
    })
}

/// Key and value of a map's entry.
fn entry(ty: &str, field: &Field<'_>, depth: usize) -> Result<(String, Value), Malformed> {
    let Field::Bytes(bytes) = field else {
        return Err(Malformed);
    };
    let mut key = String::new();
    let mut value = Value::Null;
    for field in fields(bytes) {
        match field? {
            (1, Field::Bytes(text)) => key = wire::text(text),
            (2, field) => value = one(ty, &field, depth)?,
            _ => {}
        }
    }
    if value.is_null() && matches!(ty, "string" | "bytes") {
        value = "".into();
    }
    Ok((key, value))
}

/// Whether a field says no more than its absence would.
fn is_absent(row: &Row, value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(flag) => !flag && FALSE_IS_NOTHING.contains(&row.name),
        Value::String(text) => text.is_empty() && row.name != "storageClassName",
        Value::Number(number) => number.as_i64() == Some(0) && !ZERO_COUNTS.contains(&row.name),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
        let mut out = vec![number << 3 | 2, bytes.len() as u8];
        out.extend_from_slice(bytes);
        out
    }

    fn enveloped(api_version: &str, kind: &str, raw: &[u8]) -> Vec<u8> {
        let identity = [field(1, api_version.as_bytes()), field(2, kind.as_bytes())].concat();
        [MAGIC.to_vec(), field(1, &identity), field(2, raw)].concat()
    }

    fn decoded(api_version: &str, kind: &str, raw: &[u8]) -> Value {
        let json = to_json(&enveloped(api_version, kind, raw)).unwrap();
        serde_json::from_slice(&json).unwrap()
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
        let scale = field(2, &[1 << 3, 0]);
        assert_eq!(
            decoded("autoscaling/v1", "Scale", &scale)["spec"],
            json!({"replicas": 0})
        );
        let options = [1 << 3, 0];
        assert_eq!(
            decoded("policy/v1", "DeleteOptions", &options)["gracePeriodSeconds"],
            0
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
    }

    /// Go's generator begins names in lower case that JSON has as they are.
    #[test]
    fn names_are_those_of_the_json() {
        // spec.boundObjectRef{uid: u}
        let spec = field(3, &field(4, b"u"));
        assert_eq!(
            decoded("authentication.k8s.io/v1", "TokenRequest", &field(2, &spec))["spec"],
            json!({"boundObjectRef": {"uid": "u"}})
        );
        let odd = |line: &&str| {
            let name = line.split_whitespace().nth(1).unwrap_or_default();
            name.chars().nth(1).is_some_and(char::is_uppercase)
        };
        let fields = include_str!("fields.txt").lines();
        let found: Vec<&str> = fields
            .filter(|line| line.starts_with(' '))
            .filter(odd)
            .collect();
        assert_eq!(found, [""; 0]);
    }

    #[test]
    fn garbage_is_refused() {
        for body in [&b"{}"[..], b"k8s\0\xff", b"k8s\0\x0a\x05"] {
            assert_eq!(to_json(body).unwrap_err().code, 400);
        }
        assert_eq!(
            to_json(&enveloped("x/v1", "Unknown", b""))
                .unwrap_err()
                .code,
            400
        );
        assert_eq!(
            to_json(&enveloped("v1", "Pod", b"\x0a\x09"))
                .unwrap_err()
                .code,
            400
        );
        // Deeper than any object.
        assert!(read("core.v1.Pod", b"", MAX_DEPTH + 1).is_err());
    }
}
