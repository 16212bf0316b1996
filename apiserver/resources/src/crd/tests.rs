//! What definitions ask of their objects.

use super::row;
use crate::Resource;
use crate::rules::{FieldErrors, Findings};
use hardway_proto::status::Cause;
use serde_json::{Value, json};

fn crontab() -> Resource {
    row(&json!({"metadata": {"name": "crontabs.example.com"}, "spec": {
        "group": "example.com",
        "names": {"plural": "crontabs", "kind": "CronTab"},
        "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {
            "type": "object",
            "properties": {"spec": {
                "type": "object",
                "required": ["cronSpec"],
                "properties": {
                    "cronSpec": {"type": "string", "pattern": "^\\d+$"},
                    "replicas": {"type": "integer", "minimum": 1, "maximum": 10, "default": 1},
                    "mode": {"type": "string", "enum": ["a", "b"]},
                },
            }},
        }}}],
    }}))
    .expect("a good definition")
}

/// As Kubernetes' `CRDValidationRatcheting`: what was so before refuses no update.
#[test]
fn what_is_wrong_and_unchanged_is_let_be() {
    let text = json!({"type": "string", "maxLength": 3});
    let element = json!({"type": "object", "properties": {"name": {"type": "string"}, "to": text}});
    let mut map = json!({"type": "array", "items": element, "x-kubernetes-list-type": "map"});
    map["x-kubernetes-list-map-keys"] = json!(["name"]);
    let atomic =
        json!({"type": "object", "additionalProperties": text, "x-kubernetes-map-type": "atomic"});
    let fields = json!({"one": text, "list": {"type": "array", "items": text}, "map": map, "atomic": atomic});
    let row = row(
        &json!({"metadata": {"name": "crontabs.example.com"}, "spec": {
            "group": "example.com",
            "names": {"plural": "crontabs", "kind": "CronTab"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {
                "openAPIV3Schema": {"type": "object", "properties": {
                    "spec": {"type": "object", "required": ["must"], "properties": fields},
                }},
            }}],
        }}),
    )
    .expect("a good definition");
    let object =
        |spec: &Value| json!({"apiVersion": "example.com/v1", "kind": "CronTab", "spec": spec});
    let old = json!({"one": "long", "list": ["long"], "map": [{"name": "a", "to": "long"}],
        "atomic": {"a": "long"}});
    for (at, new, refused) in [
        ("/other", json!(1), vec!["spec.must"]),
        ("/one", json!("longer"), vec!["spec.must", "spec.one"]),
        (
            "/list",
            json!(["long", "b"]),
            vec!["spec.list[0]", "spec.must"],
        ),
        (
            "/map",
            json!([{"name": "b"}, {"name": "a", "to": "long"}]),
            vec!["spec.must"],
        ),
        (
            "/map",
            json!([{"name": "a", "to": "longer"}]),
            vec!["spec.map[0].to", "spec.must"],
        ),
        ("/atomic", json!({"a": "long", "b": "b"}), vec!["spec.must"]),
    ] {
        let mut spec = old.clone();
        spec[&at[1..]] = new;
        let found = row.rules.validate_changed(&object(&spec), &object(&old));
        let causes = found.causes;
        let mut fields: Vec<&str> = causes.iter().map(|cause| cause.field.as_str()).collect();
        fields.sort_unstable();
        assert_eq!(fields, refused, "{at}");
    }
    let same = row.rules.validate_changed(&object(&old), &object(&old));
    assert_eq!(same, Findings::default());
}

#[test]
fn rules_of_the_schema_hold() {
    let row = row(&json!({"metadata": {"name": "crontabs.example.com"}, "spec": {
        "group": "example.com",
        "names": {"plural": "crontabs", "kind": "CronTab"},
        "versions": [{"name": "v1", "served": true, "storage": true,
            "subresources": {"status": {}},
            "schema": {"openAPIV3Schema": {
                "type": "object",
                "properties": {
                    "spec": {
                        "type": "object",
                        "required": ["least"],
                        "properties": {"least": {"type": "integer"}, "most": {"type": "integer"}},
                        "x-kubernetes-validations": [
                            {"rule": "!has(self.most) || self.least <= self.most"},
                            {"rule": "self.least >= oldSelf.least", "message": "may not sink"},
                        ],
                    },
                    "status": {"type": "object", "properties": {"now": {"type": "integer"}}},
                },
                "x-kubernetes-validations": [
                    {"rule": "!has(self.status) || self.status.now >= self.spec.least"},
                ],
            }}}],
    }}))
    .expect("a good definition");
    let object = |least: i64, most: i64, now: i64| {
        json!({"apiVersion": "example.com/v1", "kind": "CronTab", "metadata": {"name": "c"},
            "spec": {"least": least, "most": most}, "status": {"now": now}})
    };
    let told = |causes: FieldErrors| -> Vec<String> {
        let shown = |cause: Cause| format!("{}: {}", cause.field, cause.message);
        causes.into_iter().map(shown).collect()
    };
    let rules = &row.rules;
    let good = object(1, 2, 1);
    assert_eq!(told(rules.validate(&good)), [""; 0]);
    assert_eq!(
        told(rules.validate(&object(3, 2, 3))),
        [
            r#"spec: Invalid value: "object": failed rule: !has(self.most) || self.least <= self.most"#
        ]
    );
    assert_eq!(
        told(rules.validate_changed(&object(0, 2, 1), &good).causes),
        [r#"spec: Invalid value: "object": may not sink"#]
    );
    assert_eq!(
        told(rules.validate_status_update(&object(1, 2, 0), &good).causes),
        [
            r#"<nil>: Invalid value: "object": failed rule: !has(self.status) || self.status.now >= self.spec.least"#
        ]
    );
    // Rules are about objects that are otherwise right.
    let mut odd = object(3, 2, 3);
    odd["spec"].as_object_mut().unwrap().remove("least");
    assert_eq!(
        told(rules.validate(&odd)),
        [
            "spec.least: Required value",
            r#"<nil>: Invalid value: "null": some validation rules were not checked because the object was invalid; correct the existing errors to complete validation"#,
        ]
    );
    let wrong = object(3, 2, 3);
    let mut relabelled = wrong.clone();
    relabelled["metadata"]["labels"] = json!({"a": "b"});
    let warning =
        r#"spec: Invalid value: "object": failed rule: !has(self.most) || self.least <= self.most"#;
    for found in [
        rules.validate_changed(&relabelled, &wrong),
        rules.validate_status_update(&relabelled, &wrong),
    ] {
        assert_eq!(
            (told(found.causes), found.warnings),
            (vec![], vec![warning.to_owned()])
        );
    }
}

/// Kubernetes holds the whole object against the schema, metadata too.
#[test]
fn names_are_as_the_schema_says() {
    let text = json!({"type": "string", "pattern": "^db-"});
    let row = row(
        &json!({"metadata": {"name": "crontabs.example.com"}, "spec": {
            "group": "example.com",
            "names": {"plural": "crontabs", "kind": "CronTab"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {
                "openAPIV3Schema": {"type": "object", "properties": {
                    "metadata": {"type": "object", "properties": {"name": text}},
                }},
            }}],
        }}),
    )
    .expect("a good definition");
    let object = |name: &str, label: &str| {
        json!({"apiVersion": "example.com/v1", "kind": "CronTab",
            "metadata": {"name": name, "labels": {"a": label}}})
    };
    assert_eq!(row.rules.validate(&object("db-1", "")), []);
    let found = row.rules.validate(&object("web", ""));
    let found: Vec<_> = found
        .iter()
        .map(|c| (c.field.as_str(), c.message.as_str()))
        .collect();
    let why = r#"Invalid value: "web": metadata.name in body should match '^db-'"#;
    assert_eq!(found, [("metadata.name", why)]);
    let kept = row
        .rules
        .validate_changed(&object("web", "b"), &object("web", "a"));
    assert_eq!(kept, Findings::default());
}

#[test]
fn defaults_and_validates_by_the_schema() {
    let row = crontab();
    let mut good =
        json!({"apiVersion": "example.com/v1", "kind": "CronTab", "spec": {"cronSpec": "5"}});
    row.rules.default(&mut good);
    assert_eq!(good["spec"]["replicas"], 1);
    assert!(row.rules.validate(&good).is_empty());

    let bad = json!({"apiVersion": "example.com/v1", "spec": {"replicas": 11, "mode": "c"}});
    let mut told: Vec<String> = row
        .rules
        .validate(&bad)
        .into_iter()
        .map(|cause| format!("{}: {}", cause.field, cause.message))
        .collect();
    told.sort();
    assert_eq!(
        told,
        [
            "spec.cronSpec: Required value",
            r#"spec.mode: Unsupported value: "c": supported values: "a", "b""#,
            "spec.replicas: Invalid value: 11: spec.replicas in body should be less than or equal to 10",
        ]
    );
    let wrong = json!({"apiVersion": "example.com/v1", "spec": {"cronSpec": "x", "replicas": "y"}});
    let told: Vec<String> = row
        .rules
        .validate(&wrong)
        .into_iter()
        .map(|c| c.message)
        .collect();
    assert_eq!(
        told,
        [
            r#"Invalid value: "x": spec.cronSpec in body should match '^\d+$'"#,
            r#"Invalid value: "string": spec.replicas in body must be of type integer: "string""#,
        ]
    );
}

fn definition(spec: Value) -> Value {
    json!({"metadata": {"name": "lists.example.com"}, "spec": {
        "group": "example.com", "scope": "Namespaced",
        "names": {"plural": "lists", "singular": "list", "kind": "List", "listKind": "ListList"},
        "versions": [{"name": "v1", "served": true, "storage": true, "schema": {
            "openAPIV3Schema": {"type": "object", "properties": {"spec": spec}}}}],
    }})
}

#[test]
fn long_lists_take_no_longer_than_they_are() {
    let items = json!({"type": "object", "properties": {"name": {"type": "string"}}});
    let row = row(&definition(json!({"type": "array", "items": items,
        "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]})))
    .expect("a good definition");
    let object = |count: usize, different: usize| {
        let items = (0..count).map(|n| json!({"name": format!("{}", n % different)}));
        json!({"apiVersion": "example.com/v1", "spec": items.collect::<Vec<_>>()})
    };
    let start = std::time::Instant::now();
    assert!(row.rules.validate(&object(150_000, 150_000)).is_empty());
    // Nobody reads a hundred thousand causes.
    let causes = row.rules.validate(&object(150_000, 1));
    assert_eq!(causes.len(), 100);
    assert_eq!(causes[0].reason, "FieldValueDuplicate");
    // Each with each would be 10^10 comparisons.
    let took = start.elapsed();
    assert!(took < std::time::Duration::from_secs(20), "{took:?}");
}

#[test]
fn definitions_with_patterns_that_cannot_be_used_are_refused() {
    let rows = crate::Registry::new();
    let definitions = rows
        .resource("apiextensions.k8s.io", "customresourcedefinitions")
        .expect("definitions are a resource");
    let refused = |pattern: &str| {
        let spec = json!({"type": "array", "items": {"type": "string", "pattern": pattern}});
        let causes = definitions.rules.validate(&definition(spec));
        let of_pattern = causes
            .into_iter()
            .find(|c| c.field.ends_with("items.pattern"));
        of_pattern.map(|cause| (cause.field, cause.message))
    };
    assert_eq!(refused(r"^[\w-]+$"), None);
    let (field, why) = refused("((a{100}){100}){100}").expect("it is too large");
    assert_eq!(
        field,
        "spec.validation.openAPIV3Schema.properties[spec].items.pattern"
    );
    assert!(
        why.contains("must be a valid regular expression, but isn't"),
        "{why}"
    );
    assert!(refused("(").is_some());
}
