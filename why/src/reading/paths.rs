//! Where a list is that the engine asks for. Pure.

use crate::resources::Resource;

/// Kinds of which those of all namespaces matter even if one is asked about: everybody's pods
/// take what nodes have, and others' Services stand behind webhooks and APIs.
const EVERYWHERE: &[&str] = &["Pod", "Service"];
/// The namespace whose leases say that nodes are alive.
const NODE_LEASES: &str = "kube-node-lease";

/// The paths at which to try, in turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    paths: Vec<String>,
    everywhere: bool,
}

impl Paths {
    /// Of a resource, for problems of all namespaces or of one.
    pub fn new(resource: &Resource, namespace: Option<&str>) -> Self {
        let everywhere = EVERYWHERE.contains(&&*resource.kind);
        let scopes = match (&*resource.kind, namespace) {
            ("Lease", _) => vec![Some(NODE_LEASES)],
            (_, Some(_)) if everywhere => vec![None, namespace],
            _ => vec![namespace],
        };
        let versions = resource.versions.iter();
        let paths = versions.flat_map(|version| {
            let path = |scope: &Option<&str>| resource.path(version, *scope);
            scopes.iter().map(path).collect::<Vec<_>>()
        });
        Self {
            paths: paths.collect(),
            everywhere,
        }
    }

    /// The path to try now.
    pub fn first(&self) -> &str {
        self.paths.first().map_or("", String::as_str)
    }

    /// What is left to try when the first one was refused with an HTTP status; none if that was the last
    /// word.
    pub fn after(&self, code: u16) -> Option<Self> {
        let again = match code {
            // Another version of it may be served.
            404 => true,
            // Who may not read all may still read those of the namespace.
            403 => self.everywhere,
            _ => false,
        };
        (again && self.paths.len() > 1).then(|| Self {
            paths: self.paths[1..].to_vec(),
            everywhere: self.everywhere,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resources::resource;

    #[test]
    fn pods_are_everybodys_and_may_be_ones_own() {
        let pods = Paths::new(resource("Pod").unwrap(), Some("a"));
        assert_eq!(pods.first(), "/api/v1/pods");
        let own = pods.after(403).unwrap();
        assert_eq!(own.first(), "/api/v1/namespaces/a/pods");
        assert_eq!(own.after(403), None);
        assert_eq!(pods.after(503), None);
    }

    #[test]
    fn older_versions_are_tried_where_the_newer_is_not_served() {
        let jobs = Paths::new(resource("CronJob").unwrap(), Some("a"));
        assert_eq!(jobs.first(), "/apis/batch/v1/namespaces/a/cronjobs");
        let beta = jobs.after(404).unwrap();
        assert_eq!(beta.first(), "/apis/batch/v1beta1/namespaces/a/cronjobs");
        assert_eq!(jobs.after(403), None);
    }

    #[test]
    fn nodes_are_in_no_namespace_and_their_leases_in_one() {
        let of = |kind| Paths::new(resource(kind).unwrap(), Some("a"));
        assert_eq!(of("Node").first(), "/api/v1/nodes");
        let leases = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases";
        assert_eq!(of("Lease").first(), leases);
    }
}
