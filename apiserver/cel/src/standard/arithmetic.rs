//! Arithmetic: numbers, whose overflow is an error, times, and what is put together by `+`.

use crate::error::Error;
use crate::function::Overload;
use crate::types::Type;
use crate::value::Value;
use jiff::SignedDuration;
use jiff::civil::DateTime;

type Result<T> = std::result::Result<T, Error>;

pub(super) fn overloads() -> Vec<Overload> {
    let numbers = |name, ids: [&'static str; 3], call| {
        let types = [Type::Int, Type::Uint, Type::Double];
        ids.into_iter()
            .zip(types)
            .map(move |(id, of)| Overload::global(name, id, [of.clone(), of.clone()], of, call))
    };
    let mut all = Vec::new();
    all.extend(numbers(
        "_+_",
        ["add_int64", "add_uint64", "add_double"],
        add,
    ));
    let names = ["subtract_int64", "subtract_uint64", "subtract_double"];
    all.extend(numbers("_-_", names, subtract));
    let names = ["multiply_int64", "multiply_uint64", "multiply_double"];
    all.extend(numbers("_*_", names, multiply));
    let names = ["divide_int64", "divide_uint64", "divide_double"];
    all.extend(numbers("_/_", names, divide));
    let names = ["modulo_int64", "modulo_uint64"];
    for (id, of) in names.into_iter().zip([Type::Int, Type::Uint]) {
        let params = [of.clone(), of.clone()];
        all.push(Overload::global("_%_", id, params, of, modulo));
    }
    for (id, of) in [("negate_int64", Type::Int), ("negate_double", Type::Double)] {
        all.push(Overload::global("-_", id, [of.clone()], of, negate));
    }
    let list = || Type::list(Type::Param("A"));
    let (time, length) = (|| Type::Timestamp, || Type::Duration);
    for (id, left, right, result) in [
        ("add_string", Type::String, Type::String, Type::String),
        ("add_bytes", Type::Bytes, Type::Bytes, Type::Bytes),
        ("add_list", list(), list(), list()),
        ("add_timestamp_duration", time(), length(), time()),
        ("add_duration_timestamp", length(), time(), time()),
        ("add_duration_duration", length(), length(), length()),
    ] {
        all.push(Overload::global("_+_", id, [left, right], result, add));
    }
    for (id, left, right, result) in [
        ("subtract_timestamp_timestamp", time(), time(), length()),
        ("subtract_timestamp_duration", time(), length(), time()),
        ("subtract_duration_duration", length(), length(), length()),
    ] {
        all.push(Overload::global("_-_", id, [left, right], result, subtract));
    }
    all
}

fn int<'a>(number: Option<i64>) -> Result<Value<'a>> {
    number.map(Value::Int).ok_or(Error::IntegerOverflow)
}

fn uint<'a>(number: Option<u64>) -> Result<Value<'a>> {
    number.map(Value::Uint).ok_or(Error::UnsignedOverflow)
}

/// A length of time, which is of an `int64` of nanoseconds.
fn length<'a>(duration: Option<SignedDuration>) -> Result<Value<'a>> {
    duration
        .filter(|duration| i64::try_from(duration.as_nanos()).is_ok())
        .map(Value::Duration)
        .ok_or_else(|| Error::function("duration overflow"))
}

fn time<'a>(time: std::result::Result<DateTime, jiff::Error>) -> Result<Value<'a>> {
    let time = time.ok().filter(|time| time.year() >= 1);
    time.map(Value::Timestamp)
        .ok_or_else(|| Error::function("timestamp overflow"))
}

fn add<'a>(args: &[Value<'a>]) -> Result<Value<'a>> {
    match args {
        [Value::Int(a), Value::Int(b)] => int(a.checked_add(*b)),
        [Value::Uint(a), Value::Uint(b)] => uint(a.checked_add(*b)),
        [Value::Double(a), Value::Double(b)] => Ok(Value::Double(a + b)),
        [Value::String(a), Value::String(b)] => Ok(Value::string(format!("{}{}", &**a, &**b))),
        [Value::Bytes(a), Value::Bytes(b)] => Ok(Value::Bytes([&**a, &**b].concat().into())),
        [list @ Value::List(_), more] => append(list.clone(), more),
        [Value::Timestamp(at), Value::Duration(by)]
        | [Value::Duration(by), Value::Timestamp(at)] => time(at.checked_add(*by)),
        [Value::Duration(a), Value::Duration(b)] => length(a.checked_add(*b)),
        _ => Err(Error::NoSuchOverload),
    }
}

/// A list and another after it.
pub(crate) fn append<'a>(list: Value<'a>, more: &Value<'a>) -> Result<Value<'a>> {
    match (list, more) {
        (Value::List(list), Value::List(more)) => list.add(more).map(Value::List),
        _ => Err(Error::NoSuchOverload),
    }
}

fn subtract<'a>(args: &[Value<'a>]) -> Result<Value<'a>> {
    match args {
        [Value::Int(a), Value::Int(b)] => int(a.checked_sub(*b)),
        [Value::Uint(a), Value::Uint(b)] => uint(a.checked_sub(*b)),
        [Value::Double(a), Value::Double(b)] => Ok(Value::Double(a - b)),
        [Value::Timestamp(a), Value::Timestamp(b)] => length(Some(a.duration_since(*b))),
        [Value::Timestamp(at), Value::Duration(by)] => time(at.checked_sub(*by)),
        [Value::Duration(a), Value::Duration(b)] => length(a.checked_sub(*b)),
        _ => Err(Error::NoSuchOverload),
    }
}

fn multiply<'a>(args: &[Value<'a>]) -> Result<Value<'a>> {
    match args {
        [Value::Int(a), Value::Int(b)] => int(a.checked_mul(*b)),
        [Value::Uint(a), Value::Uint(b)] => uint(a.checked_mul(*b)),
        [Value::Double(a), Value::Double(b)] => Ok(Value::Double(a * b)),
        _ => Err(Error::NoSuchOverload),
    }
}

fn divide<'a>(args: &[Value<'a>]) -> Result<Value<'a>> {
    match args {
        [Value::Int(_), Value::Int(0)] | [Value::Uint(_), Value::Uint(0)] => {
            Err(Error::DivisionByZero)
        }
        [Value::Int(a), Value::Int(b)] => int(a.checked_div(*b)),
        [Value::Uint(a), Value::Uint(b)] => uint(a.checked_div(*b)),
        [Value::Double(a), Value::Double(b)] => Ok(Value::Double(a / b)),
        _ => Err(Error::NoSuchOverload),
    }
}

fn modulo<'a>(args: &[Value<'a>]) -> Result<Value<'a>> {
    match args {
        [Value::Int(_), Value::Int(0)] | [Value::Uint(_), Value::Uint(0)] => {
            Err(Error::ModulusByZero)
        }
        [Value::Int(a), Value::Int(b)] => int(a.checked_rem(*b)),
        [Value::Uint(a), Value::Uint(b)] => uint(a.checked_rem(*b)),
        _ => Err(Error::NoSuchOverload),
    }
}

fn negate<'a>(args: &[Value<'a>]) -> Result<Value<'a>> {
    match args {
        [Value::Int(number)] => int(number.checked_neg()),
        [Value::Double(number)] => Ok(Value::Double(-number)),
        _ => Err(Error::NoSuchOverload),
    }
}
