//! The Common Expression Language as Kubernetes 1.33 has it: what custom resources'
//! validation rules, admission policies and match conditions are written in.
//!
//! An [`Environment`] says what expressions may name. It compiles an expression, once, to a
//! [`Program`], which knows its type and what it may cost, and is evaluated with values for
//! its variables, without copies of the objects they are.
//!
//! ```
//! use hardway_cel::{Budget, Environment, Scope, Type, Value};
//! let environment = Environment::new().variable("object", Type::Dyn);
//! let program = environment.compile("object.spec.replicas <= 5").unwrap();
//! let object = serde_json::json!({"spec": {"replicas": 3}});
//! let mut scope = Scope::new();
//! scope.bind("object", Value::of_json(&object));
//! let budget = Budget::new(10_000_000);
//! let fits = program.evaluate(&scope, &budget).unwrap();
//! assert_eq!(fits.as_bool(), Some(true));
//! ```

pub mod admission;
mod check;
mod cost;
mod environment;
mod error;
mod evaluate;
pub mod field_path;
mod function;
mod issue;
pub mod library;
mod plan;
mod program;
pub mod regex;
mod schema;
mod standard;
mod syntax;
pub mod timing;
mod types;
mod validations;
mod value;

pub use cost::{CostRange, Range, SizeRange, Sizes};
pub use environment::{Environment, Expressions};
pub use error::Error;
pub use evaluate::{Bindings, Budget, Scope};
pub use function::{Call, CallCost, CallEstimate, CallEstimator, Operand, Overload};
pub use issue::Issue;
pub use program::{PER_CALL_LIMIT, Program};
pub use schema::Schema;
pub use syntax::{Constant, escape, is_identifier};
pub use types::{ObjectType, Type};
pub use validations::{Findings, OBJECT_LIMIT, Validations};
pub use value::{Key, List, Map, Opaque, Struct, Text, Value};
