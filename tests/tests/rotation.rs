//! CAs, the key that signs tokens and the key that encrypts what is stored are replaced under
//! load: not one request fails, whoever was stopped goes on, and at the end nobody believes or
//! shows anything of the former ones. The lab's one etcd is restarted twice for it; who asks just
//! then may be told to try again, which is counted, and no failure.
//!
//! Runs only when it is named: `cargo hardway test --only e2e --suite rotation`.

#[expect(dead_code, reason = "the suite certificates asks it more")]
#[path = "certificates/load.rs"]
mod load;

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use hardway_tests::http::Request;
use hardway_tests::pods::try_sh;
use hardway_tests::tls::Client;
use hardway_tests::traffic::Traffic;
use hardway_tests::wait::holds;
use hardway_tests::workload::Workload;
use hardway_tests::{Kubectl, Lab, defer, steps, until};
use serde_json::{Value, json};

use load::Load;

/// How long one of the commands may take; each says itself what it waits for.
const PATIENCE: Duration = Duration::from_secs(120);
/// Between two writes.
const PAUSE: Duration = Duration::from_millis(10);
/// How long a write may take while the one etcd is restarted: 3 s are promised, and twice that is
/// for a machine on which other labs run.
const GAP: Duration = Duration::from_secs(6);
/// One of so many requests may be told to try again.
const RARELY: usize = 50;
const CA_OF_PODS: &str = "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt";

/// Says how it goes, past the capture of tests that pass.
fn report(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

#[test]
#[ignore = "needs a lab: cargo hardway test --only e2e --suite rotation"]
fn keys_are_replaced_without_a_failed_request() {
    let workload = Workload::start("rotation");
    let lab = &workload.lab;
    let traffic = Traffic::start(workload.addresses());
    let load = Load::start(&workload);
    let _clean = defer(|| drop(annotate(lab, &Value::Null)));
    let writer = Writer::start(lab);
    let ended = catch_unwind(AssertUnwindSafe(|| {
        steps::run(
            &workload,
            &workload.namespace,
            &[
                ("the next CAs are believed along", next_is_believed),
                ("the next CAs sign", next_signs),
                ("the former CAs are dropped", former_is_dropped),
                ("tokens are signed by another key", tokens_have_another_key),
                ("what is stored has another key", stored_with_another_key),
                ("all of it still works", |workload| {
                    workload.works("rotated")
                }),
            ],
        );
    }));
    let longest = writer.finish();
    let (done, failed) = load.finish();
    let (again, failed): (Vec<String>, Vec<String>) = failed
        .into_iter()
        .partition(|why| why.contains("etcd is not available"));
    report(&format!(
        "  {done}; {} failed, {} were to be tried again; a write took {:.0} ms at most",
        failed.len(),
        again.len(),
        longest.as_secs_f64() * 1e3
    ));
    if let Err(panic) = ended {
        std::panic::resume_unwind(panic);
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert!(
        again.len() <= done.count() / RARELY,
        "{done}, and to be tried again:\n{}",
        again.join("\n")
    );
    assert!(longest < GAP, "no write for {longest:.1?}");
    traffic.assert_flawless();
}

/// Does what a line says, and gives what it printed.
#[track_caller]
fn tool(lab: &Lab, line: &str) -> String {
    let output = lab.try_tool_within(PATIENCE, line);
    output
        .ok()
        .unwrap_or_else(|error| panic!("{line}: {error}"))
}

/// How many certificates a file in the lab's folder has.
fn believed(lab: &Lab, name: &str) -> usize {
    let text = fs::read_to_string(lab.path(&format!("pki/{name}"))).unwrap();
    text.matches("-----BEGIN ").count()
}

fn next_is_believed(workload: &Workload) {
    let lab = &workload.lab;
    tool(lab, "certificates rotate-ca --to-step trust");
    for name in ["ca.crt", "etcd-ca.crt", "front-proxy-ca.crt"] {
        assert_eq!(believed(lab, name), 2, "{name}");
    }
    let status = tool(lab, "certificates status");
    assert_eq!(
        status.matches("is believed, and is to sign").count(),
        3,
        "{status}"
    );
    // Pods find both where they look for the CA.
    let count = format!("grep -c BEGIN {CA_OF_PODS}");
    until("a pod finds both CAs", || {
        let found = try_sh(&workload.namespace, "teller", &count).ok()?;
        holds(found.trim() == "2", found)
    });
    // Nothing more is done by who goes no further.
    tool(lab, "certificates rotate-ca --resume --to-step trust");
    assert_eq!(tool(lab, "certificates status"), status);
}

fn next_signs(workload: &Workload) {
    let lab = &workload.lab;
    let former = fs::read_to_string(lab.path("pki/ca.key")).unwrap();
    // Killed as soon as something of it is to be seen, whatever that is.
    let mut command = lab.command("certificates rotate-ca --resume --to-step sign");
    let mut running = command.spawn().unwrap();
    until("the key is another one", || {
        let now = fs::read_to_string(lab.path("pki/ca.key")).map_err(|e| e.to_string())?;
        holds(now != former, "the former")
    });
    running.kill().unwrap();
    running.wait().unwrap();
    tool(lab, "certificates rotate-ca --resume --to-step sign");
    let status = tool(lab, "certificates status");
    assert_eq!(status.matches("is still believed").count(), 3, "{status}");
}

fn former_is_dropped(workload: &Workload) {
    let lab = &workload.lab;
    let said = tool(lab, "certificates rotate-ca --resume --unused-for 3s");
    assert_eq!(
        said.matches("and no other is believed").count(),
        3,
        "{said}"
    );
    let files: BTreeSet<String> = fs::read_dir(lab.path("pki"))
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().into_string().ok())
        .filter(|name| name.contains("-next.") || name.contains("-former."))
        .collect();
    assert!(files.is_empty(), "left over: {files:?}");
    for name in ["ca.crt", "etcd-ca.crt", "front-proxy-ca.crt"] {
        assert_eq!(believed(lab, name), 1, "{name}");
    }
    let map = Kubectl::stock()
        .json("get configmap --namespace=kube-system extension-apiserver-authentication");
    for field in ["client-ca-file", "requestheader-client-ca-file"] {
        let bundle = map["data"][field].as_str().unwrap_or_default();
        assert_eq!(bundle.matches("BEGIN").count(), 1, "{field}: {bundle}");
    }
    let count = format!("grep -c BEGIN {CA_OF_PODS}");
    until("a pod finds one CA", || {
        let found = try_sh(&workload.namespace, "teller", &count).ok()?;
        holds(found.trim() == "1", found)
    });
}

/// The keys that the apiserver verifies tokens with.
fn keys() -> Vec<Value> {
    let text = Kubectl::stock().run("get --raw /openid/v1/jwks");
    let keys: Value = serde_json::from_str(&text).unwrap();
    keys["keys"].as_array().unwrap().clone()
}

fn tokens_have_another_key(workload: &Workload) {
    let lab = &workload.lab;
    let namespace = &workload.namespace;
    let former = namespace.run("create token default");
    let before = keys();
    assert_eq!(before.len(), 1);
    tool(lab, "certificates rotate-service-account-key");
    let both = keys();
    assert_eq!(both.len(), 2);
    assert!(both.contains(&before[0]), "the former one is still good");
    let header = |token: &str| token.split('.').next().unwrap_or_default().to_owned();
    until("tokens are signed by the new key", || {
        let token = namespace.run("create token default");
        holds(header(&token) != header(&former), header(&former))
    });
    let review = json!({"kind": "SelfSubjectReview", "apiVersion": "authentication.k8s.io/v1"});
    let bearer = format!("Authorization: Bearer {}", former.trim());
    let address = format!("{}:6443", lab.control_plane());
    let answer = Client::new(lab, "ca", &address, None, PATIENCE).send(&Request {
        method: "POST",
        path: "/apis/authentication.k8s.io/v1/selfsubjectreviews",
        headers: &["Content-Type: application/json", &bearer],
        body: &review.to_string(),
    });
    let answer = answer.unwrap();
    assert_eq!(
        answer.status, 201,
        "a former token is good until it ends: {answer:?}"
    );
    // Back and forth again: the former one is there until it is dropped.
    tool(
        lab,
        "certificates rotate-service-account-key --roll-back --unused-for 0s",
    );
    assert_eq!(keys(), before);
}

fn stored_with_another_key(workload: &Workload) {
    let (lab, namespace) = (&workload.lab, &workload.namespace);
    namespace.run("create secret generic kept --from-literal=word=plain");
    let stored = || {
        let key = format!("/registry/secrets/{}/kept", namespace.name);
        let bytes = lab.etcdctl(&format!("get {key} --print-value-only"));
        bytes.chars().take(48).collect::<String>()
    };
    // Of `k8s:enc:secretbox:v1:NAME:` and what is sealed.
    let key = || {
        let stored = stored();
        let sealed = stored.split_once("k8s:enc:secretbox:v1:");
        let name = sealed.and_then(|(_, rest)| rest.split_once(':'));
        name.map(|(name, _)| name.to_owned())
            .unwrap_or_else(|| panic!("not sealed: {stored}"))
    };
    let former = key();
    tool(lab, "storage rotate-key");
    let new = key();
    assert_ne!(new, former);
    let read = namespace.run("get secret kept --output=jsonpath={.data.word}");
    assert_eq!(read, "cGxhaW4=");
    let text = fs::read_to_string(lab.path("encryption.yaml")).unwrap();
    let names = |name: &str| {
        text.lines()
            .any(|line| line.ends_with(&format!("name: {name}")))
    };
    assert!(names(&new) && !names(&former), "the former key has gone");
}

/// Where the writes of [`Writer`] go, which have no other client.
const WRITTEN: &str = "rotation/number";

/// A write at a time, over a new connection each, and how long the longest took.
struct Writer {
    over: Arc<AtomicBool>,
    thread: JoinHandle<Duration>,
}

impl Writer {
    fn start(lab: &Lab) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let (lab, until_over) = (lab.clone(), over.clone());
        let thread = std::thread::spawn(move || {
            let mut longest = Duration::ZERO;
            let mut since = Instant::now();
            for number in 0_u64.. {
                if annotate(&lab, &json!(number.to_string())).is_ok() {
                    longest = longest.max(since.elapsed());
                    since = Instant::now();
                }
                if until_over.load(Ordering::Relaxed) {
                    break;
                }
                std::thread::sleep(PAUSE);
            }
            // One that is still open has lasted so long at least.
            longest.max(since.elapsed())
        });
        Self { over, thread }
    }

    /// Ends it; tells how long the longest took.
    fn finish(self) -> Duration {
        self.over.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

/// Writes the annotation, or removes it.
fn annotate(lab: &Lab, value: &Value) -> Result<(), String> {
    let body = json!({"metadata": {"annotations": {WRITTEN: value}}});
    let address = format!("{}:6443", lab.control_plane());
    let client = Client::try_new(lab, "ca", &address, Some("admin"), PATIENCE)?;
    let answer = client.send(&Request {
        method: "PATCH",
        path: "/api/v1/namespaces/default",
        headers: &["Content-Type: application/merge-patch+json"],
        body: &body.to_string(),
    });
    let answer = answer.map_err(|failure| format!("{failure:?}"))?;
    holds(answer.status == 200, format!("{answer:?}"))
}
