//! Cases of Kubernetes' `predicates/rules/rules_test.go`, `webhook/generic/webhook_test.go` and
//! `policy/matching/matching_test.go`.

use super::super::testing::{Kept, review};
use super::*;
use crate::User;
use crate::admission::{GroupVersionKind, Versions};
use crate::objects::fake::Fake;
use futures_util::future::BoxFuture;
use serde_json::json;

/// A resource that other groups and versions serve, too.
struct AlsoIn(&'static [(&'static str, &'static str)]);

impl Versions for AlsoIn {
    fn others(&self) -> Vec<ResourceKind> {
        let of = |(group, version): &(&str, &str)| ResourceKind {
            group: (*group).into(),
            version: (*version).into(),
            resource: "deployments".into(),
            kind: GroupVersionKind {
                group: (*group).into(),
                version: (*version).into(),
                kind: "Deployment".into(),
            },
        };
        self.0.iter().map(of).collect()
    }
    fn show<'a>(
        &'a self,
        kept: &'a Value,
        to: &'a ResourceKind,
    ) -> BoxFuture<'a, Result<Value, Status>> {
        Kept.show(kept, to)
    }
    fn patch(&self, shown: &Value, operations: &[u8]) -> Result<Value, String> {
        Kept.patch(shown, operations)
    }
    fn take<'a>(
        &'a self,
        shown: Value,
        from: &'a ResourceKind,
        kept: &'a mut Value,
    ) -> BoxFuture<'a, Result<(), Status>> {
        Kept.take(shown, from, kept)
    }
}

fn rule(operation: &str, group: &str, version: &str, resource: &str, scope: &str) -> Value {
    json!({"operations": [operation], "apiGroups": [group], "apiVersions": [version],
        "resources": [resource], "scope": scope})
}

fn is_matched(rules: Value, asked: &Review<'_>, new: &Value) -> bool {
    let webhook = MatchResources::of_webhook(&json!({"rules": rules})).unwrap();
    let found = webhook.matches(asked, &Fake::default(), Some(new), None);
    found.unwrap().is_some()
}

#[test]
fn rules_name_operations_groups_versions_and_resources() {
    let user = User::new("jane", ["dev"]);
    let plain = review(&user, Operation::Create, "g", "r", "", "name");
    let sub = review(&user, Operation::Create, "g", "r/sub", "", "name");
    let plain = |rule| is_matched(json!([rule]), &plain, &json!({}));
    let sub = |rule| is_matched(json!([rule]), &sub, &json!({}));
    for (wanted, rule) in [
        (true, rule("*", "*", "*", "*", "*")),
        (true, rule("CREATE", "g", "v1", "r", "*")),
        (false, rule("UPDATE", "*", "*", "*", "*")),
        (false, rule("*", "h", "*", "*", "*")),
        (false, rule("*", "*", "v2", "*", "*")),
        (false, rule("*", "*", "*", "s", "*")),
        (false, rule("*", "*", "*", "r/sub", "*")),
        (true, rule("*", "*", "*", "r/*", "*")),
    ] {
        assert_eq!(plain(rule.clone()), wanted, "{rule}");
    }
    for (resource, wanted) in [
        ("r/sub", true),
        ("r/*", true),
        ("*/*", true),
        ("*/sub", true),
        ("*", false),
        ("r", false),
        ("r/other", false),
        ("s/sub", false),
    ] {
        let rule = rule("*", "*", "*", resource, "*");
        assert_eq!(sub(rule.clone()), wanted, "{rule}");
    }
}

#[test]
fn a_namespace_is_of_the_cluster() {
    let user = User::new("jane", ["dev"]);
    for (resource, namespace, cluster, namespaced) in [
        ("nodes", "", true, false),
        ("pods", "shop", false, true),
        ("namespaces", "", true, false),
        ("namespaces", "shop", true, false),
    ] {
        let asked = review(&user, Operation::Create, "", resource, namespace, "x");
        for (scope, wanted) in [
            ("Cluster", cluster),
            ("Namespaced", namespaced),
            ("*", true),
        ] {
            let rule = json!([rule("*", "*", "*", "*", scope)]);
            let found = is_matched(rule, &asked, &json!({}));
            assert_eq!(found, wanted, "{resource} {namespace:?} {scope}");
        }
    }
}

#[test]
fn other_versions_count_where_equivalent() {
    let user = User::new("jane", ["dev"]);
    let mut asked = review(&user, Operation::Create, "apps", "deployments", "", "web");
    asked.versions = &AlsoIn(&[("extensions", "v1beta1"), ("apps", "v1beta1")]);
    let found = |policy: &str, rules: Value| {
        let webhook = json!({"matchPolicy": policy, "rules": rules});
        let webhook = MatchResources::of_webhook(&webhook).unwrap();
        let found = webhook.matches(&asked, &Fake::default(), Some(&json!({})), None);
        let found = found.unwrap();
        let found = found.map(|at| format!("{}/{}", at.group, at.version));
        let index = Index::of([&webhook]);
        assert!(
            found.is_none() || index.candidates(&asked) == [0],
            "{webhook:?}"
        );
        found
    };
    let old = rule("*", "extensions", "v1beta1", "deployments", "*");
    let older = rule("*", "apps", "v1beta1", "deployments", "*");
    let own = rule("*", "apps", "v1", "deployments", "*");
    let any = rule("*", "*", "*", "deployments", "*");
    let is = |text: &str| Some(text.to_owned());
    assert_eq!(found("Exact", json!([old])), None);
    assert_eq!(found("Equivalent", json!([old])), is("extensions/v1beta1"));
    // The version asked for is preferred, else the first rule.
    assert_eq!(found("Equivalent", json!([old, own])), is("apps/v1"));
    assert_eq!(found("Equivalent", json!([older, old])), is("apps/v1beta1"));
    assert_eq!(found("Equivalent", json!([any])), is("apps/v1"));
    let other = rule("UPDATE", "extensions", "v1beta1", "deployments", "*");
    assert_eq!(found("Equivalent", json!([other])), None);
}

#[test]
fn labels_of_either_object_select() {
    let user = User::new("jane", ["dev"]);
    let asked = review(&user, Operation::Update, "", "pods", "shop", "a");
    let selector = json!({"matchLabels": {"a": "b"}});
    let webhook = json!({"rules": [rule("*", "*", "*", "*", "*")], "objectSelector": selector});
    let webhook = MatchResources::of_webhook(&webhook).unwrap();
    let (with, without) = (
        json!({"metadata": {"labels": {"a": "b"}}}),
        json!({"metadata": {}}),
    );
    let options = json!({"kind": "PodExecOptions"});
    for (new, old, wanted) in [
        (Some(&with), None, true),
        (Some(&without), Some(&with), true),
        (Some(&without), Some(&without), false),
        (None, Some(&with), true),
        (Some(&options), None, false),
        (None, None, false),
    ] {
        let found = webhook.matches(&asked, &Fake::default(), new, old).unwrap();
        assert_eq!(found.is_some(), wanted, "{new:?} {old:?}");
    }
}

#[test]
fn labels_of_the_namespace_select() {
    let user = User::new("jane", ["dev"]);
    let objects = Fake::default();
    let labels = |value: &str| json!({"metadata": {"name": "shop", "labels": {"env": value}}});
    objects.put("", "namespaces", labels("prod"));
    let selector = json!({"matchExpressions":
        [{"key": "env", "operator": "In", "values": ["prod"]}]});
    let webhook = json!({"rules": [rule("*", "*", "*", "*", "*")], "namespaceSelector": selector});
    let webhook = MatchResources::of_webhook(&webhook).unwrap();
    let found = |operation, resource, namespace, new: Option<&Value>| {
        let asked = review(&user, operation, "", resource, namespace, "shop");
        let found = webhook.matches(&asked, &objects, new, None);
        found.map(|found| found.is_some())
    };
    use Operation::{Create, Delete, Update};
    let pod = json!({"metadata": {}});
    assert_eq!(found(Create, "pods", "shop", Some(&pod)), Ok(true));
    assert_eq!(
        found(Create, "nodes", "", Some(&pod)),
        Ok(true),
        "never exempted"
    );
    // A Namespace that is written counts as it is written, one that goes as it is.
    assert_eq!(
        found(Create, "namespaces", "", Some(&labels("test"))),
        Ok(false)
    );
    assert_eq!(
        found(Update, "namespaces", "", Some(&labels("prod"))),
        Ok(true)
    );
    assert_eq!(found(Delete, "namespaces", "", None), Ok(true));
    assert_eq!(
        found(Create, "pods", "nowhere", Some(&pod))
            .unwrap_err()
            .message,
        r#"namespaces "nowhere" not found"#
    );
    // Who isn't concerned by the rules isn't told either.
    let other =
        json!({"rules": [rule("*", "*", "*", "nodes", "*")], "namespaceSelector": selector});
    let other = MatchResources::of_webhook(&other).unwrap();
    let asked = review(&user, Create, "", "pods", "nowhere", "x");
    assert_eq!(other.matches(&asked, &objects, Some(&pod), None), Ok(None));
}

#[test]
fn policies_exclude_and_name() {
    let user = User::new("jane", ["dev"]);
    let matches = |constraints: Value, name: &str| {
        let asked = review(&user, Operation::Create, "", "pods", "shop", name);
        let constraints = MatchResources::of_policy(&constraints).unwrap();
        let found = constraints.matches(&asked, &Fake::default(), Some(&json!({})), None);
        found.unwrap().is_some()
    };
    let all = rule("*", "*", "*", "*", "*");
    let mut named = all.clone();
    named["resourceNames"] = json!(["a"]);
    assert!(matches(json!({}), "x"), "a binding that says nothing");
    assert!(matches(json!({"resourceRules": [named]}), "a"));
    assert!(!matches(json!({"resourceRules": [named]}), "b"));
    let but = json!({"resourceRules": [all], "excludeResourceRules": [named]});
    assert!(!matches(but.clone(), "a"));
    assert!(matches(but, "b"));
}

#[test]
fn the_index_finds_who_may_be_concerned() {
    let user = User::new("jane", ["dev"]);
    let webhooks: Vec<MatchResources> = ["*", "pods", "pods/status", "*/*", "nodes"]
        .iter()
        .flat_map(|resource| [("", *resource), ("*", resource), ("apps", resource)])
        .map(|(group, resource)| json!({"rules": [rule("*", group, "*", resource, "*")]}))
        .map(|webhook| MatchResources::of_webhook(&webhook).unwrap())
        .collect();
    let index = Index::of(&webhooks);
    let asked = review(&user, Operation::Create, "", "pods", "shop", "a");
    assert_eq!(index.candidates(&asked), [0, 1, 3, 4, 6, 7, 9, 10]);
    let asked = review(&user, Operation::Create, "batch", "jobs", "shop", "a");
    assert_eq!(index.candidates(&asked), [1, 10]);
}

#[test]
fn what_configures_them_is_never_judged() {
    let user = User::new("jane", ["dev"]);
    let mut asked = review(&user, Operation::Create, REGISTRATION_GROUP, "x", "", "a");
    assert!(!is_exempt(&asked));
    for kind in EXEMPT {
        asked.requested.kind = GroupVersionKind {
            group: REGISTRATION_GROUP.into(),
            version: "v1".into(),
            kind: kind.into(),
        };
        assert!(is_exempt(&asked), "{kind}");
        assert!(is_exempt_from_policies(&asked), "{kind}");
    }
}

/// By `pkg/kubeapiserver/admission/exclusion` of Kubernetes.
#[test]
fn no_policy_judges_what_servers_ask_of_users() {
    let user = User::new("jane", ["dev"]);
    for (group, resource, wanted) in [
        ("authentication.k8s.io", "tokenreviews", true),
        ("authentication.k8s.io", "selfsubjectreviews", true),
        ("authorization.k8s.io", "subjectaccessreviews", true),
        ("authorization.k8s.io", "localsubjectaccessreviews", true),
        ("authorization.k8s.io", "selfsubjectaccessreviews", true),
        ("authorization.k8s.io", "selfsubjectrulesreviews", true),
        ("example.com", "tokenreviews", false),
    ] {
        let asked = review(&user, Operation::Create, group, resource, "", "a");
        assert_eq!(is_exempt_from_policies(&asked), wanted, "{resource}");
        assert!(!is_exempt(&asked), "webhooks see {resource}");
    }
}

/// An eviction whose body is `{}` is one without labels, not one that nobody guards.
#[test]
fn what_has_no_labels_is_selected_by_their_absence() {
    let user = User::new("jane", ["dev"]);
    let rule = rule("*", "*", "*", "*/*", "*");
    let selector = json!({"matchExpressions": [{"key": "skip", "operator": "DoesNotExist"}]});
    let webhook = json!({"rules": [rule], "objectSelector": selector});
    let webhook = MatchResources::of_webhook(&webhook).unwrap();
    for (operation, wanted) in [(Operation::Create, true), (Operation::Connect, false)] {
        let asked = review(&user, operation, "", "pods/eviction", "", "a");
        let found = webhook.matches(&asked, &Fake::default(), Some(&json!({})), None);
        assert_eq!(found.unwrap().is_some(), wanted, "{operation:?}");
    }
}
