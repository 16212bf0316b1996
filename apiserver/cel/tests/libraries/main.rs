//! The function libraries: what Kubernetes' and cel-go's own tests expect of them.

mod authorizer;
mod costs;
mod network;
mod numbers;
mod string_format;
mod text;

use hardway_cel::library::{authorizer as authorization, json_patch};
use hardway_cel::{Budget, Environment, Scope, Type, Value};
use serde_json::{Value as Json, json};
use std::sync::Arc;

/// With the functions of every environment and those that only some have.
fn environment() -> Environment {
    Environment::new()
        .overloads(json_patch::overloads())
        .object_type(json_patch::object_type())
        .variable("authorizer", authorization::AUTHORIZER)
        .variable("x", Type::Dyn)
}

/// What an expression comes to, as text, or the words of what is wrong with it.
fn outcome(expression: &str, x: &Json) -> Result<String, String> {
    let program = environment().compile(expression).map_err(|issues| {
        let messages: Vec<_> = issues.iter().map(|issue| issue.message.clone()).collect();
        messages.join("; ")
    })?;
    let mut scope = Scope::new();
    scope.bind("x", Value::of_json(x));
    scope.bind(
        "authorizer",
        authorization::authorizer(Arc::new(authorizer::Rights)),
    );
    match program.evaluate(&scope, &Budget::new(u64::MAX)) {
        Ok(Value::String(text)) => Ok(text.to_string()),
        Ok(Value::Bool(truth)) => Ok(truth.to_string()),
        Ok(other) => Ok(format!("{other:?}")),
        Err(error) => Err(error.to_string()),
    }
}

/// Each of the expressions is true.
fn hold(expressions: &[&str]) {
    for expression in expressions {
        let outcome = outcome(expression, &Json::Null);
        assert_eq!(outcome.as_deref(), Ok("true"), "{expression}");
    }
}

/// Each of the expressions fails with these words.
fn fail(expressions: &[(&str, &str)]) {
    for (expression, words) in expressions {
        let outcome = outcome(expression, &json!({}));
        assert_eq!(
            outcome.as_ref().map_err(String::as_str),
            Err(*words),
            "{expression}"
        );
    }
}
