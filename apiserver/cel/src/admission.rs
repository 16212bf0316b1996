//! What expressions of admission may speak of: the match conditions of webhooks and policies,
//! and all that a policy says. As `pkg/admission/plugin/cel` of `k8s.io/apiserver` has it.
//!
//! Objects and parameters are `dyn`: a policy may concern objects of many kinds.

mod types;

pub use crate::library::authorizer;

use crate::library::json_patch;
use crate::{Environment, Expressions, Issue, ObjectType, Program, Type};
use std::fmt;
use std::sync::LazyLock;

/// What expressions may speak of beside the object and its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vocabulary {
    /// `params`.
    pub params: bool,
    /// `authorizer` and `authorizer.requestResource`.
    pub authorizer: bool,
    /// `Object{}` and `JSONPatch{}`, which change an object.
    pub patches: bool,
    /// Whose functions.
    pub expressions: Expressions,
}

/// Without parameters and patches, of stored expressions.
impl Default for Vocabulary {
    fn default() -> Self {
        Self {
            params: false,
            authorizer: true,
            patches: false,
            expressions: Expressions::Stored,
        }
    }
}

/// What an expression has to give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Returns {
    /// A truth value.
    Bool,
    /// What a sender is told; such an expression can't ask the authorizer.
    Message,
    /// The value of an audit annotation: a text or null.
    Annotation,
    /// An apply configuration.
    ApplyConfiguration,
    /// The operations of a JSON patch.
    JsonPatch,
    /// Anything.
    Any,
}

/// Why an expression can't be compiled, in Kubernetes' words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CompileError {
    /// It is no expression, or doesn't fit what it speaks of.
    #[error("compilation failed: {}", joined(.0))]
    Issues(Vec<Issue>),
    /// It gives something else than it has to.
    #[error("must evaluate to {expected} but got {found}")]
    Type {
        /// What it has to give.
        expected: &'static str,
        /// What it gives.
        found: String,
    },
}

fn joined(issues: &[Issue]) -> String {
    let lines: Vec<String> = issues.iter().map(Issue::to_string).collect();
    lines.join("\n")
}

impl Returns {
    /// Whether a type will do, and how those that will are told.
    fn check(self, found: &Type) -> Result<(), &'static str> {
        let (fits, expected) = match self {
            Self::Bool => (*found == Type::Bool, "bool"),
            Self::Message => (*found == Type::String, "string"),
            Self::Annotation => (
                matches!(found, Type::String | Type::Null),
                "one of [string null_type]",
            ),
            Self::ApplyConfiguration => (is_object(found, "Object"), "Object"),
            Self::JsonPatch => (
                matches!(found, Type::List(element) if is_object(element, "JSONPatch")),
                "list(JSONPatch)",
            ),
            Self::Any => (true, ""),
        };
        match fits {
            true => Ok(()),
            false => Err(expected),
        }
    }
}

fn is_object(found: &Type, name: &str) -> bool {
    matches!(found, Type::Object(object) if object.name == name)
}

/// A type by its full name, as cel-go shows a declared one.
struct Declared<'t>(&'t Type);

impl fmt::Display for Declared<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Type::List(element) => write!(f, "list({})", Declared(element)),
            Type::Map(key, value) => write!(f, "map({}, {})", Declared(key), Declared(value)),
            Type::Optional(value) => write!(f, "optional_type({})", Declared(value)),
            other => f.write_str(other.name()),
        }
    }
}

/// Compiles an expression that stands alone.
///
/// # Errors
/// In Kubernetes' words, if it can't be compiled or gives something else.
pub fn compile(
    expression: &str,
    returns: Returns,
    vocabulary: Vocabulary,
) -> Result<Program, CompileError> {
    compile_in(&environment(vocabulary), expression, returns)
}

fn compile_in(
    environment: &Environment,
    expression: &str,
    returns: Returns,
) -> Result<Program, CompileError> {
    let program = environment
        .compile(expression)
        .map_err(CompileError::Issues)?;
    match returns.check(program.output_type()) {
        Ok(()) => Ok(program),
        Err(expected) => Err(CompileError::Type {
            expected,
            found: Declared(program.output_type()).to_string(),
        }),
    }
}

static STORED: LazyLock<Environment> = LazyLock::new(|| common(Expressions::Stored));
static NEW: LazyLock<Environment> = LazyLock::new(|| common(Expressions::New));

/// What all expressions of admission may speak of.
fn common(expressions: Expressions) -> Environment {
    Environment::of(expressions)
        .variable("request", types::request())
        .variable("namespaceObject", types::namespace())
}

/// What expressions may speak of, objects and parameters being of any type.
fn environment(vocabulary: Vocabulary) -> Environment {
    typed(vocabulary, Type::Dyn, Type::Dyn)
}

/// The same with a type for `object` and `oldObject`, and one for `params`.
fn typed(vocabulary: Vocabulary, object: Type, params: Type) -> Environment {
    let common = match vocabulary.expressions {
        Expressions::Stored => &STORED,
        Expressions::New => &NEW,
    };
    let mut environment = (**common)
        .clone()
        .variable("object", object.clone())
        .variable("oldObject", object);
    if vocabulary.params {
        environment = environment.variable("params", params);
    }
    if vocabulary.authorizer {
        environment = environment
            .variable("authorizer", authorizer::AUTHORIZER)
            .variable("authorizer.requestResource", authorizer::RESOURCE_CHECK);
    }
    if vocabulary.patches {
        environment = environment
            .open_objects("Object")
            .object_type(json_patch::object_type())
            .overloads(json_patch::overloads());
    }
    environment
}

/// What the expressions of a policy may speak of: variables, too, each known to what comes
/// after it.
#[derive(Clone, Debug)]
pub struct Composition {
    vocabulary: Vocabulary,
    object: Type,
    params: Type,
    variables: Vec<(String, Type)>,
}

impl Composition {
    /// Without variables so far.
    pub fn new(vocabulary: Vocabulary) -> Self {
        Self::typed(vocabulary, Type::Dyn, Type::Dyn)
    }

    /// Without variables so far, with types for objects and for parameters.
    pub fn typed(vocabulary: Vocabulary, object: Type, params: Type) -> Self {
        Self {
            vocabulary,
            object,
            params,
            variables: Vec::new(),
        }
    }

    /// Whose functions what is defined and compiled from now on may use.
    pub fn set_expressions(&mut self, expressions: Expressions) {
        self.vocabulary.expressions = expressions;
    }

    /// Adds a variable. One that can't be compiled is known all the same, as `dyn`.
    ///
    /// # Errors
    /// In Kubernetes' words, if it can't be compiled.
    pub fn define(&mut self, name: &str, expression: &str) -> Result<Program, CompileError> {
        let compiled = self.compile(expression, Returns::Any);
        let kind = match &compiled {
            Ok(program) => known(program.output_type()),
            Err(_) => Type::Dyn,
        };
        self.variables.push((name.to_owned(), kind));
        compiled
    }

    /// Compiles an expression that may speak of all variables so far.
    ///
    /// # Errors
    /// In Kubernetes' words, if it can't be compiled or gives something else.
    pub fn compile(&self, expression: &str, returns: Returns) -> Result<Program, CompileError> {
        let vocabulary = Vocabulary {
            authorizer: self.vocabulary.authorizer && returns != Returns::Message,
            patches: matches!(returns, Returns::ApplyConfiguration | Returns::JsonPatch),
            ..self.vocabulary
        };
        let mut environment = typed(vocabulary, self.object.clone(), self.params.clone());
        // Each is a variable of its own; of others it is said that they aren't there.
        let all = ObjectType::new("kubernetes.variables", self.variables.clone());
        environment = environment.variable("variables", Type::object(all));
        for (name, kind) in &self.variables {
            environment = environment.variable(format!("variables.{name}"), kind.clone());
        }
        compile_in(&environment, expression, returns)
    }
}

/// What is known of a variable's type: of types that libraries or expressions declare nothing,
/// as in Kubernetes.
fn known(found: &Type) -> Type {
    match found {
        Type::Null
        | Type::Bool
        | Type::Int
        | Type::Uint
        | Type::Double
        | Type::String
        | Type::Bytes
        | Type::Timestamp
        | Type::Duration => found.clone(),
        Type::List(element) => Type::list(known(element)),
        Type::Map(key, value) => Type::map(known(key), known(value)),
        _ => Type::Dyn,
    }
}

#[cfg(test)]
mod tests;
