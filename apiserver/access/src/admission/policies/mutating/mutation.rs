//! What one policy does to an object.

use super::super::evaluation::{Evaluation, Expression, Inputs};
use super::super::followed::Compiled;
use super::super::host::Host;
use super::super::policy::Policy;
use super::patch;
use crate::admission::review::ResourceKind;
use crate::objects::items;
use crate::text;
use hardway_cel::admission::Returns;
use hardway_proto::labels::SelectorError;
use serde_json::Value;

/// A MutatingAdmissionPolicy, compiled once.
#[derive(Debug)]
pub struct MutatingPolicy {
    /// What all policies have.
    pub common: Policy,
    /// Whether it sees an object again that others have changed after it
    /// (`reinvocationPolicy: IfNeeded`).
    pub is_reinvoked: bool,
    mutations: Vec<Mutation>,
}

/// One change.
#[derive(Debug)]
pub struct Mutation {
    kind: Kind,
    expression: Expression,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Apply,
    JsonPatch,
}

impl Compiled for MutatingPolicy {
    const POLICIES: &'static str = "mutatingadmissionpolicies";
    const BINDINGS: &'static str = "mutatingadmissionpolicybindings";

    fn compile(policy: &Value) -> Result<Self, SelectorError> {
        let (common, composition) = Policy::compile(policy)?;
        let mutations = items(&policy["spec"], "/mutations").iter();
        let mutations = mutations.map(|mutation| {
            let (kind, pointer, returns) = match mutation["patchType"] == "JSONPatch" {
                true => (Kind::JsonPatch, "/jsonPatch/expression", Returns::JsonPatch),
                false => (
                    Kind::Apply,
                    "/applyConfiguration/expression",
                    Returns::ApplyConfiguration,
                ),
            };
            let expression = text(mutation, pointer);
            let program = composition.compile(expression, returns);
            Mutation {
                kind,
                expression: Expression::new(expression, program),
            }
        });
        Ok(Self {
            is_reinvoked: policy["spec"]["reinvocationPolicy"] == "IfNeeded",
            mutations: mutations.collect(),
            common,
        })
    }

    fn common(&self) -> &Policy {
        &self.common
    }
}

impl MutatingPolicy {
    /// Its changes, in order.
    pub fn mutations(&self) -> &[Mutation] {
        &self.mutations
    }

    /// The object after a change; `None` if it stays as it is.
    ///
    /// # Errors
    /// In Kubernetes' words, if the change can't be made.
    pub fn change(
        &self,
        mutation: &Mutation,
        inputs: &Inputs<'_>,
        shown_as: &ResourceKind,
        host: &dyn Host,
    ) -> Result<Option<Value>, String> {
        if let Some(error) = mutation.expression.error() {
            return Err(error);
        }
        let evaluation = Evaluation::new(inputs, &self.common.variables);
        let value = evaluation
            .value(&mutation.expression)
            .map_err(|spent| spent.to_string())??;
        match mutation.kind {
            Kind::Apply => {
                let mut configuration = patch::configuration(&value)?;
                // It is one of the object's kind.
                for field in ["apiVersion", "kind"] {
                    configuration[field] = inputs.object[field].clone();
                }
                let merged = host.merge(shown_as, inputs.object, &configuration);
                merged
                    .map(Some)
                    .map_err(|why| format!("error applying patch: {why}"))
            }
            Kind::JsonPatch => {
                let operations = patch::operations(&value)?;
                let patched = host.patch(inputs.object, &operations);
                patched.map_err(|why| format!("JSONPath: {why}"))
            }
        }
    }
}
