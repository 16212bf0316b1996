//! The type of each part of an expression, and what its names refer to.

mod calls;
mod literals;
mod unify;

use crate::environment::Environment;
use crate::function::Overload;
use crate::issue::Issues;
use crate::syntax::{Comprehension, Constant, Expression, Kind};
use crate::types::Type;
use std::sync::Arc;
use unify::Substitution;

/// What is known of the parts of an expression, by their number.
#[derive(Debug, Default)]
pub(crate) struct Checked {
    pub types: Vec<Type>,
    pub references: Vec<Option<Reference>>,
}

/// What a name or a call refers to.
#[derive(Clone, Debug)]
pub(crate) enum Reference {
    /// A variable of the environment, by its whole name.
    Variable(String),
    /// A variable of a loop around.
    Local(String),
    /// A type by its name.
    Type(Type),
    /// The forms of a function that may be meant.
    Overloads {
        forms: Vec<Arc<Overload>>,
        /// Whether the target is an argument, or else a part of the name.
        member: bool,
    },
}

/// Checks an expression; issues tell what is wrong.
pub(crate) fn check(
    environment: &Environment,
    root: &Expression,
    places: &[usize],
    issues: &mut Issues,
) -> Checked {
    let mut checker = Checker {
        environment,
        places,
        issues,
        scopes: Vec::new(),
        substitution: Substitution::default(),
        types: vec![Type::Dyn; places.len()],
        references: vec![None; places.len()],
    };
    checker.check(root);
    let Checker {
        types,
        references,
        substitution,
        ..
    } = checker;
    let types: Vec<Type> = types.iter().map(|t| substitution.resolved(t)).collect();
    if issues.is_empty() {
        literals::check(root, &types, places, issues);
    }
    Checked { types, references }
}

struct Checker<'c, 't> {
    environment: &'c Environment,
    places: &'c [usize],
    issues: &'c mut Issues<'t>,
    /// Variables of the loops around, the innermost last.
    scopes: Vec<(String, Type)>,
    substitution: Substitution,
    types: Vec<Type>,
    references: Vec<Option<Reference>>,
}

impl Checker<'_, '_> {
    fn issue(&mut self, id: usize, message: String) {
        let at = self.places.get(id).copied().unwrap_or_default();
        self.issues.add(at, message);
    }

    fn refer(&mut self, id: usize, reference: Reference) {
        if let Some(place) = self.references.get_mut(id) {
            *place = Some(reference);
        }
    }

    /// The type of an expression, which is noted.
    fn check(&mut self, of: &Expression) -> Type {
        let found = match &of.kind {
            Kind::Unknown => Type::Error,
            Kind::Constant(constant) => constant_type(constant),
            Kind::Ident(name) => self.ident(of.id, name),
            Kind::Select {
                operand,
                field,
                test,
            } => self.select(of, operand, field, *test),
            Kind::Call {
                function,
                target,
                args,
            } => self.call(of.id, function, target.as_deref(), args),
            Kind::List(items) => {
                let items: Vec<_> = items.iter().map(|(e, o)| (e, *o)).collect();
                Type::list(self.aggregate(&items))
            }
            Kind::Map(entries) => {
                let keys: Vec<_> = entries.iter().map(|e| (&e.key, false)).collect();
                let key = self.aggregate(&keys);
                let values: Vec<_> = entries.iter().map(|e| (&e.value, e.optional)).collect();
                Type::map(key, self.aggregate(&values))
            }
            Kind::Struct { name, fields } => self.object(of.id, name, fields),
            Kind::Comprehension(of) => self.comprehension(of),
        };
        if let Some(place) = self.types.get_mut(of.id) {
            *place = found.clone();
        }
        found
    }

    fn lookup(&self, name: &str) -> Option<(Type, Reference)> {
        let bare = name.strip_prefix('.').unwrap_or(name);
        let mut scopes = self.scopes.iter().rev();
        if let Some((_, kind)) = scopes.find(|(local, _)| local == name) {
            return Some((kind.clone(), Reference::Local(name.to_owned())));
        }
        if let Some(kind) = self.environment.variable_type(bare) {
            return Some((kind.clone(), Reference::Variable(bare.to_owned())));
        }
        let named = self.environment.named_type(bare)?;
        let of_it = Type::of_type(named.clone());
        Some((of_it, Reference::Type(named.clone())))
    }

    fn ident(&mut self, id: usize, name: &str) -> Type {
        match self.lookup(name) {
            Some((kind, reference)) => {
                self.refer(id, reference);
                kind
            }
            None => self.undeclared(id, name),
        }
    }

    fn undeclared(&mut self, id: usize, name: &str) -> Type {
        let words = format!("undeclared reference to '{name}' (in container '')");
        self.issue(id, words);
        Type::Error
    }

    fn select(&mut self, of: &Expression, operand: &Expression, field: &str, test: bool) -> Type {
        if !test
            && let Some(name) = of.qualified_name()
            && let first = name.split('.').next().unwrap_or_default()
            && !self.scopes.iter().any(|(local, _)| local == first)
            && let Some((kind, reference)) = self.lookup(&name)
        {
            self.refer(of.id, reference);
            return kind;
        }
        let target = self.check(operand);
        let found = self.field(of.id, &target, field, false);
        if test { Type::Bool } else { found }
    }

    /// The type of a field; of an optional object it is optional.
    fn field(&mut self, id: usize, target: &Type, field: &str, optional: bool) -> Type {
        let target = self.substitution.shallow(target);
        let (inner, was_optional) = match &target {
            Type::Optional(inner) => (self.substitution.shallow(inner), true),
            _ => (target.clone(), false),
        };
        let found = match &inner {
            Type::Map(_, value) => (**value).clone(),
            Type::Object(object) => match object.field(field) {
                Some(kind) => kind.clone(),
                None => {
                    self.issue(id, format!("undefined field '{field}'"));
                    Type::Error
                }
            },
            Type::Variable(_) => {
                // What it is shows at run time.
                self.substitution.assignable(&Type::Dyn, &inner);
                Type::Dyn
            }
            Type::Dyn | Type::Error => Type::Dyn,
            _ => {
                let words = format!("type '{target}' does not support field selection");
                self.issue(id, words);
                Type::Error
            }
        };
        match optional || was_optional {
            true => Type::optional(found),
            false => found,
        }
    }

    /// The one type of elements of a list, or keys or values of a map.
    fn aggregate(&mut self, items: &[(&Expression, bool)]) -> Type {
        let mut joined: Option<Type> = None;
        for (item, optional) in items {
            let mut found = self.check(item);
            if *optional {
                found = match self.substitution.shallow(&found) {
                    Type::Optional(inner) => (*inner).clone(),
                    Type::Dyn | Type::Error => Type::Dyn,
                    other => {
                        let wanted = Type::optional(other.clone());
                        self.mismatch(item.id, &wanted, &other);
                        other
                    }
                };
            }
            joined = Some(match joined {
                None => found,
                Some(before) => self.join(item.id, before, found),
            });
        }
        joined.unwrap_or_else(|| self.substitution.fresh())
    }

    fn join(&mut self, id: usize, before: Type, found: Type) -> Type {
        if !self.substitution.assignable(&before, &found) {
            self.mismatch(id, &before, &found);
            return Type::Error;
        }
        unify::most_general(before, found)
    }

    fn mismatch(&mut self, id: usize, expected: &Type, found: &Type) {
        let expected = self.substitution.shown(expected);
        let found = self.substitution.shown(found);
        self.issue(
            id,
            format!("expected type '{expected}' but found '{found}'"),
        );
    }

    fn object(&mut self, id: usize, name: &str, fields: &[crate::syntax::Field]) -> Type {
        let object = match self.lookup(name) {
            None => {
                self.undeclared(id, name);
                None
            }
            Some((Type::Type(of), _)) => match &*of {
                Type::Object(object) => Some(object.clone()),
                other => {
                    self.issue(id, format!("'{other}' is not a message type"));
                    None
                }
            },
            Some((other, _)) => {
                self.issue(id, format!("'{other}' is not a type"));
                None
            }
        };
        for field in fields {
            let mut found = self.check(&field.value);
            if field.optional
                && let Type::Optional(inner) = self.substitution.shallow(&found)
            {
                found = (*inner).clone();
            }
            let Some(object) = &object else { continue };
            let Some(wanted) = object.field(&field.name) else {
                self.issue(field.id, format!("undefined field '{}'", field.name));
                continue;
            };
            if !self.substitution.assignable(wanted, &found) {
                let found = self.substitution.shown(&found);
                let words = format!(
                    "expected type of field '{}' is '{wanted}' but provided type is '{found}'",
                    field.name
                );
                self.issue(field.id, words);
            }
        }
        match object {
            Some(object) => {
                let kind = Type::Object(object);
                self.refer(id, Reference::Type(kind.clone()));
                kind
            }
            None => Type::Error,
        }
    }

    fn comprehension(&mut self, of: &Comprehension) -> Type {
        let range = self.check(&of.range);
        let gathered = self.check(&of.start);
        let (first, second) = match self.substitution.shallow(&range) {
            Type::List(element) => match of.second {
                Some(_) => (Type::Int, (*element).clone()),
                None => ((*element).clone(), Type::Dyn),
            },
            Type::Map(key, value) => ((*key).clone(), (*value).clone()),
            Type::Dyn | Type::Error | Type::Variable(_) => {
                self.substitution.assignable(&Type::Dyn, &range);
                (Type::Dyn, Type::Dyn)
            }
            other => {
                let shown = self.substitution.shown(&other);
                let words = format!(
                    "expression of type '{shown}' cannot be range of a comprehension (must be list, map, or dynamic)"
                );
                self.issue(of.range.id, words);
                (Type::Error, Type::Error)
            }
        };
        let outside = self.scopes.len();
        self.scopes.push((of.accumulator.clone(), gathered.clone()));
        let inside = self.scopes.len();
        self.scopes.push((of.variable.clone(), first));
        if let Some(name) = &of.second {
            self.scopes.push((name.clone(), second));
        }
        let condition = self.check(&of.condition);
        if !self.substitution.assignable(&Type::Bool, &condition) {
            self.mismatch(of.condition.id, &Type::Bool, &condition);
        }
        let step = self.check(&of.step);
        if !self.substitution.assignable(&gathered, &step) {
            self.mismatch(of.step.id, &gathered, &step);
        }
        self.scopes.truncate(inside);
        let result = self.check(&of.result);
        self.scopes.truncate(outside);
        self.substitution.deep(&result)
    }
}

fn constant_type(constant: &Constant) -> Type {
    match constant {
        Constant::Null => Type::Null,
        Constant::Bool(_) => Type::Bool,
        Constant::Int(_) => Type::Int,
        Constant::Uint(_) => Type::Uint,
        Constant::Double(_) => Type::Double,
        Constant::String(_) => Type::String,
        Constant::Bytes(_) => Type::Bytes,
    }
}
