//! Objects that a cluster has from the start, for nodes that join.

use serde::Deserialize;
use serde_json::{Value, json};

use super::cluster::Cluster;
use super::discovery::{self, Found};
use super::env::Variables;
use super::token;
use crate::failure::{OrFail, Result};

/// Who may do what while a node joins.
const JOINING: &str = include_str!("../../addons/joining.yml");

/// Where nodes find what all hosts of the cluster are told.
pub const CONFIG_PATH: &str = "/api/v1/namespaces/kube-system/configmaps/hardway-config";

/// What everybody may read: where the cluster is and whom to believe; and what those who
/// join and those who have joined may read: what units are told.
///
/// # Errors
/// None that a manifest which was tested can have.
pub fn objects(cluster: &Cluster, ca: &str) -> Result<Vec<Value>> {
    let found = Found {
        server: cluster.server(),
        ca: ca.to_owned(),
    };
    let variables: serde_json::Map<String, Value> = cluster
        .variables()
        .into_iter()
        .map(|(name, value)| (name, Value::from(value)))
        .collect();
    let mut objects = vec![
        config_map(
            "kube-public",
            "cluster-info",
            json!({"kubeconfig": discovery::kubeconfig(&found)}),
        ),
        config_map("kube-system", "hardway-config", Value::Object(variables)),
    ];
    for document in serde_yaml::Deserializer::from_str(JOINING) {
        objects.push(Value::deserialize(document).or_fail(|| "read joining.yml")?);
    }
    objects.extend(may_read(
        "kube-system",
        "hardway:config",
        "hardway-config",
        &[("Group", token::GROUP), ("Group", "system:nodes")],
    ));
    Ok(objects)
}

/// The variables in the ConfigMap `hardway-config`.
pub fn variables(config: &Value) -> Variables {
    let data = config["data"].as_object().into_iter().flatten();
    data.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
        .collect()
}

fn config_map(namespace: &str, name: &str, data: Value) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": namespace},
        "data": data,
    })
}

fn may_read(namespace: &str, role: &str, config_map: &str, who: &[(&str, &str)]) -> [Value; 2] {
    let metadata = json!({"name": role, "namespace": namespace});
    let api_group = "rbac.authorization.k8s.io";
    let subjects: Vec<Value> = who
        .iter()
        .map(|(kind, name)| json!({"apiGroup": api_group, "kind": kind, "name": name}))
        .collect();
    [
        json!({
            "apiVersion": format!("{api_group}/v1"),
            "kind": "Role",
            "metadata": metadata,
            "rules": [{
                "apiGroups": [""],
                "resources": ["configmaps"],
                "resourceNames": [config_map],
                "verbs": ["get"],
            }],
        }),
        json!({
            "apiVersion": format!("{api_group}/v1"),
            "kind": "RoleBinding",
            "metadata": metadata,
            "roleRef": {"apiGroup": api_group, "kind": "Role", "name": role},
            "subjects": subjects,
        }),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_are_told_what_the_control_plane_is() {
        let cluster = Cluster::at([10, 0, 0, 1].into());
        let objects = objects(&cluster, "PEM").unwrap();
        let config = objects
            .iter()
            .find(|it| it["metadata"]["name"] == "hardway-config");
        let mut told = variables(config.unwrap());
        let mut meant = cluster.variables();
        told.sort();
        meant.sort();
        assert_eq!(told, meant);
        // Strangers read one object, and it has no secret.
        let anonymous: Vec<_> = objects
            .iter()
            .filter(|it| it.to_string().contains("system:anonymous"))
            .collect();
        assert_eq!(anonymous.len(), 1);
        assert_eq!(anonymous[0]["metadata"]["namespace"], "kube-public");
        assert!(!objects[0].to_string().contains("client-key"));
        // Those who join are the group that tokens are made for.
        let bindings = objects
            .iter()
            .filter(|it| it["kind"] == "ClusterRoleBinding");
        let of_tokens = bindings.filter(|it| it["subjects"][0]["name"] == token::GROUP);
        assert_eq!(of_tokens.count(), 2);
    }
}
