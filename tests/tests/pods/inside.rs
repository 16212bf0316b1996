//! What a container finds inside.

use super::{create, ended, idle_with, merge, remove};
use hardway_tests::manifest::{IDLE, container, pod};
use hardway_tests::pods::{self, sh};
use hardway_tests::text::assert_has;
use hardway_tests::{Namespace, until, wait};
use serde_json::json;

pub fn environment(namespace: &Namespace) {
    namespace.run("create configmap colours --from-literal=sky=blue --from-literal=GRASS=green");
    namespace.run("create secret generic secrets --from-literal=word=sesame");
    let field = |path: &str| json!({"fieldRef": {"fieldPath": path}});
    let main = idle_with(json!({
        "env": [
            {"name": "PLAIN", "value": "a b"},
            {"name": "REFERS", "value": "$(PLAIN)-$(NONE)-$$(PLAIN)"},
            {"name": "SKY", "valueFrom": {"configMapKeyRef": {"name": "colours", "key": "sky"}}},
            {"name": "NOT_THERE", "valueFrom": {"configMapKeyRef": {"name": "colours", "key": "sea", "optional": true}}},
            {"name": "WORD", "valueFrom": {"secretKeyRef": {"name": "secrets", "key": "word"}}},
            {"name": "POD", "valueFrom": field("metadata.name")},
            {"name": "SPACE", "valueFrom": field("metadata.namespace")},
            {"name": "NODE", "valueFrom": field("spec.nodeName")},
            {"name": "IP", "valueFrom": field("status.podIP")},
            {"name": "HOST_IP", "valueFrom": field("status.hostIP")},
            {"name": "LABEL", "valueFrom": field("metadata.labels['app']")},
            {"name": "ACCOUNT", "valueFrom": field("spec.serviceAccountName")},
            {"name": "CPU", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "divisor": "1m"}}},
        ],
        "envFrom": [{"configMapRef": {"name": "colours"}}, {"prefix": "S_", "secretRef": {"name": "secrets"}}],
        "resources": {"limits": {"cpu": "250m", "memory": "32Mi"}},
    }));
    create(namespace, "env", main, json!({}));
    let pod = pods::wait_pod(namespace, "env");
    let told = sh(namespace, "env", "env");
    let host_ip = pod.value()["status"]["hostIP"].as_str().unwrap_or_default();
    for line in [
        "PLAIN=a b",
        "REFERS=a b-$(NONE)-$(PLAIN)",
        "SKY=blue",
        "WORD=sesame",
        "POD=env",
        &format!("SPACE={}", namespace.name),
        &format!("NODE={}", pod.node()),
        &format!("IP={}", pod.ip()),
        &format!("HOST_IP={host_ip}"),
        "LABEL=env",
        "ACCOUNT=default",
        "CPU=250",
        "sky=blue",
        "GRASS=green",
        "S_word=sesame",
        "HOSTNAME=env",
        "KUBERNETES_PORT=tcp://10.96.0.1:443",
        "KUBERNETES_PORT_443_TCP_ADDR=10.96.0.1",
    ] {
        assert!(told.lines().any(|found| found == line), "{line} in\n{told}");
    }
    assert!(!told.contains("NOT_THERE"), "{told}");
    remove(namespace, "env");
}

pub fn command_and_arguments(namespace: &Namespace) {
    let main = json!({
        "name": "main", "image": "busybox:1.36",
        "command": ["echo", "$(GREETING)"], "args": ["$(POD)", "$$(POD)"],
        "env": [{"name": "GREETING", "value": "hello"}, {"name": "POD", "value": "pod"}],
        "workingDir": "/tmp",
    });
    create(namespace, "words", main, json!({"restartPolicy": "Never"}));
    pods::wait_until(namespace, "words", "done", ended);
    assert_eq!(namespace.run("logs words"), "hello pod $(POD)\n");
}

pub fn security_context(namespace: &Namespace) {
    let main = idle_with(json!({"securityContext": {
        "runAsUser": 1000, "runAsGroup": 2000, "readOnlyRootFilesystem": true,
        "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }, "volumeMounts": [{"name": "data", "mountPath": "/data"}]}));
    let spec = json!({
        "securityContext": {"fsGroup": 3000, "supplementalGroups": [4000], "sysctls": [{"name": "net.ipv4.ip_unprivileged_port_start", "value": "80"}]},
        "volumes": [{"name": "data", "emptyDir": {}}],
    });
    create(namespace, "secure", main, spec);
    pods::wait_pod(namespace, "secure");
    let told = sh(
        namespace,
        "secure",
        "id -u; id -g; id -G; grep -E 'NoNewPrivs|CapEff|Seccomp:' /proc/self/status; cat /proc/sys/net/ipv4/ip_unprivileged_port_start",
    );
    assert_has(
        &told,
        &[
            "1000",
            "2000",
            "CapEff: 0000000000000000",
            "NoNewPrivs: 1",
            "Seccomp: 2",
            "80",
        ],
    );
    let groups: Vec<&str> = told.lines().nth(2).unwrap_or_default().split(' ').collect();
    for group in ["2000", "3000", "4000"] {
        assert!(groups.contains(&group), "{told}");
    }
    let refused = pods::try_sh(namespace, "secure", "touch /file");
    assert!(
        refused.stderr.contains("Read-only file system"),
        "{refused:?}"
    );
    assert_eq!(
        sh(
            namespace,
            "secure",
            "touch /data/file; stat -c %g /data/file"
        ),
        "3000\n"
    );
    remove(namespace, "secure");
    create(
        namespace,
        "rootless",
        idle_with(json!({"securityContext": {"runAsNonRoot": true}})),
        json!({}),
    );
    let waiting = pods::wait_until(namespace, "rootless", "refused", |pod| {
        pod.container("main")["state"]["waiting"]["reason"] == "CreateContainerConfigError"
    });
    let message = waiting.container("main")["state"]["waiting"]["message"].to_string();
    assert!(
        message.contains("container has runAsNonRoot and image will run as root"),
        "{message}"
    );
    remove(namespace, "rootless");
}

pub fn resources(namespace: &Namespace) {
    let limits = json!({"cpu": "200m", "memory": "64Mi"});
    create(
        namespace,
        "limited",
        idle_with(json!({"resources": {"limits": limits}})),
        json!({}),
    );
    create(
        namespace,
        "burstable",
        idle_with(json!({"resources": {"requests": {"cpu": "50m"}}})),
        json!({}),
    );
    let pod = pods::wait_pod(namespace, "limited");
    assert_eq!(pod.value()["status"]["qosClass"], "Guaranteed");
    assert_eq!(
        pod.value()["spec"]["containers"][0]["resources"]["requests"],
        limits
    );
    let script = "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null; \
        cat /sys/fs/cgroup/cpu/cpu.cfs_quota_us 2>/dev/null || cut -d' ' -f1 /sys/fs/cgroup/cpu.max";
    assert_has(&sh(namespace, "limited", script), &["67108864", "20000"]);
    let burstable = pods::wait_pod(namespace, "burstable");
    assert_eq!(burstable.value()["status"]["qosClass"], "Burstable");
    let node = namespace.run(&format!("describe node {}", pod.node()));
    assert_has(
        &node,
        &[
            "Non-terminated Pods:",
            "limited 200m",
            "64Mi",
            "Allocated resources:",
        ],
    );
    remove(namespace, "limited");
    remove(namespace, "burstable");
}

pub fn out_of_memory(namespace: &Namespace) {
    let main = merge(
        container("main", "tail /dev/zero"),
        json!({"resources": {"limits": {"memory": "16Mi"}}}),
    );
    create(namespace, "greedy", main, json!({"restartPolicy": "Never"}));
    let done = pods::wait_until(namespace, "greedy", "done", ended);
    let state = &done.container("main")["state"]["terminated"];
    assert_eq!(
        (&state["reason"], &state["exitCode"]),
        (&json!("OOMKilled"), &json!(137))
    );
}

pub fn shared_processes(namespace: &Namespace) {
    let spec = json!({
        "shareProcessNamespace": true,
        "containers": [container("one", IDLE), container("two", "exec sleep 4321")],
    });
    namespace.create(&pod("together", spec));
    pods::wait_pod(namespace, "together");
    until("one container sees the other's program", || {
        let seen = sh(namespace, "together", "ps");
        let all = seen.contains("/pause") && seen.contains("sleep 4321");
        wait::holds(all, seen)
    });
    remove(namespace, "together");
}
