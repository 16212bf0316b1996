//! Hardway's own client over Kubernetes' REST API: what it gives is what it gives over
//! gRPC, for every verb. The same is done over both, and compared.

use crate::common::{Lab, PATIENCE, config_map, pod};
use futures_util::StreamExt;
use hardway_client::api::{Client, DeleteParams, DynamicApi, Patch, WatchParams};
use hardway_client::kubeconfig::{Credentials, Token};
use hardway_proto::Status;
use hardway_proto::api::{EventType, Object, WatchEvent};
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::pin::pin;

/// What was given, without what differs each time.
type Story = Vec<(&'static str, Value)>;

fn plain(mut value: Value) -> Value {
    if let Some(metadata) = value["metadata"].as_object_mut() {
        for field in ["uid", "resourceVersion", "creationTimestamp", "namespace"] {
            metadata.remove(field);
        }
        if let Some(fields) = metadata.get_mut("managedFields") {
            for manager in fields.as_array_mut().into_iter().flatten() {
                manager.as_object_mut().map(|entry| entry.remove("time"));
            }
        }
    }
    if let Some(details) = value["details"].as_object_mut() {
        details.remove("uid");
    }
    value
}

/// An object, whose envelope must be right, or a refusal with all that is in it.
fn told(outcome: Result<Object, Status>) -> Value {
    let object = match outcome {
        Ok(object) => object,
        Err(status) => return json!({"refused": plain(json!(status))}),
    };
    let value: Value = serde_json::from_slice(&object.json).unwrap();
    let text = |field: &str| {
        value["metadata"][field]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    assert_eq!(
        [&object.namespace, &object.name, &object.uid],
        [&text("namespace"), &text("name"), &text("uid")]
    );
    let version = object.resource_version.to_string();
    assert_eq!(version.trim_start_matches('0'), text("resourceVersion"));
    plain(value)
}

fn names(objects: &[Object]) -> Value {
    objects.iter().map(|o| o.name.as_str()).collect()
}

fn body(value: &Value) -> Vec<u8> {
    value.to_string().into_bytes()
}

/// Both, and a namespace for each.
async fn both(lab: &Lab) -> [(Client, &'static str); 2] {
    for namespace in ["grpc", "rest"] {
        let object = json!({"metadata": {"name": namespace}});
        lab.create("/api/v1/namespaces", &object).await;
        let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts");
        let account = json!({"metadata": {"name": "default"}});
        lab.create(&path, &account).await;
    }
    [
        (Client::new(&lab.kubeconfig(), "story").unwrap(), "grpc"),
        (
            Client::over_rest(&lab.kubeconfig(), "story").unwrap(),
            "rest",
        ),
    ]
}

fn assert_same(grpc: Story, rest: Story) {
    assert_eq!(grpc.len(), rest.len());
    for ((what, grpc), (_, rest)) in grpc.into_iter().zip(rest) {
        // The refusals name what is asked for; nothing else has the namespace's name.
        let rest = rest.to_string().replace("\"rest\\\"", "\"grpc\\\"");
        assert_eq!(rest, grpc.to_string(), "{what}");
    }
}

async fn objects(client: &Client, namespace: &str) -> Story {
    let maps = client.dynamic("", "v1", "configmaps", namespace);
    let mut story = Story::new();
    let mut tell = |what, outcome| story.push((what, told(outcome)));
    let mut map = config_map("a");
    map["metadata"]["labels"] = json!({"app": "a"});
    let made = maps.create("a", "", body(&map)).await.unwrap();
    tell("create", Ok(made.clone()));
    tell("create again", maps.create("a", "", body(&map)).await);
    let wrong = json!({"metadata": {"name": "A_"}, "data": {"/": "x"}});
    tell(
        "create what is invalid",
        maps.create("A_", "", body(&wrong)).await,
    );
    tell(
        "create what is no JSON",
        maps.create("b", "", b"{".to_vec()).await,
    );
    tell("get", maps.get("a").await);
    tell("get what isn't there", maps.get("nothing").await);

    let mut changed: Value = serde_json::from_slice(&made.json).unwrap();
    changed["data"]["a"] = json!("2");
    tell("update", maps.update("a", "", body(&changed)).await);
    tell(
        "update what is stale",
        maps.update("a", "", body(&changed)).await,
    );

    let operations = json!([{"op": "add", "path": "/data/json", "value": "1"}]);
    tell(
        "JSON patch",
        maps.patch("a", "", Patch::Json(&operations)).await,
    );
    let failing = json!([{"op": "test", "path": "/data/json", "value": "2"}]);
    tell(
        "JSON patch that fails",
        maps.patch("a", "", Patch::Json(&failing)).await,
    );
    let merge = json!({"data": {"merge": "1", "json": null}});
    tell(
        "merge patch",
        maps.patch("a", "", Patch::Merge(&merge)).await,
    );
    tell(
        "strategic patch",
        maps.patch("a", "", Patch::Strategic(&merge)).await,
    );
    let apply = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"},
        "data": {"a": "applied"}});
    tell("apply", maps.patch("a", "", Patch::Apply(&apply)).await);
    tell(
        "patch what isn't there",
        maps.patch("nothing", "", Patch::Merge(&merge)).await,
    );

    let wrong = DeleteParams::of("somebody else's");
    tell("delete another", maps.delete("a", &wrong).await);
    let own = DeleteParams::of(&made.uid);
    tell("delete", maps.delete("a", &own).await);
    tell("delete again", maps.delete("a", &own).await);
    let nowhere = client.dynamic("example.com", "v1", "things", namespace);
    let missing = nowhere.get("a").await.unwrap_err();
    assert_eq!((missing.code, missing.reason.as_str()), (404, "NotFound"));
    // One refusal says whom it is about.
    let without_uid = |(what, value): (&'static str, Value)| {
        let text = value.to_string().replace(&made.uid, "its own");
        (what, serde_json::from_str(&text).unwrap())
    };
    story.into_iter().map(without_uid).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn objects_are_made_read_changed_and_deleted_alike() {
    let lab = Lab::start().await;
    let [(grpc, one), (rest, other)] = both(&lab).await;
    let story = objects(&grpc, one).await;
    assert_eq!(story[1].1["refused"]["reason"], "AlreadyExists");
    assert!(story[2].1["refused"]["details"]["causes"].is_array());
    assert_same(story, objects(&rest, other).await);
}

async fn lists(client: &Client, namespace: &str) -> Story {
    let maps = client.dynamic("", "v1", "configmaps", namespace);
    for (name, app) in [("a", "x"), ("b", "x"), ("c", "y")] {
        let mut map = config_map(name);
        map["metadata"]["labels"] = json!({"app": app});
        maps.create(name, "", body(&map)).await.unwrap();
    }
    let mut story = Story::new();
    for (labels, fields) in [
        ("", ""),
        ("app=x", ""),
        ("app in (y, z)", ""),
        ("app!=x", "metadata.name!=c"),
        ("", "metadata.name=b"),
        ("app in (", ""),
        ("", "spec.unknown=1"),
    ] {
        story.push(match maps.list(labels, fields).await {
            Ok(list) => {
                assert_ne!(list.resource_version, 0);
                let first = list.items.first().cloned();
                let first = first.map(|object| told(Ok(object)));
                ("list", json!([names(&list.items), first]))
            }
            Err(status) => ("list", told(Err(status))),
        });
    }
    let unlabelled = DeleteParams::default();
    maps.delete_collection("app=x", "", &unlabelled)
        .await
        .unwrap();
    let left = maps.list("", "").await.unwrap();
    story.push(("what a deletion of many leaves", names(&left.items)));
    story
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_and_collections_are_alike() {
    let lab = Lab::start().await;
    let [(grpc, one), (rest, other)] = both(&lab).await;
    let story = lists(&grpc, one).await;
    assert_eq!(story[1].1[0], json!(["a", "b"]));
    assert_eq!(story.last().unwrap().1, json!(["c"]));
    assert_same(story, lists(&rest, other).await);
}

async fn subresources(client: &Client, namespace: &str) -> Story {
    let mut story = Story::new();
    let pods = client.namespaced::<Pod>(namespace);
    let made = pods
        .dynamic()
        .create("p", "", body(&pod("p")))
        .await
        .unwrap();
    pods.bind("p", &made.uid, "n1").await.unwrap();
    let again = pods.bind("p", &made.uid, "n1").await;
    story.push(("bind again", told(again.map(|()| Object::default()))));
    let status = json!({"status": {"phase": "Running"}});
    let patched = pods
        .dynamic()
        .patch("p", "status", Patch::Strategic(&status));
    let phase = told(patched.await)["status"]["phase"].clone();
    story.push(("status", phase));
    pods.evict("p", &DeleteParams::now(&made.uid))
        .await
        .unwrap();
    story.push(("evicted", told(pods.dynamic().get("p").await)));

    let accounts = client.dynamic("", "v1", "serviceaccounts", namespace);
    let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
        "spec": {"audiences": ["x"], "expirationSeconds": 600}});
    let token = accounts.create("default", "token", body(&request)).await;
    let token: Value = serde_json::from_slice(&token.unwrap().json).unwrap();
    story.push(("token", token["status"]["token"].is_string().into()));

    let sets = client.dynamic("apps", "v1", "replicasets", namespace);
    let template = json!({"metadata": {"labels": {"app": "s"}}, "spec": pod("s")["spec"]});
    let set = json!({"metadata": {"name": "s"}, "spec": {"replicas": 1,
        "selector": {"matchLabels": {"app": "s"}}, "template": template}});
    sets.create("s", "", body(&set)).await.unwrap();
    let scale = json!({"apiVersion": "autoscaling/v1", "kind": "Scale",
        "metadata": {"name": "s", "namespace": namespace}, "spec": {"replicas": 3}});
    story.push(("scale", told(sets.update("s", "scale", body(&scale)).await)));

    let reviews = client.dynamic("authorization.k8s.io", "v1", "subjectaccessreviews", "");
    let review = json!({"spec": {"user": "jane", "resourceAttributes": {"verb": "get",
        "resource": "pods"}}});
    story.push(("review", told(reviews.create("", "", body(&review)).await)));
    story
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn subresources_and_reviews_are_alike() {
    let lab = Lab::start().await;
    let [(grpc, one), (rest, other)] = both(&lab).await;
    let story = subresources(&grpc, one).await;
    assert_eq!(story[1].1, "Running");
    assert_same(story, subresources(&rest, other).await);
}

/// What a watch tells next, besides the bookmarks of which there may be any number.
async fn next(
    events: &mut (impl futures_util::Stream<Item = Result<WatchEvent, Status>> + Unpin),
) -> (&'static str, Value) {
    loop {
        let event = tokio::time::timeout(PATIENCE, events.next());
        let event = event.await.expect("an event in time");
        let event = event.expect("the watch goes on").unwrap();
        let kind = event.r#type();
        if kind == EventType::Bookmark && !event.initial_events_end {
            continue;
        }
        let object = event.object.unwrap_or_default();
        return match kind {
            // Its content is the server's own matter.
            EventType::Bookmark => (kind.as_str_name(), (object.resource_version > 0).into()),
            EventType::Error => (
                kind.as_str_name(),
                serde_json::from_slice(&object.json).unwrap(),
            ),
            _ => (kind.as_str_name(), told(Ok(object))),
        };
    }
}

async fn watches(client: &Client, namespace: &str) -> Story {
    let maps: DynamicApi = client.dynamic("", "v1", "configmaps", namespace);
    let mut story = Story::new();
    let first = maps.create("a", "", body(&config_map("a"))).await.unwrap();
    let initial = WatchParams {
        send_initial_events: true,
        ..WatchParams::default()
    };
    let mut events = pin!(maps.watch(&initial).await.unwrap());
    story.push(next(&mut events).await);
    story.push(next(&mut events).await);
    let from = WatchParams {
        resource_version: first.resource_version.to_string(),
        fields: "metadata.name=b".into(),
        ..WatchParams::default()
    };
    let mut only = pin!(maps.watch(&from).await.unwrap());
    maps.create("b", "", body(&config_map("b"))).await.unwrap();
    let patch = json!({"data": {"a": "line\nline"}});
    maps.patch("b", "", Patch::Merge(&patch)).await.unwrap();
    maps.delete("b", &DeleteParams::default()).await.unwrap();
    for _ in 0..3 {
        story.push(next(&mut events).await);
        story.push(next(&mut only).await);
    }
    story
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watches_tell_the_same() {
    let lab = Lab::start().await;
    let [(grpc, one), (rest, other)] = both(&lab).await;
    let story = watches(&grpc, one).await;
    let kinds: Vec<_> = story.iter().map(|(kind, _)| *kind).collect();
    let thrice = [
        "ADDED", "ADDED", "MODIFIED", "MODIFIED", "DELETED", "DELETED",
    ];
    assert_eq!(kinds[..2], ["ADDED", "BOOKMARK"]);
    assert_eq!(kinds[2..], thrice);
    assert_same(story, watches(&rest, other).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_server_has_forgotten_is_told_alike() {
    let mut lab = Lab::start().await;
    // A new one knows nothing of what was before it.
    lab.serve().await;
    let [(grpc, _), (rest, _)] = both(&lab).await;
    for client in [grpc, rest] {
        let maps = client.dynamic("", "v1", "configmaps", "default");
        let old = WatchParams {
            resource_version: "1".into(),
            ..WatchParams::default()
        };
        let mut old = pin!(maps.watch(&old).await.unwrap());
        let (kind, status) = next(&mut old).await;
        assert_eq!((kind, &status["code"]), ("ERROR", &json!(410)), "{status}");
        assert!(old.next().await.is_none(), "it ends after an error");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_not_is_refused_alike() {
    let lab = Lab::start().await;
    let jane = lab.kubeconfig_of("jane");
    let mut stranger = jane.clone();
    stranger.credentials = Credentials::Token(Token("abcdef.0123456789abcdef".into()));
    for (config, code) in [(&jane, 403), (&stranger, 401)] {
        let mut refusals = Vec::new();
        for client in [
            Client::new(config, "story").unwrap(),
            Client::over_rest(config, "story").unwrap(),
        ] {
            let maps = client.dynamic("", "v1", "configmaps", "default");
            let (get, list) = (maps.get("a").await, maps.list("", "").await);
            let watch = maps.watch(&WatchParams::default()).await;
            let create = maps.create("", "", body(&config_map("a"))).await;
            let statuses = [
                get.unwrap_err(),
                list.unwrap_err(),
                watch.err().unwrap(),
                create.unwrap_err(),
            ];
            assert!(statuses.iter().all(|s| s.code == code), "{statuses:?}");
            refusals.push(statuses);
        }
        assert_eq!(refusals[0], refusals[1]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_resources_are_discovered() {
    let lab = Lab::start().await;
    let [(grpc, _), (rest, _)] = both(&lab).await;
    let infos = rest.discover().await.unwrap();
    let line = |info: &hardway_proto::api::ResourceInfo| {
        let mut verbs = info.verbs.clone();
        verbs.sort();
        let (group, version, resource) = (&info.group, &info.version, &info.resource);
        let verbs = verbs.join(",");
        format!(
            "{group}/{version} {resource} {} {} {verbs}",
            info.kind, info.namespaced
        )
    };
    let over_rest: BTreeSet<String> = infos.iter().map(line).collect();
    assert_eq!(over_rest.len(), infos.len(), "each of them once");
    for info in grpc.discover().await.unwrap() {
        assert!(over_rest.contains(&line(&info)), "{}", line(&info));
    }
    let minor = |version: hardway_client::rest::Version| version.minor();
    assert_eq!(grpc.server_version().await.map(minor).unwrap(), 33);
    assert_eq!(rest.server_version().await.map(minor).unwrap(), 33);
}

/// Codes and reasons of refusals, names of what was given: what every version of
/// Kubernetes has in common.
fn gist(story: Story) -> Vec<(&'static str, Value)> {
    let short = |(what, value): (&'static str, Value)| {
        let refused = &value["refused"];
        let gist = match refused.is_null() {
            true => json!([value["kind"], value["metadata"]["name"], value["data"]]),
            false => json!([refused["code"], refused["reason"]]),
        };
        (what, gist)
    };
    story.into_iter().map(short).collect()
}

/// The same stories, told by Kubernetes, to a client that finds out by itself whom it
/// talks to.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "HARDWAY_KUBE_APISERVER must name a kube-apiserver"]
async fn kubernetes_is_spoken_to() {
    let binary = std::env::var_os("HARDWAY_KUBE_APISERVER");
    let binary = PathBuf::from(binary.expect("HARDWAY_KUBE_APISERVER names a kube-apiserver"));
    let lab = Lab::start().await;
    let [(grpc, namespace), _] = both(&lab).await;
    let expected = gist(objects(&grpc, namespace).await);
    let expected_watch = gist(watches(&grpc, namespace).await);

    let mut lab = Lab::without_server(|_| Vec::new()).await;
    let _kubernetes = lab.serve_kubernetes(&binary).await;
    let [(client, namespace), (_, other)] = both(&lab).await;
    let told = gist(objects(&client, namespace).await);
    for (expected, told) in expected.iter().zip(&told) {
        assert_eq!(told, expected);
    }
    let told = gist(watches(&client, namespace).await);
    for (expected, told) in expected_watch.iter().zip(&told) {
        assert_eq!(told, expected);
    }
    let story = lists(&client, other).await;
    assert_eq!(story.last().unwrap().1, json!(["c"]));
    let version = client.server_version().await.unwrap();
    // Before, evictions were those of policy/v1beta1.
    if version.minor() >= 22 {
        subresources(&client, other).await;
    }
    let infos = client.discover().await.unwrap();
    let events: Vec<_> = infos.iter().filter(|i| i.resource == "events").collect();
    assert_eq!((events.len(), events[0].group.as_str()), (1, ""));
    assert_eq!(events[0].also_in, ["events.k8s.io"]);
    let slices = client.dynamic("discovery.k8s.io", "v1", "endpointslices", "");
    let outcome = slices.list("", "").await.map(drop);
    match version.minor() {
        ..21 => {
            let missing = outcome.unwrap_err();
            assert!(
                missing.message.ends_with("1.21 or later is needed"),
                "{missing}"
            );
        }
        _ => outcome.unwrap(),
    }
}
