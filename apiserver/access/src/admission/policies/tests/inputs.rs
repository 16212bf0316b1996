//! What expressions are told of a request, and of parameters.

use super::*;

#[test]
fn objects_are_null_where_there_are_none() {
    let ask = |expression: &str, operation, new: Option<&Value>, old: Option<&Value>| {
        let spec = json!({"validations": [{"expression": expression}]});
        let world = World::validate_with("p", spec, json!({"validationActions": ["Deny"]}));
        world.ask(operation, new, old).message().to_owned()
    };
    let (one, two) = (deployment(1), deployment(2));
    for (expression, operation, new, old) in [
        (
            "oldObject == null && object != null",
            Operation::Create,
            Some(&one),
            None,
        ),
        (
            "object == null && oldObject != null",
            Operation::Delete,
            None,
            Some(&one),
        ),
        (
            "oldObject.spec.replicas < object.spec.replicas",
            Operation::Update,
            Some(&two),
            Some(&one),
        ),
        (
            "request.operation == 'DELETE' && request.name == 'web'",
            Operation::Delete,
            None,
            Some(&one),
        ),
        (
            "request.kind == request.requestKind && request.resource.resource == 'deployments'",
            Operation::Create,
            Some(&one),
            None,
        ),
        (
            "request.userInfo.username == 'jane' && 'dev' in request.userInfo.groups",
            Operation::Create,
            Some(&one),
            None,
        ),
        (
            "!has(request.subResource) && !request.dryRun && request.namespace == 'shop'",
            Operation::Create,
            Some(&one),
            None,
        ),
        (
            "namespaceObject.metadata.labels.environment == 'test'",
            Operation::Create,
            Some(&one),
            None,
        ),
        (
            "!authorizer.group('apps').resource('deployments').namespace('shop').check('update').allowed()",
            Operation::Create,
            Some(&one),
            None,
        ),
        (
            "!authorizer.requestResource.check('custom').allowed()",
            Operation::Create,
            Some(&one),
            None,
        ),
    ] {
        assert_eq!(ask(expression, operation, new, old), "", "{expression}");
    }
}

#[test]
fn conditions_and_variables() {
    let spec = |conditions: Value| {
        json!({"failurePolicy": "Fail", "matchConditions": conditions,
            "variables": [{"name": "replicas", "expression": "object.spec.replicas"},
                {"name": "many", "expression": "variables.replicas > 5"}],
            "validations": [{"expression": "!variables.many", "message": "many"}]})
    };
    for (conditions, refused) in [
        (json!([]), "many"),
        (
            json!([{"name": "a", "expression": "request.userInfo.username == 'jane'"}]),
            "many",
        ),
        (
            json!([{"name": "a", "expression": "request.userInfo.username != 'jane'"}]),
            "",
        ),
        // One that is false decides, whatever others say.
        (
            json!([{"name": "a", "expression": "object.odd == 1"}, {"name": "b", "expression": "false"}]),
            "",
        ),
        (
            json!([{"name": "a", "expression": "object.odd == 1"}]),
            "expression 'object.odd == 1' resulted in error: no such key: odd",
        ),
    ] {
        let world = World::validate_with(
            "p",
            spec(conditions),
            json!({"validationActions": ["Deny"]}),
        );
        let told = world.create(&deployment(6));
        assert!(told.message().ends_with(refused), "{}", told.message());
        assert_eq!(told.refusal.is_none(), refused.is_empty());
    }
}

#[test]
fn parameters_by_name_and_by_label() {
    let spec = |kind: Value| {
        json!({"failurePolicy": "Fail", "paramKind": kind, "validations": [{
            "expression": "params == null || object.spec.replicas <= int(params.data.max)",
            "messageExpression": "'more than ' + params.data.max"}]})
    };
    let map = |name: &str, max: &str| json!({"metadata": {"name": name, "namespace": "shop", "labels": {"is": "limit"}}, "data": {"max": max}});
    let maps = || spec(json!({"apiVersion": "v1", "kind": "ConfigMap"}));
    let limits = || spec(json!({"apiVersion": "example.com/v1", "kind": "Limit"}));
    let unknown = || spec(json!({"apiVersion": "example.com/v1", "kind": "Odd"}));
    let binding = |reference: Value| json!({"validationActions": ["Deny"], "paramRef": reference});
    for (spec, reference, refused) in [
        (
            maps(),
            json!({"name": "three", "parameterNotFoundAction": "Deny"}),
            "more than 3",
        ),
        (
            maps(),
            json!({"name": "nine", "parameterNotFoundAction": "Deny"}),
            "",
        ),
        // Each is a parameter of its own.
        (
            maps(),
            json!({"selector": {"matchLabels": {"is": "limit"}}, "parameterNotFoundAction": "Deny"}),
            "more than 3",
        ),
        (
            maps(),
            json!({"name": "gone", "parameterNotFoundAction": "Allow"}),
            "",
        ),
        (
            maps(),
            json!({"name": "gone", "parameterNotFoundAction": "Deny"}),
            "failed to configure binding: no params found for policy binding with `Deny` parameterNotFoundAction",
        ),
        (
            maps(),
            json!({"name": "three", "namespace": "elsewhere", "parameterNotFoundAction": "Allow"}),
            "",
        ),
        (maps(), Value::Null, ""),
        (
            limits(),
            json!({"name": "four", "parameterNotFoundAction": "Deny"}),
            "more than 4",
        ),
        (
            limits(),
            json!({"name": "four", "namespace": "shop", "parameterNotFoundAction": "Deny"}),
            "failed to configure binding: paramRef.namespace must not be provided for a cluster-scoped `paramKind`",
        ),
        (
            unknown(),
            json!({"name": "a", "parameterNotFoundAction": "Allow"}),
            "ValidatingAdmissionPolicy 'p' denied request: failed to configure policy: failed to find resource referenced by paramKind: 'example.com/v1, Kind=Odd'",
        ),
    ] {
        let world = World::validate_with("p", spec, binding(reference.clone()));
        world.fake.put("", "configmaps", map("three", "3"));
        world.fake.put("", "configmaps", map("nine", "9"));
        let mut four = map("four", "4");
        four["metadata"]["namespace"] = Value::Null;
        world.fake.put("example.com", "limits", four);
        let told = world.create(&deployment(6));
        assert!(
            told.message().ends_with(refused),
            "{reference}: {}",
            told.message()
        );
        assert_eq!(told.refusal.is_none(), refused.is_empty(), "{reference}");
    }
}
