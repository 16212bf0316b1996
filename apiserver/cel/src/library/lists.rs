//! Functions of lists: `isSorted`, `sum`, `min`, `max`, `indexOf`, `lastIndexOf`.
//! Kubernetes' `k8s.io/apiserver/pkg/cel/library/lists.go`.

use super::costs::{TRAVERSAL, size_of, traversal};
use crate::cost::CostRange;
use crate::{Call, CallEstimate, Error, Operand, Overload, Type, Value};
use jiff::SignedDuration;
use std::cmp::Ordering;

pub(super) fn overloads() -> Vec<Overload> {
    let mut all = Vec::new();
    for (element, sorted, least, most) in [
        (
            Type::Int,
            "list_int_is_sorted_bool",
            "list_int_min_int",
            "list_int_max_int",
        ),
        (
            Type::Uint,
            "list_uint_is_sorted_bool",
            "list_uint_min_uint",
            "list_uint_max_uint",
        ),
        (
            Type::Double,
            "list_double_is_sorted_bool",
            "list_double_min_double",
            "list_double_max_double",
        ),
        (
            Type::Bool,
            "list_bool_is_sorted_bool",
            "list_bool_min_bool",
            "list_bool_max_bool",
        ),
        (
            Type::Duration,
            "list_duration_is_sorted_bool",
            "list_duration_min_duration",
            "list_duration_max_duration",
        ),
        (
            Type::Timestamp,
            "list_timestamp_is_sorted_bool",
            "list_timestamp_min_timestamp",
            "list_timestamp_max_timestamp",
        ),
        (
            Type::String,
            "list_string_is_sorted_bool",
            "list_string_min_string",
            "list_string_max_string",
        ),
        (
            Type::Bytes,
            "list_bytes_is_sorted_bool",
            "list_bytes_min_bytes",
            "list_bytes_max_bytes",
        ),
    ] {
        let of = |name, id, result, call: Call| {
            Overload::member(name, id, [Type::list(element.clone())], result, call)
                .costs(|args, _| cost(args), estimate)
        };
        all.push(of("isSorted", sorted, Type::Bool, is_sorted));
        all.push(of("min", least, element.clone(), |args| {
            chosen(args, "min", Ordering::Less)
        }));
        all.push(of("max", most, element.clone(), |args| {
            chosen(args, "max", Ordering::Greater)
        }));
    }
    let sums: [(&str, Type, Call); 4] = [
        ("list_int_sum_int", Type::Int, |args| {
            sum(args, Value::Int(0))
        }),
        ("list_uint_sum_uint", Type::Uint, |args| {
            sum(args, Value::Uint(0))
        }),
        ("list_double_sum_double", Type::Double, |args| {
            sum(args, Value::Double(0.0))
        }),
        ("list_duration_sum_duration", Type::Duration, |args| {
            sum(args, Value::Duration(SignedDuration::ZERO))
        }),
    ];
    for (id, element, call) in sums {
        let params = [Type::list(element.clone())];
        all.push(
            Overload::member("sum", id, params, element, call)
                .costs(|args, _| cost(args), estimate),
        );
    }
    let index = |name, id, call| {
        let any = || Type::Param("A");
        Overload::member(name, id, [Type::list(any()), any()], Type::Int, call)
            .costs(|args, _| cost(args), estimate)
    };
    all.push(index("indexOf", "list_a_index_of_int", |args| {
        position(args, |found| found.next())
    }));
    all.push(index("lastIndexOf", "list_a_last_index_of_int", |args| {
        position(args, |found| found.last())
    }));
    all
}

/// All of the list, or of the text, is gone through once.
pub(super) fn cost(args: &[Value]) -> u64 {
    args.first().map_or(0, traversal)
}

/// Each element costs 1, and a text or bytes the way through it.
pub(super) fn estimate(operands: &[Operand]) -> CallEstimate {
    let size = size_of(operands, 0);
    let cost = match operands.first().map(|list| (&list.kind, list.element_size)) {
        Some((Type::List(element), element_size)) => {
            let each = match **element {
                Type::String | Type::Bytes => element_size.scaled(TRAVERSAL),
                _ => CostRange::fixed(0),
            };
            size.times(each.plus(CostRange::fixed(1)))
        }
        _ => size.scaled(TRAVERSAL),
    };
    cost.into()
}

fn items<'a>(args: &[Value<'a>]) -> Result<Vec<Value<'a>>, Error> {
    match args.first() {
        Some(Value::List(list)) => list.to_vec(),
        _ => Err(Error::NoSuchOverload),
    }
}

fn is_sorted<'a>(args: &[Value<'a>]) -> Result<Value<'a>, Error> {
    let sorted = items(args)?
        .windows(2)
        .all(|pair| pair[0].compare(&pair[1]) != Some(Ordering::Greater));
    Ok(Value::Bool(sorted))
}

/// The first of those that are before (or after) all others.
fn chosen<'a>(args: &[Value<'a>], name: &str, wanted: Ordering) -> Result<Value<'a>, Error> {
    items(args)?
        .into_iter()
        .reduce(|best, next| match next.compare(&best) == Some(wanted) {
            true => next,
            false => best,
        })
        .ok_or_else(|| Error::function(format!("{name} called on empty list")))
}

fn sum<'a>(args: &[Value<'a>], zero: Value<'a>) -> Result<Value<'a>, Error> {
    items(args)?.into_iter().try_fold(zero, |sum, next| {
        Ok(match (sum, next) {
            (Value::Int(sum), Value::Int(next)) => {
                Value::Int(sum.checked_add(next).ok_or(Error::IntegerOverflow)?)
            }
            (Value::Uint(sum), Value::Uint(next)) => {
                Value::Uint(sum.checked_add(next).ok_or(Error::UnsignedOverflow)?)
            }
            (Value::Double(sum), Value::Double(next)) => Value::Double(sum + next),
            (Value::Duration(sum), Value::Duration(next)) => {
                let sum = sum.as_nanos() + next.as_nanos();
                let sum = i64::try_from(sum).map_err(|_| Error::function("duration overflow"))?;
                Value::Duration(SignedDuration::from_nanos(sum))
            }
            _ => return Err(Error::NoSuchOverload),
        })
    })
}

/// At which index the wanted is, of all those where it is; -1 if nowhere.
fn position<'a>(
    args: &[Value<'a>],
    which: fn(&mut dyn Iterator<Item = usize>) -> Option<usize>,
) -> Result<Value<'a>, Error> {
    let (items, Some(wanted)) = (items(args)?, args.get(1)) else {
        return Err(Error::NoSuchOverload);
    };
    let mut found = items
        .iter()
        .enumerate()
        .filter(|(_, item)| item.equals(wanted))
        .map(|(index, _)| index);
    Ok(Value::Int(
        which(&mut found).map_or(-1, |index| index as i64),
    ))
}
