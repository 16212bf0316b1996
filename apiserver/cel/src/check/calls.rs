//! Which forms of a function a call may mean.

use super::unify::rebuild;
use super::{Checker, Reference};
use crate::function::Overload;
use crate::syntax::{Constant, Expression, Kind};
use crate::types::Type;
use std::collections::HashMap;
use std::sync::Arc;

impl Checker<'_, '_> {
    pub(super) fn call(
        &mut self,
        id: usize,
        function: &str,
        target: Option<&Expression>,
        args: &[Expression],
    ) -> Type {
        if function == "_?._"
            && let [operand, field] = args
        {
            return self.optional_select(operand, field);
        }
        let mut types: Vec<Type> = args.iter().map(|arg| self.check(arg)).collect();
        let environment = self.environment;
        let Some(target) = target else {
            let name = function.strip_prefix('.').unwrap_or(function);
            return match environment.function(name) {
                Some(forms) => self.resolve(id, name, forms, &types, false),
                None => self.undeclared(id, name),
            };
        };
        // `a.f(x)` may be the function `a.f`.
        if let Some(of) = target.qualified_name() {
            let name = format!("{of}.{function}");
            let name = name.strip_prefix('.').unwrap_or(&name);
            if let Some(forms) = environment.function(name) {
                return self.resolve(id, name, forms, &types, false);
            }
        }
        types.insert(0, self.check(target));
        match environment.function(function) {
            Some(forms) => self.resolve(id, function, forms, &types, true),
            None => self.undeclared(id, function),
        }
    }

    fn optional_select(&mut self, operand: &Expression, field: &Expression) -> Type {
        let target = self.check(operand);
        self.check(field);
        match &field.kind {
            Kind::Constant(Constant::String(name)) => self.field(field.id, &target, name, true),
            _ => Type::Error,
        }
    }

    fn resolve(
        &mut self,
        id: usize,
        name: &str,
        forms: &[Arc<Overload>],
        types: &[Type],
        member: bool,
    ) -> Type {
        let mut fitting = Vec::new();
        let mut result: Option<Type> = None;
        for form in forms.iter().filter(|form| form.member == member) {
            if form.params.len() != types.len() {
                continue;
            }
            let mut fresh = HashMap::new();
            let params: Vec<Type> = form
                .params
                .iter()
                .map(|param| self.instance(param, &mut fresh))
                .collect();
            if !self.substitution.all_assignable(params.iter().zip(types)) {
                continue;
            }
            let found = self.instance(&form.result, &mut fresh);
            let found = self.substitution.deep(&found);
            result = Some(match result {
                None => found,
                Some(before) if before == found => before,
                Some(_) => Type::Dyn,
            });
            fitting.push(form.clone());
        }
        let Some(result) = result else {
            let mut shown: Vec<String> = types.iter().map(|t| self.substitution.shown(t)).collect();
            let receiver = member.then(|| shown.remove(0));
            let args = format!("({})", shown.join(", "));
            let applied = receiver.map_or(args.clone(), |of| format!("{of}.{args}"));
            let words = format!("found no matching overload for '{name}' applied to '{applied}'");
            self.issue(id, words);
            return Type::Error;
        };
        let forms = fitting;
        self.refer(id, Reference::Overloads { forms, member });
        result
    }

    /// A signature's type with variables for its parameters.
    fn instance(&mut self, kind: &Type, fresh: &mut HashMap<&'static str, Type>) -> Type {
        for name in params_of(kind) {
            if !fresh.contains_key(name) {
                let variable = self.substitution.fresh();
                fresh.insert(name, variable);
            }
        }
        replaced(kind, fresh)
    }
}

fn params_of(kind: &Type) -> Vec<&'static str> {
    match kind {
        Type::Param(name) => vec![name],
        Type::List(of) | Type::Optional(of) | Type::Type(of) => params_of(of),
        Type::Map(key, value) => [params_of(key), params_of(value)].concat(),
        _ => Vec::new(),
    }
}

fn replaced(kind: &Type, by: &HashMap<&'static str, Type>) -> Type {
    match kind {
        Type::Param(name) => by.get(name).cloned().unwrap_or(Type::Dyn),
        other => rebuild(other, &|part| replaced(part, by)),
    }
}
