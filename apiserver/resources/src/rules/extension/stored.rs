//! Which expressions an object has already. They stay valid, also if the version of Kubernetes
//! before can't read them, as those that are written now must be.

use hardway_cel::Expressions;
use std::collections::BTreeSet;

/// The expressions of the object that is replaced; none of one that is created.
#[derive(Default)]
pub struct Stored<'a>(BTreeSet<&'a str>);

impl<'a> FromIterator<&'a str> for Stored<'a> {
    fn from_iter<T: IntoIterator<Item = &'a str>>(expressions: T) -> Self {
        // They are compiled, and known, without what is around them.
        Self(expressions.into_iter().map(str::trim).collect())
    }
}

impl Stored<'_> {
    /// Whether an expression is stored or new.
    pub fn origin(&self, expression: &str) -> Expressions {
        match self.0.contains(expression.trim()) {
            true => Expressions::Stored,
            false => Expressions::New,
        }
    }
}
