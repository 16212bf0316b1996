//! Evaluation, with its costs: those that cel-go counts.

mod budget;
mod index;
mod scope;

pub use budget::Budget;
pub use scope::{Bindings, Scope};

use crate::error::Error;
use crate::function::{CallCost, Overload};
use crate::plan::{Loop, Step};
use crate::program::PER_CALL_LIMIT;
use crate::regex::Brought;
use crate::types::Type;
use crate::value::{Key, Map, Struct, Value};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What making a list, a map, an object costs.
const LIST_COST: u64 = 10;
const MAP_COST: u64 = 30;
const STRUCT_COST: u64 = 40;

type Outcome<'a> = Result<Value<'a>, Error>;

pub(crate) fn evaluate<'a>(
    step: &'a Step,
    bindings: &dyn Bindings<'a>,
    budget: &Budget,
) -> Outcome<'a> {
    let mut evaluation = Evaluation {
        bindings,
        budget,
        cost: 0,
        locals: Vec::new(),
        patterns: Brought::default(),
    };
    let outcome = evaluation.value(step);
    budget.spend(evaluation.cost)?;
    outcome
}

struct Evaluation<'e, 'a> {
    bindings: &'e dyn Bindings<'a>,
    budget: &'e Budget,
    cost: u64,
    /// Variables of the loops around; of one that is not known, why.
    locals: Vec<Outcome<'a>>,
    /// Patterns that objects have brought.
    patterns: Brought,
}

impl<'a> Evaluation<'_, 'a> {
    fn pay(&mut self, cost: u64) -> Result<(), Error> {
        self.cost = self.cost.saturating_add(cost);
        match self.cost > PER_CALL_LIMIT {
            true => Err(Error::CostLimitExceeded),
            false => Ok(()),
        }
    }

    fn value(&mut self, step: &'a Step) -> Outcome<'a> {
        match step {
            Step::Constant(value) => Ok(value.clone()),
            Step::Variable(name) => {
                self.pay(1)?;
                let found = self.bindings.variable(name, self.budget);
                found.unwrap_or_else(|| Err(Error::NoSuchAttribute(name.to_string())))
            }
            Step::Local(number) => {
                self.pay(1)?;
                let found = self.locals.get(*number).cloned();
                found.unwrap_or(Err(Error::NoSuchOverload))
            }
            Step::TakeLocal(number) => {
                self.pay(1)?;
                let taken = self.locals.get_mut(*number);
                taken.map_or(Err(Error::NoSuchOverload), |place| {
                    std::mem::replace(place, Ok(Value::Null))
                })
            }
            Step::Select { operand, field } => {
                let operand = self.value(operand)?;
                self.pay(1)?;
                index::select(&operand, field)
            }
            Step::Test { operand, field } => {
                let operand = self.value(operand)?;
                index::has(&operand, field).map(Value::Bool)
            }
            Step::Index { operand, index } => {
                let (operand, index) = (self.value(operand)?, self.value(index)?);
                self.pay(1)?;
                index::index(&operand, &index)
            }
            Step::OptionalIndex { operand, index } => {
                let (operand, index) = (self.value(operand)?, self.value(index)?);
                self.pay(1)?;
                index::optional(&operand, &index)
            }
            Step::And(args) => self.logical(args, false),
            Step::Or(args) => self.logical(args, true),
            Step::Conditional(args) => self.conditional(args),
            Step::Equal { args, negated } => self.equal(args, *negated),
            Step::In {
                args,
                constant,
                list,
            } => self.contained(args, *constant, *list),
            Step::OptionalOr { args, value } => self.optional_or(args, *value),
            Step::NotStrictlyFalse(operand) => {
                let outcome = self.value(operand);
                self.pay(1)?;
                match outcome {
                    Err(error) if error.is_cost() => Err(error),
                    Ok(Value::Bool(truth)) => Ok(Value::Bool(truth)),
                    _ => Ok(Value::Bool(true)),
                }
            }
            Step::Call { forms, args } => self.call(forms, args),
            Step::List(items) => self.list(items),
            Step::Map(entries) => self.map(entries),
            Step::Struct { kind, fields } => {
                let mut object = Struct {
                    kind: kind.clone(),
                    fields: BTreeMap::new(),
                };
                for (name, value, optional) in fields {
                    let value = self.value(value)?;
                    if let Some(value) = given(value, *optional)? {
                        object.fields.insert(name.clone(), value);
                    }
                }
                self.pay(STRUCT_COST)?;
                Ok(Value::Struct(Arc::new(object)))
            }
            Step::Loop(of) => self.run(of),
        }
    }

    /// `&&` and `||`: `decisive` of either side is the result, whatever the other is.
    fn logical(&mut self, args: &'a [Step; 2], decisive: bool) -> Outcome<'a> {
        let mut failure = None;
        for arg in args {
            match self.value(arg) {
                Ok(Value::Bool(truth)) if truth == decisive => return Ok(Value::Bool(truth)),
                Ok(Value::Bool(_)) => {}
                Ok(_) => failure = failure.or(Some(Error::NoSuchOverload)),
                Err(error) if error.is_cost() => return Err(error),
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        failure.map_or(Ok(Value::Bool(!decisive)), Err)
    }

    fn conditional(&mut self, [condition, then, other]: &'a [Step; 3]) -> Outcome<'a> {
        match self.value(condition)? {
            Value::Bool(true) => self.value(then),
            Value::Bool(false) => self.value(other),
            _ => Err(Error::NoSuchOverload),
        }
    }

    fn equal(&mut self, [left, right]: &'a [Step; 2], negated: bool) -> Outcome<'a> {
        let (left, right) = (self.value(left)?, self.value(right)?);
        let size = |value: &Value| value.size().unwrap_or(1);
        let least = match &left {
            // Kubernetes has a price of its own for values of its libraries.
            Value::Opaque(_) if !negated => 1,
            _ => size(&left).min(size(&right)),
        };
        self.pay(crate::cost::traversal(least))?;
        Ok(Value::Bool(left.equals(&right) != negated))
    }

    fn contained(&mut self, args: &'a [Step; 2], constant: bool, list: bool) -> Outcome<'a> {
        let [item, within] = args;
        let (item, within) = (self.value(item)?, self.value(within)?);
        self.pay(match (constant, list) {
            (true, _) => 0,
            (false, true) => within.size().unwrap_or(1),
            (false, false) => 1,
        })?;
        match &within {
            Value::List(list) => {
                for known in list.iter() {
                    if known?.equals(&item) {
                        return Ok(Value::Bool(true));
                    }
                }
                Ok(Value::Bool(false))
            }
            Value::Map(map) => {
                let found = match Key::of(&item) {
                    Some(key) => map.get(&key)?.is_some(),
                    None => false,
                };
                Ok(Value::Bool(found))
            }
            _ => Err(Error::NoSuchOverload),
        }
    }

    fn optional_or(&mut self, [first, second]: &'a [Step; 2], value: bool) -> Outcome<'a> {
        match (self.value(first)?, value) {
            (Value::Optional(None), _) => self.value(second),
            (Value::Optional(Some(inner)), true) => Ok((*inner).clone()),
            (some @ Value::Optional(_), false) => Ok(some),
            _ => Err(Error::NoSuchOverload),
        }
    }

    fn call(
        &mut self,
        forms: &'a [(Arc<Overload>, Option<CallCost>)],
        args: &'a [Step],
    ) -> Outcome<'a> {
        let mut values = Vec::with_capacity(args.len());
        for arg in args {
            values.push(self.value(arg)?);
        }
        let meant = match forms {
            [one] => Some(one),
            several => several.iter().find(|(form, _)| fits(form, &values)),
        };
        let Some((form, cost)) = meant else {
            self.pay(1)?;
            return Err(Error::NoSuchOverload);
        };
        if form.takes_pattern
            && let Some(wanted) = values.get_mut(1)
            && let Some(pattern) = self.patterns.compiled(wanted)
        {
            *wanted = pattern;
        }
        // What grows by one element is given away, not copied; it costs by its kind alone.
        let Some(cost) = cost else {
            self.pay(1)?;
            return match (form.id, &mut *values) {
                ("add_list", [left, right]) => {
                    crate::standard::append(std::mem::replace(left, Value::Null), right)
                }
                ("@mapInsert", [map, key, value]) => {
                    let map = std::mem::replace(map, Value::Null);
                    crate::standard::insert(map, key, value)
                }
                _ => (form.call)(&values),
            };
        };
        let outcome = (form.call)(&values);
        self.pay(cost(&values, outcome.as_ref().ok()))?;
        outcome
    }

    fn list(&mut self, items: &'a [(Step, bool)]) -> Outcome<'a> {
        let mut values = Vec::with_capacity(items.len());
        for (item, optional) in items {
            let value = self.value(item)?;
            values.extend(given(value, *optional)?);
        }
        self.pay(LIST_COST)?;
        Ok(Value::list(values))
    }

    fn map(&mut self, entries: &'a [(Step, Step, bool)]) -> Outcome<'a> {
        let mut map = BTreeMap::new();
        for (key, value, optional) in entries {
            let key = self.value(key)?;
            let value = self.value(value)?;
            let Some(value) = given(value, *optional)? else {
                continue;
            };
            let Some(key) = Key::of(&key) else {
                return Err(Error::function("unsupported key type"));
            };
            if map.insert(key, value).is_some() {
                return Err(Error::function("Failed with repeated key"));
            }
        }
        self.pay(MAP_COST)?;
        Ok(Value::Map(Map::from(map)))
    }

    fn run(&mut self, of: &'a Loop) -> Outcome<'a> {
        let range = self.value(&of.range)?;
        let gathered = self.value(&of.start)?;
        let outside = self.locals.len();
        self.locals.push(Ok(gathered));
        let outcome = self.rounds(of, &range, outside);
        self.locals.truncate(outside);
        outcome
    }

    fn rounds(&mut self, of: &'a Loop, range: &Value<'a>, gathered: usize) -> Outcome<'a> {
        match range {
            Value::List(list) => {
                for index in 0..list.len() {
                    let item = list.get(index).transpose().unwrap_or(Ok(Value::Null));
                    let first = Ok(Value::Int(index as i64));
                    let (first, second) = match of.two {
                        true => (first, Some(item)),
                        false => (item, None),
                    };
                    if !self.round(of, first, second, gathered)? {
                        break;
                    }
                }
            }
            Value::Map(map) => {
                for key in map.keys() {
                    let value = match of.two {
                        // What has a key but no schema is out of sight.
                        true => match map.get(&key) {
                            Ok(None) => continue,
                            Ok(Some(value)) => Some(Ok(value)),
                            Err(error) => Some(Err(error)),
                        },
                        false => None,
                    };
                    if !self.round(of, Ok(key.into()), value, gathered)? {
                        break;
                    }
                }
            }
            _ => return Err(Error::NoSuchOverload),
        }
        self.value(&of.result)
    }

    /// One round of a loop; whether it goes on.
    fn round(
        &mut self,
        of: &'a Loop,
        first: Outcome<'a>,
        second: Option<Outcome<'a>>,
        gathered: usize,
    ) -> Result<bool, Error> {
        self.locals.push(first);
        self.locals.extend(second);
        let condition = self.value(&of.condition);
        let over = match condition {
            Err(error) if error.is_cost() => return Err(error),
            Ok(Value::Bool(truth)) => !truth,
            _ => false,
        };
        let outcome = match over {
            true => None,
            false => Some(self.value(&of.step)),
        };
        self.locals.truncate(gathered + 1);
        match outcome {
            None => Ok(false),
            Some(Err(error)) if error.is_cost() => Err(error),
            Some(outcome) => {
                self.locals[gathered] = outcome;
                Ok(true)
            }
        }
    }
}

/// What an element or a field is to be: of an optional one what is in it, or nothing.
fn given(value: Value<'_>, optional: bool) -> Result<Option<Value<'_>>, Error> {
    match (value, optional) {
        (value, false) => Ok(Some(value)),
        (Value::Optional(inner), true) => Ok(inner.map(|inner| (*inner).clone())),
        (_, true) => Err(Error::NoSuchOverload),
    }
}

/// Whether a form of a function takes these values.
fn fits(form: &Overload, values: &[Value]) -> bool {
    let each = |(param, value): (&Type, &Value)| takes(param, value);
    form.params.len() == values.len() && form.params.iter().zip(values).all(each)
}

fn takes(param: &Type, value: &Value) -> bool {
    match (param, value) {
        (Type::Dyn | Type::Param(_), _) => true,
        (Type::List(_), Value::List(_))
        | (Type::Map(..), Value::Map(_) | Value::Struct(_))
        | (Type::Optional(_), Value::Optional(_))
        | (Type::Type(_), Value::Type(_)) => true,
        (Type::List(_) | Type::Map(..) | Type::Optional(_) | Type::Type(_), _) => false,
        (param, value) => *param == value.type_of(),
    }
}
