//! Evaluating the expressions of a policy for one request.

use hardway_cel::admission::CompileError;
use hardway_cel::{Bindings, Budget, Error, Key, Map, Program, Value as CelValue};
use serde_json::Value;
use std::cell::OnceCell;
use std::collections::BTreeMap;

/// What the expressions of a policy may cost for one request and one set of parameters
/// (`RuntimeCELCostBudget`), …
const BUDGET: u64 = 10_000_000;
/// … and what its conditions may (`RuntimeCELCostBudgetMatchConditions`).
const CONDITIONS_BUDGET: u64 = 2_500_000;

/// How names of variables begin.
pub const PREFIX: &str = "variables.";

/// An expression that was compiled, or why it couldn't be.
#[derive(Debug)]
pub struct Expression {
    text: String,
    program: Result<Program, CompileError>,
}

impl Expression {
    /// What became of compiling an expression.
    pub fn new(text: &str, program: Result<Program, CompileError>) -> Self {
        Self {
            text: text.to_owned(),
            program,
        }
    }

    /// Why it can't be evaluated, if it couldn't be compiled.
    pub fn error(&self) -> Option<String> {
        self.program.as_ref().err().map(CompileError::to_string)
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// An expression with a name.
#[derive(Debug)]
pub struct Variable {
    /// As expressions name it: `variables.NAME`.
    pub name: String,
    /// What it stands for.
    pub expression: Expression,
}

/// What expressions are told of a request.
pub struct Inputs<'a> {
    /// The object as it shall be; null for deletions.
    pub object: &'a Value,
    /// The object as it is; null for creations.
    pub old_object: &'a Value,
    /// The request itself.
    pub request: &'a Value,
    /// The parameters; null if there are none.
    pub params: &'a Value,
    /// The Namespace that the object is in; null if it is in none.
    pub namespace: &'a Value,
    /// Who may do what, and what this request wants to do.
    pub authorizer: &'a (CelValue<'static>, CelValue<'static>),
}

/// The budget is spent: nothing more is evaluated.
#[derive(Debug, thiserror::Error)]
#[error(
    "validation failed due to running out of cost budget, no further validation rules will be run"
)]
pub struct Spent;

/// One evaluation of expressions that share variables and a budget.
pub struct Evaluation<'a> {
    bound: Bound<'a>,
    budget: Budget,
}

/// What names are bound to.
struct Bound<'a> {
    values: Vec<(&'static str, CelValue<'a>)>,
    /// Each evaluated once, if an expression asks for it.
    variables: Vec<(&'a Variable, OnceCell<Result<CelValue<'a>, Error>>)>,
}

impl<'a> Bindings<'a> for Bound<'a> {
    fn variable(&self, name: &str, budget: &Budget) -> Option<Result<CelValue<'a>, Error>> {
        if let Some((_, value)) = self.values.iter().find(|(known, _)| *known == name) {
            return Some(Ok(value.clone()));
        }
        let mut variables = self.variables.iter();
        let (variable, outcome) = variables.find(|(known, _)| known.name == name)?;
        let evaluate = || {
            let name = name.trim_start_matches(PREFIX);
            let program = match &variable.expression.program {
                Ok(program) => program,
                Err(error) => {
                    let words = format!("composited variable {name:?} fails to compile: {error}");
                    return Err(Error::function(words));
                }
            };
            program.evaluate(self, budget).map_err(|error| match error {
                Error::BudgetExceeded => error,
                other => Error::function(format!(
                    "composited variable {name:?} fails to evaluate: {other}"
                )),
            })
        };
        Some(outcome.get_or_init(evaluate).clone())
    }
}

impl<'a> Evaluation<'a> {
    /// Of the expressions of a policy.
    pub fn new(inputs: &Inputs<'a>, variables: &'a [Variable]) -> Self {
        Self::within(BUDGET, inputs, variables)
    }

    /// Of the conditions of a policy.
    pub fn of_conditions(inputs: &Inputs<'a>, variables: &'a [Variable]) -> Self {
        Self::within(CONDITIONS_BUDGET, inputs, variables)
    }

    fn within(budget: u64, inputs: &Inputs<'a>, variables: &'a [Variable]) -> Self {
        let (authorizer, requested) = inputs.authorizer;
        // Asked for by `has` alone, to which all variables are there.
        let names = variables.iter().map(|variable| {
            let name = variable.name.trim_start_matches(PREFIX);
            (Key::String(name.into()), CelValue::Null)
        });
        let values = vec![
            ("object", CelValue::of_json(inputs.object)),
            ("oldObject", CelValue::of_json(inputs.old_object)),
            ("request", CelValue::of_json(inputs.request)),
            ("params", CelValue::of_json(inputs.params)),
            ("namespaceObject", CelValue::of_json(inputs.namespace)),
            ("authorizer", authorizer.clone()),
            ("authorizer.requestResource", requested.clone()),
            (
                "variables",
                CelValue::Map(Map::from(names.collect::<BTreeMap<_, _>>())),
            ),
        ];
        let variables = variables.iter().map(|variable| (variable, OnceCell::new()));
        Self {
            bound: Bound {
                values,
                variables: variables.collect(),
            },
            budget: Budget::new(budget),
        }
    }

    /// The value of an expression, or in Kubernetes' words why it has none.
    ///
    /// # Errors
    /// If the budget is spent.
    pub fn value(&self, expression: &'a Expression) -> Result<Result<CelValue<'a>, String>, Spent> {
        let text = &expression.text;
        let program = match &expression.program {
            Ok(program) => program,
            Err(error) => return Ok(Err(format!("compilation error: {error}"))),
        };
        match program.evaluate(&self.bound, &self.budget) {
            Ok(value) => Ok(Ok(value)),
            Err(Error::BudgetExceeded) => Err(Spent),
            Err(error) => Ok(Err(format!(
                "expression '{text}' resulted in error: {error}"
            ))),
        }
    }
}
