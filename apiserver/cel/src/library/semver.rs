//! Semantic versions: `semver("1.2.3")`, `isSemver`, `major`, `minor`, `patch` and
//! comparisons. Kubernetes' `k8s.io/apiserver/pkg/cel/library/semverlib.go`, version 1.

mod version;

use super::costs::{estimate_read, read};
use crate::value::Opaque;
use crate::{Call, Error, Overload, Type, Value};
use std::cmp::Ordering;
use version::Version;

const TYPE: Type = Type::Opaque("kubernetes.Semver");

impl Opaque for Version {
    fn type_of(&self) -> Type {
        TYPE
    }

    fn equals(&self, other: &dyn Opaque) -> bool {
        other
            .downcast::<Version>()
            .is_some_and(|other| self.compare(other).is_eq())
    }
}

pub(super) fn overloads() -> Vec<Overload> {
    let part = |name, id, call: Call| Overload::member(name, id, [TYPE], Type::Int, call);
    let with_another =
        |name, id, result, call: Call| Overload::member(name, id, [TYPE, TYPE], result, call);
    vec![
        Overload::global("semver", "string_to_semver", [Type::String], TYPE, semver)
            .costs(read, estimate_read),
        Overload::global(
            "semver",
            "string_bool_to_semver",
            [Type::String, Type::Bool],
            TYPE,
            semver,
        )
        .costs(read, estimate_read),
        Overload::global(
            "isSemver",
            "is_semver_string",
            [Type::String],
            Type::Bool,
            is_semver,
        )
        .costs(read, estimate_read),
        Overload::global(
            "isSemver",
            "is_semver_string_bool",
            [Type::String, Type::Bool],
            Type::Bool,
            is_semver,
        )
        .costs(read, estimate_read),
        part("major", "semver_major", |args| {
            Ok(Value::Int(receiver(args)?.major as i64))
        }),
        part("minor", "semver_minor", |args| {
            Ok(Value::Int(receiver(args)?.minor as i64))
        }),
        part("patch", "semver_patch", |args| {
            Ok(Value::Int(receiver(args)?.patch as i64))
        }),
        with_another(
            "isGreaterThan",
            "semver_is_greater_than",
            Type::Bool,
            |args| Ok(order(args)?.is_gt().into()),
        ),
        with_another("isLessThan", "semver_is_less_than", Type::Bool, |args| {
            Ok(order(args)?.is_lt().into())
        }),
        with_another("compareTo", "semver_compare_to", Type::Int, |args| {
            Ok(Value::Int(order(args)? as i64))
        }),
    ]
}

fn parse(args: &[Value]) -> Result<Result<Version, String>, Error> {
    match args {
        [Value::String(text)] | [Value::String(text), Value::Bool(false)] => {
            Ok(Version::parse(text))
        }
        [Value::String(text), Value::Bool(true)] => Ok(Version::parse_normalized(text)),
        _ => Err(Error::NoSuchOverload),
    }
}

fn semver<'a>(args: &[Value<'a>]) -> Result<Value<'a>, Error> {
    parse(args)?.map(Value::opaque).map_err(Error::Function)
}

fn is_semver<'a>(args: &[Value<'a>]) -> Result<Value<'a>, Error> {
    Ok(parse(args)?.is_ok().into())
}

fn receiver<'v>(args: &'v [Value]) -> Result<&'v Version, Error> {
    let version = args.first().and_then(|value| value.downcast());
    version.ok_or(Error::NoSuchOverload)
}

fn order(args: &[Value]) -> Result<Ordering, Error> {
    let other = args.get(1).and_then(|value| value.downcast());
    Ok(receiver(args)?.compare(other.ok_or(Error::NoSuchOverload)?))
}
