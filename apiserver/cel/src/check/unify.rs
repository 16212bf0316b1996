//! Which types go where which are wanted, and what types that are yet to be found become.

use crate::types::Type;
use std::sync::Arc;

/// What the types that were to be found are, by number.
#[derive(Clone, Debug, Default)]
pub(super) struct Substitution {
    found: Vec<Option<Type>>,
}

impl Substitution {
    /// A type that is yet to be found.
    pub fn fresh(&mut self) -> Type {
        self.found.push(None);
        Type::Variable(self.found.len() as u32 - 1)
    }

    fn get(&self, variable: u32) -> Option<&Type> {
        self.found.get(variable as usize)?.as_ref()
    }

    fn set(&mut self, variable: u32, kind: Type) {
        if let Some(place) = self.found.get_mut(variable as usize) {
            *place = Some(kind);
        }
    }

    /// The type, if it is known; its parts may not be.
    pub fn shallow(&self, kind: &Type) -> Type {
        let mut kind = kind;
        // No variable stands for what it is in itself, so there is an end.
        while let Type::Variable(variable) = kind {
            match self.get(*variable) {
                Some(found) => kind = found,
                None => break,
            }
        }
        kind.clone()
    }

    /// The type with all that is known of its parts.
    pub fn deep(&self, kind: &Type) -> Type {
        rebuild(&self.shallow(kind), &|part| self.deep(part))
    }

    /// The type with `dyn` for what is not known.
    pub fn resolved(&self, kind: &Type) -> Type {
        match self.shallow(kind) {
            Type::Variable(_) => Type::Dyn,
            other => rebuild(&other, &|part| self.resolved(part)),
        }
    }

    /// The type as messages have it.
    pub fn shown(&self, kind: &Type) -> String {
        self.deep(kind).to_string()
    }

    /// Whether a value of type `found` goes where `wanted` is; if so, what is learned of
    /// either is kept.
    pub fn assignable(&mut self, wanted: &Type, found: &Type) -> bool {
        self.all_assignable(std::iter::once((wanted, found)))
    }

    /// The same of pairs; either all go or nothing is learned.
    pub fn all_assignable<'p>(
        &mut self,
        pairs: impl IntoIterator<Item = (&'p Type, &'p Type)>,
    ) -> bool {
        let before = self.clone();
        let fits = pairs.into_iter().all(|(w, f)| self.fits(w, f));
        if !fits {
            *self = before;
        }
        fits
    }

    fn fits(&mut self, wanted: &Type, found: &Type) -> bool {
        if let Type::Variable(variable) = found {
            let known = self.get(*variable).is_some();
            if self.stands_for(*variable, wanted) {
                return true;
            }
            if known {
                return false;
            }
        }
        if let Type::Variable(variable) = wanted {
            return self.stands_for(*variable, found);
        }
        if wanted.is_dynamic() || found.is_dynamic() {
            return true;
        }
        match (wanted, found) {
            (Type::Null, other) | (other, Type::Null) => is_nullable(other),
            (Type::List(wanted), Type::List(found))
            | (Type::Optional(wanted), Type::Optional(found)) => self.fits(wanted, found),
            (Type::Map(k1, v1), Type::Map(k2, v2)) => self.fits(k1, k2) && self.fits(v1, v2),
            (Type::Type(_), Type::Type(_)) => true,
            _ => wanted == found,
        }
    }

    /// Whether a variable may be a type.
    fn stands_for(&mut self, variable: u32, kind: &Type) -> bool {
        if *kind == Type::Variable(variable) {
            return true;
        }
        if let Some(known) = self.get(variable).cloned() {
            if *kind == known {
                return true;
            }
            if !self.fits(kind, &known) {
                return false;
            }
            let general = most_general(kind.clone(), known);
            if !self.occurs(variable, &general) {
                self.set(variable, general);
            }
            return true;
        }
        if self.occurs(variable, kind) {
            return false;
        }
        self.set(variable, kind.clone());
        true
    }

    fn occurs(&self, variable: u32, kind: &Type) -> bool {
        match kind {
            Type::Variable(other) if *other == variable => true,
            Type::Variable(other) => self
                .get(*other)
                .is_some_and(|found| self.occurs(variable, found)),
            Type::List(part) | Type::Optional(part) | Type::Type(part) => {
                self.occurs(variable, part)
            }
            Type::Map(key, value) => self.occurs(variable, key) || self.occurs(variable, value),
            _ => false,
        }
    }
}

/// What `null` may stand for.
fn is_nullable(kind: &Type) -> bool {
    matches!(
        kind,
        Type::Null | Type::Timestamp | Type::Duration | Type::Object(_) | Type::Opaque(_)
    )
}

/// A type whose parts are made anew.
pub(super) fn rebuild(kind: &Type, part: &dyn Fn(&Type) -> Type) -> Type {
    let again = |of: &Arc<Type>| Arc::new(part(of));
    match kind {
        Type::List(of) => Type::List(again(of)),
        Type::Optional(of) => Type::Optional(again(of)),
        Type::Type(of) => Type::Type(again(of)),
        Type::Map(key, value) => Type::Map(again(key), again(value)),
        other => other.clone(),
    }
}

/// The one of two types that fit each other which says less.
pub(super) fn most_general(one: Type, other: Type) -> Type {
    match !says_less(&one, &other) && says_less(&other, &one) {
        true => other,
        false => one,
    }
}

fn says_less(one: &Type, other: &Type) -> bool {
    let open = |kind: &Type| matches!(kind, Type::Dyn | Type::Error | Type::Variable(_));
    if open(one) {
        return true;
    }
    if open(other) {
        return false;
    }
    match (one, other) {
        (Type::List(one), Type::List(other)) | (Type::Optional(one), Type::Optional(other)) => {
            says_less(one, other)
        }
        (Type::Map(k1, v1), Type::Map(k2, v2)) => says_less(k1, k2) && says_less(v1, v2),
        _ => one == other,
    }
}
