//! The tree of an expression. Macros are expanded in it.

use std::sync::Arc;

/// A value that stands in an expression.
#[derive(Clone, Debug, PartialEq)]
pub enum Constant {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// `1`.
    Int(i64),
    /// `1u`.
    Uint(u64),
    /// `1.0`.
    Double(f64),
    /// `"text"`.
    String(Arc<str>),
    /// `b"bytes"`.
    Bytes(Arc<[u8]>),
}

/// An expression.
#[derive(Clone, Debug)]
pub(crate) struct Expression {
    /// Its number in the tree, by which others note things of it.
    pub id: usize,
    pub kind: Kind,
    /// How many expressions are in one another at most, with this one.
    pub depth: u32,
    /// How many expressions it consists of.
    pub size: u32,
}

#[derive(Clone, Debug)]
pub(crate) enum Kind {
    /// What couldn't be parsed; an issue says so.
    Unknown,
    Constant(Constant),
    Ident(String),
    /// `operand.field`, or `has(operand.field)`.
    Select {
        operand: Box<Expression>,
        field: String,
        test: bool,
    },
    /// A function or an operator, of which cel-go's names are such as `_+_`.
    Call {
        function: String,
        target: Option<Box<Expression>>,
        args: Vec<Expression>,
    },
    /// Elements, and whether each is optional (`[?x]`).
    List(Vec<(Expression, bool)>),
    Map(Vec<Entry>),
    Struct {
        name: String,
        fields: Vec<Field>,
    },
    Comprehension(Box<Comprehension>),
}

/// `key: value` in a map.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub key: Expression,
    pub value: Expression,
    pub optional: bool,
}

/// `name: value` in an object.
#[derive(Clone, Debug)]
pub(crate) struct Field {
    pub id: usize,
    pub name: String,
    pub value: Expression,
    pub optional: bool,
}

/// A loop over a list or a map, which is what macros become.
#[derive(Clone, Debug)]
pub(crate) struct Comprehension {
    pub range: Expression,
    /// An element; with a second variable the index or key.
    pub variable: String,
    /// The element or value.
    pub second: Option<String>,
    /// What is gathered.
    pub accumulator: String,
    pub start: Expression,
    /// It goes on as long as this holds.
    pub condition: Expression,
    pub step: Expression,
    pub result: Expression,
}

impl Kind {
    /// The expressions within.
    pub fn parts(&self) -> Vec<&Expression> {
        match self {
            Self::Unknown | Self::Constant(_) | Self::Ident(_) => Vec::new(),
            Self::Select { operand, .. } => vec![operand],
            Self::Call { target, args, .. } => target.as_deref().into_iter().chain(args).collect(),
            Self::List(items) => items.iter().map(|(item, _)| item).collect(),
            Self::Map(entries) => entries.iter().flat_map(|e| [&e.key, &e.value]).collect(),
            Self::Struct { fields, .. } => fields.iter().map(|field| &field.value).collect(),
            Self::Comprehension(of) => {
                vec![&of.range, &of.start, &of.condition, &of.step, &of.result]
            }
        }
    }
}

impl Expression {
    pub fn new(id: usize, kind: Kind) -> Self {
        let parts = kind.parts();
        let deepest = parts.iter().map(|part| part.depth).max();
        let size = parts.iter().map(|part| part.size);
        Self {
            id,
            depth: deepest.unwrap_or_default() + 1,
            size: size.fold(1, u32::saturating_add),
            kind,
        }
    }

    /// The name `a.b.c` that it spells, if it is nothing but that.
    pub fn qualified_name(&self) -> Option<String> {
        match &self.kind {
            Kind::Ident(name) => Some(name.clone()),
            Kind::Select {
                operand,
                field,
                test: false,
            } => Some(format!("{}.{field}", operand.qualified_name()?)),
            _ => None,
        }
    }
}
