//! `size`, and what texts are asked: `contains`, `startsWith`, `endsWith`, `matches`.

use crate::regex::Pattern;
use crate::{Error, Overload, Type, Value};

/// The functions of this file.
pub(crate) fn overloads() -> Vec<Overload> {
    let list = || Type::list(Type::Param("A"));
    let map = || Type::map(Type::Param("A"), Type::Param("B"));
    let text =
        |name, id, call| Overload::member(name, id, [Type::String, Type::String], Type::Bool, call);
    vec![
        Overload::global("size", "size_bytes", [Type::Bytes], Type::Int, size),
        Overload::member("size", "bytes_size", [Type::Bytes], Type::Int, size),
        Overload::global("size", "size_list", [list()], Type::Int, size),
        Overload::member("size", "list_size", [list()], Type::Int, size),
        Overload::global("size", "size_map", [map()], Type::Int, size),
        Overload::member("size", "map_size", [map()], Type::Int, size),
        Overload::global("size", "size_string", [Type::String], Type::Int, size),
        Overload::member("size", "string_size", [Type::String], Type::Int, size),
        text("contains", "contains_string", |args| {
            texts(args, |text, part| text.contains(part))
        }),
        text("startsWith", "starts_with_string", |args| {
            texts(args, |text, part| text.starts_with(part))
        }),
        text("endsWith", "ends_with_string", |args| {
            texts(args, |text, part| text.ends_with(part))
        }),
        text("matches", "matches_string", matches).with_pattern(),
        Overload::global(
            "matches",
            "matches",
            [Type::String, Type::String],
            Type::Bool,
            matches,
        )
        .with_pattern(),
    ]
}

fn size<'a>(args: &[Value<'a>]) -> Result<Value<'a>, Error> {
    match args {
        // Values of libraries have a size for costs alone.
        [Value::Opaque(_)] => Err(Error::NoSuchOverload),
        [value] => match value.size() {
            Some(size) => Ok(Value::Int(size as i64)),
            None => Err(Error::NoSuchOverload),
        },
        _ => Err(Error::NoSuchOverload),
    }
}

fn texts<'a>(args: &[Value<'a>], holds: fn(&str, &str) -> bool) -> Result<Value<'a>, Error> {
    match args {
        [Value::String(text), Value::String(part)] => Ok(holds(text, part).into()),
        _ => Err(Error::NoSuchOverload),
    }
}

fn matches<'a>(args: &[Value<'a>]) -> Result<Value<'a>, Error> {
    match args {
        [Value::String(text), pattern] => Ok(Pattern::in_argument(pattern)?.is_match(text).into()),
        _ => Err(Error::NoSuchOverload),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_those_of_characters_bytes_and_elements() {
        for (value, expected) in [
            (Value::string("four"), 4),
            (Value::string("\u{65e5}\u{672c}\u{8a9e}"), 3),
            (Value::Bytes(b"\x00\x01\x02"[..].into()), 3),
            (Value::list(vec![Value::Null, Value::Null]), 2),
            (Value::list(vec![]), 0),
        ] {
            assert_eq!(size(&[value]).unwrap().as_int(), Some(expected));
        }
        assert_eq!(size(&[Value::Int(1)]).unwrap_err(), Error::NoSuchOverload);
    }

    #[test]
    fn a_pattern_may_match_anywhere() {
        for (text, pattern, expected) in [
            ("hubba", "ubb", true),
            ("hubba", "^ubb", false),
            ("", "x*", true),
            ("c\u{301}", "^..$", true),
        ] {
            let result = matches(&[Value::string(text), Value::string(pattern)]).unwrap();
            assert_eq!(result.as_bool(), Some(expected), "{text} {pattern}");
        }
        assert!(matches(&[Value::string("a"), Value::string("(")]).is_err());
    }
}
