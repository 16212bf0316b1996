//! Types that OpenAPI schemas declare, and what they say of sizes: the type of `self` in a
//! custom resource's rules, of `object` where a policy is checked against what it matches.

mod compile;
mod sizes;

use crate::Type;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A schema made ready: what values of it are to expressions.
#[derive(Debug)]
pub struct Schema {
    pub(crate) form: Form,
    pub(crate) nullable: bool,
    /// The type of expressions that have such a value.
    pub(crate) kind: Type,
    /// How large a value is at most: characters, bytes, elements or entries.
    pub(crate) most: u64,
    /// The bytes of the shortest JSON of such a value.
    pub(crate) least_bytes: u64,
}

/// What values of a schema are.
#[derive(Debug)]
pub(crate) enum Form {
    IntOrString,
    Object {
        /// By the name that expressions have for them.
        fields: BTreeMap<String, Property>,
    },
    /// A map from text to values of this schema.
    Map(Arc<Schema>),
    List {
        items: Arc<Schema>,
        list_type: ListType,
    },
    String(Format),
    Double,
    Int,
    Bool,
}

/// A field of an object.
#[derive(Debug)]
pub(crate) struct Property {
    /// As objects have it.
    pub name: Box<str>,
    pub schema: Arc<Schema>,
}

/// `x-kubernetes-list-type`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ListType {
    Atomic,
    Set,
    /// By these fields, as expressions name them.
    Map(Vec<String>),
}

/// The formats whose texts are values of another type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    None,
    Byte,
    Duration,
    Date,
    DateTime,
}
