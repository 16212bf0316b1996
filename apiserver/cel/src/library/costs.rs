//! What Kubernetes and cel-go charge for functions of libraries. A function that says
//! nothing costs 1.

use crate::cost::SizeRange;
use crate::{CallEstimate, Operand, Value};

/// What it costs to go through a character or a byte.
pub(super) const TRAVERSAL: f64 = 0.1;
/// What a character of a regular expression costs for each tenth of the text: one in four
/// is taken to be an expression of its own.
pub(super) const PATTERN: f64 = 0.25;

/// An amount times a factor, rounded up.
pub(super) fn scaled(amount: u64, factor: f64) -> u64 {
    SizeRange::fixed(amount).scaled(factor).max
}

/// The size of an argument, 1 for what has none.
pub(super) fn size(args: &[Value], index: usize) -> u64 {
    args.get(index).and_then(Value::size).unwrap_or(1)
}

/// How large an operand may be.
pub(super) fn size_of(operands: &[Operand], index: usize) -> SizeRange {
    operands.get(index).map_or(SizeRange::UNKNOWN, |o| o.size)
}

/// Goes through the first argument.
pub(super) fn read<'a>(args: &[Value<'a>], _: Option<&Value<'a>>) -> u64 {
    scaled(size(args, 0), TRAVERSAL)
}

/// Goes through the first argument; the result has no size.
pub(super) fn estimate_read(operands: &[Operand]) -> CallEstimate {
    size_of(operands, 0).scaled(TRAVERSAL).into()
}

/// Goes through the first argument; the result is no larger.
pub(super) fn estimate_copy(operands: &[Operand]) -> CallEstimate {
    CallEstimate {
        result: Some(size_of(operands, 0)),
        ..estimate_read(operands)
    }
}

/// Goes through the first argument twice.
pub(super) fn read_twice<'a>(args: &[Value<'a>], _: Option<&Value<'a>>) -> u64 {
    scaled(size(args, 0), 2.0 * TRAVERSAL)
}

/// Goes through the first argument twice; the result has no size.
pub(super) fn estimate_read_twice(operands: &[Operand]) -> CallEstimate {
    size_of(operands, 0).scaled(2.0 * TRAVERSAL).into()
}

/// What it costs to go through all of a value.
pub(super) fn traversal(value: &Value) -> u64 {
    // A tenth of each text is rounded down, as in Kubernetes.
    let tenth = |bytes: usize| (bytes as f64 * TRAVERSAL) as u64;
    match value {
        Value::String(text) => tenth(text.len()),
        Value::Bytes(bytes) => tenth(bytes.len()),
        Value::List(list) => list.iter().flatten().map(|item| traversal(&item)).sum(),
        Value::Map(map) => match map.entries() {
            Ok(entries) => entries
                .iter()
                .map(|(key, value)| traversal(&key.clone().into()) + traversal(value))
                .sum(),
            Err(_) => 1,
        },
        _ => 1,
    }
}
