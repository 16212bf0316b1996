//! What mutating policies make of objects.

use super::{World, deployment};
use serde_json::json;

#[test]
fn mutations_change_the_object() {
    let world = World::new();
    // Of the documentation: a label on everything that has none.
    let mutation = |expression: &str| json!({"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": expression}});
    let spec = json!({"failurePolicy": "Fail", "reinvocationPolicy": "IfNeeded",
    "matchConditions": [{"name": "unset", "expression": "!has(object.metadata.labels.owner)"}],
    "variables": [{"name": "who", "expression": "request.userInfo.username"}],
    "mutations": [
        mutation("Object{metadata: Object.metadata{labels: {'owner': variables.who}}}"),
        mutation("Object{spec: Object.spec{replicas: object.spec.replicas + 1, paused: object.metadata.labels.owner == 'jane'}}"),
    ]});
    world.add("mutatingadmissionpolicies", "m", spec, json!({}));
    let mut object = deployment(1);
    let told = world.mutate(&mut object);
    assert_eq!(told.message(), "");
    assert!(told.changed);
    assert_eq!(
        object["metadata"]["labels"],
        json!({"app": "web", "owner": "jane"})
    );
    // The second mutation sees what the first one did.
    assert_eq!(object["spec"]["replicas"], 2);
    assert_eq!(object["spec"]["paused"], true);
    assert_eq!(told.seen, ["m/binding no_error", "m/binding no_error"]);
    // Its condition isn't met any more.
    let before = object.clone();
    let told = world.mutate(&mut object);
    assert!(told.seen.is_empty() && !told.changed);
    assert_eq!(object, before);
}

#[test]
fn mutations_that_fail_refuse_the_request() {
    let world = World::new();
    let spec = json!({"failurePolicy": "Fail", "reinvocationPolicy": "Never", "mutations": [
        {"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": "Object{spec: Object.spec{a: Object.spec.b{}}}"}},
        {"patchType": "JSONPatch", "jsonPatch": {"expression": "[JSONPatch{op: 'add', path: '/spec/odd', value: 1}]"}},
    ]});
    world.add("mutatingadmissionpolicies", "m", spec, json!({}));
    let mut object = deployment(1);
    let told = world.mutate(&mut object);
    let status = told.refusal.as_ref().unwrap();
    let first = r#"policy 'm' with binding 'binding' denied request: type mismatch: unexpected type name "Object.spec.b", expected "Object.spec.a", which matches field name path from root Object type"#;
    assert_eq!(status.message, first);
    assert_eq!((status.code, status.reason.as_str()), (403, "Invalid"));
    let causes = &status.details.as_ref().unwrap().causes;
    assert_eq!(causes.len(), 2);
    assert!(
        causes[1]
            .message
            .contains("denied request: JSONPath: nothing here can be patched")
    );
    assert_eq!(object, deployment(1));
    assert_eq!(
        told.seen,
        ["m/binding invalid_error", "m/binding invalid_error"]
    );
}
