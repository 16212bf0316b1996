//! Rules held against an object.

use super::{Findings, Node, OBJECT_LIMIT, Rule, Validations};
use crate::library::quoted;
use crate::schema::Schema;
use crate::{Budget, Error, Scope, Value, timing};
use hardway_proto::status::Cause;
use serde_json::Value as Json;
use std::collections::HashMap;

/// Bytes of the longest message that an expression may make.
const LONGEST_MESSAGE: usize = 5 * 1024;

impl Validations {
    /// What rules say of an object; `old` is what it replaces.
    pub fn check(&self, object: &Json, old: Option<&Json>) -> Findings {
        let mut check = Check {
            budget: Budget::new(OBJECT_LIMIT),
            findings: Findings::default(),
            ended: false,
        };
        if let Some(root) = &self.root {
            timing::evaluating(|| check.node(root, "", object, old, old == Some(object)));
        }
        check.findings
    }
}

struct Check {
    budget: Budget,
    findings: Findings,
    /// Whether no further rules are looked at.
    ended: bool,
}

impl Check {
    /// Holds a value against its schema and those below. `old` is its predecessor, if it has
    /// one that rules can see; `unchanged` tells whether it, or what is around it, is as it was.
    fn node(&mut self, node: &Node, path: &str, value: &Json, old: Option<&Json>, unchanged: bool) {
        if value.is_null() || self.ended {
            return;
        }
        let old = old.filter(|old| !old.is_null());
        if let Some(schema) = &node.schema {
            for rule in &node.rules {
                if self.budget.remaining() == 0 {
                    return self.failed(rule, path, &node.kind, &Error::BudgetExceeded);
                }
                let place = Place {
                    schema,
                    kind: &node.kind,
                    path,
                    value,
                    old,
                    unchanged,
                };
                self.rule(rule, &place);
                if self.ended {
                    return;
                }
            }
        }
        match value {
            Json::Object(fields) => {
                for (name, value) in fields {
                    let before = old.and_then(|old| old.get(name));
                    let unchanged = unchanged || before == Some(value);
                    let before = before.filter(|_| !node.atomic);
                    if let Some(values) = &node.values {
                        let path = format!("{path}[{name}]");
                        self.node(values, &path, value, before, unchanged);
                    }
                    if let Some(field) = node.fields.get(name) {
                        let path = child(path, name);
                        self.node(field, &path, value, before, unchanged);
                    }
                }
            }
            Json::Array(items) => {
                let Some(element) = &node.items else {
                    return;
                };
                let keys = node.keys.as_ref();
                let known = keys.map(|keys| (keys, by_keys(keys, old)));
                for (index, item) in items.iter().enumerate() {
                    let before = known.as_ref().and_then(|(keys, known)| {
                        let found = known.get(&identity(keys, item));
                        found.copied()
                    });
                    let unchanged = unchanged || before == Some(item);
                    let path = format!("{path}[{index}]");
                    self.node(element, &path, item, before, unchanged);
                }
            }
            _ => {}
        }
    }

    fn rule(&mut self, rule: &Rule, place: &Place) {
        let (path, kind) = (place.path, place.kind);
        let program = match &rule.program {
            Ok(program) => program,
            Err(why) => {
                let detail = format!("rule compile error: {why}");
                return self.findings.causes.push(invalid(path, kind, &detail));
            }
        };
        // There is nothing to compare with, and the rule doesn't say that this is alright.
        if rule.uses_old && !rule.optional_old && place.old.is_none() {
            return;
        }
        let scope = match place.scope(rule) {
            Ok(scope) => scope,
            Err(error) => return self.failed(rule, path, kind, &error),
        };
        match program.evaluate(&scope, &self.budget) {
            Ok(Value::Bool(true)) => {}
            Ok(_) => {
                let at = match rule.field_path.as_str() {
                    "" => path.to_owned(),
                    below => child(path, below),
                };
                let cause = match self.message(rule, &scope) {
                    Ok(detail) => broken(&at, kind, &detail, &rule.reason),
                    Err(detail) => {
                        self.ended = true;
                        invalid(&at, kind, &detail)
                    }
                };
                // What was so before doesn't hinder a change elsewhere.
                if place.unchanged && !rule.uses_old {
                    let warning = format!("{}: {}", cause.field, cause.message);
                    self.findings.warnings.push(warning);
                } else {
                    self.findings.causes.push(cause);
                }
            }
            Err(error) => self.failed(rule, path, kind, &error),
        }
    }

    /// What is said of a rule that doesn't hold; or, as an error, that finding out costs too
    /// much.
    fn message<'a>(&self, rule: &'a Rule, scope: &Scope<'a>) -> Result<String, String> {
        let Some(program) = &rule.message_expression else {
            return Ok(rule.detail());
        };
        let said = match program.evaluate(scope, &self.budget) {
            Ok(Value::String(text)) => said(&text),
            Err(Error::BudgetExceeded) => {
                return Err("messageExpression evaluation failed due to running out of cost budget, no further validation rules will be run".to_owned());
            }
            Err(Error::CostLimitExceeded) => {
                return Err(format!(
                    "no further validation rules will be run due to call cost exceeds limit for messageExpression: {}",
                    quoted(&rule.message_text)
                ));
            }
            _ => None,
        };
        Ok(said.unwrap_or_else(|| rule.detail()))
    }

    /// A rule that has no value.
    fn failed(&mut self, rule: &Rule, path: &str, kind: &str, error: &Error) {
        let shown = rule.shown();
        self.ended |= error.is_cost();
        let detail = match error {
            Error::BudgetExceeded => "validation failed due to running out of cost budget, no further validation rules will be run".to_owned(),
            Error::CostLimitExceeded => format!(
                "'{error}': no further validation rules will be run due to call cost exceeds limit for rule: {shown}"
            ),
            Error::NoSuchOverload => format!(
                "'{error}': call arguments did not match a supported operator, function or macro signature for rule: {shown}"
            ),
            error => format!("{error} evaluating rule: {shown}"),
        };
        self.findings.causes.push(invalid(path, kind, &detail));
    }
}

/// A value that rules are held against.
struct Place<'a> {
    schema: &'a Schema,
    /// The `type` that its schema names.
    kind: &'a str,
    path: &'a str,
    value: &'a Json,
    old: Option<&'a Json>,
    unchanged: bool,
}

impl<'a> Place<'a> {
    /// `self` and `oldSelf`.
    fn scope(&self, rule: &Rule) -> Result<Scope<'a>, Error> {
        let mut scope = Scope::new();
        scope.bind("self", Value::of_schema(self.value, self.schema)?);
        if rule.uses_old || rule.says_old {
            let old = self.old.map(|old| Value::of_schema(old, self.schema));
            match (old.transpose()?, rule.optional_old) {
                (old, true) => scope.bind("oldSelf", Value::optional(old)),
                (Some(old), false) => scope.bind("oldSelf", old),
                (None, false) => {}
            }
        }
        Ok(scope)
    }
}

/// The elements of the old list by their keys; of those with the same ones the first.
fn by_keys<'a>(keys: &[String], old: Option<&'a Json>) -> HashMap<Vec<&'a Json>, &'a Json> {
    let mut known = HashMap::new();
    for item in old.and_then(Json::as_array).into_iter().flatten() {
        known.entry(identity(keys, item)).or_insert(item);
    }
    known
}

/// The values of an element's keys; one that is missing is as `null`.
fn identity<'a>(keys: &[String], item: &'a Json) -> Vec<&'a Json> {
    keys.iter().map(|key| &item[key]).collect()
}

/// What an expression says, if it can stand in a message.
fn said(text: &str) -> Option<String> {
    let said = text.trim();
    let usable = !said.is_empty() && !said.contains('\n') && said.len() <= LONGEST_MESSAGE;
    usable.then(|| said.to_owned())
}

fn child(path: &str, name: &str) -> String {
    match path {
        "" => name.to_owned(),
        path => format!("{path}.{name}"),
    }
}

/// The path of a cause; that of the object itself is Go's.
fn field(path: &str) -> String {
    match path {
        "" => "<nil>".to_owned(),
        path => path.to_owned(),
    }
}

fn invalid(path: &str, kind: &str, detail: &str) -> Cause {
    broken(path, kind, detail, "FieldValueInvalid")
}

/// A rule that doesn't hold, for one of the reasons that rules may give.
fn broken(path: &str, kind: &str, detail: &str, reason: &str) -> Cause {
    let (reason, message) = match reason {
        "FieldValueForbidden" => (reason, format!("Forbidden: {detail}")),
        "FieldValueRequired" => (reason, format!("Required value: {detail}")),
        "FieldValueDuplicate" => (reason, format!("Duplicate value: {kind:?}")),
        _ => (
            "FieldValueInvalid",
            format!("Invalid value: {kind:?}: {detail}"),
        ),
    };
    Cause {
        reason: reason.to_owned(),
        message,
        field: field(path),
    }
}
