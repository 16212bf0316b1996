//! Names: what pods find under them, and which settings they are given to find them.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use hardway_tests::manifest::{BUSYBOX, IDLE, container, pod, service, web_server};
use hardway_tests::pods::{self, sh, try_sh};
use hardway_tests::text::assert_has;
use hardway_tests::wait::holds;
use hardway_tests::{Kubectl, Lab, Namespace, steps, until, within};
use serde_json::{Value, json};

/// Services of every sort, what is behind them, and a visitor.
struct Names {
    namespace: Namespace,
    web: String,
    db: String,
}

const VISITOR: &str = "visitor";

impl Names {
    fn new() -> Self {
        Lab::open();
        let namespace = Namespace::new("dns");
        namespace.create(&pod(
            VISITOR,
            json!({"containers": [container("shell", IDLE)]}),
        ));
        namespace.create(&pod("web", json!({"containers": [web_server("web")]})));
        let mut db = pod(
            "db",
            json!({"hostname": "db-0", "subdomain": "db", "containers": [web_server("db")]}),
        );
        db["metadata"]["labels"] = json!({"app": "db"});
        namespace.create(&db);
        let mut late = web_server("late");
        late["readinessProbe"] = json!({"exec": {"command": ["false"]}});
        namespace.create(&pod("late", json!({"containers": [late]})));

        let named = json!([{"name": "http", "port": 80, "targetPort": 8080}]);
        let headless = |name: &str, app: &str, mut spec: Value| {
            spec["clusterIP"] = json!("None");
            spec["ports"] = named.clone();
            namespace.create(&service(name, app, spec));
        };
        namespace.create(&service("web", "web", json!({"ports": named.clone()})));
        headless("db", "db", json!({}));
        headless("late", "late", json!({}));
        headless("early", "late", json!({"publishNotReadyAddresses": true}));
        for (name, target) in [
            ("outside", "www.example.com".to_owned()),
            (
                "inside",
                format!("web.{}.svc.cluster.local", namespace.name),
            ),
        ] {
            namespace.create(&json!({
                "apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
                "spec": {"type": "ExternalName", "externalName": target},
            }));
        }
        for name in [VISITOR, "web", "db"] {
            pods::wait_pod(&namespace, name);
        }
        let path = "jsonpath={.spec.clusterIP}";
        let web = namespace.run(&format!("get service web -o {path}"));
        let db = pods::get(&namespace, "db").ip();
        Self { namespace, web, db }
    }

    /// A name below this namespace's Services.
    fn name(&self, short: &str) -> String {
        format!("{short}.{}.svc.cluster.local", self.namespace.name)
    }

    /// What the visitor is told about a name, over UDP.
    fn ask(&self, question: &str) -> String {
        let output = try_sh(&self.namespace, VISITOR, &format!("nslookup {question}"));
        format!("{}{}", output.stdout, output.stderr)
    }

    /// Waits until the visitor is told all of this about a name.
    fn told(&self, kind: &str, name: &str, expected: &[&str]) {
        until(&format!("{kind} of {name}"), || {
            let said = self.ask(&format!("-type={kind} {name}"));
            holds(expected.iter().all(|text| said.contains(text)), said)
        });
    }

    /// Waits until the visitor is told that there is the name, and no more.
    fn told_nothing(&self, kind: &str, name: &str) {
        until(&format!("no {kind} of {name}"), || {
            let said = self.ask(&format!("-type={kind} {name}"));
            let nothing = said.contains("10.96.0.10:53") && said.lines().count() < 5;
            holds(nothing && !said.contains("can't find"), said)
        });
    }

    /// Waits until the visitor is told this name of an address.
    fn called(&self, ip: &str, expected: &str) {
        until(&format!("name of {ip}"), || {
            let said = self.ask(ip);
            holds(said.contains(expected), said)
        });
    }
}

#[test]
#[ignore = "needs a lab: cargo hardway test"]
fn names_lead_to_pods() {
    let names = Names::new();
    let steps: &[steps::Step<Names>] = &[
        ("a service", a_service),
        ("a headless service", a_headless_service),
        ("ports", ports),
        ("addresses", addresses),
        ("names that stand for others", aliases),
        ("names of pods", names_of_pods),
        ("no such name", no_such_name),
        ("the pod's own name", own_name),
        ("over TCP", over_tcp),
        ("settings of pods", settings),
        ("cluster-info", cluster_info),
    ];
    steps::run_side_by_side(&names, &names.namespace, steps);
    a_server_goes(&names);
}

fn a_service(names: &Names) {
    names.told("a", &names.name("web"), &[&names.web]);
    // By its short name, as programs resolve it.
    let page = until("the visitor gets the page", || {
        try_sh(
            &names.namespace,
            VISITOR,
            "timeout 3 wget -q -O - http://web/",
        )
        .ok()
    });
    assert_eq!(page.trim(), "web");
    let other = format!(
        "timeout 3 wget -q -O - http://web.{}/",
        names.namespace.name
    );
    // Another server may be asked than the one that has just answered.
    until("the visitor gets the page by the longer name", || {
        let page = try_sh(&names.namespace, VISITOR, &other).ok()?;
        holds(page.trim() == "web", page)
    });
    let api = "kubernetes.default.svc.cluster.local";
    names.told("a", api, &["10.96.0.1"]);
}

fn a_headless_service(names: &Names) {
    names.told("a", &names.name("db"), &[&names.db]);
    names.told("a", &names.name("db-0.db"), &[&names.db]);
    // Without a host name an endpoint is called by its address.
    let late = pods::wait_until(&names.namespace, "late", "given an address", |pod| {
        !pod.ip().is_empty()
    });
    let dashed = late.ip().replace('.', "-");
    names.told("a", &names.name("early"), &[&late.ip()]);
    names.told("a", &names.name(&format!("{dashed}.early")), &[&late.ip()]);
    // What isn't ready has no name where that isn't asked for.
    names.told("a", &names.name(&format!("{dashed}.late")), &["NXDOMAIN"]);
    names.told_nothing("a", &names.name("late"));
}

fn ports(names: &Names) {
    let service = format!("service = 0 100 80 {}", names.name("web"));
    names.told("srv", &names.name("_http._tcp.web"), &[&service]);
    let headless = format!("service = 0 100 8080 {}", names.name("db-0.db"));
    names.told("srv", &names.name("_http._tcp.db"), &[&headless]);
    names.told("srv", &names.name("_other._tcp.web"), &["NXDOMAIN"]);
}

fn addresses(names: &Names) {
    let pointer = |short: &str| format!("name = {}", names.name(short));
    names.called(&names.web, &pointer("web"));
    names.called(&names.db, &pointer("db-0.db"));
    names.called("10.96.255.254", "NXDOMAIN");
}

fn aliases(names: &Names) {
    let outside = "canonical name = www.example.com";
    names.told("cname", &names.name("outside"), &[outside]);
    let web = format!("canonical name = {}", names.name("web"));
    names.told("a", &names.name("inside"), &[&web, &names.web]);
}

fn names_of_pods(names: &Names) {
    let dashed = names.db.replace('.', "-");
    let name = format!("{dashed}.{}.pod.cluster.local", names.namespace.name);
    names.told("a", &name, &[&names.db]);
    let other = format!("{dashed}.no-such-namespace.pod.cluster.local");
    names.told("a", &other, &["NXDOMAIN"]);
    names.told("txt", "dns-version.cluster.local", &["\"1.1.0\""]);
}

fn no_such_name(names: &Names) {
    names.told("a", &names.name("gone"), &["NXDOMAIN"]);
    // There is the name, and no address of the sixth version.
    names.told_nothing("aaaa", &names.name("web"));
}

fn own_name(names: &Names) {
    assert_eq!(sh(&names.namespace, "db", "hostname").trim(), "db-0");
    let line = format!("{}\t{}\tdb-0", names.db, names.name("db-0.db"));
    assert_has(&sh(&names.namespace, "db", "cat /etc/hosts"), &[&line]);
}

/// A question by hand, framed for a stream.
fn question(id: u8, name: &str) -> Vec<u8> {
    let mut message = vec![0, id, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        message.push(label.len() as u8);
        message.extend_from_slice(label.as_bytes());
    }
    message.extend_from_slice(&[0, 0, 1, 0, 1]);
    let mut framed = (message.len() as u16).to_be_bytes().to_vec();
    framed.extend_from_slice(&message);
    framed
}

fn over_tcp(names: &Names) {
    let system = Kubectl::stock().namespace("kube-system");
    let server = &pods::wait_ready(&system, "k8s-app=kube-dns", 2)[0];
    let forward = system.spawn(&format!(
        "port-forward {} :5353 --address=127.0.0.1",
        server.name()
    ));
    let said = forward.wait_for("Forwarding from 127.0.0.1:");
    let port = said.split("127.0.0.1:").nth(1).unwrap();
    let port: String = port.chars().take_while(char::is_ascii_digit).collect();
    let address = format!("127.0.0.1:{port}");
    let asked = [names.name("web"), names.name("gone"), names.name("db")];
    // This server may have heard of the names later than the other one.
    until("all questions are answered on one connection", || {
        let told = ask_at_once(&address, &asked).map_err(|error| error.to_string())?;
        let good = told[0] == (0, 0, 1, names.web.clone())
            && (told[1].0, told[1].1, told[1].2) == (1, 3, 0)
            && told[2] == (2, 0, 1, names.db.clone());
        holds(good, format!("{told:?}"))
    });
}

/// Asks all questions on one connection before it reads an answer. Tells, in the order
/// of the questions: which one, the code, how many answers, and the last address.
fn ask_at_once(address: &str, asked: &[String]) -> io::Result<Vec<(u8, u8, u8, String)>> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    for (id, name) in asked.iter().enumerate() {
        stream.write_all(&question(id as u8, name))?;
    }
    let mut told = Vec::new();
    for _ in asked {
        let mut length = [0; 2];
        stream.read_exact(&mut length)?;
        let mut answer = vec![0; u16::from_be_bytes(length).into()];
        stream.read_exact(&mut answer)?;
        let end: [u8; 4] = answer[answer.len() - 4..].try_into().expect("four bytes");
        let address = std::net::Ipv4Addr::from(end).to_string();
        told.push((answer[1], answer[3] & 15, answer[7], address));
    }
    told.sort();
    Ok(told)
}

fn settings(names: &Names) {
    let domain = format!("{}.svc.cluster.local", names.namespace.name);
    let resolv = |name: &'static str, mut spec: Value| {
        let print = json!({
            "name": "print", "image": BUSYBOX, "command": ["cat", "/etc/resolv.conf"],
        });
        spec["containers"] = json!([print]);
        spec["restartPolicy"] = json!("Never");
        names.namespace.create(&pod(name, spec));
        move || {
            pods::wait_until(&names.namespace, name, "done", |pod| {
                pod.phase() == "Succeeded"
            });
            names.namespace.run(&format!("logs {name}"))
        }
    };
    let config = json!({
        "nameservers": ["192.0.2.53"], "searches": ["my.dns.search.suffix"],
        "options": [{"name": "ndots", "value": "2"}, {"name": "edns0"}],
    });
    let plain = resolv("plain", json!({}));
    let merged = resolv("merged", json!({"dnsConfig": config.clone()}));
    let none = resolv("none", json!({"dnsPolicy": "None", "dnsConfig": config}));
    let default = resolv("default", json!({"dnsPolicy": "Default"}));
    let host = resolv("host", json!({"hostNetwork": true}));
    let host_first = resolv(
        "host-first",
        json!({"hostNetwork": true, "dnsPolicy": "ClusterFirstWithHostNet"}),
    );

    let search = format!("search {domain} svc.cluster.local cluster.local");
    for said in [plain(), host_first()] {
        assert_has(
            &said,
            &[&search, "nameserver 10.96.0.10\n", "options ndots:5\n"],
        );
    }
    assert_has(
        &merged(),
        &[
            &search,
            " my.dns.search.suffix\n",
            "nameserver 10.96.0.10\nnameserver 192.0.2.53\n",
            "options ndots:2 edns0\n",
        ],
    );
    let none = none();
    assert_has(
        &none,
        &["search my.dns.search.suffix\n", "nameserver 192.0.2.53\n"],
    );
    assert!(
        !none.contains("10.96.0.10") && !none.contains("cluster.local"),
        "{none}"
    );
    for said in [default(), host()] {
        assert!(!said.contains("10.96.0.10"), "{said}");
    }
    let empty = json!({"dnsPolicy": "None", "containers": [container("x", IDLE)]});
    let refused = names
        .namespace
        .refused("create -f -", &pod("refused", empty).to_string());
    assert_has(
        &refused,
        &[
            "spec.dnsConfig",
            "must provide `dnsConfig` when `dnsPolicy` is None",
        ],
    );
}

fn cluster_info(_: &Names) {
    let said = Kubectl::stock().run("cluster-info");
    let path = "/api/v1/namespaces/kube-system/services/kube-dns:dns/proxy";
    assert_has(&said, &["hardway-dns", "is running at", path]);
}

/// Servers may be taken away, one after the other, and nobody notices.
fn a_server_goes(names: &Names) {
    let system = Kubectl::stock().namespace("kube-system");
    let mut servers = pods::wait_ready(&system, "k8s-app=kube-dns", 2);
    if servers[0].node() == servers[1].node() {
        // The other node was away. Nobody moves pods back, but a new one goes there.
        system.run(&format!("delete pod {}", servers[1].name()));
        servers = pods::wait_ready(&system, "k8s-app=kube-dns", 2);
    }
    assert_ne!(servers[0].node(), servers[1].node(), "both on one node");
    let web = names.name("web");
    let script = format!(
        "n=0; while [ ! -f /tmp/enough ]; do n=$((n+1)); \
         nslookup -type=a {web} > /tmp/said 2>&1 || {{ echo failed; cat /tmp/said; }}; done; echo asked $n"
    );
    let asking = names
        .namespace
        .spawn(&format!("exec {VISITOR} -- sh -c '{script}'"));
    system.run(&format!("delete pod {} --wait=false", servers[0].name()));
    within(
        Duration::from_secs(60),
        "another one has taken its place",
        || {
            let now = pods::try_list(&system, "k8s-app=kube-dns")?;
            let replaced = now.len() == 2 && now.iter().all(|pod| pod.ready());
            holds(
                replaced && now.iter().all(|pod| pod.name() != servers[0].name()),
                now.len(),
            )
        },
    );
    // It goes on answering for a while before it is gone.
    pods::wait_gone(&system, &servers[0].name());
    sh(&names.namespace, VISITOR, "touch /tmp/enough");
    let said = asking.wait_for("asked ");
    assert!(!said.contains("failed"), "{said}");

    // At once, without a word to anybody.
    system.run(&format!(
        "delete pod {} --grace-period=0 --force",
        servers[1].name()
    ));
    names.told("a", &web, &[&names.web]);
    pods::wait_ready(&system, "k8s-app=kube-dns", 2);
}
