//! YAML within bounds: what a body's aliases repeat and how deep its brackets
//! go is limited, because both cost far more than the bytes that ask for it.

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use std::cell::Cell;
use std::fmt;

/// What a document may amount to: each value counts one, texts their bytes as
/// well. Without aliases no body within the limit of bodies comes this far.
const MOST: usize = 2 * crate::rest::body::LIMIT;
/// Brackets open at once. The scanner looks at each of them for every token.
const MOST_OPEN: usize = 1000;

/// Reads the one document of a body.
pub fn read(yaml: &[u8]) -> Result<Value, String> {
    if open_brackets(yaml) > MOST_OPEN {
        return Err(format!("more than {MOST_OPEN} brackets are open at once"));
    }
    let left = Cell::new(MOST);
    let document = serde_yaml::Deserializer::from_slice(yaml);
    Seed(&left)
        .deserialize(document)
        .map_err(|error| error.to_string())
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

#[derive(Clone, Copy)]
struct Seed<'a>(&'a Cell<usize>);

impl Seed<'_> {
    fn spend<E: Error>(self, cost: usize) -> Result<(), E> {
        let left = self.0.get().checked_sub(cost);
        self.0.set(left.ok_or_else(|| {
            E::custom("document contains excessive aliasing: it repeats too much")
        })?);
        Ok(())
    }

    fn value<E: Error>(self, value: impl Into<Value>) -> Result<Value, E> {
        self.spend(1)?;
        Ok(value.into())
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value that JSON has, too")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        self.value(value)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        self.value(value)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        self.value(value)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        self.value(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        self.spend(value.len())?;
        self.value(value)
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        self.value(Value::Null)
    }

    // What an empty document is.
    fn visit_none<E: Error>(self) -> Result<Value, E> {
        self.visit_unit()
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        self.spend(1)?;
        let mut list = Vec::new();
        while let Some(value) = access.next_element_seed(self)? {
            list.push(value);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        self.spend(1)?;
        let mut map = Map::new();
        while let Some(key) = access.next_key::<String>()? {
            self.spend(key.len())?;
            if map.contains_key(&key) {
                return Err(A::Error::custom(format!(
                    "duplicate entry with key {key:?}"
                )));
            }
            let value = access.next_value_seed(self)?;
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
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
        assert!(read(b"a: 1\na: 2\n").unwrap_err().contains("duplicate"));
        assert!(read(b"a: 1\n---\nb: 2\n").is_err());
        assert_eq!(read(b"").unwrap(), Value::Null);
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
        for bomb in [laughs, long, text] {
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
}
