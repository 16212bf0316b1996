//! Secrets: of every kind that kubectl makes, unreadable in etcd, with keys that
//! change while all runs, and with tokens for service accounts.

use std::path::Path;

use hardway_tests::text::assert_has;
use hardway_tests::{Kubectl, Lab, Namespace, defer, steps, until, wait};
use serde_json::{Value, json};

/// A word that nothing else contains.
const PASSWORD: &str = "correct-horse-battery";
/// The same as Secrets carry it.
const ENCODED: &str = "Y29ycmVjdC1ob3JzZS1iYXR0ZXJ5";

#[test]
#[ignore = "needs a lab: cargo hardway test"]
fn secrets_are_kept() {
    let namespace = Namespace::new("secrets");
    let steps: &[steps::Step<Namespace>] = &[
        ("kubectl create secret", kinds),
        ("kubectl create configmap", config_maps),
        ("rules", rules),
        ("encryption at rest and a new key", encryption),
        ("token for a service account", account_token),
    ];
    steps::run(&namespace, &namespace, steps);
}

fn kinds(namespace: &Namespace) {
    let lab = Lab::open();
    let file = |name: &str| lab.path("pki").join(name).display().to_string();
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key.pem");
    std::fs::write(&key, "not a real key").unwrap();
    namespace.run(&format!(
        "create secret generic db --from-literal=user=meme --from-literal=password={PASSWORD}"
    ));
    namespace.run(&format!(
        "create secret generic ssh --type=kubernetes.io/ssh-auth --from-file=ssh-privatekey={}",
        key.display()
    ));
    namespace.run(&format!(
        "create secret tls web --cert={} --key={}",
        file("scheduler.crt"),
        file("scheduler.key")
    ));
    namespace.run(
        "create secret docker-registry pull --docker-username=u --docker-password=p --docker-server=r.example",
    );
    assert_has(
        &namespace.run("get secrets"),
        &[
            "NAME TYPE DATA AGE",
            "db Opaque 2 ",
            "pull kubernetes.io/dockerconfigjson 1 ",
            "ssh kubernetes.io/ssh-auth 1 ",
            "web kubernetes.io/tls 2 ",
        ],
    );
    let described = namespace.run("describe secret db");
    // kubectl shows the keys in no order.
    for size in ["password: 21 bytes", "user: 4 bytes"] {
        assert_has(&described, &["Name: db", "Type: Opaque", size]);
    }
    assert!(!described.contains(PASSWORD) && !described.contains(ENCODED));
    let refused = namespace.refused("create secret generic x --type=kubernetes.io/tls", "");
    assert_has(
        &refused,
        &[
            "data[tls.crt]: Required value",
            "data[tls.key]: Required value",
        ],
    );
    let refused = namespace.refused(
        "create -f -",
        &json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "x"},
            "data": {"a": "?"}})
        .to_string(),
    );
    assert_has(&refused, &["illegal base64 data at input byte 0"]);
}

fn config_maps(namespace: &Namespace) {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.display().to_string()
    };
    let text = file("app.properties", b"color=blue\n");
    let bytes = file("logo.png", b"\x89PNG\xff");
    let env = file("app.env", b"# a comment\nA=1\nB=two words\n");
    namespace.run(&format!(
        "create configmap files --from-file={text} --from-file=logo={bytes}"
    ));
    let map = namespace.json("get configmap files");
    assert_eq!(map["data"], json!({"app.properties": "color=blue\n"}));
    assert_eq!(map["binaryData"], json!({"logo": "iVBOR/8="}));
    namespace.run(&format!("create configmap env --from-env-file={env}"));
    let map = namespace.json("get configmap env");
    assert_eq!(map["data"], json!({"A": "1", "B": "two words"}));
    let shown = namespace.run("get configmaps");
    assert_has(&shown, &["NAME DATA AGE", "env 2 ", "files 2 "]);
    assert_has(
        &namespace.run("describe configmap files"),
        &[
            "app.properties:",
            "color=blue",
            "BinaryData",
            "logo: 5 bytes",
        ],
    );
}

fn rules(namespace: &Namespace) {
    namespace.create(&json!({"apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": "frozen"}, "immutable": true,
        "stringData": {"a": "1"}, "data": {"a": "eA==", "b": "eA=="}}));
    let frozen = namespace.json("get secret frozen");
    assert_eq!(frozen["data"], json!({"a": "MQ==", "b": "eA=="}));
    assert_eq!(frozen["stringData"], Value::Null);
    let refused = |patch: Value| {
        namespace.refused(
            &format!("patch secret frozen --type=merge -p '{patch}'"),
            "",
        )
    };
    let immutable = "field is immutable when `immutable` is set";
    for patch in [
        json!({"data": {"a": "eA=="}}),
        json!({"stringData": {"c": "d"}}),
    ] {
        let data = format!("data: Forbidden: {immutable}");
        assert_has(&refused(patch), &[&data]);
    }
    let unset = format!("immutable: Forbidden: {immutable}");
    assert_has(&refused(json!({"immutable": false})), &[&unset]);
    assert_has(
        &refused(json!({"type": "other"})),
        &["type: Invalid value: \"other\": field is immutable"],
    );
    namespace.run("label secret frozen still=possible");
}

/// What etcd has for a Secret; bytes that are no text don't matter here.
fn stored(lab: &Lab, namespace: &str, name: &str) -> String {
    lab.etcdctl(&format!(
        "get /registry/secrets/{namespace}/{name} --print-value-only"
    ))
}

/// Puts a configuration into place at once.
fn configure(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    let new = path.with_extension("new");
    std::fs::write(&new, text).unwrap();
    std::fs::set_permissions(&new, PermissionsExt::from_mode(0o600)).unwrap();
    std::fs::rename(&new, path).unwrap();
}

/// The rotation of deploy/README.md, step by step.
fn encryption(namespace: &Namespace) {
    let lab = Lab::open();
    namespace.run(&format!(
        "create secret generic sealed --from-literal=password={PASSWORD}"
    ));
    let before = stored(&lab, &namespace.name, "sealed");
    assert!(before.starts_with("k8s:enc:secretbox:v1:key1:"), "{before}");
    assert!(!before.contains(PASSWORD) && !before.contains(ENCODED));

    let path = lab.path("encryption.yaml");
    let old = std::fs::read_to_string(&path).unwrap();
    let (list, end) = ("      keys:\n", "  - identity");
    let added = "      - name: test\n        secret: \
                 AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n";
    let added_last = old.replace(end, &format!("{added}{end}"));
    // Whatever happens, what was stored with the new key stays readable.
    let restore = defer(|| configure(&path, &added_last));
    configure(&path, &old.replace(list, &format!("{list}{added}")));
    until("new Secrets get the new key", || {
        let remove = "delete secret probe --ignore-not-found";
        namespace.try_run(remove).ok()?;
        let create = "create secret generic probe --from-literal=a=b";
        namespace.try_run(create).ok()?;
        let stored = stored(&lab, &namespace.name, "probe");
        wait::holds(stored.starts_with("k8s:enc:secretbox:v1:test:"), stored)
    });
    let still = stored(&lab, &namespace.name, "sealed");
    assert!(still.starts_with("k8s:enc:secretbox:v1:key1:"), "{still}");
    let stock = Kubectl::stock();
    // Some may go while this is done; then it is done again.
    let rewrite = || {
        let all = stock.try_run("get secrets -A -o json").ok()?;
        stock.try_feed("replace -f -", &all).ok()
    };
    until("all Secrets are written again", rewrite);
    let after = stored(&lab, &namespace.name, "sealed");
    assert!(after.starts_with("k8s:enc:secretbox:v1:test:"), "{after}");
    let secret = namespace.json("get secret sealed");
    assert_eq!(secret["data"]["password"], ENCODED);

    // And back to the key that the lab came with.
    drop(restore);
    until("the old key writes again", || {
        rewrite()?;
        let stored = stored(&lab, &namespace.name, "sealed");
        wait::holds(stored.starts_with("k8s:enc:secretbox:v1:key1:"), stored)
    });
    until("all Secrets are written again", rewrite);
    configure(&path, &old);
    assert_has(&stock.run("get secrets -A"), &["sealed Opaque 1 "]);
}

fn account_token(namespace: &Namespace) {
    let lab = Lab::open();
    namespace.run("create serviceaccount web");
    namespace.run(&format!(
        "create rolebinding web --clusterrole=view --serviceaccount={}:web",
        namespace.name
    ));
    let manifest = |name: &str, account: &str| {
        json!({"apiVersion": "v1", "kind": "Secret",
            "type": "kubernetes.io/service-account-token",
            "metadata": {"name": name,
                "annotations": {"kubernetes.io/service-account.name": account}}})
    };
    namespace.create(&manifest("web-token", "web"));
    let data = until("the Secret has its token", || {
        let data = namespace.try_json("get secret web-token")?["data"].clone();
        wait::holds(data["token"].is_string(), &data).map(|()| data)
    });
    assert!(data["ca.crt"].is_string() && data["namespace"].is_string());
    let described = namespace.run("describe secret web-token");
    for key in ["ca.crt: ", "namespace: ", "token: "] {
        assert_has(
            &described,
            &[
                "Annotations: kubernetes.io/service-account.name: web",
                "kubernetes.io/service-account.uid: ",
                "Type: kubernetes.io/service-account-token",
                key,
            ],
        );
    }
    let token = described.lines().find_map(|l| l.strip_prefix("token:"));
    let holder = Kubectl::stock()
        .with("--kubeconfig=/dev/null")
        .with(&format!("--server=https://{}:6443", lab.control_plane()))
        .with(&format!(
            "--certificate-authority={}",
            lab.path("pki/ca.crt").display()
        ))
        .with(&format!("--token={}", token.unwrap().trim()))
        .namespace(&namespace.name);
    assert_has(
        &holder.run("auth whoami"),
        &[&format!(
            "Username system:serviceaccount:{}:web",
            namespace.name
        )],
    );
    holder.run("get pods");
    // The token is good as long as the Secret has it.
    namespace.run("delete secret web-token");
    until("the token is worth nothing", || {
        let output = holder.try_run("get pods");
        wait::holds(
            !output.success && output.stderr.contains("Unauthorized"),
            output.stderr,
        )
    });
    // The Secret goes with its account; one for nobody does not stay.
    namespace.create(&manifest("another", "web"));
    namespace.create(&manifest("nobodys", "nobody"));
    until("it is filled", || {
        let data = namespace.try_json("get secret another")?["data"].clone();
        wait::holds(data["token"].is_string(), &data)
    });
    namespace.run("delete serviceaccount web");
    until("both are gone", || {
        let kind = "type=kubernetes.io/service-account-token";
        let line = format!("get secrets --field-selector={kind} -o name");
        let left = namespace.try_run(&line).ok()?;
        wait::holds(left.is_empty(), left)
    });
}
