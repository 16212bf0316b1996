//! `hardway storage migrate`: every object is written as it is, so that it is stored in today's
//! version and with today's key. `rotate-key` replaces that key.

use std::path::PathBuf;

use anstream::println;
use serde_json::{Value, json};

use crate::api::Api;
use crate::failure::{Failure, Result};
use crate::host::Layout;
use crate::host::control_plane::{administrator, here};
use crate::lab::Lab;

mod rotate_key;

const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
/// Objects listed at a time.
const PAGE: usize = 500;
/// So many failures of a resource are told: with the apiserver away, all objects fail.
const TOLD: usize = 10;

/// What can be done with what is stored.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum Action {
    /// Store every object anew: in its definition's storage version, and with the first key of
    /// the encryption configuration
    Migrate {
        /// Resources, such as secrets or knobs.example.com [default: all]
        #[arg(value_name = "RESOURCE")]
        resources: Vec<String>,
    },
    /// Replace the key that encrypts what is stored, and store everything anew with it; typed
    /// again, also on another control plane, it goes on where it was
    RotateKey(rotate_key::Options),
}

/// Does it: in a lab, or on the host of the control plane. Whether all objects moved.
pub fn run(action: &Action, lab: Option<&Lab>) -> Result<bool> {
    let api = match lab {
        Some(lab) => lab.api(),
        None => {
            let layout = Layout::new(&PathBuf::from("/"));
            let cluster = here(&layout)?;
            administrator(&layout, &cluster)
        }
    };
    match action {
        Action::Migrate { resources } => migrate_all(&api, resources),
        Action::RotateKey(options) => rotate_key::run(options, lab),
    }
}

/// Stores all objects of these resources anew, or of all. Whether all objects moved.
///
/// # Errors
/// If there is no such resource, or the apiserver can't be asked.
fn migrate_all(api: &Api, resources: &[String]) -> Result<bool> {
    let found = chosen(discover(api)?, resources)?;
    let mut all_moved = true;
    for resource in &found {
        let storage = storage_version(api, resource)?;
        let Moved { count, failures } = migrate(api, resource);
        println!("{}: {count} objects", resource.name);
        for failure in failures.iter().take(TOLD) {
            println!("  {failure}");
        }
        if failures.len() > TOLD {
            println!("  and {} more", failures.len() - TOLD);
        }
        match (failures.is_empty(), storage) {
            (false, _) => all_moved = false,
            (true, Some(storage)) => prune(api, resource, &storage)?,
            (true, None) => {}
        }
    }
    Ok(all_moved)
}

/// A resource whose objects can be listed and written.
#[derive(Debug, PartialEq)]
struct Resource {
    /// `secrets`, `knobs.example.com`.
    name: String,
    /// `/api/v1`, `/apis/example.com/v1`.
    root: String,
    plural: String,
}

/// All resources, each in the version that its group prefers.
fn discover(api: &Api) -> Result<Vec<Resource>> {
    let mut found = of_version("", "/api/v1", &document(api, "/api/v1")?);
    let groups = document(api, "/apis")?;
    for group in groups["groups"].as_array().into_iter().flatten() {
        let name = group["name"].as_str().unwrap_or_default();
        for version in group["versions"].as_array().into_iter().flatten() {
            let version = version["groupVersion"].as_str().unwrap_or_default();
            let root = format!("/apis/{version}");
            // What another server serves it stores itself, and it may be away.
            let Ok(list) = document(api, &root) else {
                continue;
            };
            for resource in of_version(name, &root, &list) {
                if !found.iter().any(|known| known.name == resource.name) {
                    found.push(resource);
                }
            }
        }
    }
    Ok(found)
}

fn document(api: &Api, path: &str) -> Result<Value> {
    api.get(path)?
        .ok_or_else(|| Failure::new(format!("GET {path}"), "404"))
}

/// The resources of a version that can be listed and patched.
fn of_version(group: &str, root: &str, list: &Value) -> Vec<Resource> {
    let resources = list["resources"].as_array().into_iter().flatten();
    let stored = resources.filter(|resource| {
        let verbs: Vec<&Value> = resource["verbs"].as_array().into_iter().flatten().collect();
        ["list", "patch"]
            .iter()
            .all(|verb| verbs.iter().any(|known| *known == verb))
    });
    let named = stored.filter_map(|resource| resource["name"].as_str());
    let named = named.filter(|name| !name.contains('/'));
    named
        .map(|plural| Resource {
            name: match group {
                "" => plural.to_owned(),
                group => format!("{plural}.{group}"),
            },
            root: root.to_owned(),
            plural: plural.to_owned(),
        })
        .collect()
}

/// Those that are named, or all.
///
/// # Errors
/// If there is none of a name.
fn chosen(found: Vec<Resource>, names: &[String]) -> Result<Vec<Resource>> {
    let is_known = |name: &&String| found.iter().any(|resource| resource.name == **name);
    if let Some(unknown) = names.iter().find(|name| !is_known(name)) {
        let why = "no such resource is stored";
        return Err(Failure::new(format!("migrate {unknown}"), why));
    }
    let mut found = found;
    found.retain(|resource| names.is_empty() || names.contains(&resource.name));
    Ok(found)
}

/// What became of the objects of a resource.
#[derive(Default)]
struct Moved {
    /// So many were written.
    count: usize,
    /// What could not be done; nothing if all are written.
    failures: Vec<String>,
}

/// Writes every object of a resource as it is. One that has gone meanwhile is none to be
/// written; what can't be listed is told like what can't be written.
fn migrate(api: &Api, resource: &Resource) -> Moved {
    let mut moved = Moved::default();
    let mut next = String::new();
    loop {
        let list = format!(
            "{}/{}?limit={PAGE}&continue={next}",
            resource.root, resource.plural
        );
        let list = match document(api, &list) {
            Ok(list) => list,
            Err(failure) => {
                moved.failures.push(failure.to_string());
                return moved;
            }
        };
        for object in list["items"].as_array().into_iter().flatten() {
            match api.patch(&path(resource, &object["metadata"]), &json!({})) {
                Ok(true) => moved.count += 1,
                Ok(false) => {}
                Err(failure) => moved.failures.push(failure.to_string()),
            }
        }
        match list["metadata"]["continue"].as_str() {
            Some(token) if !token.is_empty() => token.clone_into(&mut next),
            _ => return moved,
        }
    }
}

/// Where an object is.
fn path(resource: &Resource, metadata: &Value) -> String {
    let text = |field: &str| metadata[field].as_str().unwrap_or_default();
    let (root, plural, name) = (&resource.root, &resource.plural, text("name"));
    match text("namespace") {
        "" => format!("{root}/{plural}/{name}"),
        namespace => format!("{root}/namespaces/{namespace}/{plural}/{name}"),
    }
}

/// The version that objects of a definition are stored in; nothing if there is no definition.
fn storage_version(api: &Api, resource: &Resource) -> Result<Option<String>> {
    let definition = api.get(&format!("{DEFINITIONS}/{}", resource.name))?;
    Ok(definition.as_ref().and_then(stored_in).map(str::to_owned))
}

fn stored_in(definition: &Value) -> Option<&str> {
    let versions = definition["spec"]["versions"].as_array()?;
    let storage = versions.iter().find(|version| version["storage"] == true)?;
    storage["name"].as_str()
}

/// Takes the versions that nothing is stored in any more out of a definition's status, when
/// all its objects were written in the one that `storage` says.
fn prune(api: &Api, resource: &Resource, storage: &str) -> Result<()> {
    let path = format!("{DEFINITIONS}/{}", resource.name);
    let Some(definition) = api.get(&path)? else {
        return Ok(());
    };
    if let Some(status) = pruned(&definition, storage)
        && api.patch(&format!("{path}/status"), &status)?
    {
        println!("{}: storedVersions is [{storage}]", resource.name);
    }
    Ok(())
}

/// The patch for a definition whose objects are all in this version; nothing if its status
/// says so, or if they are stored in another by now. It holds only as long as the definition
/// is what it was.
fn pruned(definition: &Value, storage: &str) -> Option<Value> {
    let stored = json!([storage]);
    let version = &definition["metadata"]["resourceVersion"];
    let is_due =
        stored_in(definition) == Some(storage) && definition["status"]["storedVersions"] != stored;
    is_due.then(
        || json!({"metadata": {"resourceVersion": version}, "status": {"storedVersions": stored}}),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resource(name: &str, root: &str, plural: &str) -> Resource {
        Resource {
            name: name.into(),
            root: root.into(),
            plural: plural.into(),
        }
    }

    #[test]
    fn what_can_be_written_is_found_and_chosen() {
        let list = json!({"resources": [
            {"name": "knobs", "verbs": ["list", "patch", "get"]},
            {"name": "knobs/status", "verbs": ["list", "patch"]},
            {"name": "reviews", "verbs": ["create"]},
        ]});
        let found = || of_version("example.com", "/apis/example.com/v1", &list);
        let knobs = resource("knobs.example.com", "/apis/example.com/v1", "knobs");
        assert_eq!(found(), [knobs]);
        assert_eq!(chosen(found(), &[]).unwrap().len(), 1);
        assert!(chosen(found(), &["dials".to_owned()]).is_err());
        assert_eq!(
            path(&found()[0], &json!({"name": "a", "namespace": "d"})),
            "/apis/example.com/v1/namespaces/d/knobs/a"
        );
        assert_eq!(
            path(
                &resource("nodes", "/api/v1", "nodes"),
                &json!({"name": "n"})
            ),
            "/api/v1/nodes/n"
        );
    }

    #[test]
    fn only_the_storage_version_stays() {
        let mut definition = json!({"metadata": {"resourceVersion": "5"},
            "spec": {"versions": [{"name": "v1"}, {"name": "v2", "storage": true}]},
            "status": {"storedVersions": ["v1", "v2"]}});
        assert_eq!(
            pruned(&definition, "v2"),
            Some(
                json!({"metadata": {"resourceVersion": "5"}, "status": {"storedVersions": ["v2"]}})
            )
        );
        // Somebody has changed it while objects were written.
        assert_eq!(pruned(&definition, "v1"), None);
        definition["status"]["storedVersions"] = json!(["v2"]);
        assert_eq!(pruned(&definition, "v2"), None);
    }
}
