//! Deployments: new versions and back, without a visitor noticing; held, scaled
//! in the middle, failing, forgetting; and what becomes of their ReplicaSets.

#[path = "rollouts/held.rs"]
mod held;
#[path = "rollouts/owning.rs"]
mod owning;
#[path = "rollouts/versions.rs"]
mod versions;

use hardway_tests::lab::Worker;
use hardway_tests::manifest::{IDLE, container};
use hardway_tests::{Lab, Namespace, steps, until, wait};
use serde_json::{Value, json};

/// The namespace all are in, and where visitors come from.
struct Rollouts {
    namespace: Namespace,
    workers: Vec<Worker>,
}

/// An image that is nowhere.
const MISSING: &str = "hardway.example/lb-app:none";

#[test]
#[ignore = "needs a lab: cargo hardway test"]
fn deployments_roll() {
    let rollouts = Rollouts {
        namespace: Namespace::new("rollouts"),
        workers: Lab::open().workers(),
    };
    // Each has Deployments of its own, and mostly waits.
    let steps: &[steps::Step<Rollouts>] = &[
        ("a new version and back", versions::there_and_back),
        ("pause, change, resume", held::pause_and_resume),
        ("recreate", held::recreate),
        ("scaled in the middle of a rollout", held::proportional),
        ("the deadline passes", held::deadline),
        ("ready for a while", held::min_ready_seconds),
        ("old revisions are forgotten", owning::history_limit),
        ("orphans are adopted", owning::orphans),
        ("a name that is taken", owning::collision),
        ("delete with all", owning::cascades),
        ("autoscale", owning::autoscale),
        ("what is refused", owning::refused),
    ];
    steps::run_side_by_side(&rollouts, &rollouts.namespace, steps);
}

/// A Deployment of pods labelled `app` with its name.
fn deployment(name: &str, replicas: u32, container: Value, mut spec: Value) -> Value {
    spec["replicas"] = json!(replicas);
    spec["selector"] = json!({"matchLabels": {"app": name}});
    spec["template"] = json!({
        "metadata": {"labels": {"app": name}},
        "spec": {"containers": [container], "terminationGracePeriodSeconds": 10},
    });
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec})
}

/// The same with pods that only have to be there.
fn idle(name: &str, replicas: u32, spec: Value) -> Value {
    deployment(name, replicas, container("main", IDLE), spec)
}

impl Rollouts {
    /// Creates a Deployment and waits until it is rolled out.
    #[track_caller]
    fn create(&self, manifest: &Value) {
        self.namespace.create(manifest);
        let name = manifest["metadata"]["name"].as_str().unwrap_or_default();
        self.rolled_out(name);
    }

    /// Waits as `kubectl rollout status` does; tells what it prints.
    #[track_caller]
    fn rolled_out(&self, name: &str) -> String {
        let line = format!("rollout status deploy/{name} --timeout=90s");
        let told = self.namespace.run(&line);
        let done = format!("deployment \"{name}\" successfully rolled out\n");
        assert!(told.ends_with(&done), "{told}");
        told
    }

    /// A Deployment's ReplicaSets, by revision.
    fn try_sets(&self, name: &str) -> Result<Vec<Value>, String> {
        let list = self.namespace.try_json(&format!("get rs -l app={name}"))?;
        let mut sets = list["items"].as_array().cloned().unwrap_or_default();
        sets.sort_by_key(revision);
        Ok(sets)
    }

    #[track_caller]
    fn sets(&self, name: &str) -> Vec<Value> {
        self.try_sets(name)
            .unwrap_or_else(|error| panic!("{error}"))
    }

    /// Waits until a Deployment's ReplicaSets, by revision, have these sizes.
    #[track_caller]
    fn wait_sizes(&self, name: &str, sizes: &[u64]) {
        until(&format!("sizes of {name} are {sizes:?}"), || {
            let sets = self.try_sets(name)?;
            let seen: Vec<u64> = sets.iter().filter_map(size).collect();
            wait::holds(seen == sizes, format!("{seen:?}"))
        });
    }

    /// Waits until a condition of a Deployment has a reason; gives the condition.
    #[track_caller]
    fn wait_reason(&self, name: &str, kind: &str, reason: &str) -> Value {
        until(&format!("{name} is {kind} because {reason}"), || {
            let deployment = self.namespace.try_json(&format!("get deploy {name}"))?;
            let conditions = deployment["status"]["conditions"].as_array();
            let condition = conditions.into_iter().flatten().find(|c| c["type"] == kind);
            let condition = condition.cloned().unwrap_or_default();
            wait::holds(condition["reason"] == reason, deployment["status"].clone())?;
            Ok(condition)
        })
    }

    /// One field of an object.
    #[track_caller]
    fn field(&self, object: &str, path: &str) -> String {
        self.namespace
            .run(&format!("get {object} -o jsonpath={{{path}}}"))
    }
}

/// The revision of a ReplicaSet.
fn revision(set: &Value) -> u64 {
    let text = set["metadata"]["annotations"]["deployment.kubernetes.io/revision"].as_str();
    text.and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn size(set: &Value) -> Option<u64> {
    set["spec"]["replicas"].as_u64()
}

fn name(set: &Value) -> String {
    set["metadata"]["name"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}
