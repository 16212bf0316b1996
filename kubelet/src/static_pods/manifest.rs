//! One manifest: read, checked, and made what the apiserver would have made of
//! it; and the mirror of the pod for the apiserver.

use crate::pod::{self, HASH};
use hardway_proto::{Kind, names};
use k8s_openapi::api::core::v1::{Container, Node, Pod, PodSpec, PodStatus, Toleration};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::path::Path;

/// Annotation: when the manifest was first seen.
const SEEN: &str = "kubernetes.io/config.seen";

/// Reads a manifest in JSON or YAML as the pod it stands for on this node.
pub fn read(text: &[u8], file: &Path, node: &str) -> Result<Pod, String> {
    let value: Value = serde_yaml::from_slice(text).map_err(|e| e.to_string())?;
    let field = |name: &str| value.get(name).and_then(Value::as_str);
    if (field("apiVersion"), field("kind")) != (Some("v1"), Some("Pod")) {
        return Err("it must be of kind Pod and apiVersion v1".into());
    }
    let mut pod: Pod = serde_json::from_value(value).map_err(|e| e.to_string())?;
    check(&pod)?;
    let hash = hash(text, file, node);
    let metadata = &mut pod.metadata;
    metadata.name = metadata.name.take().map(|name| format!("{name}-{node}"));
    metadata.namespace.get_or_insert_with(|| "default".into());
    metadata.uid.get_or_insert_with(|| hash.clone());
    let now = jiff::Timestamp::now().to_string();
    let annotations = metadata.annotations.get_or_insert_default();
    for (name, value) in [(HASH, hash.as_str()), (SEEN, &now), (pod::SOURCE, "file")] {
        annotations.insert(name.into(), value.into());
    }
    if let Some(spec) = &mut pod.spec {
        fill_in(spec, node);
    }
    pod.status = Some(PodStatus {
        phase: Some("Pending".into()),
        ..Default::default()
    });
    Ok(pod)
}

fn check(pod: &Pod) -> Result<(), String> {
    let name = pod.name();
    if let Some(problem) = names::is_dns1123_subdomain(name).first() {
        return Err(format!("metadata.name: Invalid value: {name:?}: {problem}"));
    }
    let spec = pod.spec.as_ref().ok_or("spec: Required value")?;
    if spec.containers.is_empty() {
        return Err("spec.containers: Required value".into());
    }
    if spec.ephemeral_containers.is_some() {
        return Err(
            "spec.ephemeralContainers: Forbidden: static pods do not support ephemeral containers"
                .into(),
        );
    }
    for (index, container) in pod::all_containers(pod).enumerate() {
        if let Some(problem) = names::is_dns1123_label(&container.name).first() {
            let name = &container.name;
            return Err(format!(
                "name of container {index}: Invalid value: {name:?}: {problem}"
            ));
        }
        if container.image.as_deref().unwrap_or_default().is_empty() {
            return Err(format!(
                "image of container {:?}: Required value",
                container.name
            ));
        }
    }
    Ok(())
}

/// Tells one version of a manifest from another; also the pod's UID.
fn hash(text: &[u8], file: &Path, node: &str) -> String {
    let mut hasher = Sha256::new();
    for part in [node.as_bytes(), file.as_os_str().as_encoded_bytes(), text] {
        hasher.update(part);
        hasher.update([0]);
    }
    let digest = hasher.finalize();
    digest[..16].iter().map(|b| format!("{b:02x}")).collect()
}

/// What the apiserver fills in for pods that pass through it.
fn fill_in(spec: &mut PodSpec, node: &str) {
    let text = |value: &str| value.to_owned();
    spec.node_name = Some(text(node));
    spec.restart_policy.get_or_insert_with(|| text("Always"));
    spec.dns_policy.get_or_insert_with(|| text("ClusterFirst"));
    spec.scheduler_name
        .get_or_insert_with(|| text("default-scheduler"));
    spec.enable_service_links.get_or_insert(true);
    spec.security_context.get_or_insert_default();
    spec.termination_grace_period_seconds
        .get_or_insert(pod::DEFAULT_GRACE);
    let stay = Toleration {
        operator: Some(text("Exists")),
        effect: Some(text("NoExecute")),
        ..Default::default()
    };
    let tolerations = spec.tolerations.get_or_insert_default();
    if !tolerations.contains(&stay) {
        tolerations.push(stay);
    }
    let init = spec.init_containers.iter_mut().flatten();
    spec.containers
        .iter_mut()
        .chain(init)
        .for_each(fill_in_container);
}

fn fill_in_container(container: &mut Container) {
    let image = container.image.as_deref().unwrap_or_default();
    let name = image.rsplit('/').next().unwrap_or_default();
    let latest = !name.contains(['@', ':']) || name.ends_with(":latest");
    let policy = if latest { "Always" } else { "IfNotPresent" };
    container
        .image_pull_policy
        .get_or_insert_with(|| policy.into());
    container
        .termination_message_path
        .get_or_insert_with(|| "/dev/termination-log".into());
    container
        .termination_message_policy
        .get_or_insert_with(|| "File".into());
    for port in container.ports.iter_mut().flatten() {
        port.protocol.get_or_insert_with(|| "TCP".into());
    }
    let resources = container.resources.get_or_insert_default();
    if let Some(limits) = resources.limits.clone() {
        let requests = resources.requests.get_or_insert_default();
        for (name, limit) in limits {
            requests.entry(name).or_insert(limit);
        }
    }
}

/// The copy of a static pod that the apiserver shows, owned by its node.
pub fn mirror(pod: &Pod, node: &Node) -> Pod {
    let mut mirror = pod.clone();
    let metadata = &mut mirror.metadata;
    metadata.uid = None;
    metadata.resource_version = None;
    metadata.owner_references = Some(vec![OwnerReference {
        api_version: Node::api_version(),
        kind: Node::KIND.into(),
        name: node.name().into(),
        uid: node.uid().into(),
        controller: Some(true),
        block_owner_deletion: None,
    }]);
    let annotations = metadata.annotations.get_or_insert_default();
    let hash = annotations.get(HASH).cloned().unwrap_or_default();
    annotations.insert(pod::MIRROR.into(), hash);
    mirror.status = None;
    mirror
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const TEXT: &str = "\
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec:
  containers:
  - name: c
    image: host:5000/web
    ports: [{containerPort: 80}]
    resources: {limits: {cpu: 1}}
";

    fn parse(text: &str) -> Result<Pod, String> {
        read(text.as_bytes(), Path::new("/etc/m/web.yaml"), "worker-1")
    }

    #[test]
    fn a_manifest_becomes_a_pod_of_its_node() {
        let pod = parse(TEXT).unwrap();
        assert_eq!((pod.name(), pod.namespace()), ("web-worker-1", "default"));
        let annotations = pod.metadata.annotations.as_ref().unwrap();
        assert_eq!(annotations[pod::SOURCE], "file");
        assert_eq!(annotations[HASH], pod.uid());
        assert_eq!(pod.uid().len(), 32);
        assert!(crate::pod::is_static(&pod) && !crate::pod::is_mirror(&pod, "worker-1"));
        let spec = pod.spec.as_ref().unwrap();
        assert_eq!(spec.node_name.as_deref(), Some("worker-1"));
        let container = &spec.containers[0];
        assert_eq!(container.image_pull_policy.as_deref(), Some("Always"));
        let requests = container.resources.as_ref().unwrap().requests.as_ref();
        assert_eq!(requests.unwrap()["cpu"].0, "1");
    }

    #[test]
    fn another_text_is_another_pod() {
        let other = parse(&TEXT.replace("web}", "www}")).unwrap();
        assert_ne!(parse(TEXT).unwrap().uid(), other.uid());
        assert_eq!(parse(TEXT).unwrap().uid(), parse(TEXT).unwrap().uid());
    }

    #[test]
    fn what_is_wrong_is_told() {
        for (text, expected) in [
            ("kind: Service", "it must be of kind Pod and apiVersion v1"),
            (
                "{apiVersion: v1, kind: Pod, metadata: {name: a}}",
                "spec: Required value",
            ),
            (
                "{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {containers: []}}",
                "spec.containers: Required value",
            ),
            (
                "{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {containers: [{name: c}]}}",
                "image of container \"c\": Required value",
            ),
        ] {
            assert_eq!(parse(text).unwrap_err(), expected);
        }
    }

    #[test]
    fn the_mirror_belongs_to_the_node() {
        let node = json!({"metadata": {"name": "worker-1", "uid": "n-1"}});
        let pod = parse(TEXT).unwrap();
        let mirror = mirror(&pod, &serde_json::from_value(node).unwrap());
        assert!(crate::pod::is_mirror(&mirror, "worker-1"));
        assert_eq!(mirror.metadata.uid, None);
        assert_eq!(
            mirror.metadata.owner_references.as_ref().unwrap()[0].uid,
            "n-1"
        );
        let annotations = mirror.metadata.annotations.as_ref().unwrap();
        assert_eq!(annotations[pod::MIRROR], pod.uid());
    }
}
