//! Who may do what, and who gets in at all.

use std::collections::BTreeMap;

use hardway_tests::kubectl::Kubectl;
use hardway_tests::lab::Worker;
use hardway_tests::manifest::{IDLE, container, pod};
use hardway_tests::pods;
use hardway_tests::text::assert_has;
use hardway_tests::{Lab, Namespace, defer, http, steps, tls, until, wait};
use serde_json::{Value, json};

struct Guarded {
    namespace: Namespace,
    lab: Lab,
    workers: Vec<Worker>,
    folder: tempfile::TempDir,
}

#[test]
#[ignore = "needs a lab: cargo hardway test"]
fn only_those_who_may_get_in() {
    let lab = Lab::open();
    let guarded = Guarded {
        namespace: Namespace::new("rbac"),
        workers: lab.workers(),
        lab,
        folder: tempfile::tempdir().expect("a folder for kubeconfigs"),
    };
    let steps: &[steps::Step<Guarded>] = &[
        ("who am I", whoami),
        ("service account token", account_token),
        ("token inside a pod", token_in_pod),
        ("token bound to a pod", bound_token),
        ("wrong tokens", wrong_tokens),
        ("role binding", role_binding),
        ("aggregated roles", aggregated_roles),
        ("names and subresources", names_and_subresources),
        ("no escalation", no_escalation),
        ("impersonation", impersonation),
        ("nodes see their own", node_identity),
        ("components see their part", components),
        ("anonymous", anonymous),
        ("metrics need a certificate", metrics),
        ("nothing without TLS", no_insecure_port),
        ("etcd needs a certificate", etcd),
        ("kubelet needs a certificate", kubelet),
        ("certificate signing", signing),
    ];
    steps::run(&guarded, &guarded.namespace, steps);
}

impl Guarded {
    /// A kubectl that has nothing but a token, or nothing at all.
    fn bearer(&self, token: Option<&str>) -> Kubectl {
        let mut config = Kubectl::stock().json("config view --raw --minify");
        let user = token.map_or_else(|| json!({}), |token| json!({"token": token}));
        config["users"][0]["user"] = user;
        let name = token.map_or(0, |token| {
            token.len() + token.bytes().map(usize::from).sum::<usize>()
        });
        let path = self.folder.path().join(format!("{name}.json"));
        std::fs::write(&path, config.to_string()).expect("write a kubeconfig");
        Kubectl::stock()
            .with(&format!("--kubeconfig={}", path.display()))
            .namespace(&self.namespace.name)
    }

    /// A kubectl with one of the lab's kubeconfigs.
    fn component(&self, name: &str) -> Kubectl {
        let path = self.lab.path(&format!("kubeconfig/{name}.kubeconfig"));
        Kubectl::stock().with(&format!("--kubeconfig={}", path.display()))
    }

    fn account(&self, name: &str) -> Kubectl {
        self.namespace.run(&format!("create serviceaccount {name}"));
        let token = self.namespace.run(&format!("create token {name}"));
        self.bearer(Some(token.trim()))
    }

    /// Address of a port of the control plane.
    fn control_plane(&self, port: u16) -> String {
        format!("{}:{port}", self.lab.control_plane())
    }
}

fn can(kubectl: &Kubectl, what: &str) -> bool {
    let told = kubectl.try_run(&format!("auth can-i {what}"));
    let answer = told.stdout.trim();
    assert!(
        ["yes", "no"].contains(&answer.split(' ').next().unwrap_or_default()),
        "{told:?}"
    );
    assert_eq!(told.success, answer == "yes");
    told.success
}

fn whoami(guarded: &Guarded) {
    let told = guarded.namespace.run("auth whoami");
    assert_has(
        &told,
        &[
            "ATTRIBUTE VALUE",
            "Username kubernetes-admin",
            "Groups [system:masters system:authenticated]",
        ],
    );
    assert!(can(&guarded.namespace, "'*' '*'"));
}

fn account_token(guarded: &Guarded) {
    let robot = guarded.account("robot");
    let name = &guarded.namespace.name;
    let told = robot.run("auth whoami");
    assert_has(
        &told,
        &[
            &format!("Username system:serviceaccount:{name}:robot"),
            &format!(
                "Groups [system:serviceaccounts system:serviceaccounts:{name} system:authenticated]"
            ),
        ],
    );
    assert_eq!(
        robot.refused("get pods", ""),
        format!(
            "Error from server (Forbidden): pods is forbidden: User \"system:serviceaccount:{name}:robot\" cannot list resource \"pods\" in API group \"\" in the namespace \"{name}\"\n"
        )
    );
    // An account that is gone takes its tokens along.
    guarded.namespace.run("delete serviceaccount robot");
    until("the token is good no longer", || {
        let told = robot.try_run("auth whoami");
        wait::holds(
            told.stderr.contains("Unauthorized") || told.stderr.contains("must be logged in"),
            format!("{told:?}"),
        )
    });
}

/// A client inside a pod, with what every pod is given.
fn token_in_pod(guarded: &Guarded) {
    let namespace = &guarded.namespace;
    namespace.run("create serviceaccount inside");
    namespace.run("create role reader --verb=get,list --resource=pods");
    namespace.run(&format!(
        "create rolebinding reader --role=reader --serviceaccount={}:inside",
        namespace.name
    ));
    let program = Kubectl::stock().program().to_owned();
    let folder = program
        .parent()
        .expect("kubectl is in a folder")
        .display()
        .to_string();
    let mut main = container("main", IDLE);
    main["volumeMounts"] = json!([{"name": "tools", "mountPath": "/tools", "readOnly": true}]);
    let spec = json!({
        "serviceAccountName": "inside",
        "containers": [main],
        "volumes": [{"name": "tools", "hostPath": {"path": folder}}],
    });
    namespace.create(&pod("inside", spec));
    pods::wait_pod(namespace, "inside");
    let tool = format!(
        "/tools/{}",
        program.file_name().expect("a file").to_string_lossy()
    );
    let run = |line: &str| namespace.try_run(&format!("exec inside -- {tool} {line}"));
    let listed = until("the API answers inside the pod", || {
        run("get pods -o name").ok()
    });
    assert_eq!(listed, "pod/inside\n");
    let refused = run("get secrets");
    assert!(
        refused.stderr.contains(&format!(
            "User \"system:serviceaccount:{}:inside\" cannot list resource \"secrets\"",
            namespace.name
        )),
        "{refused:?}"
    );
    // The token names the pod and the node.
    let told = run("auth whoami").ok().unwrap_or_else(|e| panic!("{e}"));
    assert_has(
        &told,
        &["authentication.kubernetes.io/pod-name", "[inside]"],
    );
}

fn bound_token(guarded: &Guarded) {
    let namespace = &guarded.namespace;
    namespace.create(&pod(
        "bound",
        json!({"containers": [container("main", IDLE)]}),
    ));
    pods::wait_pod(namespace, "bound");
    let token =
        namespace.run("create token default --bound-object-kind=Pod --bound-object-name=bound");
    let holder = guarded.bearer(Some(token.trim()));
    holder.run("auth whoami");
    namespace.run("delete pod bound");
    until("the token has gone with the pod", || {
        let told = holder.try_run("auth whoami");
        wait::holds(!told.success, told.stdout)
    });
}

fn wrong_tokens(guarded: &Guarded) {
    let token = guarded.namespace.run("create token default");
    let token = token.trim();
    let mut parts: Vec<String> = token.split('.').map(str::to_owned).collect();
    assert_eq!(parts.len(), 3);
    let (head, tail) = parts[2].split_at(10);
    let turned: String = tail.chars().rev().collect();
    parts[2] = format!("{head}{turned}");
    let other = guarded
        .namespace
        .run("create token default --audience=somebody-else");
    for wrong in ["nonsense", &parts.join("."), other.trim()] {
        let told = guarded.bearer(Some(wrong)).refused("get pods", "");
        assert!(
            told.contains("You must be logged in to the server"),
            "{told}"
        );
    }
}

fn role_binding(guarded: &Guarded) {
    let namespace = &guarded.namespace;
    let clerk = guarded.account("clerk");
    assert!(!can(&clerk, "create configmaps"));
    let name = &namespace.name;
    namespace.run(&format!(
        "create rolebinding clerk --clusterrole=edit --serviceaccount={name}:clerk"
    ));
    until("the binding works", || {
        wait::holds(can(&clerk, "create configmaps"), "not yet")
    });
    clerk.run("create configmap from-clerk --from-literal=a=b");
    // Only here, and no more than the role says.
    assert!(!can(&clerk, "create configmaps --namespace=default"));
    assert!(!can(&clerk, "create roles"));
    assert!(!can(&clerk, "get nodes"));
    namespace.run("delete rolebinding clerk");
    until("the binding is gone", || {
        wait::holds(!can(&clerk, "create configmaps"), "still")
    });
}

fn aggregated_roles(guarded: &Guarded) {
    let namespace = &guarded.namespace;
    for (role, may, may_not) in [
        ("view", "list pods", "delete pods"),
        ("view", "get configmaps", "get secrets"),
        (
            "edit",
            "get secrets",
            "create rolebindings.rbac.authorization.k8s.io",
        ),
        (
            "admin",
            "create rolebindings.rbac.authorization.k8s.io",
            "delete namespaces",
        ),
        ("cluster-admin", "delete namespaces", ""),
    ] {
        let binding = format!("{role}-{}", may.replace([' ', '.'], "-"));
        let user = namespace.with(&format!("--as={binding}"));
        namespace.run(&format!(
            "create rolebinding {binding} --clusterrole={role} --user={binding}"
        ));
        until("the binding works", || {
            wait::holds(can(&user, may), format!("{role}: {may}"))
        });
        assert!(
            may_not.is_empty() || !can(&user, may_not),
            "{role}: {may_not}"
        );
    }
}

fn names_and_subresources(guarded: &Guarded) {
    let namespace = &guarded.namespace;
    namespace.run("create role narrow --verb=get --resource=configmaps --resource-name=this");
    namespace.run("create role logs --verb=get --resource=pods/log");
    for role in ["narrow", "logs"] {
        namespace.run(&format!(
            "create rolebinding {role} --role={role} --user=narrow"
        ));
    }
    let user = namespace.with("--as=narrow");
    until("the binding works", || {
        wait::holds(can(&user, "get pods --subresource=log"), "not yet")
    });
    assert!(can(&user, "get configmap/this"));
    assert!(!can(&user, "get configmap/that"));
    assert!(!can(&user, "list configmaps"));
    assert!(!can(&user, "get pods"));
    assert!(!can(&user, "create pods --subresource=exec"));
}

fn no_escalation(guarded: &Guarded) {
    let namespace = &guarded.namespace;
    namespace.run("create rolebinding boss --clusterrole=admin --user=boss");
    let boss = namespace.with("--as=boss");
    until("the binding works", || {
        wait::holds(
            can(&boss, "create roles.rbac.authorization.k8s.io"),
            "not yet",
        )
    });
    boss.run("create role modest --verb=get --resource=pods");
    let told = boss.refused("create role greedy --verb=get --resource=nodes", "");
    assert_has(
        &told,
        &[
            "roles.rbac.authorization.k8s.io \"greedy\" is forbidden: user \"boss\" (groups=[\"system:authenticated\"]) is attempting to grant RBAC permissions not currently held:",
            "{APIGroups:[\"\"], Resources:[\"nodes\"], Verbs:[\"get\"]}",
        ],
    );
    let told = boss.refused(
        "create rolebinding greedy --clusterrole=cluster-admin --user=boss",
        "",
    );
    assert!(
        told.contains("is attempting to grant RBAC permissions not currently held"),
        "{told}"
    );
}

fn impersonation(guarded: &Guarded) {
    let namespace = &guarded.namespace;
    let told = namespace
        .with("--as=jane")
        .with("--as-group=friends")
        .run("auth whoami");
    assert_has(
        &told,
        &["Username jane", "Groups [friends system:authenticated]"],
    );
    let robot = guarded.account("pretender");
    let told = robot.with("--as=jane").refused("get pods", "");
    assert!(
        told.contains("users \"jane\" is forbidden: User \"system:serviceaccount:")
            && told.contains(
                "cannot impersonate resource \"users\" in API group \"\" at the cluster scope"
            ),
        "{told}"
    );
}

fn node_identity(guarded: &Guarded) {
    let [own, other] = [0, 1].map(|index: usize| guarded.workers[index].name.clone());
    let node = guarded.component(&format!("kubelet-{own}"));
    let here = node.namespace(&guarded.namespace.name);
    node.run(&format!("get node {own}"));
    let told = node.refused(&format!("label node {other} x=y"), "");
    assert_eq!(
        told,
        format!(
            "Error from server (Forbidden): nodes \"{other}\" is forbidden: node \"{own}\" is not allowed to modify node \"{other}\"\n"
        )
    );
    let told = node.refused(
        &format!("label node {own} node-restriction.kubernetes.io/x=y"),
        "",
    );
    assert!(told.contains("is not allowed to modify labels"), "{told}");
    let told = node.refused(&format!("taint node {own} x=y:NoSchedule"), "");
    assert!(
        told.contains(&format!(
            "nodes \"{own}\" is forbidden: node \"{own}\" is not allowed to modify taints"
        )),
        "{told}"
    );
    // Secrets only of its own pods.
    let namespace = &guarded.namespace;
    namespace.run("create secret generic hidden --from-literal=a=b");
    let told = here.refused("get secret hidden", "");
    assert_eq!(
        told,
        format!(
            "Error from server (Forbidden): secrets \"hidden\" is forbidden: User \"system:node:{own}\" cannot get resource \"secrets\" in API group \"\" in the namespace \"{}\": no relationship found between node '{own}' and this object\n",
            namespace.name
        )
    );
    let spec = |node: &str| {
        json!({
            "nodeName": node,
            "containers": [container("main", IDLE)],
            "volumes": [{"name": "hidden", "secret": {"secretName": "hidden"}}],
        })
    };
    namespace.create(&pod("elsewhere", spec(&other)));
    pods::wait_pod(namespace, "elsewhere");
    here.refused("get secret hidden", "");
    namespace.create(&pod("here", spec(&own)));
    until("the node reads its pod's secret", || {
        here.try_run("get secret hidden").ok()
    });
    assert!(here.refused("get secrets", "").contains("(Forbidden)"));
    // Pods only of its own.
    let told = here.refused("delete pod elsewhere", "");
    assert!(
        told.contains("can only delete pods with spec.nodeName set to itself"),
        "{told}"
    );
    let told = here.refused("run mine --image=busybox:1.36", "");
    assert!(
        told.contains("can only create mirror pods")
            || told.contains("pod does not have \"kubernetes.io/config.mirror\" annotation"),
        "{told}"
    );
    namespace.run("delete pod here elsewhere --wait=false");
}

fn components(guarded: &Guarded) {
    let may: BTreeMap<&str, [&str; 2]> = BTreeMap::from([
        (
            "scheduler",
            [
                "create pods --subresource=binding",
                "create deployments.apps",
            ],
        ),
        (
            "controller-manager",
            ["create pods", "create pods --subresource=exec"],
        ),
        (
            "kube-proxy-worker-1",
            ["list endpointslices.discovery.k8s.io", "list secrets"],
        ),
        ("flannel-lite-worker-1", ["patch nodes", "list pods"]),
    ]);
    for (name, [can_do, can_not]) in may {
        let component = guarded.component(name);
        assert!(can(&component, can_do), "{name} {can_do}");
        if name != "controller-manager" {
            assert!(!can(&component, can_not), "{name} {can_not}");
        }
    }
}

fn anonymous(guarded: &Guarded) {
    let api = guarded.control_plane(6443);
    let get = |path: &str| {
        tls::get(&guarded.lab, "ca", &api, path, None).unwrap_or_else(|e| panic!("{path}: {e}"))
    };
    for path in ["/healthz", "/livez", "/readyz"] {
        let answer = get(path);
        assert_eq!((answer.status, answer.body.as_str()), (200, "ok"), "{path}");
    }
    assert_eq!(get("/version").status, 200);
    let answer = get("/api/v1/namespaces/default/pods");
    assert_eq!(answer.status, 401);
    let status: Value = serde_json::from_str(&answer.body).expect("a Status");
    assert_eq!(status["kind"], "Status");
    assert_eq!(status["reason"], "Unauthorized");
    assert_eq!(get("/metrics").status, 401);
    let told = guarded.namespace.run("get --raw /livez?verbose");
    assert_has(&told, &["[+]ping ok", "livez check passed"]);
}

fn metrics(guarded: &Guarded) {
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
fn no_insecure_port(guarded: &Guarded) {
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

fn etcd(guarded: &Guarded) {
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

fn kubelet(guarded: &Guarded) {
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

/// A user's certificate: asked for, approved, issued, used.
fn signing(guarded: &Guarded) {
    let name = format!("csr-{}", guarded.namespace.name);
    let key = guarded.folder.path().join("user.key");
    let request = guarded.folder.path().join("user.csr");
    let made = std::process::Command::new("openssl")
        .args([
            "req",
            "-new",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-subj",
            "/CN=signed/O=crew",
        ])
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(&request)
        .output();
    if !made.is_ok_and(|made| made.status.success()) {
        println!("skipped: openssl isn't here");
        return;
    }
    let request = guarded.folder.path().join("user.csr");
    let encoded = std::process::Command::new("base64")
        .arg("-w0")
        .arg(&request)
        .output()
        .expect("base64")
        .stdout;
    let stock = Kubectl::stock();
    let _gone = defer(|| drop(Kubectl::stock().try_run(&format!("delete csr {name}"))));
    stock.create(&json!({
        "apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest",
        "metadata": {"name": name},
        "spec": {
            "request": String::from_utf8_lossy(&encoded),
            "signerName": "kubernetes.io/kube-apiserver-client",
            "usages": ["client auth"],
        },
    }));
    assert_has(
        &stock.run(&format!("get csr {name}")),
        &[
            "kubernetes.io/kube-apiserver-client kubernetes-admin",
            "Pending",
        ],
    );
    let told = stock.run(&format!("certificate approve {name}"));
    assert_eq!(
        told,
        format!("certificatesigningrequest.certificates.k8s.io/{name} approved\n")
    );
    let issued = until("the certificate is issued", || {
        let told = stock
            .try_run(&format!(
                "get csr {name} -o jsonpath={{.status.certificate}}"
            ))
            .ok()?;
        wait::holds(!told.is_empty(), "none yet").map(|()| told)
    });
    let mut config = stock.json("config view --raw --minify");
    let key = std::process::Command::new("base64")
        .arg("-w0")
        .arg(&key)
        .output()
        .expect("base64")
        .stdout;
    config["users"][0]["user"] = json!({
        "client-certificate-data": issued,
        "client-key-data": String::from_utf8_lossy(&key),
    });
    let path = guarded.folder.path().join("signed.json");
    std::fs::write(&path, config.to_string()).expect("write a kubeconfig");
    let user = stock.with(&format!("--kubeconfig={}", path.display()));
    assert_has(
        &user.run("auth whoami"),
        &["Username signed", "Groups [crew system:authenticated]"],
    );
}
