//! The rules of custom resources: what Kubernetes' validator of them says.

use hardway_cel::Validations;
use serde_json::{Value as Json, json};

/// A schema of an object with these fields, and rules of the whole.
fn schema(properties: Json, rules: Json) -> Json {
    json!({"type": "object", "properties": properties, "x-kubernetes-validations": rules})
}

fn told(causes: Vec<hardway_proto::status::Cause>) -> Vec<String> {
    let shown = |cause: hardway_proto::status::Cause| format!("{}: {}", cause.field, cause.message);
    causes.into_iter().map(shown).collect()
}

fn findings(schema: &Json, object: Json, old: Option<Json>) -> (Vec<String>, Vec<String>) {
    let findings = Validations::of_resource(schema).check(&object, old.as_ref());
    (told(findings.causes), findings.warnings)
}

fn causes(schema: &Json, object: Json, old: Option<Json>) -> Vec<String> {
    findings(schema, object, old).0
}

fn faults(schema: &Json) -> Vec<String> {
    told(Validations::faults(schema, "s"))
}

fn replicas(rules: Json) -> Json {
    let spec = json!({"type": "object", "properties": {
        "replicas": {"type": "integer"},
        "name": {"type": "string", "maxLength": 20},
    }, "x-kubernetes-validations": rules});
    schema(json!({"spec": spec}), json!([]))
}

#[test]
fn a_rule_that_does_not_hold_is_told_in_its_words() {
    let object = || json!({"spec": {"replicas": 11}});
    for (rule, expected) in [
        (
            json!({"rule": "self.replicas <= 10"}),
            r#"spec: Invalid value: "object": failed rule: self.replicas <= 10"#,
        ),
        (
            json!({"rule": "self.replicas <= 10", "message": " too many "}),
            r#"spec: Invalid value: "object": too many"#,
        ),
        (
            json!({"rule": "self.replicas <= 10", "message": "m",
                "messageExpression": "'%d is too many'.format([self.replicas])"}),
            r#"spec: Invalid value: "object": 11 is too many"#,
        ),
        (
            json!({"rule": "self.replicas <= 10", "message": "m", "messageExpression": "' '"}),
            r#"spec: Invalid value: "object": m"#,
        ),
        (
            json!({"rule": "self.replicas <= 10", "fieldPath": ".replicas"}),
            r#"spec.replicas: Invalid value: "object": failed rule: self.replicas <= 10"#,
        ),
        (
            json!({"rule": "has(self.name)", "reason": "FieldValueRequired", "fieldPath": ".name", "message": "a name is needed"}),
            "spec.name: Required value: a name is needed",
        ),
        (
            json!({"rule": "self.replicas <= 10", "reason": "FieldValueForbidden", "message": "no"}),
            "spec: Forbidden: no",
        ),
        (
            json!({"rule": "self.replicas <= 10", "reason": "FieldValueDuplicate"}),
            r#"spec: Duplicate value: "object""#,
        ),
        (
            json!({"rule": "self.replicas / 0 == 1"}),
            r#"spec: Invalid value: "object": division by zero evaluating rule: self.replicas / 0 == 1"#,
        ),
        (
            json!({"rule": "self.name == 'a'", "message": "m"}),
            r#"spec: Invalid value: "object": no such key: name evaluating rule: m"#,
        ),
    ] {
        let schema = replicas(json!([rule]));
        assert_eq!(causes(&schema, object(), None), [expected], "{rule}");
        assert_eq!(faults(&schema), [""; 0], "{rule}");
    }
    let holds = replicas(json!([{"rule": "self.replicas > 10 && !has(self.name)"}]));
    assert_eq!(causes(&holds, object(), None), [""; 0]);
}

#[test]
fn rules_stand_anywhere() {
    let rule = |text: &str| json!([{"rule": text}]);
    let properties = json!({
        "list": {"type": "array", "items": {
            "type": "integer", "x-kubernetes-validations": rule("self > 0"),
        }},
        "map": {"type": "object", "additionalProperties": {
            "type": "string", "x-kubernetes-validations": rule("self.size() > 1"),
        }},
        "a-b": {"type": "string", "nullable": true, "x-kubernetes-validations": rule("self == 'x'")},
        "port": {"x-kubernetes-int-or-string": true,
            "x-kubernetes-validations": rule("type(self) == int ? self > 0 : self != ''")},
    });
    let schema = schema(
        properties,
        rule("self.metadata.name.startsWith('x') && (!has(self.a__dash__b) || self.kind == 'K')"),
    );
    let object = json!({
        "kind": "K", "metadata": {"name": "x1", "labels": {}}, "list": [1, 0], "map": {"k": "a"},
        "a-b": "y", "port": "",
    });
    let mut found = causes(&schema, object.clone(), None);
    found.sort();
    assert_eq!(
        found,
        [
            r#"a-b: Invalid value: "string": failed rule: self == 'x'"#,
            r#"list[1]: Invalid value: "integer": failed rule: self > 0"#,
            r#"map[k]: Invalid value: "string": failed rule: self.size() > 1"#,
            r#"port: Invalid value: "": failed rule: type(self) == int ? self > 0 : self != ''"#,
        ]
    );
    let mut other = object;
    other["metadata"]["name"] = "y".into();
    other["list"] = json!([]);
    other["a-b"] = Json::Null;
    let found = causes(&schema, other, None);
    assert!(
        found[0].starts_with(r#"<nil>: Invalid value: "object": failed rule: self.meta"#),
        "{found:?}"
    );
}

#[test]
fn transitions() {
    let immutable = replicas(json!([{"rule": "self == oldSelf", "message": "immutable"}]));
    let object = |n: i64| json!({"spec": {"replicas": n}});
    assert_eq!(causes(&immutable, object(1), None), [""; 0]);
    assert_eq!(causes(&immutable, object(1), Some(object(1))), [""; 0]);
    assert_eq!(
        causes(&immutable, object(2), Some(object(1))),
        [r#"spec: Invalid value: "object": immutable"#]
    );
    let optional = replicas(json!([{
        "rule": "oldSelf.hasValue() ? oldSelf.value().replicas <= self.replicas : self.replicas == 1",
        "optionalOldSelf": true,
    }]));
    assert_eq!(causes(&optional, object(1), None), [""; 0]);
    assert_eq!(causes(&optional, object(2), None).len(), 1);
    assert_eq!(causes(&optional, object(2), Some(object(1))), [""; 0]);
    assert_eq!(causes(&optional, object(1), Some(object(2))).len(), 1);
    // Elements of a list that is a map have predecessors by their keys.
    let items = json!({"type": "object", "properties": {
        "key": {"type": "string"}, "n": {"type": "integer"},
    }, "required": ["key"], "x-kubernetes-validations": [{"rule": "self.n >= oldSelf.n"}]});
    let list = |kind: &str| {
        let mut list = json!({"type": "array", "items": items, "x-kubernetes-list-type": kind});
        if kind == "map" {
            list["x-kubernetes-list-map-keys"] = json!(["key"]);
        }
        schema(json!({"l": list}), json!([]))
    };
    let element = |key: &str, n: i64| json!({"key": key, "n": n});
    let old = json!({"l": [element("a", 1), element("b", 5)]});
    let new = json!({"l": [element("b", 4), element("a", 2), element("c", 0)]});
    assert_eq!(
        causes(&list("map"), new, Some(old)),
        [r#"l[0]: Invalid value: "object": failed rule: self.n >= oldSelf.n"#]
    );
    assert_eq!(
        faults(&list("atomic")),
        [
            r#"s.properties[l].items.x-kubernetes-validations[0].rule: Invalid value: "self.n >= oldSelf.n": oldSelf cannot be used on the uncorrelatable portion of the schema within s.properties[l]"#
        ]
    );
}

#[test]
fn what_was_wrong_before_only_warns_where_nothing_was_changed() {
    let schema = replicas(json!([{"rule": "self.replicas <= 10"}]));
    let object =
        |n: i64, label: &str| json!({"spec": {"replicas": n}, "metadata": {"name": label}});
    let (found, warnings) = findings(&schema, object(11, "new"), Some(object(11, "old")));
    assert_eq!(found, [""; 0]);
    assert_eq!(
        warnings,
        [r#"spec: Invalid value: "object": failed rule: self.replicas <= 10"#]
    );
    let (found, warnings) = findings(&schema, object(12, "new"), Some(object(11, "old")));
    assert_eq!((found.len(), warnings.len()), (1, 0));
}

#[test]
fn definitions_are_told_what_is_wrong_with_their_rules() {
    let rule = |text: &str| replicas(json!([{"rule": text}]));
    let at = "s.properties[spec].x-kubernetes-validations[0]";
    let shown = |text: &str, expression: &str| {
        format!(
            r#"apiextensions.ValidationRule{{Rule:"{text}", Message:"", MessageExpression:"{expression}", Reason:(*apiextensions.FieldValueErrorReason)(nil), FieldPath:"", OptionalOldSelf:(*bool)(nil)}}"#
        )
    };
    assert_eq!(
        faults(&rule("self.replica > 1")),
        [format!(
            "{at}.rule: Invalid value: {}: compilation failed: ERROR: <input>:1:5: undefined field 'replica'\n | self.replica > 1\n | ....^",
            shown("self.replica > 1", "")
        )]
    );
    assert_eq!(
        faults(&rule("self.replicas")),
        [format!(
            "{at}.rule: Invalid value: {}: cel expression must evaluate to a bool",
            shown("self.replicas", "")
        )]
    );
    let message = replicas(json!([{"rule": "true", "messageExpression": "1"}]));
    assert_eq!(
        faults(&message),
        [format!(
            "{at}.messageExpression: Invalid value: {}: messageExpression must evaluate to a string",
            shown("true", "1")
        )]
    );
    let optional = replicas(json!([{"rule": "true", "optionalOldSelf": true}]));
    assert_eq!(
        faults(&optional),
        [format!(
            "{at}.optionalOldSelf: Invalid value: true: may not be set if oldSelf is not used in rule"
        )]
    );
}

#[test]
fn rules_that_may_cost_too_much_are_refused() {
    let list = |most: Option<u64>, rule: &str| {
        let mut list = json!({"type": "array", "items": {"type": "integer"},
            "x-kubernetes-validations": [{"rule": rule}]});
        if let Some(most) = most {
            list["maxItems"] = most.into();
        }
        schema(json!({"l": list}), json!([]))
    };
    let nested = "self.all(a, self.all(b, a + b > 0))";
    let found = faults(&list(None, nested));
    let words = "s.properties[l].x-kubernetes-validations[0].rule: Forbidden: estimated rule cost exceeds budget by factor of more than 100x (try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, and strings are declared)";
    assert_eq!(found[0], words);
    assert_eq!(
        found[1],
        "s.properties[l].x-kubernetes-validations[0].rule: Forbidden: contributed to estimated rule & messageExpression cost total exceeding cost limit for entire OpenAPIv3 schema"
    );
    assert!(found[2].starts_with("s: Forbidden: x-kubernetes-validations estimated rule & messageExpression cost total for entire OpenAPIv3 schema exceeds budget by factor of more than 100x"), "{found:?}");
    assert_eq!(faults(&list(Some(100), nested)), [""; 0]);
}

#[test]
fn an_object_takes_no_more_than_its_budget() {
    let texts = |length: usize, count: usize| {
        let text = "x".repeat(length);
        json!({"l": vec![text; count]})
    };
    let list = json!({"type": "array", "items": {"type": "string", "x-kubernetes-validations": [
        {"rule": "self.contains(self)"}, {"rule": "self != ''"},
    ]}});
    let schema = schema(json!({"l": list}), json!([]));
    assert_eq!(causes(&schema, texts(5_000, 20), None), [""; 0]);
    // Each costs 500 times 500.
    let found = causes(&schema, texts(5_000, 50), None);
    assert_eq!(
        found,
        [
            r#"l[39]: Invalid value: "string": validation failed due to running out of cost budget, no further validation rules will be run"#
        ]
    );
    // More than one evaluation may cost.
    let found = causes(&schema, texts(20_000, 2), None);
    assert_eq!(
        found,
        [
            r#"l[0]: Invalid value: "string": 'operation cancelled: actual cost limit exceeded': no further validation rules will be run due to call cost exceeds limit for rule: self.contains(self)"#
        ]
    );
}
