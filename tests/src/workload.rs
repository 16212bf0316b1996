//! A workload that shows whether a cluster works: web servers behind a port of every
//! node, visitors, and a walk through all parts.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value, json};

use crate::kubectl::Kubectl;
use crate::lab::Worker;
use crate::manifest::{replication_controller, service, web_server};
use crate::pods::{self, Pod};
use crate::{Lab, Namespace, traffic, until, wait, within};

/// The port of every node.
pub const NODE_PORT: u16 = 30090;

/// Web servers behind a port of every node.
#[derive(Debug)]
pub struct Workload {
    /// Where it is.
    pub namespace: Namespace,
    /// The lab it is in.
    pub lab: Lab,
    /// The lab's workers.
    pub workers: Vec<Worker>,
}

impl Workload {
    /// Two servers, kept on different nodes by a host port; they leave a lost node
    /// after so many seconds.
    #[track_caller]
    pub fn start(subject: &str) -> Self {
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

    /// Creates a replication controller.
    #[track_caller]
    pub fn controller(&self, name: &str, replicas: u32, spec: Value) {
        self.namespace
            .create(&replication_controller(name, replicas, spec));
    }

    /// Waits for so many pods of an app to serve.
    #[track_caller]
    pub fn ready(&self, app: &str, count: usize) -> Vec<Pod> {
        pods::wait_ready(&self.namespace, &format!("app={app}"), count)
    }

    /// The port on every node.
    pub fn addresses(&self) -> Vec<String> {
        let address = |worker: &Worker| format!("{}:{NODE_PORT}", worker.address);
        self.workers.iter().map(address).collect()
    }

    /// What identifies the pods and their containers.
    pub fn identity(&self) -> BTreeMap<String, Vec<(String, u64)>> {
        let pods = pods::try_list(&self.namespace, "app=web").unwrap_or_else(|e| panic!("{e}"));
        pods.iter()
            .map(|pod| (pod.uid(), pod.containers()))
            .collect()
    }

    /// Proves that everything works together again: a change goes all the way
    /// through API, controller, scheduler, kubelet, overlay and proxy, and back.
    #[track_caller]
    pub fn works(&self, what: &str) {
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
    pub fn assert_clean(&self, worker: &Worker) {
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
