//! What goes wrong when an expression is evaluated.

/// Why an evaluation has no value, in the words of cel-go.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A map or an object lacks a key.
    #[error("no such key: {0}")]
    NoSuchKey(String),
    /// No function of the name takes such arguments.
    #[error("no such overload")]
    NoSuchOverload,
    /// Nothing is bound to a declared variable.
    #[error("no such attribute(s): {0}")]
    NoSuchAttribute(String),
    /// `x / 0`.
    #[error("division by zero")]
    DivisionByZero,
    /// `x % 0`.
    #[error("modulus by zero")]
    ModulusByZero,
    /// A list has no element of this index.
    #[error("index out of bounds: {0}")]
    IndexOutOfBounds(i64),
    /// A result doesn't fit an integer.
    #[error("integer overflow")]
    IntegerOverflow,
    /// A result doesn't fit an unsigned integer.
    #[error("unsigned integer overflow")]
    UnsignedOverflow,
    /// One evaluation cost more than it may.
    #[error("operation cancelled: actual cost limit exceeded")]
    CostLimitExceeded,
    /// What several evaluations may cost together is spent.
    #[error("budget exceeded")]
    BudgetExceeded,
    /// What a function says, in its own words.
    #[error("{0}")]
    Function(String),
}

impl Error {
    /// An error in a function's own words.
    pub fn function(words: impl Into<String>) -> Self {
        Self::Function(words.into())
    }

    /// Whether the costs were the reason, which no `||` covers up.
    pub fn is_cost(&self) -> bool {
        matches!(self, Self::CostLimitExceeded | Self::BudgetExceeded)
    }
}
