//! What the manifests of add-ons become for a cluster: its addresses, and images by digest.

use serde::Deserialize;
use serde_json::{Value, json};

use super::Addon;
use crate::api::text;
use crate::failure::{OrFail, Result};
use crate::host::cluster::Cluster;
use crate::images::oci::Written;

/// The objects of an add-on's manifest, in their order, as they are for a cluster.
///
/// # Errors
/// If the manifest is no YAML.
pub fn of(addon: &Addon, cluster: &Cluster, images: &[Written]) -> Result<Vec<Value>> {
    let mut objects = parse(addon)?;
    for object in &mut objects {
        fit(object, cluster);
        pin(object, images);
    }
    Ok(objects)
}

/// The objects of an add-on's manifest, in their order.
///
/// # Errors
/// If the manifest is no YAML.
pub fn parse(addon: &Addon) -> Result<Vec<Value>> {
    let documents = serde_yaml::Deserializer::from_str(addon.manifest);
    documents
        .map(|document| {
            Value::deserialize(document).or_fail(|| format!("read the manifest of {}", addon.name))
        })
        .collect()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::addons::find;
    use crate::lab::config::OWN_IMAGES;
    use crate::plan::{CLUSTER_DNS, CLUSTER_DOMAIN, POD_CIDR, SERVICE_CIDR};

    fn object(objects: &[Value], kind: &str) -> Value {
        let mut objects = objects.iter();
        objects
            .find(|object| object["kind"] == kind)
            .unwrap()
            .clone()
    }

    fn dns(kind: &str) -> Value {
        object(&parse(find("dns").unwrap()).unwrap(), kind)
    }

    #[test]
    fn the_manifest_of_dns_agrees_with_the_plan() {
        assert_eq!(dns("Service")["spec"]["clusterIP"], CLUSTER_DNS.to_string());
        let arguments = &dns("Deployment")["spec"]["template"]["spec"]["containers"][0]["args"];
        for argument in [
            format!("--cluster-domain={CLUSTER_DOMAIN}"),
            format!("--cluster-cidr={POD_CIDR}"),
            format!("--service-cidr={SERVICE_CIDR}"),
        ] {
            let arguments = arguments.as_array().unwrap();
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
        let objects = of(find("dns").unwrap(), &cluster, &[]).unwrap();
        let service = object(&objects, "Service");
        assert_eq!(service["spec"]["clusterIP"], "172.20.0.10");
        let deployment = object(&objects, "Deployment");
        let arguments = &deployment["spec"]["template"]["spec"]["containers"][0]["args"];
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
        let mut deployment = dns("Deployment");
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
}
