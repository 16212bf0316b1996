//! Costs: what calls of CEL's own functions cost, and what a whole expression may cost,
//! by how large variables may be. The numbers are those of cel-go.

mod range;
pub(crate) mod standard;

pub use range::{CostRange, Range, SizeRange};

use crate::check::{Checked, Reference};
use crate::function::{CallEstimate, Operand};
use crate::syntax::{ACCUMULATOR, Comprehension, Constant, Expression, Kind};
use crate::types::Type;
use std::collections::HashMap;

/// The cost of a character that is read.
const CHARACTER: f64 = 0.1;

/// What reading so many characters costs.
pub(crate) fn traversal(size: u64) -> u64 {
    range::scaled(size, CHARACTER)
}

/// How large the values of variables may be.
pub trait Sizes {
    /// The size of what is found on a way that begins with a variable: names of fields,
    /// `@items` of a list, `@keys` and `@values` of a map. `None` if nothing is known.
    fn size(&self, path: &[String]) -> Option<SizeRange>;
}

/// Nothing is known of variables.
impl Sizes for () {
    fn size(&self, _: &[String]) -> Option<SizeRange> {
        None
    }
}

pub(crate) fn estimate(root: &Expression, checked: &Checked, sizes: &dyn Sizes) -> CostRange {
    let mut estimator = Estimator {
        checked,
        sizes,
        computed: HashMap::new(),
        paths: HashMap::new(),
        ranges: Vec::new(),
    };
    estimator.cost(root)
}

struct Estimator<'e> {
    checked: &'e Checked,
    sizes: &'e dyn Sizes,
    /// Sizes of calls' results and of loops' gatherings, by number.
    computed: HashMap<usize, SizeRange>,
    /// Ways from variables to expressions, by number.
    paths: HashMap<usize, Vec<String>>,
    /// The variables of the loops around and where their values are found.
    ranges: Vec<(String, Vec<String>)>,
}

const UNIT: CostRange = Range::fixed(1);

impl<'e> Estimator<'e> {
    fn type_of(&self, of: &Expression) -> &'e Type {
        self.checked.types.get(of.id).unwrap_or(&Type::Dyn)
    }

    fn path(&self, of: &Expression) -> Vec<String> {
        self.paths.get(&of.id).cloned().unwrap_or_default()
    }

    fn cost(&mut self, of: &'e Expression) -> CostRange {
        match &of.kind {
            Kind::Unknown | Kind::Constant(_) => Range::default(),
            Kind::Ident(name) => {
                let local = self.ranges.iter().rev().find(|(local, _)| local == name);
                let path = match local {
                    Some((_, path)) => path.clone(),
                    None => vec![name.clone()],
                };
                self.paths.insert(of.id, path);
                UNIT
            }
            Kind::Select {
                operand,
                field,
                test,
            } => {
                let cost = self.cost(operand);
                if *test {
                    return cost;
                }
                let mut path = self.path(operand);
                if !path.is_empty() {
                    path.push(field.clone());
                    self.paths.insert(of.id, path);
                }
                match self.type_of(operand) {
                    Type::Map(..) | Type::Object(_) => cost.plus(UNIT),
                    _ => cost,
                }
            }
            Kind::Call {
                function,
                target,
                args,
            } => self.call(of, function, target.as_deref(), args),
            Kind::List(items) => {
                let costs = items.iter().map(|(item, _)| self.cost(item));
                let costs = costs.fold(Range::default(), Range::plus);
                costs.plus(Range::fixed(10))
            }
            Kind::Map(entries) => {
                let mut costs = Range::fixed(30);
                for entry in entries {
                    costs = costs.plus(self.cost(&entry.key));
                    costs = costs.plus(self.cost(&entry.value));
                }
                costs
            }
            Kind::Struct { fields, .. } => {
                let costs = fields.iter().map(|field| self.cost(&field.value));
                let costs = costs.fold(Range::default(), Range::plus);
                costs.plus(Range::fixed(40))
            }
            Kind::Comprehension(inner) => self.comprehension(of, inner),
        }
    }

    fn comprehension(&mut self, of: &Expression, inner: &'e Comprehension) -> CostRange {
        let mut sum = self.cost(&inner.range).plus(self.cost(&inner.start));
        let outside = self.ranges.len();
        self.ranges.push((inner.accumulator.clone(), Vec::new()));
        let is_list = matches!(self.type_of(&inner.range), Type::List(_));
        let over = |step: &str| {
            let mut path = self.path(&inner.range);
            if !path.is_empty() {
                path.push(step.to_owned());
            }
            path
        };
        let (first, second) = match (is_list, &inner.second) {
            (true, None) => (over("@items"), None),
            (true, Some(_)) => (over("@indices"), Some(over("@items"))),
            (false, None) => (over("@keys"), None),
            (false, Some(_)) => (over("@keys"), Some(over("@values"))),
        };
        self.ranges.push((inner.variable.clone(), first));
        if let (Some(name), Some(path)) = (&inner.second, second) {
            self.ranges.push((name.clone(), path));
        }
        let round = self.cost(&inner.condition).plus(self.cost(&inner.step));
        self.ranges.truncate(outside + 1);
        sum = sum.plus(self.cost(&inner.result));
        self.ranges.truncate(outside);
        let count = self.size(&inner.range);
        self.computed.insert(of.id, count);
        sum.plus(count.times(round))
    }

    /// The size of an expression's value, by what is known of it.
    fn size(&self, of: &Expression) -> SizeRange {
        self.known_size(of).unwrap_or(match self.type_of(of) {
            Type::Bool | Type::Int | Type::Uint | Type::Double => Range::fixed(1),
            Type::Timestamp | Type::Duration => Range::fixed(1),
            Type::Opaque(_) => Range::fixed(1),
            _ => Range::UNKNOWN,
        })
    }

    fn known_size(&self, of: &Expression) -> Option<SizeRange> {
        if let Some(size) = self.computed.get(&of.id) {
            return Some(*size);
        }
        let literal = match &of.kind {
            Kind::Constant(Constant::String(text)) => Some(text.chars().count()),
            Kind::Constant(Constant::Bytes(bytes)) => Some(bytes.len()),
            Kind::List(items) => Some(items.len()),
            Kind::Map(entries) => Some(entries.len()),
            _ => None,
        };
        if let Some(size) = literal {
            return Some(Range::fixed(size as u64));
        }
        self.size_at(&self.path(of))
    }

    fn size_at(&self, path: &[String]) -> Option<SizeRange> {
        let first = path.first()?;
        let known = first != ACCUMULATOR;
        known.then(|| self.sizes.size(path)).flatten()
    }

    fn operand(&self, of: &'e Expression) -> Operand<'e> {
        let mut path = self.path(of);
        let element_size = match path.is_empty() {
            true => None,
            false => {
                path.push("@items".to_owned());
                self.size_at(&path)
            }
        };
        Operand {
            kind: self.type_of(of).clone(),
            size: self.size(of),
            element_size: element_size.unwrap_or(Range::UNKNOWN),
            constant: match &of.kind {
                Kind::Constant(constant) => Some(constant),
                _ => None,
            },
        }
    }

    fn call(
        &mut self,
        of: &Expression,
        function: &str,
        target: Option<&'e Expression>,
        args: &'e [Expression],
    ) -> CostRange {
        let reference = self.checked.references.get(of.id);
        let (forms, member) = match reference {
            Some(Some(Reference::Overloads { forms, member })) => (&**forms, *member),
            _ => (&[][..], false),
        };
        let all: Vec<&Expression> = target.filter(|_| member).into_iter().chain(args).collect();
        let costs: Vec<CostRange> = all.iter().map(|arg| self.cost(arg)).collect();
        let sum = costs.iter().copied().fold(Range::default(), Range::plus);
        match (function, &*costs, &*all) {
            ("_&&_" | "_||_", [left, right], _) => {
                return Range::new(left.min, left.plus(*right).max);
            }
            ("_?_:_", [condition, then, other], [_, one, two]) => {
                let size = self.size(one).union(self.size(two));
                self.computed.insert(of.id, size);
                return condition.plus(then.union(*other));
            }
            ("_?._" | "_[?_]", ..) => return sum.plus(UNIT),
            _ => {}
        }
        let operands: Vec<Operand> = all.iter().map(|arg| self.operand(arg)).collect();
        let mut cost: Option<CostRange> = None;
        let mut result: Option<SizeRange> = None;
        for form in forms {
            let found = match form.estimate {
                Some(estimate) => estimate(&operands),
                None => standard::estimate(form.id, &operands),
            };
            let CallEstimate {
                cost: more,
                result: size,
            } = found;
            cost = Some(cost.map_or(more, |before| before.union(more)));
            result = match (result, size) {
                (Some(before), Some(size)) => Some(before.union(size)),
                (before, size) => before.or(size),
            };
            let step = match form.id {
                "index_list" => "@items",
                "index_map" => "@values",
                _ => continue,
            };
            let mut path = all.first().map(|arg| self.path(arg)).unwrap_or_default();
            if !path.is_empty() {
                path.push(step.to_owned());
                self.paths.insert(of.id, path);
            }
        }
        if let Some(size) = result {
            self.computed.insert(of.id, size);
        }
        cost.map_or(sum, |cost| sum.plus(cost))
    }
}
