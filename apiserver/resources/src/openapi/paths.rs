//! The operations of a resource as OpenAPI v3 paths. Shared with the build
//! script, so it depends on serde_json alone.

use serde_json::{Map, Value, json};

/// Where definitions are referred to.
pub const PREFIX: &str = "#/components/schemas/";
const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1";

/// A resource in one version, as much of it as its operations tell.
pub struct Served<'a> {
    pub group: &'a str,
    pub version: &'a str,
    pub kind: &'a str,
    pub plural: &'a str,
    pub namespaced: bool,
    pub verbs: Vec<&'a str>,
    pub subresources: Vec<Sub<'a>>,
    /// The kind's definition.
    pub definition: String,
    /// Whether it takes strategic merge patches: custom resources don't.
    pub strategic: bool,
}

/// A subresource.
pub struct Sub<'a> {
    pub name: &'a str,
    pub verbs: Vec<&'a str>,
    /// Group, version, kind and definition of its body (no definition: a stream).
    pub body: Option<(&'a str, &'a str, &'a str, Option<String>)>,
}

/// `api/v1` or `apis/GROUP/VERSION`.
pub fn root(group: &str, version: &str) -> String {
    match group {
        "" => format!("api/{version}"),
        _ => format!("apis/{group}/{version}"),
    }
}

/// All paths of a resource.
pub fn paths(served: &Served<'_>) -> Map<String, Value> {
    let root = root(served.group, served.version);
    let place = if served.namespaced {
        "/namespaces/{namespace}"
    } else {
        ""
    };
    let collection = format!("/{root}{place}/{}", served.plural);
    let item = format!("{collection}/{{name}}");
    let mut paths = Map::new();
    let mut add = |path: String, operations: Map<String, Value>| {
        if !operations.is_empty() {
            let mut operations = operations;
            operations.insert("parameters".into(), path_parameters(&path));
            paths.insert(path, Value::Object(operations));
        }
    };
    let has = |verb: &str| served.verbs.contains(&verb);
    let mut operations = Map::new();
    for (verb, method) in [
        ("list", "get"),
        ("create", "post"),
        ("deletecollection", "delete"),
    ] {
        if has(verb) {
            operations.insert(method.into(), operation(served, None, verb));
        }
    }
    add(collection, operations);
    let mut operations = Map::new();
    for (verb, method) in [
        ("get", "get"),
        ("update", "put"),
        ("patch", "patch"),
        ("delete", "delete"),
    ] {
        if has(verb) {
            operations.insert(method.into(), operation(served, None, verb));
        }
    }
    add(item.clone(), operations);
    if served.namespaced && has("list") {
        let mut operations = Map::new();
        let mut list = operation(served, None, "list");
        let id = format!("list{}{}ForAllNamespaces", tag(served, true), served.kind);
        list["operationId"] = id.into();
        operations.insert("get".into(), list);
        add(format!("/{root}/{}", served.plural), operations);
    }
    for sub in &served.subresources {
        let mut operations = Map::new();
        for verb in &sub.verbs {
            let method = match *verb {
                "create" => "post",
                "update" => "put",
                same => same,
            };
            operations.insert(method.into(), operation(served, Some(sub), verb));
        }
        add(format!("{item}/{}", sub.name), operations);
    }
    paths
}

fn path_parameters(path: &str) -> Value {
    let mut parameters = Vec::new();
    for (name, description) in [
        ("name", "name of the object"),
        (
            "namespace",
            "object name and auth scope, such as for teams and projects",
        ),
    ] {
        if path.contains(&format!("{{{name}}}")) {
            parameters.push(json!({"name": name, "in": "path", "required": true,
                "description": description, "schema": {"type": "string", "uniqueItems": true}}));
        }
    }
    parameters.push(parameter(
        "pretty",
        "string",
        "If 'true', the answer is indented.",
    ));
    parameters.into()
}

fn parameter(name: &str, ty: &str, description: &str) -> Value {
    json!({"name": name, "in": "query", "description": description,
        "schema": {"type": ty, "uniqueItems": true}})
}

const WRITE: &[(&str, &str, &str)] = &[
    (
        "dryRun",
        "string",
        "When present, nothing is persisted. The only valid value is 'All'.",
    ),
    (
        "fieldManager",
        "string",
        "The name of the actor that makes these changes.",
    ),
    (
        "fieldValidation",
        "string",
        "What to do about unknown and duplicate fields: Ignore, Warn or Strict.",
    ),
];
const FORCE: &[(&str, &str, &str)] = &[(
    "force",
    "boolean",
    "Take over fields that other managers own (server-side apply only).",
)];
const LIST: &[(&str, &str, &str)] = &[
    (
        "allowWatchBookmarks",
        "boolean",
        "Ask for BOOKMARK events in a watch.",
    ),
    (
        "continue",
        "string",
        "The continue token of the previous page.",
    ),
    (
        "fieldSelector",
        "string",
        "Restrict the list by the objects' fields.",
    ),
    (
        "labelSelector",
        "string",
        "Restrict the list by the objects' labels.",
    ),
    ("limit", "integer", "The most objects a page shall have."),
    (
        "resourceVersion",
        "string",
        "The resource version the answer is based on.",
    ),
    (
        "resourceVersionMatch",
        "string",
        "How resourceVersion is meant: Exact or NotOlderThan.",
    ),
    (
        "sendInitialEvents",
        "boolean",
        "Start a watch with the present state as events.",
    ),
    (
        "timeoutSeconds",
        "integer",
        "The time after which the call ends.",
    ),
    ("watch", "boolean", "Watch for changes instead of listing."),
];
const DELETE: &[(&str, &str, &str)] = &[
    (
        "dryRun",
        "string",
        "When present, nothing is persisted. The only valid value is 'All'.",
    ),
    (
        "gracePeriodSeconds",
        "integer",
        "Seconds before the object is deleted.",
    ),
    (
        "orphanDependents",
        "boolean",
        "Deprecated: use propagationPolicy.",
    ),
    (
        "propagationPolicy",
        "string",
        "What happens to dependents: Orphan, Background or Foreground.",
    ),
];

/// `core_v1`, or for operation names `CoreV1`.
fn tag(served: &Served<'_>, title: bool) -> String {
    let group = match served.group {
        "" => "core",
        group => group.trim_end_matches(".k8s.io"),
    };
    let capital = |word: &str| {
        let mut letters = word.chars();
        letters.next().map_or(String::new(), |first| {
            first.to_uppercase().chain(letters).collect()
        })
    };
    let words: Vec<&str> = group.split(['.', '-']).collect();
    if title {
        let words: String = words.iter().map(|word| capital(word)).collect();
        return format!("{words}{}", capital(served.version));
    }
    let rest: String = words[1..].iter().map(|word| capital(word)).collect();
    format!("{}{rest}_{}", words[0], served.version)
}

fn operation(served: &Served<'_>, sub: Option<&Sub<'_>>, verb: &str) -> Value {
    let body = sub.and_then(|sub| sub.body.as_ref());
    let stream = body.is_some_and(|(.., definition)| definition.is_none());
    let is_log = sub.is_some_and(|sub| sub.name == "log");
    let (group, version, kind) = body.map_or(
        (served.group, served.version, served.kind),
        |(g, v, k, _)| (*g, *v, *k),
    );
    let definition = body.map_or(Some(&served.definition), |(.., definition)| {
        definition.as_ref()
    });
    let (word, action) = match verb {
        _ if stream => ("connect", "connect"),
        "create" => ("create", "post"),
        "get" => ("read", "get"),
        "update" => ("replace", "put"),
        "deletecollection" => ("delete", "deletecollection"),
        same => (same, same),
    };
    let scope = if served.namespaced { "Namespaced" } else { "" };
    let collection = if verb == "deletecollection" {
        "Collection"
    } else {
        ""
    };
    let suffix: String = sub.map_or(String::new(), |sub| {
        sub.name[..1].to_uppercase() + &sub.name[1..]
    });
    let method = if stream { verb } else { "" };
    let mut parameters = Vec::new();
    let sets: &[&[(&str, &str, &str)]] = match verb {
        _ if stream || is_log => &[],
        "create" | "update" => &[WRITE],
        "patch" => &[WRITE, FORCE],
        "list" => &[LIST],
        "delete" => &[DELETE],
        "deletecollection" => &[LIST, DELETE],
        _ => &[],
    };
    for (name, ty, description) in sets.iter().copied().flatten() {
        if (verb != "deletecollection" || *name != "watch")
            && !parameters.iter().any(|p: &Value| p["name"] == *name)
        {
            parameters.push(parameter(name, ty, description));
        }
    }
    let of_object = definition.map(|name| reference(name));
    let of_list = || {
        let (package, kind) = served.definition.rsplit_once('.').unwrap_or_default();
        reference(&format!("{package}.{kind}List"))
    };
    let of_meta = |kind: &str| reference(&format!("{META}.{kind}"));
    let answer = match verb {
        _ if stream || is_log => json!({"type": "string"}),
        "list" => of_list(),
        "delete" | "deletecollection" => of_meta("Status"),
        _ => of_object
            .clone()
            .unwrap_or_else(|| json!({"type": "string"})),
    };
    let mut operation = json!({
        "description": description(word, verb, kind, sub),
        "operationId": format!("{word}{method}{}{collection}{scope}{}{suffix}", tag(served, true), served.kind),
        "tags": [tag(served, false)],
        "parameters": parameters,
        "responses": responses(verb, &answer, stream || is_log),
        "x-kubernetes-action": action,
        "x-kubernetes-group-version-kind": {"group": group, "version": version, "kind": kind},
    });
    let content = match verb {
        _ if stream => None,
        "create" | "update" => of_object.map(|object| json!({"*/*": {"schema": object}})),
        "delete" | "deletecollection" => Some(json!({"*/*": {"schema": of_meta("DeleteOptions")}})),
        "patch" => {
            let kinds = [
                "application/apply-patch+yaml",
                "application/json-patch+json",
                "application/merge-patch+json",
                "application/strategic-merge-patch+json",
            ];
            let patch = of_meta("Patch");
            let content: Map<String, Value> = kinds
                .iter()
                .filter(|kind| served.strategic || !kind.contains("strategic"))
                .map(|kind| ((*kind).to_owned(), json!({"schema": patch})))
                .collect();
            Some(Value::Object(content))
        }
        _ => None,
    };
    if let Some(content) = content {
        let required = matches!(verb, "create" | "update" | "patch");
        operation["requestBody"] = json!({"content": content});
        if required {
            operation["requestBody"]["required"] = true.into();
        }
    }
    operation
}

fn reference(definition: &str) -> Value {
    json!({"$ref": format!("{PREFIX}{definition}")})
}

fn description(word: &str, verb: &str, kind: &str, sub: Option<&Sub<'_>>) -> String {
    match (verb, sub) {
        ("list", _) => format!("list or watch objects of kind {kind}"),
        ("deletecollection", _) => format!("delete collection of {kind}"),
        (_, Some(sub)) => format!("{word} {} of the specified object ({kind})", sub.name),
        ("create", None) => format!("create a {kind}"),
        _ => format!("{word} the specified {kind}"),
    }
}

fn responses(verb: &str, answer: &Value, plain: bool) -> Value {
    let content = if plain {
        json!({"*/*": {"schema": answer}})
    } else {
        json!({"application/json": {"schema": answer}, "application/yaml": {"schema": answer}})
    };
    let ok = |description: &str| json!({"description": description, "content": content});
    let mut responses = json!({"200": ok("OK"), "401": {"description": "Unauthorized"}});
    if !plain && matches!(verb, "create" | "update" | "patch") {
        responses["201"] = ok("Created");
    }
    if !plain && matches!(verb, "create" | "delete") {
        responses["202"] = ok("Accepted");
    }
    responses
}

/// A whole OpenAPI v3 document.
pub fn document(paths: Map<String, Value>, schemas: Map<String, Value>) -> Value {
    json!({
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": "v1.33.0"},
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"BearerToken": {
                "type": "apiKey", "name": "authorization", "in": "header",
                "description": "Bearer Token authentication"}},
        },
    })
}

/// The definitions that a document refers to, directly or not.
pub fn referred(from: &Value, all: &Map<String, Value>) -> Map<String, Value> {
    let mut found = Map::new();
    let mut open = Vec::new();
    collect(from, &mut open);
    while let Some(name) = open.pop() {
        if found.contains_key(&name) {
            continue;
        }
        if let Some(definition) = all.get(&name) {
            collect(definition, &mut open);
            found.insert(name, definition.clone());
        }
    }
    found
}

fn collect(value: &Value, names: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            if let Some(name) = map.get("$ref").and_then(Value::as_str) {
                names.extend(name.strip_prefix(PREFIX).map(str::to_owned));
            }
            map.values().for_each(|value| collect(value, names));
        }
        Value::Array(list) => list.iter().for_each(|value| collect(value, names)),
        _ => {}
    }
}
