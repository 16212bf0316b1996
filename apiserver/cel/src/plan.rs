//! What is evaluated: the checked tree with names looked up, constants put together and
//! the variables of loops numbered.

mod constant;

use crate::check::{Checked, Reference};
use crate::cost::standard;
use crate::function::{CallCost, Overload};
use crate::syntax::{ACCUMULATOR, Comprehension, Expression, Kind};
use crate::types::{ObjectType, Type};
use crate::value::{Key, Value};
use std::sync::Arc;

/// Something to be evaluated.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Constant(Value<'static>),
    /// A variable that is bound from outside.
    Variable(Arc<str>),
    /// A variable of a loop, by its number from the outermost on.
    Local(usize),
    /// What a loop gathers, which nobody needs after this.
    TakeLocal(usize),
    Select {
        operand: Box<Step>,
        field: Key<'static>,
    },
    /// `has(operand.field)`.
    Test {
        operand: Box<Step>,
        field: Key<'static>,
    },
    /// `operand[index]`.
    Index {
        operand: Box<Step>,
        index: Box<Step>,
    },
    /// `operand[?index]` and `operand.?field`.
    OptionalIndex {
        operand: Box<Step>,
        index: Box<Step>,
    },
    And(Box<[Step; 2]>),
    Or(Box<[Step; 2]>),
    Conditional(Box<[Step; 3]>),
    /// Whether the second is not the first.
    Equal {
        args: Box<[Step; 2]>,
        negated: bool,
    },
    In {
        args: Box<[Step; 2]>,
        /// Whether the list stands in the expression, so that looking costs nothing.
        constant: bool,
        list: bool,
    },
    /// `a.or(b)` and `a.orValue(b)`, of which `b` may not be needed.
    OptionalOr {
        args: Box<[Step; 2]>,
        value: bool,
    },
    NotStrictlyFalse(Box<Step>),
    Call {
        forms: Vec<(Arc<Overload>, Option<CallCost>)>,
        args: Vec<Step>,
    },
    List(Vec<(Step, bool)>),
    Map(Vec<(Step, Step, bool)>),
    Struct {
        kind: Arc<ObjectType>,
        fields: Vec<(String, Step, bool)>,
    },
    Loop(Box<Loop>),
}

/// A loop. Its variables have the next numbers: what it gathers, the first, the second.
#[derive(Clone, Debug)]
pub(crate) struct Loop {
    pub range: Step,
    pub two: bool,
    pub start: Step,
    pub condition: Step,
    pub step: Step,
    pub result: Step,
}

/// What to evaluate for an expression that is right.
pub(crate) fn plan(root: &Expression, checked: &Checked) -> Step {
    let mut planner = Planner {
        checked,
        locals: Vec::new(),
    };
    planner.step(root)
}

struct Planner<'p> {
    checked: &'p Checked,
    locals: Vec<String>,
}

impl Planner<'_> {
    fn reference(&self, of: &Expression) -> Option<&Reference> {
        self.checked.references.get(of.id)?.as_ref()
    }

    fn boxed(&mut self, of: &Expression) -> Box<Step> {
        Box::new(self.step(of))
    }

    fn named(&self, of: &Expression) -> Option<Step> {
        Some(match self.reference(of)? {
            Reference::Variable(name) => Step::Variable(name.as_str().into()),
            Reference::Type(kind) => Step::Constant(Value::Type(kind.clone())),
            Reference::Local(name) => {
                let number = self.locals.iter().rposition(|local| local == name)?;
                Step::Local(number)
            }
            Reference::Overloads { .. } => return None,
        })
    }

    fn step(&mut self, of: &Expression) -> Step {
        match &of.kind {
            // What couldn't be parsed isn't planned.
            Kind::Unknown => Step::Constant(Value::Null),
            Kind::Constant(constant) => Step::Constant(constant::value(constant)),
            Kind::Ident(_) => {
                let named = self.named(of);
                named.unwrap_or(Step::Constant(Value::Null))
            }
            Kind::Select {
                operand,
                field,
                test,
            } => {
                if let Some(named) = self.named(of) {
                    return named;
                }
                let operand = self.boxed(operand);
                let field = Key::String(Arc::<str>::from(field.as_str()).into());
                match test {
                    true => Step::Test { operand, field },
                    false => Step::Select { operand, field },
                }
            }
            Kind::Call {
                function,
                target,
                args,
            } => self.call(of, function, target.as_deref(), args),
            Kind::List(items) => {
                let items = items.iter().map(|(item, o)| (self.step(item), *o));
                constant::list(items.collect())
            }
            Kind::Map(entries) => {
                let entries = entries
                    .iter()
                    .map(|e| (self.step(&e.key), self.step(&e.value), e.optional));
                constant::map(entries.collect())
            }
            Kind::Struct { fields, .. } => {
                let kind = match self.reference(of) {
                    Some(Reference::Type(Type::Object(kind))) => kind.clone(),
                    _ => Arc::default(),
                };
                let fields = fields
                    .iter()
                    .map(|f| (f.name.clone(), self.step(&f.value), f.optional));
                let fields = fields.collect();
                Step::Struct { kind, fields }
            }
            Kind::Comprehension(of) => self.comprehension(of),
        }
    }

    fn comprehension(&mut self, of: &Comprehension) -> Step {
        let range = self.step(&of.range);
        let start = self.step(&of.start);
        let outside = self.locals.len();
        self.locals.push(of.accumulator.clone());
        self.locals.push(of.variable.clone());
        self.locals.extend(of.second.clone());
        let condition = self.step(&of.condition);
        let step = self.step(&of.step);
        self.locals.truncate(outside + 1);
        let result = self.step(&of.result);
        self.locals.truncate(outside);
        Step::Loop(Box::new(Loop {
            range,
            two: of.second.is_some(),
            start,
            condition,
            step,
            result,
        }))
    }

    fn call(
        &mut self,
        of: &Expression,
        function: &str,
        target: Option<&Expression>,
        args: &[Expression],
    ) -> Step {
        let (forms, member) = match self.reference(of) {
            Some(Reference::Overloads { forms, member }) => (forms.clone(), *member),
            _ => (Vec::new(), false),
        };
        let target = target.filter(|_| member);
        let gathers = matches!(
            args.first().map(|arg| &arg.kind),
            Some(Kind::Ident(name)) if name == ACCUMULATOR
        );
        let all = target.into_iter().chain(args);
        let mut args: Vec<Step> = all.map(|arg| self.step(arg)).collect();
        // A list that grows by one element isn't copied for it.
        if gathers
            && matches!(function, "_+_" | "cel.@mapInsert")
            && let Some(Step::Local(number)) = args.first()
        {
            args[0] = Step::TakeLocal(*number);
        }
        let in_list = forms.len() == 1 && forms[0].id == "in_list";
        let ordinary = match (function, <[Step; 2]>::try_from(args)) {
            ("_&&_", Ok(args)) => return Step::And(Box::new(args)),
            ("_||_", Ok(args)) => return Step::Or(Box::new(args)),
            ("_==_" | "_!=_", Ok(args)) => {
                let negated = function == "_!=_";
                let args = Box::new(args);
                return Step::Equal { args, negated };
            }
            ("@in", Ok(args)) => {
                let constant = in_list && matches!(args[1], Step::Constant(_));
                return Step::In {
                    args: Box::new(args),
                    constant,
                    list: in_list,
                };
            }
            ("_[_]", Ok([operand, index])) => {
                let (operand, index) = (Box::new(operand), Box::new(index));
                return Step::Index { operand, index };
            }
            ("_[?_]" | "_?._", Ok([operand, index])) => {
                let (operand, index) = (Box::new(operand), Box::new(index));
                return Step::OptionalIndex { operand, index };
            }
            ("or" | "orValue", Ok(args)) if member => {
                let value = function == "orValue";
                let args = Box::new(args);
                return Step::OptionalOr { args, value };
            }
            (_, Ok(args)) => args.into(),
            (_, Err(args)) => args,
        };
        let ordinary = match (function, <[Step; 3]>::try_from(ordinary)) {
            ("_?_:_", Ok(args)) => return Step::Conditional(Box::new(args)),
            (_, Ok(args)) => args.into(),
            (_, Err(args)) => args,
        };
        if function == "@not_strictly_false"
            && let Some(arg) = ordinary.first()
        {
            return Step::NotStrictlyFalse(Box::new(arg.clone()));
        }
        constant::call(forms_with_costs(forms), ordinary)
    }
}

/// The language's own functions cost by their form only where one form is meant.
fn forms_with_costs(forms: Vec<Arc<Overload>>) -> Vec<(Arc<Overload>, Option<CallCost>)> {
    let one = forms.len() == 1;
    let forms = forms.into_iter().map(|form| {
        let cost = form
            .cost
            .or_else(|| standard::cost(form.id).filter(|_| one));
        (form, cost)
    });
    forms.collect()
}
