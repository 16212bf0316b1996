//! Which rules each kind has.

use super::kind::{Kind, PLAIN};
use super::{
    FieldErrors, KindRules, access, api_service, autoscaling, batch, config, definition, endpoints,
    event, extension, flow_control, limits, namespace, networking, node, pod, service,
    signing_request, storage, template, workloads,
};
use crate::rows::Row;
use serde_json::Value;

/// The rules of a built-in row; kinds unknown here have none of their own.
/// Objects shown in another version follow the rules of the one they are kept in.
pub fn for_row(row: &Row) -> Box<dyn KindRules> {
    let (group, _) = row.shows.unwrap_or((row.group, ""));
    let kind = find(group, row.kind);
    let frees_selector = matches!(
        (row.group, row.versions[0]),
        ("extensions", "v1beta1") | ("apps", "v1beta1")
    );
    Box::new(match row.kind {
        "Event" if row.group == "events.k8s.io" => event::STRICT_EVENT,
        "Deployment" if frees_selector => Kind {
            validate_update: |new, old| free(workloads::DEPLOYMENT, new, old),
            ..kind
        },
        "DaemonSet" if frees_selector => Kind {
            validate_update: |new, old| free(workloads::DAEMON_SET, new, old),
            ..kind
        },
        "ReplicaSet" if frees_selector => Kind {
            validate_update: |new, old| free(workloads::REPLICA_SET, new, old),
            ..kind
        },
        _ => kind,
    })
}

/// What is wrong with a change, where selectors could still be changed.
fn free(kind: Kind, new: &Value, old: &Value) -> FieldErrors {
    let mut causes = (kind.validate_update)(new, old);
    causes.retain(|cause| cause.field != "spec.selector");
    causes
}

fn find(group: &str, kind: &str) -> Kind {
    match (group, kind) {
        ("", "ConfigMap") => config::CONFIG_MAP,
        ("", "Endpoints") => endpoints::ENDPOINTS,
        ("", "Event") => event::EVENT,
        ("", "LimitRange") => limits::LIMIT_RANGE,
        ("", "Namespace") => namespace::NAMESPACE,
        ("", "Node") => node::NODE,
        ("", "PersistentVolume") => storage::VOLUME,
        ("", "PersistentVolumeClaim") => storage::CLAIM,
        ("", "Pod") => pod::POD,
        ("", "PodTemplate") => template::POD_TEMPLATE,
        ("", "ReplicationController") => workloads::REPLICATION_CONTROLLER,
        ("", "ResourceQuota") => limits::RESOURCE_QUOTA,
        ("", "Secret") => config::SECRET,
        ("", "Service") => service::SERVICE,
        ("", "ServiceAccount") => access::SERVICE_ACCOUNT,
        ("apps", "ControllerRevision") => workloads::CONTROLLER_REVISION,
        ("apps", "DaemonSet") => workloads::DAEMON_SET,
        ("apps", "Deployment") => workloads::DEPLOYMENT,
        ("apps", "ReplicaSet") => workloads::REPLICA_SET,
        ("apps", "StatefulSet") => workloads::STATEFUL_SET,
        ("autoscaling", "HorizontalPodAutoscaler") => autoscaling::AUTOSCALER,
        ("batch", "CronJob") => batch::CRON_JOB,
        ("batch", "Job") => batch::JOB,
        ("certificates.k8s.io", "CertificateSigningRequest") => signing_request::SIGNING_REQUEST,
        ("coordination.k8s.io", "Lease") => limits::LEASE,
        ("discovery.k8s.io", "EndpointSlice") => endpoints::ENDPOINT_SLICE,
        ("networking.k8s.io", "Ingress") => networking::INGRESS,
        ("networking.k8s.io", "IngressClass") => networking::INGRESS_CLASS,
        ("networking.k8s.io", "IPAddress") => networking::IP_ADDRESS,
        ("networking.k8s.io", "NetworkPolicy") => networking::NETWORK_POLICY,
        ("networking.k8s.io", "ServiceCIDR") => networking::SERVICE_CIDR,
        ("node.k8s.io", "RuntimeClass") => limits::RUNTIME_CLASS,
        ("policy", "PodDisruptionBudget") => limits::DISRUPTION_BUDGET,
        ("rbac.authorization.k8s.io", "ClusterRole") => access::CLUSTER_ROLE,
        ("rbac.authorization.k8s.io", "ClusterRoleBinding") => access::CLUSTER_ROLE_BINDING,
        ("rbac.authorization.k8s.io", "Role") => access::ROLE,
        ("rbac.authorization.k8s.io", "RoleBinding") => access::ROLE_BINDING,
        ("scheduling.k8s.io", "PriorityClass") => limits::PRIORITY_CLASS,
        ("storage.k8s.io", "CSIDriver") => storage::CSI_DRIVER,
        ("storage.k8s.io", "CSINode") => storage::CSI_NODE,
        ("storage.k8s.io", "CSIStorageCapacity") => storage::CAPACITY,
        ("storage.k8s.io", "StorageClass") => storage::STORAGE_CLASS,
        ("storage.k8s.io", "VolumeAttachment") => storage::ATTACHMENT,
        ("admissionregistration.k8s.io", kind) => admission(kind),
        ("apiregistration.k8s.io", "APIService") => api_service::API_SERVICE,
        ("apiextensions.k8s.io", "CustomResourceDefinition") => definition::DEFINITION,
        ("flowcontrol.apiserver.k8s.io", "FlowSchema") => flow_control::FLOW_SCHEMA,
        ("flowcontrol.apiserver.k8s.io", "PriorityLevelConfiguration") => {
            flow_control::PRIORITY_LEVEL
        }
        _ => PLAIN,
    }
}

fn admission(kind: &str) -> Kind {
    match kind {
        "MutatingWebhookConfiguration" => extension::MUTATING_WEBHOOKS,
        "ValidatingWebhookConfiguration" => extension::VALIDATING_WEBHOOKS,
        "MutatingAdmissionPolicy" => extension::MUTATING_POLICY,
        "MutatingAdmissionPolicyBinding" => extension::MUTATING_BINDING,
        "ValidatingAdmissionPolicy" => extension::VALIDATING_POLICY,
        "ValidatingAdmissionPolicyBinding" => extension::VALIDATING_BINDING,
        _ => PLAIN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows;
    use serde_json::json;

    #[test]
    fn rules_bear_objects_of_any_shape() {
        for row in rows::all() {
            let rules = for_row(row);
            for object in [
                json!({}),
                json!({"spec": null}),
                json!({"spec": "text", "metadata": [], "status": 1}),
                json!({"metadata": {"name": "a"}, "spec": {}, "status": {}}),
                json!({"metadata": {"name": "a"}, "spec": {"template": {"spec": {"containers": [{}, null, 1]}}}}),
            ] {
                let mut once = object.clone();
                rules.default(&mut once);
                let mut twice = once.clone();
                rules.default(&mut twice);
                assert_eq!(once, twice, "defaults of {} settle", row.kind);
                rules.validate(&once);
                rules.validate_update(&once, &object);
                rules.validate_status_update(&once, &object);
                rules.prepare_update(&mut once, &object);
                rules.prepare_status_update(&mut once, &object);
                rules.prepare_create(&mut twice);
                rules.complete_create(&mut twice);
                let values = rules.selectable_values(&once);
                assert_eq!(values.len(), rules.selectable_names().len());
            }
        }
    }

    #[test]
    fn selectors_could_once_be_changed() {
        let object = |app: &str| {
            json!({"spec": {"selector": {"matchLabels": {"app": app}}, "template": {
            "metadata": {"labels": {"app": app}}}}})
        };
        for row in rows::all().filter(|row| row.subresources.iter().any(|s| s.name == "scale")) {
            let causes = for_row(row).validate_update(&object("a"), &object("b"));
            let free = row.kind == "ReplicationController"
                || row.kind != "StatefulSet"
                    && matches!(
                        (row.group, row.versions[0]),
                        ("extensions" | "apps", "v1beta1")
                    );
            assert_eq!(causes.is_empty(), free, "{} {}", row.versions[0], row.kind);
        }
    }

    #[test]
    fn a_status_subresource_means_a_status() {
        for row in rows::all() {
            let served = row.subresources.iter().any(|s| s.name == "status");
            // A node comes with its status, so its rules treat it on their own.
            if row.kind != "Node" {
                assert_eq!(for_row(row).has_status(), served, "{}", row.kind);
            }
        }
    }
}
