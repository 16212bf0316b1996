//! What page and server say to each other. Pure.

use crate::failure::{Failure, json_text as json};
use crate::pass_through::path;
use bytes::Bytes;
use hardway_why::Unread;
use http::StatusCode;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use std::sync::Arc;

/// The longest name a page may give a subscription.
const LONGEST_ID: usize = 128;

/// What a page says.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Said {
    /// It wants to see something.
    Subscribe(Subscribe),
    /// It does not any more.
    Unsubscribe(String),
}

/// What it wants to see.
#[derive(Debug, PartialEq, Eq, Deserialize)]
pub struct Subscribe {
    /// Its own name for it.
    pub id: String,
    /// What it is.
    #[serde(flatten)]
    pub what: What,
}

/// What there is to see.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum What {
    /// What is wrong.
    Problems {
        /// Where.
        problems: Problems,
    },
    /// Objects.
    Objects(Selection),
}

/// Where to look for problems.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Problems {
    /// One namespace; empty for all.
    #[serde(default)]
    pub namespace: String,
}

/// Which objects, and how much of them.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Selection {
    /// The collection's path.
    pub path: String,
    /// By their labels.
    #[serde(default)]
    pub label_selector: String,
    /// By their fields.
    #[serde(default)]
    pub field_selector: String,
    /// How much of them.
    #[serde(default, rename = "as")]
    pub form: Form,
}

/// How much of an object is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// All of it.
    #[default]
    Object,
    /// Its metadata.
    Metadata,
    /// A row of a table.
    Table,
}

impl Form {
    /// What a list is asked for in.
    pub fn accept_list(self) -> &'static str {
        match self {
            Self::Object => "application/json",
            Self::Metadata => "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1",
            Self::Table => "application/json;as=Table;g=meta.k8s.io;v=v1",
        }
    }

    /// What a watch is asked for in.
    pub fn accept_watch(self) -> &'static str {
        match self {
            Self::Metadata => "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1",
            _ => self.accept_list(),
        }
    }
}

impl Selection {
    /// All objects of a collection.
    pub fn all(path: String) -> Self {
        Self {
            path,
            label_selector: String::new(),
            field_selector: String::new(),
            form: Form::Object,
        }
    }

    /// Where it is asked for; `more` are parameters with their values.
    pub fn uri(&self, more: &[(&str, &str)]) -> String {
        let own = [
            ("labelSelector", self.label_selector.as_str()),
            ("fieldSelector", self.field_selector.as_str()),
        ];
        let parameters = own
            .iter()
            .chain(more)
            .filter(|(_, value)| !value.is_empty());
        let parameters: Vec<String> = parameters
            .map(|(name, value)| format!("{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC)))
            .collect();
        match parameters.is_empty() {
            true => self.path.clone(),
            false => format!("{}?{}", self.path, parameters.join("&")),
        }
    }

    fn check(&self) -> Result<(), Failure> {
        let bad = |message: String| Err(Failure::new(StatusCode::BAD_REQUEST, message));
        if !self.path.starts_with("/api/") && !self.path.starts_with("/apis/") {
            return bad(format!("{:?} is no collection of the API", self.path));
        }
        if self.path.contains(['?', '#', ' ']) || !self.path.is_ascii() {
            return bad(format!("{:?} is no path", self.path));
        }
        path::check(&self.path)
    }
}

/// Reads what a page says.
///
/// # Errors
/// With what makes no sense.
pub fn read(text: &str) -> Result<Said, Failure> {
    let said: Said = serde_json::from_str(text).map_err(|error| {
        let message = format!("that message makes no sense: {error}");
        Failure::new(StatusCode::BAD_REQUEST, message)
    })?;
    if let Said::Subscribe(subscribe) = &said {
        if subscribe.id.is_empty() || subscribe.id.len() > LONGEST_ID {
            let message = format!("an id has 1 to {LONGEST_ID} characters");
            return Err(Failure::new(StatusCode::BAD_REQUEST, message));
        }
        if let What::Objects(selection) = &subscribe.what {
            selection.check()?;
        }
    }
    Ok(said)
}

/// What changed, as pages are sent it; the objects are in JSON already.
#[derive(Debug, Default, PartialEq)]
pub struct Batch {
    /// Whether what was there before is to be forgotten.
    pub reset: bool,
    /// Objects in their last state.
    pub set: Vec<Bytes>,
    /// UIDs of those that are gone.
    pub gone: Vec<Arc<str>>,
    /// Whether that was all there is.
    pub ready: bool,
    /// Columns of a table.
    pub columns: Option<Bytes>,
    /// Why there is no more.
    pub error: Option<Failure>,
    /// How many there are that are not among `set`.
    pub more: usize,
    /// What was not read, where that may have hidden problems.
    pub unread: Vec<Unread>,
}

impl Batch {
    /// As it is sent, under a subscription's name.
    pub fn text(&self, id: &str) -> String {
        let length: usize = self.set.iter().map(|it| it.len() + 1).sum();
        let mut out = String::with_capacity(length + self.gone.len() * 40 + 256);
        out.push_str(&format!(
            "{{\"id\":{},\"reset\":{},\"set\":[",
            json(id),
            self.reset
        ));
        for (at, object) in self.set.iter().enumerate() {
            if at > 0 {
                out.push(',');
            }
            out.push_str(std::str::from_utf8(object).unwrap_or("null"));
        }
        let gone: Vec<&str> = self.gone.iter().map(AsRef::as_ref).collect();
        let columns = self.columns.as_deref().map(std::str::from_utf8);
        let columns = columns.and_then(Result::ok).unwrap_or("null");
        out.push_str(&format!(
            "],\"gone\":{},\"ready\":{},\"columns\":{columns},\"error\":{},\"more\":{},\"unread\":{}}}",
            json(&gone),
            self.ready,
            json(&self.error),
            self.more,
            json(&self.unread),
        ));
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn a_page_subscribes_to_objects_and_to_problems() {
        let said = read(
            r#"{"subscribe":{"id":"a","path":"/api/v1/pods","labelSelector":"x=y","as":"table"}}"#,
        );
        let Said::Subscribe(Subscribe {
            id,
            what: What::Objects(selection),
        }) = said.unwrap()
        else {
            panic!("objects");
        };
        assert_eq!((id.as_str(), selection.form), ("a", Form::Table));
        let uri = selection.uri(&[("limit", "5"), ("continue", "")]);
        assert_eq!(uri, "/api/v1/pods?labelSelector=x%3Dy&limit=5");
        let said = read(r#"{"subscribe":{"id":"p","problems":{"namespace":"a"}}}"#).unwrap();
        let problems = Problems {
            namespace: "a".into(),
        };
        let what = What::Problems { problems };
        assert_eq!(
            said,
            Said::Subscribe(Subscribe {
                id: "p".into(),
                what
            })
        );
        assert_eq!(
            read(r#"{"unsubscribe":"a"}"#).unwrap(),
            Said::Unsubscribe("a".into())
        );
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for text in [
            "",
            "[]",
            r#"{"subscribe":{}}"#,
            r#"{"subscribe":{"id":"","path":"/api/v1/pods"}}"#,
            r#"{"subscribe":{"id":"a","path":"/api/v1/../pods"}}"#,
            r#"{"subscribe":{"id":"a","path":"/metrics"}}"#,
            r#"{"subscribe":{"id":"a","path":"/api/v1/pods?watch=1"}}"#,
            r#"{"subscribe":{"id":"a","path":"/api/v1/nodes/n/proxy"}}"#,
            r#"{"subscribe":{"id":"a","path":"/api/v1/pods","as":"yaml"}}"#,
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_batch_is_json_whatever_it_is_called() {
        let batch = Batch {
            reset: true,
            set: vec![Bytes::from(r#"{"a":1}"#), Bytes::from(r#"{"b":2}"#)],
            gone: vec!["x".into()],
            ready: true,
            columns: None,
            error: Some(Failure::new(StatusCode::FORBIDDEN, "no \"pods\"")),
            more: 7,
            unread: Vec::new(),
        };
        let value: Value = serde_json::from_str(&batch.text("a\"b")).unwrap();
        assert_eq!(value["id"], "a\"b");
        assert_eq!(value["set"], json!([{"a": 1}, {"b": 2}]));
        assert_eq!(value["gone"], json!(["x"]));
        assert_eq!(value["error"]["code"], 403);
        assert_eq!(value["more"], 7);
        assert_eq!(value["columns"], Value::Null);
    }
}
