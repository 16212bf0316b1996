//! Paths of fields within a schema.

use crate::rules::field::{Errors, Path};
use crate::rules::json::{get, is_empty};
use serde_json::Value;

/// A path in dots; tells whether it is one.
pub(super) fn check_simple(e: &mut Errors, path: &Path, text: &str) -> bool {
    let good = text.starts_with('.');
    if !good {
        e.invalid(path, text, "must be a simple json path starting with .");
    }
    good
}

/// The fields that a path such as `.spec.hosts` leads through, and the schema of the
/// last; or why it leads nowhere. Names in brackets (`.spec['a.b']`) are understood
/// where they may stand.
pub(super) fn follow<'a>(
    text: &str,
    schema: &'a Value,
    brackets: bool,
) -> Result<(Vec<String>, &'a Value), String> {
    const END: &str = "unexpected end of JSON path";
    let (mut fields, mut at) = (Vec::new(), schema);
    let mut tokens = tokens(text).into_iter();
    while let Some(token) = tokens.next() {
        let name = match token {
            "." => tokens.next().ok_or(END)?.to_owned(),
            "[" if !brackets => return Err("array notation is not allowed".to_owned()),
            "[" => {
                let quoted = tokens.next().ok_or(END)?;
                let name = quoted
                    .strip_prefix('\'')
                    .and_then(|rest| rest.strip_suffix('\''))
                    .ok_or_else(|| format!("expected single quoted string but got {quoted}"))?;
                match tokens.next().ok_or(END)? {
                    "]" => name.replace("\\'", "'").replace("\\\\", "\\"),
                    other => return Err(format!("expected ] but got {other}")),
                }
            }
            other => return Err(format!("expected [ or . but got: {other}")),
        };
        at = match is_empty(get(at, "properties")) {
            false => get(get(at, "properties"), &name),
            true => get(at, "additionalProperties"),
        };
        if !at.is_object() {
            return Err("does not refer to a valid field".to_owned());
        }
        fields.push(name);
    }
    Ok((fields, at))
}

/// Dots, brackets, quoted texts, and what is between them.
fn tokens(text: &str) -> Vec<&str> {
    let (mut tokens, mut rest) = (Vec::new(), text);
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '.' | '[' | ']' => 1,
            '\'' => {
                let mut before = first;
                let closing = rest.char_indices().skip(1).find(|(_, c)| {
                    let closes = *c == '\'' && before != '\\';
                    before = *c;
                    closes
                });
                closing.map_or(rest.len(), |(at, _)| at + 1)
            }
            _ => rest.find(['.', '[', ']']).unwrap_or(rest.len()),
        };
        let (token, after) = rest.split_at(length);
        tokens.push(token);
        rest = after;
    }
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn leads_through_the_schema() {
        let schema = json!({"properties": {"spec": {"properties": {
            "a.b": {"type": "string"}, "size": {"type": "integer"},
            "map": {"additionalProperties": {"type": "boolean"}}}}}});
        let at = |path: &str, brackets| {
            follow(path, &schema, brackets).map(|(fields, s)| {
                (
                    fields.join("/"),
                    s["type"].as_str().unwrap_or_default().to_owned(),
                )
            })
        };
        let found = |fields: &str, kind: &str| Ok((fields.to_owned(), kind.to_owned()));
        assert_eq!(at(".spec.size", false), found("spec/size", "integer"));
        assert_eq!(at(".spec.map.x", false), found("spec/map/x", "boolean"));
        assert_eq!(at(".spec['a.b']", true), found("spec/a.b", "string"));
        for (path, brackets, why) in [
            (".spec['a.b']", false, "array notation is not allowed"),
            (".spec.none", false, "does not refer to a valid field"),
            (".spec.size.x", false, "does not refer to a valid field"),
            ("spec", false, "expected [ or . but got: spec"),
            (".spec.", false, "unexpected end of JSON path"),
            (".spec[a]", true, "expected single quoted string but got a"),
        ] {
            assert_eq!(at(path, brackets), Err(why.to_owned()), "{path}");
        }
    }
}
