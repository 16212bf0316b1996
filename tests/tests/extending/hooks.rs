//! A webhook server in a pod behind a Service, and how webhooks are told of it.

use std::time::Duration;

use base64::Engine as _;
use hardway_tests::http::Request;
use hardway_tests::manifest::{BUSYBOX, PROBE_TIMEOUT};
use hardway_tests::tls::Client;
use hardway_tests::{Deferred, Lab, Namespace, cleanup, pods, program};
use serde_json::{Value, json};

/// Longer than any webhook here may take.
const PATIENCE: Duration = Duration::from_secs(40);

/// The server, in a namespace of its own.
pub struct Hooks {
    pub lab: Lab,
    pub namespace: Namespace,
    ca_bundle: String,
    api: Client,
}

impl Hooks {
    /// Starts the server and waits for it.
    pub fn start() -> Self {
        let (lab, namespace) = (Lab::open(), Namespace::new("extending"));
        let name = format!("hooks.{}.svc", namespace.name);
        let made = rcgen::generate_simple_self_signed([name]).expect("a certificate");
        let base64 = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
        let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        namespace.create(&json!({"apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": "hooks"}, "type": "kubernetes.io/tls",
            "data": {"tls.crt": base64(&certificate), "tls.key": base64(&key)}}));
        namespace.create(&deployment());
        namespace.create(&json!({"apiVersion": "v1", "kind": "Service",
            "metadata": {"name": "hooks"},
            "spec": {"selector": {"app": "hooks"}, "ports": [{"port": 443, "targetPort": 8443}]}}));
        pods::wait_ready(&namespace, "app=hooks", 1);
        let address = format!("{}:6443", lab.control_plane());
        Self {
            api: Client::new(&lab, "ca", &address, Some("admin"), PATIENCE),
            ca_bundle: base64(&certificate),
            lab,
            namespace,
        }
    }

    /// An API group, or the name of a webhook or a policy, that nobody else has.
    pub fn unique(&self, name: &str) -> String {
        format!("{name}.{}.example.com", self.namespace.name)
    }

    /// How a path of the server is reached.
    pub fn client_config(&self, path: &str) -> Value {
        json!({"caBundle": self.ca_bundle,
            "service": {"namespace": self.namespace.name, "name": "hooks", "path": format!("/{path}")}})
    }

    /// What chooses the namespace.
    pub fn namespace_selector(&self) -> Value {
        json!({"matchLabels": {"kubernetes.io/metadata.name": self.namespace.name}})
    }

    /// A configuration with one webhook, which is asked at a path about the namespace's
    /// ConfigMaps whose label `hook` is its name. It goes with the value.
    pub fn configure(
        &self,
        kind: &str,
        name: &str,
        path: &str,
        failure_policy: &str,
        timeout: u32,
    ) -> Deferred<impl FnMut() + use<>> {
        let unique = self.unique(name);
        cleanup::create_global(&json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": kind,
            "metadata": {"name": unique},
            "webhooks": [{
                "name": unique, "clientConfig": self.client_config(path),
                "rules": [{"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"],
                    "resources": ["configmaps"]}],
                "namespaceSelector": self.namespace_selector(),
                "objectSelector": {"matchLabels": {"hook": name}},
                "failurePolicy": failure_policy, "timeoutSeconds": timeout,
                "sideEffects": "None", "admissionReviewVersions": ["v1"]}]}))
    }

    /// Creates something by one request, without kubectl's pace; the code and the answer.
    pub fn post(&self, object: &Value) -> (u16, Value) {
        let path = format!("/api/v1/namespaces/{}/configmaps", self.namespace.name);
        let request = Request {
            method: "POST",
            path: &path,
            headers: &["Content-Type: application/json"],
            body: &object.to_string(),
        };
        let answer = self.api.send(&request).expect("the apiserver answers");
        let body = serde_json::from_str(&answer.body);
        (answer.status, body.expect("the answer is JSON"))
    }
}

/// A ConfigMap that a webhook is asked about.
pub fn config_map(name: &str, hook: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": name, "labels": {"hook": hook}}})
}

/// The server's pod. A shell is process 1, so that the server in it can be killed.
fn deployment() -> Value {
    let script = "trap 'exit 0' TERM
        /hooks --tls-cert-file=/tls/tls.crt --tls-private-key-file=/tls/tls.key & wait $!
        exit 1";
    let mut spec = json!({
        "terminationGracePeriodSeconds": 1,
        "volumes": [{"name": "tls", "secret": {"secretName": "hooks"}}],
        "containers": [{"name": "hooks", "image": BUSYBOX, "command": ["sh", "-c", script],
            "volumeMounts": [{"name": "tls", "mountPath": "/tls"}],
            "readinessProbe": {"tcpSocket": {"port": 8443}, "periodSeconds": 1,
                "timeoutSeconds": PROBE_TIMEOUT}}]});
    program::mount(&mut spec, "hardway-webhook-server", "/hooks");
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "hooks"},
        "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "hooks"}},
            "template": {"metadata": {"labels": {"app": "hooks"}}, "spec": spec}}})
}
