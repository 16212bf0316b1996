//! What definitions take in memory, as they lie in the table.

use cap::Cap;
use hardway_resources::openapi::OpenApi;
use hardway_resources::{Registry, crd};
use serde_json::{Map, Value, json};
use std::alloc::System;
use std::sync::Arc;

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

/// Times that a definition's bytes may be taken in memory.
const MOST: usize = 4;

/// Schemas as operators have them: deep, wide, and mostly descriptions. What repeats in
/// them are the parts of pods; half of all is said once only.
struct Inventor {
    seed: u64,
    names: u64,
}

impl Inventor {
    fn below(&mut self, most: u64) -> u64 {
        self.seed = self
            .seed
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (self.seed >> 33) % most
    }

    fn name(&mut self) -> String {
        const STEMS: [&str; 8] = [
            "remote", "scrape", "query", "storage", "tls", "alert", "rule", "web",
        ];
        self.names += 1;
        format!("{}Config{}", STEMS[self.below(8) as usize], self.names)
    }

    fn text(&mut self) -> String {
        const WORDS: &str = "defines the configuration of requests; it must be set when \
            `enabled` is true, and defaults otherwise to what Prometheus has. More info: https";
        let all: Vec<&str> = WORDS.split_whitespace().collect();
        let count = 12 + self.below(40);
        let words: Vec<&str> = (0..count)
            .map(|_| all[self.below(all.len() as u64) as usize])
            .collect();
        words.join(" ")
    }

    fn leaf(&mut self) -> Value {
        let mut leaf = match self.below(8) {
            0 => json!({"type": "boolean"}),
            1 => json!({"type": "integer", "format": "int32", "minimum": self.below(3)}),
            2 => json!({"type": "string", "pattern": "^(0|(([0-9]+)y)?(([0-9]+)w)?(([0-9]+)d)?)$"}),
            3 => json!({"type": "string", "enum": ["Always", "Never", self.name()]}),
            4 => json!({"anyOf": [{"type": "integer"}, {"type": "string"}],
                "x-kubernetes-int-or-string": true}),
            5 => json!({"type": "array", "items": {"type": "string"},
                "x-kubernetes-list-type": "atomic"}),
            6 => json!({"type": "object", "additionalProperties": {"type": "string"}}),
            _ => json!({"type": "string", "minLength": 1}),
        };
        leaf["description"] = self.text().into();
        leaf
    }

    fn object(&mut self, depth: u64) -> Value {
        let mut properties = Map::new();
        for _ in 0..6 + self.below(4) {
            let name = self.name();
            let property = match depth > 0 && self.below(3) == 0 {
                true => self.object(depth - 1),
                false => self.leaf(),
            };
            properties.insert(name, property);
        }
        let first = properties.keys().next().cloned();
        json!({"type": "object", "description": self.text(), "required": [first],
            "properties": properties})
    }

    /// A definition of about 400 KiB.
    fn definition(&mut self, number: usize) -> Value {
        let pod = self.object(3);
        let mut own = Map::new();
        let mut size = 0;
        while size < 200 << 10 {
            let object = self.object(3);
            size += object.to_string().len();
            own.insert(self.name(), object);
        }
        let list = json!({"type": "array", "items": pod});
        let mut repeated = 0;
        while repeated < 200 << 10 {
            own.insert(self.name(), list.clone());
            repeated += list.to_string().len();
        }
        let schema = json!({"type": "object", "properties": {
            "spec": {"type": "object", "properties": own}, "status": self.object(2)}});
        json!({"metadata": {"name": format!("things{number}.example.com")}, "spec": {
            "group": "example.com", "scope": "Namespaced",
            "names": {"plural": format!("things{number}"), "kind": format!("Thing{number}")},
            "versions": [{"name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": schema}, "subresources": {"status": {}}}]}})
    }
}

#[test]
fn a_definition_takes_less_than_four_times_its_bytes() {
    let mut inventor = Inventor { seed: 1, names: 0 };
    let texts: Vec<String> = (0..3)
        .map(|number| inventor.definition(number).to_string())
        .collect();
    let bytes: usize = texts.iter().map(String::len).sum();
    let (registry, open_api) = (Registry::new(), OpenApi::default());
    let add = |text: &str| {
        let definition = serde_json::from_str(text).expect("JSON");
        registry.put_custom(Arc::new(crd::row(&definition).expect("a good definition")));
    };
    // What is there once, however many definitions there are.
    add(
        &json!({"metadata": {"name": "dials.example.com"}, "spec": {"group": "example.com",
        "names": {"plural": "dials", "kind": "Dial"}, "versions": [{"name": "v1", "served": true,
        "storage": true, "schema": {"openAPIV3Schema": {"type": "object"}}}]}})
        .to_string(),
    );
    open_api.v2(&registry.snapshot(), &[]);
    let before = ALLOCATOR.allocated();
    texts.iter().for_each(|text| add(text));
    let rows = ALLOCATOR.allocated() - before;
    open_api.v2(&registry.snapshot(), &[]);
    let documents = ALLOCATOR.allocated() - before - rows;
    // Beside this, the watch cache keeps each definition as the bytes that are served.
    let all = bytes + rows + documents;
    println!("{bytes} bytes of definitions: rows {rows}, documents {documents}");
    assert!(
        all < MOST * bytes,
        "{all} bytes for {bytes}: {rows} in rows, {documents} in documents"
    );
    // They are all there, and know what is wrong with an object.
    let row = registry
        .lookup("example.com", "v1", "things2")
        .expect("a row");
    let wrong = json!({"apiVersion": "example.com/v1", "spec": 1});
    assert_eq!(row.rules.validate(&wrong).len(), 1);
}
