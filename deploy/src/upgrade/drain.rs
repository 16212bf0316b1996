//! Which pods go elsewhere before a node is upgraded: `kubectl drain`'s rules.

use serde_json::Value;

use crate::api::text;

/// What whoever upgrades agrees to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Allowed {
    /// Pods that nobody makes again are deleted.
    pub without_controller: bool,
    /// What pods have in volumes of type emptyDir is deleted.
    pub local_data: bool,
}

/// What becomes of a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It stays where it is.
    Stays,
    /// It is evicted.
    Goes,
    /// It would be lost, or what it has: somebody must agree.
    Refused(String),
}

/// The pods of a node, sorted.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Pods {
    /// Namespace and name of those to evict.
    pub evicted: Vec<(String, String)>,
    /// Why some may not be.
    pub refused: Vec<String>,
}

/// Sorts the pods of a node.
pub fn sort(pods: &[Value], allowed: Allowed) -> Pods {
    let mut sorted = Pods::default();
    for pod in pods {
        let metadata = &pod["metadata"];
        let namespace = text(&metadata["namespace"]);
        let name = text(&metadata["name"]);
        match fate(pod, allowed) {
            Fate::Stays => {}
            Fate::Goes => sorted.evicted.push((namespace.to_owned(), name.to_owned())),
            Fate::Refused(why) => sorted.refused.push(format!("{namespace}/{name} {why}")),
        }
    }
    sorted
}

fn fate(pod: &Value, allowed: Allowed) -> Fate {
    let annotations = &pod["metadata"]["annotations"];
    // The kubelet's own show up again at once.
    if annotations.get("kubernetes.io/config.mirror").is_some() {
        return Fate::Stays;
    }
    if ["Succeeded", "Failed"].contains(&text(&pod["status"]["phase"])) {
        return Fate::Goes;
    }
    let owners = pod["metadata"]["ownerReferences"].as_array();
    let controller = owners
        .into_iter()
        .flatten()
        .find(|it| it["controller"] == true);
    match controller.map(|owner| text(&owner["kind"])) {
        // Its controller ignores that no pods are to come.
        Some("DaemonSet") => return Fate::Stays,
        None if !allowed.without_controller => {
            return Fate::Refused(
                "has no controller that makes it again (agree with --force)".to_owned(),
            );
        }
        _ => {}
    }
    let volumes = pod["spec"]["volumes"].as_array();
    let has_data = volumes
        .into_iter()
        .flatten()
        .any(|it| it.get("emptyDir").is_some());
    if has_data && !allowed.local_data {
        return Fate::Refused(
            "has a volume of type emptyDir, which goes with it (agree with --delete-emptydir-data)"
                .to_owned(),
        );
    }
    Fate::Goes
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(owner: &str, more: Value) -> Value {
        let mut pod = json!({
            "metadata": {"namespace": "default", "name": "p"},
            "spec": {"volumes": [{"configMap": {"name": "c"}}]},
            "status": {"phase": "Running"},
        });
        if !owner.is_empty() {
            pod["metadata"]["ownerReferences"] = json!([{"kind": owner, "controller": true}]);
        }
        for (key, value) in more.as_object().into_iter().flatten() {
            pod[key] = value.clone();
        }
        pod
    }

    /// The rules are those that `kubectl drain --help` tells.
    #[test]
    fn nothing_is_lost_that_nobody_gave_up() {
        let empty_dir = json!({"spec": {"volumes": [{"emptyDir": {}}]}});
        let done = json!({"status": {"phase": "Succeeded"}});
        let mirror = json!({"metadata": {"annotations": {"kubernetes.io/config.mirror": "x"}}});
        let all = Allowed {
            without_controller: true,
            local_data: true,
        };
        for (pod, strict, lax) in [
            (pod("ReplicaSet", json!({})), "goes", "goes"),
            (pod("DaemonSet", empty_dir.clone()), "stays", "stays"),
            (pod("", mirror), "stays", "stays"),
            (pod("", json!({})), "--force", "goes"),
            (
                pod("Job", empty_dir.clone()),
                "--delete-emptydir-data",
                "goes",
            ),
            (pod("", done), "goes", "goes"),
        ] {
            for (allowed, expected) in [(Allowed::default(), strict), (all, lax)] {
                match fate(&pod, allowed) {
                    Fate::Stays => assert_eq!(expected, "stays", "{pod}"),
                    Fate::Goes => assert_eq!(expected, "goes", "{pod}"),
                    Fate::Refused(why) => assert!(why.contains(expected), "{pod}: {why}"),
                }
            }
        }
        let sorted = sort(
            &[pod("ReplicaSet", json!({})), pod("", json!({}))],
            Allowed::default(),
        );
        assert_eq!(sorted.evicted, [("default".to_owned(), "p".to_owned())]);
        assert!(sorted.refused[0].starts_with("default/p has no controller"));
    }
}
