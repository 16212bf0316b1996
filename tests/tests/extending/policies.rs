//! Admission policies.

use hardway_tests::defer;
use hardway_tests::kubectl::Kubectl;
use serde_json::json;

use crate::hooks::{Hooks, config_map};

/// A policy, its binding and its parameter hold for the very next request, and so does a change
/// of the parameter.
pub fn in_force_at_once(hooks: &Hooks) {
    let (namespace, policy) = (&hooks.namespace, hooks.unique("entries"));
    let _gone = defer(|| {
        let kinds = "validatingadmissionpolicybinding,validatingadmissionpolicy";
        let line = format!("delete {kinds} {policy} --ignore-not-found");
        drop(Kubectl::stock().try_run(&line));
    });
    let api_version = "admissionregistration.k8s.io/v1";
    let mut big = config_map("big", "none");
    big["data"] = json!({"a": "1", "b": "2"});
    let list = json!({"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "limits"},
            "data": {"max": "1"}},
        {"apiVersion": api_version, "kind": "ValidatingAdmissionPolicy",
            "metadata": {"name": policy},
            "spec": {"paramKind": {"apiVersion": "v1", "kind": "ConfigMap"},
                "matchConstraints": {"resourceRules": [{"operations": ["CREATE"],
                    "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"]}]},
                "variables": [{"name": "max", "expression": "int(params.data.max)"}],
                "validations": [{
                    "expression": "!has(object.data) || object.data.size() <= variables.max",
                    "messageExpression": "'at most ' + string(variables.max) + ' entries'"}]}},
        {"apiVersion": api_version, "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": {"name": policy},
            "spec": {"policyName": policy, "validationActions": ["Deny"],
                "paramRef": {"name": "limits", "parameterNotFoundAction": "Deny"},
                "matchResources": {"namespaceSelector": hooks.namespace_selector()}}},
        big,
    ]});
    // kubectl creates them one after the other.
    let refused = namespace.refused("create -f -", &list.to_string());
    let why = format!(
        "ValidatingAdmissionPolicy '{policy}' with binding '{policy}' denied request: \
         at most 1 entries"
    );
    assert!(refused.contains(&why), "{refused}");
    let patch = r#"patch configmap limits --type=merge -p '{"data": {"max": "2"}}'"#;
    namespace.run(patch);
    namespace.create(&big);
}
