//! Taking an add-on out of a cluster: every object that was made for it, and no other.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::{Addon, availability, objects};
use crate::api::{Api, MANAGER, text};
use crate::failure::{Failure, Result};

/// How long the objects may take to be gone, and the pods to have ended.
const PATIENCE: Duration = Duration::from_secs(60);

/// What became of an add-on's objects.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Removed {
    /// How many were deleted.
    pub deleted: usize,
    /// Those that were left because somebody else made them.
    pub left: Vec<String>,
}

/// Deletes the objects of an add-on, the last of its manifest first, and waits until they and
/// the add-on's pods are gone.
///
/// # Errors
/// In the apiserver's words, or if something stays.
pub fn remove(api: &mut Api, addon: &Addon) -> Result<Removed> {
    let mut removed = Removed::default();
    let mut waiting = Vec::new();
    let objects = objects::parse(addon)?;
    for object in objects.iter().rev() {
        let path = api.path(object)?;
        let Some(there) = api.get(&path)? else {
            continue;
        };
        let name = format!(
            "{} {}",
            text(&object["kind"]),
            text(&object["metadata"]["name"])
        );
        if !is_ours(&there) {
            removed.left.push(name);
        } else if api.delete(&path)? {
            removed.deleted += 1;
            waiting.push((name, path));
        }
    }
    let deadline = Instant::now() + PATIENCE;
    for (name, path) in waiting {
        wait(&name, deadline, || Ok(api.get(&path)?.is_none()))?;
    }
    for workload in addon.workloads()? {
        let name = format!("the pods of {}", text(&workload["metadata"]["name"]));
        wait(&name, deadline, || {
            Ok(availability::pods(api, &workload)? == 0)
        })?;
    }
    Ok(removed)
}

/// Whether this tool has made an object, or taken it over, by applying it.
fn is_ours(object: &Value) -> bool {
    let managers = object.pointer("/metadata/managedFields");
    let managers = managers.and_then(Value::as_array).into_iter().flatten();
    managers
        .filter(|entry| entry["operation"] == "Apply")
        .any(|entry| entry["manager"] == MANAGER)
}

fn wait(name: &str, deadline: Instant, is_gone: impl Fn() -> Result<bool>) -> Result<()> {
    while !is_gone()? {
        if Instant::now() > deadline {
            return Err(Failure::new(
                format!("remove {name}"),
                "still there after a minute",
            )
            .way_out("see why:  kubectl get --all-namespaces pods; what has finalizers waits for whoever set them"));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_others_have_made_is_left_alone() {
        let by = |manager: &str, operation: &str| {
            let entry = json!({"manager": manager, "operation": operation});
            json!({"metadata": {"managedFields": [entry]}})
        };
        assert!(is_ours(&by("hardway-up", "Apply")));
        assert!(!is_ours(&by("kubectl", "Apply")));
        // Who patches an object has not made it.
        assert!(!is_ours(&by("hardway-up", "Update")));
        assert!(!is_ours(&json!({"metadata": {}})));
    }
}
