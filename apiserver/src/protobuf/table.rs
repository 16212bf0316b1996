//! The messages of all kinds, as `fields.txt` has them: facts of Kubernetes 1.33's types
//! (`k8s.io/api`, `k8s.io/apimachinery`, `k8s.io/apiextensions-apiserver`), whose `protobuf`
//! tags say the numbers and whose `json` tags say the names.
//!
//! The file has the name of each message, and indented below it its fields:
//!
//! - `NUMBER NAME TYPE`: its zero value is not written in JSON; it means the same as none.
//! - `NUMBER NAME pointer TYPE`: a pointer in Go. Zero is something else than none.
//! - `NUMBER NAME list TYPE`, and `map` with texts as keys.
//! - `NUMBER inline TYPE`: the fields of that message stand beside the others in JSON.
//!
//! Lists of objects aren't there: all have their metadata in field 1, the items in 2.

use hardway_resources::rows::GROUPS;
use std::collections::HashMap;
use std::sync::LazyLock;

/// All messages.
pub(super) static TABLE: LazyLock<Table> =
    LazyLock::new(|| Table::read(include_str!("fields.txt")));

/// What discovery answers, apart from its aggregated form.
const DISCOVERY: [&str; 4] = ["APIGroup", "APIGroupList", "APIResourceList", "APIVersions"];

/// Messages, which refer to each other by their place.
pub(super) struct Table {
    messages: Vec<Vec<Row>>,
    places: HashMap<&'static str, Message>,
}

/// The place of a message in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Message(usize);

/// One field of a message.
pub(super) struct Row {
    pub number: u32,
    /// What JSON calls it; of an inline field `inline`.
    pub name: &'static str,
    pub shape: Shape,
    pub ty: Type,
}

/// How often a field comes, and what its absence means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// Once; zero is as if it weren't there.
    Value,
    /// Once or not at all.
    Pointer,
    /// Once, its fields beside the others.
    Inline,
    /// Any number of times.
    List,
    /// Any number of times, with a text as its key.
    Map,
}

/// The type of a field, or of its elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    Bool,
    /// A base64 text in JSON.
    Bytes,
    Double,
    Int,
    String,
    Message(Message),
    Time,
    MicroTime,
    Quantity,
    IntOrString,
    /// Whatever JSON it holds.
    Json,
    /// A list of texts that is a message of its own.
    Texts,
    /// A JSON schema, or a list of them.
    SchemaOrArray,
    /// A JSON schema, or whether anything is allowed.
    SchemaOrBool,
    /// A JSON schema, or a list of names.
    SchemaOrTexts,
}

impl Table {
    fn read(text: &'static str) -> Self {
        let names = text.lines().filter(|line| !line.starts_with(' '));
        let places: HashMap<_, _> = names
            .enumerate()
            .map(|(place, name)| (name, Message(place)))
            .collect();
        let mut messages: Vec<Vec<Row>> = Vec::with_capacity(places.len());
        for line in text.lines() {
            match (line.strip_prefix(' '), messages.last_mut()) {
                (Some(row), Some(message)) => message.push(Row::read(row, &places)),
                _ => messages.push(Vec::new()),
            }
        }
        Self { messages, places }
    }

    /// The fields of a message.
    pub(super) fn rows(&self, message: Message) -> &[Row] {
        &self.messages[message.0]
    }

    /// A message by its name, e.g. `core.v1.Pod`.
    pub(super) fn named(&self, name: &str) -> Option<Message> {
        self.places.get(name).copied()
    }

    /// The message of a kind: of `apps/v1` and `Deployment`, `apps.v1.Deployment`. Options
    /// and what discovery tells are the same for all groups.
    pub(super) fn of_kind(&self, api_version: &str, kind: &str) -> Option<Message> {
        let of_all = kind == "Status" || kind.ends_with("Options") || DISCOVERY.contains(&kind);
        let meta = of_all.then(|| self.named(&format!("meta.v1.{kind}")));
        meta.flatten().or_else(|| {
            let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
            let version = match (group, version) {
                // It has the same messages.
                ("apidiscovery.k8s.io", "v2beta1") => "v2",
                _ => version,
            };
            self.named(&format!("{}.{version}.{kind}", package(group)?))
        })
    }
}

/// What the messages of a built-in group are called by: `rbac` for
/// `rbac.authorization.k8s.io`. Other groups have none, whatever they begin with.
fn package(group: &str) -> Option<&str> {
    match group {
        "" => Some("core"),
        "meta.k8s.io" => Some("meta"),
        "apidiscovery.k8s.io" => Some("apidiscovery"),
        _ if GROUPS.contains(&group) => group.split('.').next(),
        _ => None,
    }
}

impl Row {
    /// # Panics
    /// If the table is wrong, which a test would have found.
    fn read(text: &'static str, places: &HashMap<&'static str, Message>) -> Self {
        let words: Vec<&str> = text.split(' ').collect();
        let (number, name, shape, ty) = match words[..] {
            [number, "inline", ty] => (number, "inline", Shape::Inline, ty),
            [number, name, ty] => (number, name, Shape::Value, ty),
            [number, name, "pointer", ty] => (number, name, Shape::Pointer, ty),
            [number, name, "list", ty] => (number, name, Shape::List, ty),
            [number, name, "map", ty] => (number, name, Shape::Map, ty),
            _ => panic!("fields.txt: {text}"),
        };
        Self {
            number: number.parse().expect(text),
            name,
            shape,
            ty: Type::named(ty, places).expect(text),
        }
    }
}

impl Type {
    fn named(name: &str, places: &HashMap<&'static str, Message>) -> Option<Self> {
        Some(match name {
            "bool" => Self::Bool,
            "bytes" => Self::Bytes,
            "double" => Self::Double,
            "int" => Self::Int,
            "string" => Self::String,
            "meta.v1.Time" => Self::Time,
            "meta.v1.MicroTime" => Self::MicroTime,
            "resource.Quantity" => Self::Quantity,
            "util.intstr.IntOrString" => Self::IntOrString,
            "meta.v1.FieldsV1" | "runtime.RawExtension" | "apiextensions.v1.JSON" => Self::Json,
            "apiextensions.v1.JSONSchemaPropsOrArray" => Self::SchemaOrArray,
            "apiextensions.v1.JSONSchemaPropsOrBool" => Self::SchemaOrBool,
            "apiextensions.v1.JSONSchemaPropsOrStringArray" => Self::SchemaOrTexts,
            "meta.v1.Verbs" => Self::Texts,
            name if name.ends_with(".ExtraValue") => Self::Texts,
            name => Self::Message(*places.get(name)?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hardway_resources::schema::{Schema, Type as Json, builtin};
    use std::collections::{BTreeMap, BTreeSet, HashSet};

    /// What the schema has and messages haven't: an object within another is of a known
    /// kind, so Go's types don't write its `TypeMeta` in protobuf.
    const EMBEDDED: [&str; 2] = ["apiVersion", "kind"];

    /// The fields of a message as JSON has them.
    fn json_fields(message: Message) -> BTreeMap<&'static str, (Shape, Type)> {
        let mut all = BTreeMap::new();
        for row in TABLE.rows(message) {
            match (row.shape, row.ty) {
                (Shape::Inline, Type::Message(inner)) => all.extend(json_fields(inner)),
                (shape, ty) => drop(all.insert(row.name, (shape, ty))),
            }
        }
        all
    }

    /// Whether a type is what the schema says; messages are compared on their own.
    fn agrees(ty: Type, schema: &Schema) -> bool {
        let node = schema.node();
        let format = node.format.as_str();
        match ty {
            Type::Bool => node.ty == Json::Boolean,
            Type::Bytes => node.ty == Json::String && format == "byte",
            Type::Double => node.ty == Json::Number,
            Type::Int => node.ty == Json::Integer,
            Type::String => node.ty == Json::String && format.is_empty(),
            Type::Message(_) => node.ty == Json::Object && node.additional.is_none(),
            Type::Time => format == "date-time",
            Type::MicroTime => format == "micro-time",
            Type::Quantity => format == "quantity",
            Type::IntOrString => node.ty == Json::IntOrString && format != "quantity",
            Type::Texts => node.ty == Json::Array,
            Type::Json | Type::SchemaOrArray | Type::SchemaOrBool | Type::SchemaOrTexts => {
                node.ty == Json::Any
            }
        }
    }

    /// Compares a message, and all that it refers to, with the schema of the same.
    fn compare(
        message: Message,
        schema: &Schema,
        path: &str,
        seen: &mut HashSet<Message>,
        wrong: &mut Vec<String>,
    ) {
        if !seen.insert(message) {
            return;
        }
        let fields = json_fields(message);
        for name in schema.node().fields.keys() {
            if !fields.contains_key(name) && !EMBEDDED.contains(&name) {
                wrong.push(format!("{path}.{name} has no number"));
            }
        }
        for (name, (shape, ty)) in fields {
            let path = format!("{path}.{name}");
            if !schema.node().fields.contains_key(name) {
                wrong.push(format!("{path} is in no schema"));
                continue;
            }
            let field = schema.field(name);
            let element = match shape {
                Shape::List => field.and_then(|list| list.items()),
                Shape::Map => field
                    .filter(|map| map.node().additional.is_some())
                    .and_then(|map| map.field("any")),
                _ => field,
            };
            match element {
                Some(element) if agrees(ty, &element) => {
                    if let Type::Message(message) = ty {
                        compare(message, &element, &path, seen, wrong);
                    }
                }
                _ => wrong.push(format!("{path} is no {shape:?} of {ty:?}")),
            }
        }
    }

    /// Every kind that is served, and every body: field by field, in both directions.
    #[test]
    fn fields_are_those_of_the_schema() {
        let mut wrong = Vec::new();
        let mut seen = HashSet::new();
        for name in builtin::names() {
            let path: Vec<&str> = name.rsplit('.').collect();
            let package = match name.contains(".apimachinery.") {
                true => "meta",
                false => path[2],
            };
            let short = format!("{package}.{}.{}", path[1], path[0]);
            let (Some(schema), Some(message)) = (builtin::definition(name), TABLE.named(&short))
            else {
                // Lists have no message of their own.
                if !name.ends_with("List") {
                    wrong.push(format!("{short} has no message"));
                }
                continue;
            };
            compare(message, &schema, &short, &mut seen, &mut wrong);
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
        // Nothing else is there.
        let inline = TABLE.messages.iter().flatten();
        let inline = inline.filter(|row| row.shape == Shape::Inline);
        seen.extend(inline.filter_map(|row| match row.ty {
            Type::Message(message) => Some(message),
            _ => None,
        }));
        let unused = TABLE
            .places
            .iter()
            .filter(|(_, place)| !seen.contains(place));
        let mut unused: Vec<_> = unused.map(|(name, _)| *name).collect();
        unused.sort_unstable();
        let told = |name: &&str| name.contains("Discovery") || name.starts_with("meta.v1.API");
        unused.retain(|name| !told(name));
        let others = [
            // Parts of what discovery tells.
            "meta.v1.GroupVersionKind",
            // It is made from others, and has metadata only.
            "meta.v1.PartialObjectMetadata",
            "meta.v1.ServerAddressByClientCIDR",
            // No kind, but a body that is taken.
            "policy.v1beta1.Eviction",
        ];
        assert_eq!(unused, others);
    }

    #[test]
    fn numbers_are_unique() {
        for rows in &TABLE.messages {
            let numbers: BTreeSet<u32> = rows.iter().map(|row| row.number).collect();
            assert_eq!(numbers.len(), rows.len());
        }
    }

    /// Go's types, field by field: `*string`, `*int32`, `int32`, `*bool`, `bool`.
    #[test]
    fn pointers_are_those_of_the_types() {
        let shape = |message: &str, field: &str| {
            let fields = json_fields(TABLE.named(message).expect(message));
            fields.get(field).expect(field).0
        };
        for (message, field) in [
            ("core.v1.PersistentVolumeClaimSpec", "storageClassName"),
            ("core.v1.ServicePort", "appProtocol"),
            ("core.v1.PodSpec", "terminationGracePeriodSeconds"),
            ("core.v1.PodSpec", "automountServiceAccountToken"),
            ("core.v1.PodSecurityContext", "runAsUser"),
            ("apps.v1.DeploymentSpec", "replicas"),
            ("apps.v1.RollingUpdateDeployment", "maxSurge"),
            ("coordination.v1.LeaseSpec", "holderIdentity"),
            ("discovery.v1.EndpointConditions", "ready"),
            ("discovery.v1.EndpointPort", "name"),
            ("policy.v1.PodDisruptionBudgetSpec", "minAvailable"),
        ] {
            assert_eq!(shape(message, field), Shape::Pointer, "{message} {field}");
        }
        for (message, field) in [
            ("core.v1.EndpointPort", "name"),
            ("core.v1.PodSpec", "hostNetwork"),
            ("core.v1.ServicePort", "targetPort"),
            ("core.v1.Probe", "periodSeconds"),
            ("apps.v1.DeploymentStatus", "replicas"),
            ("apps.v1.StatefulSetSpec", "minReadySeconds"),
            ("policy.v1.PodDisruptionBudgetStatus", "disruptionsAllowed"),
            ("autoscaling.v1.ScaleSpec", "replicas"),
        ] {
            assert_eq!(shape(message, field), Shape::Value, "{message} {field}");
        }
    }
}
