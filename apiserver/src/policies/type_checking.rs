//! Whether a policy's expressions fit the kinds that its rules name. What doesn't is told in
//! its status, and changes nothing in what it does
//! (`pkg/admission/plugin/policy/validating/typechecking.go` of `k8s.io/apiserver`).

use super::types;
use hardway_cel::Type;
use hardway_cel::admission::{CompileError, Composition, Returns, Vocabulary};
use hardway_resources::registry::Snapshot;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// How many kinds a policy is checked against.
const MOST: usize = 10;

/// Group, version and kind.
type Kind = (String, String, String);

/// What is told of the expressions of a policy; empty if they fit.
pub fn check(policy: &Value, table: &Snapshot) -> Vec<Value> {
    let spec = &policy["spec"];
    let params = params(spec, table);
    let contexts: Vec<(String, Composition)> = kinds(spec, table)
        .into_iter()
        .filter_map(|(group, version, kind)| {
            let object = declared(table, &group, &version, &kind)?;
            let shown = format!("{group}/{version}, Kind={kind}");
            Some((shown, context(spec, object, params.clone())))
        })
        .collect();
    let mut warnings = Vec::new();
    let validations = spec["validations"].as_array().into_iter().flatten();
    for (i, validation) in validations.enumerate() {
        for field in ["expression", "messageExpression"] {
            let expression = validation[field].as_str().unwrap_or_default();
            if expression.is_empty() {
                continue;
            }
            let told = told(expression, &contexts);
            if !told.is_empty() {
                warnings.push(json!({
                    "fieldRef": format!("spec.validations[{i}].{field}"),
                    "warning": told,
                }));
            }
        }
    }
    warnings
}

/// What expressions may speak of where objects are of one kind.
fn context(spec: &Value, object: Type, params: Option<Type>) -> Composition {
    let vocabulary = Vocabulary {
        params: params.is_some(),
        ..Vocabulary::default()
    };
    let params = params.unwrap_or(Type::Dyn);
    let mut composition = Composition::typed(vocabulary, object, params);
    for variable in spec["variables"].as_array().into_iter().flatten() {
        let text = |field: &str| variable[field].as_str().unwrap_or_default();
        // What is wrong with it is told where it was written.
        let _ = composition.define(text("name"), text("expression"));
    }
    composition
}

/// A paragraph for each kind that an expression doesn't fit.
fn told(expression: &str, contexts: &[(String, Composition)]) -> String {
    let mut paragraphs = Vec::new();
    for (kind, composition) in contexts {
        if let Err(CompileError::Issues(issues)) = composition.compile(expression, Returns::Any) {
            let issues: Vec<String> = issues.iter().map(ToString::to_string).collect();
            paragraphs.push(format!("{kind}: {}\n", issues.join("\n")));
        }
    }
    paragraphs.join("\n")
}

fn declared(table: &Snapshot, group: &str, version: &str, kind: &str) -> Option<Type> {
    let row = table.lookup_kind(group, version, kind)?;
    Some(types::of_schema(kind, &row.version(version)?.schema))
}

/// The type of the parameters; of a kind that there isn't, none.
fn params(spec: &Value, table: &Snapshot) -> Option<Type> {
    let text = |field: &str| spec["paramKind"][field].as_str().unwrap_or_default();
    let version = text("apiVersion");
    let (group, version) = version.split_once('/').unwrap_or(("", version));
    declared(table, group, version, text("kind"))
}

/// The kinds that the rules name, without wildcards and subresources.
fn kinds(spec: &Value, table: &Snapshot) -> BTreeSet<Kind> {
    let mut found = BTreeSet::new();
    let rules = spec["matchConstraints"]["resourceRules"].as_array();
    for rule in rules.into_iter().flatten() {
        let named = |field: &str| -> Vec<&str> {
            let list = rule[field].as_array().into_iter().flatten();
            let mut names: Vec<&str> = list.filter_map(Value::as_str).collect();
            names.sort_unstable();
            names
        };
        let (groups, versions) = (named("apiGroups"), named("apiVersions"));
        if groups
            .iter()
            .chain(&versions)
            .any(|name| name.contains('*'))
        {
            continue;
        }
        let resources = named("resources");
        let resources = || resources.iter().filter(|name| !name.contains(['*', '/']));
        let mut count = 0;
        for group in &groups {
            for version in &versions {
                for resource in resources() {
                    let Some(row) = table.lookup(group, version, resource) else {
                        continue;
                    };
                    found.insert((group.to_string(), version.to_string(), row.kind.clone()));
                    count += 1;
                    if count == MOST {
                        return found;
                    }
                }
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use hardway_resources::Registry;

    fn policy(expression: &str, resources: &[&str]) -> Value {
        json!({"spec": {
            "matchConstraints": {"resourceRules": [{"operations": ["CREATE"], "apiGroups": ["apps"],
                "apiVersions": ["v1"], "resources": resources}]},
            "variables": [{"name": "replicas", "expression": "object.spec.replicas"}],
            "validations": [{"expression": expression}],
        }})
    }

    /// The page "Validating Admission Policy" of Kubernetes' documentation, type checking.
    #[test]
    fn what_a_kind_has_not_is_told() {
        let table = Registry::new().snapshot();
        let told = check(&policy("object.replicas > 1", &["deployments"]), &table);
        assert_eq!(
            told,
            [json!({
                "fieldRef": "spec.validations[0].expression",
                "warning": "apps/v1, Kind=Deployment: ERROR: <input>:1:7: undefined field 'replicas'\n | object.replicas > 1\n | ......^\n",
            })]
        );
        let told = check(
            &policy("object.replicas > 1", &["deployments", "replicasets"]),
            &table,
        );
        let told = told[0]["warning"].as_str().unwrap_or_default();
        assert!(told.contains("Kind=Deployment") && told.contains("\n\napps/v1, Kind=ReplicaSet"));
    }

    #[test]
    fn what_fits_is_not() {
        let table = Registry::new().snapshot();
        for (expression, fits) in [
            ("object.spec.replicas > 1", true),
            ("variables.replicas > 1", true),
            (
                "object.spec.template.spec.containers.all(c, c.image.startsWith('a'))",
                true,
            ),
            ("object.metadata.labels['a'] == 'b'", true),
            ("object.spec.strategy.rollingUpdate.maxSurge == '25%'", true),
            (
                "object.metadata.creationTimestamp < timestamp('2000-01-01T00:00:00Z')",
                true,
            ),
            ("object.spec.replicas == 'a'", false),
            ("variables.replicas == 'a'", false),
            ("object.spec.template.spec.containers.all(c, c.odd)", false),
        ] {
            let told = check(&policy(expression, &["deployments"]), &table);
            assert_eq!(told.is_empty(), fits, "{expression}: {told:?}");
        }
        // Nothing is known of what wildcards stand for.
        assert!(check(&policy("object.odd", &["*"]), &table).is_empty());
    }
}
