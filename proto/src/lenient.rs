//! Reading JSON into generated types as leniently as Go's decoder does.
//!
//! k8s-openapi is stricter than the Go types it was generated from: a null in
//! a list or map, a null for a whole struct, and the few times it has made
//! mandatory (`lastTransitionTime: null`, which is what Kubernetes itself
//! serves for a time that was never set) are errors to it. One such object
//! must not be unreadable to a component that every client of Kubernetes reads.
//!
//! Null is the zero value of whatever is expected (`json.Unmarshal`: "null …
//! has no effect"). It is all done while reading, in one pass.

use serde::de::value::{MapDeserializer, SeqDeserializer, StrDeserializer, UnitDeserializer};
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor,
};
use serde::forward_to_deserialize_any;
use std::fmt;

/// Go's `time.Time{}`, which Kubernetes writes as null and reads as "never".
const ZERO_TIME: &str = "0001-01-01T00:00:00Z";

/// Reads one JSON document.
pub fn from_slice<T: DeserializeOwned>(json: &[u8]) -> Result<T, serde_json::Error> {
    let mut reader = serde_json::Deserializer::from_slice(json);
    let value = T::deserialize(Lenient::new(&mut reader))?;
    reader.end()?;
    Ok(value)
}

/// What a null stands for.
#[derive(Clone, Copy)]
enum Zero {
    /// The type itself takes null.
    Null,
    Bool,
    Number,
    Text,
    Time,
    Quantity,
    List,
    /// With the field that is read as null unless it is there.
    Map(Option<&'static str>),
}

/// The times that generated types insist on.
fn mandatory_time(of: &str) -> Option<&'static str> {
    match of {
        "Condition" => Some("lastTransitionTime"),
        "EventSeries" => Some("lastObservedTime"),
        "TokenRequestStatus" => Some("expirationTimestamp"),
        _ => None,
    }
}

struct Lenient<D> {
    inner: D,
    /// What a text is: the content of a time, a quantity or neither.
    text: Zero,
}

impl<D> Lenient<D> {
    fn new(inner: D) -> Self {
        let text = Zero::Text;
        Self { inner, text }
    }
}

macro_rules! any_or {
    ($($method:ident $zero:expr;)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
            let zero = $zero;
            self.inner.deserialize_any(Forgiving { visitor, zero })
        }
    )*};
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Lenient<D> {
    type Error = D::Error;

    any_or! {
        deserialize_bool Zero::Bool;
        deserialize_i8 Zero::Number;
        deserialize_i16 Zero::Number;
        deserialize_i32 Zero::Number;
        deserialize_i64 Zero::Number;
        deserialize_u8 Zero::Number;
        deserialize_u16 Zero::Number;
        deserialize_u32 Zero::Number;
        deserialize_u64 Zero::Number;
        deserialize_f32 Zero::Number;
        deserialize_f64 Zero::Number;
        deserialize_seq Zero::List;
        deserialize_map Zero::Map(None);
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        let zero = self.text;
        self.inner.deserialize_any(Forgiving { visitor, zero })
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        let zero = Zero::Map(mandatory_time(name));
        self.inner.deserialize_any(Forgiving { visitor, zero })
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        let zero = Zero::Null;
        self.inner.deserialize_option(Forgiving { visitor, zero })
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        let text = match name {
            "Time" | "MicroTime" => Zero::Time,
            "Quantity" => Zero::Quantity,
            _ => Zero::Text,
        };
        let inner = self.inner;
        visitor.visit_newtype_struct(Lenient { inner, text })
    }

    // Free-form values and what nobody wants are taken as they are.
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        match self.text {
            Zero::Quantity => self.deserialize_str(visitor),
            _ => self.inner.deserialize_any(visitor),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.inner.deserialize_ignored_any(visitor)
    }

    forward_to_deserialize_any! {
        i128 u128 char bytes byte_buf unit unit_struct tuple tuple_struct enum identifier
    }
}

/// Passes on what is read, a null as a zero value.
struct Forgiving<V> {
    visitor: V,
    zero: Zero,
}

macro_rules! pass {
    ($($method:ident $ty:ty;)*) => {$(
        fn $method<E: Error>(self, value: $ty) -> Result<V::Value, E> {
            self.visitor.$method(value)
        }
    )*};
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Forgiving<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.visitor.expecting(f)
    }

    pass! {
        visit_bool bool;
        visit_str &str;
        visit_borrowed_str &'de str;
        visit_string String;
        visit_i64 i64;
        visit_u64 u64;
        visit_f64 f64;
    }

    fn visit_none<E: Error>(self) -> Result<V::Value, E> {
        self.visitor.visit_none()
    }

    fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        self.visitor.visit_some(Lenient::new(inner))
    }

    fn visit_unit<E: Error>(self) -> Result<V::Value, E> {
        let visitor = self.visitor;
        match self.zero {
            Zero::Null => visitor.visit_none(),
            Zero::Bool => visitor.visit_bool(false),
            Zero::Number => visitor.visit_u64(0),
            Zero::Text => visitor.visit_str(""),
            Zero::Time => visitor.visit_str(ZERO_TIME),
            Zero::Quantity => visitor.visit_str("0"),
            Zero::List => {
                let nothing = SeqDeserializer::<_, E>::new(std::iter::empty::<()>());
                visitor.visit_seq(Inside(nothing))
            }
            Zero::Map(first) => {
                let nothing = MapDeserializer::<_, E>::new(std::iter::empty::<(&str, ())>());
                visitor.visit_map(Fields::new(nothing, first))
            }
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, inner: A) -> Result<V::Value, A::Error> {
        self.visitor.visit_seq(Inside(inner))
    }

    fn visit_map<A: MapAccess<'de>>(self, inner: A) -> Result<V::Value, A::Error> {
        let first = match self.zero {
            Zero::Map(first) => first,
            _ => None,
        };
        self.visitor.visit_map(Fields::new(inner, first))
    }
}

/// A list, or one value of a map, whose content is read leniently as well.
struct Inside<T>(T);

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Inside<A> {
    type Error = A::Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, A::Error> {
        self.0.next_element_seed(Inside(seed))
    }

    fn size_hint(&self) -> Option<usize> {
        self.0.size_hint()
    }
}

impl<'de, T: DeserializeSeed<'de>> DeserializeSeed<'de> for Inside<T> {
    type Value = T::Value;

    fn deserialize<D: Deserializer<'de>>(self, inner: D) -> Result<T::Value, D::Error> {
        self.0.deserialize(Lenient::new(inner))
    }
}

/// A map or struct. The field that must not be missing comes first, as null;
/// if it is there, it comes again, and the last one counts.
struct Fields<A> {
    inner: A,
    first: Option<&'static str>,
    null_is_next: bool,
}

impl<A> Fields<A> {
    fn new(inner: A, first: Option<&'static str>) -> Self {
        let null_is_next = false;
        Self {
            inner,
            first,
            null_is_next,
        }
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Fields<A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, A::Error> {
        match self.first.take() {
            Some(field) => {
                self.null_is_next = true;
                seed.deserialize(StrDeserializer::new(field)).map(Some)
            }
            None => self.inner.next_key_seed(seed),
        }
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, A::Error> {
        if std::mem::take(&mut self.null_is_next) {
            return seed.deserialize(Lenient::new(UnitDeserializer::new()));
        }
        self.inner.next_value_seed(Inside(seed))
    }

    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Kind;
    use k8s_openapi::api::core::v1::{ConfigMap, Pod, Service};
    use k8s_openapi::api::events::v1::Event;
    use serde_json::{Value, json};

    fn read<K: Kind>(object: Value) -> K {
        K::parse(object.to_string().as_bytes()).unwrap_or_else(|e| panic!("{object}: {e}"))
    }

    #[test]
    fn a_time_that_was_never_set_is_read() {
        for condition in [
            json!({"type": "T", "status": "True"}),
            json!({"type": "T", "status": "True", "lastTransitionTime": null}),
        ] {
            let service: Service = read(json!({"metadata": {"name": "a"},
                "status": {"conditions": [condition]}}));
            let status = service.status.unwrap();
            let time = &status.conditions.unwrap()[0].last_transition_time;
            assert_eq!(time.0.to_string(), ZERO_TIME);
        }
        let event: Event = read(json!({"eventTime": null, "series": {"count": 2}}));
        assert_eq!(event.event_time, None);
        assert_eq!(event.series.unwrap().count, 2);
        let set = json!({"status": {"conditions": [{"type": "T", "status": "True",
            "lastTransitionTime": "2026-01-02T03:04:05Z"}]}});
        let conditions = read::<Service>(set).status.unwrap().conditions.unwrap();
        let time = conditions[0].last_transition_time.0.to_string();
        assert_eq!(time, "2026-01-02T03:04:05Z");
    }

    #[test]
    fn nulls_are_zero_values() {
        let pod: Pod = read(json!({"metadata": null, "status": null, "spec": {
            "containers": [null, {"name": null, "args": [null, "a"], "ports": [{"containerPort": null}],
                "resources": {"limits": {"cpu": null, "memory": 5, "x": 0.5}}}],
            "tolerations": [null], "nodeSelector": {"a": null}}}));
        let spec = pod.spec.unwrap();
        let container = &spec.containers[1];
        assert_eq!(container.name, "");
        assert_eq!(
            container.args.as_deref(),
            Some(&["".into(), "a".into()][..])
        );
        let limits = container.resources.clone().unwrap().limits.unwrap();
        let texts: Vec<&str> = limits
            .values()
            .map(|quantity| quantity.0.as_str())
            .collect();
        assert_eq!(texts, ["0", "5", "0.5"]);
        assert_eq!(spec.node_selector.unwrap()["a"], "");
        let map: ConfigMap = read(json!({"data": {"a": null}, "binaryData": {"b": null}}));
        assert_eq!(map.data.unwrap()["a"], "");
        assert!(map.binary_data.unwrap()["b"].0.is_empty());
    }

    #[test]
    fn what_go_refuses_is_refused() {
        for object in [
            json!([]),
            json!("text"),
            json!({"metadata": 5}),
            json!({"spec": {"containers": {}}}),
            json!({"spec": {"containers": [{"ports": [{"containerPort": "80"}]}]}}),
            json!({"spec": {"activeDeadlineSeconds": true}}),
            json!({"metadata": {"labels": {"a": 1}}}),
            json!({"metadata": {"creationTimestamp": "soon"}}),
        ] {
            assert!(
                Pod::parse(object.to_string().as_bytes()).is_err(),
                "{object}"
            );
        }
        assert!(Pod::parse(b"{} {}").is_err(), "one document");
    }
}
