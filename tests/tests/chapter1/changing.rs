//! Changing what is there, in all the ways kubectl knows.

use hardway_tests::pods::{self, Pod};
use hardway_tests::text::assert_has;
use hardway_tests::{defer, until, wait};
use serde_json::{Value, json};

use crate::Application;

pub fn label(application: &Application) {
    let namespace = &application.namespace;
    let pods = application.two_pods();
    let name = pods[0].name();
    let told = namespace.run(&format!("label pod {name} tier=front"));
    assert_eq!(told, format!("pod/{name} labeled\n"));
    let listed = namespace.run("get pods -l tier=front -o name");
    assert_eq!(listed, format!("pod/{name}\n"));
    let shown = namespace.run("get pods -L tier --show-labels");
    assert_has(&shown, &["AGE TIER LABELS", "name=web,tier=front"]);
    let refused = namespace.refused(&format!("label pod {name} tier=back"), "");
    assert_eq!(
        refused,
        "error: 'tier' already has a value (front), and --overwrite is false\n"
    );
    namespace.run(&format!("label pod {name} tier=back --overwrite"));
    assert_eq!(
        namespace.run("get pods -l 'tier in (back, middle)' -o name"),
        format!("pod/{name}\n")
    );
    assert_eq!(
        namespace.run(&format!("label pod {name} tier-")),
        format!("pod/{name} unlabeled\n")
    );
    let refused = namespace.refused(&format!("label pod {name} tier=not/good"), "");
    assert!(
        refused.contains("a valid label must be an empty string or consist of"),
        "{refused}"
    );
    // A pod that loses the controller's label is let go, and replaced.
    let _gone = defer(|| drop(namespace.try_run("delete pods -l name=stray")));
    namespace.run(&format!("label pod {name} name=stray --overwrite"));
    until("the controller makes up for the stray pod", || {
        let web = pods::try_list(namespace, "name=web")?;
        wait::holds(web.len() == 2, format!("{web:?}"))
    });
    pods::wait_until(namespace, &name, "let go", |stray| {
        stray.value()["metadata"]["ownerReferences"].is_null()
    });
}

pub fn annotate(application: &Application) {
    let namespace = &application.namespace;
    let told = namespace.run("annotate rc busmeme-rc 'example.com/why=to see it'");
    assert_eq!(told, "replicationcontroller/busmeme-rc annotated\n");
    let controller = namespace.json("get rc busmeme-rc");
    assert_eq!(
        controller["metadata"]["annotations"]["example.com/why"],
        "to see it"
    );
    namespace.run("annotate rc busmeme-rc example.com/why-");
    let controller = namespace.json("get rc busmeme-rc");
    assert!(controller["metadata"]["annotations"]["example.com/why"].is_null());
}

pub fn patch(application: &Application) {
    let namespace = &application.namespace;
    application.two_pods();
    let patch = |kind: &str, patch: &Value| {
        let kind = format!("--type={kind}");
        let output = namespace.try_call(
            &["patch", "rc", "busmeme-rc", &kind, "-p", &patch.to_string()],
            "",
        );
        output.ok().unwrap_or_else(|error| panic!("{error}"))
    };
    let controller = || namespace.json("get rc busmeme-rc");
    // Strategic: containers are merged by name.
    let told = patch(
        "strategic",
        &json!({"spec": {"template": {"spec": {"containers": [
            {"name": "web", "env": [{"name": "EXTRA", "value": "1"}]}
        ]}}}}),
    );
    assert_eq!(told, "replicationcontroller/busmeme-rc patched\n");
    let containers = controller()["spec"]["template"]["spec"]["containers"].take();
    let names: Vec<&Value> = containers
        .as_array()
        .into_iter()
        .flatten()
        .map(|c| &c["name"])
        .collect();
    assert_eq!(names, ["mongo", "web"]);
    let variables = containers[1]["env"].as_array().map_or(0, Vec::len);
    assert_eq!(variables, 7, "{containers}");
    // Merge: null takes away.
    patch(
        "merge",
        &json!({"metadata": {"labels": {"a": "b", "name": null}}}),
    );
    assert_eq!(controller()["metadata"]["labels"], json!({"a": "b"}));
    // What kubectl compares must not be changed by others meanwhile.
    application.settled();
    let same = patch("merge", &json!({"metadata": {"labels": {"a": "b"}}}));
    assert_eq!(
        same,
        "replicationcontroller/busmeme-rc patched (no change)\n"
    );
    // JSON: operations in order, none if one fails.
    patch(
        "json",
        &json!([
            {"op": "test", "path": "/metadata/labels/a", "value": "b"},
            {"op": "remove", "path": "/metadata/labels/a"},
            {"op": "add", "path": "/metadata/labels/name", "value": "busmeme-rc"},
            {"op": "remove", "path": "/spec/template/spec/containers/1/env/0"},
        ]),
    );
    assert_eq!(
        controller()["metadata"]["labels"],
        json!({"name": "busmeme-rc"})
    );
    let before = application.settled();
    let wrong = json!([
        {"op": "add", "path": "/metadata/labels/x", "value": "y"},
        {"op": "test", "path": "/metadata/labels/name", "value": "other"},
    ]);
    let output = namespace.try_call(
        &[
            "patch",
            "rc",
            "busmeme-rc",
            "--type=json",
            "-p",
            &wrong.to_string(),
        ],
        "",
    );
    assert!(!output.success, "{output:?}");
    assert_eq!(controller()["metadata"], before["metadata"]);
    // And a subresource.
    namespace.run(
        r#"patch rc busmeme-rc --subresource=scale --type=merge -p '{"spec":{"replicas":1}}'"#,
    );
    application.pods(1);
    application.two_pods();
}

pub fn edit(application: &Application) {
    let namespace = &application.namespace;
    application.two_pods();
    let editor = |script: &str| namespace.env("KUBE_EDITOR", &format!("sed -i '{script}'"));
    let told = editor("s/replicas: 2/replicas: 1/").run("edit rc busmeme-rc");
    assert_eq!(told, "replicationcontroller/busmeme-rc edited\n");
    application.pods(1);
    let told = editor("s/nothing like it/x/").try_run("edit rc busmeme-rc");
    assert_eq!(told.stderr, "Edit cancelled, no changes made.\n");
    application.two_pods();
}

pub fn replace(application: &Application) {
    let namespace = &application.namespace;
    application.two_pods();
    let manifest = namespace.run("get rc busmeme-rc -o yaml");
    let changed = manifest.replacen("  labels:\n", "  labels:\n    replaced: \"yes\"\n", 1);
    let told = namespace.feed("replace -f -", &changed);
    assert_eq!(told, "replicationcontroller/busmeme-rc replaced\n");
    assert_eq!(
        namespace.run("get rc -l replaced=yes -o name"),
        "replicationcontroller/busmeme-rc\n"
    );
    // What was read before that change can't be written any more.
    let stale = namespace.refused("replace -f -", &manifest);
    assert_eq!(
        stale,
        "Error from server (Conflict): error when replacing \"STDIN\": Operation cannot be fulfilled on replicationcontrollers \"busmeme-rc\": the object has been modified; please apply your changes to the latest version and try again\n"
    );
}

pub fn apply(application: &Application) {
    let namespace = &application.namespace;
    let manifest = Application::manifest("busmeme-rc-changed.yml");
    let line = format!("apply -f {}", manifest.display());
    let output = namespace.try_run(&line);
    assert_eq!(
        output.stdout, "replicationcontroller/busmeme-rc configured\n",
        "{}",
        output.stderr
    );
    assert_has(
        &output.stderr,
        &[
            "Warning: resource replicationcontrollers/busmeme-rc is missing the kubectl.kubernetes.io/last-applied-configuration annotation",
        ],
    );
    assert_eq!(
        namespace.run(&line),
        "replicationcontroller/busmeme-rc unchanged\n"
    );
    // The template is for pods to come: these stay until they are deleted.
    let old = application.pods(2);
    assert!(
        images(&old).iter().all(|image| image.ends_with("web:1")),
        "{old:?}"
    );
    let _back = defer(|| {
        let original = Application::manifest("busmeme-rc.yml");
        namespace.try_run(&format!("apply -f {}", original.display()));
        namespace.try_run("delete pods -l name=web");
    });
    namespace.run("delete pods -l name=web");
    let new = application.pods(2);
    assert!(
        images(&new).iter().all(|image| image.ends_with("web:2")),
        "{new:?}"
    );
    for worker in &application.workers {
        let page = application.visit(worker, "is of version 2", |page| {
            page.contains("version: 2")
        });
        assert_has(&page, &["Two memes for every bus."]);
    }
}

fn images(pods: &[Pod]) -> Vec<String> {
    let image = |pod: &Pod| {
        pod.container("web")["image"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    pods.iter().map(image).collect()
}
