//! All rules together.

use super::watches::Covered;
use super::written::Written;
use super::{History, lists, register, revisions, watches};

/// What was broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// There is an order of the operations on an object in which all answers are right.
    Linearizable,
    /// What is read was written, by somebody who was not told the contrary.
    FromNowhere,
    /// No write takes effect twice.
    Twice,
    /// All are told the same of a revision.
    Contradiction,
    /// Revisions go forward.
    Backwards,
    /// A list is what was there at its revision.
    List,
    /// A watch tells all, once, in order.
    Watch,
}

/// Something that can't be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Violation {
    /// The rule that is broken.
    pub rule: Rule,
    /// By what.
    pub what: String,
}

impl Violation {
    pub(super) fn new(rule: Rule, what: String) -> Self {
        Self { rule, what }
    }
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}: {}", self.rule, self.what)
    }
}

/// What is to be said of a history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// What can't be.
    pub violations: Vec<Violation>,
    /// Objects of which it takes too long to say whether their operations have an order.
    pub undecided: Vec<String>,
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for violation in &self.violations {
            writeln!(f, "{violation}")?;
        }
        match self.undecided.as_slice() {
            [] => Ok(()),
            undecided => writeln!(f, "too long to decide: {}", undecided.join(", ")),
        }
    }
}

/// Judges a history.
pub fn check(history: &History) -> Verdict {
    let (written, mut violations) = Written::of(history);
    let covered = Covered::of(history);
    let (wrong, undecided) = register::check(history, &written);
    violations.extend(wrong);
    violations.extend(revisions::check(history));
    violations.extend(lists::check(history, &written, &covered));
    violations.extend(watches::check(history, &written, &covered));
    Verdict {
        violations,
        undecided,
    }
}

#[cfg(test)]
mod tests;
