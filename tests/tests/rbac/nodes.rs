//! What the holder of a stolen node's certificate finds: that node's pods, and
//! no way to more.

use super::Guarded;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hardway_tests::kubectl::Kubectl;
use hardway_tests::{defer, until, wait};
use serde_json::{Value, json};

/// Tries to read more than the node's pods need.
pub fn stolen(guarded: &Guarded) {
    let own = &guarded.workers[0].name;
    let thief = guarded.component(&format!("kubelet-{own}"));
    for what in [
        "secrets -A",
        "secrets -n kube-system",
        "configmaps -A",
        "pods -A",
        "pods -n kube-system",
        "nodes",
        "persistentvolumes",
        "serviceaccounts -A",
        "roles -A",
    ] {
        let told = thief.refused(&format!("get {what}"), "");
        assert!(told.contains("(Forbidden)"), "{what}: {told}");
    }
    // A pod of its own making that names somebody's secret in a way that is
    // easily missed.
    let uid = Kubectl::stock().run(&format!("get node {own} -o jsonpath={{.metadata.uid}}"));
    let mirror = |volume: Value| {
        json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {
                "name": format!("mirror-{own}"), "namespace": guarded.namespace.name,
                "annotations": {"kubernetes.io/config.mirror": "x"},
                "ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": own,
                    "uid": uid, "controller": true}],
            },
            "spec": {"nodeName": own, "volumes": [volume],
                "containers": [{"name": "c", "image": "busybox:1.36"}]},
        })
    };
    for volume in [
        json!({"name": "v", "csi": {"driver": "d", "nodePublishSecretRef": {"name": "hidden"}}}),
        json!({"name": "v", "azureFile": {"secretName": "hidden", "shareName": "s"}}),
    ] {
        let told = thief.refused("create -f -", &mirror(volume).to_string());
        assert!(told.contains("reference secrets"), "{told}");
    }
}

/// A node's next certificate is approved for itself; another's is not.
pub fn certificates(guarded: &Guarded) {
    let [own, other] = [0, 1].map(|index: usize| guarded.workers[index].name.clone());
    let node = guarded.component(&format!("kubelet-{own}"));
    let name = |of: &str| format!("{}-{of}", guarded.namespace.name);
    let (mine, theirs) = (name(&own), name(&other));
    let _gone = defer(|| drop(Kubectl::stock().try_run(&format!("delete csr {mine} {theirs}"))));
    node.create(&request(&theirs, &other));
    node.create(&request(&mine, &own));
    let state = |name: &str| Kubectl::stock().run(&format!("get csr {name} --no-headers"));
    until("its own certificate is issued", || {
        let told = state(&mine);
        wait::holds(told.contains("Approved,Issued"), told)
    });
    assert!(state(&theirs).contains("Pending"), "{}", state(&theirs));
}

/// A request for a node's client certificate.
fn request(name: &str, node: &str) -> Value {
    let mut params = rcgen::CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    for (kind, value) in [
        (rcgen::DnType::CommonName, format!("system:node:{node}")),
        (rcgen::DnType::OrganizationName, "system:nodes".to_owned()),
    ] {
        params.distinguished_name.push(kind, value);
    }
    let key = rcgen::KeyPair::generate().expect("a key");
    let request = params.serialize_request(&key).expect("a request");
    json!({
        "apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest",
        "metadata": {"name": name},
        "spec": {
            "request": STANDARD.encode(request.pem().expect("PEM")),
            "signerName": "kubernetes.io/kube-apiserver-client-kubelet",
            "usages": ["client auth", "digital signature"],
        },
    })
}
