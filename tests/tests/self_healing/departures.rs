//! Pods that leave: whoever is served goes on being served.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hardway_tests::manifest::{
    PROBE_TIMEOUT, container, replication_controller, service, web_server,
};
use hardway_tests::pods::{self, sh};
use hardway_tests::text::assert_has;
use hardway_tests::{Lab, Namespace, http, until, wait};
use serde_json::{Value, json};

use super::create;

/// So long does a pod that leaves go on serving: every proxy must have heard of it by
/// then, also on a machine that is busy with much else.
const LEAVING: Duration = Duration::from_secs(5);

/// Addresses behind a service: address, ready, serving, terminating.
fn endpoints(namespace: &Namespace, service: &str) -> Result<Vec<[Value; 4]>, String> {
    let slices = format!("get endpointslices -l kubernetes.io/service-name={service}");
    let slices = namespace.try_json(&slices)?;
    let slices = slices["items"].as_array().into_iter().flatten();
    let all = slices.filter_map(|slice| slice["endpoints"].as_array());
    let of = |endpoint: &Value| {
        let is = |condition: &str| endpoint["conditions"][condition].clone();
        let address = endpoint["addresses"][0].clone();
        [address, is("ready"), is("serving"), is("terminating")]
    };
    Ok(all.flatten().map(of).collect())
}

/// Waits for the only endpoint of a service to be ready, serving, terminating or not.
#[track_caller]
pub fn wait_endpoint(namespace: &Namespace, service: &str, conditions: [bool; 3]) {
    until(
        &format!("the endpoint of {service} is {conditions:?}"),
        || {
            let found = endpoints(namespace, service)?;
            let good = found.len() == 1 && found[0][1..] == conditions.map(Value::Bool);
            wait::holds(good, format!("{found:?}"))
        },
    );
}

/// Asks a service that sends back what it is sent.
fn echo(stream: &mut TcpStream, word: &str) -> Result<(), String> {
    let patience = Some(Duration::from_secs(15));
    let asked = stream
        .set_read_timeout(patience)
        .and_then(|()| writeln!(stream, "{word}"));
    asked.map_err(|error| error.to_string())?;
    let mut line = String::new();
    let read = BufReader::new(stream).read_line(&mut line);
    read.map_err(|error| error.to_string())?;
    wait::holds(
        line.trim_end() == word,
        format!("{line:?} instead of {word:?}"),
    )
}

fn node_ports(namespace: &Namespace, service: &str) -> Vec<String> {
    let port =
        namespace.json(&format!("get service {service}"))["spec"]["ports"][0]["nodePort"].clone();
    let workers = Lab::open().workers();
    let addresses = workers
        .iter()
        .map(|worker| format!("{}:{port}", worker.address));
    addresses.collect()
}

/// The only pod of a service leaves: nobody else is there, so it serves to its end,
/// old visitors and new ones; unless it says that it can't.
pub fn leaving(namespace: &Namespace) {
    let mut main = container("main", "exec nc -ll -p 8080 -e cat");
    main["readinessProbe"] = json!({
        "exec": {"command": ["test", "!", "-e", "/tmp/unwell"]},
        "periodSeconds": 1, "failureThreshold": 1, "timeoutSeconds": PROBE_TIMEOUT,
    });
    // Longer than what follows takes; in the end it goes by force.
    main["lifecycle"] = json!({"preStop": {"sleep": {"seconds": 120}}});
    create(
        namespace,
        "leaving",
        main,
        json!({}),
        json!({"terminationGracePeriodSeconds": 122}),
    );
    namespace.create(&service("leaving", "leaving", json!({"type": "NodePort"})));
    wait_endpoint(namespace, "leaving", [true, true, false]);
    let address = node_ports(namespace, "leaving").remove(0);
    let mut old = until("the service answers", || {
        let mut stream = TcpStream::connect(&address).map_err(|error| error.to_string())?;
        echo(&mut stream, "before").map(|()| stream)
    });
    namespace.run("delete pod leaving --wait=false");
    wait_endpoint(namespace, "leaving", [false, true, true]);
    assert_has(
        &namespace.run("get pod leaving"),
        &["leaving 1/1 Terminating 0"],
    );
    let mut new = TcpStream::connect(&address).expect("the last one still takes visitors");
    assert_eq!(echo(&mut new, "new"), Ok(()));
    assert_eq!(echo(&mut old, "old"), Ok(()));
    // It is asked to the end whether it serves.
    sh(namespace, "leaving", "touch /tmp/unwell");
    wait_endpoint(namespace, "leaving", [false, false, true]);
    assert_eq!(echo(&mut old, "still there"), Ok(()));
    namespace.run("delete pod leaving --force");
}

/// Visitors of two node ports while one pod after the other is deleted.
pub fn departures(namespace: &Namespace) {
    let mut server = web_server("web");
    server["lifecycle"] = json!({"preStop": {"sleep": {"seconds": LEAVING.as_secs()}}});
    let mut controller = replication_controller("leavers", 2, json!({"containers": [server]}));
    controller["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] =
        json!(LEAVING.as_secs() + 3);
    namespace.create(&controller);
    namespace.create(&service("leavers", "leavers", json!({"type": "NodePort"})));
    pods::wait_ready(namespace, "app=leavers", 2);
    let addresses = node_ports(namespace, "leavers");
    for address in &addresses {
        until("the node port answers", || visit(address));
    }
    let over = AtomicBool::new(false);
    let answers: Mutex<BTreeMap<String, Instant>> = Mutex::default();
    let failures: Mutex<Vec<String>> = Mutex::default();
    let mut deleted = Vec::new();
    let visits: usize = std::thread::scope(|scope| {
        let visitors = addresses.iter().map(|address| {
            scope.spawn(|| {
                let mut visits = 0;
                while !over.load(Ordering::Relaxed) {
                    let asked = Instant::now();
                    match visit(address) {
                        Ok(pod) => drop(answers.lock().unwrap().insert(pod, asked)),
                        Err(error) => failures.lock().unwrap().push(error),
                    }
                    visits += 1;
                    // Many visits, but the machine has other things to do.
                    std::thread::sleep(Duration::from_millis(5));
                }
                visits
            })
        });
        let visitors: Vec<_> = visitors.collect();
        for _ in 0..10 {
            let ready = pods::wait_ready(namespace, "app=leavers", 2);
            let oldest = ready
                .iter()
                .min_by_key(|pod| pod.value()["metadata"]["creationTimestamp"].to_string());
            let name = oldest.expect("two pods are ready").name();
            namespace.run(&format!("delete pod {name} --wait=false"));
            deleted.push((name, Instant::now()));
        }
        pods::wait_ready(namespace, "app=leavers", 2);
        pods::wait_gone(namespace, &deleted.last().expect("some were deleted").0);
        over.store(true, Ordering::Relaxed);
        visitors
            .into_iter()
            .map(|visitor| visitor.join().unwrap())
            .sum()
    });
    let failures = failures.into_inner().unwrap();
    assert!(
        failures.is_empty(),
        "{} of {visits} failed: {failures:?}",
        failures.len()
    );
    let answers = answers.into_inner().unwrap();
    let late = deleted.iter().filter_map(|(name, at)| {
        let last = answers.get(name)?;
        Some(last.saturating_duration_since(*at))
    });
    let late = late.max().unwrap_or_default();
    eprintln!(
        "   {visits} visits, none failed; the last to a pod that left came {late:.1?} after its deletion"
    );
    assert!(late < LEAVING, "{late:?}");
}

fn visit(address: &str) -> Result<String, String> {
    let answer = http::get(address, "/").map_err(|error| error.to_string())?;
    wait::holds(answer.status == 200, format!("{answer:?}"))?;
    Ok(answer.body.trim().to_owned())
}
