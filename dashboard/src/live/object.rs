//! What is kept and shown of an object. Pure.
//!
//! Thousands of them come in a list. What is shown as it is is copied as it is written, and only
//! what is looked at or left out is taken apart.

use super::fields::Fields;
use super::message::Form;
use crate::failure::json_text;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::sync::Arc;

/// Where kubectl keeps a copy of the object, values and all.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// An object, or a row of a table, as pages see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// What it is known by.
    pub uid: Arc<str>,
    /// Which state of it this is.
    pub version: Box<str>,
    /// In JSON.
    pub text: Bytes,
}

/// An answer that lists objects.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct List<'a> {
    /// Of which version.
    #[serde(default)]
    pub api_version: String,
    /// What kind of list.
    #[serde(default)]
    pub kind: String,
    /// Where it stands.
    #[serde(default)]
    pub metadata: ListMetadata,
    /// Objects.
    #[serde(borrow, default)]
    pub items: Vec<&'a RawValue>,
    /// Rows, where it is a table.
    #[serde(borrow, default)]
    pub rows: Vec<&'a RawValue>,
    /// What is in the rows.
    #[serde(borrow, default)]
    pub column_definitions: Option<&'a RawValue>,
}

/// Where a list stands.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListMetadata {
    /// The state of the cluster it shows.
    #[serde(default)]
    pub resource_version: String,
    /// Where it goes on; empty at the end.
    #[serde(default, rename = "continue")]
    pub next: String,
}

impl List<'_> {
    /// Its objects or rows, as they are shown. Lists leave out what their objects are; here they
    /// say it.
    pub fn shown(&self, form: Form, secret: bool) -> Vec<Item> {
        let kind = self.kind.strip_suffix("List").unwrap_or(&self.kind);
        let said = [
            ("kind", json_text(kind)),
            ("apiVersion", json_text(&self.api_version)),
        ];
        let says = match form {
            Form::Object => said.as_slice(),
            Form::Metadata | Form::Table => &[],
        };
        let items = self.items.iter().chain(&self.rows);
        items
            .filter_map(|item| shown(item.get(), says, secret))
            .collect()
    }
}

/// An object or row as it is shown, with what it is to say besides, in JSON. `None` for what has
/// no UID, by which it would be known.
pub fn shown(text: &str, says: &[(&'static str, String)], secret: bool) -> Option<Item> {
    let mut item = Fields::of(text)?;
    let (uid, version) = match item.get("cells") {
        Some(_) => {
            // Conditions only colour rows; the object has metadata alone.
            item.retain(|name| matches!(name, "cells" | "object"));
            let row = item.get("object")?.clone();
            let mut object = Fields::of(&row)?;
            let known = show(&mut object, secret)?;
            item.replace("object", object.json());
            known
        }
        None => {
            for (name, value) in says {
                item.or_insert(name, value.as_str());
            }
            show(&mut item, secret)?
        }
    };
    // Without room to grow, which nobody needs.
    let text = item.json().into_boxed_str().into_boxed_bytes().into();
    Some(Item { uid, version, text })
}

/// Leaves of an object what is shown of it; says how it is known, and which state of it this is.
fn show(object: &mut Fields<'_>, secret: bool) -> Option<(Arc<str>, Box<str>)> {
    if secret {
        let mut value: Map<String, Value> = serde_json::from_str(&object.json()).ok()?;
        hide(&mut value);
        for name in ["data", "stringData", "metadata"] {
            match value.get(name) {
                Some(value) => object.replace(name, value.to_string()),
                None => object.remove(name),
            }
        }
    }
    let text = object.get("metadata")?.clone();
    let mut metadata = Fields::of(&text)?;
    metadata.remove("managedFields");
    let uid = metadata.text("uid").filter(|uid| !uid.is_empty())?;
    let version = metadata.text("resourceVersion").unwrap_or_default();
    let known = (uid.into(), version.into());
    object.replace("metadata", metadata.json());
    Some(known)
}

/// Which state an object, or the object of a row, is in; empty where it doesn't say.
pub fn version(text: &str) -> String {
    fn of(text: &str) -> Option<String> {
        let object = Fields::of(text)?;
        let row = object
            .get("object")
            .filter(|_| object.get("cells").is_some());
        match row {
            Some(row) => of(row),
            None => {
                let metadata = Fields::of(object.get("metadata")?)?;
                metadata.text("resourceVersion").map(Cow::into_owned)
            }
        }
    }
    of(text).unwrap_or_default()
}

/// Whether a collection is that of Secrets, of which nothing secret is shown.
pub fn is_of_secrets(path: &str) -> bool {
    path.starts_with("/api/v1/") && path.ends_with("/secrets")
}

/// Leaves of a Secret which keys it has, and the certificate of one that is a certificate and
/// its key: servers show it to everybody.
pub fn hide(object: &mut Map<String, Value>) {
    object.remove("stringData");
    let certificate = object
        .get("type")
        .is_some_and(|it| it == "kubernetes.io/tls");
    if let Some(Value::Object(data)) = object.get_mut("data") {
        let hidden = data
            .iter_mut()
            .filter(|(name, _)| !(certificate && *name == "tls.crt"));
        hidden.for_each(|(_, value)| *value = Value::Null);
    }
    let annotations = object
        .get_mut("metadata")
        .and_then(|it| it.get_mut("annotations"));
    if let Some(Value::Object(annotations)) = annotations {
        annotations.remove(LAST_APPLIED);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn value(item: &Item) -> Value {
        serde_json::from_slice(&item.text).unwrap()
    }

    #[test]
    fn objects_of_a_list_say_what_they_are() {
        let text = r#"{"apiVersion":"apps/v1","kind":"DeploymentList",
            "metadata":{"resourceVersion":"7","continue":"on"},
            "items":[{"metadata":{"name":"a","uid":"u","resourceVersion":"5","managedFields":[{}]}},
                     {"metadata":{"name":"of no uid"}}]}"#;
        let list: List = serde_json::from_str(text).unwrap();
        assert_eq!(
            (
                list.metadata.resource_version.as_str(),
                list.metadata.next.as_str()
            ),
            ("7", "on")
        );
        let items = list.shown(Form::Object, false);
        assert_eq!(items.len(), 1);
        assert_eq!((&*items[0].uid, &*items[0].version), ("u", "5"));
        assert_eq!(
            value(&items[0]),
            json!({"apiVersion": "apps/v1", "kind": "Deployment",
                "metadata": {"name": "a", "uid": "u", "resourceVersion": "5"}})
        );
    }

    #[test]
    fn nothing_secret_is_shown_of_a_secret() {
        let secret = json!({"kind": "Secret", "type": "Opaque",
            "metadata": {"uid": "u", "annotations": {LAST_APPLIED: "c2VjcmV0", "a": "b"}},
            "data": {"password": "c2VjcmV0"}, "stringData": {"x": "secret"}});
        let item = shown(&secret.to_string(), &[], true).unwrap();
        let text = String::from_utf8_lossy(&item.text).into_owned();
        assert!(
            !text.contains("c2VjcmV0") && !text.contains("\"secret\""),
            "{text}"
        );
        assert_eq!(value(&item)["data"], json!({"password": null}));
        assert_eq!(value(&item)["metadata"]["annotations"], json!({"a": "b"}));
        let pair = json!({"metadata": {"uid": "u"}, "type": "kubernetes.io/tls",
            "data": {"tls.crt": "cHVibGlj", "tls.key": "c2VjcmV0"}});
        let item = shown(&pair.to_string(), &[], true).unwrap();
        assert_eq!(
            value(&item)["data"],
            json!({"tls.crt": "cHVibGlj", "tls.key": null})
        );
    }

    #[test]
    fn a_row_is_known_by_its_object() {
        let text = r#"{"kind":"Table","metadata":{"resourceVersion":"7"},
            "columnDefinitions":[{"name":"Name"}],
            "rows":[{"cells":["a",1],"conditions":[],"object":{"kind":"PartialObjectMetadata",
                "metadata":{"name":"a","uid":"u","resourceVersion":"5","managedFields":[]}}}]}"#;
        let list: List = serde_json::from_str(text).unwrap();
        let items = list.shown(Form::Table, false);
        assert_eq!(&*items[0].uid, "u");
        assert_eq!(
            value(&items[0]),
            json!({"cells": ["a", 1], "object": {"kind": "PartialObjectMetadata",
                "metadata": {"name": "a", "uid": "u", "resourceVersion": "5"}}})
        );
        assert_eq!(version(list.rows[0].get()), "5");
        assert_eq!(
            version(r#"{"kind":"Pod","metadata":{"resourceVersion":"9"}}"#),
            "9"
        );
        assert_eq!(version("{}"), "");
    }
}
