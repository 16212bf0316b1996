//! Manifests of the tests' own pods and services.

use serde_json::{Value, json};

/// An image with a shell.
pub const BUSYBOX: &str = "busybox:1.36";

/// What a container does that only has to be there. A shell as process 1 ends at
/// once when asked, which `sleep` would not.
pub const IDLE: &str = "trap 'exit 0' TERM; while :; do sleep 1000 & wait; done";

/// A container that runs a script.
pub fn container(name: &str, script: &str) -> Value {
    json!({"name": name, "image": BUSYBOX, "command": ["sh", "-c", script]})
}

/// A web server on port 8080 that tells its pod's name and logs its visitors.
pub fn web_server(name: &str) -> Value {
    let mut server = container(
        name,
        "mkdir -p /www && hostname > /www/index.html && exec httpd -f -vv -p 8080 -h /www",
    );
    server["ports"] = json!([{"containerPort": 8080}]);
    server["readinessProbe"] = json!({
        "httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1, "timeoutSeconds": PROBE_TIMEOUT,
    });
    server
}

/// Seconds that a probe may take where nothing is to be shown by a slow one: with the
/// default of one, a machine that is busy with much else makes what is well look ill.
pub const PROBE_TIMEOUT: u32 = 10;

/// A probe that asks every second whether a file is there; one failure is enough.
pub fn file_probe(file: &str) -> Value {
    json!({
        "exec": {"command": ["test", "-e", file]},
        "periodSeconds": 1, "failureThreshold": 1, "timeoutSeconds": PROBE_TIMEOUT,
    })
}

/// A pod with the label `app`, of its own name, that ends quickly.
pub fn pod(name: &str, mut spec: Value) -> Value {
    if spec["terminationGracePeriodSeconds"].is_null() {
        spec["terminationGracePeriodSeconds"] = json!(1);
    }
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": spec,
    })
}

/// A replication controller and its pods, labelled `app` with its name.
pub fn replication_controller(name: &str, replicas: u32, mut spec: Value) -> Value {
    spec["terminationGracePeriodSeconds"] = json!(1);
    json!({
        "apiVersion": "v1",
        "kind": "ReplicationController",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"app": name},
            "template": {"metadata": {"labels": {"app": name}}, "spec": spec},
        },
    })
}

/// A service on port 80 for the web servers of an app.
pub fn service(name: &str, app: &str, mut spec: Value) -> Value {
    spec["selector"] = json!({"app": app});
    if spec["ports"].is_null() {
        spec["ports"] = json!([{"port": 80, "targetPort": 8080}]);
    }
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec})
}
