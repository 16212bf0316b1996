//! JSON written as YAML, as go-yaml 2 lays it out, and so that every reader of version
//! 1.1 takes it for the same.

use super::scalars::needs_quotes;
use serde_json::{Map, Value};

/// A document.
pub fn write(value: &Value) -> String {
    let mut out = String::new();
    match value {
        Value::Object(map) if !map.is_empty() => mapping(&mut out, map, 0, false),
        Value::Array(list) if !list.is_empty() => sequence(&mut out, list, 0, false),
        other => scalar(&mut out, other, 0),
    }
    out
}

/// An element of a list that is a field of the document.
pub fn element(value: &Value) -> String {
    let mut out = String::new();
    sequence(&mut out, std::slice::from_ref(value), 0, false);
    out
}

fn indent(out: &mut String, columns: usize) {
    out.extend(std::iter::repeat_n(' ', columns));
}

/// The lines of a map; the first may stand where a line was begun.
fn mapping(out: &mut String, map: &Map<String, Value>, column: usize, begun: bool) {
    for (i, (name, value)) in map.iter().enumerate() {
        if i > 0 || !begun {
            indent(out, column);
        }
        match name.contains('\n') {
            true => double_quoted(out, name),
            false => line(out, name),
        }
        out.push(':');
        match value {
            Value::Object(map) if !map.is_empty() => {
                out.push('\n');
                mapping(out, map, column + 2, false);
            }
            Value::Array(list) if !list.is_empty() => {
                out.push('\n');
                sequence(out, list, column, false);
            }
            other => {
                out.push(' ');
                scalar(out, other, column);
            }
        }
    }
}

/// The lines of a list.
fn sequence(out: &mut String, list: &[Value], column: usize, begun: bool) {
    for (i, value) in list.iter().enumerate() {
        if i > 0 || !begun {
            indent(out, column);
        }
        out.push_str("- ");
        match value {
            Value::Object(map) if !map.is_empty() => mapping(out, map, column + 2, true),
            Value::Array(list) if !list.is_empty() => sequence(out, list, column + 2, true),
            other => scalar(out, other, column),
        }
    }
}

/// A value without parts, and the end of its line.
fn scalar(out: &mut String, value: &Value, column: usize) {
    match value {
        Value::String(text) if text.contains('\n') => return lines(out, text, column),
        Value::String(text) => line(out, text),
        Value::Object(_) => out.push_str("{}"),
        Value::Array(_) => out.push_str("[]"),
        other => out.push_str(&other.to_string()),
    }
    out.push('\n');
}

/// A text of one line, with as few quotes as it can do with.
fn line(out: &mut String, text: &str) {
    let printable = text.chars().all(|c| !c.is_control() && !is_special(c));
    if needs_quotes(text) || !printable {
        double_quoted(out, text);
    } else if is_plain(text) {
        out.push_str(text);
    } else {
        out.push('\'');
        out.push_str(&text.replace('\'', "''"));
        out.push('\'');
    }
}

/// Characters that end a line in version 1.1, or that nobody sees.
fn is_special(c: char) -> bool {
    matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}')
}

/// Whether a text without quotes means nothing but itself.
fn is_plain(text: &str) -> bool {
    let begins = |c: char| "#,[]{}&*!|>'\"%@`".contains(c);
    let space_after = |rest: &str| rest.is_empty() || rest.starts_with(' ');
    let first = text.chars().next().unwrap_or(' ');
    let rest = &text[first.len_utf8()..];
    let means_more = begins(first)
        || ("?:-".contains(first) && space_after(rest))
        || text.starts_with(' ')
        || text.ends_with(' ')
        || text.starts_with("---")
        || text.starts_with("...")
        || text.contains(": ")
        || text.ends_with(':')
        || text.contains(" #");
    !means_more
}

/// A text of several lines: as it is, if lines can have what it has.
fn lines(out: &mut String, text: &str, column: usize) {
    let odd = |c: char| (c.is_control() && c != '\n' && c != '\t') || is_special(c);
    let blank = text.trim_matches('\n').is_empty();
    if blank || text.contains(odd) || text.contains(" \n") || text.ends_with(' ') {
        double_quoted(out, text);
        return out.push('\n');
    }
    out.push('|');
    if text.starts_with([' ', '\n', '\t']) {
        out.push('2');
    }
    let body = match text.strip_suffix('\n') {
        None => {
            out.push('-');
            text
        }
        Some(body) if body.ends_with('\n') => {
            out.push('+');
            body
        }
        Some(body) => body,
    };
    out.push('\n');
    for line in body.split('\n') {
        if !line.is_empty() {
            indent(out, column + 2);
            out.push_str(line);
        }
        out.push('\n');
    }
}

/// With escapes, which are JSON's.
fn double_quoted(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if c.is_control() || is_special(c) => {
                out.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn as_kubernetes_lays_it_out() {
        let value = json!({
            "apiVersion": "v1",
            "data": {"a": "yes", "d": "2001-01-01", "e": "x: y", "f": "one\ntwo\n", "g": "no end\nhere"},
            "list": [{"a": 1, "b": ["x"]}, "plain", []],
            "metadata": {"creationTimestamp": "2026-01-01T00:00:00Z", "name": "y", "empty": {}},
        });
        let expected = r#"apiVersion: v1
data:
  a: "yes"
  d: "2001-01-01"
  e: 'x: y'
  f: |
    one
    two
  g: |-
    no end
    here
list:
- a: 1
  b:
  - x
- plain
- []
metadata:
  creationTimestamp: "2026-01-01T00:00:00Z"
  empty: {}
  name: "y"
"#;
        assert_eq!(write(&value), expected);
    }
}
