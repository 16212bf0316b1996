//! The types of expressions.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// The type of an expression, a variable or a parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Type {
    /// Known only when it is evaluated.
    Dyn,
    /// What an expression has that can't be typed; the issue is told elsewhere.
    Error,
    /// `null_type`.
    Null,
    /// `bool`.
    Bool,
    /// `int`, of 64 bits.
    Int,
    /// `uint`, of 64 bits.
    Uint,
    /// `double`.
    Double,
    /// `string`.
    String,
    /// `bytes`.
    Bytes,
    /// `google.protobuf.Timestamp`.
    Timestamp,
    /// `google.protobuf.Duration`.
    Duration,
    /// `list(T)`.
    List(Arc<Type>),
    /// `map(K, V)`.
    Map(Arc<Type>, Arc<Type>),
    /// `optional_type(T)`.
    Optional(Arc<Type>),
    /// The type of a type: `type(T)`.
    Type(Arc<Type>),
    /// An object with declared fields.
    Object(Arc<ObjectType>),
    /// A type of a library, such as `kubernetes.Quantity`.
    Opaque(&'static str),
    /// A parameter of an overload's signature, the `T` of `list(T)`.
    Param(&'static str),
    /// A type that the checker has yet to find.
    Variable(u32),
}

/// An object's type: a name and what it has for fields.
#[derive(Debug, Default)]
pub struct ObjectType {
    /// As it stands in messages and in `Name{field: value}`.
    pub name: String,
    /// By name as expressions have it, that is escaped.
    pub fields: BTreeMap<String, Type>,
    /// Whether it may have others, too, of any type.
    pub open: bool,
}

impl ObjectType {
    /// A type of these fields.
    pub fn new<N: Into<String>>(
        name: impl Into<String>,
        fields: impl IntoIterator<Item = (N, Type)>,
    ) -> Self {
        Self {
            name: name.into(),
            fields: fields.into_iter().map(|(n, t)| (n.into(), t)).collect(),
            open: false,
        }
    }

    /// A type of any fields.
    pub fn open(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            open: true,
            ..Self::default()
        }
    }

    /// The type of a field, if it has it.
    pub(crate) fn field(&self, name: &str) -> Option<&Type> {
        let any = self.open.then_some(&Type::Dyn);
        self.fields.get(name).or(any)
    }
}

/// Object types are equal by name, as Kubernetes' and protobuf's are.
impl PartialEq for ObjectType {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for ObjectType {}

impl Type {
    /// `list(element)`.
    pub fn list(element: Type) -> Self {
        Self::List(Arc::new(element))
    }

    /// `map(key, value)`.
    pub fn map(key: Type, value: Type) -> Self {
        Self::Map(Arc::new(key), Arc::new(value))
    }

    /// `optional_type(value)`.
    pub fn optional(value: Type) -> Self {
        Self::Optional(Arc::new(value))
    }

    /// The type whose values are types.
    pub fn of_type(of: Type) -> Self {
        Self::Type(Arc::new(of))
    }

    /// An object's type.
    pub fn object(object: ObjectType) -> Self {
        Self::Object(Arc::new(object))
    }

    /// Whether anything may be behind it.
    pub(crate) fn is_dynamic(&self) -> bool {
        matches!(self, Self::Dyn | Self::Error)
    }

    /// The name without parameters, which is what `type(x)` shows.
    pub fn name(&self) -> &str {
        match self {
            Self::Dyn => "dyn",
            Self::Error => "*error*",
            Self::Null => "null_type",
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Uint => "uint",
            Self::Double => "double",
            Self::String => "string",
            Self::Bytes => "bytes",
            Self::Timestamp => "google.protobuf.Timestamp",
            Self::Duration => "google.protobuf.Duration",
            Self::List(_) => "list",
            Self::Map(..) => "map",
            Self::Optional(_) => "optional_type",
            Self::Type(_) => "type",
            Self::Object(object) => &object.name,
            Self::Opaque(name) | Self::Param(name) => name,
            Self::Variable(_) => "_",
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::List(element) => write!(f, "list({element})"),
            Self::Map(key, value) => write!(f, "map({key}, {value})"),
            Self::Optional(value) => write!(f, "optional_type({value})"),
            Self::Type(of) => write!(f, "type({of})"),
            Self::Timestamp => f.write_str("timestamp"),
            Self::Duration => f.write_str("duration"),
            Self::Null => f.write_str("null"),
            Self::Error => f.write_str("!error!"),
            Self::Variable(number) => write!(f, "_var{number}"),
            other => f.write_str(other.name()),
        }
    }
}
