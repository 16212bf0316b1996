//! Formats of texts: `format.dns1123Label().validate(name)`, `format.named("uuid")`.
//! Kubernetes' `k8s.io/apiserver/pkg/cel/library/format.go`.

use super::costs::{PATTERN, TRAVERSAL, scaled, size, size_of};
use super::urls::parse::request_uri;
use crate::value::Opaque;
use crate::{Call, CallEstimate, Error, Operand, Overload, Type, Value};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hardway_proto::names::{
    is_dns1035_label, is_dns1123_label, is_dns1123_subdomain, is_label_value, is_qualified_name,
};
use jiff::civil::Date;

pub(super) const TYPE: Type = Type::Opaque("kubernetes.NamedFormat");
/// The longest name that an estimate reckons with.
pub(super) const LONGEST_NAME: u64 = 64;

/// A format.
#[derive(Debug)]
struct Format {
    /// As `format.named` has it.
    name: &'static str,
    /// What is wrong with a text.
    validate: fn(&str) -> Vec<String>,
    /// How long a regular expression of it would be, for the costs.
    pattern_size: u64,
}

/// The longest pattern that an estimate reckons with.
const LONGEST_PATTERN: u64 = 128;

static FORMATS: [Format; 13] = [
    Format {
        name: "dns1123Label",
        validate: is_dns1123_label,
        pattern_size: 30,
    },
    Format {
        name: "dns1123Subdomain",
        validate: is_dns1123_subdomain,
        pattern_size: 60,
    },
    Format {
        name: "dns1035Label",
        validate: is_dns1035_label,
        pattern_size: 30,
    },
    Format {
        name: "qualifiedName",
        validate: is_qualified_name,
        pattern_size: 60,
    },
    Format {
        name: "dns1123LabelPrefix",
        validate: |text| is_dns1123_label(&completed(text)),
        pattern_size: 30,
    },
    Format {
        name: "dns1123SubdomainPrefix",
        validate: |text| is_dns1123_subdomain(&completed(text)),
        pattern_size: 60,
    },
    Format {
        name: "dns1035LabelPrefix",
        validate: |text| is_dns1035_label(&completed(text)),
        pattern_size: 30,
    },
    Format {
        name: "labelValue",
        validate: is_label_value,
        pattern_size: 40,
    },
    Format {
        name: "uri",
        validate: |text| request_uri(text).err().into_iter().collect(),
        pattern_size: 1120,
    },
    Format {
        name: "uuid",
        validate: |text| unless(is_uuid(text), "does not match the UUID format"),
        pattern_size: 70,
    },
    Format {
        name: "byte",
        validate: |text| unless(is_base64(text), "invalid base64"),
        pattern_size: 84,
    },
    Format {
        name: "date",
        validate: |text| unless(is_date(text), "invalid date"),
        pattern_size: 71,
    },
    Format {
        name: "datetime",
        validate: |text| unless(is_datetime(text), "invalid datetime"),
        pattern_size: 71,
    },
];

/// A format as a value.
#[derive(Debug)]
struct Named(&'static Format);

impl Opaque for Named {
    fn type_of(&self) -> Type {
        TYPE
    }

    fn equals(&self, other: &dyn Opaque) -> bool {
        other
            .downcast::<Named>()
            .is_some_and(|other| self.0.name == other.0.name)
    }
}

pub(super) fn overloads() -> Vec<Overload> {
    let problems = Type::optional(Type::list(Type::String));
    let mut all = vec![
        Overload::member(
            "validate",
            "format-validate",
            [TYPE, Type::String],
            problems,
            validate,
        )
        .costs(|args, _| cost(args), estimate),
        Overload::global(
            "format.named",
            "format-named",
            [Type::String],
            Type::optional(TYPE),
            named,
        ),
    ];
    let constants: [(&str, Call); 13] = [
        ("format.dns1123Label", |_| format(0)),
        ("format.dns1123Subdomain", |_| format(1)),
        ("format.dns1035Label", |_| format(2)),
        ("format.qualifiedName", |_| format(3)),
        ("format.dns1123LabelPrefix", |_| format(4)),
        ("format.dns1123SubdomainPrefix", |_| format(5)),
        ("format.dns1035LabelPrefix", |_| format(6)),
        ("format.labelValue", |_| format(7)),
        ("format.uri", |_| format(8)),
        ("format.uuid", |_| format(9)),
        ("format.byte", |_| format(10)),
        ("format.date", |_| format(11)),
        ("format.datetime", |_| format(12)),
    ];
    for (name, call) in constants {
        all.push(Overload::global(name, name, [], TYPE, call));
    }
    all
}

fn format<'a>(index: usize) -> Result<Value<'a>, Error> {
    let format = FORMATS.get(index).ok_or(Error::NoSuchOverload)?;
    Ok(Value::opaque(Named(format)))
}

fn named<'a>(args: &[Value<'a>]) -> Result<Value<'a>, Error> {
    match args {
        [Value::String(name)] => {
            let format = FORMATS.iter().find(|format| format.name == &**name);
            Ok(Value::optional(format.map(|f| Value::opaque(Named(f)))))
        }
        _ => Err(Error::NoSuchOverload),
    }
}

fn validate<'a>(args: &[Value<'a>]) -> Result<Value<'a>, Error> {
    match (
        args.first().and_then(|f| f.downcast::<Named>()),
        args.get(1),
    ) {
        (Some(format), Some(Value::String(text))) => {
            let problems = (format.0.validate)(text);
            let problems: Vec<_> = problems.into_iter().map(Value::string).collect();
            let any = (!problems.is_empty()).then(|| Value::list(problems));
            Ok(Value::optional(any))
        }
        _ => Err(Error::NoSuchOverload),
    }
}

fn cost(args: &[Value]) -> u64 {
    let format = args.first().and_then(|format| format.downcast::<Named>());
    let pattern = format.map_or(LONGEST_PATTERN, |format| format.0.pattern_size);
    let text = scaled(size(args, 1).saturating_add(1), TRAVERSAL);
    text.saturating_mul(scaled(pattern, PATTERN))
}

fn estimate(operands: &[Operand]) -> CallEstimate {
    let text = size_of(operands, 1).scaled(TRAVERSAL);
    text.scaled(LONGEST_PATTERN as f64 * PATTERN).into()
}

/// A prefix as a name that is generated from it: its last dash is followed by something.
fn completed(prefix: &str) -> String {
    match prefix.strip_suffix('-') {
        // As Kubernetes does it, which puts the letter in place of two characters.
        Some(before) if !before.is_empty() => {
            let mut before = before.to_owned();
            before.pop();
            before + "a"
        }
        _ => prefix.to_owned(),
    }
}

fn unless(valid: bool, problem: &str) -> Vec<String> {
    match valid {
        true => Vec::new(),
        false => vec![problem.to_owned()],
    }
}

/// 32 hexadecimal digits, with dashes between 8, 4, 4, 4 and 12 of them or without.
fn is_uuid(text: &str) -> bool {
    let mut rest = text;
    for (index, length) in [8, 4, 4, 4, 12].into_iter().enumerate() {
        if index > 0 {
            rest = rest.strip_prefix('-').unwrap_or(rest);
        }
        match rest.split_at_checked(length) {
            Some((group, after)) if group.bytes().all(|b| b.is_ascii_hexdigit()) => rest = after,
            _ => return false,
        }
    }
    rest.is_empty()
}

/// With padding; of nothing it isn't.
fn is_base64(text: &str) -> bool {
    !text.is_empty() && STANDARD.decode(text).is_ok()
}

/// `2021-01-31`.
fn is_date(text: &str) -> bool {
    let shaped = text.len() == 10
        && text.bytes().enumerate().all(|(index, byte)| match index {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        });
    shaped && text.parse::<Date>().is_ok()
}

/// A date, `T`, a time, which may have a fraction, and `Z` or an offset.
fn is_datetime(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    let Some((date, time)) = text.split_once('t') else {
        return false;
    };
    is_date(date) && is_time(time)
}

fn is_time(text: &str) -> bool {
    let Some((clock, rest)) = text.split_at_checked(8) else {
        return false;
    };
    let shaped = clock.bytes().enumerate().all(|(index, byte)| match index {
        2 | 5 => byte == b':',
        _ => byte.is_ascii_digit(),
    });
    if !shaped || &clock[..2] > "23" || &clock[3..5] > "59" || &clock[6..] > "59" {
        return false;
    }
    let end = rest
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(rest.len());
    let (fraction, zone) = rest.split_at(end);
    let fraction_fits = match fraction.strip_prefix('.') {
        Some(digits) => !digits.is_empty() && !digits.contains('.'),
        None => fraction.is_empty(),
    };
    fraction_fits && (zone == "z" || is_offset(zone))
}

/// `+01:30`.
fn is_offset(text: &str) -> bool {
    text.len() == 6
        && text.bytes().enumerate().all(|(index, byte)| match index {
            0 => matches!(byte, b'+' | b'-'),
            3 => byte == b':',
            _ => byte.is_ascii_digit(),
        })
}
