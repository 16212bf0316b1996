//! What makes a schema structural: every field has a type outside of `allOf`,
//! `anyOf`, `oneOf` and `not`, and these only say more about it. In the words of
//! `pkg/apiserver/schema/{validation,complete,convert}.go` of
//! k8s.io/apiextensions-apiserver.

use super::schema::find;
use crate::crd::Patterns;
use crate::rules::FieldErrors;
use crate::rules::field::{Errors, Path};
use crate::rules::json::{entries, flag, get, has, is_zero, list, text};
use hardway_proto::status::Cause;
use serde_json::Value;

/// What may not stand below a junctor, and what it must be instead.
const NOT_NESTED: [(&str, &str); 12] = [
    ("type", "empty"),
    ("additionalProperties", "undefined"),
    ("default", "undefined"),
    ("title", "empty"),
    ("description", "empty"),
    ("nullable", "false"),
    ("x-kubernetes-preserve-unknown-fields", "false"),
    ("x-kubernetes-embedded-resource", "false"),
    ("x-kubernetes-int-or-string", "false"),
    ("x-kubernetes-list-map-keys", "empty"),
    ("x-kubernetes-list-type", "undefined"),
    ("x-kubernetes-map-type", "undefined"),
];
const RULES: &str = "x-kubernetes-validations";
const EMBEDDED: &str = "x-kubernetes-embedded-resource";
const INT_OR_STRING: &str = "x-kubernetes-int-or-string";
const PRESERVE: &str = "x-kubernetes-preserve-unknown-fields";
/// Whose parts are schemas that a value is held against as well.
const JUNCTORS: [&str; 3] = ["anyOf", "allOf", "oneOf"];

/// What a structural schema has no place for at all.
const UNSUPPORTED: [(&str, &str); 7] = [
    ("id", "id"),
    ("$schema", "schema"),
    ("$ref", "$ref"),
    ("patternProperties", "patternProperties"),
    ("dependencies", "dependencies"),
    ("additionalItems", "additionalItems"),
    ("definitions", "definitions"),
];

/// Why a schema can't even be looked at as a structural one.
pub(super) fn unsupported(schema: &Value) -> Option<String> {
    find(schema, &|schema| {
        for (field, name) in UNSUPPORTED {
            if !is_zero(get(schema, field)) {
                return Some(format!("OpenAPIV3Schema '{name}' is not supported"));
            }
        }
        if get(schema, PRESERVE) == &Value::Bool(false) {
            return Some(format!(
                "internal error: '{PRESERVE}' must be true or undefined"
            ));
        }
        let is_list = get(schema, "items").is_array();
        is_list.then(|| "OpenAPIV3Schema 'items' must be a schema, but is an array".to_owned())
    })
}

/// What keeps a schema from being structural, in order.
pub(super) fn check(schema: &Value, path: &Path) -> FieldErrors {
    let mut causes = Errors::collect(|e| {
        let mut patterns = Patterns::default();
        Walk {
            e,
            patterns: &mut patterns,
        }
        .schema(schema, Level::Root, path);
        junctors_complete(e, schema, Some(schema), path, path);
    });
    causes.sort_by_cached_key(shown);
    causes
}

fn shown(cause: &Cause) -> String {
    format!("{}: {}", cause.field, cause.message)
}

/// Status, reason and message of the condition `NonStructuralSchema`, which a
/// definition has that is stored nevertheless.
pub(crate) fn condition(definition: &Value) -> Option<(&'static str, &'static str, String)> {
    let mut wrong: Vec<String> = Vec::new();
    let versions = list(get(definition, "spec"), "versions");
    for (i, version) in versions.iter().enumerate() {
        let schema = super::schema_of(version);
        if schema.is_null() {
            continue;
        }
        if let Some(why) = unsupported(schema) {
            let version = text(version, "name");
            let message = format!("failed to check validation schema for version {version}: {why}");
            return Some(("Unknown", "StructuralError", message));
        }
        let path = Path::new("spec.versions")
            .index(i)
            .child("schema.openAPIV3Schema");
        wrong.extend(check(schema, &path).iter().map(shown));
    }
    wrong.dedup();
    match wrong.len() {
        0 => None,
        1 => Some(("True", "Violations", wrong.remove(0))),
        _ => Some(("True", "Violations", format!("[{}]", wrong.join(", ")))),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Root,
    Item,
    Field,
}

impl Level {
    fn without_type(self) -> &'static str {
        match self {
            Self::Root => "must not be empty at the root",
            Self::Item => "must not be empty for specified array items",
            Self::Field => "must not be empty for specified object fields",
        }
    }
}

struct Walk<'a> {
    e: &'a mut Errors,
    patterns: &'a mut Patterns,
}

impl Walk<'_> {
    fn schema(&mut self, schema: &Value, level: Level, path: &Path) {
        let kind = text(schema, "type");
        let items = get(schema, "items");
        if kind == "array" && items.is_null() {
            self.e.required(&path.child("items"), "must be specified");
        }
        if items.is_object() {
            self.schema(items, Level::Item, &path.child("items"));
        }
        for (name, field) in entries(schema, "properties") {
            self.schema(field, Level::Field, &path.child("properties").key(name));
        }
        let additional = get(schema, "additionalProperties");
        if !additional.is_null() && level == Level::Root {
            self.e.forbidden(
                &path.child("additionalProperties"),
                "must not be used at the root",
            );
        }
        if additional.is_object() {
            self.schema(
                additional,
                Level::Field,
                &path.child("additionalProperties"),
            );
        }
        self.int_or_string(schema, path);
        let first = get(schema, "allOf")
            .get(0)
            .map(|first| list(first, "anyOf"));
        self.value(
            schema,
            is_int_or_string(list(schema, "anyOf")),
            first.is_some_and(is_int_or_string),
            path,
        );
        self.types(schema, level, path);
        if level == Level::Root || flag(schema, EMBEDDED) {
            self.metadata(schema, level, path);
        }
        if flag(schema, EMBEDDED) && !flag(schema, PRESERVE) && !has_fields(schema) {
            self.e.required(
                &path.child("properties"),
                "must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields",
            );
        }
    }

    fn int_or_string(&mut self, schema: &Value, path: &Path) {
        for field in [PRESERVE, EMBEDDED] {
            if flag(schema, INT_OR_STRING) && flag(schema, field) {
                self.e.invalid(
                    &path.child(field),
                    &Value::Bool(true),
                    "must be false if x-kubernetes-int-or-string is true",
                );
            }
        }
    }

    fn types(&mut self, schema: &Value, level: Level, path: &Path) {
        const OBJECT: &str = "must be object if x-kubernetes-embedded-resource is true";
        let (at, kind) = (path.child("type"), text(schema, "type"));
        let embedded = flag(schema, EMBEDDED);
        match kind {
            "" if embedded => self.e.required(&at, OBJECT),
            kind if embedded && kind != "object" => self.e.invalid(&at, kind, OBJECT),
            "" if !flag(schema, INT_OR_STRING) && !flag(schema, PRESERVE) => {
                self.e.required(&at, level.without_type());
            }
            _ => {}
        }
        if embedded && has(schema, "additionalProperties") {
            self.e.forbidden(
                &path.child("additionalProperties"),
                "must not be used if x-kubernetes-embedded-resource is set",
            );
        }
        if level == Level::Root && !["", "object"].contains(&kind) {
            self.e.invalid(&at, kind, "must be object at the root");
        }
    }

    /// What a resource has anyway can hardly be told anew.
    fn metadata(&mut self, schema: &Value, level: Level, path: &Path) {
        let fields = get(schema, "properties");
        for (name, kind) in [
            ("kind", "string"),
            ("apiVersion", "string"),
            ("metadata", "object"),
        ] {
            let field = get(fields, name);
            if field.is_object() && text(field, "type") != kind {
                self.e.invalid(
                    &path.child("properties").key(name).child("type"),
                    text(field, "type"),
                    &format!("must be {kind}"),
                );
            }
        }
        let metadata = get(fields, "metadata");
        if level == Level::Root && metadata.is_object() && says_much(metadata) {
            self.e.forbidden(
                &path.child("properties").key("metadata"),
                "must not specify anything other than name and generateName, but metadata is implicitly specified",
            );
        }
    }

    /// What a schema, or a part of a junctor, says about values. The way to write
    /// int-or-string for other tools is passed over.
    fn value(&mut self, schema: &Value, skip_any: bool, skip_any_of_first: bool, path: &Path) {
        for junctor in JUNCTORS
            .into_iter()
            .filter(|name| !(skip_any && *name == "anyOf"))
        {
            for (i, part) in list(schema, junctor).iter().enumerate() {
                let skip = skip_any_of_first && junctor == "allOf" && i == 0;
                self.nested(part, skip, &path.child(junctor).index(i));
            }
        }
        if has(schema, "not") {
            self.nested(get(schema, "not"), false, &path.child("not"));
        }
        let pattern = text(schema, "pattern");
        if !pattern.is_empty()
            && let Err(why) = self.patterns.compile(pattern)
        {
            let why = format!("must be a valid regular expression, but isn't: {why}");
            self.e.invalid(&path.child("pattern"), pattern, &why);
        }
    }

    /// A schema within a junctor.
    fn nested(&mut self, schema: &Value, skip_any: bool, path: &Path) {
        self.value(schema, skip_any, false, path);
        if get(schema, "items").is_object() {
            self.nested(get(schema, "items"), false, &path.child("items"));
        }
        for (name, field) in entries(schema, "properties") {
            self.nested(field, false, &path.child("properties").key(name));
        }
        for (field, must_be) in NOT_NESTED {
            let value = get(schema, field);
            let wrong = match must_be {
                "undefined" => !value.is_null(),
                _ => !is_zero(value),
            };
            if wrong {
                let detail = format!("must be {must_be} to be structural");
                self.e.forbidden(&path.child(field), &detail);
            }
        }
        if !list(schema, RULES).is_empty() {
            self.e
                .forbidden(&path.child(RULES), "must be empty to be structural");
        }
        if has(get(schema, "properties"), "metadata") {
            self.e.forbidden(
                &path.child("properties").key("metadata"),
                "must not be specified in a nested context",
            );
        }
    }
}

fn has_fields(schema: &Value) -> bool {
    entries(schema, "properties").next().is_some()
}

/// `[{type: integer}, {type: string}]`, and nothing else in it.
fn is_int_or_string(any_of: &[Value]) -> bool {
    let is = |part: &Value, kind: &str| {
        let mut fields = part.as_object().into_iter().flatten();
        text(part, "type") == kind && fields.all(|(name, value)| name == "type" || is_zero(value))
    };
    matches!(any_of, [a, b] if is(a, "integer") && is(b, "string"))
}

/// Whether the schema of a resource's metadata tells more than of the names.
fn says_much(metadata: &Value) -> bool {
    let own = metadata.as_object().into_iter().flatten();
    let mut own = own.filter(|(name, value)| {
        !["type", "default", "externalDocs", "example", "properties"].contains(&name.as_str())
            && !is_zero(value)
    });
    let mut fields = entries(metadata, "properties").map(|(name, _)| name.as_str());
    own.next().is_some() || fields.any(|name| name != "name" && name != "generateName")
}

/// What junctors tell of must be told of outside of them, too.
fn junctors_complete(
    e: &mut Errors,
    part: &Value,
    schema: Option<&Value>,
    path: &Path,
    within: &Path,
) {
    if has(part, "not") {
        complete(e, get(part, "not"), schema, path, &within.child("not"));
    }
    for junctor in ["allOf", "anyOf", "oneOf"] {
        for (i, part) in list(part, junctor).iter().enumerate() {
            complete(e, part, schema, path, &within.child(junctor).index(i));
        }
    }
}

fn complete(e: &mut Errors, part: &Value, schema: Option<&Value>, path: &Path, within: &Path) {
    let Some(schema) = schema else {
        return e.required(path, &format!("because it is defined in {within}"));
    };
    junctors_complete(e, part, Some(schema), path, within);
    let below = |field: &str| schema.get(field).filter(|value| value.is_object());
    if get(part, "items").is_object() {
        let (path, within) = (path.child("items"), within.child("items"));
        complete(e, get(part, "items"), below("items"), &path, &within);
    }
    for (name, field) in entries(part, "properties") {
        let at = |path: &Path| path.child("properties").key(name);
        let own = below("properties").and_then(|fields| fields.get(name));
        complete(e, field, own, &at(path), &at(within));
    }
}
