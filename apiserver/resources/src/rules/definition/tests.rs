//! Faulty definitions and what Kubernetes 1.33 says of them, from its
//! `validation_test.go` and reports of users.

use super::*;
use crate::rules::KindRules;

fn definition(schema: Value) -> Value {
    let mut definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "bads.pub.example.com"},
        "spec": {
            "group": "pub.example.com", "scope": "Namespaced",
            "names": {"plural": "bads", "singular": "bad", "kind": "Bad"},
            "versions": [{"name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": schema}}]}});
    DEFINITION.default(&mut definition);
    DEFINITION.prepare_create(&mut definition);
    definition
}

fn told(causes: FieldErrors) -> Vec<String> {
    let told = causes
        .into_iter()
        .map(|c| format!("{}: {}", c.field, c.message));
    told.collect()
}

/// What is wrong with a schema, below where it stands.
fn schema(schema: Value) -> Vec<String> {
    let told = told(DEFINITION.validate(&definition(schema)));
    let below = "spec.validation.openAPIV3Schema";
    told.into_iter()
        .map(|text| match text.strip_prefix(below) {
            Some(rest) => rest.trim_start_matches('.').to_owned(),
            None => text,
        })
        .collect()
}

/// The same of a field `f` of the spec; paths begin there.
fn field(f: Value) -> Vec<String> {
    let all = schema(json!({"type": "object", "properties": {
        "spec": {"type": "object", "properties": {"f": f}}}}));
    let below = "properties[spec].properties[f].";
    all.into_iter()
        .map(|text| text.strip_prefix(below).map_or(text.clone(), str::to_owned))
        .collect()
}

#[test]
fn fields_have_a_type_and_what_belongs_to_it() {
    let object = json!({"type": "object", "properties": {"a": {"type": "string"}}});
    for (f, expected) in [
        (
            json!({"properties": {"a": {"type": "string"}}}),
            "type: Required value: must not be empty for specified object fields",
        ),
        (
            json!({"type": "array"}),
            "items: Required value: must be specified",
        ),
        (
            json!({"type": "array", "items": {}}),
            "items.type: Required value: must not be empty for specified array items",
        ),
        (
            json!({"type": "text"}),
            r#"type: Unsupported value: "text": supported values: "array", "boolean", "integer", "number", "object", "string""#,
        ),
        (
            json!({"type": "string", "default": 5}),
            r#"default: Invalid value: "integer":  in body must be of type string: "integer""#,
        ),
        (
            json!({"type": "string", "enum": ["a"], "default": "b"}),
            r#"default: Unsupported value: "b": supported values: "a""#,
        ),
        (
            json!({"type": "object", "properties": {"a": {"type": "string"}}, "default": {"b": 1}}),
            r#"default: Invalid value: {"b":1}: must not have unknown fields"#,
        ),
        (
            json!({"type": "object", "properties": {"a": {"type": "string"}}, "default": {"a": 1}}),
            r#"default.a: Invalid value: "integer": a in body must be of type string: "integer""#,
        ),
        (
            json!({"type": "array", "uniqueItems": true, "items": {"type": "string"}}),
            "uniqueItems: Forbidden: uniqueItems cannot be set to true since the runtime complexity becomes quadratic",
        ),
        (
            json!({"$ref": "#/definitions/x"}),
            "$ref: Forbidden: $ref is not supported",
        ),
        (
            json!({"type": "object", "additionalProperties": {"type": "string"}, "properties": {"a": {"type": "string"}}}),
            "additionalProperties: Forbidden: additionalProperties and properties are mutual exclusive",
        ),
        (
            json!({"type": "object", "x-kubernetes-preserve-unknown-fields": false}),
            "x-kubernetes-preserve-unknown-fields: Invalid value: false: must be true or undefined",
        ),
        (
            json!({"type": "array", "items": [{"type": "string"}]}),
            "items: Forbidden: items must be a schema object and not an array",
        ),
        (
            json!({"type": "object", "x-kubernetes-map-type": "loose"}),
            r#"x-kubernetes-map-type: Unsupported value: "loose": supported values: "atomic", "granular""#,
        ),
        (
            json!({"type": "string", "x-kubernetes-list-type": "set"}),
            r#"type: Invalid value: "string": must be array if x-kubernetes-list-type is specified"#,
        ),
        (
            json!({"type": "array", "x-kubernetes-list-type": "set", "items": object}),
            "items.x-kubernetes-map-type: Invalid value: null: must be atomic as item of a list with x-kubernetes-list-type=set",
        ),
        (
            json!({"type": "array", "x-kubernetes-list-map-keys": ["a"], "items": object}),
            "x-kubernetes-list-type: Required value: must be map if x-kubernetes-list-map-keys is non-empty",
        ),
        (
            json!({"type": "array", "x-kubernetes-list-type": "map", "items": object}),
            "x-kubernetes-list-map-keys: Required value: must not be empty if x-kubernetes-list-type is map",
        ),
        (
            json!({"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["a"], "items": object}),
            "items.properties[a].default: Required value: this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property",
        ),
        (
            json!({"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["b"], "items": object}),
            r#"x-kubernetes-list-map-keys: Invalid value: ["b"]: entries must all be names of item properties"#,
        ),
        (
            json!({"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string", "nullable": true}}),
            "items.nullable: Forbidden: cannot be nullable when x-kubernetes-list-type is set",
        ),
        (
            json!({"x-kubernetes-embedded-resource": true, "x-kubernetes-preserve-unknown-fields": true}),
            "type: Required value: must be object if x-kubernetes-embedded-resource is true",
        ),
        (
            json!({"type": "object", "x-kubernetes-embedded-resource": true}),
            "properties: Required value: must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields",
        ),
        (
            json!({"x-kubernetes-int-or-string": true, "x-kubernetes-preserve-unknown-fields": true}),
            "x-kubernetes-preserve-unknown-fields: Invalid value: true: must be false if x-kubernetes-int-or-string is true",
        ),
        (
            json!({"type": "string", "x-kubernetes-validations": [{"rule": " "}]}),
            "x-kubernetes-validations[0].rule: Required value: rule is not specified",
        ),
        (
            json!({"type": "string", "x-kubernetes-validations": [{"rule": "true", "reason": "Bad"}]}),
            r#"x-kubernetes-validations[0].reason: Unsupported value: "Bad": supported values: "FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired""#,
        ),
        (
            json!({"type": "object", "properties": {"a": {"type": "string"}}, "x-kubernetes-validations": [{"rule": "true", "fieldPath": ".b"}]}),
            r#"x-kubernetes-validations[0].fieldPath: Invalid value: ".b": fieldPath must be a valid path"#,
        ),
        (
            json!({"type": "object", "x-kubernetes-embedded-resource": true, "properties": {"kind": {"type": "string", "default": "a b"}}}),
            r#"properties[kind].default: Invalid value: "a b": must result in valid metadata: kind: Invalid value: "a b": may have mixed case, but should otherwise match: a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')"#,
        ),
    ] {
        assert_eq!(field(f.clone()), [expected], "{f}");
    }
    let bad = field(json!({"type": "string", "pattern": "(["}));
    let expected =
        r#"pattern: Invalid value: "([": must be a valid regular expression, but isn't: "#;
    assert!(bad.len() == 1 && bad[0].starts_with(expected), "{bad:?}");
    for good in [
        json!({"x-kubernetes-int-or-string": true}),
        json!({"x-kubernetes-preserve-unknown-fields": true}),
        json!({"x-kubernetes-int-or-string": true, "anyOf": [{"type": "integer"}, {"type": "string"}]}),
        json!({"x-kubernetes-int-or-string": true,
            "allOf": [{"anyOf": [{"type": "integer"}, {"type": "string"}]}, {"pattern": "^a"}]}),
        json!({"type": "object", "additionalProperties": {"type": "string"}, "default": {"a": "b"}}),
        json!({"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["a"],
            "items": {"type": "object", "required": ["a"], "properties": {"a": {"type": "string"}}}}),
    ] {
        assert_eq!(field(good.clone()), [""; 0], "{good}");
    }
}

#[test]
fn junctors_only_say_more() {
    let told = field(
        json!({"type": "object", "properties": {"z": {"type": "string"}},
        "oneOf": [{"type": "string", "properties": {"z": {"type": "string", "minLength": 1}}}],
        "not": {"title": "x", "nullable": true, "additionalProperties": false}}),
    );
    assert_eq!(
        told,
        [
            "not.additionalProperties: Forbidden: must be undefined to be structural",
            "not.nullable: Forbidden: must be false to be structural",
            "not.title: Forbidden: must be empty to be structural",
            "oneOf[0].properties[z].type: Forbidden: must be empty to be structural",
            "oneOf[0].type: Forbidden: must be empty to be structural",
        ]
    );
    assert_eq!(
        schema(json!({"type": "object", "anyOf": [
            {"properties": {"spec": {"required": ["a"]}, "metadata": {}}}]})),
        [
            "anyOf[0].properties[metadata]: Forbidden: must not be specified in a nested context",
            "properties[metadata]: Required value: because it is defined in spec.validation.openAPIV3Schema.anyOf[0].properties[metadata]",
            "properties[spec]: Required value: because it is defined in spec.validation.openAPIV3Schema.anyOf[0].properties[spec]",
        ]
    );
}

#[test]
fn the_root_is_a_resource() {
    let metadata = "properties[metadata]: Forbidden: must not specify anything other than name and generateName, but metadata is implicitly specified";
    for (root, expected) in [
        (
            json!({}),
            "type: Required value: must not be empty at the root",
        ),
        (
            json!({"type": "string"}),
            r#"type: Invalid value: "string": must be object at the root"#,
        ),
        (
            json!({"type": "object", "nullable": true}),
            "nullable: Forbidden: nullable cannot be true at the root",
        ),
        (
            json!({"type": "object", "additionalProperties": true}),
            "additionalProperties: Forbidden: must not be used at the root",
        ),
        (
            json!({"type": "object", "properties": {"metadata": {"type": "object", "properties": {"labels": {"type": "object"}}}}}),
            metadata,
        ),
        (
            json!({"type": "object", "properties": {"metadata": {"type": "object", "required": ["name"]}}}),
            metadata,
        ),
        (
            json!({"type": "object", "properties": {"kind": {"type": "integer"}}}),
            r#"properties[kind].type: Invalid value: "integer": must be string"#,
        ),
        (
            json!({"type": "object", "properties": {"metadata": {"type": "object", "default": {}}}}),
            "properties[metadata].default: Forbidden: must not be set in top-level metadata",
        ),
    ] {
        assert_eq!(schema(root.clone()), [expected], "{root}");
    }
    for good in [
        json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true}),
        json!({"type": "object", "properties": {"metadata": {"type": "object",
            "properties": {"name": {"type": "string", "maxLength": 5}}}}}),
    ] {
        assert_eq!(schema(good.clone()), [""; 0], "{good}");
    }
    let mut status = definition(json!({"type": "object", "maxProperties": 3}));
    status["spec"]["versions"][0]["subresources"] = json!({"status": {}});
    let told = told(DEFINITION.validate(&status));
    assert!(
        told[0].ends_with("MultipleOf Required Items Properties ExternalDocs Example XPreserveUnknownFields XValidations] fields are allowed at the root of the schema if the status subresource is enabled"),
        "{told:?}"
    );
}

/// What is said of a definition with a field set to something.
fn with(pointer: &str, value: Value) -> Vec<String> {
    let mut definition = definition(json!({"type": "object", "properties": {
        "spec": {"type": "object", "properties": {"color": {"type": "string"}, "of": {"type": "object"}}}}}));
    let (parent, name) = pointer.rsplit_once('/').expect("a pointer");
    let parent = definition.pointer_mut(parent).expect("it is there");
    set(parent, name, value);
    told(DEFINITION.validate(&definition))
}

#[test]
fn all_else_that_definitions_say() {
    let label = |name: &str| rules_of_names::is_dns1035_label(name).join(",");
    let version = "/spec/versions/0";
    for (at, value, expected) in [
        ("/spec/scope", json!(""), "spec.scope: Required value".to_owned()),
        ("/spec/scope", json!("Galaxy"),
            r#"spec.scope: Unsupported value: "Galaxy": supported values: "Cluster", "Namespaced""#.to_owned()),
        ("/spec/preserveUnknownFields", json!(true),
            "spec.preserveUnknownFields: Invalid value: true: cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead".to_owned()),
        ("/spec/names/kind", json!("B d"), format!(
            "spec.names.kind: Invalid value: \"B d\": may have mixed case, but should otherwise match: {}", label("b d"))),
        ("/spec/names/categories", json!(["All"]), format!(
            "spec.names.categories[0]: Invalid value: \"All\": {}", label("All"))),
        ("/spec/names/listKind", json!("Bad"),
            r#"spec.names.listKind: Invalid value: "Bad": kind and listKind may not be the same"#.to_owned()),
        ("/spec/conversion", json!({"strategy": "Magic"}),
            r#"spec.conversion.strategy: Unsupported value: "Magic": supported values: "None", "Webhook""#.to_owned()),
        ("/spec/conversion", json!({"strategy": "Webhook", "webhook": {"conversionReviewVersions": ["v1"]}}),
            "spec.conversion.webhookClientConfig: Required value: required when strategy is set to Webhook".to_owned()),
        ("/spec/conversion", json!({"strategy": "Webhook", "webhook": {
            "clientConfig": {"url": "http://a"}, "conversionReviewVersions": ["v1"]}}),
            r#"spec.conversion.webhookClientConfig.url: Invalid value: "http": 'https' is the only allowed URL scheme; desired format: https://host[/path]"#.to_owned()),
        ("/spec/conversion", json!({"strategy": "None", "webhook": {"conversionReviewVersions": ["v1"]}}),
            "spec.conversion.conversionReviewVersions: Forbidden: should not be set when strategy is not set to Webhook".to_owned()),
        (&format!("{version}/additionalPrinterColumns"), json!([{"name": "A", "type": "strange", "jsonPath": ".spec"}]),
            r#"spec.additionalPrinterColumns[0].type: Invalid value: "strange": must be one of boolean,date,integer,number,string"#.to_owned()),
        (&format!("{version}/additionalPrinterColumns"), json!([{"name": "A", "type": "date", "jsonPath": "spec", "format": "int32"}]),
            r#"spec.additionalPrinterColumns[0].JSONPath: Invalid value: "spec": must be a simple json path starting with ."#.to_owned()),
        (&format!("{version}/subresources"), json!({"scale": {"specReplicasPath": ".status.n", "statusReplicasPath": ".status.n"}}),
            r#"spec.subresources.scale.specReplicasPath: Invalid value: ".status.n": should be a json path under .spec"#.to_owned()),
        (&format!("{version}/deprecationWarning"), json!("old"),
            r#"spec.versions[0].deprecationWarning: Invalid value: "old": can only be set for deprecated versions"#.to_owned()),
        (&format!("{version}/selectableFields"), json!([{"jsonPath": ".spec.none"}]),
            r#"spec.selectableFields[0].jsonPath: Invalid value: ".spec.none": is an invalid path: does not refer to a valid field"#.to_owned()),
        (&format!("{version}/selectableFields"), json!([{"jsonPath": ".spec.of"}]),
            r#"spec.selectableFields[0].jsonPath: Invalid value: ".spec.of": must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed."#.to_owned()),
        (&format!("{version}/selectableFields"), json!([{"jsonPath": ".spec.color"}, {"jsonPath": ".spec.color"}]),
            r#"spec.selectableFields[1].jsonPath: Duplicate value: ".spec.color""#.to_owned()),
        (&format!("{version}/schema"), json!({}),
            "spec.versions[0].schema.openAPIV3Schema: Required value: schemas are required".to_owned()),
    ] {
        assert_eq!(with(at, value.clone()), [expected], "{at} {value}");
    }
    assert_eq!(
        with("/spec/group", json!("apps.k8s.io"))[1],
        "metadata.annotations[api-approved.kubernetes.io]: Required value: protected groups must have approval annotation \"api-approved.kubernetes.io\", see https://github.com/kubernetes/enhancements/pull/1111"
    );
}

#[test]
fn versions_with_schemas_of_their_own_are_told_by_themselves() {
    let mut definition = definition(json!({"type": "object"}));
    let mut other = definition["spec"]["versions"][0].clone();
    other["name"] = json!("v2");
    other["storage"] = json!(false);
    other["schema"]["openAPIV3Schema"] = json!({"type": "array"});
    let versions = definition["spec"]["versions"].as_array_mut();
    versions.expect("a list").push(other);
    assert_eq!(
        told(DEFINITION.validate(&definition)),
        [
            "spec.versions[1].schema.openAPIV3Schema.items: Required value: must be specified",
            r#"spec.versions[1].schema.openAPIV3Schema.type: Invalid value: "array": must be object at the root"#,
        ]
    );
}

#[test]
fn updates() {
    let mut old = definition(json!({"type": "object"}));
    assert_eq!(old["status"]["storedVersions"], json!(["v1"]));
    old["status"]["conditions"] = json!([{"type": "Established", "status": "True"}]);
    let change = |edit: &dyn Fn(&mut Value)| {
        let mut new = old.clone();
        edit(&mut new);
        DEFINITION.prepare_update(&mut new, &old);
        told(DEFINITION.validate_changed(&new, &old).causes)
    };
    assert_eq!(change(&|_| ()), [""; 0]);
    assert_eq!(
        change(&|new| new["spec"]["scope"] = json!("Cluster")),
        [r#"spec.scope: Invalid value: "Cluster": field is immutable"#]
    );
    assert_eq!(
        change(&|new| new["spec"]["versions"][0]["name"] = json!("v2")),
        [
            "status.storedVersions[0]: Invalid value: \"v1\": missing from spec.versions; v1 was previously a storage version, and must remain in spec.versions until a storage migration ensures no data remains persisted in v1 and removes v1 from status.storedVersions"
        ]
    );
    let schema = |new: &mut Value, schema: Value| {
        new["spec"]["versions"][0]["schema"]["openAPIV3Schema"] = schema;
    };
    let untyped =
        "spec.validation.openAPIV3Schema.type: Required value: must not be empty at the root";
    assert_eq!(change(&|new| schema(new, json!({}))), [untyped]);

    // What was let in once stays changeable, but what is new is held to the rules.
    schema(&mut old, json!({"properties": {"spec": {}}}));
    let mut new = old.clone();
    new["metadata"]["labels"] = json!({"a": "b"});
    assert_eq!(
        told(DEFINITION.validate_changed(&new, &old).causes),
        [""; 0]
    );
    new["spec"]["names"]["shortNames"] = json!(["b"]);
    assert_eq!(
        told(DEFINITION.validate_changed(&new, &old).causes),
        [""; 0]
    );
    new["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["$ref"] = json!("x");
    assert_eq!(
        told(DEFINITION.validate_changed(&new, &old).causes),
        ["spec.validation.openAPIV3Schema.$ref: Forbidden: $ref is not supported"]
    );
}

#[test]
fn large_definitions_are_checked_in_time() {
    let leaf = json!({"type": "string", "pattern": "^[a-z]+$", "default": "a"});
    let fields: serde_json::Map<String, Value> =
        (0..200).map(|n| (format!("f{n}"), leaf.clone())).collect();
    let mut schema = json!({"type": "object", "properties": fields, "default": {}});
    // Each level with a default of its own, and all below it.
    for _ in 0..40 {
        let mut fields = fields.clone();
        fields.insert("below".to_owned(), schema);
        schema = json!({"type": "object", "properties": fields, "default": {}});
    }
    let definition = definition(json!({"type": "object", "properties": {"spec": schema}}));
    let start = std::time::Instant::now();
    assert_eq!(told(DEFINITION.validate(&definition)), [""; 0]);
    let took = start.elapsed();
    assert!(took < std::time::Duration::from_secs(20), "{took:?}");
}
