//! Taking an add-on out of a cluster: every object that was made for it, and no other.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::{Addon, availability, objects, ownership};
use crate::api::{Api, text};
use crate::failure::{Failure, Result};
use crate::watch;

/// How long the objects may take to be gone, and the pods to have ended.
const PATIENCE: Duration = Duration::from_secs(60);

/// What became of an add-on's objects.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Removed {
    /// How many were deleted.
    pub deleted: usize,
    /// Those that were left, and why.
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
        if !ownership::is_ours(&there) {
            removed
                .left
                .push(format!("{name}: somebody else has made it"));
        } else if let Some(things) = inside(api, object)? {
            removed
                .left
                .push(format!("{name}: somebody else has things in it, {things}"));
        } else if api.delete(&path)? {
            removed.deleted += 1;
            waiting.push((name, path));
        }
    }
    let deadline = Instant::now() + PATIENCE;
    for (name, path) in waiting {
        let list = watch::of_object(&path);
        let gone = watch::until(api, &list, deadline, |there| there.is_empty().then_some(()))?;
        expect(&name, gone.is_some())?;
    }
    for workload in addon.workloads()? {
        let name = format!("the pods of {}", text(&workload["metadata"]["name"]));
        expect(&name, availability::wait_for_end(api, &workload, deadline)?)?;
    }
    Ok(removed)
}

/// What others have made in a namespace; nothing if the object is none.
fn inside(api: &Api, object: &Value) -> Result<Option<String>> {
    if object["kind"] != "Namespace" {
        return Ok(None);
    }
    let things = ownership::of_others(api, text(&object["metadata"]["name"]))?;
    Ok((!things.is_empty()).then(|| things.join(", ")))
}

fn expect(name: &str, is_gone: bool) -> Result<()> {
    match is_gone {
        true => Ok(()),
        false => Err(Failure::new(
            format!("remove {name}"),
            "still there after a minute",
        )
        .way_out("see why:  kubectl get --all-namespaces pods; what has finalizers waits for whoever set them")),
    }
}
