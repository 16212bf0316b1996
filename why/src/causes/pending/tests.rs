use crate::fixtures::{ask, event, one, says};
use crate::{Diagnosis, Source};
use serde_json::{Value, json};

fn node(name: &str, cpu: &str) -> (&'static str, Value) {
    let value = json!({
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}}, "spec": {},
        "status": {"allocatable": {"cpu": cpu, "memory": "4Gi", "pods": "110"},
            "conditions": [{"type": "Ready", "status": "True"}]},
    });
    ("Node", value)
}

fn pod(spec: Value) -> (&'static str, Value) {
    let message = "0/2 nodes are available: 2 Insufficient cpu. preemption: 0/2 nodes are \
                   available: 2 No preemption victims found for incoming pod.";
    let value = json!({
        "metadata": {"name": "web", "namespace": "default", "creationTimestamp": "2025-01-01T00:00:00Z"},
        "spec": spec,
        "status": {"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False",
            "reason": "Unschedulable", "message": message, "lastTransitionTime": "2025-01-01T00:00:05Z"}]},
    });
    ("Pod", value)
}

fn containers(requests: Value) -> Value {
    json!([{"name": "web", "image": "web", "resources": {"requests": requests}}])
}

/// What is told of the pod on two nodes, changed by `change`.
fn told(spec: Value, change: impl Fn(&mut Value)) -> Diagnosis {
    let (mut one_node, mut other) = (node("a", "2"), node("b", "4"));
    change(&mut one_node.1);
    change(&mut other.1);
    one(&[one_node, other, pod(spec)])
}

#[test]
fn too_little_is_told_with_what_is_free() {
    let busy = json!({"metadata": {"name": "busy", "namespace": "default"},
        "spec": {"nodeName": "b", "containers": containers(json!({"cpu": "1500m"}))},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}});
    let asked = json!({"containers": containers(json!({"cpu": "3"}))});
    let objects = [
        node("a", "2"),
        node("b", "4"),
        ("Pod", busy),
        pod(asked),
        event(
            "Pod",
            "web",
            "FailedScheduling",
            "0/2 nodes are available: 2 Insufficient cpu.",
        ),
    ];
    let found = one(&objects);
    assert_eq!(found.cause, "pending");
    assert_eq!(found.summary, "fits none of 2 nodes: 2 with too little cpu");
    says(&found, "cpu: 3 asked for, 2 free of 2");
    says(&found, "cpu: 3 asked for, 2500m free of 4");
    says(
        &found,
        "Unschedulable: 0/2 nodes are available: 2 Insufficient cpu.",
    );
    let helps: Vec<&str> = found.remedies.iter().map(|it| it.advice.as_str()).collect();
    assert_eq!(helps.len(), 1, "{helps:?}");
    assert!(
        helps[0].starts_with("ask for at most 2500m cpu, make room on b"),
        "{helps:?}"
    );
}

#[test]
fn taints_cordons_and_labels_are_told() {
    let plain = json!({"containers": containers(json!({}))});
    let taint = json!([{"key": "dedicated", "value": "db", "effect": "NoSchedule"}]);
    let found = told(plain.clone(), |node| node["spec"]["taints"] = taint.clone());
    assert_eq!(
        found.summary,
        "fits none of 2 nodes: 2 with the taint dedicated"
    );
    says(&found, "its taint dedicated=db:NoSchedule is not tolerated");

    let cordon = json!([{"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}]);
    let found = told(plain, |node| {
        node["spec"] = json!({"unschedulable": true, "taints": cordon});
    });
    assert_eq!(found.summary, "fits none of 2 nodes: 2 cordoned");
    assert_eq!(
        found.remedies[0].command.as_deref(),
        Some("kubectl uncordon a")
    );

    let selector = json!({"containers": containers(json!({})), "nodeSelector": {"disk": "ssd"}});
    let found = told(selector, |_| {});
    says(&found, "it has no label disk=ssd");
    assert_eq!(
        found.remedies[0].command.as_deref(),
        Some("kubectl label node a disk=ssd")
    );
}

#[test]
fn ports_and_neighbours_are_told() {
    let port =
        json!([{"name": "web", "image": "web", "ports": [{"containerPort": 80, "hostPort": 80}]}]);
    let running = |node: &str| {
        json!({"metadata": {"name": format!("front-{node}"), "namespace": "default",
            "labels": {"app": "web"}},
        "spec": {"nodeName": node, "containers": port.clone()},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}})
    };
    let others = |spec: Value| {
        one(&[
            node("a", "2"),
            node("b", "2"),
            ("Pod", running("a")),
            ("Pod", running("b")),
            pod(spec),
        ])
    };
    let found = others(json!({"containers": port.clone()}));
    assert_eq!(found.summary, "fits none of 2 nodes: 2 with port 80 taken");
    says(&found, "default/front-a has host port 80");

    let affinity = json!({"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
        {"labelSelector": {"matchLabels": {"app": "web"}}, "topologyKey": "kubernetes.io/hostname"}]}});
    let found = others(json!({"containers": containers(json!({})), "affinity": affinity}));
    says(&found, "pod/front-a is in the same kubernetes.io/hostname");
}

#[test]
fn gates_schedulers_and_claims_are_told() {
    let (kind, mut gated) = pod(json!({"schedulingGates": [{"name": "example.com/wait"}]}));
    gated["status"]["conditions"] = json!([{"type": "PodScheduled", "status": "False",
        "reason": "SchedulingGated", "message": "Scheduling is blocked due to non-empty scheduling gates"}]);
    let found = one(&[(kind, gated)]);
    assert_eq!(
        found.summary,
        "waits for its scheduling gates: example.com/wait"
    );

    let (kind, mut unseen) = pod(json!({"schedulerName": "mine"}));
    unseen["status"]["conditions"] = json!([]);
    let found = one(&[(kind, unseen)]);
    assert_eq!(
        found.summary,
        "no scheduler has looked at it; it asks for mine"
    );

    let volumes = json!([{"name": "d", "persistentVolumeClaim": {"claimName": "data"}}]);
    let found = one(&[node("a", "1"), pod(json!({"volumes": volumes}))]);
    assert_eq!(found.summary, "its claim data is not there");
    let claim = json!({"metadata": {"name": "data", "namespace": "default"},
        "spec": {"storageClassName": "nosuch"}, "status": {"phase": "Pending"}});
    let (kind, mut waiting) = pod(json!({"volumes": volumes}));
    waiting["status"]["conditions"][0]["message"] =
        json!("0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims.");
    let told = ask(
        &[
            node("a", "1"),
            ("PersistentVolumeClaim", claim),
            (kind, waiting),
        ],
        "Pod",
        "web",
    );
    assert_eq!(told.causes.len(), 1, "{told:#?}");
    assert_eq!(told.causes[0].cause, "claim");
    crate::fixtures::cites(&told.causes[0], &Source::Condition("PodScheduled".into()));
}

/// The same pod under another name, with another token's volume.
fn named(name: &str, pod: &Value) -> (&'static str, Value) {
    let mut pod = pod.clone();
    pod["metadata"]["name"] = json!(name);
    pod["spec"]["volumes"] = json!([{"name": format!("kube-api-access-{name}"), "projected": {}}]);
    ("Pod", pod)
}

#[test]
fn pods_that_ask_for_the_same_are_compared_with_the_nodes_once() {
    let of = |cpu: usize| pod(json!({"containers": containers(json!({"cpu": cpu.to_string()}))})).1;
    let nodes = [node("a", "2"), node("b", "4")];
    let alike = (0..super::COMPARED * 2).map(|n| named(&format!("web-{n}"), &of(9)));
    let objects: Vec<_> = nodes.iter().cloned().chain(alike).collect();
    let told = crate::fixtures::found(&objects);
    let is_compared = |it: &&Diagnosis| it.summary == "fits none of 2 nodes: 2 with too little cpu";
    assert_eq!(told.iter().filter(is_compared).count(), super::COMPARED * 2);

    let different = (0..super::COMPARED * 2).map(|n| named(&format!("web-{n}"), &of(9 + n)));
    let objects: Vec<_> = nodes.into_iter().chain(different).collect();
    let told = crate::fixtures::found(&objects);
    assert_eq!(told.iter().filter(is_compared).count(), super::COMPARED);
    let rest = told.iter().filter(|it| !is_compared(it));
    assert!(
        rest.clone()
            .all(|it| it.summary.starts_with("fits no node: 0/2 nodes"))
    );
    assert_eq!(rest.count(), super::COMPARED);
}

#[test]
fn a_pod_that_must_be_beside_another_is_told_where_none_is() {
    let front = json!({"metadata": {"name": "front", "namespace": "default", "labels": {"app": "web"}},
        "spec": {"nodeName": "b", "containers": []},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}});
    let affinity = json!({"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
        {"labelSelector": {"matchLabels": {"app": "web"}}, "topologyKey": "kubernetes.io/hostname"}]}});
    let asks = json!({"containers": containers(json!({"cpu": "3"})), "affinity": affinity});
    let objects = [node("a", "9"), node("b", "2"), ("Pod", front), pod(asks)];
    let found = one(&objects);
    says(
        &found,
        "no pod that it must be beside is in the same kubernetes.io/hostname",
    );
    let says = |it: &str| {
        found
            .evidence
            .iter()
            .filter(|line| line.says.contains(it))
            .count()
    };
    assert_eq!((says("must be beside"), says("cpu: 3 asked for")), (1, 1));
}
