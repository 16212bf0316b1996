//! Chapter 1 of the tutorial, command by command: a web application with its
//! database in one pod, twice, behind a port of every node.

#[path = "chapter1/changing.rs"]
mod changing;
#[path = "chapter1/ending.rs"]
mod ending;
#[path = "chapter1/inside.rs"]
mod inside;
#[path = "chapter1/looking.rs"]
mod looking;
#[path = "chapter1/running.rs"]
mod running;

use std::path::{Path, PathBuf};

use hardway_tests::lab::Worker;
use hardway_tests::pods::{self, Pod};
use hardway_tests::{Lab, Namespace, steps, until, wait};
use serde_json::Value;

/// The application, the namespace it is in, and where it can be visited.
struct Application {
    namespace: Namespace,
    lab: Lab,
    workers: Vec<Worker>,
}

impl Application {
    /// A manifest of the tutorial.
    fn manifest(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../deploy/examples/tutorial")
            .join(name)
    }

    /// A line with the name of a manifest at its end.
    fn on_manifest(&self, line: &str, name: &str) -> String {
        let path = Self::manifest(name);
        self.namespace.run(&format!("{line} {}", path.display()))
    }

    /// Waits for exactly so many pods that serve.
    fn pods(&self, count: usize) -> Vec<Pod> {
        pods::wait_ready(&self.namespace, "name=web", count)
    }

    /// Makes the application run as the tutorial has it, whatever was done to it.
    fn two_pods(&self) -> Vec<Pod> {
        let scaled = self.namespace.try_run("scale rc busmeme-rc --replicas=2");
        if !scaled.success {
            self.on_manifest("create -f", "busmeme-rc.yml");
        }
        let pods = self.pods(2);
        self.settled();
        pods
    }

    /// Waits until the controller has told all it knows: its object stays as it is until
    /// somebody changes it. Tells the object.
    fn settled(&self) -> Value {
        until("the controller's status is up to date", || {
            let controller = self.namespace.try_json("get rc busmeme-rc")?;
            let (status, wanted) = (&controller["status"], &controller["spec"]["replicas"]);
            let counts = [
                "replicas",
                "fullyLabeledReplicas",
                "readyReplicas",
                "availableReplicas",
            ];
            let good = counts.iter().all(|count| status[count] == *wanted)
                && status["observedGeneration"] == controller["metadata"]["generation"];
            wait::holds(good, status)?;
            Ok(controller)
        })
    }

    /// Visits a node until the page is as asked.
    fn visit(&self, worker: &Worker, what: &str, good: impl Fn(&str) -> bool) -> String {
        let address = format!("{}:30061", worker.address);
        until(&format!("http://{address}/ {what}"), || {
            let answer = hardway_tests::http::get(&address, "/").map_err(|e| e.to_string())?;
            if answer.status == 200 && good(&answer.body) {
                Ok(answer.body)
            } else {
                Err(format!("{answer:?}"))
            }
        })
    }
}

#[test]
#[ignore = "needs a lab: cargo hardway test"]
fn the_tutorial_works() {
    let lab = Lab::open();
    let application = Application {
        namespace: Namespace::new("chapter1"),
        workers: lab.workers(),
        lab,
    };
    let steps: &[steps::Step<Application>] = &[
        ("cluster-info", looking::cluster_info),
        ("api-versions", looking::api_versions),
        ("version", looking::version),
        ("get nodes", looking::get_nodes),
        ("get events of an empty namespace", looking::no_events),
        ("explain", looking::explain),
        ("create the controller", running::create_controller),
        ("get everything", looking::get_everything),
        ("get events", looking::events),
        ("describe pod", looking::describe_pod),
        ("describe rc", looking::describe_controller),
        ("describe node", looking::describe_node),
        ("create the service", running::create_service),
        ("describe svc", looking::describe_service),
        ("visit the service", running::visit_service),
        ("the database remembers", running::database_remembers),
        ("scale beyond the ports", running::scale_beyond_ports),
        ("logs", inside::logs),
        ("the end of a log", inside::logs_tail),
        ("logs, followed", inside::logs_followed),
        ("exec", inside::exec),
        ("exec in a terminal", inside::terminal),
        ("attach", inside::attach),
        ("cp", inside::copy),
        ("port-forward", inside::port_forward),
        ("logs of a container before", inside::logs_previous),
        ("label", changing::label),
        ("annotate", changing::annotate),
        ("patch", changing::patch),
        ("edit", changing::edit),
        ("replace", changing::replace),
        ("apply a change", changing::apply),
        ("delete a pod", ending::delete_pod),
        ("cordon, drain, uncordon", ending::drain),
        ("delete and leave the pods", ending::delete_orphaning),
        ("delete with the pods", ending::delete_cascading),
    ];
    steps::run(&application, &application.namespace, steps);
}
