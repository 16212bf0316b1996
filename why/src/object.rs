//! An object as the API gives it, read by JSON pointers.

use jiff::Timestamp;
use serde_json::Value;

use crate::diagnosis::{Evidence, Source, Subject};

/// Fields of JSON by their pointers. What is absent, empty or of another type is nothing.
pub(crate) trait Json {
    /// A text that is not empty.
    fn text(&self, pointer: &str) -> Option<&str>;
    /// A whole number.
    fn number(&self, pointer: &str) -> Option<i64>;
    /// Whether a flag is set.
    fn flag(&self, pointer: &str) -> bool;
    /// The items of a list.
    fn list(&self, pointer: &str) -> &[Value];
    /// The texts of a map.
    fn map(&self, pointer: &str) -> Vec<(&str, &str)>;
    /// A time.
    fn time(&self, pointer: &str) -> Option<Timestamp>;
}

impl Json for Value {
    fn text(&self, pointer: &str) -> Option<&str> {
        let text = self.pointer(pointer)?.as_str()?;
        (!text.is_empty()).then_some(text)
    }

    fn number(&self, pointer: &str) -> Option<i64> {
        self.pointer(pointer)?.as_i64()
    }

    fn flag(&self, pointer: &str) -> bool {
        self.pointer(pointer).and_then(Value::as_bool) == Some(true)
    }

    fn list(&self, pointer: &str) -> &[Value] {
        let list = self.pointer(pointer).and_then(Value::as_array);
        list.map_or(&[], Vec::as_slice)
    }

    fn map(&self, pointer: &str) -> Vec<(&str, &str)> {
        let map = self.pointer(pointer).and_then(Value::as_object);
        let texts = map.into_iter().flatten();
        texts
            .filter_map(|(key, value)| Some((key.as_str(), value.as_str()?)))
            .collect()
    }

    fn time(&self, pointer: &str) -> Option<Timestamp> {
        self.text(pointer)?.parse().ok()
    }
}

/// A condition of an object's status.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Condition<'a> {
    pub kind: &'a str,
    pub status: &'a str,
    pub reason: &'a str,
    pub message: &'a str,
    pub since: Option<Timestamp>,
}

impl Condition<'_> {
    /// Reason and message, as far as there are any.
    pub fn says(&self) -> String {
        match (self.reason, self.message) {
            ("", "") => format!("{} is {}", self.kind, self.status),
            (reason, "") => reason.to_owned(),
            ("", message) => message.to_owned(),
            (reason, message) => format!("{reason}: {message}"),
        }
    }
}

/// An object of a kind.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Object<'a> {
    pub kind: &'a str,
    pub value: &'a Value,
}

impl<'a> Object<'a> {
    pub fn name(&self) -> &'a str {
        self.value.text("/metadata/name").unwrap_or_default()
    }

    /// Empty for what is in no namespace.
    pub fn namespace(&self) -> &'a str {
        self.value.text("/metadata/namespace").unwrap_or_default()
    }

    pub fn uid(&self) -> &'a str {
        self.value.text("/metadata/uid").unwrap_or_default()
    }

    pub fn subject(&self) -> Subject {
        Subject::new(self.kind, Some(self.namespace()), self.name())
    }

    /// ` -n NAMESPACE`, for commands about it.
    pub fn flag(&self) -> String {
        match self.namespace() {
            "" => String::new(),
            namespace => format!(" -n {namespace}"),
        }
    }

    /// A command of kubectl about it: `kubectl VERB kind NAME -n NAMESPACE`.
    pub fn kubectl(&self, verb: &str) -> String {
        let kind = self.kind.to_lowercase();
        format!("kubectl {verb} {kind} {}{}", self.name(), self.flag())
    }

    pub fn created(&self) -> Option<Timestamp> {
        self.value.time("/metadata/creationTimestamp")
    }

    pub fn deleted(&self) -> Option<Timestamp> {
        self.value.time("/metadata/deletionTimestamp")
    }

    pub fn label(&self, key: &str) -> Option<&'a str> {
        self.value
            .get("metadata")?
            .get("labels")?
            .get(key)?
            .as_str()
    }

    pub fn annotation(&self, key: &str) -> Option<&'a str> {
        self.value
            .get("metadata")?
            .get("annotations")?
            .get(key)?
            .as_str()
    }

    /// The owner that controls it: kind, name and UID.
    pub fn controller(&self) -> Option<(&'a str, &'a str, &'a str)> {
        let owners = self.value.list("/metadata/ownerReferences");
        let owner = owners.iter().find(|it| it.flag("/controller"))?;
        Some((
            owner.text("/kind")?,
            owner.text("/name")?,
            owner.text("/uid")?,
        ))
    }

    pub fn conditions(&self) -> impl Iterator<Item = Condition<'a>> + use<'a> {
        let all = self.value.list("/status/conditions").iter();
        all.filter_map(|it| {
            Some(Condition {
                kind: it.text("/type")?,
                status: it.text("/status").unwrap_or("Unknown"),
                reason: it.text("/reason").unwrap_or_default(),
                message: it.text("/message").unwrap_or_default(),
                since: it.time("/lastTransitionTime"),
            })
        })
    }

    pub fn condition(&self, kind: &str) -> Option<Condition<'a>> {
        self.conditions().find(|it| it.kind == kind)
    }

    /// Evidence from a field, named by its JSON pointer.
    pub fn field(&self, pointer: &str, says: impl Into<String>) -> Evidence {
        let path = pointer.trim_start_matches('/').replace('/', ".");
        self.evidence(Source::Field(path.replace("~1", "/")), says)
    }

    /// Evidence from a condition.
    pub fn told_by(&self, condition: &Condition<'_>) -> Evidence {
        let source = Source::Condition(condition.kind.to_owned());
        Evidence {
            since: condition.since,
            ..self.evidence(source, condition.says())
        }
    }

    /// Evidence found by comparing it with others.
    pub fn compared(&self, says: impl Into<String>) -> Evidence {
        self.evidence(Source::Comparison, says)
    }

    pub fn evidence(&self, source: Source, says: impl Into<String>) -> Evidence {
        Evidence {
            object: self.subject(),
            source,
            says: says.into(),
            since: None,
        }
    }
}
