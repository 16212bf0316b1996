//! Which resource a word means: by the table, else by what the cluster serves.

use hardway_why::{Resource, everything};
use serde_json::Value;

use crate::Failure;
use crate::connection::Cluster;

const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,\
    application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json";

/// A resource that the cluster serves, and the words for it.
struct Served {
    resource: Resource,
    singular: String,
    short: Vec<String>,
}

impl Served {
    /// Whether a word of kubectl's means it: `po`, `deployment`, `deployments.apps`.
    fn is_meant(&self, word: &str) -> bool {
        let resource = &self.resource;
        let kind = resource.kind.to_lowercase();
        let (name, group) = word.split_once('.').unwrap_or((word, ""));
        let group_fits = group.is_empty()
            || group == resource.group
            || group.ends_with(&format!(".{}", resource.group));
        let name_fits = name == resource.plural || name == self.singular || name == kind;
        let short_fits = group.is_empty() && self.short.iter().any(|it| it == name);
        group_fits && (name_fits || short_fits)
    }
}

/// The resource that a word means.
pub async fn find(cluster: &Cluster, word: &str) -> Result<Resource, Failure> {
    let word = word.to_lowercase();
    let known = everything().iter().map(|resource| Served {
        resource: resource.clone(),
        singular: String::new(),
        short: Vec::new(),
    });
    if let Some(known) = known.into_iter().find(|it| it.is_meant(&word)) {
        return Ok(known.resource);
    }
    let served = discover(cluster).await?;
    let meant = served.into_iter().find(|it| it.is_meant(&word));
    let meant = meant.map(|it| {
        // What the table has knows the ways to go on from there.
        let known = everything()
            .iter()
            .find(|known| known.to_string() == it.resource.to_string());
        known.cloned().unwrap_or(it.resource)
    });
    meant.ok_or_else(|| {
        Failure::new(
            format!("find the kind {word:?}"),
            "the cluster serves none of this name",
            "see which there are:  kubectl api-resources",
        )
    })
}

/// Everything that the cluster serves, the core group first.
async fn discover(cluster: &Cluster) -> Result<Vec<Served>, Failure> {
    let mut all = Vec::new();
    for path in ["/api", "/apis"] {
        let document = cluster.json(path, AGGREGATED).await.map_err(|refusal| {
            Failure::new(
                format!("ask {} what it serves", cluster.url()),
                refusal.why,
                "see whether it answers:  kubectl get --raw /readyz",
            )
        })?;
        match document.get("items") {
            Some(_) => all.extend(aggregated(&document)),
            // Kubernetes before 1.26 tells the groups, and each group its resources.
            None => {
                for (group, version) in groups(&document) {
                    let path = match group.as_str() {
                        "" => format!("/api/{version}"),
                        group => format!("/apis/{group}/{version}"),
                    };
                    // A group whose server is away is left out.
                    let list = cluster.json(&path, "application/json").await;
                    all.extend(list.iter().flat_map(|list| plain(&group, &version, list)));
                }
            }
        }
    }
    Ok(all)
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

fn items<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value
        .pointer(pointer)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

fn words(value: &Value) -> Vec<String> {
    let words = items(value, "/shortNames").iter();
    words
        .filter_map(|it| it.as_str().map(str::to_owned))
        .collect()
}

fn aggregated(document: &Value) -> Vec<Served> {
    let mut all = Vec::new();
    for group in items(document, "/items") {
        let name = text(group, "/metadata/name");
        let Some(version) = items(group, "/versions").first() else {
            continue;
        };
        for it in items(version, "/resources") {
            all.push(Served {
                resource: Resource::other(
                    name,
                    text(version, "/version"),
                    text(it, "/resource"),
                    text(it, "/responseKind/kind"),
                    text(it, "/scope") == "Namespaced",
                ),
                singular: text(it, "/singularResource").to_owned(),
                short: words(it),
            });
        }
    }
    all
}

fn groups(document: &Value) -> Vec<(String, String)> {
    let core = items(document, "/versions").first().and_then(Value::as_str);
    let core = core.map(|version| (String::new(), version.to_owned()));
    let groups = items(document, "/groups").iter().map(|group| {
        let version = text(group, "/preferredVersion/version");
        (text(group, "/name").to_owned(), version.to_owned())
    });
    core.into_iter().chain(groups).collect()
}

fn plain(group: &str, version: &str, list: &Value) -> Vec<Served> {
    let resources = items(list, "/resources").iter();
    let resources = resources.filter(|it| !text(it, "/name").contains('/'));
    resources
        .map(|it| Served {
            resource: Resource::other(
                group,
                version,
                text(it, "/name"),
                text(it, "/kind"),
                it.get("namespaced") == Some(&Value::Bool(true)),
            ),
            singular: text(it, "/singularName").to_owned(),
            short: words(it),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn words_mean_what_they_mean_to_kubectl() {
        let document = json!({"items": [{"metadata": {"name": "apps"}, "versions": [{"version": "v1",
            "resources": [{"resource": "deployments", "responseKind": {"kind": "Deployment"},
            "scope": "Namespaced", "singularResource": "deployment", "shortNames": ["deploy"]}]}]}]});
        let served = &aggregated(&document)[0];
        for word in [
            "deploy",
            "deployment",
            "deployments",
            "deployments.apps",
            "deployment.v1.apps",
        ] {
            assert!(served.is_meant(word), "{word}");
        }
        assert!(!served.is_meant("deployments.extensions") && !served.is_meant("pods"));
        assert_eq!(
            served.resource.path("v1", Some("a")),
            "/apis/apps/v1/namespaces/a/deployments"
        );
        let old = json!({"groups": [{"name": "apps", "preferredVersion": {"version": "v1"}}]});
        assert_eq!(groups(&old), [("apps".to_owned(), "v1".to_owned())]);
        let list = json!({"resources": [{"name": "pods", "kind": "Pod", "namespaced": true, "shortNames": ["po"]},
            {"name": "pods/log", "kind": "Pod"}]});
        let told = plain("", "v1", &list);
        assert!(told.len() == 1 && told[0].is_meant("po"));
    }
}
