//! What is mounted.

use super::{create, idle_with, merge, remove};
use std::time::Duration;

use hardway_tests::manifest::{IDLE, container, pod};
use hardway_tests::pods::{self, sh};
use hardway_tests::{Lab, Namespace, until, wait, within};
use serde_json::json;

pub fn empty_dir(namespace: &Namespace) {
    let mount = json!({"volumeMounts": [
        {"name": "disk", "mountPath": "/disk"},
        {"name": "memory", "mountPath": "/memory"},
    ]});
    let spec = json!({
        "containers": [
            merge(container("writer", &format!("echo hi > /disk/file; {IDLE}")), mount.clone()),
            merge(container("reader", IDLE), mount),
        ],
        "volumes": [
            {"name": "disk", "emptyDir": {}},
            {"name": "memory", "emptyDir": {"medium": "Memory", "sizeLimit": "8Mi"}},
        ],
    });
    namespace.create(&pod("empty-dir", spec));
    pods::wait_pod(namespace, "empty-dir");
    let read = |script: &str| {
        let call = [
            "exec",
            "empty-dir",
            "-c",
            "reader",
            "--",
            "sh",
            "-c",
            script,
        ];
        namespace.try_call(&call, "").ok()
    };
    until("the other container sees the file", || {
        read("cat /disk/file")
    });
    let mounts = read("mount").unwrap_or_else(|error| panic!("{error}"));
    let memory = mounts.lines().find(|line| line.contains(" /memory "));
    assert!(
        memory.is_some_and(|line| line.contains("tmpfs") && line.contains("size=8192k")),
        "{mounts}"
    );
    // It outlives its containers.
    namespace.try_run("exec empty-dir -c writer -- kill 1");
    pods::wait_until(namespace, "empty-dir", "restarted", |pod| {
        pod.container("writer")["restartCount"] == 1 && pod.ready()
    });
    assert_eq!(read("cat /disk/file").as_deref(), Ok("hi\n"));
    remove(namespace, "empty-dir");
}

pub fn host_path(namespace: &Namespace) {
    let lab = Lab::open();
    let node = lab.workers()[0].name.clone();
    let folder = format!("/data/{}", namespace.name);
    let main = idle_with(json!({"volumeMounts": [{"name": "host", "mountPath": "/host"}]}));
    let spec = |kind: &str| {
        json!({
            "nodeName": node,
            "volumes": [{"name": "host", "hostPath": {"path": folder, "type": kind}}],
        })
    };
    create(
        namespace,
        "host-path",
        main.clone(),
        spec("DirectoryOrCreate"),
    );
    pods::wait_pod(namespace, "host-path");
    sh(namespace, "host-path", "echo written > /host/file");
    assert_eq!(lab.on(&node, &format!("cat {folder}/file")), "written\n");
    create(namespace, "host-file", main, spec("File"));
    until("the wrong type is told", || {
        let told = namespace.try_run("describe pod host-file").ok()?;
        let why = told.contains("FailedMount") && told.contains("hostPath type check failed");
        wait::holds(why, told)
    });
    remove(namespace, "host-file");
    remove(namespace, "host-path");
}

pub fn config_volumes(namespace: &Namespace) {
    namespace.run("create configmap files --from-literal=one=1 --from-literal=two=2");
    namespace.run("create secret generic hidden --from-literal=key=value");
    let main = idle_with(json!({"volumeMounts": [
        {"name": "config", "mountPath": "/config"},
        {"name": "some", "mountPath": "/some"},
        {"name": "secret", "mountPath": "/secret", "readOnly": true},
    ]}));
    let spec = json!({"volumes": [
        {"name": "config", "configMap": {"name": "files"}},
        {"name": "some", "configMap": {"name": "files", "defaultMode": 0o400, "items": [{"key": "one", "path": "a/b"}]}},
        {"name": "secret", "secret": {"secretName": "hidden"}},
    ]});
    create(namespace, "configured", main, spec);
    pods::wait_pod(namespace, "configured");
    let read = |script: &str| sh(namespace, "configured", script);
    assert_eq!(read("cd /config; ls; cat one two"), "one\ntwo\n12");
    assert_eq!(
        read("cat /some/a/b; stat -L -c %a /some/a/b; ls /some"),
        "1400\na\n"
    );
    assert_eq!(
        read("cat /secret/key; grep -c ' /secret tmpfs' /proc/mounts"),
        "value1\n"
    );
    let refused = pods::try_sh(namespace, "configured", "echo x > /secret/new");
    assert!(
        refused.stderr.contains("Read-only file system"),
        "{refused:?}"
    );
    // A change arrives, all of it at once.
    namespace.run(r#"patch configmap files --type=merge -p '{"data":{"one":"changed","two":null,"three":"3"}}'"#);
    within(
        Duration::from_secs(90),
        "the change arrives in the pod",
        || {
            let told = pods::try_sh(namespace, "configured", "cd /config; ls; cat one").ok()?;
            wait::holds(told == "one\nthree\nchanged", told)
        },
    );
    remove(namespace, "configured");
}

pub fn projected(namespace: &Namespace) {
    namespace.run("create configmap part --from-literal=colour=red");
    let main = idle_with(json!({
        "volumeMounts": [{"name": "all", "mountPath": "/all"}],
        "resources": {"requests": {"cpu": "10m"}},
    }));
    let spec = json!({"volumes": [{"name": "all", "projected": {"sources": [
        {"configMap": {"name": "part"}},
        {"serviceAccountToken": {"path": "token", "audience": "somebody", "expirationSeconds": 600}},
        {"downwardAPI": {"items": [
            {"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}},
            {"path": "cpu", "resourceFieldRef": {"containerName": "main", "resource": "requests.cpu", "divisor": "1m"}},
        ]}},
    ]}}]});
    create(namespace, "projected", main, spec);
    pods::wait_pod(namespace, "projected");
    let read = |script: &str| sh(namespace, "projected", script);
    assert_eq!(read("cat /all/colour"), "red");
    assert_eq!(read("cat /all/labels"), "app=\"projected\"");
    assert_eq!(read("cat /all/cpu"), "10");
    assert_eq!(read("cat /all/token").split('.').count(), 3);
    namespace.run("label pod projected more=yes");
    within(Duration::from_secs(90), "the new label arrives", || {
        let told = pods::try_sh(namespace, "projected", "cat /all/labels").ok()?;
        wait::holds(told.contains("more=\"yes\""), told)
    });
    // The account's own: authority, namespace, token.
    let folder = "/var/run/secrets/kubernetes.io/serviceaccount";
    assert_eq!(read(&format!("ls {folder}")), "ca.crt\nnamespace\ntoken\n");
    assert_eq!(read(&format!("cat {folder}/namespace")), namespace.name);
    remove(namespace, "projected");
}

pub fn sub_path(namespace: &Namespace) {
    namespace.run("create configmap subbed --from-literal=app.conf=content");
    let main = idle_with(json!({"volumeMounts": [
        {"name": "config", "mountPath": "/etc/app.conf", "subPath": "app.conf"},
        {"name": "disk", "mountPath": "/deep", "subPathExpr": "of/$(POD)"},
        {"name": "disk", "mountPath": "/whole"},
    ], "env": [{"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]}));
    // Whoever may write into the volume may write into its parts, root or not.
    let spec = json!({
        "securityContext": {"runAsUser": 1001, "runAsGroup": 1001, "fsGroup": 1001},
        "volumes": [
            {"name": "config", "configMap": {"name": "subbed"}},
            {"name": "disk", "emptyDir": {}},
        ],
    });
    create(namespace, "sub-path", main, spec);
    pods::wait_pod(namespace, "sub-path");
    let told = sh(
        namespace,
        "sub-path",
        "cat /etc/app.conf; touch /deep/file; ls /whole/of/sub-path",
    );
    assert_eq!(told, "contentfile\n");
    remove(namespace, "sub-path");
}

/// The kubelet looks at what is limited every ten seconds.
pub fn beyond_its_size(namespace: &Namespace) {
    let script = format!("dd if=/dev/zero of=/cache/big bs=1024 count=4096; {IDLE}");
    let main = merge(
        container("main", &script),
        json!({"volumeMounts": [{"name": "cache", "mountPath": "/cache"}]}),
    );
    let spec = json!({"volumes": [{"name": "cache", "emptyDir": {"sizeLimit": "1Mi"}}]});
    create(namespace, "beyond", main, spec);
    let evicted = pods::wait_until(namespace, "beyond", "evicted", |pod| {
        pod.phase() == "Failed"
    });
    let status = &evicted.value()["status"];
    assert_eq!(status["reason"], "Evicted", "{status}");
    assert_eq!(
        status["message"],
        "Usage of EmptyDir volume \"cache\" exceeds the limit \"1Mi\". "
    );
    remove(namespace, "beyond");
}
