//! Add-ons: what a cluster needs that runs in the cluster itself. Their
//! manifests are applied as anybody could with kubectl.

use std::path::Path;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::{Value, json};

use crate::api::{Api, text};
use crate::failure::{Failure, OrFail, Result};
use crate::host::cluster::Cluster;
use crate::images::oci::{Image, Written};
use crate::images::program;
use crate::lab::config::OWN_IMAGES;

/// The manifests of all add-ons.
const MANIFESTS: &[&str] = &[
    include_str!("../addons/dns.yml"),
    include_str!("../addons/metrics-server.yml"),
    include_str!("../addons/local-path.yml"),
];
/// Programs of ours that run as add-ons: what their images are called, their binaries, and
/// whom they run as. What the provisioner removes belongs to whoever pods run as.
const PROGRAMS: [(&str, &str, &str); 3] = [
    ("dns", "hardway-dns", NOBODY),
    ("metrics", "hardway-metrics", NOBODY),
    ("provisioner", "hardway-provisioner", "0:0"),
];
const NOBODY: &str = "65532:65532";
/// How long an add-on may take to be available.
const PATIENCE: Duration = Duration::from_secs(120);

/// The images of the add-ons, out of the components' binaries.
pub fn images(binaries: &Path) -> Result<Vec<Image>> {
    let image = |(name, binary, user): (&str, &str, &str)| {
        let at = format!("/usr/local/bin/{binary}");
        Ok(Image {
            name: format!("{OWN_IMAGES}/hardway/{name}:{}", env!("CARGO_PKG_VERSION")),
            entries: program::entries(&binaries.join(binary), &at)?,
            entrypoint: vec![at],
            user: user.to_owned(),
            ..Image::default()
        })
    };
    PROGRAMS.into_iter().map(image).collect()
}

/// Brings the add-ons' objects to what the manifests say; tells what changed.
pub fn apply(api: &mut Api, cluster: &Cluster, images: &[Written]) -> Result<String> {
    let mut objects = objects(cluster)?;
    for object in &mut objects {
        pin(object, images);
    }
    apply_all(api, &objects)
}

/// Brings objects to what they say; tells what changed.
pub fn apply_all(api: &mut Api, objects: &[Value]) -> Result<String> {
    let (mut created, mut changed) = (0, 0);
    for object in objects {
        let path = api.path(object)?;
        let before = api.get(&path)?;
        let after = api.apply(&path, object)?;
        match before {
            None => created += 1,
            Some(before) if version(&before) != version(&after) => changed += 1,
            Some(_) => {}
        }
    }
    let told = [(created, "created"), (changed, "changed")];
    let told = told.iter().filter(|(count, _)| *count > 0);
    let told: Vec<String> = told.map(|(count, how)| format!("{count} {how}")).collect();
    Ok(match told.is_empty() {
        true => "as they should be".to_owned(),
        false => told.join(", "),
    })
}

/// What has pods, of the add-ons.
fn workloads() -> Result<impl Iterator<Item = Value>> {
    let has_pods = |object: &Value| ["Deployment", "DaemonSet"].contains(&text(&object["kind"]));
    Ok(manifests()?.into_iter().filter(has_pods))
}

/// Waits until all pods of the add-ons are available.
pub fn wait(api: &mut Api) -> Result<String> {
    let began = Instant::now();
    let mut told = Vec::new();
    for object in workloads()? {
        let path = api.path(&object)?;
        loop {
            let complaint = match api.get(&path)? {
                Some(workload) => match lacking(&workload) {
                    None => break,
                    Some(complaint) => complaint,
                },
                None => "it is gone".to_owned(),
            };
            if began.elapsed() > PATIENCE {
                let name = text(&object["metadata"]["name"]);
                let namespace = text(&object["metadata"]["namespace"]);
                let pods = api.get(&format!("/api/v1/namespaces/{namespace}/pods"))?;
                let why = pods
                    .and_then(|pods| reason(&object, &pods))
                    .unwrap_or_default();
                let complaint = format!("{complaint}{why}");
                return Err(
                    Failure::new(format!("wait for {name}"), complaint).way_out(format!(
                        "see what its pods say:  kubectl --namespace {namespace} describe pods"
                    )),
                );
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        told.push(text(&object["metadata"]["name"]).to_owned());
    }
    Ok(told.join(", "))
}

/// How the add-ons are, in a line for each.
pub fn status(api: &mut Api) -> Result<Vec<String>> {
    workloads()?
        .map(|object| {
            let path = api.path(&object)?;
            let how = match api.get(&path)? {
                Some(workload) => lacking(&workload),
                None => Some("not there".to_owned()),
            };
            let how = how.unwrap_or_else(|| "available".to_owned());
            Ok(format!("{}: {how}", text(&object["metadata"]["name"])))
        })
        .collect()
}

/// What a Deployment or DaemonSet still lacks.
fn lacking(workload: &Value) -> Option<String> {
    let number = |pointer: &str| workload.pointer(pointer).and_then(Value::as_i64);
    let status = |field: &str| number(&format!("/status/{field}")).unwrap_or(0);
    let (wanted, updated, available, all) = match workload["kind"] == "DaemonSet" {
        true => (
            status("desiredNumberScheduled"),
            status("updatedNumberScheduled"),
            status("numberAvailable"),
            status("currentNumberScheduled"),
        ),
        false => (
            number("/spec/replicas").unwrap_or(1),
            status("updatedReplicas"),
            status("availableReplicas"),
            status("replicas"),
        ),
    };
    if status("observedGeneration") < number("/metadata/generation").unwrap_or(0) {
        return Some("the controller manager has not looked at it".to_owned());
    }
    if updated < wanted {
        return Some(format!(
            "{updated} of {wanted} replicas are of this version"
        ));
    }
    if available < wanted {
        return Some(format!("{available} of {wanted} replicas are available"));
    }
    (all > wanted).then(|| format!("{} old replicas are still there", all - wanted))
}

/// Why a pod of an add-on doesn't run, in the scheduler's or the kubelet's words.
fn reason(workload: &Value, pods: &Value) -> Option<String> {
    let labels = workload
        .pointer("/spec/selector/matchLabels")?
        .as_object()?;
    let pods = pods["items"].as_array()?.iter().filter(|pod| {
        let own = &pod["metadata"]["labels"];
        labels.iter().all(|(key, value)| own[key] == *value)
    });
    let says = |pod: &Value| {
        let conditions = pod.pointer("/status/conditions").and_then(Value::as_array);
        let unscheduled = conditions.into_iter().flatten().find(|condition| {
            condition["type"] == "PodScheduled" && condition["status"] == "False"
        });
        let containers = pod.pointer("/status/containerStatuses");
        let waiting = containers.and_then(Value::as_array).into_iter().flatten();
        let waiting = waiting.map(|container| &container["state"]["waiting"]["message"]);
        let mut messages = unscheduled
            .map(|it| &it["message"])
            .into_iter()
            .chain(waiting);
        let message = messages.find_map(Value::as_str)?;
        Some(format!("; {}: {message}", text(&pod["metadata"]["name"])))
    };
    pods.filter_map(says).next()
}

/// The objects of all manifests, as they are for a cluster.
fn objects(cluster: &Cluster) -> Result<Vec<Value>> {
    let mut objects = manifests()?;
    for object in &mut objects {
        fit(object, cluster);
    }
    Ok(objects)
}

/// Gives the cluster's DNS its address, and tells it what is the cluster's.
fn fit(object: &mut Value, cluster: &Cluster) {
    if object["kind"] == "Service" && object["metadata"]["name"] == "kube-dns" {
        object["spec"]["clusterIP"] = json!(cluster.cluster_dns());
    }
    let values = [
        ("--cluster-domain=", cluster.dns_domain.clone()),
        ("--cluster-cidr=", cluster.pod_cidr.to_string()),
        ("--service-cidr=", cluster.service_cidr.to_string()),
    ];
    let arguments = object.pointer_mut("/spec/template/spec/containers/0/args");
    for argument in arguments
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
    {
        let flag = values
            .iter()
            .find(|(flag, _)| text(argument).starts_with(flag));
        if let Some((flag, value)) = flag {
            *argument = json!(format!("{flag}{value}"));
        }
    }
}

/// The objects of all manifests, in their order.
fn manifests() -> Result<Vec<Value>> {
    let documents = MANIFESTS
        .iter()
        .flat_map(|text| serde_yaml::Deserializer::from_str(text));
    documents
        .map(|document| Value::deserialize(document).or_fail(|| "read the add-ons' manifests"))
        .collect()
}

/// Names the images of an object's pods by digest, so that a new build under
/// the same version reaches nodes that have the old one.
fn pin(object: &mut Value, images: &[Written]) {
    let containers = object.pointer_mut("/spec/template/spec/containers");
    for container in containers
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
    {
        let known = images.iter().find(|image| container["image"] == image.name);
        if let Some(image) = known {
            container["image"] = json!(format!("{}@{}", image.name, image.digest));
        }
    }
}

fn version(object: &Value) -> &str {
    text(&object["metadata"]["resourceVersion"])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{CLUSTER_DNS, CLUSTER_DOMAIN, POD_CIDR, SERVICE_CIDR};

    fn find(kind: &str) -> Value {
        let mut objects = manifests().unwrap().into_iter();
        objects.find(|object| object["kind"] == kind).unwrap()
    }

    #[test]
    fn the_manifests_agree_with_the_plan() {
        let service = find("Service");
        assert_eq!(service["spec"]["clusterIP"], CLUSTER_DNS.to_string());
        for deployment in manifests().unwrap() {
            let image = &deployment["spec"]["template"]["spec"]["containers"][0]["image"];
            let known = |(name, ..): &(&str, &str, &str)| {
                let version = env!("CARGO_PKG_VERSION");
                *image == format!("{OWN_IMAGES}/hardway/{name}:{version}")
            };
            assert!(image.is_null() || PROGRAMS.iter().any(known), "{image}");
        }
        let deployment = find("Deployment");
        let container = &deployment["spec"]["template"]["spec"]["containers"][0];
        let image = format!("{OWN_IMAGES}/hardway/dns:{}", env!("CARGO_PKG_VERSION"));
        assert_eq!(container["image"], image);
        let arguments = container["args"].as_array().unwrap();
        for argument in [
            format!("--cluster-domain={CLUSTER_DOMAIN}"),
            format!("--cluster-cidr={POD_CIDR}"),
            format!("--service-cidr={SERVICE_CIDR}"),
        ] {
            assert!(arguments.contains(&json!(argument)), "{argument}");
        }
    }

    #[test]
    fn a_cluster_of_other_ranges_has_its_own_dns() {
        let cluster = Cluster {
            pod_cidr: "10.96.0.0/16".parse().unwrap(),
            service_cidr: "172.20.0.0/16".parse().unwrap(),
            dns_domain: "example.org".to_owned(),
            ..Cluster::at([192, 168, 0, 1].into())
        };
        let objects = objects(&cluster).unwrap();
        let find = |kind: &str| objects.iter().find(|it| it["kind"] == kind).unwrap();
        assert_eq!(find("Service")["spec"]["clusterIP"], "172.20.0.10");
        let arguments = &find("Deployment")["spec"]["template"]["spec"]["containers"][0]["args"];
        for argument in [
            "--cluster-domain=example.org",
            "--cluster-cidr=10.96.0.0/16",
            "--service-cidr=172.20.0.0/16",
            "--service=kube-system/kube-dns",
        ] {
            let arguments = arguments.as_array().unwrap();
            assert!(arguments.contains(&json!(argument)), "{argument}");
        }
    }

    #[test]
    fn images_are_pinned() {
        let mut deployment = find("Deployment");
        let name = format!("{OWN_IMAGES}/hardway/dns:{}", env!("CARGO_PKG_VERSION"));
        let image = Written {
            name: name.clone(),
            folder: "x".into(),
            digest: "sha256:abc".to_owned(),
        };
        pin(&mut deployment, &[image]);
        let container = &deployment["spec"]["template"]["spec"]["containers"][0];
        assert_eq!(container["image"], format!("{name}@sha256:abc"));
    }

    #[test]
    fn what_is_in_the_way_of_a_pod_is_told() {
        let pod = |name: &str, status: Value| {
            let labels = json!({"k8s-app": "kube-dns"});
            json!({"metadata": {"name": name, "labels": labels}, "status": status})
        };
        let other = json!({"metadata": {"name": "x"}, "status": {"containerStatuses": [
            {"state": {"waiting": {"message": "not this one's"}}}]}});
        let running = pod(
            "a",
            json!({"conditions": [{"type": "PodScheduled", "status": "True"}]}),
        );
        let pending = pod(
            "b",
            json!({"conditions": [
            {"type": "PodScheduled", "status": "False", "message": "0/2 nodes are available"}]}),
        );
        let waiting = pod(
            "c",
            json!({"containerStatuses": [
            {"state": {"waiting": {"reason": "ErrImagePull", "message": "not found"}}}]}),
        );
        let of = |pods: &[&Value]| reason(&find("Deployment"), &json!({"items": pods}));
        assert_eq!(of(&[&other, &running]), None);
        let told = of(&[&running, &pending, &waiting]).unwrap();
        assert_eq!(told, "; b: 0/2 nodes are available");
        assert_eq!(of(&[&waiting]).unwrap(), "; c: not found");
    }

    #[test]
    fn a_deployment_is_there_when_all_its_pods_are() {
        let with = |status: Value| json!({"metadata": {"generation": 2}, "spec": {"replicas": 2}, "status": status});
        let good = json!({"observedGeneration": 2, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2});
        assert_eq!(lacking(&with(good.clone())), None);
        let said = |field: &str, value: i64| {
            let mut status = good.clone();
            status[field] = json!(value);
            lacking(&with(status)).unwrap()
        };
        assert_eq!(
            said("availableReplicas", 1),
            "1 of 2 replicas are available"
        );
        assert_eq!(said("replicas", 3), "1 old replicas are still there");
        assert!(said("observedGeneration", 1).starts_with("the controller manager"));
        let on_nodes = |available: i64| {
            json!({"kind": "DaemonSet", "status": {"desiredNumberScheduled": 2,
                "currentNumberScheduled": 2, "updatedNumberScheduled": 2,
                "numberAvailable": available}})
        };
        assert_eq!(lacking(&on_nodes(2)), None);
        assert_eq!(
            lacking(&on_nodes(1)).unwrap(),
            "1 of 2 replicas are available"
        );
    }
}
