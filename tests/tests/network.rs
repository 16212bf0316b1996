//! The network as pods, nodes and visitors from outside see it.

use std::collections::BTreeSet;
use std::net::UdpSocket;
use std::time::Duration;

use hardway_tests::lab::Worker;
use hardway_tests::manifest::{IDLE, container, pod, service, web_server};
use hardway_tests::pods::{self, sh, try_sh};
use hardway_tests::{Lab, Namespace, http, steps, until, wait};
use serde_json::{Value, json};

/// Two web servers and two visitors, one of each on each of two nodes.
struct Network {
    namespace: Namespace,
    lab: Lab,
    workers: Vec<Worker>,
    ips: [String; 2],
}

const SERVERS: [&str; 2] = ["server-1", "server-2"];
const VISITORS: [&str; 2] = ["visitor-1", "visitor-2"];

impl Network {
    fn new() -> Self {
        let lab = Lab::open();
        let workers = lab.workers();
        let namespace = Namespace::new("network");
        for (index, worker) in workers.iter().take(2).enumerate() {
            let on = |name: &str, container: Value| {
                let mut pod = pod(
                    name,
                    json!({"nodeName": worker.name, "containers": [container]}),
                );
                pod["metadata"]["labels"] = json!({"app": name, "kind": name[..name.len() - 2]});
                pod
            };
            namespace.create(&on(SERVERS[index], web_server("web")));
            namespace.create(&on(VISITORS[index], container("shell", IDLE)));
        }
        let ips = SERVERS.map(|name| pods::wait_pod(&namespace, name).ip());
        for name in VISITORS {
            pods::wait_pod(&namespace, name);
        }
        Self {
            namespace,
            lab,
            workers,
            ips,
        }
    }

    /// Creates a service for the servers of a label; tells its address.
    fn serve(&self, name: &str, selector: Value, mut spec: Value) -> String {
        spec["selector"] = selector.clone();
        let mut manifest = service(name, name, spec);
        manifest["spec"]["selector"] = selector;
        self.namespace.create(&manifest);
        self.clip(name)
    }

    fn clip(&self, name: &str) -> String {
        let path = "jsonpath={.spec.clusterIP}";
        self.namespace.run(&format!("get service {name} -o {path}"))
    }

    /// What a pod gets from `IP:PORT`.
    fn pod_gets(&self, pod: &str, address: &str) -> Result<String, String> {
        let script = format!("timeout 3 wget -q -O - http://{address}/");
        let told = try_sh(&self.namespace, pod, &script).ok()?;
        Ok(told.trim().to_owned())
    }

    /// Waits until a pod gets an answer there.
    fn reaches(&self, pod: &str, address: &str) -> String {
        until(&format!("{pod} reaches {address}"), || {
            self.pod_gets(pod, address)
        })
    }

    /// Which servers answer at an address, asked often enough to meet each.
    fn answering(&self, ask: impl Fn() -> Result<String, String>) -> BTreeSet<String> {
        (0..16).filter_map(|_| ask().ok()).collect()
    }

    /// Waits until both servers answer at an address.
    fn both_answer(&self, from: &str, ask: impl Fn() -> Result<String, String>) {
        until(&format!("both servers answer, from {from}"), || {
            let met = self.answering(&ask);
            wait::holds(met == both(), format!("{met:?}"))
        });
    }

    /// Waits until a pod's log has a text, which is there a moment after it is written.
    fn logged(&self, pod: &str, text: &str) {
        until(&format!("{text} is in the log of {pod}"), || {
            let log = self.namespace.try_run(&format!("logs {pod}")).ok()?;
            wait::holds(log.contains(text), log)
        });
    }

    /// Waits until an address answers a pod's ping of so many bytes.
    fn pings(&self, pod: &str, bytes: u32, address: &str) {
        let script = format!("ping -c 1 -W 2 -s {bytes} {address}");
        until(
            &format!("{address} answers {pod} with {bytes} bytes"),
            || {
                let told = try_sh(&self.namespace, pod, &script).ok()?;
                wait::holds(told.contains("1 packets received"), told)
            },
        );
    }
}

fn both() -> BTreeSet<String> {
    SERVERS.map(str::to_owned).into()
}

#[test]
#[ignore = "needs a lab: cargo hardway test"]
fn the_network_carries() {
    let network = Network::new();
    let steps: &[steps::Step<Network>] = &[
        ("pod to pod", pod_to_pod),
        ("pod to the world", pod_to_node),
        ("cluster IP", cluster_ip),
        ("pod to itself through a service", hairpin),
        ("node port", node_port),
        ("external traffic stays local", external_local),
        ("internal traffic stays local", internal_local),
        ("external IP", external_ip),
        ("session affinity", session_affinity),
        ("nobody there", no_endpoints),
        ("readiness decides", readiness),
        ("named ports", named_ports),
        ("headless", headless),
        ("UDP", udp),
        ("host port", host_port),
        ("host network", host_network),
        ("the API from a pod", api_from_pod),
        ("large packets", large_packets),
    ];
    steps::run(&network, &network.namespace, steps);
}

fn pod_to_pod(network: &Network) {
    for visitor in VISITORS {
        for (server, ip) in SERVERS.iter().zip(&network.ips) {
            assert_eq!(network.reaches(visitor, &format!("{ip}:8080")), *server);
        }
    }
    // Pods see each other's own addresses.
    let visitor = pods::get(&network.namespace, VISITORS[0]).ip();
    network.logged("server-2", &visitor);
    // Every node's pods are from its own range.
    for (worker, ip) in network.workers.iter().zip(&network.ips) {
        let path = "jsonpath={.spec.podCIDR}";
        let range = network
            .namespace
            .run(&format!("get node {} -o {path}", worker.name));
        let prefix = range.trim_end_matches("0/24");
        assert!(
            prefix.starts_with("10.244.") && ip.starts_with(prefix),
            "{ip} {range}"
        );
    }
}

fn pod_to_node(network: &Network) {
    for worker in &network.workers {
        network.pings("visitor-1", 56, &worker.address);
    }
    // Beyond the cluster pods appear as their node.
    network.pings("visitor-1", 56, &network.lab.control_plane());
}

fn cluster_ip(network: &Network) {
    let ip = network.serve("web", json!({"kind": "server"}), json!({}));
    let address = format!("{ip}:80");
    for visitor in VISITORS {
        network.both_answer(visitor, || network.pod_gets(visitor, &address));
    }
    for worker in &network.workers {
        let line = format!("timeout 3 busybox wget -q -O - http://{address}/");
        let ask = || {
            network
                .lab
                .try_on(&worker.name, &line)
                .ok()
                .map(|told| told.trim().to_owned())
        };
        network.both_answer(&worker.name, ask);
    }
}

fn hairpin(network: &Network) {
    let ip = network.serve("mirror", json!({"app": "server-1"}), json!({}));
    assert_eq!(network.reaches("server-1", &format!("{ip}:80")), "server-1");
}

fn outside(address: &str) -> Result<String, String> {
    let answer =
        http::get_within(Duration::from_secs(2), address, "/").map_err(|e| e.to_string())?;
    wait::holds(answer.status == 200, format!("{answer:?}"))?;
    Ok(answer.body.trim().to_owned())
}

fn node_port(network: &Network) {
    let ports = json!([{"port": 80, "targetPort": 8080, "nodePort": 30080}]);
    network.serve(
        "ported",
        json!({"kind": "server"}),
        json!({"type": "NodePort", "ports": ports}),
    );
    for worker in &network.workers {
        let address = format!("{}:30080", worker.address);
        network.both_answer("outside", || outside(&address));
        // From a pod and from the nodes as well.
        network.reaches("visitor-1", &address);
        let line = format!("timeout 3 busybox wget -q -O - http://{address}/");
        until("a node reaches the port", || {
            network.lab.try_on("worker-1", &line).ok()
        });
    }
}

fn external_local(network: &Network) {
    let ports = json!([{"port": 80, "targetPort": 8080, "nodePort": 30081}]);
    network.serve(
        "local",
        json!({"app": "server-1"}),
        json!({"type": "NodePort", "externalTrafficPolicy": "Local", "ports": ports}),
    );
    let [first, second] =
        [0, 1].map(|index: usize| format!("{}:30081", network.workers[index].address));
    assert_eq!(
        until("the node with the pod answers", || outside(&first)),
        "server-1"
    );
    assert!(
        outside(&second).is_err(),
        "a node without the pod must not answer"
    );
    // The visitor's own address arrives.
    let net = network.workers[0].address.rsplit_once('.');
    let bridge = format!("{}.1]:", net.expect("an address with dots").0);
    network.logged("server-1", &bridge);
}

fn internal_local(network: &Network) {
    let ip = network.serve(
        "near",
        json!({"kind": "server"}),
        json!({"internalTrafficPolicy": "Local"}),
    );
    for (visitor, server) in VISITORS.iter().zip(SERVERS) {
        let address = format!("{ip}:80");
        network.reaches(visitor, &address);
        let only: BTreeSet<String> = [server.to_owned()].into();
        assert_eq!(
            network.answering(|| network.pod_gets(visitor, &address)),
            only
        );
    }
}

fn external_ip(network: &Network) {
    network.serve(
        "outer",
        json!({"kind": "server"}),
        json!({"externalIPs": ["192.0.2.80"]}),
    );
    network.reaches("visitor-1", "192.0.2.80:80");
    let line = "timeout 3 busybox wget -q -O - http://192.0.2.80/";
    until("a node reaches the external IP", || {
        network.lab.try_on("worker-2", line).ok()
    });
}

fn session_affinity(network: &Network) {
    let ip = network.serve(
        "sticky",
        json!({"kind": "server"}),
        json!({"sessionAffinity": "ClientIP"}),
    );
    let address = format!("{ip}:80");
    network.reaches("visitor-1", &address);
    let met = network.answering(|| network.pod_gets("visitor-1", &address));
    assert_eq!(met.len(), 1, "{met:?}");
    let timeout = network.namespace.run(
        "get service sticky -o jsonpath={.spec.sessionAffinityConfig.clientIP.timeoutSeconds}",
    );
    assert_eq!(timeout, "10800");
}

fn no_endpoints(network: &Network) {
    let ports = json!([{"port": 80, "targetPort": 8080, "nodePort": 30082}]);
    let ip = network.serve(
        "empty",
        json!({"app": "nobody"}),
        json!({"type": "NodePort", "ports": ports}),
    );
    let refused = |told: &str| told.contains("refused");
    for visitor in VISITORS {
        until("a pod is refused", || {
            let told = network.pod_gets(visitor, &format!("{ip}:80"));
            wait::holds(
                told.as_ref().is_err_and(|e| refused(e)),
                format!("{told:?}"),
            )
        });
    }
    let line = format!("timeout 3 busybox wget -q -O - http://{ip}/");
    until("a node is refused", || {
        let told = network.lab.try_on("worker-1", &line).stderr;
        wait::holds(refused(&told), told)
    });
    let address = format!("{}:30082", network.workers[0].address);
    until("a visitor from outside is refused", || {
        let told = outside(&address);
        wait::holds(
            told.as_ref().is_err_and(|e| refused(e)),
            format!("{told:?}"),
        )
    });
}

/// A pod that isn't ready gets no visitors, and gets them again.
fn readiness(network: &Network) {
    let namespace = &network.namespace;
    let address = format!("{}:80", network.clip("web"));
    let only = |server: &str| {
        let only: BTreeSet<String> = [server.to_owned()].into();
        until(&format!("{server} alone answers"), || {
            let met = network.answering(|| network.pod_gets("visitor-1", &address));
            wait::holds(met == only, format!("{met:?}"))
        });
    };
    sh(namespace, "server-2", "mv /www/index.html /www/away");
    only("server-1");
    sh(namespace, "server-2", "mv /www/away /www/index.html");
    network.both_answer("visitor-1", || network.pod_gets("visitor-1", &address));
}

fn named_ports(network: &Network) {
    let mut server = web_server("web");
    server["ports"][0]["name"] = json!("http");
    network
        .namespace
        .create(&pod("named", json!({"containers": [server]})));
    let ports = json!([{"name": "a", "port": 81, "targetPort": "http"}, {"name": "b", "port": 82, "targetPort": 8080}]);
    let ip = network.serve("named", json!({"app": "named"}), json!({"ports": ports}));
    for port in [81, 82] {
        assert_eq!(
            network.reaches("visitor-1", &format!("{ip}:{port}")),
            "named"
        );
    }
    network.namespace.run("delete pod named --wait=false");
}

fn headless(network: &Network) {
    let ip = network.serve(
        "headless",
        json!({"kind": "server"}),
        json!({"clusterIP": "None"}),
    );
    assert_eq!(ip, "None");
    until("its endpoints are told", || {
        let told = network.namespace.try_run("get endpoints headless").ok()?;
        wait::holds(network.ips.iter().all(|ip| told.contains(ip)), told)
    });
}

fn udp(network: &Network) {
    let echo = json!({
        "name": "echo", "image": "hardway.example/test/echo:1",
        "ports": [{"containerPort": 5000, "protocol": "UDP"}],
    });
    let make = |name: &str| {
        network.namespace.create(&{
            let mut pod = pod(name, json!({"containers": [echo.clone()]}));
            pod["metadata"]["labels"] = json!({"app": "echo"});
            pod
        });
        pods::wait_pod(&network.namespace, name);
    };
    make("echo-1");
    let ports = json!([{"port": 5000, "protocol": "UDP", "nodePort": 30083}]);
    network.serve(
        "echo",
        json!({"app": "echo"}),
        json!({"type": "NodePort", "ports": ports}),
    );
    // One socket, as a resolver has it: its flow is tracked.
    let socket = UdpSocket::bind("0.0.0.0:0").expect("a UDP socket");
    socket
        .set_read_timeout(Some(Duration::from_millis(500)))
        .expect("a timeout");
    let ask = || {
        let mut bytes = [0; 512];
        socket
            .send_to(b"hello", format!("{}:30083", network.workers[0].address))
            .map_err(|e| e.to_string())?;
        let (count, _) = socket.recv_from(&mut bytes).map_err(|e| e.to_string())?;
        Ok(String::from_utf8_lossy(&bytes[..count]).into_owned())
    };
    let told = until("the UDP service answers", ask);
    assert!(
        told.starts_with("echo-1 ") && told.ends_with(" hello"),
        "{told}"
    );
    // The pod moves, the flow must not go on to where it was.
    network.namespace.run("delete pod echo-1");
    make("echo-2");
    // As long as it is asked it would never be forgotten.
    until("the flow finds the new pod", || {
        let told = ask()?;
        wait::holds(told.starts_with("echo-2 "), told)
    });
    network.namespace.run("delete pod echo-2 --wait=false");
}

fn host_port(network: &Network) {
    let mut server = web_server("web");
    server["ports"] = json!([{"containerPort": 8080, "hostPort": 8088}]);
    let spec = json!({"nodeName": network.workers[1].name, "containers": [server]});
    network.namespace.create(&pod("hosted", spec));
    pods::wait_pod(&network.namespace, "hosted");
    let address = format!("{}:8088", network.workers[1].address);
    assert_eq!(
        until("the host port answers", || outside(&address)),
        "hosted"
    );
    network.reaches("visitor-1", &address);
    network.namespace.run("delete pod hosted");
    until("the host port is closed", || {
        let told = outside(&address);
        wait::holds(told.is_err(), format!("{told:?}"))
    });
}

fn host_network(network: &Network) {
    let worker = &network.workers[0];
    let mut server = container(
        "web",
        "mkdir -p /www && echo on-host > /www/index.html && exec httpd -f -p 8089 -h /www",
    );
    server["ports"] = json!([{"containerPort": 8089}]);
    let spec = json!({"nodeName": worker.name, "hostNetwork": true, "containers": [server]});
    network.namespace.create(&pod("on-host", spec));
    let pod = pods::wait_pod(&network.namespace, "on-host");
    assert_eq!(pod.ip(), worker.address);
    let address = format!("{}:8089", worker.address);
    assert_eq!(until("it answers", || outside(&address)), "on-host");
    network.reaches("visitor-2", &address);
    assert_eq!(
        sh(&network.namespace, "on-host", "hostname").trim(),
        worker.name
    );
    network.namespace.run("delete pod on-host --wait=false");
}

fn api_from_pod(network: &Network) {
    for visitor in VISITORS {
        let script = "nc -w 3 10.96.0.1 443 </dev/null && echo open";
        until("the API is reached", || {
            let told = try_sh(&network.namespace, visitor, script).ok()?;
            wait::holds(told.contains("open"), told)
        });
    }
}

/// Packets as large as the pods' link takes must come through the overlay.
fn large_packets(network: &Network) {
    let mtu = sh(
        &network.namespace,
        "visitor-1",
        "cat /sys/class/net/eth0/mtu",
    );
    let mtu: u32 = mtu.trim().parse().unwrap_or_else(|_| panic!("MTU {mtu}"));
    let ip = &network.ips[1];
    network.pings("visitor-1", mtu - 28, ip);
    let script = "dd if=/dev/zero of=/www/big bs=1024 count=8192 2>/dev/null";
    sh(&network.namespace, "server-2", script);
    let script = format!("timeout 20 wget -q -O - http://{ip}:8080/big | wc -c");
    assert_eq!(
        sh(&network.namespace, "visitor-1", &script).trim(),
        "8388608"
    );
}
