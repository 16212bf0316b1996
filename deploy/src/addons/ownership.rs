//! Which objects an add-on may take for its own: those that this tool has applied.

use serde_json::Value;

use super::{Addon, objects};
use crate::api::{Api, MANAGER, text};
use crate::failure::{Failure, Result};

/// Where a person's things in a namespace are looked for, before it is deleted.
const KEPT: &[&str] = &[
    "/api/v1/{}/serviceaccounts",
    "/api/v1/{}/services",
    "/api/v1/{}/configmaps",
    "/api/v1/{}/secrets",
    "/api/v1/{}/persistentvolumeclaims",
    "/api/v1/{}/pods",
    "/apis/apps/v1/{}/deployments",
    "/apis/apps/v1/{}/statefulsets",
    "/apis/apps/v1/{}/daemonsets",
    "/apis/batch/v1/{}/jobs",
    "/apis/batch/v1/{}/cronjobs",
];

/// Whether this tool has made an object, or taken it over, by applying it.
pub fn is_ours(object: &Value) -> bool {
    let managers = object.pointer("/metadata/managedFields");
    let managers = managers.and_then(Value::as_array).into_iter().flatten();
    managers
        .filter(|entry| entry["operation"] == "Apply")
        .any(|entry| entry["manager"] == MANAGER)
}

/// Whether an object is neither this tool's, nor a controller's, nor about to be gone.
fn is_somebodys(object: &Value) -> bool {
    let metadata = &object["metadata"];
    let from_the_start = ["default", "kube-root-ca.crt"].contains(&text(&metadata["name"]));
    !from_the_start
        && !is_ours(object)
        && metadata["ownerReferences"].is_null()
        && metadata["deletionTimestamp"].is_null()
}

/// What somebody else has made in a namespace, as `serviceaccounts/admin`.
///
/// # Errors
/// In the apiserver's words.
pub fn of_others(api: &Api, namespace: &str) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for path in KEPT {
        let path = path.replace("{}", &format!("namespaces/{namespace}"));
        let list = api.get(&path)?.unwrap_or_default();
        let items = list["items"].as_array().into_iter().flatten();
        let kind = path.rsplit('/').next().unwrap_or_default();
        found.extend(
            items
                .filter(|item| is_somebodys(item))
                .map(|item| format!("{kind}/{}", text(&item["metadata"]["name"]))),
        );
    }
    Ok(found)
}

/// Refuses an add-on of whose objects some are there and somebody else's: applied over them, it
/// would be a mixture of both. A namespace may be anybody's.
///
/// # Errors
/// If there is such an object; and in the apiserver's words.
pub fn refuse_others(api: &mut Api, addon: &Addon) -> Result<()> {
    for object in objects::parse(addon)? {
        if object["kind"] == "Namespace" {
            continue;
        }
        let path = api.path(&object)?;
        if api.get(&path)?.is_some_and(|there| !is_ours(&there)) {
            let name = text(&object["metadata"]["name"]);
            let name = format!("{} {name}", text(&object["kind"]));
            return Err(Failure::new(
                format!("enable add-on {}", addon.name),
                format!("somebody else has made {name}"),
            )
            .way_out("remove what is there, by whatever it was made with, and try again"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn by(manager: &str, operation: &str) -> Value {
        let entry = json!({"manager": manager, "operation": operation});
        json!({"metadata": {"name": "admin", "managedFields": [entry]}})
    }

    #[test]
    fn ours_is_what_was_applied() {
        assert!(is_ours(&by("hardway-up", "Apply")));
        assert!(!is_ours(&by("kubectl", "Apply")));
        // Who patches an object has not made it.
        assert!(!is_ours(&by("hardway-up", "Update")));
        assert!(!is_ours(&json!({"metadata": {}})));
    }

    #[test]
    fn a_namespace_with_somebodys_things_is_known() {
        assert!(is_somebodys(&by("kubectl-create", "Update")));
        assert!(!is_somebodys(&by("hardway-up", "Apply")));
        for (field, value) in [
            ("name", json!("kube-root-ca.crt")),
            ("ownerReferences", json!([{"kind": "ReplicaSet"}])),
            ("deletionTimestamp", json!("2026-01-01T00:00:00Z")),
        ] {
            let mut object = by("kubectl-create", "Update");
            object["metadata"][field] = value;
            assert!(!is_somebodys(&object), "{field}");
        }
    }
}
