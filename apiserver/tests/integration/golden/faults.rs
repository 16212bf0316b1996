//! What is told of faulty objects: which field, why, in which words and order.

use super::facts::{Client, collection, names, read};
use http::Method;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// A file of them.
#[derive(Deserialize)]
struct Facts {
    /// Long texts that messages name as `<name>`.
    #[serde(default)]
    texts: BTreeMap<String, String>,
    kinds: Vec<Kind>,
}

/// An object without a fault, and its faults.
#[derive(Deserialize)]
struct Kind {
    object: Value,
    faults: Vec<Fault>,
}

#[derive(Deserialize)]
struct Fault {
    /// Values by the path of their field; null takes it away.
    set: Map<String, Value>,
    /// `field: message` of each cause; none if it is no fault at all.
    told: Vec<String>,
}

/// How a message begins, and the reason of its cause.
const REASONS: [(&str, &str); 9] = [
    ("Invalid value", "FieldValueInvalid"),
    ("Required value", "FieldValueRequired"),
    ("Unsupported value", "FieldValueNotSupported"),
    ("Duplicate value", "FieldValueDuplicate"),
    ("Forbidden", "FieldValueForbidden"),
    ("Not found", "FieldValueNotFound"),
    ("Too long", "FieldValueTooLong"),
    ("Too many", "FieldValueTooMany"),
    ("Internal error", "InternalError"),
];

pub async fn compare(client: &mut Client) -> Vec<String> {
    let mut differences = Vec::new();
    for file in names("faults") {
        let facts: Facts = read(&file);
        for kind in facts.kinds {
            let good = Fault {
                set: Map::new(),
                told: Vec::new(),
            };
            for fault in std::iter::once(good).chain(kind.faults) {
                let mut object = kind.object.clone();
                for (path, value) in &fault.set {
                    set(&mut object, path, value);
                }
                let told = fault
                    .told
                    .iter()
                    .map(|text| written_out(text, &facts.texts));
                let found = check(client, &object, &told.collect::<Vec<_>>()).await;
                differences.extend(found.map(|found| {
                    let change = Value::Object(fault.set.clone());
                    format!("{} with {change}: {found}", object["kind"])
                }));
            }
        }
    }
    differences
}

fn written_out(text: &str, texts: &BTreeMap<String, String>) -> String {
    let mut whole = text.to_owned();
    for (name, text) in texts {
        whole = whole.replace(&format!("<{name}>"), text);
    }
    whole
}

/// What is otherwise than expected.
async fn check(client: &mut Client, object: &Value, told: &[String]) -> Option<String> {
    let path = format!("{}?dryRun=All", collection(object));
    let (code, answer) = client
        .ask(Method::POST, &path, "application/json", object)
        .await;
    if told.is_empty() {
        return (code != 201).then(|| format!("refused with {code}: {}", answer["message"]));
    }
    if code != 422 || answer["reason"] != "Invalid" {
        return Some(format!("{code}: {}", answer["message"]));
    }
    let mut causes = Vec::new();
    for cause in answer["details"]["causes"].as_array().unwrap() {
        let [field, message] = ["field", "message"].map(|key| cause[key].as_str().unwrap());
        let reason = REASONS.iter().find(|(start, _)| message.starts_with(start));
        if reason.is_none_or(|(_, reason)| cause["reason"] != *reason) {
            return Some(format!("another reason: {cause}"));
        }
        causes.push(format!("{field}: {message}"));
    }
    if causes != told {
        let lines = |texts: &[String]| texts.join("\n    ");
        let (expected, found) = (lines(told), lines(&causes));
        return Some(format!(
            "\n  expected\n    {expected}\n  found\n    {found}"
        ));
    }
    let whole = match told {
        [one] => one.clone(),
        many => {
            let mut once: Vec<&str> = Vec::new();
            for text in many {
                if !once.contains(&text.as_str()) {
                    once.push(text);
                }
            }
            match once[..] {
                [one] => one.to_owned(),
                _ => format!("[{}]", once.join(", ")),
            }
        }
    };
    let message = answer["message"].as_str().unwrap();
    let end = format!(" is invalid: {whole}");
    (!message.ends_with(&end)).then(|| format!("the whole message is {message:?}"))
}

/// Sets the field at a path such as `spec.ports[0].name`, adding what isn't there.
fn set(object: &mut Value, path: &str, value: &Value) {
    let path = path.replace('[', ".[");
    let mut place = object;
    let mut steps = path.split('.').peekable();
    while let Some(step) = steps.next() {
        if let Some(index) = step.strip_prefix('[') {
            let index: usize = index.trim_end_matches(']').parse().unwrap();
            if place.is_null() {
                *place = Value::Array(Vec::new());
            }
            let list = place.as_array_mut().unwrap();
            if list.len() == index {
                list.push(Value::Null);
            }
            place = &mut list[index];
        } else {
            if value.is_null() && steps.peek().is_none() {
                place.as_object_mut().unwrap().remove(step);
                return;
            }
            place = &mut place[step];
        }
    }
    *place = value.clone();
}
