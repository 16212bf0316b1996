//! Literals that could never be evaluated: durations, timestamps and patterns that are none.

use crate::issue::Issues;
use crate::standard::{parse_duration, parse_timestamp};
use crate::syntax::{Constant, Expression, Kind};

/// Tells issues of an expression that is otherwise right.
pub(super) fn check(of: &Expression, places: &[usize], issues: &mut Issues) {
    for part in of.kind.parts() {
        check(part, places, issues);
    }
    let Kind::Call {
        function,
        target,
        args,
    } = &of.kind
    else {
        return;
    };
    let invalid = |text: &str| match (function.as_str(), target) {
        ("duration", None) => parse_duration(text).is_err(),
        ("timestamp", None) => parse_timestamp(text).is_err(),
        ("matches", _) => crate::regex::compile(text).is_err(),
        _ => false,
    };
    let argument = args.last();
    if let Some(Kind::Constant(Constant::String(text))) = argument.map(|arg| &arg.kind)
        && invalid(text)
    {
        let id = argument.map_or(of.id, |arg| arg.id);
        let at = places.get(id).copied().unwrap_or_default();
        issues.add(at, format!("invalid {function} argument"));
    }
}
