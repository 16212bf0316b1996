//! The flow schemas and priority levels that every cluster has: those of
//! Kubernetes 1.33 (`k8s.io/apiserver/pkg/apis/flowcontrol/bootstrap`), and one
//! of hardway's own for its agents on nodes.

use hardway_resources::rules::flow_control::{CATCH_ALL, EXEMPT, mandatory};
use serde_json::{Value, json};

/// API group of both kinds.
pub const GROUP: &str = "flowcontrol.apiserver.k8s.io";
/// The kinds.
pub const SCHEMA: &str = "FlowSchema";
/// The kinds.
pub const LEVEL: &str = "PriorityLevelConfiguration";
/// Levels whose requests are those of leaders, schedulers, controllers and kube-system: a
/// rollout of thousands of pods is many requests at a time, and no flood.
pub const CONTROL_PLANE: [&str; 2] = ["leader-election", "workload-high"];
/// Says whether the apiserver keeps a spec up.
pub const AUTOUPDATE: &str = "apf.kubernetes.io/autoupdate-spec";

/// An object to be kept up.
pub struct Default {
    /// It.
    pub object: Value,
    /// Whether it is kept as it is, whatever its owner says.
    pub mandatory: bool,
}

/// All of them; levels come before the schemas that refer to them.
pub fn all() -> Vec<Default> {
    let fixed = |kind: &str| {
        [EXEMPT, CATCH_ALL].map(|name| Default {
            object: object(kind, name, mandatory(kind, name).unwrap_or_default()),
            mandatory: true,
        })
    };
    let suggested = |object| Default {
        object,
        mandatory: false,
    };
    let mut all: Vec<Default> = Vec::new();
    all.extend(fixed(LEVEL));
    all.extend(levels().into_iter().map(suggested));
    all.extend(fixed(SCHEMA));
    all.extend(schemas().into_iter().map(suggested));
    all
}

fn object(kind: &str, name: &str, spec: Value) -> Value {
    json!({
        "apiVersion": "flowcontrol.apiserver.k8s.io/v1", "kind": kind,
        "metadata": {"name": name, "annotations": {AUTOUPDATE: "true"}},
        "spec": spec,
    })
}

fn levels() -> Vec<Value> {
    // Shares, percentage that may be lent, queues, hand.
    [
        ("node-high", 40, 25, 64, 6),
        ("system", 30, 33, 64, 6),
        ("leader-election", 10, 0, 16, 4),
        ("workload-high", 40, 50, 128, 6),
        ("workload-low", 100, 90, 128, 6),
        ("global-default", 20, 50, 128, 6),
    ]
    .map(|(name, shares, lendable, queues, hand)| {
        let spec = json!({"type": "Limited", "limited": {
            "nominalConcurrencyShares": shares,
            "lendablePercent": lendable,
            "limitResponse": {"type": "Queue", "queuing": {
                "queues": queues, "handSize": hand, "queueLengthLimit": 50}},
        }});
        object(LEVEL, name, spec)
    })
    .into()
}

fn schemas() -> Vec<Value> {
    let leases = || {
        rule(
            &["get", "create", "update"],
            &["coordination.k8s.io"],
            &["leases"],
        )
    };
    let managers = [
        user("system:kube-controller-manager"),
        user("system:kube-scheduler"),
    ];
    let nodes = || vec![group("system:nodes")];
    let mut node_objects = rule(&["*"], &[""], &["nodes", "nodes/status"]);
    node_objects["clusterScope"] = true.into();
    vec![
        schema("system-nodes", "system", 500, "ByUser", everything(nodes())),
        schema(
            "system-node-high",
            "node-high",
            400,
            "ByUser",
            json!({"subjects": nodes(), "resourceRules": [
                node_objects, rule(&["*"], &["coordination.k8s.io"], &["leases"])]}),
        ),
        schema(
            "probes",
            EXEMPT,
            2,
            "",
            json!({"subjects": everybody(), "nonResourceRules": [
                {"verbs": ["get"], "nonResourceURLs": ["/healthz", "/readyz", "/livez"]}]}),
        ),
        schema(
            "system-leader-election",
            "leader-election",
            100,
            "ByUser",
            json!({"subjects": [managers[0], managers[1], account("*")],
                "resourceRules": [leases()]}),
        ),
        schema(
            "workload-leader-election",
            "leader-election",
            200,
            "ByUser",
            json!({"subjects": [account("*")], "resourceRules": [
                rule(&["get", "create", "update"], &[""], &["endpoints", "configmaps"]),
                leases()]}),
        ),
        schema(
            "endpoint-controller",
            "workload-high",
            150,
            "ByUser",
            json!({"subjects": [managers[0], account("endpoint-controller"),
                    account("endpointslicemirroring-controller")],
                "resourceRules": [rule(&["get", "create", "update"], &[""], &["endpoints"])]}),
        ),
        schema(
            "kube-controller-manager",
            "workload-high",
            800,
            "ByNamespace",
            everything(vec![managers[0].clone()]),
        ),
        schema(
            "kube-scheduler",
            "workload-high",
            800,
            "ByNamespace",
            everything(vec![managers[1].clone()]),
        ),
        schema(
            "kube-system-service-accounts",
            "workload-high",
            900,
            "ByNamespace",
            everything(vec![account("*")]),
        ),
        schema(
            "service-accounts",
            "workload-low",
            9000,
            "ByUser",
            everything(vec![group("system:serviceaccounts")]),
        ),
        schema(
            "global-default",
            "global-default",
            9900,
            "ByUser",
            everything(everybody()),
        ),
        // Not in Kubernetes, where these are no users of their own.
        schema(
            "hardway-node-agents",
            "system",
            510,
            "ByUser",
            everything(vec![
                user("system:kube-proxy"),
                user("system:flannel-lite"),
                group("system:flannel-lite"),
            ]),
        ),
    ]
}

fn schema(name: &str, level: &str, precedence: i64, flows: &str, rule: Value) -> Value {
    let mut spec = json!({
        "priorityLevelConfiguration": {"name": level},
        "matchingPrecedence": precedence,
        "rules": [rule],
    });
    if !flows.is_empty() {
        spec["distinguisherMethod"] = json!({"type": flows});
    }
    object(SCHEMA, name, spec)
}

fn everybody() -> Vec<Value> {
    vec![
        group("system:unauthenticated"),
        group("system:authenticated"),
    ]
}

fn everything(subjects: Vec<Value>) -> Value {
    let mut resources = rule(&["*"], &["*"], &["*"]);
    resources["clusterScope"] = true.into();
    json!({
        "subjects": subjects,
        "resourceRules": [resources],
        "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
    })
}

/// Resources, in all namespaces.
fn rule(verbs: &[&str], groups: &[&str], resources: &[&str]) -> Value {
    json!({"verbs": verbs, "apiGroups": groups, "resources": resources, "namespaces": ["*"]})
}

fn user(name: &str) -> Value {
    json!({"kind": "User", "user": {"name": name}})
}

fn group(name: &str) -> Value {
    json!({"kind": "Group", "group": {"name": name}})
}

fn account(name: &str) -> Value {
    json!({"kind": "ServiceAccount",
        "serviceAccount": {"namespace": "kube-system", "name": name}})
}

/// What an object that is there should become; `None` if it is fine as it is,
/// or is its owner's affair.
pub fn reconcile(found: &Value, default: &Default) -> Option<Value> {
    let wanted = &default.object;
    let annotation = found["metadata"]["annotations"][AUTOUPDATE].as_str();
    // Who has changed a spec before there was an annotation, keeps it.
    let untouched = found["metadata"]["generation"].as_i64() == Some(1);
    let kept_up = default.mandatory || annotation.map_or(untouched, |value| value == "true");
    let mut result = found.clone();
    let says = if kept_up { "true" } else { "false" };
    if annotation.is_none_or(|value| !matches!(value, "true" | "false"))
        || (default.mandatory && annotation != Some("true"))
    {
        let annotations = &mut result["metadata"]["annotations"];
        if !annotations.is_object() {
            *annotations = json!({});
        }
        annotations[AUTOUPDATE] = says.into();
    }
    if kept_up {
        let mut spec = wanted["spec"].clone();
        if default.mandatory
            && let Some(exempt) = found["spec"].get("exempt").filter(|e| e.is_object())
        {
            // How much the exempt lend is for the administrator to say.
            spec["exempt"] = exempt.clone();
        }
        result["spec"] = spec;
    }
    (result != *found).then_some(result)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hardway_fairness::{Digest, FlowSchema, PriorityLevel, matches};
    use hardway_resources::Registry;
    use std::collections::BTreeSet;

    fn of_kind(kind: &str) -> Vec<Value> {
        all()
            .into_iter()
            .map(|default| default.object)
            .filter(|object| object["kind"] == kind)
            .collect()
    }

    #[test]
    fn all_are_valid_and_defaulted() {
        let registry = Registry::new();
        for default in all() {
            let object = default.object;
            let kind = object["kind"].as_str().unwrap();
            let row = registry.lookup_kind(GROUP, "v1", kind).unwrap();
            let mut defaulted = object.clone();
            row.rules.default(&mut defaulted);
            assert_eq!(defaulted, object);
            assert!(row.rules.validate(&object).is_empty(), "{object}");
        }
    }

    #[test]
    fn schemas_refer_to_levels_that_exist() {
        let levels: BTreeSet<String> = of_kind(LEVEL)
            .iter()
            .map(|o| PriorityLevel::parse(o.to_string().as_bytes()).unwrap())
            .map(|level| level.name.to_string())
            .collect();
        assert_eq!(levels.len(), 8);
        for object in of_kind(SCHEMA) {
            let schema = FlowSchema::parse(object.to_string().as_bytes()).unwrap();
            assert!(levels.contains(&schema.level), "{}", schema.level);
        }
    }

    /// Where a request goes.
    fn place(user: &str, groups: &[&str], asked: &str) -> (String, String) {
        let mut schemas: Vec<FlowSchema> = of_kind(SCHEMA)
            .iter()
            .map(|object| FlowSchema::parse(object.to_string().as_bytes()).unwrap())
            .collect();
        schemas.sort_by_key(|schema| (schema.precedence, schema.name.clone()));
        let mut groups: Vec<String> = groups.iter().map(|g| (*g).to_owned()).collect();
        groups.push("system:authenticated".into());
        let mut words = asked.split(' ');
        let mut word = || words.next().unwrap_or_default();
        let verb = word();
        let target = word();
        let path = target.starts_with('/').then_some(target);
        let (group, resource) = target.split_once('.').map_or(("", target), |(r, g)| (g, r));
        let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
        let request = Digest {
            user,
            groups: &groups,
            verb,
            path,
            group,
            resource,
            subresource,
            namespace: word(),
        };
        let found = schemas.iter().find(|schema| matches(schema, &request));
        let found = found.expect("catch-all matches everybody");
        (found.name.to_string(), found.level.clone())
    }

    #[test]
    fn everybody_goes_where_they_belong() {
        let manager = "system:kube-controller-manager";
        let dns = "system:serviceaccount:kube-system:hardway-dns";
        let accounts = ["system:serviceaccounts"];
        let nodes = ["system:nodes"];
        let lease = "update leases.coordination.k8s.io";
        for (user, groups, asked, schema, level) in [
            (
                "root",
                &["system:masters"][..],
                "list pods",
                "exempt",
                "exempt",
            ),
            ("joe", &[], "get /readyz", "probes", "exempt"),
            (
                "joe",
                &[],
                "get /version",
                "global-default",
                "global-default",
            ),
            (
                "joe",
                &[],
                "list pods a",
                "global-default",
                "global-default",
            ),
            (
                manager,
                &[],
                &format!("{lease} kube-system"),
                "system-leader-election",
                "leader-election",
            ),
            (
                "system:kube-scheduler",
                &[],
                &format!("{lease} kube-system"),
                "system-leader-election",
                "leader-election",
            ),
            (
                manager,
                &[],
                "create pods a",
                "kube-controller-manager",
                "workload-high",
            ),
            (
                manager,
                &[],
                "update endpoints a",
                "endpoint-controller",
                "workload-high",
            ),
            (
                "system:kube-scheduler",
                &[],
                "create pods/binding a",
                "kube-scheduler",
                "workload-high",
            ),
            (
                "system:node:n1",
                &nodes,
                &format!("{lease} kube-node-lease"),
                "system-node-high",
                "node-high",
            ),
            (
                "system:node:n1",
                &nodes,
                "patch nodes/status",
                "system-node-high",
                "node-high",
            ),
            (
                "system:node:n1",
                &nodes,
                "patch pods/status a",
                "system-nodes",
                "system",
            ),
            (
                "system:kube-proxy",
                &[],
                "watch services",
                "hardway-node-agents",
                "system",
            ),
            (
                "system:flannel-lite:n1",
                &["system:flannel-lite"],
                "patch nodes",
                "hardway-node-agents",
                "system",
            ),
            (
                dns,
                &accounts,
                "watch services",
                "kube-system-service-accounts",
                "workload-high",
            ),
            (
                dns,
                &accounts,
                &format!("{lease} kube-system"),
                "system-leader-election",
                "leader-election",
            ),
            (
                "system:serviceaccount:a:b",
                &accounts,
                "list pods a",
                "service-accounts",
                "workload-low",
            ),
        ] {
            let (found, of) = place(user, groups, asked);
            assert_eq!(
                (found.as_str(), of.as_str()),
                (schema, level),
                "{user} {asked}"
            );
        }
    }

    fn found(name: &str) -> (Value, Default) {
        let default = all()
            .into_iter()
            .find(|d| d.object["metadata"]["name"] == name);
        let default = default.unwrap();
        let mut found = default.object.clone();
        found["metadata"]["generation"] = 1.into();
        (found, default)
    }

    #[test]
    fn suggestions_are_kept_up_unless_their_owner_says_otherwise() {
        let (mut level, default) = found("workload-low");
        assert_eq!(reconcile(&level, &default), None);
        level["spec"]["limited"]["nominalConcurrencyShares"] = 7.into();
        level["metadata"]["generation"] = 2.into();
        let restored = reconcile(&level, &default).unwrap();
        assert_eq!(restored["spec"], default.object["spec"]);
        level["metadata"]["annotations"][AUTOUPDATE] = "false".into();
        assert_eq!(reconcile(&level, &default), None);
        // Without a word it is the owner's once it was changed.
        level["metadata"]
            .as_object_mut()
            .unwrap()
            .remove("annotations");
        let told = reconcile(&level, &default).unwrap();
        assert_eq!(told["metadata"]["annotations"][AUTOUPDATE], "false");
        assert_eq!(told["spec"], level["spec"]);
        level["metadata"]["generation"] = 1.into();
        let restored = reconcile(&level, &default).unwrap();
        assert_eq!(restored["metadata"]["annotations"][AUTOUPDATE], "true");
        assert_eq!(restored["spec"], default.object["spec"]);
    }

    #[test]
    fn mandatory_ones_are_always_kept_up() {
        let (mut schema, default) = found("catch-all");
        schema["metadata"]["annotations"][AUTOUPDATE] = "false".into();
        schema["spec"]["matchingPrecedence"] = 9.into();
        let restored = reconcile(&schema, &default).unwrap();
        assert_eq!(restored["spec"], default.object["spec"]);
        assert_eq!(restored["metadata"]["annotations"][AUTOUPDATE], "true");
        let mut level = all()
            .into_iter()
            .find(|d| d.object["metadata"]["name"] == "exempt")
            .unwrap();
        let default = Default {
            object: level.object.clone(),
            ..level
        };
        level.object["spec"]["exempt"]["lendablePercent"] = 50.into();
        assert_eq!(reconcile(&level.object, &default), None);
    }
}
