//! What validating and mutating policies have in common.

use super::super::conditions::Conditions;
use super::super::matching::MatchResources;
use super::super::review::Operation;
use super::evaluation::{Expression, Inputs, PREFIX, Variable};
use super::host::{ConditionsCheck, Host};
use crate::objects::items;
use crate::text;
use hardway_cel::admission::{Composition, Returns, Vocabulary};
use hardway_proto::labels::SelectorError;
use serde_json::Value;

/// The part of a policy that both kinds have, compiled once.
#[derive(Debug)]
pub struct Policy {
    /// Its name.
    pub name: String,
    /// Which requests concern it.
    pub constraints: MatchResources,
    /// Whether what goes wrong lets requests pass (`failurePolicy: Ignore`).
    pub ignores_failures: bool,
    /// Of what kind its parameters are.
    pub param_kind: Option<ParamKind>,
    /// What must hold of a request for it to be judged.
    pub conditions: Conditions,
    /// What its expressions may refer to, each to those before it.
    pub variables: Vec<Variable>,
}

/// The kind of parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParamKind {
    /// Group and version.
    pub api_version: String,
    /// Kind.
    pub kind: String,
}

impl ParamKind {
    /// What is said where there is no such kind.
    pub fn unknown(&self) -> String {
        let (version, kind) = (&self.api_version, &self.kind);
        let slash = if version.contains('/') { "" } else { "/" };
        format!("failed to find resource referenced by paramKind: '{slash}{version}, Kind={kind}'")
    }
}

impl Policy {
    /// Compiles it; the composition knows its variables then.
    ///
    /// # Errors
    /// If a selector is none.
    pub fn compile(policy: &Value) -> Result<(Self, Composition), SelectorError> {
        let spec = &policy["spec"];
        let param_kind = spec["paramKind"].is_object().then(|| ParamKind {
            api_version: text(spec, "/paramKind/apiVersion").to_owned(),
            kind: text(spec, "/paramKind/kind").to_owned(),
        });
        let mut composition = Composition::new(Vocabulary {
            params: param_kind.is_some(),
            ..Vocabulary::default()
        });
        let mut variables = Vec::new();
        for variable in items(spec, "/variables") {
            let (name, expression) = (text(variable, "/name"), text(variable, "/expression"));
            let program = composition.define(name, expression);
            variables.push(Variable {
                name: format!("{PREFIX}{name}"),
                expression: Expression::new(expression, program),
            });
        }
        let ignores_failures = spec["failurePolicy"] == "Ignore";
        let conditions =
            Conditions::compiled(&spec["matchConditions"], ignores_failures, |expression| {
                Expression::new(expression, composition.compile(expression, Returns::Bool))
            });
        let common = Self {
            name: text(policy, "/metadata/name").to_owned(),
            constraints: MatchResources::of_policy(&spec["matchConstraints"])?,
            ignores_failures,
            conditions,
            param_kind,
            variables,
        };
        Ok((common, composition))
    }

    /// Whether its match conditions hold of a request.
    ///
    /// # Errors
    /// Why they can't be evaluated, if that isn't ignored.
    pub fn is_wanted(
        &self,
        host: &dyn Host,
        operation: Operation,
        inputs: &Inputs<'_>,
    ) -> Result<bool, String> {
        let conditions = &self.conditions;
        conditions.are_met(inputs, &self.variables, |evaluated| {
            host.observe_conditions(&ConditionsCheck {
                policy: &self.name,
                operation,
                evaluated,
            });
        })
    }
}
