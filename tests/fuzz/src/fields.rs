//! Sets of paths, as managedFields keeps them.

use crate::invent::Choices;
use hardway_patch::FieldSet;
use serde_json::{Map, Value, json};

const STEPS: [&str; 9] = [
    "f:a",
    "f:b",
    "f:",
    "k:{\"name\":\"a\"}",
    "k:{\"port\":80,\"protocol\":\"TCP\"}",
    "v:\"a\"",
    "v:1",
    "i:0",
    ".",
];

/// Sets survive being written down, and obey the laws of sets.
pub fn field_set(data: &[u8]) {
    let mut choices = Choices::new(data);
    let (a, b) = match choices.rarely(4) {
        true => (
            serde_json::from_slice(choices.rest()).unwrap_or_default(),
            json!({}),
        ),
        false => (fields(&mut choices, 2), fields(&mut choices, 2)),
    };
    let (Ok(a), Ok(b)) = (FieldSet::from_value(&a), FieldSet::from_value(&b)) else {
        return;
    };
    assert_eq!(FieldSet::from_value(&a.to_value()).as_ref(), Ok(&a));
    for path in a.paths() {
        assert!(a.has(&path));
    }
    let (both, either, only_a) = (a.intersection(&b), a.union(&b), a.difference(&b));
    assert!(only_a.intersection(&b).is_empty());
    assert_eq!(either.paths(), b.union(&a).paths());
    assert_eq!(both.paths(), b.intersection(&a).paths());
    assert_eq!(only_a.union(&both).paths(), a.paths());
    assert!(a.difference(&either).is_empty());
    let mut outside = a.clone();
    outside.cut(&b);
    assert!(outside.difference(&only_a).is_empty());
    let mut again = FieldSet::default();
    a.paths().iter().for_each(|path| again.insert(path));
    assert_eq!(again.to_value(), a.to_value());
}

fn fields(choices: &mut Choices<'_>, depth: usize) -> Value {
    let mut map = Map::new();
    for _ in 0..choices.below(4) {
        let step = match choices.rarely(8) {
            true => format!("f:{}", choices.word()),
            false => (*choices.one(&STEPS)).to_owned(),
        };
        let below = match depth {
            0 => json!({}),
            _ => fields(choices, depth - 1),
        };
        map.insert(step, below);
    }
    Value::Object(map)
}
