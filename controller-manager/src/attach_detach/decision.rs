//! What comes next for a volume.

use super::attachment::{is_going, is_in_use};
use super::use_of::Users;
use crate::out_of_service::{is_ready, is_tainted};
use hardway_proto::Kind;
use k8s_openapi::api::core::v1::{Node, PersistentVolume, Pod};
use k8s_openapi::api::storage::v1::VolumeAttachment;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// How long a volume that a node may use stays attached though no pod needs it.
pub const MAX_WAIT_FOR_UNMOUNT: Duration = Duration::from_secs(360);

/// What comes next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// It is to be attached to this node.
    Attach(String),
    /// It could only be attached there if it weren't attached to these.
    Blocked(String, Vec<String>),
    /// This attachment goes; if it is forced, although its node may use it.
    Detach {
        /// Its name.
        attachment: String,
        /// Whether what the node says doesn't count.
        forced: bool,
    },
    /// This attachment is not needed, but its node may use it: to be looked at again then.
    Wait(Duration),
}

/// Decides. `waited` says since when an attachment is needed by nobody; `node_of` knows nodes.
pub fn steps(
    volume: Option<&PersistentVolume>,
    users: &Users,
    attachments: &[Arc<VolumeAttachment>],
    node_of: impl Fn(&str) -> Option<Arc<Node>>,
    waited: impl Fn(&VolumeAttachment) -> Duration,
) -> Vec<Step> {
    let mut steps = Vec::new();
    let unneeded = |attachment: &&Arc<VolumeAttachment>| {
        !is_going(attachment) && !users.contains_key(&attachment.spec.node_name)
    };
    for attachment in attachments.iter().filter(unneeded) {
        let node = node_of(&attachment.spec.node_name);
        steps.push(detach(attachment, node.as_deref(), waited(attachment)));
    }
    // Where it is, or may be: what is being attached or detached may have been done.
    let places: BTreeSet<&str> = attachments.iter().map(|a| &*a.spec.node_name).collect();
    let is_exclusive = volume.is_some_and(is_exclusive);
    let mut taken: Vec<String> = places.iter().map(|&node| node.to_owned()).collect();
    for node in users.keys().filter(|node| !places.contains(&***node)) {
        if is_exclusive && !taken.is_empty() {
            steps.push(Step::Blocked(node.clone(), taken.clone()));
        } else if volume.is_some() {
            taken.push(node.clone());
            steps.push(Step::Attach(node.clone()));
        }
    }
    steps
}

fn detach(attachment: &VolumeAttachment, node: Option<&Node>, waited: Duration) -> Step {
    let detach = |forced| Step::Detach {
        attachment: attachment.name().to_owned(),
        forced,
    };
    // Of a node that is gone nobody knows.
    let may_be_used = node.is_none_or(|node| is_in_use(attachment, node));
    let is_dead = node.is_some_and(is_tainted);
    let is_away = node.is_none_or(|node| !is_ready(node));
    match may_be_used && !is_dead {
        false => detach(is_dead),
        true if waited < MAX_WAIT_FOR_UNMOUNT => Step::Wait(MAX_WAIT_FOR_UNMOUNT - waited),
        true if is_away => detach(true),
        // The node's word counts as long as it speaks; it says when it has changed.
        true => Step::Wait(MAX_WAIT_FOR_UNMOUNT),
    }
}

/// Whether only one node may have it. Of one that doesn't say nothing is known.
fn is_exclusive(volume: &PersistentVolume) -> bool {
    let modes = volume.spec.as_ref().and_then(|s| s.access_modes.as_deref());
    let shared = |mode: &String| ["ReadWriteMany", "ReadOnlyMany"].contains(&mode.as_str());
    modes.is_some_and(|modes| !modes.is_empty() && !modes.iter().any(shared))
}

/// Why a pod has to wait for a volume: the pods that have it elsewhere, in Kubernetes' words.
/// Names of another namespace are not told.
pub fn blocked(volume: &str, pod: &Pod, others: &[Arc<Pod>]) -> String {
    let why = |why: &str| format!("Multi-Attach error for volume {volume:?} {why}");
    if others.is_empty() {
        return why(
            "Volume is already exclusively attached to one node and can't be attached to another",
        );
    }
    let same = others.iter().filter(|o| o.namespace() == pod.namespace());
    let names: Vec<&str> = same.map(|other| other.name()).collect();
    let foreign = others.len() - names.len();
    if names.is_empty() {
        return why(&format!(
            "Volume is already used by {foreign} pod(s) in different namespaces"
        ));
    }
    let more = match foreign {
        0 => String::new(),
        count => format!(" and {count} pod(s) in different namespaces"),
    };
    why(&format!(
        "Volume is already used by pod(s) {}{more}",
        names.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::super::attachment;
    use super::super::testing::{attached, node, pod, volume};
    use super::*;
    use serde_json::{Value, json};

    const USED: &str = "kubernetes.io/csi/x.io^handle-v";

    fn needed_on(nodes: &[&str]) -> Users {
        let pod = |node: &&str| vec![Arc::new(pod("p", node, json!({})))];
        nodes
            .iter()
            .map(|node| ((*node).to_owned(), pod(node)))
            .collect()
    }

    /// The steps for a volume that is attached to `there`, whose nodes have this status.
    fn next(modes: Value, users: &[&str], there: &[&str], status: Value, waited: u64) -> Vec<Step> {
        let volume = volume("v", json!({ "accessModes": modes }));
        let attachments: Vec<_> = there.iter().map(|node| attached(&volume, node)).collect();
        let node_of = |name: &str| (name != "gone").then(|| Arc::new(node(name, status.clone())));
        let waited = |_: &VolumeAttachment| Duration::from_secs(waited);
        steps(
            Some(&volume),
            &needed_on(users),
            &attachments,
            node_of,
            waited,
        )
    }

    fn detach(node: &str, forced: bool) -> Step {
        let attachment = attachment::name("handle-v", "x.io", node);
        Step::Detach { attachment, forced }
    }

    #[test]
    fn a_volume_goes_where_it_is_needed_and_leaves_where_not() {
        let once = || json!(["ReadWriteOnce"]);
        let attach = |node: &str| Step::Attach(node.to_owned());
        assert_eq!(next(once(), &["a"], &[], json!({}), 0), [attach("a")]);
        assert_eq!(next(once(), &["a"], &["a"], json!({}), 0), []);
        assert_eq!(
            next(once(), &[], &["a"], json!({}), 0),
            [detach("a", false)]
        );
        let both = json!(["ReadWriteMany"]);
        assert_eq!(next(both, &["a", "b"], &["a"], json!({}), 0), [attach("b")]);
    }

    #[test]
    fn an_exclusive_volume_leaves_one_node_before_it_comes_to_another() {
        let once = json!(["ReadWriteOncePod"]);
        let blocked = Step::Blocked("b".to_owned(), vec!["a".to_owned()]);
        assert_eq!(
            next(once.clone(), &["b"], &["a"], json!({}), 0),
            [detach("a", false), blocked.clone()]
        );
        // Two that want it at once: one gets it.
        let steps = next(once, &["a", "b"], &[], json!({}), 0);
        assert_eq!(steps, [Step::Attach("a".to_owned()), blocked]);
    }

    #[test]
    fn a_node_that_uses_a_volume_keeps_it_for_a_while() {
        let once = || json!(["ReadWriteOnce"]);
        let status = |ready: &str| json!({"volumesInUse": [USED], "conditions": [{"type": "Ready", "status": ready}]});
        let wait = |seconds| [Step::Wait(Duration::from_secs(seconds))];
        assert_eq!(next(once(), &[], &["a"], status("True"), 10), wait(350));
        assert_eq!(next(once(), &[], &["a"], status("Unknown"), 10), wait(350));
        assert_eq!(next(once(), &[], &["a"], status("True"), 360), wait(360));
        let forced = [detach("a", true)];
        assert_eq!(next(once(), &[], &["a"], status("Unknown"), 360), forced);
        assert_eq!(next(once(), &[], &["gone"], json!({}), 10), wait(350));
        assert_eq!(
            next(once(), &[], &["gone"], json!({}), 360),
            [detach("gone", true)]
        );
    }

    #[test]
    fn a_node_out_of_service_keeps_nothing() {
        let volume = volume("v", json!({"accessModes": ["ReadWriteOnce"]}));
        let mut dead = node("a", json!({"volumesInUse": [USED]}));
        let taint = json!([{"key": "node.kubernetes.io/out-of-service", "effect": "NoExecute"}]);
        dead.spec.get_or_insert_default().taints = serde_json::from_value(taint).unwrap();
        let dead = Arc::new(dead);
        let steps = steps(
            Some(&volume),
            &Users::new(),
            &[attached(&volume, "a")],
            |_| Some(dead.clone()),
            |_| Duration::ZERO,
        );
        assert_eq!(steps, [detach("a", true)]);
    }

    #[test]
    fn who_waits_is_told_for_whom() {
        let here = pod("p", "b", json!({}));
        let other = |namespace: &str| {
            let mut pod = pod("q", "a", json!({}));
            pod.metadata.namespace = Some(namespace.to_owned());
            Arc::new(pod)
        };
        let said = |others: &[Arc<Pod>]| blocked("v", &here, others);
        assert_eq!(
            said(&[]),
            "Multi-Attach error for volume \"v\" Volume is already exclusively attached to one node and can't be attached to another"
        );
        assert!(said(&[other("n")]).ends_with("Volume is already used by pod(s) q"));
        assert!(said(&[other("x")]).ends_with("used by 1 pod(s) in different namespaces"));
        let both = said(&[other("n"), other("x")]);
        assert!(
            both.ends_with("pod(s) q and 1 pod(s) in different namespaces"),
            "{both}"
        );
    }
}
