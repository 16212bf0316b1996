//! Which version of Kubernetes an apiserver is, and which serves what.

use hardway_proto::Status;
use hardway_proto::api::Target;
use hardway_proto::status::qualified;
use serde::Deserialize;
use std::fmt;

/// What `/version` says.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Version {
    minor: String,
    git_version: String,
}

impl Version {
    /// The `20` of 1.20; zero if it says none.
    pub fn minor(&self) -> u32 {
        let digits = self.minor.trim_end_matches(|c: char| !c.is_ascii_digit());
        digits.parse().unwrap_or_default()
    }

    pub(crate) fn read(body: &[u8]) -> Result<Self, Status> {
        serde_json::from_slice(body).map_err(|error| {
            Status::internal(format!("the apiserver's version can't be read: {error}"))
        })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.git_version)
    }
}

/// The minor version of Kubernetes 1 from which on a group's version is served, of
/// those that hardway's components need and not every apiserver has. CronJobs and
/// disruption budgets became `v1` long after their groups did.
const SINCE: [(&str, &str, &str, u32); 7] = [
    ("discovery.k8s.io", "v1", "", 21),
    ("policy", "v1", "", 21),
    ("batch", "v1", "cronjobs", 21),
    ("node.k8s.io", "v1", "", 20),
    ("certificates.k8s.io", "v1", "", 19),
    ("events.k8s.io", "v1", "", 19),
    ("networking.k8s.io", "v1", "ingresses", 19),
];

fn since(target: &Target) -> Option<u32> {
    let found = SINCE.iter().find(|(group, version, resource, _)| {
        (target.group.as_str(), target.version.as_str()) == (*group, *version)
            && (resource.is_empty() || target.resource == *resource)
    });
    found.map(|(.., since)| *since)
}

/// Whether the apiserver knows no such resource, rather than no such object.
pub(super) fn is_unserved(status: &Status) -> bool {
    let details = status.details.as_ref();
    status.is_not_found() && details.is_none_or(|details| details.name.is_empty())
}

/// The refusal of what isn't served, with what would be needed.
pub(super) fn unserved(mut status: Status, target: &Target, version: Option<&Version>) -> Status {
    let what = qualified(&target.group, &target.resource);
    let of = &target.version;
    let is = version.map_or_else(String::new, |v| format!(" (Kubernetes {v})"));
    status.message = match since(target) {
        Some(since) if version.is_none_or(|v| v.minor() < since) => format!(
            "the apiserver{is} does not serve {what} in version {of}: Kubernetes 1.{since} or later is needed"
        ),
        _ => format!("the apiserver{is} does not serve {what} in version {of}"),
    };
    status
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_said() {
        let version: Version =
            serde_json::from_str(r#"{"major":"1","minor":"20+","gitVersion":"v1.20.5-dirty"}"#)
                .unwrap();
        assert_eq!(version.minor(), 20);
        let target = |group: &str, resource: &str| Target {
            group: group.into(),
            version: "v1".into(),
            resource: resource.into(),
            ..Target::default()
        };
        let say = |group, resource| {
            let status = Status::no_such_resource();
            assert!(is_unserved(&status));
            unserved(status, &target(group, resource), Some(&version)).message
        };
        assert_eq!(
            say("discovery.k8s.io", "endpointslices"),
            "the apiserver (Kubernetes v1.20.5-dirty) does not serve \
             endpointslices.discovery.k8s.io in version v1: Kubernetes 1.21 or later is needed"
        );
        assert!(say("batch", "cronjobs").ends_with("1.21 or later is needed"));
        assert!(say("batch", "jobs").ends_with("does not serve jobs.batch in version v1"));
        assert!(!is_unserved(&Status::not_found("", "pods", "a")));
    }
}
