//! Single objects and clients that once stopped a cluster, or might. Each is an ordinary
//! request or many of them; none may keep the rest from working.

use std::io::Write;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::http::Request;
use crate::manifest::{IDLE, container, pod};
use crate::pods::{wait_gone, wait_pod};
use crate::tls::Client;
use crate::{Lab, Namespace, until, wait};

/// How long a client of a flood waits for a byte.
const PATIENCE: Duration = Duration::from_secs(20);

/// A Service whose status lacks what its type requires: whoever follows Services must
/// not stumble over it. It stays until its namespace goes.
pub fn poison(namespace: &Namespace, name: &str) {
    namespace.run(&format!("create service clusterip {name} --tcp=80:8080"));
    let patch = json!({"status": {"conditions": [{"type": "T", "status": "True"}]}}).to_string();
    let call = [
        "patch",
        "service",
        name,
        "--subresource=status",
        "--type=merge",
        "-p",
        &patch,
    ];
    let output = namespace.try_call(&call, "");
    // Taken with the zero value of what is missing, as Kubernetes does, or refused.
    if output.success {
        let condition = &namespace.json(&format!("get service {name}"))["status"]["conditions"][0];
        assert_eq!(condition["type"], "T");
        let when = condition
            .as_object()
            .and_then(|fields| fields.get("lastTransitionTime"));
        assert_eq!(when, Some(&Value::Null), "{condition}");
    } else {
        assert!(output.stderr.contains("invalid"), "{}", output.stderr);
    }
}

/// Three pods that own each other in a circle, one of which is deleted in the
/// foreground: all of them go, and the garbage collector has time for others.
pub fn owner_circle(namespace: &Namespace, name: &str) {
    let names: Vec<String> = (0..3).map(|number| format!("{name}-{number}")).collect();
    let uids: Vec<String> = names
        .iter()
        .map(|name| {
            namespace.create(&pod(name, json!({"containers": [container("main", IDLE)]})));
            wait_pod(namespace, name).uid()
        })
        .collect();
    for (number, name) in names.iter().enumerate() {
        let owner = (number + 1) % names.len();
        let reference = json!({
            "apiVersion": "v1", "kind": "Pod", "name": names[owner], "uid": uids[owner],
            "blockOwnerDeletion": true,
        });
        let patch = json!({"metadata": {"ownerReferences": [reference]}}).to_string();
        let call = ["patch", "pod", name, "--type=merge", "-p", &patch];
        let output = namespace.try_call(&call, "");
        assert!(output.success, "{}", output.stderr);
    }
    namespace.run(&format!(
        "delete pod {} --cascade=foreground --wait=false",
        names[0]
    ));
    for name in &names {
        wait_gone(namespace, name);
    }
}

/// What a flood came to.
#[derive(Debug, Default)]
pub struct Flood {
    /// Requests that were answered with what they asked for.
    pub served: usize,
    /// Requests that were turned away.
    pub turned_away: usize,
}

/// One account asks for everything over and over, writes at a byte a second, and holds
/// connections on which it says nothing, while `meanwhile` goes on.
pub fn flood(lab: &Lab, namespace: &Namespace, meanwhile: impl FnOnce()) -> Flood {
    let role = format!("flood-{}", namespace.name);
    let account = format!("{}:flood", namespace.name);
    // Another flood may have been here.
    drop(namespace.try_run("create serviceaccount flood"));
    drop(namespace.try_run(&format!(
        "create rolebinding {role} --clusterrole=edit --serviceaccount={account}"
    )));
    let token = namespace.run("create token flood");
    let address = format!("{}:6443", lab.control_plane());
    let client = Client::new(lab, "ca", &address, None, PATIENCE);
    let bearer = format!("Authorization: Bearer {}", token.trim());
    let over = AtomicBool::new(false);
    let (served, turned_away) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let silent: Vec<_> = (0..200)
        .filter_map(|_| TcpStream::connect(&address).ok())
        .collect();
    assert!(!silent.is_empty(), "nobody could connect");
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                let path = format!("/api/v1/namespaces/{}/pods", namespace.name);
                let headers = [bearer.as_str()];
                while !over.load(Ordering::Relaxed) {
                    let request = Request {
                        headers: &headers,
                        ..Request::get(&path)
                    };
                    match client.send(&request) {
                        Ok(answer) if answer.status == 200 => &served,
                        _ => &turned_away,
                    }
                    .fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        scope.spawn(|| {
            let head = format!(
                "POST /api/v1/namespaces/{}/configmaps HTTP/1.1\r\nHost: {address}\r\n{bearer}\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{{",
                namespace.name
            );
            let mut slow: Vec<_> = (0..250).filter_map(|_| client.connect().ok()).collect();
            for stream in &mut slow {
                // Whoever is turned away is turned away.
                let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.flush());
            }
            while !over.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_secs(1));
                for stream in &mut slow {
                    let _ = stream.write_all(b" ").and_then(|()| stream.flush());
                }
            }
        });
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(meanwhile));
        over.store(true, Ordering::Relaxed);
        if let Err(panic) = ended {
            std::panic::resume_unwind(panic);
        }
    });
    drop(silent);
    Flood {
        served: served.into_inner(),
        turned_away: turned_away.into_inner(),
    }
}

/// Waits until every node has renewed its lease, so often.
pub fn leases_are_renewed(lab: &Lab, times: usize) {
    let stock = crate::Kubectl::stock();
    for worker in lab.workers() {
        let line = format!(
            "get lease {} -n kube-node-lease -o jsonpath={{.spec.renewTime}}",
            worker.name
        );
        for _ in 0..times {
            let before = until("the lease can be read", || stock.try_run(&line).ok());
            until(&format!("{} renews its lease", worker.name), || {
                let now = stock.try_run(&line).ok()?;
                wait::holds(now != before, now)
            });
        }
    }
}
