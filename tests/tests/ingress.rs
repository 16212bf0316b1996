//! Ways in from outside: Ingresses through their controller, and addresses of balancers
//! through the tunnel.

use std::cell::RefCell;
use std::process::{Child, Command, Stdio};

use hardway_tests::kubectl::{Output, finish};
use hardway_tests::lab::Worker;
use hardway_tests::manifest::{IDLE, container, pod, service, web_server};
use hardway_tests::pods::{self, try_sh};
use hardway_tests::text::{assert_has, words};
use hardway_tests::traffic::Traffic;
use hardway_tests::wait::holds;
use hardway_tests::{Kubectl, Lab, Namespace, defer, steps, until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};

/// The ways in, and what is behind them.
struct Ways {
    lab: Lab,
    namespace: Namespace,
    workers: Vec<Worker>,
    folder: tempfile::TempDir,
    tunnel: RefCell<Option<Tunnel>>,
}

/// What tells the namespace of a test in host names.
fn host(ways: &Ways, name: &str) -> String {
    format!("{name}.{}.test", ways.namespace.name)
}

fn deployment(name: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
        "spec": {
            "replicas": 2, "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": {
                "containers": [web_server(name)], "terminationGracePeriodSeconds": 1,
            }},
        },
    })
}

fn path(path: &str, kind: &str, service: &str) -> Value {
    let port = json!({"number": 80});
    json!({"path": path, "pathType": kind, "backend": {"service": {"name": service, "port": port}}})
}

fn ingress(name: &str, spec: Value) -> Value {
    json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
        "metadata": {"name": name}, "spec": spec})
}

impl Ways {
    fn new() -> Self {
        let lab = Lab::open();
        let namespace = Namespace::new("ingress");
        for name in ["one", "two"] {
            namespace.create(&deployment(name));
            let ports = json!([{"name": "http", "port": 80, "targetPort": 8080}]);
            namespace.create(&service(name, name, json!({"ports": ports})));
        }
        let shell = container("shell", IDLE);
        namespace.create(&pod("visitor", json!({"containers": [shell]})));
        lab.tool("addons enable ingress");
        let workers = lab.workers();
        let folder = tempfile::tempdir().expect("make a folder");
        let ways = Self {
            lab,
            namespace,
            workers,
            folder,
            tunnel: RefCell::new(None),
        };
        ways.certificate();
        ways.namespace.create(&ingress("all", ways.rules()));
        for name in ["one", "two"] {
            ways.namespace
                .run(&format!("rollout status deployment {name} --timeout 60s"));
        }
        pods::wait_pod(&ways.namespace, "visitor");
        until("the first answer", || {
            let answer = ways.curl(&["http", &host(&ways, "one"), "/"]);
            holds(answer.stdout.starts_with("200"), answer.stdout)
        });
        ways
    }

    fn rules(&self) -> Value {
        let paths = [path("/", "Prefix", "one"), path("/deep", "Prefix", "two")];
        let nobody = [path("/", "Prefix", "nobody")];
        json!({
            "tls": [{"hosts": [host(self, "one")], "secretName": "certificate"}],
            "rules": [
                {"host": host(self, "one"), "http": {"paths": paths}},
                {"host": host(self, "*"), "http": {"paths": [path("/only", "Exact", "two")]}},
                {"host": host(self, "nobody"), "http": {"paths": nobody}},
                // Whoever names no host that is known.
                {"http": {"paths": [path("/", "Prefix", "one")]}},
            ],
        })
    }

    /// A certificate for the first host, as a Secret and as a file.
    fn certificate(&self) {
        let key = KeyPair::generate().expect("make a key");
        let names = vec![host(self, "one")];
        let params = CertificateParams::new(names).expect("name the host");
        let made = params.self_signed(&key).expect("make a certificate");
        let (certificate, key_file) = (self.file("tls.crt"), self.file("tls.key"));
        for (file, text) in [(&certificate, made.pem()), (&key_file, key.serialize_pem())] {
            std::fs::write(file, text).expect("write a file");
        }
        self.namespace.run(&format!(
            "create secret tls certificate --cert {certificate} --key {key_file}"
        ));
    }

    fn file(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// Asks the first worker: `[SCHEME, HOST, PATH, more …]`. Prints the status and the body.
    fn curl(&self, asked: &[&str]) -> Output {
        let [scheme, host, path, more @ ..] = asked else {
            panic!("{asked:?}");
        };
        let address = &self.workers[0].address;
        let mut command = Command::new("curl");
        command.args([
            "--silent",
            "--max-time",
            "5",
            "--write-out",
            "%{stderr}%{http_code}",
        ]);
        for port in ["80", "443"] {
            command.args(["--resolve", &format!("{host}:{port}:{address}")]);
        }
        command.args(more).arg(format!("{scheme}://{host}{path}"));
        let mut output = finish(&mut command, "");
        output.stdout = format!("{} {}", output.stderr.trim(), output.stdout.trim());
        output
    }
}

/// An open tunnel; ended when dropped.
struct Tunnel(Child);

impl Tunnel {
    /// Opens it, and waits until it speaks of the Service `balanced`.
    fn open(ways: &Ways) -> Self {
        let said = ways.file("tunnel");
        let file = std::fs::File::create(&said).expect("make a file");
        let mut command = ways.lab.command("tunnel");
        let child = command.stdin(Stdio::null()).stdout(file).spawn();
        let open = Self(child.expect("open the tunnel"));
        until("the tunnel gives an address", || {
            let said = std::fs::read_to_string(&said).map_err(|error| error.to_string())?;
            holds(said.contains("/balanced "), said)
        });
        open
    }

    fn end(&mut self, signal: Signal) {
        let pid = i32::try_from(self.0.id()).expect("a process number");
        kill(Pid::from_raw(pid), signal).expect("end the tunnel");
        self.0.wait().expect("wait for the tunnel");
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[test]
#[ignore = "needs a lab: cargo hardway test"]
fn ways_in() {
    let ways = Ways::new();
    let lab = ways.lab.clone();
    let _off = defer(move || {
        drop(lab.try_tool("tunnel --cleanup"));
        drop(lab.try_tool("addons disable ingress"));
    });
    steps::run(
        &ways,
        &ways.namespace,
        &[
            ("hosts and paths", hosts_and_paths),
            ("certificates", certificates),
            ("where it is reached", status),
            ("what can't be had", refusals),
            ("a backend is rolled out", rollout),
            ("a replica is replaced", replica),
            ("an address from the tunnel", tunnel),
            ("who may use it", source_ranges),
            ("it moves", moves),
            ("a tunnel that was killed", killed),
        ],
    );
}

fn hosts_and_paths(ways: &Ways) {
    let (one, other) = (host(ways, "one"), host(ways, "other"));
    for (host, expected) in [
        (&one, "200 one-"),
        (&other, "200 one-"),
        (&host(ways, "nobody"), "503 "),
    ] {
        let answer = ways.curl(&["http", host, "/"]).stdout;
        assert!(answer.starts_with(expected), "{host}: {answer}");
    }
    // The web server has no such folders: it is the Host and path that it is sent.
    let visited = |name: &str, line: &str| {
        until(&format!("{name} is asked for {line}"), || {
            let logs = ways
                .namespace
                .try_run(&format!("logs -l app={name} --tail 100"))
                .ok()?;
            holds(logs.contains(line), logs)
        });
    };
    ways.curl(&["http", &one, "/deep/down?x=1"]);
    visited("two", "/deep/down");
    ways.curl(&["http", &other, "/only"]);
    visited("two", "/only");
}

fn certificates(ways: &Ways) {
    let (one, other) = (host(ways, "one"), host(ways, "other"));
    let trusted = ["--cacert", &ways.file("tls.crt")];
    for version in ["--http2", "--http1.1"] {
        let asked = ["https", &one, "/", version, trusted[0], trusted[1]];
        let answer = ways.curl(&asked);
        assert!(answer.stdout.starts_with("200 one-"), "{}", answer.stdout);
    }
    // For other names there is a certificate that nobody has signed.
    let answer = ways.curl(&["https", &other, "/", trusted[0], trusted[1]]);
    assert_eq!(answer.code, Some(60), "{}", answer.stderr);
    let answer = ways.curl(&["https", &other, "/", "--insecure"]);
    assert!(answer.stdout.starts_with("200 one-"), "{}", answer.stdout);
}

fn status(ways: &Ways) {
    let addresses: Vec<&str> = ways.workers.iter().map(|worker| &*worker.address).collect();
    let expected = addresses.join(" ");
    until("the Ingress says where it is reached", || {
        let path = "jsonpath={.status.loadBalancer.ingress[*].ip}";
        let said = ways
            .namespace
            .try_run(&format!("get ingress all -o {path}"))
            .ok()?;
        holds(said == expected, said)
    });
}

fn refusals(ways: &Ways) {
    let mut late = ingress("late", ways.rules());
    late["spec"]["tls"] = json!(null);
    let annotation = "nginx.ingress.kubernetes.io/rewrite-target";
    late["metadata"]["annotations"] = json!({annotation: "/"});
    ways.namespace.create(&late);
    let taken = format!(
        "{}/deep is that of Ingress {}/all",
        host(ways, "one"),
        ways.namespace.name
    );
    for expected in [taken.as_str(), annotation] {
        until("an event tells of it", || {
            let line = "get events --field-selector involvedObject.name=late";
            let events = ways.namespace.try_run(line).ok()?;
            holds(events.contains(expected), events)
        });
    }
    ways.namespace.run("delete ingress late");
}

fn rollout(ways: &Ways) {
    let traffic = Traffic::start(
        ways.workers
            .iter()
            .map(|w| format!("{}:80", w.address))
            .collect(),
    );
    traffic.wait_for(5);
    ways.namespace.run("rollout restart deployment one");
    ways.namespace
        .run("rollout status deployment one --timeout 60s");
    traffic.wait_for(20);
    traffic.assert_flawless();
}

fn replica(ways: &Ways) {
    let system = Kubectl::stock().namespace("kube-system");
    let on = |worker: &Worker| {
        let node = format!("--field-selector spec.nodeName={}", worker.name);
        system.run(&format!(
            "get pods -l k8s-app=hardway-ingress {node} -o name"
        ))
    };
    let traffic = Traffic::start(vec![format!("{}:80", ways.workers[1].address)]);
    let before = on(&ways.workers[0]);
    system.run(&format!(
        "delete {} --force --grace-period 0",
        before.trim()
    ));
    until("another is in its place", || {
        let answer = ways.curl(&["http", &host(ways, "one"), "/"]);
        let another = on(&ways.workers[0]) != before;
        holds(another && answer.stdout.starts_with("200"), answer.stdout)
    });
    traffic.assert_flawless();
}

/// The address that the Service `balanced` has been given.
fn given(ways: &Ways) -> Result<String, String> {
    let path = "jsonpath={.status.loadBalancer.ingress[0].ip}";
    ways.namespace
        .try_run(&format!("get service balanced -o {path}"))
        .ok()
}

/// Whether the machine gets an answer from an address.
fn reached(address: &str) -> Result<(), String> {
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--fail", "--max-time", "1"]);
    let answer = finish(command.arg(format!("http://{address}/")), "");
    holds(answer.success, answer.stdout + &answer.stderr)
}

fn tunnel(ways: &Ways) {
    let ports = json!([{"name": "http", "port": 80, "targetPort": 8080}]);
    let balanced = json!({"type": "LoadBalancer", "ports": ports});
    ways.namespace.create(&service("balanced", "one", balanced));
    *ways.tunnel.borrow_mut() = Some(Tunnel::open(ways));
    let address = given(ways).expect("an address");
    until("the machine reaches it", || reached(&address));
    until("a pod reaches it", || {
        let script = format!("timeout 3 wget -q -O - http://{address}/");
        let page = try_sh(&ways.namespace, "visitor", &script).ok()?;
        holds(page.starts_with("one-"), page)
    });
    let second = ways.lab.try_tool("tunnel");
    assert!(!second.success);
    assert_has(&second.stderr, &["another process has it open already"]);
}

fn patch(ways: &Ways, spec: &Value) {
    let patch = json!({"spec": spec}).to_string();
    let namespace = &ways.namespace;
    let output = namespace.try_call(&["patch", "service", "balanced", "--patch", &patch], "");
    assert!(output.success, "{}", output.stderr);
}

fn source_ranges(ways: &Ways) {
    let address = given(ways).expect("an address");
    patch(ways, &json!({"loadBalancerSourceRanges": ["192.0.2.0/24"]}));
    until("nobody gets in", || match reached(&address) {
        Ok(()) => Err("still reached".to_owned()),
        Err(_) => Ok(()),
    });
    let (network, _) = address.rsplit_once('.').expect("an address");
    let ranges = json!([format!("{network}.1/32"), "192.0.2.0/24"]);
    patch(ways, &json!({"loadBalancerSourceRanges": ranges}));
    until("the machine gets in", || reached(&address));
    patch(ways, &json!({"loadBalancerSourceRanges": null}));
}

fn moves(ways: &Ways) {
    let address = given(ways).expect("an address");
    let stock = Kubectl::stock();
    let label = "node.kubernetes.io/exclude-from-external-load-balancers";
    let through = || {
        let output = finish(
            Command::new("ip").args(words(&format!("route get {address}"))),
            "",
        );
        let mut workers = ways.workers.iter();
        let found =
            workers.find(|worker| output.stdout.contains(&format!("via {} ", worker.address)));
        found.cloned().ok_or(output.stdout)
    };
    let first = through().expect("a way");
    let node = first.name.clone();
    let kubectl = stock.clone();
    let _back = defer(move || drop(kubectl.try_run(&format!("label node {node} {label}-"))));
    stock.run(&format!("label node {} {label}=", first.name));
    until("another node is sent its packets", || {
        holds(through()? != first, "the same")
    });
    until("the machine reaches it there", || reached(&address));
    // Balancers ask nodes whether they have pods of a Service that stays on the node.
    patch(ways, &json!({"externalTrafficPolicy": "Local"}));
    let service = ways.namespace.json("get service balanced");
    let port = &service["spec"]["healthCheckNodePort"];
    until("a node says whether it has pods", || {
        let asked = format!("http://{}:{port}/", first.address);
        let mut command = Command::new("curl");
        let answer = finish(command.args(["--silent", "--max-time", "2", &asked]), "");
        let said: Value =
            serde_json::from_str(&answer.stdout).map_err(|error| error.to_string())?;
        let right = said["service"]["name"] == "balanced" && said["localEndpoints"].is_u64();
        holds(right, said)
    });
}

fn killed(ways: &Ways) {
    let address = given(ways).expect("an address");
    let mut tunnel = ways.tunnel.borrow_mut();
    let mut open = tunnel.take().expect("an open tunnel");
    open.end(Signal::SIGKILL);
    assert_eq!(given(ways).as_deref(), Ok(&*address));
    // The next one finds what is there, and takes it back when it is asked to end.
    let mut next = Tunnel::open(ways);
    assert_eq!(given(ways).as_deref(), Ok(&*address));
    next.end(Signal::SIGTERM);
    assert_eq!(given(ways).as_deref(), Ok(""));
    let routes = finish(
        Command::new("ip").args(["route", "show", "proto", "88"]),
        "",
    );
    assert!(
        !routes.stdout.contains(&format!("{address} ")),
        "{}",
        routes.stdout
    );
}
