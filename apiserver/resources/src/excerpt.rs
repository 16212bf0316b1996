//! Reads of an object's JSON only what somebody looks at: most of a pod is in no column of
//! its table.

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

/// Which fields of an object are looked at. Lists are looked into: what is said of a list is
/// meant of each of its elements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fields {
    named: BTreeMap<String, Fields>,
    /// Whether those that aren't named are looked at, as a whole.
    others: bool,
}

impl Fields {
    /// Whatever is there.
    pub fn all() -> Self {
        Self {
            named: BTreeMap::new(),
            others: true,
        }
    }

    /// Nothing, up to now.
    pub fn none() -> Self {
        Self {
            named: BTreeMap::new(),
            others: false,
        }
    }

    /// Whatever is there but `metadata.managedFields`, which no column shows, and which are
    /// often the largest part.
    pub fn unmanaged() -> Self {
        let mut metadata = Self::all();
        metadata
            .named
            .insert("managedFields".to_owned(), Self::none());
        let mut fields = Self::all();
        fields.named.insert("metadata".to_owned(), metadata);
        fields
    }

    /// What these paths lead to: fields parted by dots, as `spec.containers.name`.
    pub fn of(paths: &[&str]) -> Self {
        let mut fields = Self::none();
        for path in paths {
            fields.add(path.split('.'));
        }
        fields
    }

    /// Has what a path leads to looked at, too.
    pub fn add<'p>(&mut self, path: impl IntoIterator<Item = &'p str>) {
        let mut at = self;
        for name in path {
            let others = at.others;
            at = at.named.entry(name.to_owned()).or_insert(Self {
                named: BTreeMap::new(),
                others,
            });
        }
        *at = Self::all();
    }

    /// How a field is looked at; `None` if it isn't.
    fn of_field(&self, name: &str) -> Option<Cow<'_, Self>> {
        match self.named.get(name) {
            Some(fields) => Some(Cow::Borrowed(fields)).filter(|it| !it.is_none()),
            None => self.others.then(|| Cow::Owned(Self::all())),
        }
    }

    fn is_none(&self) -> bool {
        !self.others && self.named.is_empty()
    }

    fn is_all(&self) -> bool {
        self.others && self.named.is_empty()
    }
}

/// What is looked at of an object, and its metadata as it is written.
#[derive(Debug, Default)]
pub struct Excerpt<'a> {
    /// The object without the rest.
    pub object: Value,
    /// The JSON of each field of its metadata.
    metadata: BTreeMap<Cow<'a, str>, &'a RawValue>,
}

impl<'a> Excerpt<'a> {
    /// Reads an object.
    ///
    /// # Errors
    /// If it is none.
    pub fn read(json: &'a [u8], fields: &Fields) -> serde_json::Result<Self> {
        let mut deserializer = serde_json::Deserializer::from_slice(json);
        let excerpt = deserializer.deserialize_map(ObjectVisitor(fields))?;
        deserializer.end()?;
        Ok(excerpt)
    }

    /// Writes the metadata as JSON, its fields in the order of their names as everywhere
    /// where JSON isn't kept as it came.
    pub fn write_metadata(&self, out: &mut Vec<u8>) {
        let mut separator = b'{';
        for (name, value) in &self.metadata {
            out.push(separator);
            separator = b',';
            // Writing to a Vec can't fail.
            let _ = serde_json::to_writer(&mut *out, name);
            out.push(b':');
            out.extend_from_slice(value.get().as_bytes());
        }
        if separator == b'{' {
            out.push(separator);
        }
        out.push(b'}');
    }
}

struct ObjectVisitor<'f>(&'f Fields);

impl<'de> Visitor<'de> for ObjectVisitor<'_> {
    type Value = Excerpt<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut excerpt = Excerpt::default();
        let mut object = Map::new();
        while let Some(Name(name)) = map.next_key()? {
            let fields = self.0.of_field(&name);
            if name == "metadata" {
                excerpt.metadata = map.next_value_seed(MetadataSeed)?;
                if let Some(fields) = fields {
                    let metadata =
                        looked_at(&excerpt.metadata, &fields).map_err(serde::de::Error::custom)?;
                    object.insert(name.into_owned(), metadata);
                }
            } else if let Some(fields) = fields {
                object.insert(name.into_owned(), map.next_value_seed(&*fields)?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        excerpt.object = Value::Object(object);
        Ok(excerpt)
    }
}

/// What is looked at of metadata.
fn looked_at(
    metadata: &BTreeMap<Cow<'_, str>, &RawValue>,
    fields: &Fields,
) -> serde_json::Result<Value> {
    let mut seen = Map::new();
    for (name, value) in metadata {
        if let Some(fields) = fields.of_field(name) {
            let mut deserializer = serde_json::Deserializer::from_str(value.get());
            seen.insert(name.to_string(), fields.deserialize(&mut deserializer)?);
        }
    }
    Ok(Value::Object(seen))
}

/// A field's name.
struct Name<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameVisitor;
        impl<'de> Visitor<'de> for NameVisitor {
            type Value = Name<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a field's name")
            }

            fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Self::Value, E> {
                Ok(Name(Cow::Borrowed(name)))
            }

            fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
                Ok(Name(Cow::Owned(name.to_owned())))
            }
        }
        deserializer.deserialize_str(NameVisitor)
    }
}

/// Metadata, field by field; none if it is no object.
struct MetadataSeed;

impl<'de> DeserializeSeed<'de> for MetadataSeed {
    type Value = BTreeMap<Cow<'de, str>, &'de RawValue>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for MetadataSeed {
    type Value = BTreeMap<Cow<'de, str>, &'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("metadata")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut metadata = BTreeMap::new();
        while let Some((Name(name), value)) = map.next_entry()? {
            metadata.insert(name, value);
        }
        Ok(metadata)
    }
}

impl<'de> DeserializeSeed<'de> for &Fields {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        match self.is_all() {
            true => Value::deserialize(deserializer),
            false => deserializer.deserialize_any(self),
        }
    }
}

impl<'de> Visitor<'de> for &Fields {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(Name(name)) = map.next_key()? {
            match self.of_field(&name) {
                Some(fields) => {
                    object.insert(name.into_owned(), map.next_value_seed(&*fields)?);
                }
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(Value::Object(object))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(element) = seq.next_element_seed(self)? {
            list.push(element);
        }
        Ok(Value::Array(list))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const POD: &str = r#"{"kind":"Pod","metadata":{"resourceVersion":"7","name":"a\"b",
        "labels":{"x":"1"},"managedFields":[{"manager":"m"}],"esc\u0061ped":null},
        "spec":{"nodeName":"n","containers":[{"name":"c","image":"i"},{"image":"j"}],
        "terminationGracePeriodSeconds":30},"status":{"phase":"Running","load":0.5,"ok":true}}"#;

    fn object(fields: &Fields) -> Value {
        Excerpt::read(POD.as_bytes(), fields).unwrap().object
    }

    #[test]
    fn only_what_is_looked_at_is_read() {
        let whole: Value = serde_json::from_str(POD).unwrap();
        assert_eq!(object(&Fields::all()), whole);
        let mut unmanaged = whole.clone();
        let metadata = unmanaged["metadata"].as_object_mut().unwrap();
        metadata.remove("managedFields");
        assert_eq!(object(&Fields::unmanaged()), unmanaged);
        assert_eq!(object(&Fields::none()), json!({}));
        let few = Fields::of(&[
            "metadata.labels",
            "spec.containers.name",
            "status.load",
            "status.none.at.all",
        ]);
        let expected = json!({"metadata": {"labels": {"x": "1"}}, "spec":
            {"containers": [{"name": "c"}, {}]}, "status": {"load": 0.5}});
        assert_eq!(object(&few), expected);
        // What is looked at as a whole stays so.
        let mut more = Fields::none();
        for path in [
            "metadata.managedFields",
            "spec",
            "spec.nodeName",
            "status.phase.deeper",
        ] {
            more.add(path.split('.'));
        }
        let expected = json!({"metadata": {"managedFields": [{"manager": "m"}]},
            "spec": whole["spec"], "status": {"phase": "Running"}});
        assert_eq!(object(&more), expected);
    }

    #[test]
    fn metadata_is_written_as_it_would_be_after_parsing() {
        let whole: Value = serde_json::from_str(POD).unwrap();
        let compact = whole.to_string();
        let excerpt = Excerpt::read(compact.as_bytes(), &Fields::none()).unwrap();
        let mut out = Vec::new();
        excerpt.write_metadata(&mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            whole["metadata"].to_string()
        );
        // Whatever its order is.
        let mut out = Vec::new();
        let excerpt = Excerpt::read(POD.as_bytes(), &Fields::none()).unwrap();
        excerpt.write_metadata(&mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            whole["metadata"].to_string()
        );
        let mut out = Vec::new();
        Excerpt::read(br#"{"metadata":{}}"#, &Fields::none())
            .unwrap()
            .write_metadata(&mut out);
        assert_eq!(out, b"{}");
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for text in ["", "[]", "{", r#"{"metadata":{}} x"#, r#"{"spec":01}"#] {
            assert!(
                Excerpt::read(text.as_bytes(), &Fields::none()).is_err(),
                "{text}"
            );
        }
    }
}
