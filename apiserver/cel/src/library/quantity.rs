//! Quantities: `quantity("50Mi")` and what can be done with it.
//! Kubernetes' `k8s.io/apiserver/pkg/cel/library/quantity.go`.

mod amount;

use super::costs::{estimate_read, read};
use crate::value::Opaque;
use crate::{Call, Error, Overload, Type, Value};
use amount::Amount;
use hardway_proto::quantity::{Format, Quantity as Number, QuantityError};
use std::cmp::Ordering;

const TYPE: Type = Type::Opaque("kubernetes.Quantity");

/// A quantity, and how Kubernetes holds it, which decides whether it counts as an integer.
#[derive(Clone, Copy, Debug)]
struct Quantity {
    number: Number,
    /// `None` where Kubernetes needs more than 64 bits for it, or is not sure.
    amount: Option<Amount>,
}

impl Opaque for Quantity {
    fn type_of(&self) -> Type {
        TYPE
    }

    fn equals(&self, other: &dyn Opaque) -> bool {
        other
            .downcast::<Quantity>()
            .is_some_and(|other| self.number == other.number)
    }
}

pub(super) fn overloads() -> Vec<Overload> {
    let of_itself = |name, id, result, call: Call| Overload::member(name, id, [TYPE], result, call);
    let with_another =
        |name, id, result, call: Call| Overload::member(name, id, [TYPE, TYPE], result, call);
    let with_integer =
        |name, id, call: Call| Overload::member(name, id, [TYPE, Type::Int], TYPE, call);
    vec![
        Overload::global(
            "quantity",
            "string_to_quantity",
            [Type::String],
            TYPE,
            quantity,
        )
        .costs(read, estimate_read),
        Overload::global(
            "isQuantity",
            "is_quantity_string",
            [Type::String],
            Type::Bool,
            is_quantity,
        )
        .costs(read, estimate_read),
        // The one that is no member in Kubernetes, whose documentation has it as one.
        Overload::global("sign", "quantity_sign", [TYPE], Type::Int, sign),
        of_itself("isInteger", "quantity_is_integer", Type::Bool, |args| {
            Ok(receiver(args)?.as_integer().is_some().into())
        }),
        of_itself("asInteger", "quantity_get_int", Type::Int, |args| {
            let whole = receiver(args)?.as_integer();
            whole
                .map(Value::Int)
                .ok_or_else(|| Error::function("cannot convert value to integer"))
        }),
        of_itself(
            "asApproximateFloat",
            "quantity_get_float",
            Type::Double,
            |args| Ok(Value::Double(receiver(args)?.number.as_f64())),
        ),
        with_another(
            "isGreaterThan",
            "quantity_is_greater_than",
            Type::Bool,
            |args| Ok(Value::Bool(order(args)? == Ordering::Greater)),
        ),
        with_another("isLessThan", "quantity_is_less_than", Type::Bool, |args| {
            Ok(Value::Bool(order(args)? == Ordering::Less))
        }),
        with_another("compareTo", "quantity_compare_to", Type::Int, |args| {
            Ok(Value::Int(order(args)? as i64))
        }),
        with_another("add", "quantity_add", TYPE, add),
        with_integer("add", "quantity_add_int", add),
        with_another("sub", "quantity_sub", TYPE, subtract),
        with_integer("sub", "quantity_sub_int", subtract),
    ]
}

impl Quantity {
    fn parse(text: &str) -> Result<Self, QuantityError> {
        Ok(Self {
            number: text.parse()?,
            amount: Amount::parse(text),
        })
    }

    fn of_integer(integer: i64) -> Self {
        Self {
            number: Number::from_value(integer, Format::DecimalExponent),
            amount: Some(Amount::integer(integer)),
        }
    }

    fn as_integer(&self) -> Option<i64> {
        self.amount.and_then(Amount::as_integer)
    }

    fn plus(self, other: Self) -> Self {
        Self {
            number: self.number + other.number,
            amount: self
                .amount
                .zip(other.amount)
                .and_then(|(one, other)| one.plus(other)),
        }
    }

    fn minus(self, other: Self) -> Self {
        self.plus(Self {
            number: -other.number,
            amount: other.amount.and_then(Amount::negated),
        })
    }
}

fn quantity<'a>(args: &[Value<'a>]) -> Result<Value<'a>, Error> {
    match args {
        [Value::String(text)] => match Quantity::parse(text) {
            Ok(quantity) => Ok(Value::opaque(quantity)),
            Err(why) => Err(Error::function(why.to_string())),
        },
        _ => Err(Error::NoSuchOverload),
    }
}

fn is_quantity<'a>(args: &[Value<'a>]) -> Result<Value<'a>, Error> {
    match args {
        [Value::String(text)] => Ok(Quantity::parse(text).is_ok().into()),
        _ => Err(Error::NoSuchOverload),
    }
}

fn receiver(args: &[Value]) -> Result<Quantity, Error> {
    let quantity = args.first().and_then(|value| value.downcast::<Quantity>());
    quantity.copied().ok_or(Error::NoSuchOverload)
}

/// The other quantity, which may be given as an integer.
fn operand(args: &[Value]) -> Result<Quantity, Error> {
    match args.get(1) {
        Some(Value::Int(integer)) => Ok(Quantity::of_integer(*integer)),
        Some(value) => value.downcast().copied().ok_or(Error::NoSuchOverload),
        None => Err(Error::NoSuchOverload),
    }
}

fn sign<'a>(args: &[Value<'a>]) -> Result<Value<'a>, Error> {
    Ok(Value::Int(receiver(args)?.number.sign().into()))
}

fn order(args: &[Value]) -> Result<Ordering, Error> {
    Ok(receiver(args)?.number.cmp(&operand(args)?.number))
}

fn add<'a>(args: &[Value<'a>]) -> Result<Value<'a>, Error> {
    Ok(Value::opaque(receiver(args)?.plus(operand(args)?)))
}

fn subtract<'a>(args: &[Value<'a>]) -> Result<Value<'a>, Error> {
    Ok(Value::opaque(receiver(args)?.minus(operand(args)?)))
}
