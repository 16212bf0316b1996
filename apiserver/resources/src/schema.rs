//! The shape of a kind: types, required fields, and how lists and maps merge.

pub mod builtin;
pub mod custom;
mod fields;
#[cfg(test)]
mod references;
mod zero;

pub use fields::Fields;

use serde::Deserialize;
use serde_json::Value;
use std::ops::Deref;
use std::sync::Arc;

/// A reference to one node of a schema; cheap to clone.
#[derive(Clone)]
pub struct Schema {
    arena: Arena,
    id: usize,
    defaults: bool,
}

/// Nodes that refer to each other by index. Each write goes through hundreds of them: those of
/// the built-in kinds are there as long as the process, and nobody counts who looks at them.
#[derive(Clone)]
enum Arena {
    BuiltIn(&'static [Node]),
    Custom(Arc<[Node]>),
}

impl Deref for Arena {
    type Target = [Node];

    fn deref(&self) -> &[Node] {
        match self {
            Self::BuiltIn(nodes) => nodes,
            Self::Custom(nodes) => nodes,
        }
    }
}

/// The JSON type of a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
pub enum Type {
    /// Object with fixed fields, or a map when `additional` is set.
    Object,
    /// Array of `items`.
    Array,
    /// String.
    String,
    /// Integer.
    Integer,
    /// Any number.
    Number,
    /// true or false.
    Boolean,
    /// `x-kubernetes-int-or-string`: integer or string.
    IntOrString,
    /// Anything (RawExtension, JSON, preserve-unknown-fields).
    #[default]
    Any,
}

/// `x-kubernetes-list-type`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
pub enum ListType {
    /// Owned and replaced as a whole; the default.
    #[default]
    Atomic,
    /// A set of scalars.
    Set,
    /// Entries identified by `list_map_keys`.
    Map,
}

/// One node of the arena. Built-in kinds' nodes are read from what the build
/// script wrote, under the short names given here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(default)]
pub struct Node {
    /// The Go type's name (`v1.PodSpec`), which decoding errors tell; empty
    /// for scalars and for custom resources, whose types are validated later.
    #[serde(rename = "n")]
    pub name: String,
    /// JSON type.
    #[serde(rename = "t")]
    pub ty: Type,
    /// OpenAPI format (`int32`, `date-time`, `byte` …), `quantity`, `micro-time` or empty;
    /// `schema-or-array`, `schema-or-bool` or `schema-or-strings` with a `schema`.
    #[serde(rename = "f")]
    pub format: String,
    /// Fields by name (arena indexes).
    #[serde(rename = "p")]
    pub fields: Fields<usize>,
    /// Value type of a map.
    #[serde(rename = "a")]
    pub additional: Option<usize>,
    /// Element type of an array.
    #[serde(rename = "i")]
    pub items: Option<usize>,
    /// The type `JSONSchemaProps`, which a value may be of; its format says what else.
    #[serde(rename = "s")]
    pub schema: Option<usize>,
    /// Names of required fields.
    #[serde(rename = "r")]
    pub required: Vec<String>,
    /// Allowed values; empty if any.
    #[serde(skip)]
    pub allowed: Vec<Value>,
    /// Whether null is accepted.
    #[serde(skip)]
    pub nullable: bool,
    /// Unknown fields are kept.
    #[serde(skip)]
    pub preserve_unknown: bool,
    /// How the list merges in server-side apply.
    #[serde(rename = "lt")]
    pub list_type: ListType,
    /// Keys of an associative list.
    #[serde(rename = "lk")]
    pub list_map_keys: Vec<String>,
    /// `x-kubernetes-map-type: atomic`.
    #[serde(rename = "am")]
    pub atomic_map: bool,
    /// Strategic merge: key of a merged list.
    #[serde(rename = "mk")]
    pub patch_merge_key: Option<String>,
    /// Strategic merge: contains `merge`.
    #[serde(rename = "pm")]
    pub patch_merge: bool,
    /// Strategic merge: contains `retainKeys`.
    #[serde(rename = "pr")]
    pub patch_retain_keys: bool,
    /// Default value (custom resources, and keys of associative lists such as `protocol: TCP`).
    #[serde(rename = "d")]
    pub default: Option<Value>,
}

impl Schema {
    /// The node's data.
    pub fn node(&self) -> &Node {
        &self.arena[self.id]
    }

    /// The schema of a field of an object; for a map, of its values.
    pub fn field(&self, name: &str) -> Option<Schema> {
        self.named(name).or_else(|| self.values())
    }

    /// The schema of a field that is named.
    pub fn named(&self, name: &str) -> Option<Schema> {
        self.node().fields.get(name).map(|id| self.at(*id))
    }

    /// The schema of a map's values.
    pub fn values(&self) -> Option<Schema> {
        self.node().additional.map(|id| self.at(id))
    }

    /// The schema of a list's elements.
    pub fn items(&self) -> Option<Schema> {
        self.node().items.map(|id| self.at(id))
    }

    /// The schema of the JSON schema that a value may be.
    pub fn json_schema(&self) -> Option<Schema> {
        self.node().schema.map(|id| self.at(id))
    }

    fn at(&self, id: usize) -> Schema {
        Schema {
            arena: self.arena.clone(),
            id,
            defaults: self.defaults,
        }
    }

    /// The node's Go type without its package: `PodSpec`.
    pub fn struct_name(&self) -> &str {
        let name = &self.node().name;
        name.rsplit('.').next().unwrap_or(name)
    }

    /// Whether anything in it, or beside it, has a default.
    pub fn has_defaults(&self) -> bool {
        self.defaults
    }

    /// A schema of nodes that refer to each other by index, rooted at `root`.
    pub fn from_nodes(nodes: Arc<[Node]>, root: usize) -> Schema {
        Schema {
            defaults: have_defaults(&nodes),
            arena: Arena::Custom(nodes),
            id: root,
        }
    }
}

fn have_defaults(nodes: &[Node]) -> bool {
    nodes.iter().any(|node| node.default.is_some())
}
