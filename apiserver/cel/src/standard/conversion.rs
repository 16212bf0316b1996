//! Conversions: `int(x)`, `string(x)` and the others, `type(x)` and `dyn(x)`.

use super::time_text::{
    duration_text, from_unix_seconds, parse_duration, parse_timestamp, timestamp_text, unix_seconds,
};
use crate::{Call, Error, Overload, Type, Value};
use jiff::SignedDuration;

/// The functions of this file.
pub(crate) fn overloads() -> Vec<Overload> {
    let to = |name: &'static str, result: Type, call: Call, from: Vec<(&'static str, Type)>| {
        from.into_iter()
            .map(move |(id, param)| Overload::global(name, id, [param], result.clone(), call))
    };
    let mut all = Vec::new();
    all.extend(to(
        "int",
        Type::Int,
        int,
        vec![
            ("int64_to_int64", Type::Int),
            ("double_to_int64", Type::Double),
            ("duration_to_int64", Type::Duration),
            ("string_to_int64", Type::String),
            ("timestamp_to_int64", Type::Timestamp),
            ("uint64_to_int64", Type::Uint),
        ],
    ));
    all.extend(to(
        "uint",
        Type::Uint,
        uint,
        vec![
            ("uint64_to_uint64", Type::Uint),
            ("double_to_uint64", Type::Double),
            ("int64_to_uint64", Type::Int),
            ("string_to_uint64", Type::String),
        ],
    ));
    all.extend(to(
        "double",
        Type::Double,
        double,
        vec![
            ("double_to_double", Type::Double),
            ("int64_to_double", Type::Int),
            ("string_to_double", Type::String),
            ("uint64_to_double", Type::Uint),
        ],
    ));
    all.extend(to(
        "string",
        Type::String,
        string,
        vec![
            ("string_to_string", Type::String),
            ("bool_to_string", Type::Bool),
            ("bytes_to_string", Type::Bytes),
            ("double_to_string", Type::Double),
            ("duration_to_string", Type::Duration),
            ("int64_to_string", Type::Int),
            ("timestamp_to_string", Type::Timestamp),
            ("uint64_to_string", Type::Uint),
        ],
    ));
    all.extend(to(
        "bytes",
        Type::Bytes,
        bytes,
        vec![
            ("bytes_to_bytes", Type::Bytes),
            ("string_to_bytes", Type::String),
        ],
    ));
    all.extend(to(
        "bool",
        Type::Bool,
        truth,
        vec![
            ("bool_to_bool", Type::Bool),
            ("string_to_bool", Type::String),
        ],
    ));
    all.extend(to(
        "duration",
        Type::Duration,
        duration,
        vec![
            ("duration_to_duration", Type::Duration),
            ("int64_to_duration", Type::Int),
            ("string_to_duration", Type::String),
        ],
    ));
    all.extend(to(
        "timestamp",
        Type::Timestamp,
        timestamp,
        vec![
            ("timestamp_to_timestamp", Type::Timestamp),
            ("int64_to_timestamp", Type::Int),
            ("string_to_timestamp", Type::String),
        ],
    ));
    let any = || Type::Param("A");
    all.push(Overload::global(
        "type",
        "type",
        [any()],
        Type::of_type(any()),
        kind,
    ));
    all.push(Overload::global("dyn", "to_dyn", [any()], Type::Dyn, same));
    all
}

fn no_conversion(to: &str) -> Error {
    Error::function(format!("type conversion error from 'string' to '{to}'"))
}

fn int<'a>(args: &[Value<'a>]) -> Result<Value<'a>, Error> {
    let [value] = args else {
        return Err(Error::NoSuchOverload);
    };
    Ok(Value::Int(match value {
        Value::Int(number) => *number,
        Value::Uint(number) => i64::try_from(*number).map_err(|_| Error::IntegerOverflow)?,
        // The bounds themselves are refused, as in cel-go: they may have been rounded.
        Value::Double(number) if *number > i64::MIN as f64 && *number < i64::MAX as f64 => {
            *number as i64
        }
        Value::Double(_) => return Err(Error::IntegerOverflow),
        Value::Duration(duration) => {
            i64::try_from(duration.as_nanos()).map_err(|_| Error::IntegerOverflow)?
        }
        Value::String(text) => text.parse().map_err(|_| no_conversion("int"))?,
        Value::Timestamp(time) => unix_seconds(*time),
        _ => return Err(Error::NoSuchOverload),
    }))
}

fn uint<'a>(args: &[Value<'a>]) -> Result<Value<'a>, Error> {
    /// 2⁶⁴.
    const END: f64 = 18_446_744_073_709_551_616.0;
    let [value] = args else {
        return Err(Error::NoSuchOverload);
    };
    Ok(Value::Uint(match value {
        Value::Uint(number) => *number,
        Value::Int(number) => u64::try_from(*number).map_err(|_| Error::UnsignedOverflow)?,
        Value::Double(number) if (0.0..END).contains(number) => *number as u64,
        Value::Double(_) => return Err(Error::UnsignedOverflow),
        Value::String(text) if !text.starts_with('+') => {
            text.parse().map_err(|_| no_conversion("uint"))?
        }
        Value::String(_) => return Err(no_conversion("uint")),
        _ => return Err(Error::NoSuchOverload),
    }))
}

fn double<'a>(args: &[Value<'a>]) -> Result<Value<'a>, Error> {
    let [value] = args else {
        return Err(Error::NoSuchOverload);
    };
    Ok(Value::Double(match value {
        Value::Double(number) => *number,
        Value::Int(number) => *number as f64,
        Value::Uint(number) => *number as f64,
        Value::String(text) => parse_double(text).ok_or_else(|| no_conversion("double"))?,
        _ => return Err(Error::NoSuchOverload),
    }))
}

/// A number; what is too large for a double is none, but infinity by its name is. As in Go,
/// `_` may stand between digits.
fn parse_double(text: &str) -> Option<f64> {
    let separates = |at: usize| {
        let digit = |at: Option<usize>| at.and_then(|at| text.as_bytes().get(at));
        [at.checked_sub(1), at.checked_add(1)]
            .into_iter()
            .all(|at| digit(at).is_some_and(u8::is_ascii_digit))
    };
    if !text.match_indices('_').all(|(at, _)| separates(at)) {
        return None;
    }
    let number: f64 = text.replace('_', "").parse().ok()?;
    let named = text.contains(['i', 'I']);
    (number.is_finite() || number.is_nan() || named).then_some(number)
}

fn string<'a>(args: &[Value<'a>]) -> Result<Value<'a>, Error> {
    match args {
        [Value::String(text)] => Ok(Value::String(text.clone())),
        [Value::Bytes(bytes)] => match std::str::from_utf8(bytes) {
            Ok(text) => Ok(Value::string(text.to_owned())),
            Err(_) => Err(Error::function(
                "invalid UTF-8 in bytes, cannot convert to string",
            )),
        },
        [Value::Type(_)] => Err(Error::NoSuchOverload),
        [value] => text(value).map(Value::string).ok_or(Error::NoSuchOverload),
        _ => Err(Error::NoSuchOverload),
    }
}

/// A value as text, if it is of a type that has one.
pub(crate) fn text(value: &Value) -> Option<String> {
    Some(match value {
        Value::Bool(truth) => truth.to_string(),
        Value::Int(number) => number.to_string(),
        Value::Uint(number) => number.to_string(),
        Value::Double(number) => double_text(*number),
        Value::String(text) => text.to_string(),
        Value::Bytes(bytes) => std::str::from_utf8(bytes).ok()?.to_owned(),
        Value::Timestamp(time) => timestamp_text(*time),
        Value::Duration(duration) => duration_text(*duration),
        Value::Type(of) => of.name().to_owned(),
        _ => return None,
    })
}

/// A double as Go's `%g` writes it: `2.5`, `1e+06`, `2e-09`, `+Inf`.
fn double_text(number: f64) -> String {
    if number.is_nan() {
        return "NaN".into();
    }
    if number.is_infinite() {
        return if number > 0.0 { "+Inf" } else { "-Inf" }.into();
    }
    // The fewest digits that are this number, and the power of ten of the first.
    let scientific = format!("{number:e}");
    let Some((digits, power)) = scientific.split_once('e') else {
        return scientific;
    };
    match power.parse::<i32>() {
        Ok(power) if !(-4..6).contains(&power) => {
            let sign = if power < 0 { '-' } else { '+' };
            format!("{digits}e{sign}{:02}", power.unsigned_abs())
        }
        _ => format!("{number}"),
    }
}

fn bytes<'a>(args: &[Value<'a>]) -> Result<Value<'a>, Error> {
    match args {
        [Value::Bytes(bytes)] => Ok(Value::Bytes(bytes.clone())),
        [Value::String(text)] => Ok(Value::Bytes(text.as_bytes().into())),
        _ => Err(Error::NoSuchOverload),
    }
}

fn truth<'a>(args: &[Value<'a>]) -> Result<Value<'a>, Error> {
    match args {
        [Value::Bool(truth)] => Ok(Value::Bool(*truth)),
        [Value::String(text)] => match &**text {
            "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(Value::Bool(true)),
            "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(Value::Bool(false)),
            _ => Err(no_conversion("bool")),
        },
        _ => Err(Error::NoSuchOverload),
    }
}

fn duration<'a>(args: &[Value<'a>]) -> Result<Value<'a>, Error> {
    match args {
        [Value::Duration(duration)] => Ok(Value::Duration(*duration)),
        [Value::Int(nanoseconds)] => Ok(Value::Duration(SignedDuration::from_nanos(*nanoseconds))),
        [Value::String(text)] => parse_duration(text).map(Value::Duration),
        _ => Err(Error::NoSuchOverload),
    }
}

fn timestamp<'a>(args: &[Value<'a>]) -> Result<Value<'a>, Error> {
    match args {
        [Value::Timestamp(time)] => Ok(Value::Timestamp(*time)),
        [Value::Int(seconds)] => from_unix_seconds(*seconds).map(Value::Timestamp),
        [Value::String(text)] => parse_timestamp(text).map(Value::Timestamp),
        _ => Err(Error::NoSuchOverload),
    }
}

fn kind<'a>(args: &[Value<'a>]) -> Result<Value<'a>, Error> {
    match args {
        [value] => Ok(Value::Type(value.type_of())),
        _ => Err(Error::NoSuchOverload),
    }
}

fn same<'a>(args: &[Value<'a>]) -> Result<Value<'a>, Error> {
    match args {
        [value] => Ok(value.clone()),
        _ => Err(Error::NoSuchOverload),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words<'a>(result: Result<Value<'a>, Error>) -> Result<String, String> {
        match result {
            Ok(Value::Bytes(bytes)) => Ok(format!("{bytes:?}")),
            Ok(value) => text(&value).ok_or_else(|| format!("{value:?}")),
            Err(error) => Err(error.to_string()),
        }
    }

    // The specification's cases, and cel-go's words.
    #[test]
    fn integers() {
        let overflow = Err("integer overflow".to_owned());
        let none = Err("type conversion error from 'string' to 'int'".to_owned());
        for (value, expected) in [
            (Value::Uint(42), Ok("42")),
            (Value::Double(123.456), Ok("123")),
            (Value::Double(-7.9), Ok("-7")),
            (Value::string("-987"), Ok("-987")),
            (
                Value::Timestamp(from_unix_seconds(1_095_379_199).unwrap()),
                Ok("1095379199"),
            ),
            (Value::Uint(u64::MAX), Err(&overflow)),
            (Value::Double(1e99), Err(&overflow)),
            (Value::Double(f64::NAN), Err(&overflow)),
            (Value::Double(9_223_372_036_854_775_807.0), Err(&overflow)),
            (Value::string("1.5"), Err(&none)),
            (Value::string("9223372036854775808"), Err(&none)),
        ] {
            let expected = expected.map(str::to_owned).or_else(Clone::clone);
            assert_eq!(
                words(int(std::slice::from_ref(&value))),
                expected,
                "{value:?}"
            );
        }
        let overflow = Err("unsigned integer overflow".to_owned());
        let none = Err("type conversion error from 'string' to 'uint'".to_owned());
        for (value, expected) in [
            (Value::Int(1729), Ok("1729")),
            (Value::Double(1.9), Ok("1")),
            (Value::string("300"), Ok("300")),
            (Value::Int(-1), Err(&overflow)),
            (Value::Double(6.022e23), Err(&overflow)),
            (Value::string("-1"), Err(&none)),
            (Value::string("+1"), Err(&none)),
        ] {
            let expected = expected.map(str::to_owned).or_else(Clone::clone);
            assert_eq!(
                words(uint(std::slice::from_ref(&value))),
                expected,
                "{value:?}"
            );
        }
    }

    #[test]
    fn doubles() {
        for (number, expected) in [
            (0.0, "0"),
            (-0.5, "-0.5"),
            (2e-9, "2e-09"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (123.456, "123.456"),
            (123_456.7, "123456.7"),
            (1_234_567.0, "1.234567e+06"),
            (1e300, "1e+300"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
            (f64::NAN, "NaN"),
        ] {
            assert_eq!(double_text(number), expected);
        }
        for (text, number) in [
            ("6.02214e23", 6.02214e23),
            ("-1", -1.0),
            ("1_000.5", 1000.5),
            ("Infinity", f64::INFINITY),
        ] {
            assert_eq!(parse_double(text), Some(number), "{text}");
        }
        assert!(parse_double("NaN").unwrap().is_nan());
        for text in ["", "1,5", "1e999", "one", "_1", "1_", "1__0"] {
            assert_eq!(parse_double(text), None, "{text}");
        }
    }

    #[test]
    fn texts_and_truth() {
        let bad = Value::Bytes(b"\xff"[..].into());
        assert_eq!(
            words(string(&[bad])),
            Err("invalid UTF-8 in bytes, cannot convert to string".into())
        );
        let good = Value::Bytes(b"\xc3\xbf"[..].into());
        assert_eq!(words(string(&[good])), Ok("\u{ff}".into()));
        assert_eq!(
            words(bytes(&[Value::string("\u{ff}")])),
            Ok("[195, 191]".into())
        );
        for text in ["1", "t", "T", "true", "TRUE", "True"] {
            assert_eq!(words(truth(&[Value::string(text)])), Ok("true".into()));
        }
        for text in ["TrUe", "yes", ""] {
            assert_eq!(
                words(truth(&[Value::string(text)])),
                Err("type conversion error from 'string' to 'bool'".into())
            );
        }
        assert_eq!(string(&[Value::Null]).unwrap_err(), Error::NoSuchOverload);
    }

    #[test]
    fn types_are_values() {
        assert_eq!(
            words(kind(&[Value::Timestamp(from_unix_seconds(0).unwrap())])),
            Ok("google.protobuf.Timestamp".into())
        );
        assert_eq!(words(kind(&[Value::Null])), Ok("null_type".into()));
        assert_eq!(words(kind(&[Value::Type(Type::Int)])), Ok("type".into()));
    }
}
