//! What binds a policy to requests and parameters.

use super::super::matching::MatchResources;
use crate::objects::strings;
use crate::text;
use hardway_proto::labels::{Selector, SelectorError};
use serde_json::Value;

/// A ValidatingAdmissionPolicyBinding or MutatingAdmissionPolicyBinding, read once.
#[derive(Debug)]
pub struct Binding {
    /// Its name.
    pub name: String,
    /// Which of the requests that concern the policy concern it; all, if it doesn't say.
    pub resources: Option<MatchResources>,
    /// Where the parameters are.
    pub params: Option<ParamRef>,
    /// What is done when a validation fails; of validating policies.
    pub actions: Vec<Action>,
}

/// What is done when a validation fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub enum Action {
    /// The request is refused.
    Deny,
    /// The sender is warned.
    Warn,
    /// The audit log tells of it.
    Audit,
}

/// Which objects are the parameters of a binding.
#[derive(Debug)]
pub struct ParamRef {
    /// Their namespace, if that isn't the one of the object that is judged.
    pub namespace: String,
    /// Which of those there.
    pub which: Which,
    /// Whether that there are none is a fault.
    pub denies_none: bool,
}

/// How parameters are named.
#[derive(Debug)]
pub enum Which {
    /// One, by its name.
    Name(String),
    /// All with such labels.
    Selected(Selector),
}

impl Binding {
    /// Reads it.
    ///
    /// # Errors
    /// If a selector is none.
    pub fn read(binding: &Value) -> Result<Self, SelectorError> {
        let spec = &binding["spec"];
        let resources = match &spec["matchResources"] {
            Value::Null => None,
            resources => Some(MatchResources::of_policy(resources)?),
        };
        let params = match &spec["paramRef"] {
            Value::Null => None,
            reference => Some(ParamRef::read(reference)?),
        };
        let actions = strings(spec, "/validationActions");
        let actions = actions.filter_map(|action| match action {
            "Deny" => Some(Action::Deny),
            "Warn" => Some(Action::Warn),
            "Audit" => Some(Action::Audit),
            _ => None,
        });
        Ok(Self {
            name: text(binding, "/metadata/name").to_owned(),
            resources,
            params,
            actions: actions.collect(),
        })
    }
}

impl ParamRef {
    fn read(reference: &Value) -> Result<Self, SelectorError> {
        let which = match text(reference, "/name") {
            "" => Which::Selected(Selector::from_json(&reference["selector"])?),
            name => Which::Name(name.to_owned()),
        };
        Ok(Self {
            namespace: text(reference, "/namespace").to_owned(),
            which,
            denies_none: reference["parameterNotFoundAction"] == "Deny",
        })
    }
}
