//! The fields of a JSON object, in their order and as they are written. Pure.

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// An object taken apart at its top, without a look at what is below. Names and values are JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

/// A text that is borrowed if there are no escapes in it.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'a> Fields<'a> {
    /// Takes an object apart; anything else is none.
    pub fn of(text: &'a str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// A field's value, as it is written.
    pub fn get(&self, name: &str) -> Option<&Cow<'a, str>> {
        let mut fields = self.0.iter();
        fields.find(|field| field.0 == name).map(|field| &field.1)
    }

    /// A field's text.
    pub fn text(&self, name: &str) -> Option<Cow<'_, str>> {
        let text: Text<'_> = serde_json::from_str(self.get(name)?).ok()?;
        Some(text.0)
    }

    /// Takes away a field.
    pub fn remove(&mut self, name: &str) {
        self.retain(|it| it != name);
    }

    /// Takes away all fields but those of which `keep` says so by their names.
    pub fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        self.0.retain(|field| keep(&field.0));
    }

    /// Gives a field another value, where it is.
    pub fn replace(&mut self, name: &str, value: impl Into<Cow<'a, str>>) {
        if let Some(field) = self.0.iter_mut().find(|field| field.0 == name) {
            field.1 = value.into();
        }
    }

    /// Puts a field first, if there is none of this name.
    pub fn or_insert(&mut self, name: &'static str, value: impl Into<Cow<'a, str>>) {
        if self.get(name).is_none() {
            self.0.insert(0, (name.into(), value.into()));
        }
    }

    /// The object in JSON.
    pub fn json(&self) -> String {
        // Most names have no escapes; with some the text grows.
        let lengths = self.0.iter();
        let length: usize = lengths
            .map(|(name, value)| name.len() + value.len() + 4)
            .sum();
        let mut out = String::with_capacity(length + 2);
        let mut before = '{';
        for (name, value) in &self.0 {
            out.push(before);
            out.push_str(&crate::failure::json_text(name));
            out.push(':');
            out.push_str(value);
            before = ',';
        }
        if self.0.is_empty() {
            out.push('{');
        }
        out.push('}');
        out
    }
}

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::new();
                while let Some(Text(name)) = map.next_key()? {
                    let value: &RawValue = map.next_value()?;
                    fields.push((name, value.get().into()));
                }
                Ok(Fields(fields))
            }
        }

        deserializer.deserialize_map(Object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_touched_stays_as_it_is_written() {
        let text = r#"{ "a": 1.50, "b\n": {"c" : [ 2 ]}, "d": "x\u0041" }"#;
        let mut fields = Fields::of(text).unwrap();
        assert_eq!(fields.get("a").unwrap(), "1.50");
        assert_eq!(fields.text("d").unwrap(), "xA");
        assert_eq!(fields.text("a"), None);
        assert_eq!(
            fields.json(),
            r#"{"a":1.50,"b\n":{"c" : [ 2 ]},"d":"x\u0041"}"#
        );
        fields.or_insert("a", "2");
        fields.or_insert("first", "0");
        fields.replace("d", "[]");
        fields.replace("none", "[]");
        fields.remove("b\n");
        assert_eq!(fields.json(), r#"{"first":0,"a":1.50,"d":[]}"#);
        fields.retain(|_| false);
        assert_eq!(fields.json(), "{}");
    }

    #[test]
    fn only_objects_have_fields() {
        for text in ["", "[]", "null", "7", r#"{"a":}"#, r#"{"a":1} 2"#] {
            assert_eq!(Fields::of(text), None, "{text}");
        }
    }
}
