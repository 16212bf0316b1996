//! YAML as Kubernetes reads and writes it, by the rules of version 1.1; and within
//! bounds, because what a body's aliases repeat and how deep its brackets go costs far
//! more than the bytes that ask for it.

mod scalars;
mod write;

pub use write::{element, write};

use saphyr_parser::{Event, Parser, ScalarStyle, Tag};
use serde_json::{Map, Value};
use std::collections::HashMap;

/// What a document may amount to: each value counts one, texts their bytes as
/// well. Without aliases no body within the limit of bodies comes this far.
const MOST: usize = 2 * crate::rest::body::LIMIT;
/// Brackets open at once. The scanner looks at each of them for every token.
const MOST_OPEN: usize = 1000;
/// How deep values may be nested: what is read is decoded as JSON, which goes no deeper.
const DEEPEST: usize = 128;

/// Of one body no more keys that come twice are told.
const MOST_TWICE: usize = 100;

/// Reads the one document of a body. Of a key that comes twice the last counts.
pub fn read(yaml: &[u8]) -> Result<Value, String> {
    read_strictly(yaml).map(|(value, _)| value)
}

/// The same, and which keys come twice, in the words of Kubernetes' parser:
/// `line 3: key "a" already set in map`.
pub fn read_strictly(yaml: &[u8]) -> Result<(Value, Vec<String>), String> {
    if open_brackets(yaml) > MOST_OPEN {
        return Err(format!("more than {MOST_OPEN} brackets are open at once"));
    }
    let text = std::str::from_utf8(yaml).map_err(|error| error.to_string())?;
    let mut parser = Parser::new_from_str(text);
    let mut reader = Reader {
        left: MOST,
        open: Vec::new(),
        anchors: HashMap::new(),
        document: None,
        twice: Vec::new(),
    };
    while let Some(event) = parser.next_event() {
        let (event, span) = event.map_err(|error| error.to_string())?;
        reader.take(event, span.start.line())?;
    }
    Ok((reader.document.unwrap_or_default(), reader.twice))
}

/// The most brackets that are open at once, wherever they stand: brackets in
/// texts mostly come in pairs, too.
fn open_brackets(yaml: &[u8]) -> usize {
    let (mut open, mut most) = (0usize, 0);
    for byte in yaml {
        match byte {
            b'[' | b'{' => open += 1,
            b']' | b'}' => open = open.saturating_sub(1),
            _ => {}
        }
        most = most.max(open);
    }
    most
}

/// A list or map that isn't at its end yet.
struct Open {
    anchor: usize,
    content: Content,
}

enum Content {
    List(Vec<Value>),
    Map {
        map: Map<String, Value>,
        /// Whose value comes next.
        key: Option<Key>,
        /// What `<<` brings in, unless the map has it itself.
        merged: Vec<Value>,
    },
}

enum Key {
    Name(String),
    Merge,
}

struct Reader {
    left: usize,
    open: Vec<Open>,
    anchors: HashMap<usize, Value>,
    document: Option<Value>,
    /// Keys that came twice.
    twice: Vec<String>,
}

impl Reader {
    fn spend(&mut self, cost: usize) -> Result<(), String> {
        let left = self.left.checked_sub(cost);
        self.left = left.ok_or("document contains excessive aliasing: it repeats too much")?;
        Ok(())
    }

    fn take(&mut self, event: Event<'_>, line: usize) -> Result<(), String> {
        match event {
            Event::DocumentStart(_) if self.document.is_some() => {
                Err("there is more than one document".to_owned())
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.spend(1 + text.len())?;
                if self.begins_key() {
                    return self.key(&text, style, tag.as_deref(), line);
                }
                let value = scalar(&text, style, tag.as_deref());
                self.keep(anchor, &value)?;
                self.put(value)
            }
            Event::Alias(anchor) => {
                let value = self.anchors.get(&anchor);
                let value = value.ok_or("an alias stands for something that isn't there")?;
                let (cost, value) = (size(value), value.clone());
                self.spend(cost)?;
                match (self.begins_key(), value) {
                    (false, value) => self.put(value),
                    (true, Value::String(key)) => {
                        self.named(Key::Name(key), line);
                        Ok(())
                    }
                    (true, _) => Err(format!("line {line}: unsupported map key")),
                }
            }
            Event::SequenceStart(anchor, _) => self.begin(anchor, Content::List(Vec::new()), line),
            Event::MappingStart(anchor, _) => {
                let content = Content::Map {
                    map: Map::new(),
                    key: None,
                    merged: Vec::new(),
                };
                self.begin(anchor, content, line)
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            _ => Ok(()),
        }
    }

    /// Whether what comes next is a key.
    fn begins_key(&self) -> bool {
        let open = self.open.last().map(|open| &open.content);
        matches!(open, Some(Content::Map { key: None, .. }))
    }

    fn begin(&mut self, anchor: usize, content: Content, line: usize) -> Result<(), String> {
        self.spend(1)?;
        if self.begins_key() {
            return Err(format!("line {line}: unsupported map key"));
        }
        if self.open.len() >= DEEPEST {
            return Err(format!(
                "line {line}: more than {DEEPEST} levels of nesting"
            ));
        }
        self.open.push(Open { anchor, content });
        Ok(())
    }

    fn end(&mut self) -> Result<(), String> {
        let Some(open) = self.open.pop() else {
            return Ok(());
        };
        let value = match open.content {
            Content::List(list) => Value::Array(list),
            Content::Map {
                mut map, merged, ..
            } => {
                for (name, value) in merged.into_iter().flat_map(entries) {
                    map.entry(name).or_insert(value);
                }
                Value::Object(map)
            }
        };
        self.keep(open.anchor, &value)?;
        self.put(value)
    }

    fn key(
        &mut self,
        text: &str,
        style: ScalarStyle,
        tag: Option<&Tag>,
        line: usize,
    ) -> Result<(), String> {
        let key = match scalar(text, style, tag) {
            Value::String(text) if text == "<<" && style == ScalarStyle::Plain => Key::Merge,
            Value::String(text) => Key::Name(text),
            Value::Null => return Err(format!("line {line}: unsupported map key")),
            other => Key::Name(other.to_string()),
        };
        self.named(key, line);
        Ok(())
    }

    fn named(&mut self, name: Key, line: usize) {
        if let Some(Open {
            content: Content::Map { map, key, .. },
            ..
        }) = self.open.last_mut()
        {
            if let Key::Name(name) = &name
                && map.contains_key(name)
                && self.twice.len() < MOST_TWICE
            {
                let told = format!("line {line}: key {name:?} already set in map");
                self.twice.push(told);
            }
            *key = Some(name);
        }
    }

    /// Remembers what an anchor names.
    fn keep(&mut self, anchor: usize, value: &Value) -> Result<(), String> {
        if anchor != 0 {
            self.spend(size(value))?;
            self.anchors.insert(anchor, value.clone());
        }
        Ok(())
    }

    fn put(&mut self, value: Value) -> Result<(), String> {
        let Some(open) = self.open.last_mut() else {
            self.document = Some(value);
            return Ok(());
        };
        match &mut open.content {
            Content::List(list) => list.push(value),
            Content::Map { map, key, merged } => match (key.take(), value) {
                (Some(Key::Name(name)), value) => drop(map.insert(name, value)),
                (Some(Key::Merge), Value::Array(maps)) => merged.extend(maps),
                (Some(Key::Merge), map @ Value::Object(_)) => merged.push(map),
                _ => return Err("map merge requires map or sequence of maps as the value".into()),
            },
        }
        Ok(())
    }
}

fn entries(value: Value) -> impl Iterator<Item = (String, Value)> {
    let map = match value {
        Value::Object(map) => map,
        _ => Map::new(),
    };
    map.into_iter()
}

/// What a scalar stands for: a tag says so, or quotes, or its text.
fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Value {
    let core = tag.filter(|tag| tag.is_yaml_core_schema());
    match core.map(|tag| tag.suffix.as_str()) {
        Some("str" | "binary") => text.into(),
        Some("int" | "float" | "bool" | "null") => scalars::plain(text),
        _ if style == ScalarStyle::Plain => scalars::plain(text),
        _ => text.into(),
    }
}

/// What a value costs.
fn size(value: &Value) -> usize {
    let below = match value {
        Value::String(text) => text.len(),
        Value::Array(list) => list.iter().map(size).sum(),
        Value::Object(map) => map
            .iter()
            .map(|(name, value)| name.len() + size(value))
            .sum(),
        _ => 0,
    };
    1 + below
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::time::{Duration, Instant};

    #[test]
    fn all_that_json_has() {
        let yaml = b"a: [1, -2, 1.5, true, null, ~, x, '1']\n1: &b {c: d}\n2: *b\n";
        assert_eq!(
            read(yaml).unwrap(),
            json!({"a": [1, -2, 1.5, true, null, null, "x", "1"],
                "1": {"c": "d"}, "2": {"c": "d"}})
        );
        assert_eq!(
            read_strictly(b"a: 1\nb: 2\na: 2\n").unwrap(),
            (
                json!({"a": 2, "b": 2}),
                vec!["line 3: key \"a\" already set in map".to_owned()]
            )
        );
        assert!(read(b"a: 1\n---\nb: 2\n").is_err());
        assert_eq!(read(b"").unwrap(), Value::Null);
    }

    #[test]
    fn by_the_rules_of_version_1_1() {
        let yaml = b"mode: 0400\nno: off\nlist: [yes, 'yes', No, !!str on, 2001-01-01, 0x1F, 1_000, 1e3]\n";
        assert_eq!(
            read(yaml).unwrap(),
            json!({"mode": 256, "false": false,
                "list": [true, "yes", false, "on", "2001-01-01", 31, 1000, 1000]})
        );
        let yaml = b"base: &base {a: 1, b: 2}\nmine:\n  <<: *base\n  b: 3\nquoted: {'<<': 1}\n";
        assert_eq!(
            read(yaml).unwrap(),
            json!({"base": {"a": 1, "b": 2}, "mine": {"a": 1, "b": 3}, "quoted": {"<<": 1}})
        );
    }

    #[test]
    fn bombs_do_not_go_off() {
        // Ten levels of ten aliases; and one long list many times.
        let mut laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for n in 1..10 {
            let again = vec![format!("*a{}", n - 1); 10].join(", ");
            laughs.push_str(&format!("a{n}: &a{n} [{again}]\n"));
        }
        let long = format!(
            "a: &a [{}]\nb: [{}]",
            "x,".repeat(300_000),
            "*a,".repeat(300_000)
        );
        let text = format!(
            "a: &a {}\nb: [{}]",
            "x".repeat(1 << 16),
            "*a,".repeat(300_000)
        );
        for bomb in [laughs, long, text, "- ".repeat(1 << 20)] {
            let start = Instant::now();
            assert!(read(bomb.as_bytes()).is_err());
            assert!(start.elapsed() < Duration::from_secs(20));
        }
    }

    #[test]
    fn brackets_do_not_pile_up() {
        let deep = "[".repeat(crate::rest::body::LIMIT);
        assert!(read(deep.as_bytes()).unwrap_err().contains("brackets"));
        // The most that is let through is refused in time, too.
        let wide = format!("{}{}", "[".repeat(MOST_OPEN), "a,".repeat(1 << 17));
        let start = Instant::now();
        assert!(read(wide.as_bytes()).is_err());
        assert!(start.elapsed() < Duration::from_secs(20));
    }

    #[test]
    fn what_is_written_is_read_again() {
        let value = json!({
            "a": "yes", "b": ["2001-01-01", "0400", "x: y", " x", "", "-", "- a", "a\nb\n", "a \nb", "é", "\u{7}", "'", "1:30"],
            "c": {}, "d": [], "e": [{"f": [[1], {"g": null}], "h": "a\n\n  b"}], "yes": true,
        });
        let written = write(&value);
        assert_eq!(read(written.as_bytes()).unwrap(), value, "{written}");
    }
}
