//! Parts of texts that match: `find`, `findAll`.
//! Kubernetes' `k8s.io/apiserver/pkg/cel/library/regex.go`.

use super::costs::{PATTERN, TRAVERSAL, scaled, size, size_of};
use crate::cost::{CostRange, SizeRange};
use crate::regex::Pattern;
use crate::{CallEstimate, Error, Operand, Overload, Type, Value};
use regex::Regex;
use std::borrow::Cow;

pub(super) fn overloads() -> Vec<Overload> {
    let texts = || Type::list(Type::String);
    vec![
        Overload::member(
            "find",
            "string_find_string",
            [Type::String, Type::String],
            Type::String,
            find,
        ),
        Overload::member(
            "findAll",
            "string_find_all_string",
            [Type::String, Type::String],
            texts(),
            find_all,
        ),
        Overload::member(
            "findAll",
            "string_find_all_string_int",
            [Type::String, Type::String, Type::Int],
            texts(),
            find_all,
        ),
    ]
    .into_iter()
    .map(Overload::with_pattern)
    .map(|overload| overload.costs(|args, _| cost(args), estimate))
    .collect()
}

/// The pattern that an argument is.
fn pattern<'v>(value: &'v Value) -> Result<Cow<'v, Regex>, Error> {
    Pattern::in_argument(value).map_err(|error| match error {
        Error::Function(why) => Error::function(format!("Illegal regex: {why}")),
        other => other,
    })
}

fn find<'a>(args: &[Value<'a>]) -> Result<Value<'a>, Error> {
    match args {
        [Value::String(text), wanted] => {
            let pattern = pattern(wanted)?;
            let found = pattern.find(text).map_or("", |found| found.as_str());
            Ok(Value::string(found.to_owned()))
        }
        _ => Err(Error::NoSuchOverload),
    }
}

fn find_all<'a>(args: &[Value<'a>]) -> Result<Value<'a>, Error> {
    let (text, wanted, limit) = match args {
        [Value::String(text), wanted] => (text, wanted, -1),
        [Value::String(text), wanted, Value::Int(limit)] => (text, wanted, *limit),
        _ => return Err(Error::NoSuchOverload),
    };
    // Below zero there is no limit.
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let found = pattern(wanted)?
        .find_iter(text)
        .take(limit)
        .map(|found| Value::string(found.as_str().to_owned()))
        .collect();
    Ok(Value::list(found))
}

fn cost(args: &[Value]) -> u64 {
    let text = scaled(size(args, 0).saturating_add(1), TRAVERSAL);
    text.saturating_mul(scaled(size(args, 1), PATTERN))
}

fn estimate(operands: &[Operand]) -> CallEstimate {
    let size = size_of(operands, 0);
    let text = size.plus(CostRange::fixed(1)).scaled(TRAVERSAL);
    CallEstimate {
        cost: text.times(size_of(operands, 1).scaled(PATTERN)),
        // At most each character is found by itself.
        result: Some(SizeRange::new(0, size.max)),
    }
}
