//! Operators but for arithmetic. Most are evaluated by the evaluator itself, which may not
//! need all that they are applied to; here are their types.

use crate::error::Error;
use crate::function::{Call, Overload};
use crate::types::Type;
use crate::value::{Key, Value};
use std::cmp::Ordering;

const A: Type = Type::Param("A");
const B: Type = Type::Param("B");

fn evaluator<'a>(_: &[Value<'a>]) -> Result<Value<'a>, Error> {
    Err(Error::NoSuchOverload)
}

pub(super) fn overloads() -> Vec<Overload> {
    let own =
        |name, id, params: [Type; 2], result| Overload::global(name, id, params, result, evaluator);
    let (int, truth) = (|| Type::Int, || Type::Bool);
    let list = || Type::list(A);
    let map = || Type::map(A, B);
    let maybe = Type::optional;
    let mut all = vec![
        own("_&&_", "logical_and", [truth(), truth()], truth()),
        own("_||_", "logical_or", [truth(), truth()], truth()),
        own("_==_", "equals", [A, A], truth()),
        own("_!=_", "not_equals", [A, A], truth()),
        own("@in", "in_list", [A, list()], truth()),
        own("@in", "in_map", [A, map()], truth()),
        own("_[_]", "index_list", [list(), int()], A),
        own("_[_]", "index_map", [map(), A], B),
        own(
            "_[_]",
            "optional_list_index_int",
            [maybe(list()), int()],
            maybe(A),
        ),
        own(
            "_[_]",
            "optional_map_index_value",
            [maybe(map()), A],
            maybe(B),
        ),
        own(
            "_[?_]",
            "list_optindex_optional_int",
            [list(), int()],
            maybe(A),
        ),
        own("_[?_]", "map_optindex_optional_value", [map(), A], maybe(B)),
        own(
            "_[?_]",
            "optional_list_optindex_optional_int",
            [maybe(list()), int()],
            maybe(A),
        ),
        own(
            "_[?_]",
            "optional_map_optindex_optional_value",
            [maybe(map()), A],
            maybe(B),
        ),
        Overload::global("_?_:_", "conditional", [truth(), A, A], A, evaluator),
        Overload::global(
            "@not_strictly_false",
            "not_strictly_false",
            [truth()],
            truth(),
            evaluator,
        ),
        Overload::global("!_", "logical_not", [truth()], truth(), |args| match args {
            [Value::Bool(truth)] => Ok(Value::Bool(!truth)),
            _ => Err(Error::NoSuchOverload),
        }),
        Overload::global(
            "cel.@mapInsert",
            "@mapInsert",
            [map(), A, B],
            map(),
            evaluator,
        ),
        Overload::global(
            "cel.@mapInsert",
            "@mapInsertMap",
            [map(), map()],
            map(),
            |args| match args {
                [Value::Map(map), Value::Map(more)] => {
                    let mut all = Value::Map(map.clone());
                    for (key, value) in more.entries()? {
                        all = insert(all, &key.into(), &value)?;
                    }
                    Ok(all)
                }
                _ => Err(Error::NoSuchOverload),
            },
        ),
    ];
    for (name, id, call) in ORDERS {
        for (suffix, left, right) in COMPARABLE {
            let id = comparison(id, suffix);
            let params = [left.clone(), right.clone()];
            all.push(Overload::global(name, id, params, Type::Bool, call));
        }
    }
    all
}

/// A map with one entry more, which it must not have.
pub(crate) fn insert<'a>(
    map: Value<'a>,
    key: &Value<'a>,
    value: &Value<'a>,
) -> Result<Value<'a>, Error> {
    let (Value::Map(map), Some(key)) = (map, Key::of(key)) else {
        return Err(Error::NoSuchOverload);
    };
    let shown = crate::standard::text(&key.clone().into()).unwrap_or_default();
    let more = map.with(key, value.clone())?;
    let repeated = || Error::function(format!("insert failed: key {shown} already exists"));
    more.map(Value::Map).ok_or_else(repeated)
}

const ORDERS: [(&str, &str, Call); 4] = [
    ("_<_", "less", |args| order(args, Ordering::is_lt)),
    ("_<=_", "less_equals", |args| order(args, Ordering::is_le)),
    ("_>_", "greater", |args| order(args, Ordering::is_gt)),
    ("_>=_", "greater_equals", |args| {
        order(args, Ordering::is_ge)
    }),
];

/// What has an order, also numbers of different types.
const COMPARABLE: [(&str, Type, Type); 14] = [
    ("bool", Type::Bool, Type::Bool),
    ("int64", Type::Int, Type::Int),
    ("int64_double", Type::Int, Type::Double),
    ("int64_uint64", Type::Int, Type::Uint),
    ("uint64", Type::Uint, Type::Uint),
    ("uint64_double", Type::Uint, Type::Double),
    ("uint64_int64", Type::Uint, Type::Int),
    ("double", Type::Double, Type::Double),
    ("double_int64", Type::Double, Type::Int),
    ("double_uint64", Type::Double, Type::Uint),
    ("string", Type::String, Type::String),
    ("bytes", Type::Bytes, Type::Bytes),
    ("timestamp", Type::Timestamp, Type::Timestamp),
    ("duration", Type::Duration, Type::Duration),
];

/// Of texts and bytes the id counts, for the cost is that of reading them.
fn comparison(order: &'static str, suffix: &str) -> &'static str {
    match (order, suffix) {
        ("less", "string") => "less_string",
        ("less_equals", "string") => "less_equals_string",
        ("greater", "string") => "greater_string",
        ("greater_equals", "string") => "greater_equals_string",
        ("less", "bytes") => "less_bytes",
        ("less_equals", "bytes") => "less_equals_bytes",
        ("greater", "bytes") => "greater_bytes",
        ("greater_equals", "bytes") => "greater_equals_bytes",
        (other, _) => other,
    }
}

fn order<'a>(args: &[Value<'a>], holds: fn(Ordering) -> bool) -> Result<Value<'a>, Error> {
    match args {
        // What is no number is neither less nor greater.
        [left, right] => Ok(Value::Bool(left.order(right)?.is_some_and(holds))),
        _ => Err(Error::NoSuchOverload),
    }
}
