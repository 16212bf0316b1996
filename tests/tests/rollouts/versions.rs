//! The life of one Deployment, with a visitor who must notice versions and nothing else.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hardway_tests::manifest::PROBE_TIMEOUT;
use hardway_tests::pods;
use hardway_tests::text::{assert_has, rows};
use hardway_tests::{http, until};
use serde_json::{Value, json};

use super::{Rollouts, deployment, name, revision};

const PORT: u16 = 30072;

fn version(number: u32) -> Value {
    let container = json!({
        "name": "lb-app",
        "image": format!("hardway.example/lb-app:{number}"),
        "ports": [{"containerPort": 9999}],
        "readinessProbe": {"httpGet": {"path": "/healthz", "port": 9999}, "periodSeconds": 1, "timeoutSeconds": PROBE_TIMEOUT},
    });
    deployment("web", 2, container, json!({}))
}

/// What a visitor saw: versions one after another, and what went wrong.
#[derive(Debug, Default)]
struct Seen {
    versions: Vec<String>,
    visits: usize,
    failures: Vec<String>,
}

impl Seen {
    fn visit(&mut self, address: &str) {
        self.visits += 1;
        match ask(address) {
            Ok(version) if self.versions.last() == Some(&version) => {}
            Ok(version) => self.versions.push(version),
            Err(error) => self.failures.push(error),
        }
    }
}

fn ask(address: &str) -> Result<String, String> {
    let answer = http::get(address, "/").map_err(|error| format!("{address}: {error}"))?;
    let version = answer
        .body
        .lines()
        .find_map(|l| l.strip_prefix("VERSION: "));
    match version {
        Some(version) if answer.status == 200 => Ok(version.to_owned()),
        _ => Err(format!("{address}: {answer:?}")),
    }
}

pub fn there_and_back(rollouts: &Rollouts) {
    let kubectl = &rollouts.namespace;
    rollouts.create(&version(1));
    first(rollouts);
    let ports = json!([{"port": 9999, "nodePort": PORT}]);
    kubectl.create(&json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"},
        "spec": {"type": "NodePort", "selector": {"app": "web"}, "ports": ports},
    }));
    let addresses: Vec<String> = rollouts
        .workers
        .iter()
        .map(|worker| format!("{}:{PORT}", worker.address))
        .collect();
    for address in &addresses {
        until("version 1 answers", || ask(address));
    }
    let end = AtomicBool::new(false);
    let seen = std::thread::scope(|scope| {
        let visitor = scope.spawn(|| {
            let mut seen = Seen::default();
            for address in addresses.iter().cycle() {
                if end.load(Ordering::Relaxed) {
                    break;
                }
                seen.visit(address);
                // A visitor's pace, so as to leave some of the machine to the others.
                std::thread::sleep(Duration::from_millis(5));
            }
            seen
        });
        let went = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            change(rollouts);
            // Whoever was still sent to the version before is a visitor like any other.
            for address in &addresses {
                until("version 1 alone answers again", || {
                    let met: Result<BTreeSet<String>, String> =
                        (0..20).map(|_| ask(address)).collect();
                    let met = met?;
                    hardway_tests::wait::holds(met.iter().eq(["1"]), format!("{met:?}"))
                });
            }
        }));
        end.store(true, Ordering::Relaxed);
        let seen = visitor.join().expect("the visitor doesn't panic");
        went.map(|()| seen)
    });
    let seen = seen.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    assert!(
        seen.failures.is_empty(),
        "of {} visits: {:?}",
        seen.visits,
        seen.failures
    );
    // Both versions answer in the midst of a rollout, so they come in turns.
    let first_and_last = (seen.versions.first(), seen.versions.last());
    let (one, two) = ("1".to_owned(), "2".to_owned());
    assert_eq!(first_and_last, (Some(&one), Some(&one)), "{seen:?}");
    assert!(seen.versions.contains(&two), "{seen:?}");
    afterwards(rollouts);
}

/// How it looks after the first version was rolled out.
fn first(rollouts: &Rollouts) {
    let kubectl = &rollouts.namespace;
    let table = rows(&kubectl.run("get deployment web"));
    assert_eq!(table[1][..4], ["web", "2/2", "2", "2"]);
    let sets = rollouts.sets("web");
    let set = name(&sets[0]);
    let hash = set
        .strip_prefix("web-")
        .expect("the Deployment's name first");
    assert!(
        hash.chars()
            .all(|c| "bcdfghjklmnpqrstvwxz2456789".contains(c)),
        "{hash}"
    );
    for pod in pods::wait_ready(kubectl, &format!("pod-template-hash={hash}"), 2) {
        assert!(pod.name().starts_with(&format!("{set}-")), "{}", pod.name());
    }
    let created = format!("web-{hash} (2/2 replicas created)");
    let scaled = format!("Scaled up replica set {set} from 0 to 2");
    until("the event is there", || {
        let events = kubectl.try_run("events --for deployment/web").ok()?;
        hardway_tests::wait::holds(events.contains(&scaled), events)
    });
    assert_has(
        &kubectl.run("describe deployment web"),
        &[
            "Name: web",
            "Annotations: deployment.kubernetes.io/revision: 1",
            "Selector: app=web",
            "Replicas: 2 desired | 2 updated | 2 total | 2 available | 0 unavailable",
            "StrategyType: RollingUpdate",
            "MinReadySeconds: 0",
            "RollingUpdateStrategy: 25% max unavailable, 25% max surge",
            "Image: hardway.example/lb-app:1",
            "Available True MinimumReplicasAvailable",
            "Progressing True NewReplicaSetAvailable",
            "OldReplicaSets: <none>",
            &format!("NewReplicaSet: {created}"),
            "Normal ScalingReplicaSet",
            &format!("deployment-controller {scaled}"),
        ],
    );
    let created = format!("Created pod: {set}-");
    let described = until("the ReplicaSet's events are there", || {
        let told = kubectl.try_run(&format!("describe rs {set}")).ok()?;
        hardway_tests::wait::holds(told.contains(&created), &told).map(|()| told)
    });
    assert_has(
        &described,
        &[
            "Controlled By: Deployment/web",
            "Replicas: 2 current / 2 desired",
            "Pods Status: 2 Running / 0 Waiting / 0 Succeeded / 0 Failed",
            &format!("replicaset-controller Created pod: {set}-"),
        ],
    );
}

/// There, and back again.
fn change(rollouts: &Rollouts) {
    let kubectl = &rollouts.namespace;
    let replaced = kubectl.feed("replace -f -", &version(2).to_string());
    assert_eq!(replaced, "deployment.apps/web replaced\n");
    let told = rollouts.rolled_out("web");
    assert!(
        told.contains("Waiting for deployment \"web\" rollout to finish"),
        "{told}"
    );
    let history = rows(&kubectl.run("rollout history deployment/web"));
    assert_eq!(
        history[1..],
        [
            ["REVISION", "CHANGE-CAUSE"],
            ["1", "<none>"],
            ["2", "<none>"]
        ]
    );
    assert_has(
        &kubectl.run("rollout history deployment/web --revision=1"),
        &[
            "with revision #1",
            "pod-template-hash=",
            "Image: hardway.example/lb-app:1",
        ],
    );
    let undone = kubectl.run("rollout undo deployment/web --to-revision=1");
    assert_eq!(undone, "deployment.apps/web rolled back\n");
    rollouts.rolled_out("web");
    let sets = rollouts.sets("web");
    assert_eq!(
        sets.iter().map(revision).collect::<Vec<_>>(),
        [2, 3],
        "1 has become 3"
    );
    let former = "deployment.kubernetes.io/revision-history";
    assert_eq!(sets[1]["metadata"]["annotations"][former], "1");
    let current = ".metadata.annotations.deployment\\.kubernetes\\.io/revision";
    assert_eq!(rollouts.field("deploy web", current), "3");
}

/// What needs no visitor.
fn afterwards(rollouts: &Rollouts) {
    let kubectl = &rollouts.namespace;
    let cause = "annotate deploy web kubernetes.io/change-cause='the second version'";
    let set = "set image deployment/web lb-app=hardway.example/lb-app:2";
    assert_eq!(kubectl.run(set), "deployment.apps/web image updated\n");
    kubectl.run(cause);
    rollouts.rolled_out("web");
    until("the cause is in the history", || {
        let history = kubectl.try_run("rollout history deploy/web").ok()?;
        let found = rows(&history)
            .iter()
            .any(|row| row[..] == ["4", "the second version"]);
        hardway_tests::wait::holds(found, history)
    });
    let before = pods::wait_ready(kubectl, "app=web", 2);
    let restarted = kubectl.run("rollout restart deployment/web");
    assert_eq!(restarted, "deployment.apps/web restarted\n");
    rollouts.rolled_out("web");
    for pod in pods::wait_ready(kubectl, "app=web", 2) {
        assert!(before.iter().all(|old| old.uid() != pod.uid()));
        let annotations = &pod.value()["metadata"]["annotations"];
        assert!(annotations["kubectl.kubernetes.io/restartedAt"].is_string());
    }
    assert_eq!(
        kubectl.run("scale deploy/web --replicas=1"),
        "deployment.apps/web scaled\n"
    );
    rollouts.rolled_out("web");
    pods::wait_ready(kubectl, "app=web", 1);
    let exposed = kubectl.run("expose deployment web --name=inside --port=80 --target-port=9999");
    assert_eq!(exposed, "service/inside exposed\n");
    assert_eq!(rollouts.field("svc inside", ".spec.selector.app"), "web");
}
