//! Optional values.

use crate::error::Error;
use crate::function::Overload;
use crate::types::Type;
use crate::value::Value;

pub(super) fn overloads() -> Vec<Overload> {
    let inner = || Type::Param("V");
    let maybe = || Type::optional(inner());
    vec![
        Overload::global("optional.of", "optional_of", [inner()], maybe(), |args| {
            Ok(Value::optional(args.first().cloned()))
        }),
        Overload::global(
            "optional.ofNonZeroValue",
            "optional_ofNonZeroValue",
            [inner()],
            maybe(),
            |args| {
                let value = args.first().filter(|value| !is_zero(value));
                Ok(Value::optional(value.cloned()))
            },
        ),
        Overload::global("optional.none", "optional_none", [], maybe(), |_| {
            Ok(Value::Optional(None))
        }),
        Overload::member(
            "hasValue",
            "optional_hasValue",
            [maybe()],
            Type::Bool,
            |args| match args {
                [Value::Optional(inner)] => Ok(Value::Bool(inner.is_some())),
                _ => Err(Error::NoSuchOverload),
            },
        ),
        Overload::member(
            "value",
            "optional_value",
            [maybe()],
            inner(),
            |args| match args {
                [Value::Optional(Some(inner))] => Ok((**inner).clone()),
                [Value::Optional(None)] => Err(Error::function("optional.none() dereference")),
                _ => Err(Error::NoSuchOverload),
            },
        ),
        // The evaluator does these: the second may not be needed.
        Overload::member(
            "or",
            "optional_or_optional",
            [maybe(), maybe()],
            maybe(),
            |_| Err(Error::NoSuchOverload),
        ),
        Overload::member(
            "orValue",
            "optional_orValue_value",
            [maybe(), inner()],
            inner(),
            |_| Err(Error::NoSuchOverload),
        ),
    ]
}

/// Whether a value is the one that its type begins with.
fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(truth) => !truth,
        Value::Int(number) => *number == 0,
        Value::Uint(number) => *number == 0,
        Value::Double(number) => *number == 0.0,
        Value::Duration(duration) => duration.is_zero(),
        Value::Struct(object) => object.fields.is_empty(),
        Value::Optional(inner) => inner.is_none(),
        Value::String(_) | Value::Bytes(_) | Value::List(_) | Value::Map(_) => {
            value.size() == Some(0)
        }
        Value::Timestamp(_) | Value::Type(_) | Value::Opaque(_) => false,
    }
}
