//! Every port needs a certificate.

use super::Guarded;
use hardway_tests::http::{self, Request};
use hardway_tests::{defer, tls};
use std::time::Duration;

pub fn metrics(guarded: &Guarded) {
    let mut ports = vec![
        ("apiserver", guarded.control_plane(6443)),
        ("controller-manager", guarded.control_plane(10257)),
        ("scheduler", guarded.control_plane(10259)),
    ];
    for worker in &guarded.workers {
        for (name, port) in [
            ("kubelet", 10250),
            ("proxy", 10256),
            ("flannel-lite", 10258),
        ] {
            ports.push((name, format!("{}:{port}", worker.address)));
        }
    }
    for (name, address) in ports {
        let get = |path: &str, identity| tls::get(&guarded.lab, "ca", &address, path, identity);
        let health = get("/healthz", None).unwrap_or_else(|e| panic!("{name} at {address}: {e}"));
        assert!([200, 401].contains(&health.status), "{name}: {health:?}");
        let refused = get("/metrics", None).unwrap_or_else(|e| panic!("{name} at {address}: {e}"));
        assert!(
            [401, 403].contains(&refused.status),
            "{name} tells anybody: {refused:?}"
        );
        let told = get("/metrics", Some("admin")).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(told.status, 200, "{name}: {}", told.body);
        assert!(
            told.body
                .contains("# TYPE process_resident_memory_bytes gauge"),
            "{name}"
        );
    }
}

/// Every port that can be reached from outside speaks TLS or belongs to a pod.
pub fn no_insecure_port(guarded: &Guarded) {
    let mut hosts = vec![("control-plane".to_owned(), guarded.lab.control_plane())];
    hosts.extend(
        guarded
            .workers
            .iter()
            .map(|worker| (worker.name.clone(), worker.address.clone())),
    );
    for (host, address) in hosts {
        let listening = guarded.lab.on(&host, "ss -Hltn");
        for line in listening.lines() {
            let local = line.split_whitespace().nth(3).unwrap_or_default();
            let (at, port) = local.rsplit_once(':').unwrap_or_default();
            let outside = !at.starts_with("127.") && !at.starts_with("[::1]");
            // The image registry is the lab's, as a public one would be.
            if !outside || port == "5000" {
                continue;
            }
            let answer = http::get(&format!("{address}:{port}"), "/metrics");
            let served = answer.as_ref().is_ok_and(|answer| answer.status < 400);
            assert!(!served, "{host} serves port {port} to anybody: {answer:?}");
        }
    }
}

pub fn etcd(guarded: &Guarded) {
    let address = guarded.control_plane(2379);
    let get = |identity| tls::get(&guarded.lab, "etcd-ca", &address, "/version", identity);
    assert!(get(None).is_err(), "etcd lets anybody in");
    // The cluster's authority is not etcd's.
    assert!(
        get(Some("admin")).is_err(),
        "etcd lets the cluster's clients in"
    );
    let answer = get(Some("apiserver-etcd-client")).expect("the apiserver gets in");
    assert_eq!(answer.status, 200);
}

pub fn kubelet(guarded: &Guarded) {
    let address = format!("{}:10250", guarded.workers[0].address);
    let get = |path: &str, identity| {
        tls::get(&guarded.lab, "ca", &address, path, identity)
            .unwrap_or_else(|e| panic!("{path}: {e}"))
    };
    assert_eq!(get("/pods", None).status, 401);
    assert_eq!(get("/pods", Some("scheduler")).status, 403);
    assert_eq!(get("/pods", Some("apiserver-kubelet-client")).status, 200);
    let other = format!("kubelet-{}", guarded.workers[1].name);
    assert_eq!(get("/pods", Some(&other)).status, 403);
}

/// As metrics servers and monitoring come, in any cluster.
pub fn kubelet_tokens(guarded: &Guarded) {
    let namespace = &guarded.namespace;
    let name = format!("{}-scraper", namespace.name);
    for account in ["scraper", "visitor"] {
        namespace.run(&format!("create serviceaccount {account}"));
    }
    let stock = hardway_tests::kubectl::Kubectl::stock();
    let _gone = defer(|| {
        drop(stock.try_run(&format!(
            "delete clusterrole,clusterrolebinding {name} --ignore-not-found"
        )));
    });
    stock.run(&format!(
        "create clusterrole {name} --verb=get --resource=nodes/metrics"
    ));
    stock.run(&format!(
        "create clusterrolebinding {name} --clusterrole={name} --serviceaccount={}:scraper",
        namespace.name
    ));
    let address = format!("{}:10250", guarded.workers[0].address);
    let patience = Duration::from_secs(15);
    let client = tls::Client::new(&guarded.lab, "ca", &address, None, patience);
    let get = |path: &str, token: &str| {
        let line = format!("Authorization: Bearer {}", token.trim());
        let request = Request {
            headers: &[&line],
            ..Request::get(path)
        };
        let answer = client.send(&request);
        answer
            .unwrap_or_else(|error| panic!("{path}: {error:?}"))
            .status
    };
    let scraper = namespace.run("create token scraper");
    let visitor = namespace.run("create token visitor");
    assert_eq!(get("/metrics", &scraper), 200);
    assert_eq!(get("/pods", &scraper), 403);
    assert_eq!(get("/metrics", &visitor), 403);
    assert_eq!(get("/metrics", "nobody's"), 401);
    let cut = &scraper.trim()[..scraper.trim().len() - 4];
    assert_eq!(get("/metrics", cut), 401);
}
