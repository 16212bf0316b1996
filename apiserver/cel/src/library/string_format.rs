//! `"%s is %d".format([name, age])`: cel-go's `ext.Strings`, whose locale is `en_US`.
//!
//! A verb after `%` says how the next argument is written: `s`, `d`, `f`, `e`, `b`, `x`, `X`
//! or `o`, of which `f` takes a precision (`%.3f`).

use super::quote::quoted;
use crate::standard::text;
use crate::value::{List, Map};
use crate::{Error, Type, Value};
use std::fmt::Write;

/// Digits after the point where the format doesn't say.
const PRECISION: usize = 6;
/// No double has more digits than this that say anything; no format asks for more memory.
const MOST_DIGITS: usize = 1100;

/// `string.format(list)`.
pub(super) fn format<'a>(args: &[Value<'a>]) -> Result<Value<'a>, Error> {
    let [Value::String(template), Value::List(list)] = args else {
        return Err(Error::NoSuchOverload);
    };
    let mut given = Given { list, next: 0 };
    formatted(template, &mut given)
        .map(Value::string)
        .map_err(Error::Function)
}

/// Whether a format fits the arguments that stand in the expression with it.
///
/// # Errors
///
/// What is wrong, and with which argument if it is one's type.
pub(crate) fn check(template: &str, arguments: &[Type]) -> Result<(), (String, Option<usize>)> {
    let mut given = Typed {
        arguments,
        next: 0,
        misfit: None,
    };
    if let Err(words) = formatted(template, &mut given) {
        return Err((words, given.misfit));
    }
    if given.next < arguments.len() {
        let words = format!(
            "too many arguments supplied to string.format (expected {}, got {})",
            given.next,
            arguments.len()
        );
        return Err((words, None));
    }
    Ok(())
}

/// Where the arguments of a format come from.
trait Arguments {
    /// The next argument, written as a verb says.
    fn write(&mut self, verb: &Verb) -> Result<String, String>;

    /// Whether there is one more, else which index was asked for.
    fn has_next(&self) -> Result<(), String>;
}

fn formatted(template: &str, arguments: &mut impl Arguments) -> Result<String, String> {
    let mut out = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('%') {
        out.push_str(before);
        if let Some(after) = after.strip_prefix('%') {
            out.push('%');
            rest = after;
            continue;
        }
        if after.is_empty() {
            return Err("unexpected end of string".into());
        }
        arguments.has_next()?;
        let (verb, after) =
            verb(after).map_err(|why| format!("could not parse formatting clause: {why}"))?;
        let written = arguments
            .write(&verb)
            .map_err(|why| format!("error during formatting: {why}"))?;
        out.push_str(&written);
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

/// How an argument is written.
enum Verb {
    Text,
    Decimal,
    Fixed(usize),
    /// With this many characters at least: what stands as the precision is taken for the
    /// width, as in cel-go.
    Scientific(usize),
    Binary,
    Hex {
        upper: bool,
    },
    Octal,
}

/// The verb at the start of a text, and what follows.
fn verb(text: &str) -> Result<(Verb, &str), String> {
    let (precision, text) = match text.strip_prefix('.') {
        Some(after) => {
            let end = after.find(|c: char| !c.is_ascii_digit()).ok_or(
                "error while parsing precision: could not find end of precision specifier",
            )?;
            let (digits, rest) = after.split_at(end);
            let precision: usize = digits.parse().map_err(|_| {
                format!(
                    "error while parsing precision: error while converting precision to integer: strconv.Atoi: parsing {digits:?}: invalid syntax"
                )
            })?;
            (Some(precision.min(MOST_DIGITS)), rest)
        }
        None => (None, text),
    };
    let mut rest = text.chars();
    let verb = match rest.next() {
        Some('s') => Verb::Text,
        Some('d') => Verb::Decimal,
        Some('f') => Verb::Fixed(precision.unwrap_or(PRECISION)),
        Some('e') => Verb::Scientific(precision.unwrap_or(PRECISION)),
        Some('b') => Verb::Binary,
        Some('x') => Verb::Hex { upper: false },
        Some('X') => Verb::Hex { upper: true },
        Some('o') => Verb::Octal,
        Some(other) => return Err(format!("unrecognized formatting clause \"{other}\"")),
        None => return Err("unexpected end of string".into()),
    };
    Ok((verb, rest.as_str()))
}

impl Verb {
    /// That it can't be used on a type.
    fn refusal(&self, given: &Type) -> String {
        let what = match self {
            Self::Text => {
                "string clause can only be used on strings, bools, bytes, ints, doubles, maps, lists, types, durations, and timestamps"
            }
            Self::Decimal => "decimal clause can only be used on integers",
            Self::Fixed(_) => "fixed-point clause can only be used on doubles",
            Self::Scientific(_) => "scientific clause can only be used on doubles",
            Self::Binary => "only integers and bools can be formatted as binary",
            Self::Hex { .. } => "only integers, byte buffers, and strings can be formatted as hex",
            Self::Octal => "octal clause can only be used on integers",
        };
        format!("{what}, was given {}", given.name())
    }

    /// Whether it may be used on a type; a text may turn out to be the name of a number.
    fn takes(&self, given: &Type) -> bool {
        use Type::{Bool, Bytes, Double, Duration, Int, List, Map, Null, String, Timestamp, Uint};
        match given {
            Type::Dyn | Type::Error | Type::Param(_) | Type::Variable(_) => true,
            Int | Uint => matches!(
                self,
                Self::Text | Self::Decimal | Self::Binary | Self::Hex { .. } | Self::Octal
            ),
            Double => matches!(self, Self::Text | Self::Fixed(_) | Self::Scientific(_)),
            String => matches!(
                self,
                Self::Text | Self::Fixed(_) | Self::Scientific(_) | Self::Hex { .. }
            ),
            Bool => matches!(self, Self::Text | Self::Binary),
            Bytes => matches!(self, Self::Text | Self::Hex { .. }),
            List(_) | Map(..) | Timestamp | Duration | Null | Type::Type(_) => {
                matches!(self, Self::Text)
            }
            Type::Optional(_) | Type::Object(_) | Type::Opaque(_) => false,
        }
    }
}

/// Arguments of which only the types are known.
struct Typed<'t> {
    arguments: &'t [Type],
    next: usize,
    /// The argument whose type doesn't fit its verb.
    misfit: Option<usize>,
}

impl Arguments for Typed<'_> {
    fn write(&mut self, verb: &Verb) -> Result<String, String> {
        let given = &self.arguments[self.next];
        self.next += 1;
        match verb.takes(given) {
            true => Ok(String::new()),
            false => {
                self.misfit = Some(self.next - 1);
                Err(verb.refusal(given))
            }
        }
    }

    fn has_next(&self) -> Result<(), String> {
        has_index(self.next, self.arguments.len())
    }
}

/// Arguments with their values.
struct Given<'l, 'a> {
    list: &'l List<'a>,
    next: usize,
}

impl Arguments for Given<'_, '_> {
    fn write(&mut self, verb: &Verb) -> Result<String, String> {
        let value = match self.list.get(self.next) {
            Ok(Some(value)) => value,
            Ok(None) => return Err(format!("index {} out of range", self.next)),
            Err(error) => return Err(error.to_string()),
        };
        self.next += 1;
        written(&value, verb)
    }

    fn has_next(&self) -> Result<(), String> {
        has_index(self.next, self.list.len())
    }
}

fn has_index(index: usize, length: usize) -> Result<(), String> {
    match index < length {
        true => Ok(()),
        false => Err(format!("index {index} out of range")),
    }
}

fn written(value: &Value, verb: &Verb) -> Result<String, String> {
    let refusal = || verb.refusal(&value.type_of());
    Ok(match (verb, value) {
        (Verb::Text, value) => plain(value)?,
        (Verb::Decimal, Value::Int(_) | Value::Uint(_)) => text(value).ok_or_else(refusal)?,
        (Verb::Fixed(precision), value) => fixed(number(value).ok_or_else(refusal)?, *precision),
        (Verb::Scientific(width), value) => {
            let written = scientific(number(value).ok_or_else(refusal)?);
            format!("{written:>width$}")
        }
        (Verb::Binary, Value::Bool(truth)) => i32::from(*truth).to_string(),
        (Verb::Binary, value) => {
            let (sign, amount) = integer(value).ok_or_else(refusal)?;
            format!("{sign}{amount:b}")
        }
        (Verb::Octal, value) => {
            let (sign, amount) = integer(value).ok_or_else(refusal)?;
            format!("{sign}{amount:o}")
        }
        (Verb::Hex { upper }, value) => {
            let hex = match value {
                Value::String(text) => bytes_as_hex(text.as_bytes()),
                Value::Bytes(bytes) => bytes_as_hex(bytes),
                value => {
                    let (sign, amount) = integer(value).ok_or_else(refusal)?;
                    format!("{sign}{amount:x}")
                }
            };
            if *upper { hex.to_uppercase() } else { hex }
        }
        _ => return Err(refusal()),
    })
}

/// An integer's sign and amount.
fn integer(value: &Value) -> Option<(&'static str, u64)> {
    match value {
        Value::Int(number) => {
            let sign = if *number < 0 { "-" } else { "" };
            Some((sign, number.unsigned_abs()))
        }
        Value::Uint(number) => Some(("", *number)),
        _ => None,
    }
}

fn bytes_as_hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut hex, byte| {
        // Writing to a text can't fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// A double, or one of the numbers that have names.
fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Double(number) => Some(*number),
        Value::String(name) => match &**name {
            "NaN" => Some(f64::NAN),
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            _ => None,
        },
        _ => None,
    }
}

fn unusual(number: f64) -> Option<&'static str> {
    match number {
        _ if number.is_nan() => Some("NaN"),
        f64::INFINITY => Some("\u{221e}"),
        f64::NEG_INFINITY => Some("-\u{221e}"),
        _ => None,
    }
}

/// `1,234.500`: thousands are grouped.
fn fixed(number: f64, precision: usize) -> String {
    if let Some(name) = unusual(number) {
        return name.into();
    }
    let written = format!("{number:.precision$}");
    let (sign, digits) = match written.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", written.as_str()),
    };
    let (whole, fraction) = digits.split_at(digits.find('.').unwrap_or(digits.len()));
    let mut grouped = String::from(sign);
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped + fraction
}

/// `1.234500 × 10⁰³`, with narrow spaces that don't break.
fn scientific(number: f64) -> String {
    if let Some(name) = unusual(number) {
        return name.into();
    }
    let written = format!("{number:.PRECISION$e}");
    let (digits, power) = written.split_once('e').unwrap_or((&written, "0"));
    let (sign, power) = match power.strip_prefix('-') {
        Some(power) => ("\u{207b}", power),
        None => ("", power),
    };
    let raised: String = format!("{power:0>2}")
        .bytes()
        .map(|digit| match digit {
            b'1' => '\u{b9}',
            b'2' => '\u{b2}',
            b'3' => '\u{b3}',
            other => char::from_u32(0x2070 + u32::from(other - b'0')).unwrap_or('\u{2070}'),
        })
        .collect();
    format!("{digits}\u{202f}\u{d7}\u{202f}10{sign}{raised}")
}

/// What `%s` makes of a value.
fn plain(value: &Value) -> Result<String, String> {
    match value {
        Value::List(list) => list_text(list),
        Value::Map(map) => map_text(map),
        Value::Null => Ok("null".into()),
        value => text(value).ok_or_else(|| Verb::Text.refusal(&value.type_of())),
    }
}

/// A value within a list or a map, as it would stand in an expression.
fn literal(value: &Value) -> Result<String, String> {
    Ok(match value {
        Value::String(text) => quoted(text),
        Value::Bytes(_) => format!("b{}", quoted(&plain(value)?)),
        Value::Timestamp(_) => format!("timestamp({})", quoted(&plain(value)?)),
        Value::Duration(_) => format!("duration({})", quoted(&plain(value)?)),
        Value::Double(number) if number.is_finite() => format!("{number:.PRECISION$}"),
        Value::Double(_) => quoted(&plain(value)?),
        Value::Optional(_) | Value::Struct(_) | Value::Opaque(_) => {
            return Err(format!(
                "no formatting function for {}",
                value.type_of().name()
            ));
        }
        _ => plain(value)?,
    })
}

fn list_text(list: &List) -> Result<String, String> {
    let mut items = Vec::with_capacity(list.len());
    for item in list.iter() {
        items.push(literal(&item.map_err(|error| error.to_string())?)?);
    }
    Ok(format!("[{}]", items.join(", ")))
}

fn map_text(map: &Map) -> Result<String, String> {
    let mut entries = Vec::with_capacity(map.len());
    for (key, value) in map.entries().map_err(|error| error.to_string())? {
        entries.push((literal(&key.into())?, literal(&value)?));
    }
    entries.sort();
    let entries: Vec<String> = entries
        .into_iter()
        .map(|(key, value)| format!("{key}:{value}"))
        .collect();
    Ok(format!("{{{}}}", entries.join(", ")))
}
