//! Functions of texts. cel-go's `ext.Strings`, version 2. Positions are those of
//! characters, not of bytes.

use super::costs::{
    TRAVERSAL, estimate_copy, estimate_read, estimate_read_twice, read, read_twice, scaled, size_of,
};
use super::lists;
use super::string_format::format;
use crate::cost::SizeRange;
use crate::{CallEstimate, Constant, Error, Operand, Overload, Type, Value};

pub(super) fn overloads() -> Vec<Overload> {
    use Type::{Int, String};
    let texts = || Type::list(String);
    vec![
        Overload::member(
            "charAt",
            "string_char_at_int",
            [String, Int],
            String,
            char_at,
        ),
        Overload::member(
            "indexOf",
            "string_index_of_string",
            [String, String],
            Int,
            index_of,
        )
        .costs(|args, _| lists::cost(args), lists::estimate),
        Overload::member(
            "indexOf",
            "string_index_of_string_int",
            [String, String, Int],
            Int,
            index_of,
        )
        .costs(|args, _| lists::cost(args), lists::estimate),
        Overload::member(
            "lastIndexOf",
            "string_last_index_of_string",
            [String, String],
            Int,
            last_index_of,
        )
        .costs(|args, _| lists::cost(args), lists::estimate),
        Overload::member(
            "lastIndexOf",
            "string_last_index_of_string_int",
            [String, String, Int],
            Int,
            last_index_of,
        )
        .costs(|args, _| lists::cost(args), lists::estimate),
        Overload::member(
            "lowerAscii",
            "string_lower_ascii",
            [String],
            String,
            |args| changed(args, |text| text.to_ascii_lowercase()),
        )
        .costs(read, estimate_copy),
        Overload::member(
            "upperAscii",
            "string_upper_ascii",
            [String],
            String,
            |args| changed(args, |text| text.to_ascii_uppercase()),
        )
        .costs(read, estimate_copy),
        Overload::member("trim", "string_trim", [String], String, |args| {
            changed(args, |text| text.trim().to_owned())
        })
        .costs(read, estimate_copy),
        Overload::member(
            "substring",
            "string_substring_int",
            [String, Int],
            String,
            substring,
        )
        .costs(read, estimate_copy),
        Overload::member(
            "substring",
            "string_substring_int_int",
            [String, Int, Int],
            String,
            substring,
        )
        .costs(read, estimate_copy),
        Overload::member(
            "replace",
            "string_replace_string_string",
            [String, String, String],
            String,
            replace,
        )
        .costs(read_twice, estimate_replace),
        Overload::member(
            "replace",
            "string_replace_string_string_int",
            [String, String, String, Int],
            String,
            replace,
        )
        .costs(read_twice, estimate_replace),
        Overload::member(
            "split",
            "string_split_string",
            [String, String],
            texts(),
            split,
        )
        .costs(read_twice, estimate_split),
        Overload::member(
            "split",
            "string_split_string_int",
            [String, String, Int],
            texts(),
            split,
        )
        .costs(read_twice, estimate_split),
        Overload::member("join", "list_join", [texts()], String, join)
            .costs(cost_of_join, estimate_join),
        Overload::member("join", "list_join_string", [texts(), String], String, join)
            .costs(cost_of_join, estimate_join),
        Overload::member(
            "format",
            "string_format",
            [String, Type::list(Type::Dyn)],
            String,
            format,
        )
        .costs(read, estimate_read),
        Overload::global("strings.quote", "strings_quote", [String], String, |args| {
            changed(args, quoted)
        })
        .costs(read, |operands| {
            let size = size_of(operands, 0);
            // Two quotes, and at most every character is escaped.
            let result = size
                .plus(SizeRange::new(0, size.max))
                .plus(SizeRange::fixed(2));
            CallEstimate {
                result: Some(result),
                ..estimate_read(operands)
            }
        }),
    ]
}

fn out_of_range(index: i64) -> Error {
    Error::function(format!("index out of range: {index}"))
}

/// The byte at which the character of an index begins; the end has an index too.
fn byte_of(text: &str, index: i64) -> Result<usize, Error> {
    let begins = text.char_indices().map(|(byte, _)| byte);
    usize::try_from(index)
        .ok()
        .and_then(|index| begins.chain([text.len()]).nth(index))
        .ok_or_else(|| out_of_range(index))
}

fn char_at<'a>(args: &[Value<'a>]) -> Result<Value<'a>, Error> {
    match args {
        [Value::String(text), Value::Int(index)] => {
            let found = text[byte_of(text, *index)?..].chars().next();
            Ok(Value::string(found.map(String::from).unwrap_or_default()))
        }
        _ => Err(Error::NoSuchOverload),
    }
}

fn index_of<'a>(args: &[Value<'a>]) -> Result<Value<'a>, Error> {
    let (text, part, from) = match args {
        [Value::String(text), Value::String(part)] => (text, part, 0),
        [Value::String(text), Value::String(part), Value::Int(from)] => (text, part, *from),
        _ => return Err(Error::NoSuchOverload),
    };
    if part.is_empty() {
        return Ok(Value::Int(from));
    }
    let start = byte_of(text, from)?;
    if start == text.len() {
        return Err(out_of_range(from));
    }
    let found = text[start..].find(&**part);
    Ok(Value::Int(found.map_or(-1, |byte| {
        from + text[start..start + byte].chars().count() as i64
    })))
}

fn last_index_of<'a>(args: &[Value<'a>]) -> Result<Value<'a>, Error> {
    let (text, part, last) = match args {
        [Value::String(text), Value::String(part)] => (text, part, None),
        [Value::String(text), Value::String(part), Value::Int(last)] => (text, part, Some(*last)),
        _ => return Err(Error::NoSuchOverload),
    };
    let length = text.chars().count() as i64;
    if part.is_empty() {
        return Ok(Value::Int(last.unwrap_or(length)));
    }
    let last = last.unwrap_or(length - 1);
    if !(0..length).contains(&last) {
        return Err(out_of_range(last));
    }
    // It may begin there at the latest.
    let latest = byte_of(text, last)?;
    let end = text.len().min(latest + part.len());
    let whole = (0..=end).rev().find(|end| text.is_char_boundary(*end));
    let found = text[..whole.unwrap_or_default()].rfind(&**part);
    Ok(Value::Int(
        found.map_or(-1, |byte| text[..byte].chars().count() as i64),
    ))
}

fn changed<'a>(args: &[Value<'a>], change: fn(&str) -> String) -> Result<Value<'a>, Error> {
    match args {
        [Value::String(text)] => Ok(Value::string(change(text))),
        _ => Err(Error::NoSuchOverload),
    }
}

fn substring<'a>(args: &[Value<'a>]) -> Result<Value<'a>, Error> {
    let (text, start, end) = match args {
        [Value::String(text), Value::Int(start)] => (text, *start, None),
        [Value::String(text), Value::Int(start), Value::Int(end)] => (text, *start, Some(*end)),
        _ => return Err(Error::NoSuchOverload),
    };
    if let Some(end) = end.filter(|end| start > *end) {
        return Err(Error::function(format!(
            "invalid substring range. start: {start}, end: {end}"
        )));
    }
    let begin = byte_of(text, start)?;
    let end = end.map_or(Ok(text.len()), |end| byte_of(text, end))?;
    Ok(Value::string(text[begin..end].to_owned()))
}

fn replace<'a>(args: &[Value<'a>]) -> Result<Value<'a>, Error> {
    let (text, old, new, limit) = match args {
        [Value::String(text), Value::String(old), Value::String(new)] => (text, old, new, -1),
        [
            Value::String(text),
            Value::String(old),
            Value::String(new),
            Value::Int(limit),
        ] => (text, old, new, *limit),
        _ => return Err(Error::NoSuchOverload),
    };
    // Below zero there is no limit.
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    Ok(Value::string(text.replacen(&**old, new, limit)))
}

fn split<'a>(args: &[Value<'a>]) -> Result<Value<'a>, Error> {
    let (text, separator, limit) = match args {
        [Value::String(text), Value::String(separator)] => (text, separator, -1),
        [
            Value::String(text),
            Value::String(separator),
            Value::Int(limit),
        ] => (text, separator, *limit),
        _ => return Err(Error::NoSuchOverload),
    };
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let parts: Vec<&str> = if limit == 0 {
        Vec::new()
    } else if separator.is_empty() {
        characters(text, limit)
    } else {
        text.splitn(limit, &**separator).collect()
    };
    let parts = parts.into_iter().map(|part| Value::string(part.to_owned()));
    Ok(Value::list(parts.collect()))
}

/// Each character by itself; the last of so many parts is the rest.
fn characters(text: &str, limit: usize) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if parts.len() + 1 == limit {
            parts.push(rest);
            break;
        }
        let (one, others) = rest.split_at(first.len_utf8());
        parts.push(one);
        rest = others;
    }
    parts
}

fn join<'a>(args: &[Value<'a>]) -> Result<Value<'a>, Error> {
    let (list, separator) = match args {
        [Value::List(list)] => (list, ""),
        [Value::List(list), Value::String(separator)] => (list, &**separator),
        _ => return Err(Error::NoSuchOverload),
    };
    let mut joined = String::new();
    for (index, part) in list.iter().enumerate() {
        if index > 0 {
            joined.push_str(separator);
        }
        match part? {
            Value::String(part) => joined.push_str(&part),
            other => {
                return Err(Error::function(format!(
                    "join: invalid input: {}",
                    crate::standard::text(&other).unwrap_or_default()
                )));
            }
        }
    }
    Ok(Value::string(joined))
}

/// A text in double quotes, with its special characters as CEL escapes them.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '\u{7}' => quoted.push_str("\\a"),
            '\u{8}' => quoted.push_str("\\b"),
            '\u{c}' => quoted.push_str("\\f"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\u{b}' => quoted.push_str("\\v"),
            '\\' | '"' => {
                quoted.push('\\');
                quoted.push(c);
            }
            _ => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// What is read is the result, which is also made.
fn cost_of_join<'a>(_: &[Value<'a>], result: Option<&Value<'a>>) -> u64 {
    scaled(result.and_then(Value::size).unwrap_or(1), 2.0 * TRAVERSAL)
}

fn estimate_join(operands: &[Operand]) -> CallEstimate {
    let Some(list) = operands.first() else {
        return SizeRange::UNKNOWN.into();
    };
    let mut size = list.size.times(list.element_size);
    if let Some(separator) = operands.get(1) {
        let between = SizeRange::new(
            list.size.min.saturating_sub(1),
            list.size.max.saturating_sub(1),
        );
        size = size.plus(separator.size.times(between));
    }
    CallEstimate {
        cost: size.scaled(TRAVERSAL),
        result: Some(size),
    }
}

fn estimate_split(operands: &[Operand]) -> CallEstimate {
    let most = match operands.get(2).and_then(|limit| limit.constant) {
        Some(Constant::Int(limit)) => u64::try_from(*limit).unwrap_or(u64::MAX),
        // At most each character is a part.
        _ => size_of(operands, 0).max,
    };
    CallEstimate {
        result: Some(SizeRange::new(0, most)),
        ..estimate_read_twice(operands)
    }
}

fn estimate_replace(operands: &[Operand]) -> CallEstimate {
    let (text, old, new) = (
        size_of(operands, 0),
        size_of(operands, 1),
        size_of(operands, 2),
    );
    CallEstimate {
        result: Some(replaced(text, old, new)),
        ..estimate_read_twice(operands)
    }
}

/// How large a text is after each `old` in it was replaced by `new`.
fn replaced(text: SizeRange, old: SizeRange, new: SizeRange) -> SizeRange {
    // How often it is replaced, and how much of the text remains beside.
    let around = |size: u64| (size.saturating_add(1), size);
    let unchanged = |size: u64| (0, size);
    let within = |size: u64, part: u64| (size.div_ceil(part), 0);
    let (most, kept_at_most) = if old.min == 0 {
        // What is replaced is nothing: the new is put around every character.
        around(text.max)
    } else if new.max <= old.min {
        unchanged(text.max)
    } else {
        within(text.max, old.min)
    };
    let (least, kept_at_least) = if old.max == 0 {
        around(text.min)
    } else if old.max <= new.min {
        unchanged(text.min)
    } else {
        within(text.min, old.max)
    };
    SizeRange::new(least, most)
        .times(new)
        .plus(SizeRange::new(kept_at_least, kept_at_most))
}
