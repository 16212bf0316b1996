//! Lists as sets: `sets.contains`, `sets.equivalent`, `sets.intersects`. cel-go's `ext.Sets`.

use super::costs::{size, size_of};
use crate::cost::CostRange;
use crate::value::{List, Members};
use crate::{CallEstimate, Error, Operand, Overload, Type, Value};

pub(super) fn overloads() -> Vec<Overload> {
    let of_two = |name, id, call| {
        let list = || Type::list(Type::Param("T"));
        Overload::global(name, id, [list(), list()], Type::Bool, call)
    };
    vec![
        of_two("sets.contains", "list_sets_contains_list", |args| {
            on_lists(args, contains)
        })
        .costs(|args, _| cost(args, 1), |operands| estimate(operands, 1)),
        // Each is looked for in the other.
        of_two("sets.equivalent", "list_sets_equivalent_list", |args| {
            on_lists(args, |one, other| {
                Ok(contains(one, other)? && contains(other, one)?)
            })
        })
        .costs(|args, _| cost(args, 2), |operands| estimate(operands, 2)),
        of_two("sets.intersects", "list_sets_intersects_list", |args| {
            on_lists(args, intersects)
        })
        .costs(|args, _| cost(args, 1), |operands| estimate(operands, 1)),
    ]
}

type Relation = for<'a> fn(&List<'a>, &List<'a>) -> Result<bool, Error>;

fn on_lists<'a>(args: &[Value<'a>], relation: Relation) -> Result<Value<'a>, Error> {
    match args {
        [Value::List(one), Value::List(other)] => relation(one, other).map(Value::Bool),
        _ => Err(Error::NoSuchOverload),
    }
}

/// Whether one has all that is in the other.
fn contains<'a>(one: &List<'a>, other: &List<'a>) -> Result<bool, Error> {
    let known = Members::of(one)?;
    for wanted in other.iter() {
        if !known.contain(&wanted?) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether one has anything that is in the other.
fn intersects<'a>(one: &List<'a>, other: &List<'a>) -> Result<bool, Error> {
    let known = Members::of(other)?;
    for item in one.iter() {
        if known.contain(&item?) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Each is compared with each, so many times.
fn cost(args: &[Value], times: u64) -> u64 {
    size(args, 0)
        .saturating_mul(size(args, 1))
        .saturating_mul(times)
        .saturating_add(1)
}

fn estimate(operands: &[Operand], times: u64) -> CallEstimate {
    size_of(operands, 0)
        .times(size_of(operands, 1))
        .times(CostRange::fixed(times))
        .plus(CostRange::fixed(1))
        .into()
}
