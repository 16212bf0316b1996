//! Every shape of owner graph, against an apiserver of its own: what is left in
//! the end is what Kubernetes leaves.

use super::*;
use crate::context::Settings;
use hardway_client::fake::Fake;

const VERBS: [&str; 3] = ["list", "watch", "delete"];

fn resource(resource: &str, kind: &str, namespaced: bool) -> ResourceInfo {
    ResourceInfo {
        version: "v1".into(),
        resource: resource.into(),
        kind: kind.into(),
        namespaced,
        verbs: VERBS.map(str::to_owned).to_vec(),
        ..ResourceInfo::default()
    }
}

fn start() -> (Fake, Work) {
    let (fake, client) = Fake::start(vec![
        resource("things", "Thing", true),
        resource("others", "Other", true),
        resource("globals", "Global", false),
    ]);
    let settings = Arc::new(Settings::default());
    let work = register(&Context { client, settings });
    (fake, work)
}

/// A reference to an owner that blocks its deletion.
fn by(kind: &str, name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": kind, "name": name, "uid": name, "blockOwnerDeletion": true})
}

fn object(namespace: &str, name: &str, owners: &[Value]) -> Value {
    let mut object = json!({"metadata": {"name": name, "uid": name, "ownerReferences": owners}});
    if !namespace.is_empty() {
        object["metadata"]["namespace"] = namespace.into();
    }
    object
}

fn names(fake: &Fake, resource: &str) -> Vec<String> {
    let name = |object: Value| object["metadata"]["name"].as_str().unwrap().to_owned();
    fake.objects("", resource).into_iter().map(name).collect()
}

#[tokio::test]
async fn circles_end() {
    let (fake, work) = start();
    let thing = |name: &str, owner: &str| {
        fake.create("", "things", object("n", name, &[by("Thing", owner)]));
    };
    for (name, owner) in [("a", "c"), ("b", "a"), ("c", "b"), ("x", "y"), ("y", "x")] {
        thing(name, owner);
    }
    thing("self", "self");
    let task = tokio::spawn(work);
    let seen = |fake: &Fake| fake.calls("watch things") > 0;
    fake.wait_until("it watches", seen).await;
    for name in ["a", "x", "self"] {
        fake.delete("", "things", "n", name, "Foreground");
    }
    // What owns itself waits for itself, in Kubernetes as well.
    let done = |fake: &Fake| names(fake, "things") == ["self"];
    fake.wait_until("the circles are gone", done).await;
    let calls = fake.all_calls();
    assert!(calls < 100, "{calls} calls for five objects");
    task.abort();
}

#[tokio::test]
async fn what_is_left_is_what_kubernetes_leaves() {
    let (fake, work) = start();
    let create = |resource: &str, object: Value| fake.create("", resource, object);
    let (gone, owner) = (by("Thing", "gone"), by("Thing", "owner"));
    create("things", object("n", "owner", &[]));
    create("things", object("m", "elsewhere", &[]));
    create("globals", object("", "global", &[]));
    // In the order of their names, and what becomes of each.
    create(
        "others",
        object("n", "by-both", &[gone.clone(), owner.clone()]),
    );
    create(
        "others",
        object("n", "by-elsewhere", &[by("Thing", "elsewhere")]),
    );
    create(
        "others",
        object("n", "by-global", &[by("Global", "global")]),
    );
    create("others", object("n", "by-gone", &[gone]));
    create("others", object("n", "by-owner", &[owner]));
    create(
        "others",
        object("n", "by-unserved", &[by("Nothing", "nothing")]),
    );
    create(
        "others",
        object("n", "by-wrong-kind", &[by("Other", "owner")]),
    );
    create(
        "globals",
        object("", "of-namespaced", &[by("Thing", "owner")]),
    );
    let task = tokio::spawn(work);
    let done = |fake: &Fake| {
        let both = &fake.objects("", "others")[0]["metadata"]["ownerReferences"];
        names(fake, "others") == ["by-both", "by-global", "by-owner", "by-unserved"]
            && both.as_array().is_some_and(|owners| owners.len() == 1)
            && fake.objects("", "events").len() == 2
    };
    fake.wait_until("only what has an owner is left", done)
        .await;
    assert_eq!(names(&fake, "globals"), ["global", "of-namespaced"]);
    let mut events = fake.objects("", "events");
    events.sort_by_key(|event| event["involvedObject"]["name"].to_string());
    assert_eq!(events[0]["reason"], "OwnerRefInvalidNamespace");
    assert_eq!(
        events[0]["message"],
        r#"ownerRef [v1/Thing, namespace: n, name: elsewhere, uid: elsewhere] does not exist in namespace "n""#
    );
    assert_eq!(events[1]["involvedObject"]["name"], "of-namespaced");

    fake.delete("", "things", "n", "owner", "Orphan");
    let done = |fake: &Fake| !names(fake, "things").contains(&"owner".to_owned());
    fake.wait_until("the owner is gone", done).await;
    let freed = |fake: &Fake| {
        let others = fake.objects("", "others");
        others.iter().all(|other| {
            let owners = other["metadata"]["ownerReferences"].as_array();
            !owners.into_iter().flatten().any(|o| o["uid"] == "owner")
        })
    };
    assert!(freed(&fake), "its dependents name it still");
    assert_eq!(
        names(&fake, "others"),
        ["by-both", "by-global", "by-owner", "by-unserved"]
    );
    task.abort();
}

#[tokio::test]
async fn ten_thousand_dependents_go() {
    const MANY: usize = 10_000;
    let (fake, work) = start();
    fake.create("", "things", object("n", "owner", &[]));
    for i in 0..MANY {
        let name = format!("o{i}");
        fake.create("", "others", object("n", &name, &[by("Thing", "owner")]));
    }
    let task = tokio::spawn(work);
    let seen = |fake: &Fake| fake.calls("watch others") > 0 && fake.calls("watch things") > 0;
    fake.wait_until("it watches", seen).await;
    fake.delete("", "things", "n", "owner", "Foreground");
    let done =
        |fake: &Fake| fake.calls("delete others") >= MANY && names(fake, "things").is_empty();
    fake.wait_until("all are gone", done).await;
    assert!(names(&fake, "others").is_empty());
    // One look and one deletion each.
    let calls = fake.all_calls();
    assert!(calls < MANY * 5 / 2, "{calls} calls");
    task.abort();
}
