//! What an apiserver serves, off its discovery documents.

use bytes::Bytes;
use hardway_proto::Status;
use hardway_proto::api::ResourceInfo;
use serde::Deserialize;

/// The core group's versions (`/api`).
#[derive(Deserialize, Default)]
pub(super) struct CoreVersions {
    #[serde(default)]
    versions: Vec<String>,
}

/// All other groups (`/apis`).
#[derive(Deserialize, Default)]
pub(super) struct Groups {
    #[serde(default)]
    groups: Vec<Group>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Group {
    name: String,
    versions: Vec<GroupVersion>,
    preferred_version: Option<GroupVersion>,
}

#[derive(Deserialize)]
struct GroupVersion {
    version: String,
}

/// The resources of one version of a group.
#[derive(Deserialize, Default)]
pub(super) struct Resources {
    #[serde(default)]
    resources: Vec<Resource>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Resource {
    name: String,
    kind: String,
    namespaced: bool,
    #[serde(default)]
    verbs: Vec<String>,
    /// The same for two resources that show the same objects.
    #[serde(default)]
    storage_version_hash: String,
}

/// Reads a document.
pub(super) fn read<T: for<'de> Deserialize<'de>>(what: &str, body: &Bytes) -> Result<T, Status> {
    serde_json::from_slice(body)
        .map_err(|error| Status::internal(format!("{what} can't be read: {error}")))
}

/// Groups and versions to ask for, those that are preferred first.
pub(super) fn versions(core: CoreVersions, groups: Groups) -> Vec<(String, String)> {
    let core = core.versions.into_iter().map(|v| (String::new(), v));
    let others = groups.groups.into_iter().flat_map(|group| {
        let preferred = group.preferred_version.map(|v| v.version);
        let (first, rest): (Vec<_>, Vec<_>) = group
            .versions
            .into_iter()
            .map(|v| v.version)
            .partition(|v| Some(v) == preferred.as_ref());
        let name = group.name;
        let all = first.into_iter().chain(rest);
        all.map(move |version| (name.clone(), version))
            .collect::<Vec<_>>()
    });
    core.chain(others).collect()
}

/// Every resource once, in the first version that has it. What shows the same objects
/// in another group is that group's name beside it.
pub(super) fn resources(lists: Vec<((String, String), Resources)>) -> Vec<ResourceInfo> {
    let mut all: Vec<(String, ResourceInfo)> = Vec::new();
    for ((group, version), list) in lists {
        for resource in list.resources {
            let Resource {
                name,
                kind,
                namespaced,
                verbs,
                storage_version_hash: hash,
            } = resource;
            let is_known = |(_, info): &(String, ResourceInfo)| {
                info.resource == name && (info.group == group || info.also_in.contains(&group))
            };
            if name.contains('/') || all.iter().any(is_known) {
                continue;
            }
            let same = all
                .iter_mut()
                .find(|(other, info)| !hash.is_empty() && *other == hash && info.resource == name);
            match same {
                Some((_, info)) => info.also_in.push(group.clone()),
                None => {
                    let info = ResourceInfo {
                        group: group.clone(),
                        version: version.clone(),
                        resource: name,
                        kind,
                        namespaced,
                        verbs,
                        also_in: Vec::new(),
                        aggregated: false,
                    };
                    all.push((hash, info));
                }
            }
        }
    }
    all.into_iter().map(|(_, info)| info).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn document<T: for<'de> Deserialize<'de>>(value: serde_json::Value) -> T {
        read("it", &Bytes::from(value.to_string())).unwrap()
    }

    #[test]
    fn preferred_versions_come_first() {
        let core = document(json!({"kind": "APIVersions", "versions": ["v1"]}));
        let groups = document(json!({"kind": "APIGroupList", "groups": [{
            "name": "autoscaling",
            "versions": [
                {"groupVersion": "autoscaling/v2beta2", "version": "v2beta2"},
                {"groupVersion": "autoscaling/v1", "version": "v1"},
            ],
            "preferredVersion": {"groupVersion": "autoscaling/v1", "version": "v1"},
        }]}));
        let versions = versions(core, groups);
        let texts: Vec<_> = versions.iter().map(|(g, v)| format!("{g}/{v}")).collect();
        assert_eq!(texts, ["/v1", "autoscaling/v1", "autoscaling/v2beta2"]);
    }

    #[test]
    fn each_object_is_met_once() {
        let list = |names: &[(&str, &str)]| {
            let resource = |(name, hash): &(&str, &str)| {
                json!({"name": name, "singularName": "", "namespaced": true, "kind": "K",
                    "verbs": ["list"], "storageVersionHash": hash})
            };
            let resources: Vec<_> = names.iter().map(resource).collect();
            document::<Resources>(json!({"kind": "APIResourceList", "resources": resources}))
        };
        let at = |group: &str, version: &str| (group.to_owned(), version.to_owned());
        let infos = resources(vec![
            (
                at("", "v1"),
                list(&[("events", "h"), ("pods", "p"), ("pods/log", "")]),
            ),
            (at("events.k8s.io", "v1"), list(&[("events", "h")])),
            (at("events.k8s.io", "v1beta1"), list(&[("events", "h")])),
            (at("metrics.k8s.io", "v1"), list(&[("pods", "")])),
            (at("batch", "v1"), list(&[("jobs", "j")])),
            (
                at("batch", "v1beta1"),
                list(&[("jobs", "j"), ("cronjobs", "c")]),
            ),
        ]);
        let texts: Vec<_> = infos
            .iter()
            .map(|i| format!("{}/{}/{} {:?}", i.group, i.version, i.resource, i.also_in))
            .collect();
        assert_eq!(
            texts,
            [
                "/v1/events [\"events.k8s.io\"]",
                "/v1/pods []",
                "metrics.k8s.io/v1/pods []",
                "batch/v1/jobs []",
                "batch/v1beta1/cronjobs []",
            ]
        );
    }
}
