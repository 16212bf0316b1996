//! Everything that clients do all the time, noting each request that fails.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use hardway_tests::http::{Answer, Request};
use hardway_tests::kubectl::Running;
use hardway_tests::tls::Client;
use hardway_tests::workload::Workload;
use hardway_tests::{Lab, pods, until};
use serde_json::{Value, json};

/// Between two requests of the same sort.
const PAUSE: Duration = Duration::from_millis(100);

/// How often each thing was done.
#[derive(Debug, Default)]
pub struct Done(BTreeMap<&'static str, usize>);

impl Done {
    /// How often anything was.
    pub fn count(&self) -> usize {
        self.0.values().sum()
    }
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<String> = self
            .0
            .iter()
            .map(|(what, n)| format!("{n} {what}"))
            .collect();
        write!(f, "{} requests: {}", self.count(), parts.join(", "))
    }
}

#[derive(Debug, Default)]
struct Notes {
    done: Done,
    failed: Vec<String>,
}

#[derive(Debug, Default)]
struct Shared {
    over: AtomicBool,
    notes: Mutex<Notes>,
}

impl Shared {
    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, what: &'static str, outcome: Result<(), String>) {
        let mut notes = self.notes();
        match outcome {
            Ok(()) => *notes.done.0.entry(what).or_default() += 1,
            Err(why) => notes.failed.push(format!("{what}: {why}")),
        }
    }
}

/// Requests in the background, and a stream that is never cut.
#[derive(Debug)]
pub struct Load {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    follower: Running,
}

impl Load {
    /// Writes, reads, commands in a pod, and its log, in the namespace of a workload.
    pub fn start(workload: &Workload) -> Self {
        let namespace = &workload.namespace;
        let line = "i=0; while true; do i=$((i+1)); echo line $i; sleep 1; done";
        namespace.run(&format!(
            "run teller --image=busybox:1.36 --restart=Never -- sh -c '{line}'"
        ));
        until("the teller runs", || {
            let list = pods::try_list(namespace, "run=teller")?;
            let running = list.first().is_some_and(|pod| pod.phase() == "Running");
            hardway_tests::wait::holds(running, format!("{list:?}"))
        });
        let follower = namespace.spawn("logs --follow teller");
        let shared = Arc::new(Shared::default());
        let mut threads = Vec::new();
        for writer in 0..2 {
            let (shared, lab) = (Arc::clone(&shared), workload.lab.clone());
            let path = format!("/api/v1/namespaces/{}/configmaps", namespace.name);
            threads.push(std::thread::spawn(move || {
                for number in 0.. {
                    if shared.over.load(Ordering::Relaxed) {
                        break;
                    }
                    write(
                        &shared,
                        &lab,
                        &path,
                        &format!("c-{writer}-{}", number % 20),
                        number,
                    );
                    std::thread::sleep(PAUSE);
                }
            }));
        }
        for (what, line) in [
            (
                "lists by kubectl",
                "get pods,nodes,configmaps --output=name",
            ),
            ("commands in a pod", "exec teller -- cat /etc/hostname"),
            ("looks at a log", "logs --tail=1 teller"),
        ] {
            let (shared, kubectl) = (Arc::clone(&shared), (**namespace).clone());
            threads.push(std::thread::spawn(move || {
                while !shared.over.load(Ordering::Relaxed) {
                    shared.note(what, kubectl.try_run(line).ok().map(drop));
                    std::thread::sleep(5 * PAUSE);
                }
            }));
        }
        Self {
            shared,
            threads,
            follower,
        }
    }

    /// Fails if a request has failed.
    #[track_caller]
    pub fn assert_flawless(&self) {
        let notes = self.shared.notes();
        assert!(notes.failed.is_empty(), "{}", notes.failed.join("\n"));
    }

    /// Ends it; tells what was done, and what failed.
    pub fn finish(self) -> (Done, Vec<String>) {
        // The stream that was opened first still brings what is new.
        let printed = self.follower.printed();
        let lines = printed.lines().count();
        self.follower.wait_for(&format!("line {}\n", lines + 2));
        self.shared.over.store(true, Ordering::Relaxed);
        for thread in self.threads {
            drop(thread.join());
        }
        let mut notes = self.shared.notes();
        (
            std::mem::take(&mut notes.done),
            std::mem::take(&mut notes.failed),
        )
    }
}

/// Sends a request over a new connection, with the certificate that is there now.
fn send(lab: &Lab, request: &Request<'_>) -> Result<Answer, String> {
    let address = format!("{}:6443", lab.control_plane());
    let patience = Duration::from_secs(30);
    let client = until("the certificate has its key", || {
        Client::try_new(lab, "ca", &address, Some("admin"), patience)
    });
    client
        .send(request)
        .map_err(|failure| format!("{failure:?}"))
}

/// Makes an object or changes it, and reads what was acknowledged.
fn write(shared: &Shared, lab: &Lab, path: &str, name: &str, number: usize) {
    let own = format!("{path}/{name}?fieldManager=load&force=true");
    let value = number.to_string();
    let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name},
        "data": {"value": value}});
    let body = object.to_string();
    let outcome = send(
        lab,
        &Request {
            method: "PATCH",
            path: &own,
            headers: &["Content-Type: application/apply-patch+yaml"],
            body: &body,
        },
    );
    let is_done = |answer: &Answer| [200, 201].contains(&answer.status);
    let outcome = outcome.and_then(|answer| match is_done(&answer) {
        true => Ok(()),
        false => Err(format!("{answer:?}")),
    });
    let written = outcome.is_ok();
    shared.note("writes", outcome);
    if !written {
        return;
    }
    let read = send(lab, &Request::get(&format!("{path}/{name}"))).and_then(|answer| {
        let read: Value = serde_json::from_str(&answer.body).map_err(|e| e.to_string())?;
        match read["data"]["value"] == json!(value) {
            true => Ok(()),
            false => Err(format!("{name} isn't {value}: {}", answer.body)),
        }
    });
    shared.note("reads", read);
}
