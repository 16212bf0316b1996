//! Rules held against an object.

use super::{Findings, Node, OBJECT_LIMIT, Rule, Validations};
use crate::{Budget, Error, Scope, Value};
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
            check.node(root, "", object, old, false);
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
    /// Holds a value against its schema and those below. `around` tells whether what is
    /// around a value without a predecessor is as it was.
    fn node(&mut self, node: &Node, path: &str, value: &Json, old: Option<&Json>, around: bool) {
        if value.is_null() || self.ended {
            return;
        }
        let old = old.filter(|old| !old.is_null());
        let unchanged = old.map_or(around, |old| old == value);
        for rule in &node.rules {
            self.rule(node, rule, path, value, old, unchanged);
            if self.ended {
                return;
            }
        }
        match value {
            Json::Object(fields) => {
                for (name, value) in fields {
                    let before = old.and_then(|old| old.get(name));
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
                    let path = format!("{path}[{index}]");
                    self.node(element, &path, item, before, unchanged);
                }
            }
            _ => {}
        }
    }

    fn rule(
        &mut self,
        node: &Node,
        rule: &Rule,
        path: &str,
        value: &Json,
        old: Option<&Json>,
        unchanged: bool,
    ) {
        let kind = node.kind.as_str();
        let program = match &rule.program {
            Ok(program) => program,
            Err(why) => {
                let detail = format!("rule compile error: {why}");
                return self.findings.causes.push(invalid(path, kind, &detail));
            }
        };
        // There is nothing to compare with, and the rule doesn't say that this is alright.
        if rule.uses_old && !rule.optional_old && old.is_none() {
            return;
        }
        let scope = match scope(node, rule, value, old) {
            Ok(scope) => scope,
            Err(error) => return self.failed(rule, path, kind, &error),
        };
        match program.evaluate(&scope, &self.budget) {
            Ok(Value::Bool(true)) => {}
            Ok(_) => {
                let detail = match rule.message_expression.as_ref() {
                    Some(expression) => match expression.evaluate(&scope, &self.budget) {
                        Ok(Value::String(text)) => said(&text),
                        Err(error) if error.is_cost() => {
                            return self.failed(rule, path, kind, &error);
                        }
                        _ => None,
                    },
                    None => None,
                };
                let detail = detail.unwrap_or_else(|| rule.detail());
                let at = match rule.field_path.as_str() {
                    "" => path.to_owned(),
                    below => child(path, below),
                };
                let cause = broken(&at, kind, &detail, &rule.reason);
                // What was so before doesn't hinder a change elsewhere.
                if unchanged && !rule.uses_old {
                    let warning = format!("{}: {}", cause.field, cause.message);
                    self.findings.warnings.push(warning);
                } else {
                    self.findings.causes.push(cause);
                }
            }
            Err(error) => self.failed(rule, path, kind, &error),
        }
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

/// `self` and `oldSelf`.
fn scope<'a>(
    node: &'a Node,
    rule: &Rule,
    value: &'a Json,
    old: Option<&'a Json>,
) -> Result<Scope<'a>, Error> {
    let mut scope = Scope::new();
    scope.bind("self", Value::of_schema(value, &node.schema)?);
    if rule.uses_old {
        let old = old.map(|old| Value::of_schema(old, &node.schema));
        match (old.transpose()?, rule.optional_old) {
            (old, true) => scope.bind("oldSelf", Value::optional(old)),
            (Some(old), false) => scope.bind("oldSelf", old),
            (None, false) => {}
        }
    }
    Ok(scope)
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
