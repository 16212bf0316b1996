//! What a pod's manifest asks for is what its containers find.

use hardway_tests::manifest::{IDLE, container, pod};
use hardway_tests::pods;
use hardway_tests::{Namespace, steps};
use serde_json::{Value, json};

#[path = "pods/health.rs"]
mod health;
#[path = "pods/inside.rs"]
mod inside;
#[path = "pods/lives.rs"]
mod lives;
#[path = "pods/placing.rs"]
mod placing;
#[path = "pods/volumes.rs"]
mod volumes;

#[test]
#[ignore = "needs a lab: cargo hardway test"]
fn pods_are_what_they_ask_for() {
    let namespace = Namespace::new("pods");
    let steps: &[steps::Step<Namespace>] = &[
        ("init containers in order", lives::init_containers),
        ("failing init container", lives::failing_init),
        ("restart policy Never", lives::never_restarted),
        ("restart policy OnFailure", lives::restarted_on_failure),
        ("crash loop", lives::crash_loop),
        ("image that isn't there", lives::missing_image),
        ("config that isn't there", lives::missing_config),
        ("environment", inside::environment),
        ("command and arguments", inside::command_and_arguments),
        ("emptyDir", volumes::empty_dir),
        ("hostPath", volumes::host_path),
        ("configMap and secret volumes", volumes::config_volumes),
        ("projected volume", volumes::projected),
        ("subPath", volumes::sub_path),
        ("volume beyond its size", volumes::beyond_its_size),
        ("readiness probe", health::readiness_probe),
        ("liveness probe", health::liveness_probe),
        ("startup probe", health::startup_probe),
        ("hooks", health::hooks),
        ("termination message", health::termination_message),
        ("grace period", health::grace_period),
        ("security context", inside::security_context),
        ("resources", inside::resources),
        ("too large for any node", placing::unschedulable),
        ("out of memory", inside::out_of_memory),
        ("shared process namespace", inside::shared_processes),
        ("node selector", placing::node_selector),
        ("static pod", placing::static_pod),
        ("update of an image", lives::update_image),
        ("eviction", placing::eviction),
        ("deadline", lives::deadline),
    ];
    steps::run(&namespace, &namespace, steps);
}

/// Creates a pod of one container whose parts are given, without waiting.
fn create(namespace: &Namespace, name: &str, main: Value, mut spec: Value) {
    spec["containers"] = json!([main]);
    namespace.create(&pod(name, spec));
}

/// A container that idles, with something more.
fn idle_with(more: Value) -> Value {
    merge(container("main", IDLE), more)
}

fn merge(mut into: Value, more: Value) -> Value {
    for (key, value) in more.as_object().into_iter().flatten() {
        into[key] = value.clone();
    }
    into
}

fn remove(namespace: &Namespace, name: &str) {
    namespace.run(&format!("delete pod {name} --wait=false"));
}

fn ended(pod: &pods::Pod) -> bool {
    ["Succeeded", "Failed"].contains(&pod.phase().as_str())
}
