//! Values as Go's `fmt` prints them, which is how clients know some errors.

use serde_json::{Number, Value};
use std::fmt::Write;

/// A value as `%v` prints it.
pub fn go_format(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".into(),
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) => of_number(number),
        Value::String(text) => text.clone(),
        Value::Array(list) => {
            let parts: Vec<String> = list.iter().map(go_format).collect();
            format!("[{}]", parts.join(" "))
        }
        Value::Object(map) => {
            let parts: Vec<String> = map
                .iter()
                .map(|(k, v)| format!("{k}:{}", go_format(v)))
                .collect();
            format!("map[{}]", parts.join(" "))
        }
    }
}

/// A value as `%#v` prints it: as it would be written in a program.
pub(crate) fn go_syntax(value: &Value) -> String {
    let below = |value: &Value| match value {
        Value::Null => "interface {}(nil)".into(),
        value => go_syntax(value),
    };
    match value {
        Value::String(text) => quoted(text),
        Value::Array(list) => {
            let parts: Vec<String> = list.iter().map(below).collect();
            format!("[]interface {{}}{{{}}}", parts.join(", "))
        }
        Value::Object(map) => {
            let parts: Vec<String> = map
                .iter()
                .map(|(k, v)| format!("{}:{}", quoted(k), below(v)))
                .collect();
            format!("map[string]interface {{}}{{{}}}", parts.join(", "))
        }
        other => go_format(other),
    }
}

/// The type of a value as `%T` prints it.
pub(crate) fn go_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "<nil>",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float64",
        Value::Number(_) => "int64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}

/// Whole numbers as they are, others as `%g` prints them: with an exponent if that is less
/// than -4 or more than 5.
fn of_number(number: &Number) -> String {
    let Some(float) = number.as_f64().filter(|_| !number.is_i64()) else {
        return number.to_string();
    };
    let exact = format!("{float:e}");
    let (digits, exponent) = exact.split_once('e').unwrap_or((&exact, "0"));
    match exponent.parse::<i32>().unwrap_or_default() {
        -4..=5 => float.to_string(),
        exponent => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{digits}e{sign}{:02}", exponent.unsigned_abs())
        }
    }
}

/// `strconv.Quote`
fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for c in text.chars() {
        let escaped = match c {
            '"' => "\\\"",
            '\\' => "\\\\",
            '\u{7}' => "\\a",
            '\u{8}' => "\\b",
            '\u{b}' => "\\v",
            '\u{c}' => "\\f",
            '\n' => "\\n",
            '\r' => "\\r",
            '\t' => "\\t",
            _ => "",
        };
        // Writing to a String can't fail.
        let _ = match u32::from(c) {
            _ if !escaped.is_empty() => quoted.write_str(escaped),
            code if code < 0x20 || code == 0x7f => write!(quoted, "\\x{code:02x}"),
            _ if is_printable(c) => quoted.write_char(c),
            code if code < 0x1_0000 => write!(quoted, "\\u{code:04x}"),
            code => write!(quoted, "\\U{code:08x}"),
        };
    }
    quoted.push('"');
    quoted
}

/// Whether Go shows a character as it is. Rust shows the same, but for marks, which it shows
/// behind what they mark only.
fn is_printable(c: char) -> bool {
    !format!("{:?}", format!("a{c}")).contains("\\u{")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// What `fmt` of Go 1.19 printed for each of these, decoded from JSON.
    #[test]
    fn as_go_prints_them() {
        for (json, syntax, plain) in [
            ("1", "1", "1"),
            ("-1", "-1", "-1"),
            ("1.5", "1.5", "1.5"),
            ("1e6", "1e+06", "1e+06"),
            ("123456.5", "123456.5", "123456.5"),
            ("1234567.5", "1.2345675e+06", "1.2345675e+06"),
            ("0.00001", "1e-05", "1e-05"),
            ("0.0001", "0.0001", "0.0001"),
            ("1e21", "1e+21", "1e+21"),
            ("1e300", "1e+300", "1e+300"),
            ("1.0", "1", "1"),
            ("100000000000000000000.0", "1e+20", "1e+20"),
            ("true", "true", "true"),
            (r#""a\"b""#, r#""a\"b""#, r#"a"b"#),
            (
                r#""é\n\t\u0001\u007f\u200b😀""#,
                r#""é\n\t\x01\x7f\u200b😀""#,
                "é\n\t\u{1}\u{7f}\u{200b}😀",
            ),
            (
                r#"["a",1,1.5,null,true,{"b":"c"}]"#,
                r#"[]interface {}{"a", 1, 1.5, interface {}(nil), true, map[string]interface {}{"b":"c"}}"#,
                "[a 1 1.5 <nil> true map[b:c]]",
            ),
            (
                r#"{"b":1,"a":"x y","c":null,"d":[],"e":{}}"#,
                r#"map[string]interface {}{"a":"x y", "b":1, "c":interface {}(nil), "d":[]interface {}{}, "e":map[string]interface {}{}}"#,
                "map[a:x y b:1 c:<nil> d:[] e:map[]]",
            ),
        ] {
            let value: Value = serde_json::from_str(json).unwrap();
            assert_eq!(go_syntax(&value), syntax);
            assert_eq!(go_format(&value), plain);
        }
        let types = [
            json!(1),
            json!(1.5),
            json!(true),
            json!(""),
            json!([]),
            json!({}),
        ];
        assert_eq!(
            types.each_ref().map(go_type),
            [
                "int64",
                "float64",
                "bool",
                "string",
                "[]interface {}",
                "map[string]interface {}"
            ]
        );
    }
}
