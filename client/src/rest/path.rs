//! Where things are in the REST API, and what is asked of them.

use hardway_proto::api::Target;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What RFC 3986 has written out: all but its unreserved characters.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A path, and its query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Location {
    text: String,
    has_query: bool,
}

impl Location {
    /// A path outside of any resource.
    pub(crate) fn path(path: impl Into<String>) -> Self {
        Self {
            text: path.into(),
            has_query: false,
        }
    }

    /// Down these segments from the root.
    pub(crate) fn segments(segments: &[&str]) -> Self {
        let mut this = Self::path("");
        for segment in segments {
            this.push(segment);
        }
        this
    }

    /// All versions' root of a group.
    pub(super) fn group_version(group: &str, version: &str) -> Self {
        Self::path(match group {
            "" => format!("/api/{version}"),
            group => format!("/apis/{group}/{version}"),
        })
    }

    /// The objects of a resource, in one namespace if the target names one.
    pub(super) fn collection(target: &Target) -> Self {
        let mut this = Self::group_version(&target.group, &target.version);
        if !target.namespace.is_empty() {
            this.push("namespaces");
            this.push(&target.namespace);
        }
        this.push(&target.resource);
        this
    }

    /// One object, or one of its subresources.
    pub(super) fn object(target: &Target) -> Self {
        let mut this = Self::collection(target);
        for part in [&target.name, &target.subresource] {
            if !part.is_empty() {
                this.push(part);
            }
        }
        this
    }

    fn push(&mut self, segment: &str) {
        self.text.push('/');
        self.text.extend(utf8_percent_encode(segment, ENCODED));
    }

    /// With a parameter, unless that is empty.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        if !value.is_empty() {
            self.text.push(if self.has_query { '&' } else { '?' });
            self.has_query = true;
            self.text.push_str(name);
            self.text.push('=');
            self.text.extend(utf8_percent_encode(value, ENCODED));
        }
        self
    }

    pub(super) fn as_str(&self) -> &str {
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(group: &str, resource: &str, namespace: &str, name: &str) -> Target {
        Target {
            group: group.into(),
            version: "v1".into(),
            resource: resource.into(),
            namespace: namespace.into(),
            name: name.into(),
            ..Target::default()
        }
    }

    #[test]
    fn paths_are_those_of_kubernetes() {
        let mut pod = target("", "pods", "default", "web");
        assert_eq!(
            Location::object(&pod).as_str(),
            "/api/v1/namespaces/default/pods/web"
        );
        assert_eq!(
            Location::collection(&pod).as_str(),
            "/api/v1/namespaces/default/pods"
        );
        pod.subresource = "status".into();
        assert_eq!(
            Location::object(&pod).as_str(),
            "/api/v1/namespaces/default/pods/web/status"
        );
        let namespace = target("", "namespaces", "", "default");
        assert_eq!(
            Location::object(&namespace).as_str(),
            "/api/v1/namespaces/default"
        );
        let all = target("apps", "deployments", "", "");
        assert_eq!(Location::object(&all).as_str(), "/apis/apps/v1/deployments");
        // RBAC has names with colons; nothing gets out of its segment.
        let role = target(
            "rbac.authorization.k8s.io",
            "clusterroles",
            "",
            "system:node/../x?y",
        );
        assert_eq!(
            Location::object(&role).as_str(),
            "/apis/rbac.authorization.k8s.io/v1/clusterroles/system%3Anode%2F..%2Fx%3Fy"
        );
    }

    #[test]
    fn parameters_follow_one_another() {
        let location = Location::path("/api/v1/pods")
            .with("labelSelector", "app in (a, b),!c")
            .with("fieldSelector", "")
            .with("limit", "500");
        assert_eq!(
            location.as_str(),
            "/api/v1/pods?labelSelector=app%20in%20%28a%2C%20b%29%2C%21c&limit=500"
        );
    }
}
