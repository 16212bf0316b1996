//! What breaks, and what must not break with it.

#[path = "faults/traffic.rs"]
mod traffic;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use hardway_tests::kubectl::Kubectl;
use hardway_tests::lab::Worker;
use hardway_tests::manifest::{replication_controller, service, web_server};
use hardway_tests::pods::{self, Pod};
use hardway_tests::{Lab, Namespace, defer, until, wait, within};
use serde_json::{Value, json};

use traffic::Traffic;

const NODE_PORT: u16 = 30090;

/// Web servers behind a port of every node.
struct Workload {
    namespace: Namespace,
    lab: Lab,
    workers: Vec<Worker>,
}

impl Workload {
    /// Two servers, kept on different nodes by a host port; they leave a lost node
    /// after so many seconds.
    fn start(subject: &str) -> Self {
        let lab = Lab::open();
        lab.wait_well();
        let workload = Self {
            namespace: Namespace::new(subject),
            workers: lab.workers(),
            lab,
        };
        let mut server = web_server("web");
        server["ports"][0]["hostPort"] = json!(8099);
        workload.controller("web", 2, json!({"containers": [server]}));
        let ports = json!([{"port": 80, "targetPort": 8080, "nodePort": NODE_PORT}]);
        let spec = json!({"type": "NodePort", "ports": ports});
        workload.namespace.create(&service("web", "web", spec));
        workload.ready("web", 2);
        for address in workload.addresses() {
            until("the service answers", || traffic::visit(&address));
        }
        workload
    }

    fn controller(&self, name: &str, replicas: u32, spec: Value) {
        self.namespace
            .create(&replication_controller(name, replicas, spec));
    }

    fn ready(&self, app: &str, count: usize) -> Vec<Pod> {
        pods::wait_ready(&self.namespace, &format!("app={app}"), count)
    }

    fn addresses(&self) -> Vec<String> {
        let address = |worker: &Worker| format!("{}:{NODE_PORT}", worker.address);
        self.workers.iter().map(address).collect()
    }

    /// What identifies the pods and their containers.
    fn identity(&self) -> BTreeMap<String, Vec<(String, u64)>> {
        let pods = pods::try_list(&self.namespace, "app=web").unwrap_or_else(|e| panic!("{e}"));
        pods.iter()
            .map(|pod| (pod.uid(), pod.containers()))
            .collect()
    }

    /// Proves that everything works together again: a change goes all the way
    /// through API, controller, scheduler, kubelet, overlay and proxy, and back.
    fn works(&self, what: &str) {
        self.lab.wait_well();
        let name = format!("after-{}", what.replace('@', "-"));
        self.controller(&name, 1, json!({"containers": [web_server("web")]}));
        let pod = self.ready(&name, 1).remove(0);
        let told = self
            .namespace
            .run(&format!("create service clusterip {name} --tcp=80:8080"));
        assert_eq!(told, format!("service/{name} created\n"));
        let path = "jsonpath={.spec.clusterIP}";
        let ip = self.namespace.run(&format!("get service {name} -o {path}"));
        for worker in &self.workers {
            let line = format!("timeout 2 busybox wget -q -O - http://{ip}/");
            until(&format!("{} reaches the new service", worker.name), || {
                let told = self.lab.try_on(&worker.name, &line).ok()?;
                wait::holds(told.trim() == pod.name(), told)
            });
        }
        self.namespace.run(&format!("delete rc,service {name}"));
        until("its pod goes", || {
            let left = pods::try_list(&self.namespace, &format!("app={name}"))?;
            wait::holds(left.is_empty(), format!("{left:?}"))
        });
    }

    /// Fails if a node holds anything of pods that are no more.
    fn assert_clean(&self, worker: &Worker) {
        within(
            Duration::from_secs(60),
            &format!("{} is clean", worker.name),
            || self.leftovers(&worker.name),
        );
    }

    fn leftovers(&self, node: &str) -> Result<(), String> {
        let line = format!("get pods -A --field-selector spec.nodeName={node}");
        let list = Kubectl::stock().try_json(&line)?;
        let items = list["items"].as_array().cloned().unwrap_or_default();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let uids: BTreeSet<String> = items
            .iter()
            .map(|pod| text(&pod["metadata"]["uid"]))
            .collect();
        let ips: BTreeSet<String> = items
            .iter()
            .map(|pod| text(&pod["status"]["podIP"]))
            .collect();
        let on = |line: &str| self.lab.try_on(node, line).ok();
        // Sandboxes and containers, by the pod they are labelled with.
        let labels = on(
            "sh -c 'for c in $(ctr -n k8s.io containers list -q); do ctr -n k8s.io containers info $c; done'",
        )?;
        for line in labels
            .lines()
            .filter(|line| line.contains("\"io.kubernetes.pod.uid\""))
        {
            let uid = line.split('"').nth(3).unwrap_or_default();
            wait::holds(uids.contains(uid), format!("a container of pod {uid}"))?;
        }
        // Folders of pods and what is mounted in them.
        let folders = on("ls /var/lib/kubelet/pods")?;
        for uid in folders.split_whitespace() {
            wait::holds(uids.contains(uid), format!("the folder of pod {uid}"))?;
        }
        let mounts = on("cat /proc/mounts")?;
        for line in mounts.lines() {
            if let Some((_, rest)) = line.split_once("/var/lib/kubelet/pods/") {
                let uid = rest.split('/').next().unwrap_or_default();
                wait::holds(uids.contains(uid), format!("a mount of pod {uid}"))?;
            }
        }
        // Addresses that are taken.
        let taken = on("sh -c 'ls /var/lib/cni/networks/*/ 2>/dev/null || true'")?;
        for ip in taken
            .split_whitespace()
            .filter(|name| name.starts_with("10."))
        {
            wait::holds(
                ips.contains(ip),
                format!("the address {ip} is taken by nobody"),
            )?;
        }
        // Network namespaces: one for each sandbox.
        let spaces = on("sh -c 'ls /run/netns /var/run/netns 2>/dev/null | grep -c ^cni | cat'")?;
        let count: usize = spaces.trim().parse().map_err(|_| spaces.clone())?;
        let running = items
            .iter()
            .filter(|pod| pod["status"]["phase"] == "Running")
            .count();
        // Where /var/run is /run they are counted twice.
        wait::holds(
            count <= 2 * running,
            format!("{count} network namespaces, {running} pods"),
        )
    }
}

/// Every process is killed in its turn, and started again.
#[test]
#[ignore = "needs a lab: cargo hardway test"]
fn any_process_may_be_killed() {
    let workload = Workload::start("kill");
    let worker = workload.workers[0].name.clone();
    let mut processes: Vec<String> = ["etcd", "apiserver", "controller-manager", "scheduler"]
        .map(str::to_owned)
        .into();
    processes.extend(
        ["containerd", "kubelet", "proxy", "flannel-lite"].map(|p| format!("{p}@{worker}")),
    );
    let before = workload.identity();
    let _back = defer(|| {
        for process in &processes {
            workload.lab.try_tool(&format!("start {process}"));
        }
    });
    let mut failed = Vec::new();
    for process in &processes {
        let start = Instant::now();
        let attempt = std::panic::AssertUnwindSafe(|| {
            let traffic = Traffic::start(workload.addresses());
            workload.lab.tool(&format!("kill {process}"));
            // Down for a while: enough visits to see that they are answered.
            traffic.wait_for(20);
            workload.lab.tool(&format!("start {process}"));
            workload.works(process);
            traffic.assert_flawless();
            assert_eq!(workload.identity(), before, "pods are as they were");
        });
        let good = std::panic::catch_unwind(attempt).is_ok();
        eprintln!(
            "   {} {process} ({:.1?})",
            if good { "ok    " } else { "FAILED" },
            start.elapsed()
        );
        if !good {
            workload.lab.try_tool(&format!("start {process}"));
            failed.push(process.as_str());
        }
    }
    assert!(failed.is_empty(), "not survived: {}", failed.join(", "));
}

/// The apiserver's store is away for 20 seconds.
#[test]
#[ignore = "needs a lab: cargo hardway test"]
fn etcd_may_be_away() {
    let workload = Workload::start("etcd");
    let namespace = &workload.namespace;
    let before = workload.identity();
    let _back = defer(|| drop(workload.lab.try_tool("start etcd")));
    let traffic = Traffic::start(workload.addresses());
    let mut acknowledged = Vec::new();
    let mut write = |number: u32| {
        let name = format!("written-{number}");
        let output = namespace.try_run(&format!("create configmap {name} --request-timeout=5s"));
        if output.success {
            acknowledged.push(name);
        }
        output
    };
    for number in 0..5 {
        assert!(write(number).success);
    }
    workload.lab.tool("kill etcd");
    let away = Instant::now();
    let mut number = 5;
    while away.elapsed() < Duration::from_secs(20) {
        let refused = write(number);
        number += 1;
        assert!(
            !refused.success,
            "acknowledged without a store: {refused:?}"
        );
        assert!(is_clear(&refused.stderr), "{}", refused.stderr);
        let read = namespace.try_run("get configmaps --request-timeout=5s");
        assert!(!read.success, "a consistent read without a store: {read:?}");
        assert!(is_clear(&read.stderr), "{}", read.stderr);
    }
    workload.lab.tool("start etcd");
    until("writes are taken again", || {
        number += 1;
        write(number).ok()
    });
    let listed = namespace.run("get configmaps -o name");
    for name in &acknowledged {
        assert!(
            listed.contains(&format!("configmap/{name}\n")),
            "{name} was acknowledged and is lost"
        );
    }
    workload.works("etcd");
    traffic.assert_flawless();
    assert_eq!(workload.identity(), before, "pods are as they were");
}

/// Whether an error says what is wrong: that the store is away.
fn is_clear(error: &str) -> bool {
    error.contains("etcd") || error.contains("timed out") || error.contains("Timeout")
}

/// A restart of the kubelet is nothing to its pods.
#[test]
#[ignore = "needs a lab: cargo hardway test"]
fn a_kubelet_restart_leaves_pods_alone() {
    let workload = Workload::start("restart");
    let before = workload.identity();
    let watch = workload
        .namespace
        .spawn("get pods --watch --output-watch-events");
    watch.wait_for("web-");
    let traffic = Traffic::start(workload.addresses());
    for worker in &workload.workers {
        workload
            .lab
            .tool(&format!("restart kubelet@{}", worker.name));
        workload
            .lab
            .tool(&format!("kill containerd@{}", worker.name));
        workload
            .lab
            .tool(&format!("start containerd@{}", worker.name));
    }
    workload.works("restart");
    traffic.assert_flawless();
    assert_eq!(workload.identity(), before);
    let seen = watch.printed();
    let unready = seen
        .lines()
        .any(|line| line.contains(" web-") && line.contains(" 0/1 ") && !line.contains("after-"));
    assert!(!unready, "a pod was not ready for a moment:\n{seen}");
}

/// A worker loses power: its pods are replaced on the other, it comes back clean.
#[test]
#[ignore = "needs a lab: cargo hardway test"]
fn a_worker_may_be_killed() {
    let workload = Workload::start("power");
    let lab = &workload.lab;
    let victim = workload.workers[1].clone();
    let tolerations: Value = ["not-ready", "unreachable"]
        .iter()
        .map(|taint| json!({"key": format!("node.kubernetes.io/{taint}"), "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 3}))
        .collect();
    let spec = json!({"containers": [web_server("web")], "tolerations": tolerations});
    workload.controller("hasty", 4, spec);
    let before = workload.ready("hasty", 4);
    assert!(
        before.iter().any(|pod| pod.node() == victim.name),
        "spread over both nodes: {before:?}"
    );
    let _back = defer(|| drop(lab.try_tool(&format!("node start {}", victim.name))));
    let mac = || lab.on(&victim.name, "ip -brief link show eth0");
    let mac_before = mac();
    let start = Instant::now();
    lab.tool(&format!("node kill {}", victim.name));
    wait_lost(&victim);
    within(
        Duration::from_secs(40),
        "all pods run on the other node",
        || {
            let pods = pods::try_list(&workload.namespace, "app=hasty")?;
            let here = pods
                .iter()
                .filter(|pod| pod.ready() && pod.node() != victim.name)
                .count();
            wait::holds(here == 4, format!("{pods:?}"))
        },
    );
    eprintln!("   replaced after {:.0?}", start.elapsed());
    // The service answers at the node that is left, from the pod that is left.
    let left = &workload.addresses()[0];
    for _ in 0..20 {
        until("the node that is left answers", || traffic::visit(left));
    }
    lab.tool(&format!("node start {}", victim.name));
    // Whoever remembers where it was finds it there.
    let hardware = |link: String| link.split_whitespace().nth(2).map(str::to_owned);
    assert_eq!(hardware(mac()), hardware(mac_before));
    workload.works("power");
    workload.ready("web", 2);
    let after = workload.ready("hasty", 4);
    assert!(
        after.iter().all(|pod| pod.node() != victim.name),
        "{after:?}"
    );
    until("no pod hangs", || {
        let told = workload.namespace.try_run("get pods").ok()?;
        wait::holds(!told.contains("Terminating"), told)
    });
    for address in workload.addresses() {
        until("the service answers everywhere", || {
            traffic::visit(&address)
        });
    }
    for worker in &workload.workers {
        workload.assert_clean(worker);
    }
}

/// Waits until a node's silence is told.
fn wait_lost(worker: &Worker) {
    let patience = Duration::from_secs(70);
    within(patience, "the node is told to be lost", || {
        let told = Kubectl::stock()
            .try_run(&format!("get node {} --no-headers", worker.name))
            .ok()?;
        wait::holds(told.contains("NotReady"), told)
    });
}

/// A worker's plug is pulled and put back.
#[test]
#[ignore = "needs a lab: cargo hardway test"]
fn a_worker_may_be_cut_off() {
    let workload = Workload::start("cut");
    let lab = &workload.lab;
    let victim = workload.workers[1].clone();
    let before = workload.identity();
    let _back = defer(|| drop(lab.try_tool(&format!("node join {}", victim.name))));
    lab.tool(&format!("node cut {}", victim.name));
    wait_lost(&victim);
    let node = Kubectl::stock().json(&format!("get node {}", victim.name));
    assert!(
        node["spec"]["taints"]
            .to_string()
            .contains("node.kubernetes.io/unreachable"),
        "{node}"
    );
    let left = &workload.addresses()[0];
    until("its pods get no visitors", || {
        let ready = workload
            .namespace
            .try_run("get endpoints web -o jsonpath={.subsets[*].addresses[*].ip}")
            .ok()?;
        wait::holds(ready.split_whitespace().count() == 1, ready)
    });
    for _ in 0..20 {
        until("the node that is left answers", || traffic::visit(left));
    }
    lab.tool(&format!("node join {}", victim.name));
    workload.works("cut");
    workload.ready("web", 2);
    assert_eq!(
        workload.identity(),
        before,
        "within the time tolerated nothing is replaced"
    );
    until("the node is told to be whole", || {
        let node = Kubectl::stock().json(&format!("get node {}", victim.name));
        wait::holds(node["spec"]["taints"].is_null(), node["spec"].clone())
    });
    for address in workload.addresses() {
        until("the service answers everywhere", || {
            traffic::visit(&address)
        });
    }
}
