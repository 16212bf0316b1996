//! Configuration that a pod names and that is not there: ConfigMaps, Secrets, their keys, and
//! what its volumes need.

use serde_json::Value;

use crate::causes::containers::{self, Container};
use crate::causes::{Cause, lasts};
use crate::cluster::Cluster;
use crate::finding::Finding;
use crate::object::{Json, Object};
use crate::words::{near, one_line};

pub(super) const CAUSE: Cause = Cause {
    name: "config",
    about: "a ConfigMap, Secret or key that a pod names and that is not there, or a volume or network it does not get",
    kinds: &["Pod"],
    reads: &["ConfigMap", "Secret", "Event", "VolumeAttachment"],
    find,
};

/// Volumes and network are there within seconds; after this the events are worth being told.
const PATIENCE: i64 = 15;

fn find<'a>(cluster: &Cluster<'a>, pod: &Object<'a>) -> Vec<Finding> {
    let all = containers::all(pod);
    let refused = all.iter().find(|it| {
        it.waiting()
            .is_some_and(|it| it.0 == "CreateContainerConfigError")
    });
    if let Some(container) = refused {
        return vec![config_error(pod, container, &missing(cluster, pod))];
    }
    let is_pending = pod.value.text("/status/phase") == Some("Pending");
    let is_bound = pod.value.text("/spec/nodeName").is_some();
    if !is_pending || !is_bound {
        return Vec::new();
    }
    let waits = |reason: &str| {
        all.iter()
            .any(|it| it.waiting().is_none_or(|it| it.0 == reason))
    };
    let starting = all.is_empty() || waits("ContainerCreating") || waits("PodInitializing");
    if !starting || all.iter().any(Container::is_running) {
        return Vec::new();
    }
    let since = pod.value.time("/status/startTime").or(pod.created());
    let missing = missing(cluster, pod);
    let found = volumes(cluster, pod, &missing).or_else(|| sandbox(cluster, pod));
    let found = found.filter(|_| lasts(cluster, since, PATIENCE) || !missing.is_empty());
    found.map(|it| it.since(since)).into_iter().collect()
}

/// Something that a pod names and that is not there.
struct Missing {
    kind: &'static str,
    name: String,
    key: Option<String>,
    /// Names that may have been meant.
    near: Vec<String>,
    field: String,
}

impl Missing {
    fn says(&self) -> String {
        let what = match &self.key {
            Some(key) => format!(
                "{}/{} has no key {key}",
                self.kind.to_lowercase(),
                self.name
            ),
            None => format!("{}/{} is not there", self.kind.to_lowercase(), self.name),
        };
        match self.near.as_slice() {
            [] => what,
            near => format!("{what}; there is {}", near.join(", ")),
        }
    }
}

/// Everything that the pod names, does not call optional, and that is not there.
fn missing<'a>(cluster: &Cluster<'a>, pod: &Object<'a>) -> Vec<Missing> {
    let mut all = Vec::new();
    let mut look = |kind: &'static str,
                    named: Option<&str>,
                    source: &Value,
                    key: Option<&str>,
                    field: String| {
        let Some(name) = named.filter(|_| !source.flag("/optional") && cluster.can_read(kind))
        else {
            return;
        };
        let near_names = |near: Vec<&str>| near.into_iter().map(str::to_owned).collect();
        let missing = match (cluster.get(kind, pod.namespace(), name), key) {
            (None, _) => (None, near_names(cluster.near(kind, pod.namespace(), name))),
            (Some(there), Some(key)) => {
                let keys = ["data", "binaryData", "stringData"].iter();
                let keys: Vec<&String> = keys
                    .filter_map(|it| there.value.get(it)?.as_object())
                    .flat_map(|it| it.keys())
                    .collect();
                if keys.iter().any(|it| *it == key) {
                    return;
                }
                (
                    Some(key.to_owned()),
                    near_names(near(key, keys.into_iter().map(String::as_str))),
                )
            }
            (Some(_), None) => return,
        };
        all.push(Missing {
            kind,
            name: name.to_owned(),
            key: missing.0,
            near: missing.1,
            field,
        });
    };
    for (list, specs) in
        ["initContainers", "containers"].map(|it| (it, pod.value.list(&format!("/spec/{it}"))))
    {
        for container in specs {
            let at = |what: &str| {
                format!(
                    "/spec/{list}[{}]/{what}",
                    container.text("/name").unwrap_or_default()
                )
            };
            for (kind, from) in [("ConfigMap", "configMapRef"), ("Secret", "secretRef")] {
                for source in container.list("/envFrom") {
                    let reference = source.get(from).unwrap_or(&Value::Null);
                    look(
                        kind,
                        reference.text("/name"),
                        reference,
                        None,
                        at("envFrom"),
                    );
                }
            }
            for (kind, from) in [("ConfigMap", "configMapKeyRef"), ("Secret", "secretKeyRef")] {
                for variable in container.list("/env") {
                    let reference = variable
                        .pointer(&format!("/valueFrom/{from}"))
                        .unwrap_or(&Value::Null);
                    let field = at(&format!(
                        "env[{}]",
                        variable.text("/name").unwrap_or_default()
                    ));
                    look(
                        kind,
                        reference.text("/name"),
                        reference,
                        reference.text("/key"),
                        field,
                    );
                }
            }
        }
    }
    for volume in pod.value.list("/spec/volumes") {
        let field = || {
            format!(
                "/spec/volumes[{}]",
                volume.text("/name").unwrap_or_default()
            )
        };
        let own = [volume];
        let projected = volume.list("/projected/sources").iter();
        for source in own.into_iter().chain(projected) {
            for (kind, from, name) in [
                ("ConfigMap", "configMap", "/name"),
                ("Secret", "secret", "/secretName"),
                ("Secret", "secret", "/name"),
            ] {
                let reference = source.get(from).unwrap_or(&Value::Null);
                let items = reference.list("/items");
                if items.is_empty() {
                    look(kind, reference.text(name), reference, None, field());
                }
                for item in items {
                    look(
                        kind,
                        reference.text(name),
                        reference,
                        item.text("/key"),
                        field(),
                    );
                }
            }
        }
    }
    all
}

fn help(finding: Finding, pod: &Object<'_>, missing: &[Missing]) -> Finding {
    let Some(first) = missing.first() else {
        return finding.run("see what the pod names", pod.kubectl("describe"));
    };
    let command = match (first.kind, &first.key) {
        (kind, Some(_)) => format!(
            "kubectl edit {} {}{}",
            kind.to_lowercase(),
            first.name,
            pod.flag()
        ),
        ("Secret", None) => format!(
            "kubectl create secret generic {} --from-literal=KEY=VALUE{}",
            first.name,
            pod.flag()
        ),
        (_, None) => format!(
            "kubectl create configmap {} --from-literal=KEY=VALUE{}",
            first.name,
            pod.flag()
        ),
    };
    let finding = match first.near.first() {
        Some(near) => finding.advise(format!("name {near} in the pod, if that is meant")),
        None => finding,
    };
    finding.run(
        "make what is missing; the kubelet then goes on by itself",
        command,
    )
}

fn config_error(pod: &Object<'_>, container: &Container<'_>, missing: &[Missing]) -> Finding {
    let (reason, message) = container.waiting().unwrap_or_default();
    let summary = match missing.first() {
        Some(first) => format!("{container} can't be made: {}", first.says()),
        None => format!("{container} can't be made: {}", one_line(message)),
    };
    let finding = Finding::error(summary)
        .key(container.name)
        .says([container.says(
            pod,
            "state/waiting",
            format!("{reason}: {}", one_line(message)),
        )])
        .says(missing.iter().map(|it| pod.field(&it.field, it.says())));
    help(finding, pod, missing)
}

/// A volume that is not mounted or attached.
fn volumes<'a>(cluster: &Cluster<'a>, pod: &Object<'a>, missing: &[Missing]) -> Option<Finding> {
    let event = cluster.event(
        pod,
        &["FailedMount", "FailedAttachVolume", "FailedMapVolume"],
    );
    let summary = match (missing.first(), event) {
        (Some(first), _) => format!("its volumes can't be mounted: {}", first.says()),
        (None, Some(event)) => format!("a volume can't be had: {}", one_line(event.message)),
        (None, None) => return None,
    };
    let attachments = cluster.all("VolumeAttachment").iter();
    let node = pod.value.text("/spec/nodeName");
    let failed = attachments
        .filter(|it| it.value.text("/spec/nodeName") == node)
        .filter_map(|it| {
            let error = it.value.text("/status/attachError/message")?;
            Some(it.field("/status/attachError", one_line(error)))
        });
    let finding = Finding::error(summary)
        .key("volumes")
        .says(missing.iter().map(|it| pod.field(&it.field, it.says())))
        .says(event.map(|it| it.evidence()))
        .says(failed);
    Some(help(finding, pod, missing))
}

/// The pod's sandbox: its network namespace and what CNI plugins do for it.
fn sandbox<'a>(cluster: &Cluster<'a>, pod: &Object<'a>) -> Option<Finding> {
    let event = cluster.event(pod, &["FailedCreatePodSandBox", "NetworkNotReady"])?;
    let node = pod.value.text("/spec/nodeName").unwrap_or_default();
    let finding = Finding::error(format!("gets no network: {}", one_line(event.message)))
        .key("sandbox")
        .says([event.evidence()])
        .run(
            "see how its node is",
            format!("kubectl describe node {node}"),
        )
        .advise(
            "see on the node that the network add-on runs and /etc/cni/net.d has its configuration",
        );
    Some(finding)
}

#[cfg(test)]
mod tests {
    use crate::fixtures::{event, found, one, says};
    use serde_json::{Value, json};

    fn pod(container: Value, waiting: Value) -> (&'static str, Value) {
        let mut container = container;
        container["name"] = json!("web");
        let pod = json!({"metadata": {"name": "web", "namespace": "default"},
            "spec": {"nodeName": "a", "containers": [container]},
            "status": {"phase": "Pending", "startTime": "2025-01-01T00:00:00Z",
                "containerStatuses": [{"name": "web", "state": {"waiting": waiting}}]}});
        ("Pod", pod)
    }

    #[test]
    fn a_config_map_that_is_not_there_is_told_with_what_was_meant() {
        let container = json!({"envFrom": [{"configMapRef": {"name": "web-confg"}}]});
        let waiting = json!({"reason": "CreateContainerConfigError", "message": "configmap \"web-confg\" not found"});
        let other = json!({"metadata": {"name": "web-config", "namespace": "default"}});
        let told = one(&[pod(container, waiting), ("ConfigMap", other)]);
        assert_eq!(
            told.summary,
            "container web can't be made: configmap/web-confg is not there; there is web-config"
        );
        says(
            &told,
            "CreateContainerConfigError: configmap \"web-confg\" not found",
        );
        assert_eq!(
            told.remedies[0].advice,
            "name web-config in the pod, if that is meant"
        );
    }

    #[test]
    fn a_key_that_is_not_there_is_told() {
        let container = json!({"env": [{"name": "P", "valueFrom": {"secretKeyRef": {"name": "db", "key": "passwd"}}}]});
        let waiting = json!({"reason": "CreateContainerConfigError",
            "message": "couldn't find key passwd in Secret default/db"});
        let secret = json!({"metadata": {"name": "db", "namespace": "default"}, "data": {"password": "eA=="}});
        let told = one(&[pod(container, waiting), ("Secret", secret)]);
        assert!(
            told.summary
                .ends_with("secret/db has no key passwd; there is password"),
            "{}",
            told.summary
        );
    }

    #[test]
    fn a_secret_for_a_volume_is_told_and_an_optional_one_not() {
        let creating = json!({"reason": "ContainerCreating"});
        let (kind, mut waits) = pod(json!({}), creating);
        waits["spec"]["volumes"] = json!([{"name": "tls", "secret": {"secretName": "tls"}}]);
        let failed = event(
            "Pod",
            "web",
            "FailedMount",
            "MountVolume.SetUp failed for volume \"tls\" : secret \"tls\" not found",
        );
        let told = one(&[(kind, waits.clone()), failed]);
        assert_eq!(
            told.summary,
            "its volumes can't be mounted: secret/tls is not there"
        );
        says(&told, "MountVolume.SetUp failed");
        waits["spec"]["volumes"][0]["secret"]["optional"] = json!(true);
        assert_eq!(found(&[(kind, waits.clone())]), []);
        let sandbox = event(
            "Pod",
            "web",
            "FailedCreatePodSandBox",
            "Failed to create pod sandbox: plugin type=\"flannel\" failed (add): open /run/flannel/subnet.env: no such file or directory",
        );
        let told = one(&[(kind, waits), sandbox]);
        assert!(
            told.summary
                .starts_with("gets no network: Failed to create pod sandbox")
        );
    }
}
