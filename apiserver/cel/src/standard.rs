//! CEL's own functions, which every environment has.

mod arithmetic;
mod conversion;
mod operator;
mod optional;
mod string;
mod time;
mod time_text;

pub(crate) use arithmetic::append;
pub(crate) use conversion::text;
pub(crate) use operator::insert;
pub(crate) use time_text::{duration_text, parse_duration, parse_timestamp, timestamp_text};

use crate::function::Overload;
use crate::types::Type;

pub(crate) fn overloads() -> Vec<Overload> {
    let all = [
        operator::overloads(),
        arithmetic::overloads(),
        conversion::overloads(),
        string::overloads(),
        time::overloads(),
        optional::overloads(),
    ];
    all.concat()
}

/// The types that expressions can name.
pub(crate) fn types() -> Vec<Type> {
    let any = || Type::Dyn;
    vec![
        Type::Bool,
        Type::Bytes,
        Type::Double,
        Type::Int,
        Type::Uint,
        Type::String,
        Type::Null,
        Type::Timestamp,
        Type::Duration,
        Type::list(any()),
        Type::map(any(), any()),
        Type::optional(any()),
        Type::of_type(any()),
    ]
}
