//! What validating and mutating policies have in common.

use super::super::field::{Errors, Path};
use super::super::json::{get, has, list, object_mut, set_default, text};
use super::stored::Stored;
use super::{match_conditions, match_resources};
use hardway_cel::admission::{Composition, Returns, Vocabulary};
use hardway_cel::is_identifier;
use serde_json::Value;

pub fn default(policy: &mut Value) {
    if let Some(spec) = object_mut(policy, "spec") {
        set_default(spec, "failurePolicy", "Fail");
        match_resources::default(spec, "matchConstraints");
    }
}

/// A policy that is being checked.
pub struct Policy<'a> {
    /// Its name; empty while that is to be generated.
    pub name: &'a str,
    /// What its expressions may speak of.
    composition: Composition,
    /// The expressions of the policy that it replaces.
    stored: Stored<'a>,
}

impl<'a> Policy<'a> {
    /// Checks what policies have in common, up to their variables.
    pub fn check(e: &mut Errors, path: &Path, policy: &'a Value, old: Option<&'a Value>) -> Self {
        let spec = get(policy, "spec");
        let at = path.child("failurePolicy");
        match get(spec, "failurePolicy") {
            Value::Null => e.required(&at, ""),
            policy => e.one_of_if_set(&at, policy, &["Fail", "Ignore"]),
        }
        match_resources::check_param_kind(e, &path.child("paramKind"), get(spec, "paramKind"));
        let at = path.child("matchConstraints");
        match_resources::check_constraints(e, &at, get(spec, "matchConstraints"));
        let vocabulary = Vocabulary {
            params: has(spec, "paramKind"),
            ..Vocabulary::default()
        };
        let old_spec = old.map(|old| get(old, "spec"));
        let stored: Stored = old_spec.into_iter().flat_map(expressions).collect();
        let same = |field| old.is_some_and(|old| get(get(old, "spec"), field) == get(spec, field));
        if !same("paramKind") || !same("matchConditions") {
            let at = path.child("matchConditions");
            let conditions = list(spec, "matchConditions");
            match_conditions::check(e, &at, conditions, vocabulary, &stored);
        }
        let mut policy = Self {
            name: text(get(policy, "metadata"), "name"),
            composition: Composition::new(vocabulary),
            stored,
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
        let origin = self.stored.origin(expression);
        self.composition.set_expressions(origin);
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
        let origin = self.stored.origin(expression);
        self.composition.set_expressions(origin);
        if let Err(error) = self.composition.compile(expression, returns) {
            e.invalid(path, expression, &error.to_string());
        }
    }
}

/// All expressions of a policy's spec.
fn expressions(spec: &Value) -> impl Iterator<Item = &str> {
    let of = |field: &str, pointers: &'static [&'static str]| {
        let each = list(spec, field).iter();
        each.flat_map(move |part| {
            let all = pointers.iter();
            all.filter_map(move |at| part.pointer(at)?.as_str())
        })
    };
    let mutations = &["/applyConfiguration/expression", "/jsonPatch/expression"];
    match_conditions::expressions(spec)
        .chain(of("variables", &["/expression"]))
        .chain(of("validations", &["/expression", "/messageExpression"]))
        .chain(of("auditAnnotations", &["/valueExpression"]))
        .chain(of("mutations", mutations))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    /// As `TestValidateValidatingAdmissionPolicyUpdate` has it: what only this version has may
    /// not be written yet, and stays valid where it is.
    #[test]
    fn what_only_this_version_has_is_not_written_yet() {
        let newest = "semver('1.2.3').major() == 1";
        let policy = |expression: &str, message: &str| {
            json!({"metadata": {"name": "p"}, "spec": {
                "failurePolicy": "Fail",
                "matchConstraints": {"matchPolicy": "Equivalent", "resourceRules": [{
                    "operations": ["*"], "apiGroups": [""], "apiVersions": ["v1"],
                    "resources": ["pods"]}]},
                "matchConditions": [{"name": "c", "expression": expression}],
                "variables": [{"name": "v", "expression": expression}],
                "validations": [{"expression": expression, "message": message}],
            }})
        };
        let kind = super::super::VALIDATING_POLICY;
        let changes = kind.validate_changed.expect("it is told of the old one");
        let fields = |causes: Vec<hardway_proto::status::Cause>| -> Vec<String> {
            for cause in &causes {
                let undeclared = "undeclared reference to 'semver' (in container '')";
                assert!(cause.message.contains(undeclared), "{}", cause.message);
            }
            causes.into_iter().map(|cause| cause.field).collect()
        };
        let (good, new) = (policy("true", ""), policy(newest, ""));
        let all = [
            "spec.matchConditions[0].expression",
            "spec.variables[0].expression",
            "spec.validations[0].expression",
        ];
        assert_eq!(fields((kind.validate)(&good)), [""; 0]);
        assert_eq!(fields((kind.validate)(&new)), all);
        assert_eq!(fields(changes(&new, &good)), all);
        let changed = policy(newest, "told");
        assert_eq!(fields(changes(&changed, &new)), [""; 0]);
    }
}
