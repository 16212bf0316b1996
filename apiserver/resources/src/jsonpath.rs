//! The small part of JSONPath that custom resources use: `.spec.replicas`,
//! `.status.conditions[?(@.type=="Ready")].status`, `.spec.hosts[*]`, `['a.b']`.

use serde_json::Value;

enum Step<'a> {
    Field(String),
    Index(i64),
    All,
    Filter(&'a str, String),
}

/// All values a path leads to; none if it can't be understood.
pub fn find<'a>(object: &'a Value, path: &str) -> Vec<&'a Value> {
    let Some(steps) = parse(path.trim()) else {
        return Vec::new();
    };
    let mut found = vec![object];
    for step in steps {
        found = found
            .into_iter()
            .flat_map(|value| follow(value, &step))
            .collect();
    }
    found
}

/// The field names of a path that has nothing but fields.
pub fn fields(path: &str) -> Vec<&str> {
    path.split('.').filter(|name| !name.is_empty()).collect()
}

/// The fields that a path goes through before it says anything else: what it leads to is
/// below them. `None` if it can't be understood.
pub fn beginning(path: &str) -> Option<Vec<String>> {
    let fields = parse(path.trim())?
        .into_iter()
        .map_while(|step| match step {
            Step::Field(name) => Some(name),
            _ => None,
        });
    Some(fields.collect())
}

fn follow<'a>(value: &'a Value, step: &Step<'_>) -> Vec<&'a Value> {
    match step {
        Step::Field(name) => value.get(name).into_iter().collect(),
        Step::Index(index) => {
            let list = value.as_array().map(Vec::as_slice).unwrap_or_default();
            let place = if *index < 0 {
                *index + list.len() as i64
            } else {
                *index
            };
            usize::try_from(place)
                .ok()
                .and_then(|i| list.get(i))
                .into_iter()
                .collect()
        }
        Step::All => match value {
            Value::Array(list) => list.iter().collect(),
            Value::Object(map) => map.values().collect(),
            _ => Vec::new(),
        },
        Step::Filter(path, wanted) => {
            let list = value.as_array().map(Vec::as_slice).unwrap_or_default();
            let fits = |entry: &&Value| {
                find(entry, path)
                    .first()
                    .is_some_and(|v| text(v) == *wanted)
            };
            list.iter().filter(fits).collect()
        }
    }
}

/// A scalar as it is printed.
pub fn text(value: &Value) -> String {
    match value {
        Value::String(s) => s.clone(),
        other => other.to_string(),
    }
}

fn parse(path: &str) -> Option<Vec<Step<'_>>> {
    let mut rest = path
        .strip_prefix('{')
        .and_then(|p| p.strip_suffix('}'))
        .unwrap_or(path);
    rest = rest
        .strip_prefix('$')
        .or(rest.strip_prefix('@'))
        .unwrap_or(rest);
    let mut steps = Vec::new();
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('[') {
            let end = closing(after)?;
            let (inside, after) = (&after[..end], &after[end + 1..]);
            steps.push(bracket(inside.trim())?);
            rest = after;
            continue;
        }
        rest = rest.strip_prefix('.').unwrap_or(rest);
        let mut name = String::new();
        let mut characters = rest.char_indices();
        let mut end = rest.len();
        while let Some((at, character)) = characters.next() {
            match character {
                '\\' => name.extend(characters.next().map(|(_, escaped)| escaped)),
                '.' | '[' => {
                    end = at;
                    break;
                }
                _ => name.push(character),
            }
        }
        rest = &rest[end..];
        match name.as_str() {
            "" if rest.is_empty() => {}
            "" => return None,
            "*" => steps.push(Step::All),
            _ => steps.push(Step::Field(name)),
        }
    }
    Some(steps)
}

/// Where the bracket that is open ends, minding quotes and nesting.
fn closing(text: &str) -> Option<usize> {
    let (mut depth, mut quote) = (0, None);
    for (at, character) in text.char_indices() {
        match (quote, character) {
            (Some(q), c) if c == q => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(character),
            (None, '[') => depth += 1,
            (None, ']') if depth == 0 => return Some(at),
            (None, ']') => depth -= 1,
            _ => {}
        }
    }
    None
}

fn bracket(inside: &str) -> Option<Step<'_>> {
    let unquote = |text: &str| text.trim().trim_matches(['"', '\'']).to_owned();
    if inside == "*" {
        return Some(Step::All);
    }
    if let Some(filter) = inside.strip_prefix("?(").and_then(|f| f.strip_suffix(')')) {
        let (path, wanted) = filter.split_once("==")?;
        return Some(Step::Filter(path.trim(), unquote(wanted)));
    }
    if inside.starts_with(['"', '\'']) {
        return Some(Step::Field(unquote(inside)));
    }
    inside.parse().ok().map(Step::Index)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn follows_the_paths_that_definitions_use() {
        let object = json!({
            "metadata": {"annotations": {"a.b/c": "x"}},
            "status": {"conditions": [{"type": "Ready", "status": "True"}, {"type": "Up", "status": "False"}]},
        });
        let first = |path: &str| find(&object, path).first().map(|v| text(v));
        assert_eq!(first(".metadata.annotations.a\\.b/c").as_deref(), Some("x"));
        assert_eq!(
            first(".metadata.annotations['a.b/c']").as_deref(),
            Some("x")
        );
        assert_eq!(
            first(r#".status.conditions[?(@.type=="Up")].status"#).as_deref(),
            Some("False")
        );
        assert_eq!(first(".status.conditions[-1].type").as_deref(), Some("Up"));
        assert_eq!(find(&object, ".status.conditions[*].type").len(), 2);
        assert_eq!(first(".spec.missing"), None);
    }
}
