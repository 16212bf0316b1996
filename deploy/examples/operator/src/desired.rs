//! What a website should have, and what is to be said of it. No I/O.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec};
use k8s_openapi::api::core::v1::{
    Capabilities, ConfigMap, ConfigMapVolumeSource, Container, ContainerPort, HTTPGetAction,
    PodSecurityContext, PodSpec, PodTemplateSpec, Probe, SeccompProfile, SecurityContext, Service,
    ServicePort, ServiceSpec, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{
    Condition, LabelSelector, ObjectMeta, OwnerReference, Time,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::{Resource, ResourceExt};
use sha2::{Digest, Sha256};

use crate::api::OPERATOR;
use crate::api::v1::{ServiceType, Website, WebsiteStatus};

/// The label by which the operator finds what it has made.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// The condition that says whether all servers show the pages.
pub const AVAILABLE: &str = "Available";
const IMAGE: &str = "docker.io/library/busybox:1.36";
const PORT: i32 = 8080;
/// Changes with the pages, so that servers with the old ones are replaced.
const PAGES_HASH: &str = "hardway.example/pages-hash";

/// What is made for a website, all under its name.
#[derive(Debug, Clone, PartialEq)]
pub struct Children {
    /// Its pages.
    pub config_map: ConfigMap,
    /// Its servers.
    pub deployment: Deployment,
    /// Where it is found.
    pub service: Service,
}

/// What a website should have.
pub fn children(website: &Website) -> Children {
    Children {
        config_map: config_map(website),
        deployment: deployment(website),
        service: service(website),
    }
}

/// Whether an object is the website's own, and may be changed.
pub fn owns(website: &Website, object: &ObjectMeta) -> bool {
    let owners = object.owner_references.iter().flatten();
    let mut controllers = owners.filter(|owner| owner.controller == Some(true));
    controllers.any(|owner| Some(&owner.uid) == website.metadata.uid.as_ref())
}

fn labels(website: &Website) -> BTreeMap<String, String> {
    let labels = [
        ("app.kubernetes.io/name", "website".to_owned()),
        ("app.kubernetes.io/instance", website.name_any()),
        (MANAGED_BY, OPERATOR.to_owned()),
    ];
    labels.map(|(name, value)| (name.to_owned(), value)).into()
}

fn metadata(website: &Website) -> ObjectMeta {
    let owner: Option<OwnerReference> = website.controller_owner_ref(&());
    ObjectMeta {
        name: website.metadata.name.clone(),
        namespace: website.metadata.namespace.clone(),
        labels: Some(labels(website)),
        owner_references: owner.map(|owner| vec![owner]),
        ..ObjectMeta::default()
    }
}

fn config_map(website: &Website) -> ConfigMap {
    let pages = website.spec.pages.iter();
    let data = pages.map(|page| (page.name.clone(), page.content.clone()));
    ConfigMap {
        metadata: metadata(website),
        data: Some(data.collect()),
        ..ConfigMap::default()
    }
}

fn service(website: &Website) -> Service {
    let wanted = &website.spec.service;
    let type_ = match wanted.type_ {
        ServiceType::ClusterIP => "ClusterIP",
        ServiceType::NodePort => "NodePort",
    };
    Service {
        metadata: metadata(website),
        spec: Some(ServiceSpec {
            type_: Some(type_.to_owned()),
            selector: Some(labels(website)),
            ports: Some(vec![ServicePort {
                name: Some("http".to_owned()),
                port: wanted.port,
                protocol: Some("TCP".to_owned()),
                target_port: Some(IntOrString::String("http".to_owned())),
                node_port: wanted.node_port,
                ..ServicePort::default()
            }]),
            ..ServiceSpec::default()
        }),
        ..Service::default()
    }
}

fn deployment(website: &Website) -> Deployment {
    let annotations = [(PAGES_HASH.to_owned(), pages_hash(website))];
    Deployment {
        metadata: metadata(website),
        spec: Some(DeploymentSpec {
            replicas: Some(website.spec.replicas),
            selector: LabelSelector {
                match_labels: Some(labels(website)),
                ..LabelSelector::default()
            },
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta {
                    labels: Some(labels(website)),
                    annotations: Some(annotations.into()),
                    ..ObjectMeta::default()
                }),
                spec: Some(pod(website)),
            },
            ..DeploymentSpec::default()
        }),
        ..Deployment::default()
    }
}

fn pod(website: &Website) -> PodSpec {
    let command = format!("exec httpd -f -p {PORT} -h /pages");
    PodSpec {
        automount_service_account_token: Some(false),
        // Its servers keep nothing, and the shell that starts them would not hear SIGTERM.
        termination_grace_period_seconds: Some(1),
        security_context: Some(PodSecurityContext {
            run_as_non_root: Some(true),
            run_as_user: Some(65_534),
            seccomp_profile: Some(SeccompProfile {
                type_: "RuntimeDefault".to_owned(),
                ..SeccompProfile::default()
            }),
            ..PodSecurityContext::default()
        }),
        containers: vec![Container {
            name: "httpd".to_owned(),
            image: Some(IMAGE.to_owned()),
            command: Some(["sh", "-c", &command].map(str::to_owned).into()),
            ports: Some(vec![ContainerPort {
                name: Some("http".to_owned()),
                container_port: PORT,
                protocol: Some("TCP".to_owned()),
                ..ContainerPort::default()
            }]),
            readiness_probe: Some(Probe {
                http_get: Some(HTTPGetAction {
                    path: Some("/".to_owned()),
                    port: IntOrString::String("http".to_owned()),
                    ..HTTPGetAction::default()
                }),
                period_seconds: Some(2),
                ..Probe::default()
            }),
            security_context: Some(SecurityContext {
                allow_privilege_escalation: Some(false),
                read_only_root_filesystem: Some(true),
                capabilities: Some(Capabilities {
                    drop: Some(vec!["ALL".to_owned()]),
                    ..Capabilities::default()
                }),
                ..SecurityContext::default()
            }),
            volume_mounts: Some(vec![VolumeMount {
                name: "pages".to_owned(),
                mount_path: "/pages".to_owned(),
                read_only: Some(true),
                ..VolumeMount::default()
            }]),
            ..Container::default()
        }],
        volumes: Some(vec![Volume {
            name: "pages".to_owned(),
            config_map: Some(ConfigMapVolumeSource {
                name: website.name_any(),
                ..ConfigMapVolumeSource::default()
            }),
            ..Volume::default()
        }]),
        ..PodSpec::default()
    }
}

fn pages_hash(website: &Website) -> String {
    let mut hash = Sha256::new();
    for page in &website.spec.pages {
        for text in [&page.name, &page.content] {
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text);
        }
    }
    let hash = hash.finalize();
    hash[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Where a website is, within the cluster.
pub fn url(website: &Website) -> String {
    let namespace = website.namespace().unwrap_or_default();
    let port = website.spec.service.port;
    format!("http://{}.{namespace}.svc:{port}/", website.name_any())
}

/// What is to be said of a website with such a Deployment.
pub fn status(website: &Website, deployment: &Deployment, now: Timestamp) -> WebsiteStatus {
    let wanted = website.spec.replicas;
    let seen = deployment.status.clone().unwrap_or_default();
    // What the Deployment's controller says of an older generation is not of these pages.
    let is_current = seen.observed_generation == deployment.metadata.generation;
    let ready = seen.ready_replicas.unwrap_or(0);
    let updated = match is_current {
        true => seen.updated_replicas.unwrap_or(0),
        false => 0,
    };
    let (is_available, reason) = match (wanted, ready.min(updated)) {
        (0, _) => (false, "ScaledToZero"),
        (wanted, showing) if showing >= wanted => (true, "AllServersReady"),
        _ => (false, "ServersStarting"),
    };
    let message = format!("{} of {wanted} servers show the pages", ready.min(updated));
    WebsiteStatus {
        observed_generation: website.metadata.generation,
        replicas: seen.replicas.unwrap_or(0),
        ready_replicas: ready,
        selector: selector(&labels(website)),
        url: Some(url(website)),
        conditions: vec![condition(website, is_available, reason, message, now)],
    }
}

fn selector(labels: &BTreeMap<String, String>) -> String {
    let terms: Vec<String> = labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
    terms.join(",")
}

/// The condition `Available` of a website.
pub fn condition(
    website: &Website,
    is_true: bool,
    reason: &str,
    message: String,
    now: Timestamp,
) -> Condition {
    let status = if is_true { "True" } else { "False" };
    let before = available(website).filter(|before| before.status == status);
    let since = before.map_or(Time(now), |before| before.last_transition_time.clone());
    Condition {
        type_: AVAILABLE.to_owned(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        message,
        observed_generation: website.metadata.generation,
        last_transition_time: since,
    }
}

/// The condition `Available` that a website has.
pub fn available(website: &Website) -> Option<&Condition> {
    let conditions = &website.status.as_ref()?.conditions;
    conditions.iter().find(|it| it.type_ == AVAILABLE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::v1::{Page, WebsiteSpec};
    use k8s_openapi::api::apps::v1::DeploymentStatus;

    fn website(replicas: i32, page: &str) -> Website {
        let pages = vec![Page {
            name: "index.html".to_owned(),
            content: page.to_owned(),
        }];
        let spec = WebsiteSpec {
            replicas,
            pages,
            ..WebsiteSpec::default()
        };
        let mut website = Website::new("shop", spec);
        website.metadata.namespace = Some("default".to_owned());
        website.metadata.uid = Some("1-2-3".to_owned());
        website.metadata.generation = Some(4);
        website
    }

    #[test]
    fn all_children_are_owned_and_found_by_the_selector() {
        let website = website(2, "hello");
        let children = children(&website);
        for metadata in [
            &children.config_map.metadata,
            &children.deployment.metadata,
            &children.service.metadata,
        ] {
            assert_eq!(metadata.name.as_deref(), Some("shop"));
            assert!(owns(&website, metadata));
        }
        let deployment = children.deployment.spec.expect("a spec");
        let pods = deployment.template.metadata.expect("metadata").labels;
        assert_eq!(deployment.selector.match_labels, pods);
        assert_eq!(children.service.spec.expect("a spec").selector, pods);
        assert!(!owns(&website, &ObjectMeta::default()));
        let mut other = website.clone();
        other.metadata.uid = Some("4".to_owned());
        assert!(!owns(&other, &children.config_map.metadata));
    }

    #[test]
    fn new_pages_replace_the_servers_and_a_new_number_does_not() {
        let template = |website: &Website| {
            let deployment = children(website).deployment;
            deployment.spec.expect("a spec").template
        };
        let before = template(&website(2, "hello"));
        assert_eq!(before, template(&website(3, "hello")));
        assert_ne!(before, template(&website(2, "bye")));
    }

    fn deployment(generation: i64, ready: i32, updated: i32) -> Deployment {
        Deployment {
            metadata: ObjectMeta {
                generation: Some(7),
                ..ObjectMeta::default()
            },
            status: Some(DeploymentStatus {
                observed_generation: Some(generation),
                replicas: Some(ready.max(updated)),
                ready_replicas: Some(ready),
                updated_replicas: Some(updated),
                ..DeploymentStatus::default()
            }),
            ..Deployment::default()
        }
    }

    #[test]
    fn available_is_who_has_all_servers_with_the_new_pages() {
        for (replicas, deployment, expected) in [
            (2, deployment(7, 2, 2), ("True", "AllServersReady")),
            (2, deployment(7, 1, 2), ("False", "ServersStarting")),
            // The old ones are ready, one of the new ones isn't there yet.
            (2, deployment(7, 2, 1), ("False", "ServersStarting")),
            (2, deployment(6, 2, 2), ("False", "ServersStarting")),
            (2, Deployment::default(), ("False", "ServersStarting")),
            (0, deployment(7, 0, 0), ("False", "ScaledToZero")),
        ] {
            let now = Timestamp::UNIX_EPOCH;
            let status = status(&website(replicas, "hello"), &deployment, now);
            let condition = &status.conditions[0];
            assert_eq!((&*condition.status, &*condition.reason), expected);
            assert_eq!(condition.observed_generation, Some(4));
            assert_eq!(status.url.as_deref(), Some("http://shop.default.svc:80/"));
        }
    }

    #[test]
    fn a_condition_keeps_the_time_of_its_last_change() {
        let mut website = website(2, "hello");
        let (first, later) = (Timestamp::UNIX_EPOCH, Timestamp::constant(60, 0));
        let since = |website: &Website, deployment: Deployment| {
            let status = status(website, &deployment, later);
            status.conditions[0].last_transition_time.clone()
        };
        website.status = Some(status(&website, &deployment(7, 1, 2), first));
        assert_eq!(since(&website, deployment(7, 0, 2)), Time(first));
        assert_eq!(since(&website, deployment(7, 2, 2)), Time(later));
    }
}
