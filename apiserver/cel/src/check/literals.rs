//! Literals that could never be evaluated: durations, timestamps and patterns that are none,
//! and formats that don't fit their arguments.

use crate::issue::Issues;
use crate::library::check_format;
use crate::standard::{parse_duration, parse_timestamp};
use crate::syntax::{Constant, Expression, Kind};
use crate::types::Type;

/// Tells issues of an expression that is otherwise right.
pub(super) fn check(of: &Expression, types: &[Type], places: &[usize], issues: &mut Issues) {
    for part in of.kind.parts() {
        check(part, types, places, issues);
    }
    let Kind::Call {
        function,
        target,
        args,
    } = &of.kind
    else {
        return;
    };
    let place = |id: usize| places.get(id).copied().unwrap_or_default();
    let text = args.last().and_then(text);
    let target_text = target.as_deref().and_then(self::text);
    match (function.as_str(), args.as_slice(), text, target_text) {
        ("format", [arguments], _, Some(template)) => {
            let Kind::List(items) = &arguments.kind else {
                return;
            };
            let given: Vec<Type> = items
                .iter()
                .map(|(item, _)| types.get(item.id).cloned().unwrap_or(Type::Dyn))
                .collect();
            if let Err((words, argument)) = check_format(template, &given) {
                let argument = argument.and_then(|index| items.get(index));
                issues.add(place(argument.map_or(of.id, |(item, _)| item.id)), words);
            }
        }
        ("find" | "findAll", [pattern], Some(text), _) => {
            if let Err(why) = crate::regex::compile(text) {
                issues.add(place(pattern.id), why.to_string());
            }
        }
        (name, [.., argument], Some(text), _) => {
            let invalid = match name {
                "duration" if target.is_none() => parse_duration(text).is_err(),
                "timestamp" if target.is_none() => parse_timestamp(text).is_err(),
                "matches" => crate::regex::compile(text).is_err(),
                _ => false,
            };
            if invalid {
                issues.add(place(argument.id), format!("invalid {name} argument"));
            }
        }
        _ => {}
    }
}

/// The text that an expression is.
fn text(of: &Expression) -> Option<&str> {
    match &of.kind {
        Kind::Constant(Constant::String(text)) => Some(text),
        _ => None,
    }
}
