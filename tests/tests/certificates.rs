//! A cluster whose certificates live for minutes runs for many of their lives under load:
//! every process takes up its new ones without a restart, and not one request fails.
//!
//! Runs only when it is named: `cargo hardway test --only e2e --suite certificates`. The
//! environment may say $CERTIFICATES_LIFE and $CERTIFICATES_TIME, in seconds (600, 3600).
//! The certificates are those the lab makes, nodes' included; `hardway certificates renew`
//! renews them, as the timer does on real hosts. How nodes ask for theirs is in
//! `apiserver/tests/integration/joining.rs`.

#[path = "certificates/load.rs"]
mod load;

use std::collections::BTreeMap;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hardway_tests::tls::Client;
use hardway_tests::traffic::Traffic;
use hardway_tests::workload::Workload;
use hardway_tests::{Kubectl, Lab, until, wait};
use serde_json::json;

use load::Load;

/// The ports of the control plane that speak TLS, whose authority each trusts, and as whom
/// to ask.
const PORTS: &[(u16, &str, &str)] = &[
    (2379, "etcd-ca", "apiserver-etcd-client"),
    (6443, "ca", "admin"),
    (10257, "ca", "admin"),
    (10259, "ca", "admin"),
];
/// Those of a worker.
const WORKER_PORTS: &[u16] = &[10250, 10256, 10258];

/// Says how it goes, past the capture of tests that pass.
fn report(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

fn seconds(name: &str, default: u64) -> Duration {
    let text = std::env::var(name).unwrap_or_else(|_| default.to_string());
    let number = text.parse();
    Duration::from_secs(number.unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

#[test]
#[ignore = "needs a lab: cargo hardway test --only e2e --suite certificates"]
fn no_request_fails_while_certificates_live_for_minutes() {
    let life = seconds("CERTIFICATES_LIFE", 600);
    let time = seconds("CERTIFICATES_TIME", 3600);
    report(&format!("certificates that live {life:?}, for {time:?}"));
    let workload = Workload::start("certificates");
    let lab = &workload.lab;
    renew(lab, life, "--all");
    let before = Steady::look();
    let traffic = Traffic::start(workload.addresses());
    let load = Load::start(&workload);
    let start = Instant::now();
    let (mut renewals, mut renewed, mut rounds) = (0, 0, 0);
    let ended = catch_unwind(AssertUnwindSafe(|| {
        while start.elapsed() < time {
            let new = renew(lab, life, "");
            renewals += usize::from(new > 0);
            renewed += new;
            // A change goes through all parts, and back.
            workload.works(&format!("{rounds}"));
            rounds += 1;
            load.assert_flawless();
            std::thread::sleep((life / 20).min(Duration::from_secs(10)));
        }
    }));
    let took = start.elapsed();
    let served = catch_unwind(AssertUnwindSafe(|| every_port_shows_its_new_one(&workload)));
    let after = Steady::look();
    renew(lab, Duration::from_secs(365 * 86400), "--all");
    let (done, failed) = load.finish();
    report(&format!(
        "  {renewals} renewals of {renewed} certificates in {took:.0?}; {rounds} walks through all parts; \
         {done}; {} failed",
        failed.len()
    ));
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    for outcome in [ended, served] {
        outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    }
    traffic.assert_flawless();
    assert_eq!(after, before, "a process was restarted, or wasn't heard of");
    let lives = took.as_secs() / life.as_secs();
    assert!(renewals as u64 >= lives, "{renewals} renewals");
}

/// Renews what is due; tells how many certificates that were.
fn renew(lab: &Lab, life: Duration, flags: &str) -> usize {
    let life = life.as_secs();
    let told = lab.tool(&format!("certificates renew --valid-for {life}s {flags}"));
    told.lines()
        .filter(|line| line.contains(" renewed "))
        .count()
}

/// What doesn't change while every process runs and is heard of.
#[derive(Debug, PartialEq)]
struct Steady {
    /// Number of each process, by name and host.
    processes: BTreeMap<String, String>,
    /// Who leads, and how often that has changed.
    leaders: Vec<String>,
    /// Since when nodes are Ready.
    nodes: String,
}

impl Steady {
    fn look() -> Self {
        let lab = Lab::open();
        let status = lab.tool("status");
        let kubectl = Kubectl::stock();
        let leader = |name: &&str| {
            let path = "jsonpath={.spec.holderIdentity}/{.spec.leaseTransitions}";
            kubectl.run(&format!(
                "get lease --namespace=kube-system {name} -o {path}"
            ))
        };
        let path = "jsonpath={range .items[*]}{.metadata.name}{.status.conditions[?(@.type==\"Ready\")]['status','lastTransitionTime']}{end}";
        Self {
            processes: processes(&status),
            leaders: ["kube-controller-manager", "kube-scheduler"]
                .iter()
                .map(leader)
                .collect(),
            nodes: kubectl
                .try_call(&["get", "nodes", "-o", path], "")
                .ok()
                .unwrap(),
        }
    }
}

/// Names and numbers of processes, as the tool tells them.
fn processes(status: &str) -> BTreeMap<String, String> {
    let words = |line: &str| {
        line.split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let mut all = BTreeMap::new();
    for line in status.lines().map(words) {
        if let [name, host, pid, ..] = line.as_slice()
            && pid.parse::<u32>().is_ok()
        {
            all.insert(format!("{name}@{host}"), pid.clone());
        }
    }
    assert!(all.len() > 8, "{status}");
    all
}

/// Every port shows a certificate that hasn't ended, and takes the client's new one.
fn every_port_shows_its_new_one(workload: &Workload) {
    let lab = &workload.lab;
    let control_plane = lab.control_plane();
    let of_workers = workload.workers.iter().flat_map(|worker| {
        let ports = WORKER_PORTS.iter();
        ports.map(move |port| (worker.address.clone(), *port, "ca", "admin"))
    });
    let all = PORTS
        .iter()
        .map(|(port, ca, identity)| (control_plane.clone(), *port, *ca, *identity))
        .chain(of_workers);
    for (host, port, ca, identity) in all {
        let address = format!("{host}:{port}");
        until(&format!("{address} shows its certificate"), || {
            let patience = Duration::from_secs(5);
            let client = Client::try_new(lab, ca, &address, Some(identity), patience)?;
            let stream = client.connect().map_err(|error| error.to_string())?;
            let shown = stream.conn.peer_certificates().unwrap_or_default();
            let ends = end_of(shown.first().map(AsRef::as_ref).unwrap_or_default())?;
            let now = SystemTime::now().duration_since(UNIX_EPOCH);
            let now = now.map_or(0, |now| now.as_secs());
            wait::holds(ends > now, json!({"ends": ends, "now": now}))
        });
    }
}

/// When a certificate ends, in seconds since 1970.
fn end_of(der: &[u8]) -> Result<u64, String> {
    let file = tempfile::NamedTempFile::new().map_err(|error| error.to_string())?;
    std::fs::write(file.path(), der).map_err(|error| error.to_string())?;
    let mut command = std::process::Command::new("sh");
    command.args([
        "-c",
        "date --utc +%s --date \"$(openssl x509 -inform DER -noout -enddate -in $0 | cut -d= -f2)\"",
    ]);
    let output = hardway_tests::kubectl::finish(command.arg(file.path()), "");
    let text = output.ok()?;
    text.trim().parse().map_err(|_| text)
}
