//! What policies need of the server that they are part of.

use super::super::conditions::Evaluated;
use super::super::review::{Operation, ResourceKind};
use futures_util::future::BoxFuture;
use serde_json::Value;
use std::time::Duration;

/// What policies need of the server that they are part of.
pub trait Host: Send + Sync {
    /// The resource whose objects are of a kind, as `apiVersion` and `kind` name it. `None` if
    /// there is none.
    fn find(&self, api_version: &str, kind: &str) -> Option<ParamResource>;

    /// Kept objects of such a resource in the version that names the kind.
    ///
    /// # Errors
    /// Why they can't be converted, if it takes a webhook and that doesn't do it.
    fn show<'a>(
        &'a self,
        api_version: &'a str,
        kind: &'a str,
        kept: Vec<Value>,
    ) -> BoxFuture<'a, Result<Vec<Value>, String>>;

    /// An object with all that an apply configuration sets, merged by the schema of its kind.
    ///
    /// # Errors
    /// In Kubernetes' words, if the configuration doesn't fit the schema.
    fn merge(
        &self,
        shown_as: &ResourceKind,
        object: &Value,
        configuration: &Value,
    ) -> Result<Value, String>;

    /// An object after a JSON patch, which is a list of operations. `None` if one of these is a
    /// test that fails: then the object stays as it is.
    ///
    /// # Errors
    /// In Kubernetes' words, if the patch can't be applied.
    fn patch(&self, object: &Value, operations: &Value) -> Result<Option<Value>, String>;

    /// Counts what became of a check.
    fn observe(&self, check: &Check<'_>);

    /// Counts what became of a policy's match conditions; nobody has to.
    fn observe_conditions(&self, _: &ConditionsCheck<'_>) {}
}

/// What became of the match conditions of one policy and one request, for metrics.
#[derive(Clone, Copy, Debug)]
pub struct ConditionsCheck<'a> {
    /// The policy's name.
    pub policy: &'a str,
    /// What was being done.
    pub operation: Operation,
    /// What became of them.
    pub evaluated: Evaluated,
}

/// A resource whose objects are parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParamResource {
    /// The API group that keeps the objects.
    pub group: String,
    /// Plural name.
    pub resource: String,
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
}

/// What became of one expression, for metrics.
#[derive(Clone, Copy, Debug)]
pub struct Check<'a> {
    /// The policy's name.
    pub policy: &'a str,
    /// The binding's name.
    pub binding: &'a str,
    /// What went wrong.
    pub error: ErrorType,
    /// What was done about it.
    pub enforcement: Enforcement,
    /// How long it took to find out.
    pub elapsed: Duration,
}

/// What can go wrong with an expression, as the label `error_type` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorType {
    /// Nothing.
    None,
    /// It can't be compiled.
    Compile,
    /// It was too costly.
    OutOfBudget,
    /// It failed.
    Invalid,
}

impl ErrorType {
    /// The kind of an error, by its words.
    pub(super) fn of(message: &str) -> Self {
        if message.starts_with("compilation") {
            Self::Compile
        } else if message.starts_with("validation failed due to running out of cost budget") {
            Self::OutOfBudget
        } else {
            Self::Invalid
        }
    }

    /// The label's value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "no_error",
            Self::Compile => "compile_error",
            Self::OutOfBudget => "out_of_budget",
            Self::Invalid => "invalid_error",
        }
    }
}

/// What a policy does to a request, as the label `enforcement_action` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enforcement {
    /// An error is ignored.
    Allow,
    /// The request is refused.
    Deny,
    /// The sender is warned.
    Warn,
    /// The audit log tells of it.
    Audit,
    /// The object was changed, or wasn't: of policies that mutate.
    Mutate,
}

impl Enforcement {
    /// The label's value; policies that mutate have no such label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
            Self::Warn => "warn",
            Self::Audit => "audit",
            Self::Mutate => "",
        }
    }
}
