//! Values that only a library looks into.

use crate::Type;
use std::any::Any;
use std::fmt::Debug;

/// A value of a library's type, such as a quantity or a URL.
pub trait Opaque: Any + Debug + Send + Sync {
    /// Its type.
    fn type_of(&self) -> Type;

    /// Whether `==` holds between it and another, which may be of another type:
    /// `downcast` it.
    fn equals(&self, other: &dyn Opaque) -> bool;

    /// What its size counts as in costs, for those that have one.
    fn size(&self) -> Option<u64> {
        None
    }
}

impl dyn Opaque {
    /// The value, if it is of this type.
    pub fn downcast<T: Opaque>(&self) -> Option<&T> {
        (self as &dyn Any).downcast_ref()
    }
}
