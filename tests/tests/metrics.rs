//! What nodes and pods use, through a server behind the apiserver; and that such a server may
//! be away without anybody else noticing.

use hardway_tests::kubectl::Kubectl;
use hardway_tests::manifest::{container, pod};
use hardway_tests::text::assert_has;
use hardway_tests::wait::holds;
use hardway_tests::{Lab, Namespace, defer, pods, until};
use serde_json::{Value, json};

const GROUP: &str = "v1beta1.metrics.k8s.io";
const DEPLOYMENT: &str = "--namespace=kube-system deployment/hardway-metrics";

/// The condition `Available` of an APIService: its status, and the reason.
fn available(kubectl: &Kubectl, name: &str) -> Result<(String, String), String> {
    let service = kubectl.try_json(&format!("get apiservice {name}"))?;
    let condition = &service["status"]["conditions"][0];
    let text = |field: &str| condition[field].as_str().unwrap_or_default().to_owned();
    Ok((text("status"), text("reason")))
}

fn wait_available(kubectl: &Kubectl, reasons: &[&str]) {
    until(&format!("{GROUP}: {reasons:?}"), || {
        let (status, reason) = available(kubectl, GROUP)?;
        holds(
            reasons.contains(&reason.as_str()),
            format!("{status} {reason}"),
        )
    });
}

/// The figures of `kubectl top`, line by line.
fn lines(text: &str) -> Vec<Vec<&str>> {
    text.lines()
        .map(|line| line.split_whitespace().collect())
        .collect()
}

#[test]
#[ignore = "needs a lab: cargo hardway test"]
fn top_shows_nodes_pods_and_containers_to_every_kubectl() {
    let lab = Lab::open();
    let namespace = Namespace::new("metrics");
    // Half a core in one container, next to nothing in the other.
    let mut busy = container("busy", "while :; do :; done");
    busy["resources"] = json!({"limits": {"cpu": "100m", "memory": "32Mi"}});
    let idle = container("idle", "sleep 3600");
    let mut manifest = pod("worker", json!({"containers": [busy, idle]}));
    manifest["metadata"]["labels"] = json!({"app": "worker"});
    manifest["spec"]["terminationGracePeriodSeconds"] = json!(0);
    namespace.create(&manifest);
    pods::wait_pod(&namespace, "worker");
    wait_available(&namespace, &["Passed"]);
    until("the pod's containers are measured", || {
        let told = namespace
            .try_run("top pods --containers --no-headers")
            .ok()?;
        let lines = lines(&told);
        let busy = lines.iter().find(|line| line.get(1) == Some(&"busy"));
        let cpu = busy.and_then(|line| line[2].strip_suffix('m')?.parse::<u32>().ok());
        holds(lines.len() == 2 && cpu.is_some_and(|cpu| cpu > 40), told)
    });
    let workers = lab.workers();
    for (version, kubectl) in Kubectl::versions() {
        eprintln!("   kubectl {version}");
        let here = namespace.by(&kubectl);
        // Columns of memory and percentages differ between versions; these don't.
        let nodes = here.run("top nodes");
        for worker in &workers {
            let lines = lines(&nodes);
            let line = lines.iter().find(|line| line[0] == worker.name);
            let line = line.unwrap_or_else(|| panic!("{} is missing:\n{nodes}", worker.name));
            assert!(
                line[1].ends_with('m') && line[3].ends_with("Mi"),
                "{line:?}"
            );
        }
        let told = here.run("top pods --no-headers -l app=worker");
        let lines = lines(&told);
        assert_eq!((lines.len(), lines[0][0]), (1, "worker"), "{told}");
        assert!(here.try_run("top pods -l app=other").stdout.is_empty());
    }
    let table = namespace.run("get podmetrics.metrics.k8s.io");
    assert_has(&table, &["NAME CPU MEMORY WINDOW", "worker"]);
    let asked = namespace.json("get podmetrics.metrics.k8s.io worker");
    assert_eq!(asked["containers"][0]["name"], "busy");
    assert_eq!(asked["metadata"]["labels"]["app"], "worker");
    // Permission is asked for before anybody else hears of the request.
    let refused = namespace.refused("get nodemetrics.metrics.k8s.io --as=jane", "");
    assert_has(
        &refused,
        &[
            "User \"jane\" cannot list resource \"nodes\" in API group \"metrics.k8s.io\" at the cluster scope",
        ],
    );
    // And the server itself believes nobody but the apiserver.
    let address = namespace.run("get endpoints metrics-server --namespace=kube-system -o jsonpath={.subsets[0].addresses[0].ip}:{.subsets[0].ports[0].port}");
    let stranger = format!(
        "curl --silent --insecure -H X-Remote-User:admin -H X-Remote-Group:system:masters https://{address}/apis/metrics.k8s.io/v1beta1/nodes"
    );
    let answer = lab.on("control-plane", &stranger);
    assert_has(&answer, &["\"reason\":\"Unauthorized\""]);
}

#[test]
#[ignore = "needs a lab: cargo hardway test"]
fn a_server_that_is_away_keeps_nobody_else_waiting() {
    let lab = Lab::open();
    let kubectl = Kubectl::stock();
    wait_available(&kubectl, &["Passed"]);
    let _back = defer(|| drop(kubectl.try_run(&format!("scale {DEPLOYMENT} --replicas=1"))));
    kubectl.run(&format!("scale {DEPLOYMENT} --replicas=0"));
    wait_available(&kubectl, &["MissingEndpoints", "EndpointsNotFound"]);
    assert_has(
        &kubectl.run("get apiservice v1.apps v1beta1.metrics.k8s.io"),
        &[
            "v1.apps Local True",
            "v1beta1.metrics.k8s.io kube-system/metrics-server False",
        ],
    );
    let refused = kubectl.refused("top nodes", "");
    assert!(refused.to_lowercase().contains("metrics"), "{refused}");
    let groups: Value = serde_json::from_str(&kubectl.run("get --raw /apis")).unwrap();
    let names: Vec<&str> = groups["groups"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|group| group["name"].as_str())
        .collect();
    assert!(
        names.contains(&"apps") && names.contains(&"metrics.k8s.io"),
        "{names:?}"
    );
    // What is said of a stale group is up to each version of kubectl.
    let told = kubectl.try_run("api-resources --cached=false");
    assert_has(
        &told.stdout,
        &["deployments deploy apps/v1 true Deployment"],
    );
    let refused = kubectl.refused("get --raw /apis/metrics.k8s.io/v1beta1", "");
    assert_has(
        &refused,
        &["the server is currently unable to handle the request"],
    );
    // Namespaces come and go meanwhile.
    let namespace = Namespace::new("away");
    namespace.run("create configmap a");
    drop(namespace);

    kubectl.run(&format!("scale {DEPLOYMENT} --replicas=1"));
    wait_available(&kubectl, &["Passed"]);
    assert_has(
        &kubectl.run("api-resources --api-group=metrics.k8s.io"),
        &["pods metrics.k8s.io/v1beta1 true PodMetrics"],
    );
    // The apiserver finds everything again by itself.
    let _start = defer(|| drop(lab.try_tool("start apiserver")));
    lab.tool("kill apiserver");
    lab.tool("start apiserver");
    until("kubectl top works again", || {
        let told = kubectl.try_run("top nodes --no-headers").ok()?;
        holds(lines(&told).len() >= lab.workers().len(), told)
    });
}

#[test]
#[ignore = "needs a lab: cargo hardway test"]
fn api_services_say_what_is_missing() {
    Lab::open();
    let namespace = Namespace::new("elsewhere");
    let name = "v1.elsewhere.example.com";
    let _gone = defer(|| drop(namespace.try_run(&format!("delete apiservice {name}"))));
    let mut service = json!({
        "apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": {"name": name},
        "spec": {
            "group": "elsewhere.example.com", "version": "v1", "insecureSkipTLSVerify": true,
            "groupPriorityMinimum": 100, "versionPriority": 10,
            "service": {"namespace": namespace.name, "name": "nobody"},
        },
    });
    namespace.create(&service);
    let wait = |expected: &str| {
        until(&format!("{name}: {expected}"), || {
            let (status, reason) = available(&namespace, name)?;
            holds(reason == expected, format!("{status} {reason}"))
        });
    };
    wait("ServiceNotFound");
    namespace.run("create service clusterip nobody --tcp=80:80");
    wait("ServicePortError");
    let raw = namespace.refused("get --raw /apis/elsewhere.example.com/v1", "");
    assert_has(
        &raw,
        &["the server is currently unable to handle the request"],
    );
    service["metadata"]["name"] = json!("v2.elsewhere.example.com");
    let refused = namespace.refused("create -f -", &service.to_string());
    assert_has(
        &refused,
        &["must be `spec.version+\".\"+spec.group`: \"v1.elsewhere.example.com\""],
    );
}
