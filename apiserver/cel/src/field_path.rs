//! Paths of fields within a schema, such as `.spec.hosts` or `.spec['a.b']`, as Kubernetes
//! reads them (`ValidFieldPath` of `k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel`).

use serde_json::Value as Json;

/// A part of a path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// A field that the schema names.
    Field(String),
    /// A key of a map.
    Key(String),
}

impl Step {
    /// The name in it.
    pub fn name(&self) -> &str {
        match self {
            Self::Field(name) | Self::Key(name) => name,
        }
    }
}

/// A path as messages have it: `spec.map[key]`.
pub fn shown(steps: &[Step]) -> String {
    let mut text = String::new();
    for step in steps {
        match step {
            Step::Field(name) if text.is_empty() => text.push_str(name),
            Step::Field(name) => text.extend([".", name]),
            Step::Key(name) => text.extend(["[", name, "]"]),
        }
    }
    text
}

/// Where a path leads in a schema, and the schema of the last part. Names in brackets are
/// understood where they may stand.
///
/// # Errors
///
/// Why it leads nowhere, in Kubernetes' words.
pub fn follow<'a>(
    text: &str,
    schema: &'a Json,
    brackets: bool,
) -> Result<(Vec<Step>, &'a Json), String> {
    const END: &str = "unexpected end of JSON path";
    let (mut steps, mut at) = (Vec::new(), schema);
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
                let name = unescaped(name)?;
                match tokens.next().ok_or(END)? {
                    "]" => name,
                    other => return Err(format!("expected ] but got {other}")),
                }
            }
            other => return Err(format!("expected [ or . but got: {other}")),
        };
        let fields = &at["properties"];
        let named = fields.as_object().is_some_and(|fields| !fields.is_empty());
        at = match named {
            true => &fields[&name],
            false => &at["additionalProperties"],
        };
        if !at.is_object() {
            return Err("does not refer to a valid field".to_owned());
        }
        steps.push(match named {
            true => Step::Field(name),
            false => Step::Key(name),
        });
    }
    Ok((steps, at))
}

/// What stands between quotation marks.
fn unescaped(text: &str) -> Result<String, String> {
    let mut name = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        let escaped = match c {
            '\\' => chars.next(),
            c => {
                name.push(c);
                continue;
            }
        };
        name.push(match escaped {
            Some('a') => '\u{7}',
            Some('b') => '\u{8}',
            Some('f') => '\u{c}',
            Some('n') => '\n',
            Some('r') => '\r',
            Some('t') => '\t',
            Some('v') => '\u{b}',
            Some(c @ ('\'' | '\\')) => c,
            Some(other) => {
                return Err(format!(
                    "invalid string literal: invalid escape char \\{other}"
                ));
            }
            None => '\\',
        });
    }
    Ok(name)
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
            "a.b": {"type": "string"}, "size": {"type": "integer"}, "it's": {"type": "string"},
            "map": {"additionalProperties": {"type": "boolean"}}}}}});
        let at = |path: &str, brackets| {
            follow(path, &schema, brackets).map(|(steps, s)| {
                let kind = s["type"].as_str().unwrap_or_default();
                (shown(&steps), kind.to_owned())
            })
        };
        let found = |fields: &str, kind: &str| Ok((fields.to_owned(), kind.to_owned()));
        assert_eq!(at(".spec.size", false), found("spec.size", "integer"));
        assert_eq!(at(".spec.map.x", false), found("spec.map[x]", "boolean"));
        assert_eq!(
            at(".spec.map['x.y']", true),
            found("spec.map[x.y]", "boolean")
        );
        assert_eq!(at(".spec['a.b']", true), found("spec.a.b", "string"));
        assert_eq!(at(r".spec['it\'s']", true), found("spec.it's", "string"));
        for (path, brackets, why) in [
            (".spec['a.b']", false, "array notation is not allowed"),
            (".spec.none", false, "does not refer to a valid field"),
            (".spec.size.x", false, "does not refer to a valid field"),
            ("spec", false, "expected [ or . but got: spec"),
            (".spec.", false, "unexpected end of JSON path"),
            (".spec[a]", true, "expected single quoted string but got a"),
            (
                r".spec['\q']",
                true,
                r"invalid string literal: invalid escape char \q",
            ),
        ] {
            assert_eq!(at(path, brackets), Err(why.to_owned()), "{path}");
        }
    }
}
