//! What texts without quotes stand for, as go-yaml 2 has it (`resolve.go`).

use serde_json::{Number, Value};

const TRUE: [&str; 9] = [
    "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON",
];
const FALSE: [&str; 9] = [
    "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF",
];
/// Booleans in version 1.1; here they are texts, as those who write them mostly mean.
const OF_ONE_LETTER: [&str; 4] = ["y", "Y", "n", "N"];
const NULL: [&str; 5] = ["", "~", "null", "Null", "NULL"];
/// JSON has no such numbers.
const NO_NUMBER: [&str; 12] = [
    ".nan", ".NaN", ".NAN", ".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF", "-.inf", "-.Inf",
    "-.INF",
];

/// What a plain scalar stands for. Times stay texts.
pub(super) fn plain(text: &str) -> Value {
    if TRUE.contains(&text) {
        return Value::Bool(true);
    }
    if FALSE.contains(&text) {
        return Value::Bool(false);
    }
    if NULL.contains(&text) || NO_NUMBER.contains(&text) {
        return Value::Null;
    }
    number(text).map_or_else(|| text.into(), Value::Number)
}

/// Whether a text without quotes would be taken for something else.
pub(super) fn needs_quotes(text: &str) -> bool {
    !plain(text).is_string()
        || OF_ONE_LETTER.contains(&text)
        || is_time(text)
        || is_sexagesimal(text)
}

fn number(text: &str) -> Option<Number> {
    let first = text.bytes().next()?;
    if !first.is_ascii_digit() && !matches!(first, b'+' | b'-' | b'.') {
        return None;
    }
    let digits = text.replace('_', "");
    if let Some(number) = integer(&digits) {
        return Some(number);
    }
    if !is_float(&digits) {
        return None;
    }
    let float: f64 = digits.parse().ok()?;
    // Go writes a float without a fraction as an integer.
    match float.fract() == 0.0 && float.abs() < 9e18 {
        true => Some((float as i64).into()),
        false => Number::from_f64(float),
    }
}

/// With the prefixes that Go reads; a leading zero means octal.
fn integer(text: &str) -> Option<Number> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let lower = digits.to_ascii_lowercase();
    let (radix, digits) = match lower.get(..2) {
        Some("0x") => (16, &lower[2..]),
        Some("0b") => (2, &lower[2..]),
        Some("0o") => (8, &lower[2..]),
        Some(_) if lower.starts_with('0') => (8, &lower[1..]),
        _ => (10, lower.as_str()),
    };
    // A second sign is none.
    if !digits.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return None;
    }
    let value = u64::from_str_radix(digits, radix).ok()?;
    match negative {
        false => Some(value.into()),
        true => i64::try_from(-i128::from(value)).ok().map(Number::from),
    }
}

fn is_float(text: &str) -> bool {
    let text = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let mantissa = match mantissa.split_once('.') {
        Some(("", fraction)) => digits(fraction),
        Some((whole, fraction)) => digits(whole) && (fraction.is_empty() || digits(fraction)),
        None => digits(mantissa),
    };
    mantissa && exponent.is_none_or(|e| digits(e.strip_prefix(['-', '+']).unwrap_or(e)))
}

/// A date, with or without a time.
fn is_time(text: &str) -> bool {
    let date = text.split(['T', 't', ' ']).next().unwrap_or_default();
    let parts: Vec<&str> = date.split('-').collect();
    let digits = |text: &str, most: usize| {
        (1..=most).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
    };
    matches!(parts[..], [y, m, d] if y.len() == 4 && digits(y, 4) && digits(m, 2) && digits(d, 2))
}

/// `1:30`, which other readers of version 1.1 take for ninety.
fn is_sexagesimal(text: &str) -> bool {
    let text = text.strip_prefix(['-', '+']).unwrap_or(text);
    let mut parts = text.split(':');
    let first = parts.next().unwrap_or_default();
    let begins = first.starts_with(|c: char| c.is_ascii_digit())
        && first.bytes().all(|b| b.is_ascii_digit() || b == b'_');
    let rest: Vec<&str> = parts.collect();
    begins
        && !rest.is_empty()
        && rest.iter().all(|part| {
            let part = part.split('.').next().unwrap_or_default();
            (1..=2).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit())
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn texts_and_what_they_stand_for() {
        for (text, value) in [
            ("0400", json!(256)),
            ("0o17", json!(15)),
            ("0b11", json!(3)),
            ("-0x1f", json!(-31)),
            ("08", json!(8)),
            ("0", json!(0)),
            ("1_0", json!(10)),
            ("+1", json!(1)),
            ("1e3", json!(1000)),
            ("1.5", json!(1.5)),
            (".5", json!(0.5)),
            ("18446744073709551615", json!(u64::MAX)),
            ("yes", json!(true)),
            ("Off", json!(false)),
            ("y", json!("y")),
            ("~", Value::Null),
        ] {
            assert_eq!(plain(text), value, "{text}");
        }
        for text in [
            "1.2.3", "0x", "+-1", "1e", "-", "+", ".", "yEs", "1Gi", "10m", "e3", "1:30",
        ] {
            assert_eq!(plain(text), json!(text));
        }
        for text in ["2001-01-01", "2001-1-1 10:00", "1:30", "yes", "1", ""] {
            assert!(needs_quotes(text), "{text}");
        }
        for text in ["10.0.0.1", "10:00:aa", "2001-01", "1.2.3", "abc"] {
            assert!(!needs_quotes(text), "{text}");
        }
    }
}
