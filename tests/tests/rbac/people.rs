//! Who somebody is: certificates, tokens, impersonation, nobody.

use super::{Guarded, can};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hardway_tests::kubectl::Kubectl;
use hardway_tests::manifest::{IDLE, container, pod};
use hardway_tests::pods;
use hardway_tests::text::assert_has;
use hardway_tests::{defer, tls, until, wait};
use serde_json::{Value, json};

pub fn whoami(guarded: &Guarded) {
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

pub fn account_token(guarded: &Guarded) {
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
pub fn token_in_pod(guarded: &Guarded) {
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

pub fn bound_token(guarded: &Guarded) {
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

pub fn wrong_tokens(guarded: &Guarded) {
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

pub fn impersonation(guarded: &Guarded) {
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

pub fn anonymous(guarded: &Guarded) {
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

/// A user's certificate: asked for, approved, issued, used.
pub fn signing(guarded: &Guarded) {
    let name = format!("csr-{}", guarded.namespace.name);
    let key = rcgen::KeyPair::generate().expect("a key");
    let mut params = rcgen::CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    for (kind, value) in [
        (rcgen::DnType::CommonName, "signed"),
        (rcgen::DnType::OrganizationName, "crew"),
    ] {
        params.distinguished_name.push(kind, value);
    }
    let request = params.serialize_request(&key).expect("a request");
    let request = request.pem().expect("PEM");
    let stock = Kubectl::stock();
    let _gone = defer(|| drop(Kubectl::stock().try_run(&format!("delete csr {name}"))));
    stock.create(&json!({
        "apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest",
        "metadata": {"name": name},
        "spec": {
            "request": STANDARD.encode(request),
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
    config["users"][0]["user"] = json!({
        "client-certificate-data": issued,
        "client-key-data": STANDARD.encode(key.serialize_pem()),
    });
    let path = guarded.folder.path().join("signed.json");
    std::fs::write(&path, config.to_string()).expect("write a kubeconfig");
    let user = stock.with(&format!("--kubeconfig={}", path.display()));
    assert_has(
        &user.run("auth whoami"),
        &["Username signed", "Groups [crew system:authenticated]"],
    );
}
