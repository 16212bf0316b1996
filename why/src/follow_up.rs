//! What else is worth a request, once the lists are read.

use serde::{Deserialize, Serialize};

use crate::causes::dns;
use crate::cluster::Cluster;
use crate::diagnosis::Subject;
use crate::explain::reach;
use crate::object::{Json, Object};
use crate::snapshot::{DnsRequest, LogRequest, Snapshot};

/// A further request; its answer is put into the snapshot.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum FollowUp {
    /// The last lines of a container's log, for [`Snapshot::put_log`].
    Log(LogRequest),
    /// The objects of a resource in a namespace that is being deleted, for [`Snapshot::put`]
    /// with [`Resource::other`](crate::Resource::other). Discovery says version and kind.
    Objects {
        /// Empty for the core group.
        group: String,
        /// The resource's name in paths.
        plural: String,
        /// The namespace.
        namespace: String,
    },
    /// What a DNS server answers, for [`Snapshot::put_dns`].
    Dns(DnsRequest),
}

/// What is worth being asked for one subject, or for all; at most 20 requests.
pub fn follow_ups(snapshot: &Snapshot, subject: Option<&Subject>) -> Vec<FollowUp> {
    const MOST: usize = 20;
    let cluster = Cluster::new(snapshot);
    let objects: Vec<Object<'_>> = match subject {
        None => cluster.objects().collect(),
        Some(subject) => match cluster.find(subject) {
            Some(object) => reach(&cluster, object),
            None => return Vec::new(),
        },
    };
    let mut wanted: Vec<FollowUp> = objects
        .iter()
        .flat_map(|object| match object.kind {
            "Pod" => logs(object),
            "Namespace" => remaining(object),
            "Service" => dns::requests(&cluster, object)
                .into_iter()
                .map(FollowUp::Dns)
                .collect(),
            _ => Vec::new(),
        })
        .collect();
    wanted.sort();
    wanted.dedup();
    wanted.truncate(MOST);
    wanted
}

/// The logs of containers that have ended badly.
fn logs(pod: &Object<'_>) -> Vec<FollowUp> {
    let lists = ["/status/initContainerStatuses", "/status/containerStatuses"];
    let containers = lists.iter().flat_map(|list| pod.value.list(list));
    containers
        .filter_map(|status| {
            let code = |pointer: &str| status.number(pointer).filter(|code| *code != 0);
            let now = code("/state/terminated/exitCode");
            let before = code("/lastState/terminated/exitCode");
            now.or(before)?;
            Some(FollowUp::Log(LogRequest {
                namespace: pod.namespace().to_owned(),
                pod: pod.name().to_owned(),
                container: status.text("/name")?.to_owned(),
                // While it waits, the log without `previous` is that of the run that ended.
                previous: now.is_none() && status.pointer("/state/running").is_some(),
            }))
        })
        .collect()
}

/// What a namespace says is left in it: `widgets.example.com has 2 resource instances`.
fn remaining(namespace: &Object<'_>) -> Vec<FollowUp> {
    let condition = namespace.condition("NamespaceContentRemaining");
    let told = condition
        .filter(|it| it.status == "True")
        .map(|it| it.message);
    remaining_resources(told.unwrap_or_default())
        .map(|(plural, group)| FollowUp::Objects {
            group: group.to_owned(),
            plural: plural.to_owned(),
            namespace: namespace.name().to_owned(),
        })
        .collect()
}

/// Plurals and groups in the message of the condition NamespaceContentRemaining, which
/// `pkg/controller/namespace/deletion/status_condition_utils.go` of Kubernetes writes as
/// `Some resources are remaining: pods. has 1 resource instances, …`.
pub(crate) fn remaining_resources(message: &str) -> impl Iterator<Item = (&str, &str)> {
    let list = message.split_once(": ").map_or("", |(_, list)| list);
    list.split(", ").filter_map(|part| {
        let (resource, _) = part.split_once(" has ")?;
        resource.split_once('.')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_remains_is_read_from_the_condition() {
        let message = "Some resources are remaining: configmaps. has 1 resource instances, \
                       widgets.example.com has 2 resource instances";
        let told: Vec<_> = remaining_resources(message).collect();
        assert_eq!(told, [("configmaps", ""), ("widgets", "example.com")]);
        assert_eq!(
            remaining_resources("All content successfully removed").count(),
            0
        );
    }
}
