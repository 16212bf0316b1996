//! Garbage in etcd among the objects by which the apiserver itself decides: it starts,
//! serves everything else, and nobody may do more than before.

use crate::common::{Lab, MAPS, config_map};
use http::Method;
use serde_json::{Value, json};

const RBAC: &str = "rbac.authorization.k8s.io";

/// An object under `/registry/`: its key and its bytes.
type Pair = (String, Vec<u8>);

/// No objects at all.
const NO_OBJECTS: [&[u8]; 5] = [
    b"",
    b"\xff\xfe\x00 no JSON",
    b"null",
    b"[]",
    b"{\"metadata\":{\"name\":\"cut",
];

fn pair(prefix: &str, name: &str, mut object: Value) -> Pair {
    object["metadata"]["name"] = name.into();
    object["metadata"]["uid"] = "u".into();
    if let Some((_, namespace)) = prefix.split_once('/') {
        object["metadata"]["namespace"] = namespace.into();
    }
    (format!("{prefix}/{name}"), object.to_string().into_bytes())
}

/// Roles and bindings with something in them that would let jane do anything, and
/// something that can't be.
fn grants() -> Vec<Pair> {
    let all = json!({"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]});
    let jane = json!({"apiGroup": RBAC, "kind": "User", "name": "jane"});
    let admin = json!({"apiGroup": RBAC, "kind": "ClusterRole", "name": "cluster-admin"});
    let half = |name: &str| json!({"apiGroup": RBAC, "kind": "ClusterRole", "name": name});
    let mut pairs = Vec::new();
    for (at, binding) in [
        json!({"roleRef": admin, "subjects": [jane, 5]}),
        json!({"roleRef": admin, "subjects": [jane, {"kind": "User", "name": ["jane"]}]}),
        json!({"roleRef": admin, "subjects": jane}),
        json!({"roleRef": admin, "subjects": {"0": jane}}),
        json!({"roleRef": "cluster-admin", "subjects": [jane]}),
        json!({"roleRef": [admin], "subjects": [jane]}),
        json!({"roleRef": {"apiGroup": 1, "kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [jane]}),
        json!({"metadata": {"labels": {"a": 5}}, "roleRef": admin, "subjects": [jane]}),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("garbage-{at}");
        pairs.push(pair("clusterrolebindings", &name, binding.clone()));
        pairs.push(pair("rolebindings/default", &name, binding));
    }
    for (at, role) in [
        json!({"rules": [all, {"verbs": "get"}]}),
        json!({"rules": [all, null, 7]}),
        json!({"rules": all}),
        json!({"rules": [all], "aggregationRule": 5}),
        json!({"rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*", 5]}]}),
        json!({"metadata": {"annotations": [1]}, "rules": [all]}),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("half-{at}");
        pairs.push(pair("clusterroles", &name, role.clone()));
        // To a Role this is a field like any other that it doesn't know.
        if role["aggregationRule"].is_null() {
            pairs.push(pair("roles/default", &name, role));
        }
        // These are as they should be, and lead to what isn't.
        let binding = json!({"roleRef": half(&name), "subjects": [jane]});
        pairs.push(pair("clusterrolebindings", &format!("to-{name}"), binding));
        let mut binding = json!({"roleRef": half(&name), "subjects": [jane]});
        binding["roleRef"]["kind"] = "Role".into();
        pairs.push(pair("rolebindings/default", &format!("to-{name}"), binding));
    }
    pairs
}

/// What else the apiserver goes by.
fn others() -> Vec<Pair> {
    let names = json!({"plural": "toys", "kind": "Toy"});
    let mut pairs = vec![
        // What everybody needs, and some more.
        pair("clusterroles", "view", json!({"rules": 5})),
        pair(
            "clusterrolebindings",
            "system:basic-user",
            json!({"subjects": 5}),
        ),
        pair(
            "prioritylevelconfigurations",
            "catch-all",
            json!({"metadata": {"annotations": 5}, "spec": []}),
        ),
        pair("services/specs/default", "kubernetes", json!({"spec": 5})),
        pair(
            "leases/kube-system",
            "apiserver-127.0.0.1",
            json!({"spec": 5}),
        ),
        pair("prioritylevelconfigurations", "exempt", json!({"spec": 5})),
        pair(
            "flowschemas",
            "catch-all",
            json!({"spec": {"rules": "all"}}),
        ),
        pair(
            "flowschemas",
            "garbage",
            json!({"spec": {"matchingPrecedence": "x"}}),
        ),
    ];
    let crds = "apiextensions.k8s.io/customresourcedefinitions";
    for (at, spec) in [
        json!(5),
        json!({"group": "example.com", "names": names, "versions": 7}),
        json!({"group": "example.com", "names": names, "versions": [{"name": "v1",
            "served": true, "storage": true, "schema": {"openAPIV3Schema": [1]}}]}),
        json!({"group": "", "names": {}, "versions": []}),
        json!({"group": "apps", "scope": "Namespaced",
            "names": {"plural": "deployments", "kind": "Deployment"},
            "versions": [{"name": "v1", "served": true, "storage": true}]}),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("garbage-{at}.example.com");
        let object = json!({"metadata": {"name": name, "uid": "u"}, "spec": spec});
        let bytes = object.to_string().into_bytes();
        pairs.push((format!("{crds}/{name}"), bytes));
    }
    for prefix in [
        crds,
        "clusterroles",
        "clusterrolebindings",
        "rolebindings/default",
        "roles/default",
        "prioritylevelconfigurations",
        "flowschemas",
        "secrets/default",
    ] {
        for (at, bytes) in NO_OBJECTS.into_iter().enumerate() {
            pairs.push((format!("{prefix}/none-{at}"), bytes.to_vec()));
        }
    }
    // Encrypted by nobody here.
    let sealed = b"k8s:enc:secretbox:v1:key1:\x01\x02\x03".to_vec();
    pairs.push(("secrets/default/sealed".into(), sealed));
    pairs
}

/// Whether jane may do what nobody ever let her do.
async fn assert_nothing_granted(lab: &Lab, when: &str) {
    for (method, path, body) in [
        (Method::GET, MAPS, Value::Null),
        (Method::POST, MAPS, config_map("janes")),
        (
            Method::GET,
            "/api/v1/namespaces/default/secrets",
            Value::Null,
        ),
        (Method::GET, "/api/v1/nodes", Value::Null),
    ] {
        let (code, answer) = lab.send_as("jane", method, path, &body).await;
        assert_eq!(code, 403, "{when}: {path}: {answer}");
    }
}

async fn assert_serves(lab: &Lab, when: &str) {
    let (code, answer) = lab.post(MAPS, &config_map(when)).await;
    assert_eq!(code, 201, "{answer}");
    let secrets = "/api/v1/namespaces/default/secrets";
    let secret = json!({"metadata": {"name": when}, "stringData": {"a": "b"}});
    lab.create(secrets, &secret).await;
    assert_eq!(lab.get(&format!("{secrets}/{when}")).await.0, 200);
    let definition = json!({"metadata": {"name": format!("{when}s.example.org")}, "spec": {
        "group": "example.org", "scope": "Namespaced",
        "names": {"plural": format!("{when}s"), "kind": format!("Thing{when}")},
        "versions": [{"name": "v1", "served": true, "storage": true,
            "schema": {"openAPIV3Schema": {"type": "object"}}}]}});
    let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    lab.create(definitions, &definition).await;
    let things = format!("/apis/example.org/v1/namespaces/default/{when}s");
    lab.until("the custom resource is served", async || {
        lab.get(&things).await.0 == 200
    })
    .await;
    // Deployments are what they were.
    let deployments = "/apis/apps/v1/namespaces/default/deployments";
    assert_eq!(lab.get(deployments).await.0, 200);
    // Somebody else's rights are as good as ever.
    let role = json!({"metadata": {"name": when}, "rules": [
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}]});
    lab.create(&format!("/apis/{RBAC}/v1/clusterroles"), &role)
        .await;
    let binding = json!({"metadata": {"name": when},
        "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": when},
        "subjects": [{"apiGroup": RBAC, "kind": "User", "name": "overlay-admin"}]});
    let path = format!("/apis/{RBAC}/v1/clusterrolebindings");
    lab.create(&path, &binding).await;
    let (code, report) = lab.get("/readyz?verbose").await;
    assert_eq!(code, 200, "{report}");
    assert!(
        report.as_str().unwrap_or_default().contains("[!]"),
        "{report}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_decides_nothing() {
    let mut lab = Lab::start().await;
    assert_nothing_granted(&lab, "before").await;
    let mut etcd = lab.etcd_client().await;
    for (key, bytes) in grants().into_iter().chain(others()) {
        etcd.put(format!("/registry/{key}"), bytes, None)
            .await
            .unwrap();
    }
    assert_serves(&lab, "later").await;
    assert_nothing_granted(&lab, "later").await;
    // And a server that starts with it.
    lab.serve().await;
    assert_serves(&lab, "restarted").await;
    assert_nothing_granted(&lab, "restarted").await;
    // Reviews say the same.
    let review = json!({"spec": {"user": "jane", "resourceAttributes": {
        "verb": "delete", "resource": "namespaces"}}});
    let path = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
    let (code, answer) = lab.post(path, &review).await;
    assert_eq!((code, &answer["status"]["allowed"]), (201, &json!(false)));
}
