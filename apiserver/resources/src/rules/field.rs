//! Paths of fields and the errors told about them, worded as
//! `k8s.io/apimachinery/pkg/util/validation/field` words them.

use super::FieldErrors;
use hardway_proto::status::Cause;
use serde_json::Value;
use std::fmt;

/// The path of a field, e.g. `spec.containers[0].image`.
#[derive(Clone, Debug, Default)]
pub struct Path(String);

impl Path {
    /// A path of one or more segments.
    pub fn new(path: &str) -> Self {
        Self(path.to_owned())
    }

    /// A field below; the name may have several segments.
    pub fn child(&self, name: &str) -> Self {
        if self.0.is_empty() {
            return Self::new(name);
        }
        Self(format!("{}.{name}", self.0))
    }

    /// An element of this list.
    pub fn index(&self, index: usize) -> Self {
        Self(format!("{}[{index}]", self.0))
    }

    /// An entry of this map.
    pub fn key(&self, key: &str) -> Self {
        Self(format!("{}[{key}]", self.0))
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A value as an error message shows it: strings quoted, all else as JSON.
pub trait Quoted {
    /// The text.
    fn shown(&self) -> String;
}

impl Quoted for &str {
    fn shown(&self) -> String {
        format!("{self:?}")
    }
}

impl Quoted for &String {
    fn shown(&self) -> String {
        format!("{self:?}")
    }
}

impl Quoted for i64 {
    fn shown(&self) -> String {
        self.to_string()
    }
}

impl Quoted for &Value {
    fn shown(&self) -> String {
        match self {
            Value::String(text) => format!("{text:?}"),
            other => other.to_string(),
        }
    }
}

/// Errors being collected.
#[derive(Debug, Default)]
pub struct Errors(FieldErrors);

impl Errors {
    /// None so far.
    pub fn new() -> Self {
        Self::default()
    }

    /// Those of a check.
    pub fn collect(check: impl FnOnce(&mut Self)) -> FieldErrors {
        let mut errors = Self::new();
        check(&mut errors);
        errors.0
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn push(&mut self, reason: &str, path: &Path, message: String) {
        self.0.push(Cause {
            reason: reason.to_owned(),
            message,
            field: path.to_string(),
        });
    }

    /// A field that must be there isn't; the detail may be empty.
    pub fn required(&mut self, path: &Path, detail: &str) {
        let colon = if detail.is_empty() { "" } else { ": " };
        let message = format!("Required value{colon}{detail}");
        self.push("FieldValueRequired", path, message);
    }

    /// A value that can't be.
    pub fn invalid(&mut self, path: &Path, value: impl Quoted, detail: &str) {
        let colon = if detail.is_empty() { "" } else { ": " };
        let message = format!("Invalid value: {}{colon}{detail}", value.shown());
        self.push("FieldValueInvalid", path, message);
    }

    /// The same where the value is too large to be shown, or there is none.
    pub fn invalid_unshown(&mut self, path: &Path, detail: &str) {
        self.push(
            "FieldValueInvalid",
            path,
            format!("Invalid value: {detail}"),
        );
    }

    /// What another check found.
    pub fn extend(&mut self, causes: FieldErrors) {
        self.0.extend(causes);
    }

    /// What a check of the value at a path found, whose own paths begin there.
    pub fn extend_below(&mut self, path: &Path, causes: FieldErrors) {
        self.0.extend(causes.into_iter().map(|cause| Cause {
            field: match cause.field.as_str() {
                "" | "<nil>" => path.to_string(),
                below if below.starts_with('[') => format!("{path}{below}"),
                below => format!("{path}.{below}"),
            },
            ..cause
        }));
    }

    /// One `invalid` of all of a check's messages, after some words; tells whether
    /// there were any.
    pub fn joined(&mut self, path: &Path, value: &str, before: &str, problems: &[String]) -> bool {
        if !problems.is_empty() {
            self.invalid(path, value, &format!("{before}{}", problems.join(",")));
        }
        !problems.is_empty()
    }

    /// One `invalid` for each of a check's messages.
    pub fn each(&mut self, path: &Path, value: &str, problems: Vec<String>) {
        for problem in problems {
            self.invalid(path, value, &problem);
        }
    }

    /// A value that is none of those allowed.
    pub fn not_supported(&mut self, path: &Path, value: impl Quoted, supported: &[&str]) {
        let list: Vec<String> = supported.iter().map(|s| format!("{s:?}")).collect();
        let message = format!(
            "Unsupported value: {}: supported values: {}",
            value.shown(),
            list.join(", ")
        );
        self.push("FieldValueNotSupported", path, message);
    }

    /// A value that occurs twice where each may occur once.
    pub fn duplicate(&mut self, path: &Path, value: impl Quoted) {
        let message = format!("Duplicate value: {}", value.shown());
        self.push("FieldValueDuplicate", path, message);
    }

    /// A value that occurs twice, and what that means.
    pub fn duplicate_of(&mut self, path: &Path, value: impl Quoted, detail: &str) {
        let message = format!("Duplicate value: {}: {detail}", value.shown());
        self.push("FieldValueDuplicate", path, message);
    }

    /// A field that may not be set, or not be changed.
    pub fn forbidden(&mut self, path: &Path, detail: &str) {
        self.push("FieldValueForbidden", path, format!("Forbidden: {detail}"));
    }

    /// A value that couldn't be looked at.
    pub fn internal(&mut self, path: &Path, why: &str) {
        self.push("InternalError", path, format!("Internal error: {why}"));
    }

    /// A reference to something that isn't there.
    pub fn not_found(&mut self, path: &Path, value: impl Quoted) {
        let message = format!("Not found: {}", value.shown());
        self.push("FieldValueNotFound", path, message);
    }

    /// A value of more than `limit` bytes.
    pub fn too_long(&mut self, path: &Path, limit: usize) {
        let message = format!("Too long: may not be more than {limit} bytes");
        self.push("FieldValueTooLong", path, message);
    }

    /// A list of more than `limit` entries.
    pub fn too_many(&mut self, path: &Path, actual: usize, limit: usize) {
        let message = format!("Too many: {actual}: must have at most {limit} items");
        self.push("FieldValueTooMany", path, message);
    }

    /// A field that differs between two versions of an object though it may not.
    pub fn immutable(&mut self, path: &Path, new: &Value, old: &Value) {
        if new != old {
            self.invalid(path, new, "field is immutable");
        }
    }

    /// A text that must be one of a few; absent is fine, and so is an empty one.
    pub fn one_of(&mut self, path: &Path, value: &str, supported: &[&str]) {
        if !value.is_empty() && !supported.contains(&value) {
            self.not_supported(path, value, supported);
        }
    }

    /// A text that must be one of a few where it is there at all: as where Kubernetes has a
    /// pointer, which is filled in when it is null, but not when it points to `""`.
    pub fn one_of_if_set(&mut self, path: &Path, value: &Value, supported: &[&str]) {
        let text = value.as_str().unwrap_or_default();
        if !value.is_null() && !supported.contains(&text) {
            self.not_supported(path, text, supported);
        }
    }

    /// A number that may not be negative; absent is fine.
    pub fn non_negative(&mut self, path: &Path, value: Option<i64>) {
        if let Some(n) = value.filter(|n| *n < 0) {
            self.invalid(path, n, "must be greater than or equal to 0");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn wording() {
        let path = Path::new("spec").child("ports").index(0).child("name");
        let causes = Errors::collect(|e| {
            e.required(&path, "");
            e.invalid(&path, "x", "must be y");
            e.not_supported(&path, "x", &["A", "B"]);
            e.duplicate(&path, "x");
            e.too_long(&path, 5);
            e.immutable(&path, &json!({"a": 1}), &json!({}));
            for value in [json!(null), json!("A"), json!("")] {
                e.one_of_if_set(&path, &value, &["A"]);
            }
            e.one_of(&path, "", &["A"]);
        });
        let texts: Vec<&str> = causes.iter().map(|c| c.message.as_str()).collect();
        assert_eq!(
            texts,
            [
                "Required value",
                r#"Invalid value: "x": must be y"#,
                r#"Unsupported value: "x": supported values: "A", "B""#,
                r#"Duplicate value: "x""#,
                "Too long: may not be more than 5 bytes",
                r#"Invalid value: {"a":1}: field is immutable"#,
                r#"Unsupported value: "": supported values: "A""#,
            ]
        );
        assert_eq!(causes[0].field, "spec.ports[0].name");
        assert_eq!(causes[2].reason, "FieldValueNotSupported");
    }
}
