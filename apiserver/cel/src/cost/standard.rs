//! What calls of CEL's own functions cost, as cel-go counts; all others cost 1.

use super::{CHARACTER, Range, traversal};
use crate::function::{CallCost, CallEstimate, Operand};
use crate::library;
use crate::types::Type;
use crate::value::Value;

/// An expression in a pattern has about four characters.
const PATTERN_CHARACTER: f64 = 0.25;

fn size(args: &[Value], index: usize) -> u64 {
    args.get(index).and_then(Value::size).unwrap_or(1)
}

/// What calls of a form cost; `None` for those that cost 1.
pub(crate) fn cost(id: &str) -> Option<CallCost> {
    Some(match id {
        "starts_with_string" | "ends_with_string" | "string_to_bytes" | "bytes_to_string" => {
            |args, _| traversal(size(args, 0))
        }
        "less_string"
        | "less_equals_string"
        | "greater_string"
        | "greater_equals_string"
        | "less_bytes"
        | "less_equals_bytes"
        | "greater_bytes"
        | "greater_equals_bytes" => |args, _| traversal(size(args, 0).min(size(args, 1))),
        "add_string" | "add_bytes" => {
            |args, _| traversal(size(args, 0).saturating_add(size(args, 1)))
        }
        "matches" | "matches_string" => |args, _| {
            let text = traversal(size(args, 0).saturating_add(1));
            let pattern = super::range::scaled(size(args, 1), PATTERN_CHARACTER);
            text.saturating_mul(pattern)
        },
        "contains_string" => {
            |args, _| traversal(size(args, 0)).saturating_mul(traversal(size(args, 1)))
        }
        _ => return None,
    })
}

/// What a call of a form may cost.
pub(super) fn estimate(id: &str, operands: &[Operand]) -> CallEstimate {
    let read = |size: Range| size.scaled(CHARACTER);
    let [first, rest @ ..] = operands else {
        return Range::fixed(1).into();
    };
    let second = rest.first();
    match (id, first.size, second.map(|second| second.size)) {
        ("starts_with_string" | "ends_with_string", _, Some(affix)) => read(affix).into(),
        ("string_to_bytes", size, _) => CallEstimate {
            cost: read(size),
            result: Some(Range::new(size.min, size.max.saturating_mul(4))),
        },
        ("bytes_to_string", size, _) => CallEstimate {
            cost: read(size),
            result: Some(Range::new(size.min / 4, size.max)),
        },
        ("in_list", _, Some(list)) => list.into(),
        ("matches" | "matches_string", text, Some(pattern)) => {
            let text = read(text.plus(Range::fixed(1)));
            text.times(pattern.scaled(PATTERN_CHARACTER)).into()
        }
        ("contains_string", text, Some(part)) => read(text).times(read(part)).into(),
        ("add_string" | "add_bytes", left, Some(right)) => CallEstimate {
            cost: read(left.plus(right)),
            result: Some(left.plus(right)),
        },
        ("add_list", left, Some(right)) => CallEstimate {
            cost: Range::fixed(1),
            result: Some(left.plus(right)),
        },
        ("equals", _, Some(right)) if matches!(first.kind, Type::Opaque(_)) => {
            library::estimate_equals(&first.kind, right).into()
        }
        (
            "equals"
            | "not_equals"
            | "less_string"
            | "less_equals_string"
            | "greater_string"
            | "greater_equals_string"
            | "less_bytes"
            | "less_equals_bytes"
            | "greater_bytes"
            | "greater_equals_bytes",
            left,
            Some(right),
        ) => {
            let most = left.max.min(right.max);
            read(Range::new(most.min(1), most)).into()
        }
        _ => Range::fixed(1).into(),
    }
}
