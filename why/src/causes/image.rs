//! An image that can't be pulled.

use crate::causes::Cause;
use crate::causes::containers::{self, Container};
use crate::cluster::Cluster;
use crate::finding::Finding;
use crate::object::Object;
use crate::words::one_line;

pub(super) const CAUSE: Cause = Cause {
    name: "image",
    about: "an image that is not found, not allowed, or can't be pulled",
    kinds: &["Pod"],
    reads: &["Event", "Secret"],
    find,
};

/// The reasons of containers that wait for their images (`pkg/kubelet/images/types.go`).
const REASONS: &[&str] = &[
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
    "ErrImageNeverPull",
    "ImageInspectError",
    "RegistryUnavailable",
    "SignatureValidationFailed",
];

fn find<'a>(cluster: &Cluster<'a>, pod: &Object<'a>) -> Vec<Finding> {
    let all = containers::all(pod).into_iter();
    let waiting = all.filter(|it| it.waiting().is_some_and(|it| REASONS.contains(&it.0)));
    waiting
        .map(|container| told(cluster, pod, &container))
        .collect()
}

/// What a registry's or runtime's words mean, and what would help. The words are those of
/// containerd, CRI-O and Docker.
fn meaning(reason: &str, words: &str) -> (&'static str, &'static str) {
    let words = words.to_lowercase();
    let has = |parts: &[&str]| parts.iter().any(|part| words.contains(part));
    match reason {
        "InvalidImageName" => (
            "its name is not one of an image",
            "write it as [REGISTRY/]NAME[:TAG]",
        ),
        "ErrImageNeverPull" => (
            "it is not on the node, and imagePullPolicy Never forbids to pull it",
            "put the image on the node (hardway image load), or let it be pulled: imagePullPolicy IfNotPresent",
        ),
        _ if has(&[
            "unauthorized",
            "authorization failed",
            "access denied",
            "forbidden",
            "no basic auth",
        ]) =>
        {
            (
                "the registry denies it: it is private, or is not there",
                "see that the name is right; for a private one give the pod an imagePullSecret",
            )
        }
        _ if has(&["not found", "manifest unknown", "does not exist", "404"]) => {
            ("there is no such image", "see that name and tag are right")
        }
        _ if has(&["no such host", "server misbehaving"]) => (
            "the registry's name can't be looked up",
            "see that the registry's name is right, and the node's DNS",
        ),
        _ if has(&[
            "connection refused",
            "i/o timeout",
            "no route to host",
            "network is unreachable",
            "deadline exceeded",
        ]) =>
        {
            (
                "the registry can't be reached from the node",
                "see the node's way to the registry: proxy, firewall, routes",
            )
        }
        _ if has(&["x509", "certificate", "tls:"]) => (
            "the registry's certificate is not trusted by the node",
            "have the node's runtime trust the registry's CA",
        ),
        _ if has(&["http response to https"]) => (
            "the registry speaks HTTP, and the runtime HTTPS",
            "tell the node's runtime that the registry is an insecure one, or give it a certificate",
        ),
        _ if has(&["toomanyrequests", "rate limit"]) => (
            "the registry has had too many requests from here",
            "wait, log in with an imagePullSecret, or use a mirror",
        ),
        _ if has(&["no space left"]) => ("the node's disk is full", "make room on the node's disk"),
        _ if has(&["no match for platform"]) => (
            "it is not made for the node's architecture",
            "build it for this architecture as well, or choose nodes by kubernetes.io/arch",
        ),
        _ => ("it can't be pulled", "see what the registry says"),
    }
}

fn told<'a>(cluster: &Cluster<'a>, pod: &Object<'a>, container: &Container<'a>) -> Finding {
    let (reason, message) = container.waiting().unwrap_or_default();
    // While it backs off the condition only says so; the event says why.
    let mut events = cluster.events(pod).into_iter();
    let quoted = format!("\"{}\"", container.image());
    let failed = events.find(|it| {
        it.reason == "Failed"
            && it.message.starts_with("Failed to pull image")
            && it.message.contains(&quoted)
    });
    let words = format!("{message} {}", failed.map_or("", |it| it.message));
    let (means, help) = meaning(reason, &words);
    let finding = Finding::error(format!(
        "image {} of {container}: {means}",
        container.image()
    ))
    .key(container.image())
    .since(pod.condition("ContainersReady").and_then(|it| it.since))
    .says([container.says(
        pod,
        "state/waiting",
        format!("{reason}: {}", one_line(message)),
    )])
    .says(failed.map(|it| it.evidence()))
    .says(secrets(cluster, pod));
    let finding = finding.advise(help);
    let owner = cluster.head(*pod);
    let name = container.name;
    match owner.kind {
        "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet" => finding.run(
            "name another image",
            format!(
                "kubectl set image {}/{} {name}=IMAGE{}",
                owner.kind.to_lowercase(),
                owner.name(),
                owner.flag()
            ),
        ),
        _ => finding.run(
            "name another image",
            format!(
                "kubectl set image pod/{} {name}=IMAGE{}",
                pod.name(),
                pod.flag()
            ),
        ),
    }
}

/// Pull secrets that the pod names and that are not there.
fn secrets<'a>(cluster: &Cluster<'a>, pod: &Object<'a>) -> Vec<crate::diagnosis::Evidence> {
    use crate::object::Json;
    if !cluster.can_read("Secret") {
        return Vec::new();
    }
    let named = pod.value.list("/spec/imagePullSecrets").iter();
    named
        .filter_map(|it| it.text("/name"))
        .filter(|name| cluster.get("Secret", pod.namespace(), name).is_none())
        .map(|name| {
            pod.field(
                "/spec/imagePullSecrets",
                format!("secret/{name} is not there"),
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use crate::fixtures::{ask, event, one, says};
    use serde_json::{Value, json};

    fn pod(image: &str, reason: &str, message: &str) -> Value {
        json!({"metadata": {"name": "web", "namespace": "default"},
            "spec": {"nodeName": "a", "containers": [{"name": "web", "image": image}],
                "imagePullSecrets": [{"name": "mine"}]},
            "status": {"phase": "Pending", "containerStatuses": [{"name": "web", "image": image,
                "state": {"waiting": {"reason": reason, "message": message}}}]}})
    }

    #[test]
    fn each_refusal_is_told_by_what_it_means() {
        let cases = [
            (
                "ErrImagePull",
                "rpc error: code = NotFound desc = failed to pull and unpack image \"docker.io/library/nosuch:1\": failed to resolve reference \"docker.io/library/nosuch:1\": docker.io/library/nosuch:1: not found",
                "there is no such image",
            ),
            (
                "ErrImagePull",
                "failed to pull and unpack image \"docker.io/library/nosuch:latest\": failed to resolve reference \"docker.io/library/nosuch:latest\": pull access denied, repository does not exist or may require authorization: server message: insufficient_scope: authorization failed",
                "denies it",
            ),
            (
                "ErrImagePull",
                "failed to do request: Head \"https://registry.example/v2/x/manifests/1\": dial tcp: lookup registry.example: no such host",
                "can't be looked up",
            ),
            (
                "ErrImagePull",
                "failed to do request: Head \"https://10.0.0.1/v2/x/manifests/1\": dial tcp 10.0.0.1:443: connect: connection refused",
                "can't be reached",
            ),
            (
                "ErrImagePull",
                "tls: failed to verify certificate: x509: certificate signed by unknown authority",
                "not trusted",
            ),
            (
                "ErrImagePull",
                "http: server gave HTTP response to HTTPS client",
                "speaks HTTP",
            ),
            (
                "InvalidImageName",
                "Failed to apply default image tag \"a:b:c\": couldn't parse image name \"a:b:c\": invalid reference format",
                "not one of an image",
            ),
            (
                "ErrImageNeverPull",
                "Container image \"x\" is not present with pull policy of Never",
                "Never forbids",
            ),
        ];
        for (reason, message, means) in cases {
            let told = one(&[("Pod", pod("x", reason, message))]);
            assert_eq!(told.cause, "image");
            assert!(told.summary.contains(means), "{message}: {}", told.summary);
        }
    }

    #[test]
    fn while_it_backs_off_the_event_says_why_and_the_deployment_is_told_once() {
        let owner = |kind: &str, name: &str| json!([{"kind": kind, "name": name, "uid": name, "controller": true}]);
        let meta = |name: &str| json!({"name": name, "namespace": "default", "uid": name});
        let mut web = pod(
            "nosuch:1",
            "ImagePullBackOff",
            "Back-off pulling image \"nosuch:1\"",
        );
        web["metadata"]["ownerReferences"] = owner("ReplicaSet", "web-1");
        let mut other = web.clone();
        other["metadata"]["name"] = json!("web-b");
        let mut set =
            json!({"metadata": meta("web-1"), "spec": {"replicas": 2}, "status": {"replicas": 2}});
        set["metadata"]["ownerReferences"] = owner("Deployment", "web");
        let deployment = json!({"metadata": meta("web"), "spec": {"replicas": 2}, "status": {
            "unavailableReplicas": 2, "conditions": [{"type": "Progressing", "status": "False",
            "reason": "ProgressDeadlineExceeded", "message": "ReplicaSet \"web-1\" has timed out progressing."}]}});
        let objects = [
            ("Pod", web),
            ("Pod", other),
            ("ReplicaSet", set),
            ("Deployment", deployment),
            event(
                "Pod",
                "web",
                "Failed",
                "Failed to pull image \"nosuch:1\": rpc error: code = NotFound desc = not found",
            ),
        ];
        let told = one(&objects);
        assert_eq!(
            told.summary,
            "image nosuch:1 of container web: there is no such image"
        );
        let affected: Vec<String> = told.affected.iter().map(ToString::to_string).collect();
        assert_eq!(
            affected,
            ["deployment/web", "pod/web-b", "replicaset/web-1"]
        );
        let told = ask(&objects, "Deployment", "web");
        assert_eq!(
            told.summary,
            "pod/web: image nosuch:1 of container web: there is no such image"
        );
        says(
            &told.causes[0],
            "ReplicaSet \"web-1\" has timed out progressing.",
        );
        says(&told.causes[0], "secret/mine is not there");
        let command = told.causes[0].remedies[1].command.as_deref();
        assert_eq!(
            command,
            Some("kubectl set image deployment/web web=IMAGE -n default")
        );
    }
}
