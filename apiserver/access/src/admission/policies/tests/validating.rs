//! What validating policies make of requests.

use super::super::super::review::Operation;
use super::{World, deployment, replica_limit};
use serde_json::{Value, json};

#[test]
fn a_validation_that_fails_refuses_the_request() {
    let policy = "demo-policy.example.com";
    let world = World::validate_with(
        policy,
        replica_limit(),
        json!({"validationActions": ["Deny"]}),
    );
    assert!(world.create(&deployment(5)).refusal.is_none());
    let told = world.create(&deployment(6));
    let status = told.refusal.as_ref().unwrap();
    assert_eq!(
        status.message,
        "deployments.apps \"web\" is forbidden: ValidatingAdmissionPolicy 'demo-policy.example.com' with binding 'binding' denied request: failed expression: object.spec.replicas <= 5"
    );
    assert_eq!((status.code, status.reason.as_str()), (422, "Invalid"));
    let causes = &status.details.as_ref().unwrap().causes;
    assert_eq!(causes.len(), 1);
    assert!(
        causes[0]
            .message
            .starts_with("ValidatingAdmissionPolicy 'demo-policy.example.com'")
    );
    assert_eq!(told.seen, ["demo-policy.example.com/binding no_error deny"]);
    let told = world.ask(
        Operation::Update,
        Some(&deployment(5)),
        Some(&deployment(6)),
    );
    assert!(told.refusal.is_none());
}

#[test]
fn messages_and_reasons() {
    for (validation, message, code, reason) in [
        (json!({"message": " no "}), "no", 422, "Invalid"),
        (
            json!({"message": "no", "reason": "Forbidden"}),
            "no",
            403,
            "Forbidden",
        ),
        (
            json!({"reason": "RequestEntityTooLarge"}),
            "failed expression: object.spec.replicas <= 5",
            413,
            "RequestEntityTooLarge",
        ),
        (
            json!({"message": "no", "messageExpression": "'object has ' + string(object.spec.replicas)"}),
            "object has 6",
            422,
            "Invalid",
        ),
        // What fails, is empty or has several lines is no message.
        (
            json!({"message": "no", "messageExpression": "object.spec.odd"}),
            "no",
            422,
            "Invalid",
        ),
        (
            json!({"message": "no", "messageExpression": "' '"}),
            "no",
            422,
            "Invalid",
        ),
        (
            json!({"messageExpression": "'a\\nb'"}),
            "failed expression: object.spec.replicas <= 5",
            422,
            "Invalid",
        ),
    ] {
        let mut spec = replica_limit();
        for (field, value) in validation.as_object().unwrap() {
            spec["validations"][0][field] = value.clone();
        }
        let world = World::validate_with("p", spec, json!({"validationActions": ["Deny"]}));
        let told = world.create(&deployment(6));
        let status = told.refusal.as_ref().unwrap();
        let expected = format!(
            "ValidatingAdmissionPolicy 'p' with binding 'binding' denied request: {message}"
        );
        assert!(
            status.message.ends_with(&expected),
            "{validation}: {}",
            status.message
        );
        assert_eq!((status.code, status.reason.as_str()), (code, reason));
    }
}

#[test]
fn actions_warn_and_note() {
    let binding = json!({"validationActions": ["Warn", "Audit"]});
    let mut spec = replica_limit();
    spec["validations"] = json!([{"expression": "true"}, {"expression": "object.spec.replicas < 5", "message": "<5"}]);
    let told = World::validate_with("p", spec, binding).create(&deployment(6));
    assert!(told.refusal.is_none());
    assert_eq!(
        told.warnings,
        ["Validation failed for ValidatingAdmissionPolicy 'p' with binding 'binding': <5"]
    );
    assert_eq!(
        told.annotations,
        [(
            "validation.policy.admission.k8s.io/validation_failure".to_owned(),
            r#"[{"message":"\u003c5","policy":"p","binding":"binding","expressionIndex":1,"validationActions":["Warn","Audit"]}]"#.to_owned()
        )]
    );
    assert_eq!(
        told.seen,
        ["p/binding no_error warn", "p/binding no_error audit"]
    );
}

#[test]
fn errors_follow_the_failure_policy() {
    let errors = [
        (
            "object.spec.odd == 1",
            "expression 'object.spec.odd == 1' resulted in error: no such key: odd",
            "invalid_error",
        ),
        (
            "object.spec.replicas / 0 == 1",
            "expression 'object.spec.replicas / 0 == 1' resulted in error: division by zero",
            "invalid_error",
        ),
        (
            "variables.odd == 1",
            "expression 'variables.odd == 1' resulted in error: composited variable \"odd\" fails to evaluate: no such key: odd",
            "invalid_error",
        ),
        (
            "params.odd == 1",
            "compilation error: compilation failed: ERROR: <input>:1:1: undeclared reference to 'params' (in container '')\n | params.odd == 1\n | ^",
            "compile_error",
        ),
    ];
    for (expression, message, kind) in errors {
        for policy in ["Fail", "Ignore"] {
            let spec = json!({"failurePolicy": policy, "validations": [{"expression": expression}],
                "variables": [{"name": "odd", "expression": "object.spec.odd"}]});
            let told = World::validate_with("p", spec, json!({"validationActions": ["Deny"]}))
                .create(&deployment(1));
            let expected = match policy {
                "Fail" => format!(
                    "deployments.apps \"web\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'binding' denied request: {message}"
                ),
                _ => String::new(),
            };
            assert_eq!(told.message(), expected);
            let done = if policy == "Fail" { "deny" } else { "allow" };
            assert_eq!(told.seen, [format!("p/binding {kind} {done}")]);
        }
    }
}

#[test]
fn audit_annotations_are_noted() {
    let spec = |value: &str| json!({"failurePolicy": "Fail", "auditAnnotations": [{"key": "high-replica-count", "valueExpression": value}]});
    for (value, noted, refused) in [
        ("'has ' + string(object.spec.replicas)", Some("has 6"), ""),
        ("'  '", None, ""),
        ("null", None, ""),
        ("string(object.spec.odd)", None, "no such key: odd"),
    ] {
        let world = World::validate_with("p", spec(value), json!({"validationActions": ["Warn"]}));
        let told = world.create(&deployment(6));
        let expected: Vec<(String, String)> = noted
            .map(|noted| ("p/high-replica-count".to_owned(), noted.to_owned()))
            .into_iter()
            .collect();
        assert_eq!(told.annotations, expected, "{value}");
        assert_eq!(
            told.refusal.is_none(),
            refused.is_empty(),
            "{}",
            told.message()
        );
        assert!(told.message().ends_with(refused), "{}", told.message());
    }
}

#[test]
fn costs_are_bounded() {
    let costly = "[1,2,3,4,5,6,7,8,9].all(a, [1,2,3,4,5,6,7,8,9].all(b, [1,2,3,4,5,6,7,8,9].all(c, [1,2,3,4,5,6,7,8,9].all(d, [1,2,3,4,5,6,7,8,9].all(e, [1,2,3,4,5,6,7,8,9].all(f, a + b + c + d + e + f > 0))))))";
    let spec = json!({"failurePolicy": "Fail", "validations": [{"expression": costly}]});
    let world = World::validate_with("p", spec, json!({"validationActions": ["Deny"]}));
    let told = world.create(&deployment(1));
    let message = told.message();
    assert!(
        message.ends_with("operation cancelled: actual cost limit exceeded"),
        "{message}"
    );
    // Each costs less than one may, all of them more than a policy may.
    let check = "authorizer.path('/a').check('get').allowed() || authorizer.path('/b').check('get').allowed() || true";
    let validations: Vec<Value> = (0..20).map(|_| json!({"expression": check})).collect();
    let spec = json!({"failurePolicy": "Fail", "validations": validations});
    let world = World::validate_with("p", spec, json!({"validationActions": ["Deny"]}));
    let told = world.create(&deployment(1));
    let message = told.message();
    assert!(message.ends_with("validation failed due to running out of cost budget, no further validation rules will be run"), "{message}");
    assert_eq!(told.seen, ["p/binding out_of_budget deny"]);
}

#[test]
fn a_policy_holds_in_the_next_request() {
    let world = World::new();
    for round in 0..100 {
        let most = round % 7;
        let spec = json!({"failurePolicy": "Fail", "validations": [{"expression": format!("object.spec.replicas <= {most}")}]});
        let binding = json!({"validationActions": ["Deny"]});
        world.add("validatingadmissionpolicies", "p", spec, binding);
        assert!(world.create(&deployment(most)).refusal.is_none());
        assert!(world.create(&deployment(most + 1)).refusal.is_some());
    }
}
