//! Looking at the cluster and at what runs on it.

use hardway_tests::kubectl::Kubectl;
use hardway_tests::text::{assert_has, plain, rows, squeezed};
use hardway_tests::{until, wait};

use crate::Application;

pub fn cluster_info(application: &Application) {
    let server = format!("https://{}:6443", application.lab.control_plane());
    let told = plain(&Kubectl::stock().run("cluster-info"));
    assert_has(
        &told,
        &[
            &format!("Kubernetes control plane is running at {server}"),
            "To further debug and diagnose cluster problems, use 'kubectl cluster-info dump'.",
        ],
    );
}

pub fn api_versions(_: &Application) {
    let told = Kubectl::stock().run("api-versions");
    for version in [
        "admissionregistration.k8s.io/v1",
        "apiextensions.k8s.io/v1",
        "apps/v1",
        "authentication.k8s.io/v1",
        "authorization.k8s.io/v1",
        "autoscaling/v1",
        "autoscaling/v2",
        "batch/v1",
        "certificates.k8s.io/v1",
        "coordination.k8s.io/v1",
        "discovery.k8s.io/v1",
        "events.k8s.io/v1",
        "flowcontrol.apiserver.k8s.io/v1",
        "networking.k8s.io/v1",
        "node.k8s.io/v1",
        "policy/v1",
        "rbac.authorization.k8s.io/v1",
        "scheduling.k8s.io/v1",
        "storage.k8s.io/v1",
        "v1",
    ] {
        assert!(
            told.lines().any(|line| line == version),
            "{version}: {told}"
        );
    }
}

pub fn version(_: &Application) {
    let told = Kubectl::stock().run("version");
    assert_has(&told, &["Client Version: v1.", "Server Version: v1.33."]);
    assert!(!told.contains("WARNING"), "{told}");
}

pub fn get_nodes(application: &Application) {
    let table = rows(&Kubectl::stock().run("get nodes -o wide"));
    assert_eq!(
        table[0],
        [
            "NAME",
            "STATUS",
            "ROLES",
            "AGE",
            "VERSION",
            "INTERNAL-IP",
            "EXTERNAL-IP",
            "OS-IMAGE",
            "KERNEL-VERSION",
            "CONTAINER-RUNTIME"
        ]
    );
    for (row, worker) in table[1..].iter().zip(&application.workers) {
        assert_eq!(row[0], worker.name);
        assert_eq!(row[1], "Ready");
        assert_eq!(row[2], "<none>");
        assert!(row[4].starts_with("v1.33."), "{row:?}");
        assert_eq!(row[5], worker.address);
        assert_eq!(row[6], "<none>");
        assert!(row[9].starts_with("containerd://"), "{row:?}");
    }
    assert_eq!(table.len(), application.workers.len() + 1);
}

pub fn no_events(application: &Application) {
    let output = application.namespace.try_run("get events");
    let told = format!(
        "No resources found in {} namespace.\n",
        application.namespace.name
    );
    assert_eq!((output.stdout.as_str(), output.stderr), ("", told));
}

pub fn explain(_: &Application) {
    let told = Kubectl::stock().run("explain rc.spec");
    assert_has(
        &told,
        &[
            "KIND: ReplicationController",
            "VERSION: v1",
            "FIELD: spec <ReplicationControllerSpec>",
            "DESCRIPTION:",
            "FIELDS:",
            "minReadySeconds <integer>",
            "replicas <integer>",
            "selector <map[string]string>",
            "template <PodTemplateSpec>",
        ],
    );
    let field = Kubectl::stock().run("explain pod.spec.containers.image");
    assert_has(&field, &["KIND: Pod", "FIELD: image <string>"]);
    let tree = Kubectl::stock().run("explain service.spec --recursive");
    assert_has(&tree, &["ports <[]ServicePort>", "nodePort <integer>"]);
}

pub fn get_everything(application: &Application) {
    let namespace = &application.namespace;
    application.settled();
    let table = rows(&namespace.run("get rc -o wide"));
    assert_eq!(
        table[0],
        [
            "NAME",
            "DESIRED",
            "CURRENT",
            "READY",
            "AGE",
            "CONTAINERS",
            "IMAGES",
            "SELECTOR"
        ]
    );
    assert_eq!(table[1][..4], ["busmeme-rc", "2", "2", "2"]);
    assert_eq!(
        table[1][5..],
        [
            "mongo,web",
            "hardway.example/busmeme/mongo:1,hardway.example/busmeme/web:1",
            "name=web"
        ]
    );
    let all = Kubectl::stock().run("get rc,svc,pods --all-namespaces -o wide");
    assert_has(
        &all,
        &[
            "NAMESPACE NAME DESIRED CURRENT READY AGE CONTAINERS IMAGES SELECTOR",
            "replicationcontroller/busmeme-rc 2 2 2",
            "NAMESPACE NAME TYPE CLUSTER-IP EXTERNAL-IP PORT(S) AGE SELECTOR",
            "default service/kubernetes ClusterIP 10.96.0.1 <none> 443/TCP",
            "NAMESPACE NAME READY STATUS RESTARTS AGE IP NODE NOMINATED NODE READINESS GATES",
            "pod/busmeme-rc-",
            "2/2 Running 0",
            "<none> <none>",
        ],
    );
    let watch = Kubectl::stock().spawn("get pods -A --watch");
    watch.wait_for("busmeme-rc-");
}

pub fn events(application: &Application) {
    let told = until("all is told in events", || {
        let told = application.namespace.try_run("get events").ok()?;
        let reasons = [
            "SuccessfulCreate",
            "Scheduled",
            "Pulled",
            "Created",
            "Started",
        ];
        let missing = reasons.iter().find(|reason| !told.contains(**reason));
        wait::holds(missing.is_none(), format!("{missing:?} in {told}"))?;
        Ok(told)
    });
    assert_has(&told, &["LAST SEEN TYPE REASON OBJECT MESSAGE"]);
    let told = squeezed(&told);
    assert!(
        told.contains(&format!(
            "Successfully assigned {}/busmeme-rc-",
            application.namespace.name
        )),
        "{told}"
    );
    assert!(
        told.contains("replicationcontroller/busmeme-rc Created pod: busmeme-rc-"),
        "{told}"
    );
}

pub fn describe_pod(application: &Application) {
    let pod = &application.pods(2)[0];
    let told = until("the pod's events are there", || {
        let describe = format!("describe pod {}", pod.name());
        let told = application.namespace.try_run(&describe).ok()?;
        let all = told.contains("Successfully assigned")
            && told.matches("Started container").count() >= 2;
        wait::holds(all, &told).map(|()| told)
    });
    assert_has(
        &told,
        &[
            &format!("Name: {}", pod.name()),
            &format!("Namespace: {}", application.namespace.name),
            "Priority: 0",
            "Service Account: default",
            &format!("Node: {}/", pod.node()),
            "Start Time:",
            "Labels: name=web",
            "Annotations: <none>",
            "Status: Running",
            &format!("IP: {}", pod.ip()),
            "IPs:",
            "Controlled By: ReplicationController/busmeme-rc",
            "Containers:",
            "mongo:",
            "Container ID: containerd://",
            "Image: hardway.example/busmeme/mongo:1",
            "Image ID: hardway.example/busmeme/mongo@sha256:",
            "Port: 27017/TCP",
            "Host Port: 27017/TCP",
            "State: Running",
            "Started:",
            "Ready: True",
            "Restart Count: 0",
            "Environment: <none>",
            "Mounts:",
            "/data/db from mongo-persistent-storage (rw)",
            "/var/run/secrets/kubernetes.io/serviceaccount from kube-api-access-",
            "(ro)",
            "web:",
            "Port: 3000/TCP",
            "Environment:",
            "PORT: 3000",
            "DATABASE_HOST: localhost",
            "SITE_MOTTO: A meme for every bus.",
            "Conditions:",
            "Initialized True",
            "Ready True",
            "ContainersReady True",
            "PodScheduled True",
            "Volumes:",
            "mongo-persistent-storage:",
            "Type: HostPath (bare host directory volume)",
            "Path: /data/db",
            "kube-api-access-",
            "Type: Projected (a volume that contains injected data from multiple sources)",
            "TokenExpirationSeconds: 3607",
            "ConfigMapName: kube-root-ca.crt",
            "DownwardAPI: true",
            "QoS Class: BestEffort",
            "Node-Selectors: <none>",
            "Tolerations: node.kubernetes.io/not-ready:NoExecute op=Exists for 300s",
            "node.kubernetes.io/unreachable:NoExecute op=Exists for 300s",
            "Events:",
            "Scheduled",
            "Started container",
        ],
    );
}

pub fn describe_controller(application: &Application) {
    let told = application.namespace.run("describe rc busmeme-rc");
    assert_has(
        &told,
        &[
            "Name: busmeme-rc",
            "Selector: name=web",
            "Labels: name=busmeme-rc",
            "Replicas: 2 current / 2 desired",
            "Pods Status: 2 Running / 0 Waiting / 0 Succeeded / 0 Failed",
            "Pod Template:",
            "Host Port: 27017/TCP",
            "Events:",
            "SuccessfulCreate",
            "replication-controller",
            "Created pod: busmeme-rc-",
        ],
    );
}

pub fn describe_service(application: &Application) {
    let pods = application.pods(2);
    let told = until("both pods are told as endpoints", || {
        let describe = "describe svc busmeme-service";
        let told = application.namespace.try_run(describe).ok()?;
        let all = pods
            .iter()
            .all(|pod| told.contains(&format!("{}:3000", pod.ip())));
        wait::holds(all, &told).map(|()| told)
    });
    assert_has(
        &told,
        &[
            "Name: busmeme-service",
            "Labels: name=busmeme-service",
            "Selector: name=web",
            "Type: NodePort",
            "IP Family Policy: SingleStack",
            "IP Families: IPv4",
            "IP: 10.96.",
            "Port: <unset> 3000/TCP",
            "TargetPort: 3000/TCP",
            "NodePort: <unset> 30061/TCP",
            "Endpoints:",
            "Session Affinity: None",
            "External Traffic Policy: Cluster",
        ],
    );
}

pub fn describe_node(application: &Application) {
    let worker = &application.workers[0];
    let pods = application.pods(2);
    let here = pods.iter().find(|pod| pod.node() == worker.name);
    let here = here.expect("a pod on every node").name();
    let told = Kubectl::stock().run(&format!("describe node {}", worker.name));
    assert_has(
        &told,
        &[
            &format!("Name: {}", worker.name),
            "Roles: <none>",
            "Labels: beta.kubernetes.io/arch=",
            "kubernetes.io/arch=",
            &format!("kubernetes.io/hostname={}", worker.name),
            "kubernetes.io/os=linux",
            "Taints: <none>",
            "Unschedulable: false",
            "Lease:",
            &format!("HolderIdentity: {}", worker.name),
            "RenewTime:",
            "Conditions:",
            "MemoryPressure False",
            "KubeletHasSufficientMemory",
            "DiskPressure False",
            "PIDPressure False",
            "Ready True",
            "KubeletReady",
            "Addresses:",
            &format!("InternalIP: {}", worker.address),
            &format!("Hostname: {}", worker.name),
            "Capacity:",
            "cpu:",
            "memory:",
            "pods: 110",
            "Allocatable:",
            "System Info:",
            "Container Runtime Version: containerd://",
            "Kubelet Version: v1.33.",
            "PodCIDR: 10.244.",
            "Non-terminated Pods:",
            &here,
            "Allocated resources:",
        ],
    );
}
