//! Chapter 4: secrets and configuration.

use super::walk::Walk;
use super::{Chapter, Step, becomes, does, refused, shows};
use crate::failure::{Failure, OrFail, Result};
use crate::plan::CONTROL_PLANE;

pub const CHAPTER: Chapter = Chapter {
    number: 4,
    title: "Secrets and configuration",
    steps: STEPS,
    afterwards: &[],
};

const STEPS: &[Step] = &[
    shows(
        "An application wants its database's name and password from a Secret that is not there.",
        "kubectl create -f lb-app-deployment-secrets.yml -f lb-app-service.yml",
        &[
            "deployment*/lb-app created",
            "service/lb-app-service created",
        ],
    ),
    becomes(
        "Its pod waits, and the state says for what kind of thing.",
        "kubectl get pods",
        &["lb-app-* 0/1 CreateContainerConfigError 0 *"],
    ),
    becomes(
        "The events say for which one.",
        "kubectl describe pod {pod}",
        &[
            "Reason: CreateContainerConfigError",
            "Warning Failed * Error: secret \"lbapp-db\" not found",
        ],
    ),
    shows(
        "The Secret is made.",
        "kubectl create secret generic lbapp-db --from-literal=username=lbuser --from-literal=password=lbsecret",
        &["secret/lbapp-db created"],
    ),
    shows(
        "It is listed with how much it holds, not what.",
        "kubectl get secrets",
        &["lbapp-db Opaque 2 *"],
    ),
    shows(
        "Nor does describe tell.",
        "kubectl describe secret lbapp-db",
        &[
            "Type: Opaque",
            "password: 8 bytes",
            "username: 6 bytes",
            "!*lbsecret*",
        ],
    ),
    shows(
        "Who may read it can read it: base64 is no protection, access rules are.",
        "kubectl get secret lbapp-db -o jsonpath='{.data.password}' | base64 -d; echo",
        &["lbsecret"],
    ),
    does(
        "But etcd keeps it sealed: who gets at its disk learns only with which key.",
        "etcdctl get /registry/secrets/tutorial-4/lbapp-db --print-value-only",
        sealed,
    ),
    becomes(
        "The pod that waited has started by itself.",
        "kubectl get pods",
        &["lb-app-* 1/1 Running 0 *"],
    ),
    becomes(
        "The application knows both values.",
        "curl http://{address}:30062/",
        &["LBAPP_DB_USER: lbuser", "LBAPP_DB_PWD: lbsecret"],
    ),
    shows(
        "Settings that are no secret go into a ConfigMap.",
        "kubectl create -f lb-app-config.yml",
        &["configmap/lbapp-config created"],
    ),
    becomes(
        "It is listed beside the cluster's own CA, which every namespace has.",
        "kubectl get configmaps",
        &["lbapp-config 2 *", "kube-root-ca.crt 1 *"],
    ),
    shows(
        "An application gets them as variables and as files.",
        "kubectl create -f lb-app-deployment-configmap.yml",
        &["deployment*/lb-app-config created"],
    ),
    becomes(
        "It runs.",
        "kubectl get pods --selector name=lb-app-config",
        &["lb-app-config-* 1/1 Running 0 *"],
    ),
    shows(
        "One key is a variable, all keys are variables; the optional one that is missing is left out.",
        "kubectl exec deploy/lb-app-config -- env",
        &[
            "LBAPP_GREETING=good morning",
            "ALL_GREETING=good morning",
            "ALL_LANGUAGE=en",
            "!LBAPP_MOTTO=*",
        ],
    ),
    shows(
        "One key is a file under another name.",
        "kubectl exec deploy/lb-app-config -- head /etc/lb-app/greeting",
        &["good morning"],
    ),
    shows(
        "The files of the Secret are for their owner alone, and in memory.",
        "kubectl exec deploy/lb-app-config -- sh -c 'ls -lL /etc/lb-app-secret; df -h /etc/lb-app-secret'",
        &["-r-------- * password", "-r-------- * username", "tmpfs *"],
    ),
    shows(
        "A setting changes.",
        "kubectl patch configmap lbapp-config -p '{\"data\":{\"GREETING\":\"good evening\"}}'",
        &["configmap/lbapp-config patched"],
    ),
    becomes(
        "The file follows while the pod runs.",
        "kubectl exec deploy/lb-app-config -- head /etc/lb-app/greeting",
        &["good evening"],
    ),
    shows(
        "A variable does not: it is fixed when a program starts.",
        "kubectl exec deploy/lb-app-config -- env",
        &["LBAPP_GREETING=good morning"],
    ),
    shows(
        "A new rollout reads it anew.",
        "kubectl rollout restart deployment lb-app-config && kubectl rollout status deployment lb-app-config",
        &["deployment \"lb-app-config\" successfully rolled out"],
    ),
    becomes(
        "Now it is in the variable too.",
        "kubectl exec {pod:lb-app-config} -- env",
        &["LBAPP_GREETING=good evening"],
    ),
    shows(
        "A ConfigMap can be closed for good.",
        "kubectl patch configmap lbapp-config -p '{\"immutable\":true}'",
        &["configmap/lbapp-config patched"],
    ),
    refused(
        "From then on it is refused to change it.",
        "kubectl patch configmap lbapp-config -p '{\"data\":{\"GREETING\":\"good night\"}}'",
        &["*lbapp-config* is invalid: data: Forbidden: field is immutable when `immutable` is set"],
    ),
    refused(
        "And to open it again.",
        "kubectl patch configmap lbapp-config -p '{\"immutable\":false}'",
        &[
            "*lbapp-config* is invalid: immutable: Forbidden: field is immutable when `immutable` is set",
        ],
    ),
];

/// Reads what etcd keeps, on its host and with the apiserver's certificate.
fn sealed(walk: &mut Walk) -> Result<String> {
    let tool = std::env::current_exe().or_fail(|| "find this program")?;
    let etcd = walk.lab.etcd_client();
    let kept = walk.terminal.must(&format!(
        "'{}' --dir '{}' node exec {CONTROL_PLANE} etcdctl --endpoints=https://127.0.0.1:2379 \
         --cacert='{}' --cert='{}' --key='{}' \
         get /registry/secrets/tutorial-4/lbapp-db --print-value-only",
        tool.display(),
        walk.lab.folder.display(),
        etcd.ca.display(),
        etcd.certificate.display(),
        etcd.key.display(),
    ))?;
    if kept.starts_with("k8s:enc:") && !kept.contains("lbsecret") {
        // Behind its fifth word it is no text.
        let words: Vec<&str> = kept.split(':').take(5).collect();
        return Ok(format!("{}: …", words.join(":")));
    }
    Err(Failure::new("read what etcd keeps", "it is not sealed"))
}
