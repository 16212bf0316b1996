//! How functions are declared: a library is a list of [`Overload`]s.

use crate::cost::{CostRange, SizeRange};
use crate::{Constant, Error, Type, Value};

/// What a function does with its arguments; the receiver of a member is the first.
pub type Call = for<'a> fn(&[Value<'a>]) -> Result<Value<'a>, Error>;

/// What a call cost, by its arguments and its result. Of a call that failed the result
/// is `None`.
pub type CallCost = for<'a> fn(&[Value<'a>], Option<&Value<'a>>) -> u64;

/// What a call may cost, before anything is evaluated.
pub type CallEstimator = fn(&[Operand]) -> CallEstimate;

/// One form of a function.
#[derive(Clone, Debug)]
pub struct Overload {
    /// The function's name.
    pub name: &'static str,
    /// The name of this form among all functions, as cel-go or Kubernetes has it.
    pub id: &'static str,
    /// Whether it is called on its first argument: `x.f(y)`.
    pub member: bool,
    /// What it takes, the receiver of a member first.
    pub params: Vec<Type>,
    /// What it gives.
    pub result: Type,
    /// What it does. The arguments fit `params`; still `dyn` may have let others through,
    /// which are [`Error::NoSuchOverload`].
    pub call: Call,
    /// What calls cost; 1 if it doesn't say.
    pub cost: Option<CallCost>,
    /// What calls may cost; 1 if it doesn't say.
    pub estimate: Option<CallEstimator>,
    /// Whether its second argument is a regular expression, which is given to it compiled.
    pub(crate) takes_pattern: bool,
}

impl Overload {
    /// `name(…)`.
    pub fn global<const N: usize>(
        name: &'static str,
        id: &'static str,
        params: [Type; N],
        result: Type,
        call: Call,
    ) -> Self {
        Self {
            name,
            id,
            member: false,
            params: params.into(),
            result,
            call,
            cost: None,
            estimate: None,
            takes_pattern: false,
        }
    }

    /// `params[0].name(…)`.
    pub fn member<const N: usize>(
        name: &'static str,
        id: &'static str,
        params: [Type; N],
        result: Type,
        call: Call,
    ) -> Self {
        Self {
            member: true,
            ..Self::global(name, id, params, result, call)
        }
    }

    /// One whose second argument is a regular expression.
    pub(crate) fn with_pattern(self) -> Self {
        Self {
            takes_pattern: true,
            ..self
        }
    }

    /// With costs of its own, of calls made and of calls to come.
    pub fn costs(self, cost: CallCost, estimate: CallEstimator) -> Self {
        Self {
            cost: Some(cost),
            estimate: Some(estimate),
            ..self
        }
    }
}

/// An argument of a call whose cost is estimated; the receiver of a member is the first.
#[derive(Clone, Debug)]
pub struct Operand<'e> {
    /// Its type.
    pub kind: Type,
    /// How large it may be, as `size()` has it; 1 for what has no size.
    pub size: SizeRange,
    /// How large what a list holds may be.
    pub element_size: SizeRange,
    /// Its value, if it stands in the expression.
    pub constant: Option<&'e Constant>,
}

/// What a call may cost, and how large what it gives may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallEstimate {
    /// The cost.
    pub cost: CostRange,
    /// The size of a text, bytes, list or map; `None` if nothing is known.
    pub result: Option<SizeRange>,
}

impl From<CostRange> for CallEstimate {
    fn from(cost: CostRange) -> Self {
        Self { cost, result: None }
    }
}
