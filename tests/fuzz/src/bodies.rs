//! What bodies and queries are made of: objects in JSON, YAML and protobuf,
//! quantities, continue tokens.

use crate::invent::Choices;
use hardway_apiserver::pipeline::{continuation::Token, yaml as bounded};
use hardway_apiserver::protobuf::{Encoded, to_json};
use hardway_proto::quantity::{Format, Quantity};
use hardway_resources::schema::builtin;
use hardway_resources::{Schema, strict as decoding};
use serde_json::Value;

/// Kinds that objects are read as.
pub const KINDS: [(&str, &str, &str); 12] = [
    ("", "v1", "Pod"),
    ("", "v1", "Service"),
    ("", "v1", "Secret"),
    ("", "v1", "Node"),
    ("", "v1", "ConfigMap"),
    ("apps", "v1", "Deployment"),
    ("batch", "v1", "CronJob"),
    ("networking.k8s.io", "v1", "Ingress"),
    ("rbac.authorization.k8s.io", "v1", "ClusterRole"),
    ("autoscaling", "v2", "HorizontalPodAutoscaler"),
    ("apiextensions.k8s.io", "v1", "CustomResourceDefinition"),
    ("coordination.k8s.io", "v1", "Lease"),
];

fn schema((group, version, kind): (&str, &str, &str)) -> Schema {
    builtin::kind(group, version, kind).expect("a built-in kind")
}

/// What was decoded once is decoded to itself, and has nothing more to complain of;
/// what isn't JSON is never taken for it.
pub fn strict(data: &[u8]) {
    let mut choices = Choices::new(data);
    let schema = schema(*choices.one(&KINDS));
    let json = match choices.below(3) {
        0 => choices.rest().to_vec(),
        1 => choices.shaped(&schema, 6).to_string().into_bytes(),
        _ => {
            // The right shape with a wrong value somewhere.
            let mut object = choices.shaped(&schema, 6);
            let spoiled = choices.any(2);
            if let Some(field) = object.as_object_mut().and_then(|o| o.values_mut().next()) {
                *field = spoiled;
            }
            object.to_string().into_bytes()
        }
    };
    let outcome = decoding::check(&schema, &json);
    let is_json = serde_json::from_slice::<Value>(&json).is_ok();
    assert!(is_json || outcome.is_err());
    if let Ok((value, _)) = outcome {
        let again = decoding::check(&schema, value.to_string().as_bytes());
        assert_eq!(again, Ok((value, Vec::new())));
    }
}

/// A message becomes a JSON object of its kind, not out of proportion to it; and is read
/// as the same when it has been written again.
pub fn protobuf(data: &[u8]) {
    let mut choices = Choices::new(data);
    let kind @ (group, version, name) = *choices.one(&KINDS);
    let body = if choices.rarely(8) {
        [b"k8s\0", choices.rest()].concat()
    } else {
        let api_version = match group {
            "" => version.to_owned(),
            group => format!("{group}/{version}"),
        };
        let identity = [field(1, api_version.as_bytes()), field(2, name.as_bytes())].concat();
        let envelope = [field(1, &identity), field(2, choices.rest())].concat();
        [b"k8s\0", &envelope[..]].concat()
    };
    let Ok(json) = to_json(&body) else { return };
    assert!(
        json.len() < 64 * body.len() + 1024,
        "{} of {}",
        json.len(),
        body.len()
    );
    let object: Value = serde_json::from_slice(&json).expect("JSON");
    assert!(object["kind"].is_string() && object["apiVersion"].is_string());
    let written = Encoded::new(&object).expect("what was read can be written");
    let again: Value = to_json(written.bytes())
        .map(|json| serde_json::from_slice(&json).expect("JSON"))
        .expect("what was written can be read");
    assert!(alike(&again, &object), "{object} became {again}");
    // What follows in the pipeline may refuse it, and must survive it.
    let _ = decoding::check(&schema(kind), &json);
}

fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2];
    let mut length = content.len();
    while length > 0x7f {
        out.push(length as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
    out.extend(content);
    out
}

/// YAML is read within bounds, means the same written down again, and means what
/// JSON means where it is JSON.
pub fn yaml(data: &[u8]) {
    let Ok(value) = bounded::read(data) else {
        return;
    };
    let json = serde_json::to_vec(&value).expect("JSON");
    let same = serde_json::from_slice::<Value>(&json).expect("JSON");
    assert!(alike(&same, &value), "{value} became {same}");
    let written = bounded::write(&value);
    let again = bounded::read(written.as_bytes()).expect("what was written can be read");
    assert!(alike(&again, &value), "{written:?} became {again}");
    // Numbers with a fraction or an exponent, a negative zero, and escapes are read
    // otherwise; and three characters end a line in YAML 1.1 only.
    let odd = |byte: &u8| matches!(byte, b'\\' | b'e' | b'E' | b'.');
    let ends_line = |c: char| matches!(c, '\u{85}' | '\u{2028}' | '\u{2029}');
    let plain = !data.iter().any(odd)
        && !data.windows(2).any(|two| two == b"-0")
        && !String::from_utf8_lossy(data).contains(ends_line);
    if plain && let Ok(json) = serde_json::from_slice::<Value>(data) {
        assert!(alike(&value, &json), "{value} and {json}");
    }
}

/// Equal, but for the last digit of floating point.
fn alike(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => {
            let near = |a: f64, b: f64| (a - b).abs() <= b.abs() * 1e-15 + f64::MIN_POSITIVE;
            a == b || a.as_f64().zip(b.as_f64()).is_some_and(|(a, b)| near(a, b))
        }
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| alike(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            let same = |((a, x), (b, y)): ((&String, _), (&String, _))| a == b && alike(x, y);
            a.len() == b.len() && a.iter().zip(b).all(same)
        }
        _ => a == b,
    }
}

/// The number is what the text says, as floating point reads it, and the canonical
/// form says the same.
pub fn quantity(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let Ok(quantity) = text.parse::<Quantity>() else {
        return;
    };
    let written = quantity.to_string();
    let again: Quantity = written.parse().expect("what was written can be read");
    // Bytes that no binary suffix divides are written plainly and read as a decimal,
    // where 2000 is 2k; in Kubernetes too.
    if again.format() == quantity.format() {
        assert_eq!(again.to_string(), written, "the form is canonical");
    } else {
        let decimal: Quantity = again.to_string().parse().expect("a quantity");
        assert_eq!(decimal.to_string(), again.to_string(), "then it is");
        assert_eq!(decimal, again);
    }
    let parted = quantity + Quantity::default();
    assert_eq!(parted - quantity, Quantity::default());
    let number = as_floating_point(text);
    // Beyond these it is rounded, or the largest there is.
    if number.abs() < 1e17 {
        let near = |a: f64, b: f64| (a - b).abs() <= 2e-9 + b.abs() * 1e-9;
        assert!(near(quantity.as_f64(), number), "{text}: {quantity:?}");
        // Binary forms have no fractions.
        let fraction = match quantity.format() {
            Format::BinarySi => 1.0,
            _ => 0.0,
        };
        assert!((again.as_f64() - number).abs() <= fraction + 2e-9 + number.abs() * 1e-9);
    }
}

fn as_floating_point(text: &str) -> f64 {
    const DECIMAL: &str = "num kMGTPE";
    let binary = "KMGTPE";
    if let Some(short) = text.strip_suffix('i')
        && let Some(at) = short.chars().last().and_then(|c| binary.find(c))
    {
        let number: f64 = short[..short.len() - 1].parse().unwrap_or(f64::NAN);
        return number * 1024f64.powi(at as i32 + 1);
    }
    if let Some(at) = text.chars().last().and_then(|c| DECIMAL.find(c)) {
        let exponent = at as i32 * 3 - 9;
        let short = &text[..text.len() - 1];
        return format!("{short}e{exponent}").parse().unwrap_or(f64::NAN);
    }
    text.parse().unwrap_or(f64::NAN)
}

/// What a client sends back is read to what was sent, or refused.
pub fn continue_token(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(token) = Token::decode(text) {
        assert_eq!(Token::decode(&token.encode()).as_ref(), Ok(&token));
        assert!(!token.start().is_empty());
        assert_ne!(token.revision(), Some(0));
    }
    // Any key can be where a page ends.
    if !text.is_empty() && !text.starts_with('/') {
        let token = Token::after(text, 7);
        assert_eq!(Token::decode(&token.encode()), Ok(token));
    }
}
