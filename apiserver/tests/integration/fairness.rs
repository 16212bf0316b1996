//! Priority and fairness, with a real etcd: where requests go, and the objects
//! that say so.

use crate::common::people::{Client, permit};
use crate::common::{Lab, MAPS, PATIENCE};
use http::HeaderMap;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const FLOW: &str = "/apis/flowcontrol.apiserver.k8s.io/v1";

fn uid(headers: &HeaderMap, of: &str) -> String {
    let name = format!("x-kubernetes-pf-{of}-uid");
    let value = headers.get(&name).unwrap_or_else(|| panic!("{name}"));
    value.to_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_tell_where_requests_belong() {
    let lab = Lab::start().await;
    let names = |list: Value| -> Vec<String> {
        let items = list["items"].as_array().unwrap();
        let name = |item: &Value| item["metadata"]["name"].as_str().unwrap().to_owned();
        items.iter().map(name).collect()
    };
    let schemas = names(lab.get(&format!("{FLOW}/flowschemas")).await.1);
    for name in [
        "catch-all",
        "endpoint-controller",
        "exempt",
        "global-default",
        "kube-controller-manager",
        "kube-scheduler",
        "kube-system-service-accounts",
        "probes",
        "service-accounts",
        "system-leader-election",
        "system-node-high",
        "system-nodes",
        "workload-leader-election",
    ] {
        assert!(schemas.iter().any(|s| s == name), "{name}");
    }
    let uid_of = async |plural: &str, name: &str| {
        let (code, object) = lab.get(&format!("{FLOW}/{plural}/{name}")).await;
        assert_eq!(code, 200, "{object}");
        object["metadata"]["uid"].as_str().unwrap().to_owned()
    };
    permit(&lab).await;
    let mut jane = Client::new(&lab, "jane", &["people"]).await;
    let mut node = Client::new(&lab, "system:node:n1", &["system:nodes"]).await;
    let seen = async |client: &mut Client, path: &str, schema: &str, level: &str| {
        let answer = client.get(path).await;
        assert_eq!(
            uid(&answer.headers, "flowschema"),
            uid_of("flowschemas", schema).await,
            "{path}"
        );
        assert_eq!(
            uid(&answer.headers, "prioritylevel"),
            uid_of("prioritylevelconfigurations", level).await,
            "{path}"
        );
        answer.code
    };
    let global = "global-default";
    assert_eq!(seen(&mut jane, MAPS, global, global).await, 200);
    assert_eq!(seen(&mut jane, "/version", global, global).await, 200);
    assert_eq!(seen(&mut jane, "/readyz", "probes", "exempt").await, 200);
    let nodes = "/api/v1/nodes/n1";
    let code = seen(&mut node, nodes, "system-node-high", "node-high").await;
    assert_eq!(code, 404);

    // A schema of one's own is followed at once, and so is its end.
    let mine = json!({"metadata": {"name": "mine"}, "spec": {
        "matchingPrecedence": 50, "priorityLevelConfiguration": {"name": "workload-low"},
        "rules": [{"subjects": [{"kind": "User", "user": {"name": "jane"}}],
            "resourceRules": [{"verbs": ["list"], "apiGroups": [""],
                "resources": ["configmaps"], "namespaces": ["default"]}]}]}});
    let mine = lab.create(&format!("{FLOW}/flowschemas"), &mine).await;
    let mine = mine["metadata"]["uid"].as_str().unwrap().to_owned();
    let becomes = async |client: &mut Client, wanted: &str| {
        let deadline = Instant::now() + PATIENCE;
        while uid(&client.get(MAPS).await.headers, "flowschema") != wanted {
            assert!(Instant::now() < deadline, "the schema is followed");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    becomes(&mut jane, &mine).await;
    lab.delete(&format!("{FLOW}/flowschemas/mine"), &Value::Null)
        .await;
    becomes(&mut jane, &uid_of("flowschemas", global).await).await;

    // What is in the queues can be looked at, by who may.
    let dumps = "/debug/api_priority_and_fairness/dump_priority_levels";
    let (code, dump) = lab.get(dumps).await;
    assert_eq!(code, 200);
    let first = dump.as_str().unwrap().split(',').next();
    assert_eq!(first, Some("PriorityLevelName"));
    assert_eq!(jane.get(dumps).await.code, 403);
    let (_, metrics) = lab.get("/metrics").await;
    let metrics = metrics.as_str().unwrap();
    for line in [
        "apiserver_flowcontrol_nominal_limit_seats{priority_level=\"global-default\"} 49",
        "apiserver_flowcontrol_dispatched_requests_total{flow_schema=\"global-default\",priority_level=\"global-default\"}",
        "apiserver_flowcontrol_current_limit_seats{priority_level=\"exempt\"}",
    ] {
        assert!(metrics.contains(line), "{line}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn objects_are_kept_up_and_dangling_ones_told() {
    let lab = Lab::start().await;
    let schema = |name: &str| format!("{FLOW}/flowschemas/{name}");
    let level = |name: &str| format!("{FLOW}/prioritylevelconfigurations/{name}");
    let dangling = async |name: &str, status: &str, reason: &str| {
        lab.until(&format!("{name}: Dangling={status}"), async || {
            let (_, object) = lab.get(&schema(name)).await;
            let conditions = object["status"]["conditions"].as_array().cloned();
            conditions
                .unwrap_or_default()
                .iter()
                .any(|c| c["type"] == "Dangling" && c["status"] == status && c["reason"] == reason)
        })
        .await;
    };
    dangling("global-default", "False", "Found").await;
    let mine = json!({"metadata": {"name": "mine"}, "spec": {
        "priorityLevelConfiguration": {"name": "missing"}}});
    lab.create(&format!("{FLOW}/flowschemas"), &mine).await;
    dangling("mine", "True", "NotFound").await;
    let missing = json!({"metadata": {"name": "missing"}, "spec": {"type": "Limited", "limited": {
        "nominalConcurrencyShares": 1, "limitResponse": {"type": "Reject"}}}});
    lab.create(&format!("{FLOW}/prioritylevelconfigurations"), &missing)
        .await;
    dangling("mine", "False", "Found").await;

    // What is mandatory can't be changed, and comes back.
    let change = json!({"spec": {"matchingPrecedence": 9}});
    assert_eq!(lab.merge(&schema("catch-all"), &change).await.0, 422);
    for path in [schema("catch-all"), level("exempt"), schema("system-nodes")] {
        let (_, before) = lab.get(&path).await;
        assert_eq!(lab.delete(&path, &Value::Null).await.0, 200);
        lab.until(&format!("{path} is back"), async || {
            let (code, now) = lab.get(&path).await;
            code == 200 && now["metadata"]["uid"] != before["metadata"]["uid"]
        })
        .await;
    }
    // What is suggested is restored, unless its owner says otherwise.
    let shares = |n: i64| json!({"spec": {"limited": {"nominalConcurrencyShares": n}}});
    let path = level("workload-low");
    let are = async |n: i64| {
        let (_, object) = lab.get(&path).await;
        object["spec"]["limited"]["nominalConcurrencyShares"] == n
    };
    assert_eq!(lab.merge(&path, &shares(7)).await.0, 200);
    lab.until("the spec is restored", async || are(100).await)
        .await;
    let own = json!({"metadata": {"annotations": {"apf.kubernetes.io/autoupdate-spec": "false"}},
        "spec": {"limited": {"nominalConcurrencyShares": 7}}});
    assert_eq!(lab.merge(&path, &own).await.0, 200);
    // The next thing it keeps up shows that it has looked.
    lab.delete(&schema("probes"), &Value::Null).await;
    lab.until("probes are back", async || {
        lab.get(&schema("probes")).await.0 == 200
    })
    .await;
    assert!(are(7).await);
}
