//! Puts a resource version into an object's bytes without parsing them.

use bytes::Bytes;
use serde_json::Value;
use std::io::Write;

/// An object's bytes with their resource version, and where it stands.
#[derive(Clone, Debug)]
pub struct Versioned {
    /// The final JSON.
    pub bytes: Bytes,
    /// Offset of the version's first digit.
    at: usize,
    /// Its number of digits.
    digits: usize,
}

impl Versioned {
    /// Splices a revision into JSON that has none. `None` if there is no
    /// `metadata` object.
    pub fn new(json: &[u8], revision: i64) -> Option<Self> {
        const FIELD: &[u8] = b"\"resourceVersion\":\"";
        let open = metadata_start(json)?;
        let empty = next_non_space(json, open + 1).is_some_and(|at| json[at] == b'}');
        let mut bytes = Vec::with_capacity(json.len() + FIELD.len() + 24);
        bytes.extend_from_slice(&json[..=open]);
        bytes.extend_from_slice(FIELD);
        let at = bytes.len();
        write!(bytes, "{revision}").ok()?;
        let digits = bytes.len() - at;
        bytes.extend_from_slice(if empty { b"\"" } else { b"\"," });
        bytes.extend_from_slice(&json[open + 1..]);
        Some(Self {
            bytes: bytes.into(),
            at,
            digits,
        })
    }

    /// The same object at another revision.
    pub fn at_revision(&self, revision: i64) -> Bytes {
        let text = revision.to_string();
        let mut bytes = Vec::with_capacity(self.bytes.len() + 8);
        bytes.extend_from_slice(&self.bytes[..self.at]);
        bytes.extend_from_slice(text.as_bytes());
        bytes.extend_from_slice(&self.bytes[self.at + self.digits..]);
        bytes.into()
    }
}

/// The JSON to store: no resource version, `kind`, `apiVersion` and
/// `metadata` first, so that splicing finds them at once.
pub fn encode(object: &Value) -> Vec<u8> {
    let mut out = Vec::with_capacity(1024);
    let Some(map) = object.as_object() else {
        return serde_json::to_vec(object).unwrap_or_default();
    };
    let mut separator = b'{';
    let mut field = |name: &str, value: &Value| {
        out.push(separator);
        separator = b',';
        let _ = serde_json::to_writer(&mut out, name);
        out.push(b':');
        match (name, value) {
            ("metadata", Value::Object(metadata)) if metadata.contains_key("resourceVersion") => {
                let mut metadata = metadata.clone();
                metadata.remove("resourceVersion");
                let _ = serde_json::to_writer(&mut out, &metadata);
            }
            _ => {
                let _ = serde_json::to_writer(&mut out, value);
            }
        }
    };
    const FIRST: [&str; 3] = ["kind", "apiVersion", "metadata"];
    for name in FIRST {
        if let Some(value) = map.get(name) {
            field(name, value);
        }
    }
    for (name, value) in map {
        if !FIRST.contains(&name.as_str()) {
            field(name, value);
        }
    }
    if separator == b'{' {
        out.push(b'{');
    }
    out.push(b'}');
    out
}

/// An object's `apiVersion`, unless it is written with escapes.
pub fn api_version(json: &[u8]) -> Option<&str> {
    let open = value_start(json, b"apiVersion")?;
    let end = (json[open] == b'"').then(|| string_end(json, open))??;
    let text = json.get(open + 1..end - 1)?;
    std::str::from_utf8(text)
        .ok()
        .filter(|text| !text.contains('\\'))
}

/// An object's metadata without its brackets, as it is written where fields stand in the order of
/// their names: those before the resource version, that, and those behind it with the comma before
/// them. `None` if the others aren't kept in that order, or not as [`encode`] writes them.
pub fn metadata_in_order(json: &[u8]) -> Option<[&[u8]; 3]> {
    const VERSION: &[u8] = b"resourceVersion";
    let begin = metadata_start(json)? + 1;
    let (name, version_end) = field(json, begin)?;
    if name != VERSION {
        return None;
    }
    let mut last: &[u8] = b"";
    let mut at = version_end;
    let mut behind = None;
    while *json.get(at)? == b',' {
        let (name, end) = field(json, at + 1)?;
        if name <= last || name == VERSION {
            return None;
        }
        if name > VERSION {
            behind = behind.or(Some(at));
        }
        (last, at) = (name, end);
    }
    let behind = behind.unwrap_or(at);
    let before = json.get(version_end + 1..behind).unwrap_or_default();
    let is_end = json[at] == b'}';
    is_end.then(|| [before, &json[begin..version_end], &json[behind..at]])
}

/// The name of the field that starts at `at`, and the offset after its value. `None` if there is
/// a space or an escape where [`encode`] writes none.
fn field(json: &[u8], at: usize) -> Option<(&[u8], usize)> {
    if *json.get(at)? != b'"' {
        return None;
    }
    let name_end = string_end(json, at)?;
    let name = json.get(at + 1..name_end - 1)?;
    let value = name_end + 1;
    let end = value_end(json, value)?;
    let is_compact = json[name_end] == b':'
        && !name.contains(&b'\\')
        && ![json[value], json[end - 1]]
            .iter()
            .any(u8::is_ascii_whitespace);
    is_compact.then_some((name, end))
}

/// The offset after the value that starts at `at`, and after the spaces behind it.
fn value_end(json: &[u8], mut at: usize) -> Option<usize> {
    let mut depth = 0u32;
    loop {
        match json.get(at)? {
            b'"' => {
                at = string_end(json, at)?;
                continue;
            }
            b',' | b'}' | b']' if depth == 0 => return Some(at),
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth -= 1,
            _ => {}
        }
        at += 1;
    }
}

/// Offset of the `{` that opens the top-level `metadata`.
fn metadata_start(json: &[u8]) -> Option<usize> {
    value_start(json, b"metadata").filter(|open| json[*open] == b'{')
}

/// Offset of the first byte of a top-level field.
fn value_start(json: &[u8], name: &[u8]) -> Option<usize> {
    let mut depth = 0u32;
    let mut at = 0;
    while at < json.len() {
        match json[at] {
            b'"' => {
                let end = string_end(json, at)?;
                let colon = next_non_space(json, end)?;
                if depth == 1 && json[colon] == b':' && &json[at + 1..end - 1] == name {
                    return next_non_space(json, colon + 1);
                }
                at = end;
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.checked_sub(1)?,
            _ => {}
        }
        at += 1;
    }
    None
}

/// The offset after the string that starts at `at`.
fn string_end(json: &[u8], at: usize) -> Option<usize> {
    let mut end = at + 1;
    loop {
        match json.get(end)? {
            b'\\' => end += 2,
            b'"' => return Some(end + 1),
            _ => end += 1,
        }
    }
}

fn next_non_space(json: &[u8], from: usize) -> Option<usize> {
    (from..json.len()).find(|&at| !json[at].is_ascii_whitespace())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn spliced(json: &str, revision: i64) -> Value {
        let versioned = Versioned::new(json.as_bytes(), revision).unwrap();
        serde_json::from_slice(&versioned.bytes).unwrap()
    }

    #[test]
    fn finds_the_outer_metadata_only() {
        let text = r#"{"data":{"metadata":{"x":"\"metadata\":{"}},"s":"metadata", "metadata" : { "name":"a"},"spec":{}}"#;
        let value = spliced(text, 42);
        assert_eq!(
            value["metadata"],
            json!({"resourceVersion": "42", "name": "a"})
        );
        assert_eq!(value["data"]["metadata"], json!({"x": "\"metadata\":{"}));
    }

    #[test]
    fn fills_empty_metadata() {
        assert_eq!(
            spliced(r#"{"metadata":{ }}"#, 7)["metadata"]["resourceVersion"],
            "7"
        );
    }

    #[test]
    fn refuses_what_has_no_metadata() {
        assert!(Versioned::new(br#"{"metadata":"text"}"#, 1).is_none());
        assert!(Versioned::new(b"[]", 1).is_none());
        assert!(Versioned::new(b"\"unterminated", 1).is_none());
    }

    #[test]
    fn moves_to_another_revision() {
        let object = Versioned::new(br#"{"metadata":{"name":"a"}}"#, 99).unwrap();
        assert_eq!(
            object.at_revision(100),
            r#"{"metadata":{"resourceVersion":"100","name":"a"}}"#
        );
    }

    #[test]
    fn stores_without_version_and_identity_first() {
        let object = json!({"data": {"a": "b"}, "kind": "ConfigMap", "apiVersion": "v1",
            "metadata": {"name": "x", "resourceVersion": "5"}});
        assert_eq!(
            String::from_utf8(encode(&object)).unwrap(),
            r#"{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"x"},"data":{"a":"b"}}"#
        );
    }
}
