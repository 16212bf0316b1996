//! `hardway-why` on a cluster with much that is broken: each is told with its cause.

use std::path::PathBuf;
use std::process::Command;

use hardway_tests::cleanup;
use hardway_tests::kubectl::{Output, finish};
use hardway_tests::manifest::{BUSYBOX, IDLE, container, pod, service, web_server};
use hardway_tests::{Kubectl, Lab, Namespace, steps, until};
use serde_json::{Value, json};

const RELEASE: &str = r#"patch configmap held --type=merge -p '{"metadata":{"finalizers":null}}'"#;

/// Everything that is broken, made at once.
struct Broken {
    lab: Lab,
    namespace: Namespace,
    /// A namespace with a quota of no pods, so that the others are not harmed.
    full: Namespace,
}

impl Broken {
    fn new() -> Self {
        let broken = Self {
            lab: Lab::open(),
            namespace: Namespace::new("why"),
            full: Namespace::new("why-full"),
        };
        broken.pods();
        broken.others();
        broken
    }

    fn pods(&self) {
        let create = |name: &str, container: Value, more: Value| {
            let mut spec = more;
            spec["containers"] = json!([container]);
            self.namespace.create(&pod(name, spec));
        };
        let mut large = container("c", IDLE);
        large["resources"] = json!({"requests": {"cpu": "1000"}});
        create("large", large, json!({}));
        create(
            "picky",
            container("c", IDLE),
            json!({"nodeSelector": {"disk": "of-gold"}}),
        );
        create(
            "crashing",
            container("c", "echo no database >&2; exit 3"),
            json!({}),
        );
        let mut configured = container("c", IDLE);
        configured["envFrom"] = json!([{"configMapRef": {"name": "setings"}}]);
        create("configured", configured, json!({}));
        self.namespace
            .create(&json!({"apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "settings"}, "data": {"a": "b"}}));
        let mut unready = container("c", IDLE);
        unready["readinessProbe"] =
            json!({"exec": {"command": ["cat", "/no/such/file"]}, "periodSeconds": 1});
        create("unready", unready, json!({}));
        let first = container("first", "exit 4");
        create(
            "initial",
            container("c", IDLE),
            json!({"initContainers": [first]}),
        );
        let mut absent = container("c", IDLE);
        absent["command"] = json!(["no-such-program"]);
        create("absent", absent, json!({}));
        create("web", web_server("c"), json!({}));
        self.namespace
            .create(&json!({"apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "rolled"}, "spec": {"selector": {"matchLabels": {"app": "rolled"}},
            "template": {"metadata": {"labels": {"app": "rolled"}}, "spec": {"containers": [
                {"name": "c", "image": format!("{BUSYBOX}-no-such-tag")}]}}}}));
    }

    fn others(&self) {
        let ports = json!({"ports": [{"port": 80, "targetPort": 8080}]});
        self.namespace
            .create(&service("lost", "wbe", ports.clone()));
        self.namespace.create(&service("behind", "unready", ports));
        self.namespace
            .create(&json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim",
            "metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"],
            "storageClassName": "no-such-class", "resources": {"requests": {"storage": "1Gi"}}}}));
        self.namespace.create(
            &json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
            "metadata": {"name": "door"}, "spec": {"ingressClassName": "no-such-class",
            "defaultBackend": {"service": {"name": "lost", "port": {"number": 80}}}}}),
        );
        self.namespace
            .create(&json!({"apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "held", "finalizers": ["example.com/hold"]}}));
        self.namespace.run("delete configmap held --wait=false");
        self.full
            .create(&json!({"apiVersion": "v1", "kind": "ResourceQuota",
            "metadata": {"name": "small"}, "spec": {"hard": {"pods": "0"}}}));
        until("the quota is in force", || {
            let quota = self.full.try_json("get resourcequota small")?;
            let hard = quota.pointer("/status/hard/pods");
            hard.map(drop).ok_or_else(|| quota.to_string())
        });
        self.full
            .create(&json!({"apiVersion": "apps/v1", "kind": "StatefulSet",
            "metadata": {"name": "refused"}, "spec": {"serviceName": "refused",
            "selector": {"matchLabels": {"app": "refused"}}, "template": {"metadata":
                {"labels": {"app": "refused"}}, "spec": {"containers": [container("c", IDLE)]}}}}));
    }

    /// The program, with the test's kubeconfig.
    fn why(&self, words: &[&str]) -> Output {
        let text = std::fs::read_to_string(self.lab.path("lab.json")).expect("a lab");
        let lab: Value = serde_json::from_str(&text).expect("JSON");
        let folder = lab["binaries"]
            .as_str()
            .map(PathBuf::from)
            .expect("a folder");
        let mut command = Command::new(folder.join("hardway-why"));
        finish(command.args(words), "")
    }

    /// Waits until an object's first cause is of this name and its line has this text; what is
    /// told then.
    fn told(&self, namespace: &Namespace, object: &str, cause: &str, text: &str) -> Value {
        until(&format!("why {object}"), || {
            let output = self.why(&[object, "-n", &namespace.name, "-o", "json"]);
            let told: Value =
                serde_json::from_str(&output.stdout).map_err(|_| output.stderr.clone())?;
            let right = told["causes"][0]["cause"] == cause
                && told["summary"].as_str().is_some_and(|it| it.contains(text))
                && output.code == Some(1);
            match right {
                true => Ok(told),
                false => Err(output.stdout),
            }
        })
    }
}

#[test]
#[ignore = "needs a lab: cargo hardway test"]
fn it_is_told_what_is_wrong() {
    let broken = Broken::new();
    // Held for ever it would hold its namespace.
    let release = || drop(broken.namespace.try_run(RELEASE));
    let _release = cleanup::defer(release);
    let steps: &[steps::Step<Broken>] = &[
        ("a pod that is too large", too_large),
        ("a node selector", node_selector),
        ("an image that is not there", image),
        ("a container that crashes", crash),
        ("a program that is not there", program),
        ("an init container", init_container),
        ("configuration that is missing", configuration),
        ("a probe that fails", probe),
        ("a service whose selector matches nothing", selector),
        ("a service whose pods are not ready", behind),
        ("a claim without a class", claim),
        ("a quota that is full", quota),
        ("an ingress without a class", ingress),
        ("a finalizer", finalizer),
        ("a webhook that can't be reached", webhook),
        ("what is well, and what is not there", well_or_missing),
    ];
    steps::run_side_by_side(&broken, &broken.namespace, steps);
    everything(&broken);
    nobody_answers(&broken);
}

fn too_large(broken: &Broken) {
    let told = broken.told(
        &broken.namespace,
        "pod/large",
        "pending",
        "with too little cpu",
    );
    let evidence = told["causes"][0]["evidence"].to_string();
    assert!(
        evidence.contains("cpu: 1k asked for") || evidence.contains("cpu: 1000 asked for"),
        "{evidence}"
    );
    // The scheduler says the same.
    assert!(evidence.contains("Insufficient cpu"), "{evidence}");
}

fn node_selector(broken: &Broken) {
    let told = broken.told(
        &broken.namespace,
        "po/picky",
        "pending",
        "without the labels of its node selector",
    );
    let help = told["causes"][0]["remedies"][0]["command"].to_string();
    assert!(help.contains("disk=of-gold"), "{help}");
}

fn image(broken: &Broken) {
    let told = broken.told(
        &broken.namespace,
        "deploy/rolled",
        "image",
        "no-such-tag of container c",
    );
    assert_eq!(told["causes"][0]["subject"]["kind"], "Pod");
    let affected = told["causes"].to_string();
    assert!(affected.contains("Deployment"), "{affected}");
}

fn crash(broken: &Broken) {
    until("the log is told", || {
        let told = broken.told(
            &broken.namespace,
            "pod/crashing",
            "crash",
            "ended with code 3",
        );
        let told = told["causes"][0]["evidence"].to_string();
        told.contains("no database").then_some(()).ok_or(told)
    });
}

fn program(broken: &Broken) {
    broken.told(
        &broken.namespace,
        "pod/absent",
        "crash",
        "its command was not found in the image",
    );
}

fn init_container(broken: &Broken) {
    broken.told(
        &broken.namespace,
        "pod/initial",
        "crash",
        "init container first ended with code 4",
    );
}

fn configuration(broken: &Broken) {
    let text = "configmap/setings is not there; there is settings";
    broken.told(&broken.namespace, "pod/configured", "config", text);
}

fn probe(broken: &Broken) {
    broken.told(&broken.namespace, "pod/unready", "probe", "/no/such/file");
}

fn selector(broken: &Broken) {
    broken.told(
        &broken.namespace,
        "svc/lost",
        "service",
        "nearly matches pod/web, which has app=web",
    );
}

fn behind(broken: &Broken) {
    let told = broken.told(
        &broken.namespace,
        "service/behind",
        "probe",
        "pod/unready: container c: its readiness probe",
    );
    assert_eq!(
        told["causes"][0]["evidence"][0]["object"]["kind"],
        "Service"
    );
}

fn claim(broken: &Broken) {
    broken.told(
        &broken.namespace,
        "pvc/data",
        "claim",
        "its storage class no-such-class is not there",
    );
}

fn quota(broken: &Broken) {
    broken.told(
        &broken.full,
        "sts/refused",
        "create",
        "the quota small is used up",
    );
}

fn ingress(broken: &Broken) {
    broken.told(
        &broken.namespace,
        "ing/door",
        "ingress",
        "its class no-such-class is not there",
    );
}

fn finalizer(broken: &Broken) {
    broken.told(
        &broken.namespace,
        "cm/held",
        "deleting",
        "held by the finalizer example.com/hold",
    );
    broken.namespace.run(RELEASE);
}

fn webhook(broken: &Broken) {
    let name = format!("why-{}", std::process::id());
    let _configuration = cleanup::create_global(&json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": name}, "webhooks": [{"name": "guard.example.com",
            "clientConfig": {"service": {"namespace": broken.namespace.name, "name": "no-such-service"}},
            "rules": [{"apiGroups": ["example.com"], "apiVersions": ["v1"], "operations": ["CREATE"],
                "resources": ["widgets"]}],
            "admissionReviewVersions": ["v1"], "sideEffects": "None"}]}));
    let object = format!("validatingwebhookconfiguration/{name}");
    broken.told(
        &broken.namespace,
        &object,
        "webhook",
        "requests for widgets are refused",
    );
}

fn well_or_missing(broken: &Broken) {
    let namespace = &broken.namespace.name;
    until("a pod is well", || {
        let output = broken.why(&["pod/web", "-n", namespace]);
        match output.code {
            Some(0) if output.stdout.contains("nothing is wrong with it") => Ok(()),
            _ => Err(format!("{output:?}")),
        }
    });
    let output = broken.why(&["pod", "wbe", "-n", namespace]);
    assert_eq!(output.code, Some(2), "{output:?}");
    assert!(
        output.stderr.contains("pod/wbe is not there; is it web?"),
        "{output:?}"
    );
    let output = broken.why(&["nonsense/web", "-n", namespace]);
    assert!(
        output.code == Some(2) && output.stderr.contains("kubectl api-resources"),
        "{output:?}"
    );
}

/// All of it at once, each cause told once.
fn everything(broken: &Broken) {
    let output = broken.why(&["-n", &broken.namespace.name]);
    assert_eq!(output.code, Some(1), "{output:?}");
    assert!(
        !output.stdout.contains('\x1b'),
        "colours where there is no terminal"
    );
    for object in [
        "pod/large",
        "pod/crashing",
        "service/lost",
        "persistentvolumeclaim/data",
        "ingress/door",
    ] {
        let lines = output
            .stdout
            .lines()
            .filter(|line| line.starts_with(&format!("{object}:")));
        assert_eq!(lines.count(), 1, "{object} in {}", output.stdout);
    }
}

fn nobody_answers(broken: &Broken) {
    broken.lab.tool("kill apiserver");
    let _again = cleanup::defer(|| drop(Lab::open().try_tool("start apiserver")));
    let output = broken.why(&["-A"]);
    assert_eq!(output.code, Some(2), "{output:?}");
    assert!(output.stderr.contains("/readyz"), "{output:?}");
    broken.lab.tool("start apiserver");
    until("kubectl is answered", || {
        Kubectl::stock().try_run("get --raw /readyz").ok().map(drop)
    });
}
