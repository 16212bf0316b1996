//! JSON made of a fuzzer's bytes. Bytes read as text are rarely JSON, let alone the
//! JSON of a Pod; read as a row of choices they always are.

use arbitrary::Unstructured;
use hardway_resources::Schema;
use hardway_resources::schema::Type;
use serde_json::{Map, Value, json};

/// Elements of a list, and fields of an object, at most.
const MOST: usize = 3;

/// Names and texts that turn up often, so that they meet each other.
const WORDS: [&str; 10] = [
    "a", "b", "c", "TCP", "UDP", "", "80", "1Gi", "a/b~c", "x.io/y",
];

/// A row of choices.
pub struct Choices<'a>(Unstructured<'a>);

impl<'a> Choices<'a> {
    pub fn new(data: &'a [u8]) -> Self {
        Self(Unstructured::new(data))
    }

    /// A number below `bound`; 0 when there are no bytes left.
    pub fn below(&mut self, bound: usize) -> usize {
        match bound {
            0 | 1 => 0,
            _ => self.0.int_in_range(0..=bound - 1).unwrap_or_default(),
        }
    }

    /// True once in so many times.
    pub fn rarely(&mut self, times: usize) -> bool {
        self.below(times) == times - 1
    }

    pub fn one<'b, T>(&mut self, of: &'b [T]) -> &'b T {
        &of[self.below(of.len())]
    }

    /// The bytes that are left.
    pub fn rest(self) -> &'a [u8] {
        self.0.take_rest()
    }

    pub fn word(&mut self) -> String {
        if self.rarely(16) {
            return self.0.arbitrary::<&str>().unwrap_or_default().to_owned();
        }
        (*self.one(&WORDS)).to_owned()
    }

    fn scalar(&mut self) -> Value {
        match self.below(6) {
            0 => Value::Null,
            1 => json!(self.rarely(2)),
            2 => json!(self.0.arbitrary::<i64>().unwrap_or_default()),
            3 => json!(
                self.0
                    .arbitrary::<i16>()
                    .map_or(0.5, |n| f64::from(n) / 8.0)
            ),
            4 => json!(self.below(3)),
            _ => json!(self.word()),
        }
    }

    /// Any value.
    pub fn any(&mut self, depth: usize) -> Value {
        if depth == 0 || self.0.is_empty() {
            return self.scalar();
        }
        match self.below(4) {
            0 => self.object(depth),
            1 => self.list(depth),
            _ => self.scalar(),
        }
    }

    /// Any object.
    pub fn object(&mut self, depth: usize) -> Value {
        let pairs = 0..self.below(MOST + 1);
        let pairs = pairs.map(|_| (self.word(), self.any(depth.saturating_sub(1))));
        Value::Object(pairs.collect())
    }

    fn list(&mut self, depth: usize) -> Value {
        let items = 0..self.below(MOST + 1);
        items.map(|_| self.any(depth.saturating_sub(1))).collect()
    }

    /// A value of the shape a schema gives.
    pub fn shaped(&mut self, schema: &Schema, depth: usize) -> Value {
        let node = schema.node();
        match node.ty {
            Type::Object if node.fields.is_empty() => self.map_of(schema, depth),
            Type::Object => self.structure(schema, depth),
            Type::Array => {
                let length = if depth == 0 { 0 } else { self.below(MOST + 1) };
                let items = schema.items();
                let item = |this: &mut Self| match &items {
                    Some(items) => this.shaped(items, depth.saturating_sub(1)),
                    None => this.any(1),
                };
                (0..length).map(|_| item(self)).collect()
            }
            Type::Boolean => json!(self.rarely(2)),
            Type::Integer => json!(self.below(100)),
            Type::Number => json!(self.below(100) as f64 / 4.0),
            Type::IntOrString if node.format != "quantity" && self.rarely(2) => json!(80),
            Type::String if node.format == "date-time" => json!("2026-01-02T03:04:05Z"),
            Type::String if node.format == "byte" => json!("YQ=="),
            Type::IntOrString if node.format == "quantity" => json!("1Gi"),
            Type::IntOrString | Type::String => json!(self.word()),
            Type::Any => json!(self.word()),
        }
    }

    fn map_of(&mut self, schema: &Schema, depth: usize) -> Value {
        let length = if depth == 0 { 0 } else { self.below(MOST + 1) };
        let mut map = Map::new();
        for _ in 0..length {
            let name = self.word();
            let value = match schema.field(&name) {
                Some(value) => self.shaped(&value, depth - 1),
                None => json!(self.word()),
            };
            map.insert(name, value);
        }
        Value::Object(map)
    }

    fn structure(&mut self, schema: &Schema, depth: usize) -> Value {
        let node = schema.node();
        let names: Vec<&str> = node.fields.keys().collect();
        let mut map = Map::new();
        let mut add = |this: &mut Self, name: &str| {
            if let Some(field) = schema.field(name) {
                let value = this.shaped(&field, depth.saturating_sub(1));
                map.insert(name.to_owned(), value);
            }
        };
        if depth > 0 {
            for _ in 0..self.below(MOST + 1) {
                let name = *self.one(&names);
                add(self, name);
            }
        }
        // Without its keys an element can't be merged.
        let keys = [
            "name",
            "key",
            "type",
            "port",
            "containerPort",
            "mountPath",
            "ip",
            "uid",
        ];
        for name in keys
            .into_iter()
            .filter(|key| node.required.iter().any(|r| r == key))
        {
            add(self, name);
        }
        Value::Object(map)
    }
}
