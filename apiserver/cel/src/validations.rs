//! `x-kubernetes-validations`: the rules that a schema has for its values, made ready when
//! it is written and held against every object. Order, words and limits are those of
//! Kubernetes (`k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel`).

mod check;
mod compile;
mod cost;

use crate::program::Program;
use crate::schema::Schema;
use hardway_proto::status::Cause;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What the rules of one object may cost together, in the units of expressions
/// (Kubernetes' `RuntimeCELCostBudget`).
pub const OBJECT_LIMIT: u64 = 10_000_000;

/// The rules of a schema and of those below it.
#[derive(Debug)]
pub struct Validations {
    root: Option<Node>,
}

/// What checks say of an object.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// What is wrong with it.
    pub causes: Vec<Cause>,
    /// What is wrong where nothing was changed, which refuses no update.
    pub warnings: Vec<String>,
}

impl From<Vec<Cause>> for Findings {
    fn from(causes: Vec<Cause>) -> Self {
        let warnings = Vec::new();
        Self { causes, warnings }
    }
}

/// A schema that has rules, or one below it has.
#[derive(Debug)]
struct Node {
    /// What expressions know of its values; without it there are no rules here.
    schema: Option<Arc<Schema>>,
    /// The `type` that it names, which messages show in place of the value.
    kind: String,
    rules: Vec<Rule>,
    fields: BTreeMap<String, Node>,
    items: Option<Box<Node>>,
    values: Option<Box<Node>>,
    /// The fields by which an element of the list is known, if there are such.
    keys: Option<Vec<String>>,
    /// Whether fields have no predecessors, since the map is replaced as a whole.
    atomic: bool,
}

/// One of `x-kubernetes-validations`.
#[derive(Debug)]
struct Rule {
    text: String,
    message: String,
    /// Ready, or why it can't be.
    program: Result<Program, String>,
    message_expression: Option<Program>,
    /// The text of that expression.
    message_text: String,
    reason: String,
    /// Below the value, without the point at its start.
    field_path: String,
    uses_old: bool,
    /// Whether the expression for the message names what was before.
    says_old: bool,
    optional_old: bool,
}

impl Rule {
    /// What stands for the rule in messages.
    fn shown(&self) -> &str {
        match self.message.trim() {
            "" => self.text.trim(),
            message => message,
        }
    }

    /// What is said when it doesn't hold, unless an expression says it.
    fn detail(&self) -> String {
        match self.message.trim() {
            "" => format!("failed rule: {}", self.text.trim()),
            message => message.to_owned(),
        }
    }
}
