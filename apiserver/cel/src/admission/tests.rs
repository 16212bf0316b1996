//! What compiles and what doesn't, and how that is told.

use super::*;

fn told(expression: &str, returns: Returns) -> String {
    match compile(expression, returns, Vocabulary::default()) {
        Ok(_) => String::new(),
        Err(error) => error.to_string(),
    }
}

/// `pkg/admission/plugin/cel/compile_test.go`, and what its words come to.
#[test]
fn expressions_give_what_they_have_to() {
    for (expression, returns, expected) in [
        ("object.foo < object.bar", Returns::Bool, ""),
        ("object.x == request.name", Returns::Bool, ""),
        (
            "true",
            Returns::Message,
            "must evaluate to string but got bool",
        ),
        (
            "request.dryRun",
            Returns::Annotation,
            "must evaluate to one of [string null_type] but got bool",
        ),
        ("null", Returns::Annotation, ""),
        (
            "object.enabled",
            Returns::Bool,
            "must evaluate to bool but got dyn",
        ),
        (
            "request.userInfo.groups",
            Returns::Bool,
            "must evaluate to bool but got list(string)",
        ),
        (
            "authorizer.group('').resource('pods').check('get').allowed()",
            Returns::Bool,
            "",
        ),
        (
            "authorizer.requestResource.check('get').allowed()",
            Returns::Bool,
            "",
        ),
    ] {
        assert_eq!(told(expression, returns), expected, "{expression}");
    }
}

#[test]
fn what_is_not_there_is_told_with_its_place() {
    for (expression, expected) in [
        (
            "params.x == 1",
            "undeclared reference to 'params' (in container '')",
        ),
        ("request.odd == 1", "undefined field 'odd'"),
        ("namespaceObject.metadata.labels == {}", ""),
        (
            "namespaceObject.metadata.managedFields == []",
            "undefined field 'managedFields'",
        ),
        ("request.object == 1", "undefined field 'object'"),
        (
            "request.name == 1",
            "found no matching overload for '_==_' applied to '(string, int)'",
        ),
        (
            "Object{} == Object{}",
            "undeclared reference to 'Object' (in container '')",
        ),
    ] {
        let told = told(expression, Returns::Bool);
        match expected {
            "" => assert_eq!(told, "", "{expression}"),
            _ => {
                assert!(
                    told.starts_with("compilation failed: ERROR: <input>:1:"),
                    "{told}"
                );
                assert!(told.contains(expected), "{told}");
            }
        }
    }
}

#[test]
fn variables_are_known_to_what_comes_after_them() {
    let mut composition = Composition::new(Vocabulary::default());
    assert!(composition.define("a", "variables.b").is_err());
    assert!(composition.define("b", "'text'").is_ok());
    assert!(composition.define("c", "[variables.b]").is_ok());
    let told = |expression: &str, returns| match composition.compile(expression, returns) {
        Ok(_) => String::new(),
        Err(error) => error.to_string(),
    };
    assert_eq!(
        told("variables.c.exists(x, x == variables.b)", Returns::Bool),
        ""
    );
    // What couldn't be compiled may be anything.
    assert_eq!(told("variables.a == 1", Returns::Bool), "");
    assert!(told("variables.b == 1", Returns::Bool).contains("no matching overload"));
    assert!(told("variables.d == 1", Returns::Bool).contains("undefined field 'd'"));
    // Messages can't ask the authorizer.
    let asks = "authorizer.path('/x').check('get').allowed() ? 'a' : 'b'";
    assert!(told(asks, Returns::Message).contains("undeclared reference to 'authorizer'"));
    assert_eq!(told(asks, Returns::Annotation), "");
}

#[test]
fn patches_are_made_of_objects() {
    let composition = Composition::new(Vocabulary::default());
    for (expression, returns, expected) in [
        (
            "Object{spec: Object.spec{replicas: 3}}",
            Returns::ApplyConfiguration,
            "",
        ),
        (
            "Object{spec: Object.spec{?x: object.spec.?x}}",
            Returns::ApplyConfiguration,
            "",
        ),
        (
            "Object.spec{}",
            Returns::ApplyConfiguration,
            "must evaluate to Object but got Object.spec",
        ),
        (
            "1",
            Returns::ApplyConfiguration,
            "must evaluate to Object but got int",
        ),
        (
            "[JSONPatch{op: 'add', path: '/a/' + jsonpatch.escapeKey('b/c'), value: {'d': 'e'}}]",
            Returns::JsonPatch,
            "",
        ),
        (
            "[JSONPatch{op: 'add', path: '/spec', value: Object.spec{a: 1}}]",
            Returns::JsonPatch,
            "",
        ),
        (
            "[1]",
            Returns::JsonPatch,
            "must evaluate to list(JSONPatch) but got list(int)",
        ),
    ] {
        let told = match composition.compile(expression, returns) {
            Ok(_) => String::new(),
            Err(error) => error.to_string(),
        };
        assert_eq!(told, expected, "{expression}");
    }
    let odd = composition.compile("[JSONPatch{op: 1}]", Returns::JsonPatch);
    let odd = odd.err().map(|error| error.to_string()).unwrap_or_default();
    assert!(
        odd.contains("expected type of field 'op' is 'string' but provided type is 'int'"),
        "{odd}"
    );
}
