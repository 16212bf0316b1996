//! An expression that is ready to be evaluated.

use crate::check::{Checked, Reference};
use crate::cost::{CostRange, Sizes, estimate};
use crate::error::Error;
use crate::evaluate::{self, Bindings, Budget};
use crate::plan::Step;
use crate::syntax::Expression;
use crate::types::Type;
use crate::value::Value;
use std::fmt;

/// What one evaluation may cost: Kubernetes' `PerCallLimit`, about a tenth of a second.
pub const PER_CALL_LIMIT: u64 = 1_000_000;

/// An expression that is ready to be evaluated, as often as one likes and at the same time.
pub struct Program {
    root: Expression,
    checked: Checked,
    plan: Step,
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Program").finish_non_exhaustive()
    }
}

impl Program {
    pub(crate) fn new(root: Expression, checked: Checked, plan: Step) -> Self {
        Self {
            root,
            checked,
            plan,
        }
    }

    /// The type of its value.
    pub fn output_type(&self) -> &Type {
        let found = self.checked.types.get(self.root.id);
        found.unwrap_or(&Type::Dyn)
    }

    /// Whether it names a variable of the environment.
    pub fn uses(&self, variable: &str) -> bool {
        let references = self.checked.references.iter().flatten();
        references
            .into_iter()
            .any(|reference| matches!(reference, Reference::Variable(name) if name == variable))
    }

    /// Its value. What it cost is taken from the budget, also if there is no value.
    ///
    /// # Errors
    ///
    /// There is no value, or it cost more than [`PER_CALL_LIMIT`] or the budget has left.
    pub fn evaluate<'a>(
        &'a self,
        bindings: &dyn Bindings<'a>,
        budget: &Budget,
    ) -> Result<Value<'a>, Error> {
        evaluate::evaluate(&self.plan, bindings, budget)
    }

    /// What it may cost, by how large variables may be.
    pub fn estimate_cost(&self, sizes: &dyn Sizes) -> CostRange {
        estimate(&self.root, &self.checked, sizes)
    }
}
