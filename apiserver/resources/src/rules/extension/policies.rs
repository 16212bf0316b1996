//! What validating and mutating policies have in common.

use super::super::field::{Errors, Path};
use super::super::json::{default_text, get, has, list, object_mut, text};
use super::{match_conditions, match_resources};
use hardway_cel::admission::{Composition, Returns, Vocabulary};
use hardway_cel::is_identifier;
use serde_json::Value;

pub fn default(policy: &mut Value) {
    if let Some(spec) = object_mut(policy, "spec") {
        default_text(spec, "failurePolicy", "Fail");
        match_resources::default(spec, "matchConstraints");
    }
}

/// A policy that is being checked.
pub struct Policy<'a> {
    /// Its name; empty while that is to be generated.
    pub name: &'a str,
    /// What its expressions may speak of.
    composition: Composition,
}

impl<'a> Policy<'a> {
    /// Checks what policies have in common, up to their variables.
    pub fn check(e: &mut Errors, path: &Path, policy: &'a Value, old: Option<&Value>) -> Self {
        let spec = get(policy, "spec");
        let at = path.child("failurePolicy");
        match text(spec, "failurePolicy") {
            "" => e.required(&at, ""),
            policy => e.one_of(&at, policy, &["Fail", "Ignore"]),
        }
        match_resources::check_param_kind(e, &path.child("paramKind"), get(spec, "paramKind"));
        let at = path.child("matchConstraints");
        match_resources::check_constraints(e, &at, get(spec, "matchConstraints"));
        let vocabulary = Vocabulary {
            params: has(spec, "paramKind"),
            ..Vocabulary::default()
        };
        let same = |field| old.is_some_and(|old| get(get(old, "spec"), field) == get(spec, field));
        if !same("paramKind") || !same("matchConditions") {
            let at = path.child("matchConditions");
            match_conditions::check(e, &at, list(spec, "matchConditions"), vocabulary);
        }
        let mut policy = Self {
            name: text(get(policy, "metadata"), "name"),
            composition: Composition::new(vocabulary),
        };
        for (i, variable) in list(spec, "variables").iter().enumerate() {
            policy.check_variable(e, &path.child("variables").index(i), variable);
        }
        policy
    }

    fn check_variable(&mut self, e: &mut Errors, path: &Path, variable: &Value) {
        let (at, name) = (path.child("name"), text(variable, "name"));
        if name.trim().is_empty() {
            e.required(&at, "name is not specified");
        } else if !is_identifier(name) {
            e.invalid(&at, name, "name is not a valid CEL identifier");
        }
        let (at, expression) = (path.child("expression"), text(variable, "expression"));
        if expression.trim().is_empty() {
            return e.required(&at, "expression is not specified");
        }
        if let Err(error) = self.composition.define(name, expression) {
            e.invalid(&at, expression, &error.to_string());
        }
    }

    /// Checks an expression that may speak of all variables.
    pub fn check_expression(
        &mut self,
        e: &mut Errors,
        path: &Path,
        expression: &str,
        returns: Returns,
    ) {
        if let Err(error) = self.composition.compile(expression, returns) {
            e.invalid(path, expression, &error.to_string());
        }
    }
}
