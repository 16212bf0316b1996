//! The text of expressions: tokens, the tree they make, macros.

mod lexer;
mod literal;
mod macros;
mod names;
mod parser;
mod tree;

pub use names::{escape, is_identifier};
pub(crate) use parser::parse;
pub use tree::Constant;
pub(crate) use tree::{Comprehension, Expression, Field, Kind};

/// The name of what a macro gathers; no expression can say it.
pub(crate) const ACCUMULATOR: &str = "@result";

/// How deep expressions nest at most, as in cel-go.
pub(crate) const MOST_DEPTH: u32 = 250;
/// Of how many parts an expression may be that a macro writes twice: a chain of such macros
/// doubles with each. A text of the allowed length without them stays far below.
const MOST_REPEATED: u32 = 100_000;
