//! Zero values: what Go's types write for fields that nobody set.

use super::{Node, Schema, Type};
use serde_json::{Map, Value};

/// Optional fields that Go's types write nevertheless (`k8s.io/api`, `+optional` with
/// a `json` tag without `omitempty`), as they write required ones.
const WRITTEN: [(&str, &[&str]); 20] = [
    ("v1.CSINodeDriver", &["topologyKeys"]),
    ("v1.ClusterRole", &["rules"]),
    ("v1.ContainerImage", &["names"]),
    (
        "v1.CustomResourceDefinitionStatus",
        &["acceptedNames", "conditions", "storedVersions"],
    ),
    ("v1.EndpointSlice", &["ports"]),
    // Of the core group: that of events.k8s.io has no such component.
    (
        "v1.Event",
        &[
            "reportingComponent",
            "reportingInstance",
            "source",
            "firstTimestamp",
            "lastTimestamp",
            "eventTime",
        ],
    ),
    // Structs, which are written even where their tags have `omitempty`.
    ("v1.Endpoint", &["conditions"]),
    ("v1.Lease", &["spec"]),
    ("v1.LimitRange", &["spec"]),
    ("v1.NodeStatus", &["daemonEndpoints", "nodeInfo"]),
    ("v1.NodeDaemonEndpoints", &["kubeletEndpoint"]),
    ("v1.Node", &["spec", "status"]),
    ("v1.ResourceQuota", &["spec", "status"]),
    ("v1.TypedLocalObjectReference", &["apiGroup"]),
    ("v1.TypedObjectReference", &["apiGroup"]),
    ("v1.Role", &["rules"]),
    ("v1.StatefulSetSpec", &["serviceName"]),
    ("v1.StatefulSetStatus", &["availableReplicas"]),
    ("v1.TokenRequestSpec", &["boundObjectRef"]),
    ("v2.HorizontalPodAutoscalerStatus", &["currentMetrics"]),
];

/// Fields that Go's types hold by pointer and write: unset they are null, not
/// an empty struct or string (`k8s.io/api`, `json` tags without `omitempty`).
const POINTERS: [(&str, &str); 13] = [
    ("v1.TypedLocalObjectReference", "apiGroup"),
    ("v1.TypedObjectReference", "apiGroup"),
    ("v1.DaemonSetSpec", "selector"),
    ("v1.DeploymentSpec", "selector"),
    ("v1.ReplicaSetSpec", "selector"),
    ("v1.StatefulSetSpec", "selector"),
    ("v1.HTTPIngressPath", "pathType"),
    // This one is left out when unset, but no object is let in without.
    ("v1.IPAddressSpec", "parentRef"),
    ("v1.TokenRequestSpec", "boundObjectRef"),
    ("v1.MutatingWebhook", "sideEffects"),
    ("v1.ValidatingWebhook", "sideEffects"),
    ("v1.ScaleIOVolumeSource", "secretRef"),
    ("v1.ScaleIOPersistentVolumeSource", "secretRef"),
];

impl Schema {
    /// Gives every field that Go's types always write, and that is missing or null, its
    /// zero value as Kubernetes serves it: `""`, 0, false, the struct with its
    /// own zero values; null for times, bytes, maps and lists (empty ones, too:
    /// they are none in the form that Kubernetes stores). Readers may rely on
    /// it. Of custom resources only the metadata is of such a type.
    pub fn fill_zero(&self, value: &mut Value) {
        fill(&self.arena, self.node(), value);
    }

    /// What null stands for in a list or as the value of a map.
    pub(crate) fn zero(&self) -> Value {
        zero(self.node())
    }
}

fn fill(arena: &[Node], node: &Node, value: &mut Value) {
    match value {
        Value::Object(map) => {
            if !node.name.is_empty() {
                for name in &node.required {
                    require(arena, node, name, map);
                }
                let written = WRITTEN.iter().find(|(of, _)| *of == node.name);
                for name in written.map_or(&[][..], |(_, names)| names) {
                    require(arena, node, name, map);
                }
            }
            for (name, value) in map {
                let id = node.fields.get(name).copied().or(node.additional);
                if let Some(id) = id {
                    fill(arena, &arena[id], value);
                }
            }
        }
        Value::Array(list) => {
            if let Some(items) = node.items.map(|id| &arena[id]) {
                list.iter_mut().for_each(|value| fill(arena, items, value));
            }
        }
        _ => {}
    }
}

fn require(arena: &[Node], node: &Node, name: &str, map: &mut Map<String, Value>) {
    let Some(field) = node.fields.get(name).map(|id| &arena[*id]) else {
        return;
    };
    let unset = |value: &Value| match value {
        Value::Null => true,
        Value::Array(list) => list.is_empty(),
        _ => false,
    };
    if map.get(name).is_none_or(unset) {
        let pointer = POINTERS.contains(&(node.name.as_str(), name));
        let nil = pointer || is_nil(field);
        let value = if nil { Value::Null } else { zero(field) };
        map.insert(name.to_owned(), value);
    }
}

/// Whether the zero value of a required field is written as null.
fn is_nil(node: &Node) -> bool {
    match node.ty {
        Type::Array | Type::Any => true,
        Type::Object => node.additional.is_some(),
        Type::String => node.format == "byte",
        _ => false,
    }
}

fn zero(node: &Node) -> Value {
    match node.ty {
        Type::Any => Value::Null,
        Type::Object => Map::new().into(),
        Type::Array => Vec::<Value>::new().into(),
        Type::Boolean => false.into(),
        Type::Number | Type::Integer => 0.into(),
        Type::IntOrString if node.format == "quantity" => "0".into(),
        Type::IntOrString => 0.into(),
        Type::String if node.format.ends_with("-time") => Value::Null,
        Type::String => "".into(),
    }
}

#[cfg(test)]
mod tests {
    use crate::schema::{builtin, custom};
    use serde_json::{Value, json};

    fn filled(group: &str, kind: &str, mut object: Value) -> Value {
        let schema = builtin::kind(group, "v1", kind).expect("built in");
        schema.fill_zero(&mut object);
        object
    }

    /// As kube-apiserver 1.33 serves them.
    #[test]
    fn required_fields_are_there() {
        assert_eq!(
            filled(
                "",
                "Service",
                json!({"status": {"conditions": [{"type": "T", "status": "True"}]}})
            ),
            json!({"status": {"conditions": [{"type": "T", "status": "True",
                "lastTransitionTime": null, "message": "", "reason": ""}]}})
        );
        assert_eq!(
            filled(
                "",
                "Pod",
                json!({"spec": {"containers": [{"livenessProbe": {"httpGet": {}}, "env": [{}]}]}})
            ),
            json!({"spec": {"containers": [{"name": "",
                "livenessProbe": {"httpGet": {"port": 0}}, "env": [{"name": ""}]}]}})
        );
        assert_eq!(
            filled(
                "discovery.k8s.io",
                "EndpointSlice",
                json!({"endpoints": []})
            ),
            json!({"addressType": "", "endpoints": null, "ports": null})
        );
        assert_eq!(
            filled(
                "certificates.k8s.io",
                "CertificateSigningRequest",
                json!({})
            ),
            json!({"spec": {"request": null, "signerName": ""}})
        );
    }

    #[test]
    fn pointers_are_null_and_structs_are_not() {
        assert_eq!(
            filled("apps", "StatefulSet", json!({"spec": {"template": null}}))["spec"],
            json!({"selector": null, "serviceName": "", "template": {}})
        );
        assert_eq!(
            filled("rbac.authorization.k8s.io", "RoleBinding", json!({}))["roleRef"],
            json!({"apiGroup": "", "kind": "", "name": ""})
        );
    }

    #[test]
    fn optional_fields_are_written_where_go_writes_them() {
        let rbac = "rbac.authorization.k8s.io";
        assert_eq!(filled(rbac, "Role", json!({})), json!({"rules": null}));
        let empty = json!({"rules": []});
        assert_eq!(filled(rbac, "ClusterRole", empty), json!({"rules": null}));
        let rules = json!({"rules": [{"verbs": ["get"]}]});
        assert_eq!(filled(rbac, "Role", rules.clone()), rules);
        assert_eq!(
            filled("apps", "StatefulSet", json!({"status": {}}))["status"],
            json!({"replicas": 0, "availableReplicas": 0})
        );
        let image = json!({"status": {"images": [{"sizeBytes": 1}]}});
        assert_eq!(
            filled("", "Node", image)["status"]["images"],
            json!([{"names": null, "sizeBytes": 1}])
        );
        let crd = filled(
            "apiextensions.k8s.io",
            "CustomResourceDefinition",
            json!({"status": {}}),
        );
        assert_eq!(
            crd["status"],
            json!({"conditions": null, "storedVersions": null,
                "acceptedNames": {"kind": "", "plural": ""}})
        );
        let event = filled("", "Event", json!({}));
        assert_eq!(event["reportingComponent"], "");
        let other = filled("events.k8s.io", "Event", json!({"eventTime": null}));
        assert_eq!(other.get("reportingController"), None);
    }

    /// A name that no type has would be written nowhere, without a word.
    #[test]
    fn what_is_written_is_there() {
        // Every built-in type is there.
        let arena = builtin::object_meta().arena;
        let fields = |node: &super::Node| {
            let fields = node.fields.keys();
            let of = |field: &str| (node.name.clone(), field.to_owned());
            fields.map(of).collect::<Vec<_>>()
        };
        let types: std::collections::BTreeSet<_> = arena.iter().flat_map(fields).collect();
        let written = super::WRITTEN;
        let pairs = written
            .iter()
            .flat_map(|(of, names)| names.iter().map(move |name| (*of, *name)));
        for (of, name) in pairs.chain(super::POINTERS) {
            let known = types.contains(&(of.to_owned(), name.to_owned()));
            assert!(known, "{of} has no {name}");
        }
    }

    #[test]
    fn what_is_set_stays() {
        let object = json!({"metadata": {"name": "a", "ownerReferences": [
            {"apiVersion": "v1", "kind": "K", "name": "n", "uid": "u"}]},
            "data": {"a": ""}});
        assert_eq!(filled("", "ConfigMap", object.clone()), object);
    }

    #[test]
    fn of_custom_resources_the_metadata_is_filled() {
        let schema = custom::from_open_api(Some(&json!({"type": "object", "properties": {
            "spec": {"type": "object", "required": ["size"],
                "properties": {"size": {"type": "integer"}}}}})));
        let mut object = json!({"metadata": {"ownerReferences": [{}]}, "spec": {}});
        schema.fill_zero(&mut object);
        assert_eq!(
            object,
            json!({"metadata": {"ownerReferences": [
                {"apiVersion": "", "kind": "", "name": "", "uid": ""}]}, "spec": {}})
        );
    }
}
