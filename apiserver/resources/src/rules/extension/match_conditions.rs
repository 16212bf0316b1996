//! The conditions that a request meets before a webhook or a policy is asked about it.

use super::super::field::{Errors, Path};
use super::super::json::{list, text};
use super::stored::Stored;
use hardway_cel::admission::{Returns, Vocabulary, compile};
use hardway_proto::names;
use serde_json::Value;
use std::collections::BTreeSet;

/// How many there may be.
const MAX: usize = 64;

/// A list of them. Expressions that are not among the stored ones are new.
pub fn check(
    e: &mut Errors,
    path: &Path,
    conditions: &[Value],
    vocabulary: Vocabulary,
    stored: &Stored,
) {
    if conditions.len() > MAX {
        e.too_many(path, conditions.len(), MAX);
    }
    let mut seen = BTreeSet::new();
    for (i, condition) in conditions.iter().enumerate() {
        let path = path.index(i);
        let at = path.child("expression");
        match text(condition, "expression").trim() {
            "" => e.required(&at, ""),
            expression => {
                let vocabulary = Vocabulary {
                    expressions: stored.origin(expression),
                    ..vocabulary
                };
                if let Err(error) = compile(expression, Returns::Bool, vocabulary) {
                    e.invalid(&at, expression, &error.to_string());
                }
            }
        }
        let (at, name) = (path.child("name"), text(condition, "name"));
        match name.is_empty() {
            true => e.required(&at, ""),
            false => e.each(&at, name, names::is_qualified_name(name)),
        }
        if !name.is_empty() && !seen.insert(name) {
            e.duplicate(&at, name);
        }
    }
}

/// The expressions of those of a webhook or of a policy's spec.
pub fn expressions(of: &Value) -> impl Iterator<Item = &str> {
    let conditions = list(of, "matchConditions").iter();
    conditions.map(|condition| text(condition, "expression"))
}
