//! What can be evaluated once and for all: lists and maps of constants, conversions of them.
//! They then cost nothing, as in cel-go.

use super::Step;
use crate::function::{CallCost, Overload};
use crate::regex::Pattern;
use crate::syntax::Constant;
use crate::value::{Key, Map, Text, Value};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The conversions between types.
const CONVERSIONS: [&str; 10] = [
    "bool",
    "bytes",
    "double",
    "duration",
    "dyn",
    "int",
    "string",
    "timestamp",
    "type",
    "uint",
];

pub(super) fn value(constant: &Constant) -> Value<'static> {
    match constant {
        Constant::Null => Value::Null,
        Constant::Bool(truth) => Value::Bool(*truth),
        Constant::Int(number) => Value::Int(*number),
        Constant::Uint(number) => Value::Uint(*number),
        Constant::Double(number) => Value::Double(*number),
        Constant::String(text) => Value::String(Text::Shared(text.clone())),
        Constant::Bytes(bytes) => Value::Bytes(bytes.clone()),
    }
}

fn known(step: &Step) -> Option<Value<'static>> {
    match step {
        Step::Constant(value) => Some(value.clone()),
        _ => None,
    }
}

pub(super) fn list(items: Vec<(Step, bool)>) -> Step {
    let each = |(item, optional): &(Step, bool)| known(item).filter(|_| !optional);
    match items.iter().map(each).collect::<Option<Vec<_>>>() {
        Some(values) => Step::Constant(Value::list(values)),
        None => Step::List(items),
    }
}

pub(super) fn map(entries: Vec<(Step, Step, bool)>) -> Step {
    let each = |(key, value, optional): &(Step, Step, bool)| {
        let key = Key::of(&known(key)?)?;
        known(value).filter(|_| !optional).map(|value| (key, value))
    };
    match entries.iter().map(each).collect::<Option<Vec<_>>>() {
        Some(known) => {
            let map: BTreeMap<_, _> = known.into_iter().collect();
            match map.len() == entries.len() {
                true => Step::Constant(Value::Map(Map::from(map))),
                // The same key twice is told when it is evaluated.
                false => Step::Map(entries),
            }
        }
        None => Step::Map(entries),
    }
}

pub(super) fn call(forms: Vec<(Arc<Overload>, Option<CallCost>)>, mut args: Vec<Step>) -> Step {
    if let ([(form, _)], Some(Step::Constant(Value::String(text)))) = (&*forms, args.get(1))
        && form.takes_pattern
        && let Ok(pattern) = Pattern::of(text)
    {
        args[1] = Step::Constant(Value::opaque(pattern));
    }
    if let ([(form, _)], [Step::Constant(argument)]) = (&*forms, &*args)
        && CONVERSIONS.contains(&form.name)
        && let Ok(value) = (form.call)(std::slice::from_ref(argument))
    {
        return Step::Constant(value);
    }
    Step::Call { forms, args }
}
