//! `hardway-follow`: what became of a request, told by all processes in the order of causes.

use std::collections::HashMap;
use std::process::{Child, Command, Stdio};

use hardway_tests::manifest::{service, web_server};
use hardway_tests::wait::holds;
use hardway_tests::{Lab, Namespace, defer, program, until};
use serde_json::{Value, json};

/// Lines of a story, as JSON.
struct Story(Vec<Value>);

impl Story {
    fn of(stdout: &[u8]) -> Self {
        let text = String::from_utf8_lossy(stdout);
        let lines = text.lines().map(|line| {
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
        });
        Self(lines.collect())
    }

    /// The steps of a process, in one word each, about a resource.
    fn find(&self, process: &str, what: &str, resource: &str) -> Option<&Value> {
        self.0.iter().find(|line| {
            let is = |field: &str, text: &str| line[field] == text;
            is("process", process)
                && is("what", what)
                && (resource.is_empty() || is("resource", resource))
        })
    }

    #[track_caller]
    fn has(&self, process: &str, what: &str, resource: &str) -> &Value {
        let found = self.find(process, what, resource);
        found.unwrap_or_else(|| {
            panic!(
                "no step {what} of {process} about {resource}: {:#?}",
                self.0
            )
        })
    }

    fn end(&self) -> &Value {
        self.0.last().expect("a last line")
    }
}

/// Follows, with these arguments.
fn follow(arguments: &[&str]) -> Child {
    let mut command = Command::new(program::built("hardway-follow"));
    let command = command
        .args(["--output=json", "--timeout=30s"])
        .args(arguments);
    let command = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command.spawn().expect("hardway-follow runs")
}

#[track_caller]
fn ended(child: Child) -> (i32, Story, String) {
    let output = child.wait_with_output().expect("it ends");
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    let code = output.status.code().expect("it ends by itself");
    (code, Story::of(&output.stdout), errors)
}

/// A Deployment and a Service before it.
fn web(namespace: &Namespace) -> tempfile::NamedTempFile {
    let mut of_pod = json!({"containers": [web_server("web")]});
    of_pod["terminationGracePeriodSeconds"] = json!(1);
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "web", "namespace": namespace.name},
        "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": of_pod}}});
    let mut service = service("web", "web", json!({}));
    service["metadata"]["namespace"] = json!(namespace.name);
    let list = json!({"apiVersion": "v1", "kind": "List", "items": [service, deployment]});
    let file = tempfile::NamedTempFile::with_suffix(".json").expect("a file");
    std::fs::write(file.path(), list.to_string()).expect("write it");
    file
}

#[test]
#[ignore = "needs a lab: cargo hardway test"]
fn a_request_is_followed_through_all_processes() {
    let lab = Lab::open();
    let namespace = Namespace::new("follow");
    let file = web(&namespace);
    let kubectl = namespace.program().display().to_string();
    let path = file.path().display().to_string();
    let create = ["--", kubectl.as_str(), "create", "-f", path.as_str()];
    let (code, story, errors) = ended(follow(&create));
    assert_eq!(code, 0, "{errors}{:#?}", story.0);
    assert_eq!(story.end()["result"], "ready");
    in_the_order_of_causes(&story, lab.workers().len());
    one_object_later(&namespace);
    refused(&namespace, &kubectl);
    the_scheduler_dies(&lab, &namespace);
}

/// Each step was known of only because of the one before.
fn in_the_order_of_causes(story: &Story, workers: usize) {
    let begun = |step: &Value| step["time"].as_str().expect("a time").to_owned();
    let steps = [
        story.has("apiserver", "request", "deployments.apps"),
        story.has("apiserver", "stored", "deployments.apps"),
        story.has("controller-manager", "heard", "deployments.apps"),
        story.has("apiserver", "stored", "replicasets.apps"),
        story.has("apiserver", "stored", "pods"),
        story.has("scheduler", "heard", "pods"),
        story.has("scheduler", "scheduled", "pods"),
        story.has("kubelet", "heard", "pods"),
        story.has("kubelet", "sandbox", "pods"),
        story.has("kubelet", "created", "pods"),
        story.has("kubelet", "started", "pods"),
        story.has("kubelet", "probe", "pods"),
    ];
    for pair in steps.windows(2) {
        assert!(
            begun(pair[0]) <= begun(pair[1]),
            "{} before {}",
            pair[0],
            pair[1]
        );
    }
    let request = steps[0];
    assert_eq!(request["cause"], true);
    assert_eq!(request["details"]["verb"], "create");
    assert_eq!(request["details"]["identity"], "client certificate");
    // A node's kubelet speaks for that node, where the scheduler has put the pod.
    let chosen = &story.has("scheduler", "scheduled", "pods")["details"];
    assert_eq!(
        story.has("kubelet", "sandbox", "pods")["host"],
        chosen["node"]
    );
    assert_eq!(chosen["nodes"], workers.to_string());
    // Work is known by the name that its requests carry.
    let work = story.has("controller-manager", "reconciled", "");
    let name = format!("{}.", work["auditID"].as_str().expect("a name"));
    let carries = |line: &Value| {
        line["what"] == "request"
            && line["auditID"]
                .as_str()
                .is_some_and(|id| id.starts_with(&name))
    };
    assert!(story.0.iter().any(carries), "{work}");
    // The Service: its name, its slice, and every node's kernel.
    story.has("apiserver", "stored", "endpointslices.discovery.k8s.io");
    story.has("dns", "name", "services");
    let mut hosts = HashMap::new();
    let rules = |line: &&Value| line["what"] == "nftables" && line["process"] == "proxy";
    for line in story.0.iter().filter(rules) {
        *hosts
            .entry(line["host"].as_str().unwrap_or_default())
            .or_insert(0) += 1;
    }
    assert_eq!(hosts.len(), workers, "{hosts:?}");
    let summary = story.end()["summary"].to_string();
    assert!(
        summary.contains("ready after") && summary.contains("sandbox"),
        "{summary}"
    );
}

/// What has happened a moment ago is remembered.
fn one_object_later(namespace: &Namespace) {
    let (code, story, errors) = ended(follow(&["-n", &namespace.name, "deploy/web"]));
    assert_eq!(code, 0, "{errors}");
    story.has("scheduler", "scheduled", "pods");
    story.has("kubelet", "started", "pods");
    let (code, _, errors) = ended(follow(&["-n", &namespace.name, "deploy/other"]));
    assert_eq!(code, 1);
    assert!(
        errors.contains("deployment.apps/other is not there"),
        "{errors}"
    );
}

/// A refusal is the end of the story.
fn refused(namespace: &Namespace, kubectl: &str) {
    let create = [
        "create",
        "deployment",
        "web",
        "--image=busybox",
        "-n",
        &namespace.name,
    ];
    let (code, story, errors) = ended(follow(&[&["--", kubectl][..], &create[..]].concat()));
    assert_eq!(code, 3, "{errors}");
    let request = story.has("apiserver", "request", "deployments.apps");
    assert_eq!(request["details"]["code"], "409");
    assert_eq!(request["details"]["reason"], "AlreadyExists");
    assert!(story.find("scheduler", "scheduled", "").is_none());
}

/// A process that dies is missing, and is there again when it is back.
fn the_scheduler_dies(lab: &Lab, namespace: &Namespace) {
    let _again = defer(|| {
        lab.try_tool("start scheduler");
    });
    lab.tool("kill scheduler");
    let scaled = namespace.program().display().to_string();
    let scale = [
        "scale",
        "deployment/web",
        "--replicas=2",
        "-n",
        &namespace.name,
    ];
    let following = follow(&[&["--", scaled.as_str()][..], &scale[..]].concat());
    until("the pod waits", || {
        let pods = namespace.json("get pods -l app=web");
        let waits = |pod: &Value| pod["spec"]["nodeName"].is_null();
        let all = pods["items"].as_array();
        holds(all.is_some_and(|all| all.iter().any(waits)), &pods)
    });
    lab.tool("start scheduler");
    let (code, story, errors) = ended(following);
    assert_eq!(code, 0, "{errors}{:#?}", story.0);
    let time = |step: &Value| step["time"].as_str().map(str::to_owned);
    let stored = story.has("apiserver", "stored", "pods");
    let chosen = story.has("scheduler", "scheduled", "pods");
    assert!(time(stored) < time(chosen), "{stored} {chosen}");
}
