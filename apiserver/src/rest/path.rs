//! What a URL path means.

/// A path below `/api` or `/apis` that names a resource.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ResourcePath {
    /// API group.
    pub group: String,
    /// API version.
    pub version: String,
    /// Namespace, or empty.
    pub namespace: String,
    /// Plural resource name.
    pub resource: String,
    /// Name, or empty.
    pub name: String,
    /// Subresource, or empty.
    pub subresource: String,
    /// What follows the subresource, for proxies; with its leading slash.
    pub rest: String,
    /// Whether the old `/watch/` form is used.
    pub watch: bool,
}

/// Reads a path. `None` if it names no resource (documents, health …).
pub fn parse(path: &str) -> Option<ResourcePath> {
    let (group, after) = match path.strip_prefix("/apis/") {
        Some(after) => after.split_once('/')?,
        None => ("", path.strip_prefix("/api/")?),
    };
    let (version, after) = after.split_once('/')?;
    let (watch, after) = match after.strip_prefix("watch/") {
        Some(after) => (true, after),
        None => (false, after),
    };
    let mut parsed = ResourcePath {
        group: group.into(),
        version: version.into(),
        watch,
        ..ResourcePath::default()
    };
    let mut rest = after;
    let mut segment = || {
        let (segment, after) = match rest.find('/') {
            Some(at) => (&rest[..at], &rest[at + 1..]),
            None => (rest, ""),
        };
        let more = rest.contains('/');
        rest = after;
        (crate::pipeline::url_decode(segment, false), more)
    };
    let (first, _) = segment();
    if first.is_empty() {
        return None;
    }
    if first == "namespaces" {
        let (namespace, _) = segment();
        let (second, _) = segment();
        // A namespace itself, or what it has beside its contents.
        if matches!(second.as_str(), "" | "status" | "finalize") {
            parsed.resource = first;
            parsed.name = namespace;
            parsed.subresource = second;
            return Some(parsed);
        }
        parsed.namespace = namespace;
        parsed.resource = second;
    } else {
        parsed.resource = first;
    }
    parsed.name = segment().0;
    let (subresource, more) = segment();
    parsed.subresource = subresource;
    if more {
        parsed.rest = format!("/{rest}");
    }
    Some(parsed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(path: &str) -> (String, String, String, String, String) {
        let p = parse(path).unwrap();
        (p.group, p.namespace, p.resource, p.name, p.subresource)
    }

    fn tuple(
        a: &str,
        b: &str,
        c: &str,
        d: &str,
        e: &str,
    ) -> (String, String, String, String, String) {
        (a.into(), b.into(), c.into(), d.into(), e.into())
    }

    #[test]
    fn reads_all_forms() {
        let all = [
            ("/api/v1/pods", tuple("", "", "pods", "", "")),
            ("/api/v1/namespaces", tuple("", "", "namespaces", "", "")),
            ("/api/v1/namespaces/a", tuple("", "", "namespaces", "a", "")),
            (
                "/api/v1/namespaces/a/finalize",
                tuple("", "", "namespaces", "a", "finalize"),
            ),
            (
                "/api/v1/namespaces/a/pods/b/log",
                tuple("", "a", "pods", "b", "log"),
            ),
            (
                "/apis/apps/v1/namespaces/a/deployments/b",
                tuple("apps", "a", "deployments", "b", ""),
            ),
            (
                "/apis/rbac.authorization.k8s.io/v1/clusterroles/system%3Anode",
                tuple(
                    "rbac.authorization.k8s.io",
                    "",
                    "clusterroles",
                    "system:node",
                    "",
                ),
            ),
        ];
        for (path, expected) in all {
            assert_eq!(parts(path), expected, "{path}");
        }
        assert!(parse("/api/v1/watch/namespaces/a/pods").unwrap().watch);
    }

    #[test]
    fn proxies_keep_the_rest() {
        let path = parse("/api/v1/nodes/n1/proxy/stats/summary").unwrap();
        assert_eq!(
            (path.subresource.as_str(), path.rest.as_str()),
            ("proxy", "/stats/summary")
        );
        assert_eq!(parse("/api/v1/nodes/n1/proxy/").unwrap().rest, "/");
        assert_eq!(parse("/api/v1/nodes/n1/proxy").unwrap().rest, "");
    }

    #[test]
    fn documents_are_no_resources() {
        for path in [
            "/api",
            "/api/v1",
            "/apis",
            "/apis/apps",
            "/apis/apps/v1",
            "/healthz",
            "/api/v1/",
        ] {
            assert_eq!(parse(path), None, "{path}");
        }
    }
}
