//! Volumes that somebody attaches to the node before it can use them, and must not detach while
//! it does: the node's status says which those are (`volumesInUse`), the attach/detach controller
//! says there which are attached (`volumesAttached`), and a VolumeAttachment what its driver
//! answered.

use super::OwnNode;
use super::in_use::VolumesInUse;
use super::source::{Source, sha256};
use crate::objects::Objects;
use hardway_proto::meta::ObjectKey;
use k8s_openapi::api::core::v1::Node;
use k8s_openapi::api::storage::v1::{CSIDriver, VolumeAttachment};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// How long a pod waits at once, as in Kubernetes (`podAttachAndMountTimeout`).
const PATIENCE: Duration = Duration::from_secs(123);

/// A volume that is attached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Attached {
    /// The VolumeAttachment's name.
    pub name: String,
    /// What the driver said when it attached the volume.
    pub metadata: BTreeMap<String, String>,
}

/// Whether volumes of a driver have to be attached. One that says nothing of itself is asked.
pub(super) fn is_required(object: Option<&CSIDriver>) -> bool {
    object.is_none_or(|object| object.spec.attach_required != Some(false))
}

/// As Kubernetes names a VolumeAttachment (`getAttachmentName`).
fn name(source: &Source, node: &str) -> String {
    format!("csi-{}", sha256(&[&source.handle, &source.driver, node]))
}

/// Whether a VolumeAttachment says so; none if it is not decided yet.
fn outcome(attachment: &VolumeAttachment) -> Option<Result<BTreeMap<String, String>, String>> {
    if attachment.metadata.deletion_timestamp.is_some() {
        return Some(Err("volume attachment is being deleted".to_owned()));
    }
    let status = attachment.status.as_ref()?;
    if status.attached {
        return Some(Ok(status.attachment_metadata.clone().unwrap_or_default()));
    }
    let error = status.attach_error.as_ref()?;
    Some(Err(error.message.clone().unwrap_or_default()))
}

/// Who is about to use a volume, or does.
#[derive(Default)]
struct Claim {
    pods: BTreeSet<String>,
    /// Its name in the node's status, if somebody attaches it.
    attachable: Option<String>,
}

/// What is attached to this node; clones are the same.
#[derive(Clone)]
pub(super) struct Attachments {
    node: OwnNode,
    claims: Arc<Mutex<BTreeMap<String, Claim>>>,
    in_use: VolumesInUse,
}

impl Attachments {
    pub fn new(node: OwnNode) -> Self {
        Self {
            node,
            claims: Arc::default(),
            in_use: VolumesInUse::default(),
        }
    }

    pub fn in_use(&self) -> &VolumesInUse {
        &self.in_use
    }

    /// A pod is going to use a volume. From here on it isn't unstaged, nor detached.
    pub fn claim(&self, source: &Source, pod: &str, is_attachable: bool) {
        let mut claims = self.claims.lock();
        let claim = claims.entry(source.key()).or_default();
        claim.pods.insert(pod.to_owned());
        if is_attachable {
            let name = source.unique_name();
            claim.attachable = Some(name.clone());
            self.in_use.add(name);
        }
    }

    /// A pod uses nothing any more.
    pub fn release(&self, pod: &str) {
        self.claims.lock().retain(|_, claim| {
            claim.pods.remove(pod);
            !claim.pods.is_empty()
        });
    }

    pub fn is_claimed(&self, volume: &str) -> bool {
        self.claims.lock().contains_key(volume)
    }

    /// What is in use: what is claimed, and this, which is ready on the node.
    pub fn settle(&self, staged: BTreeSet<String>) {
        let claims = self.claims.lock();
        let mut all = staged;
        all.extend(claims.values().filter_map(|claim| claim.attachable.clone()));
        self.in_use.set(all);
    }

    /// The attachment of a volume.
    ///
    /// # Errors
    /// If it isn't attached.
    pub async fn get(&self, objects: &dyn Objects, source: &Source) -> Result<Attached, String> {
        let name = name(source, &self.node.name);
        let attachment = objects.attachment(&name).await.map_err(|e| e.to_string())?;
        match outcome(&attachment) {
            Some(outcome) => outcome.map(|metadata| Attached { name, metadata }),
            None => Err(format!("volume attachment {name} is not attached yet")),
        }
    }

    /// Waits until the node's status says that the volume is used, and then until it says that
    /// the volume is attached.
    ///
    /// # Errors
    /// What the driver complained of, that the node can't be read, or that it takes too long.
    pub async fn wait(&self, objects: &dyn Objects, source: &Source) -> Result<Attached, String> {
        let volume = source.unique_name();
        let told = async {
            self.in_use.wait_reported(&volume).await;
            self.wait_told(objects, &volume).await
        };
        match tokio::time::timeout(PATIENCE, told).await {
            Ok(told) => told?,
            Err(_) => {
                // What is known by now says more than that nothing came.
                let why = self.get(objects, source).await.err();
                return Err(why.unwrap_or_else(|| "timed out waiting for the condition".to_owned()));
            }
        }
        self.get(objects, source).await
    }

    /// Waits until the node says that a volume is attached. The watch of the node, which may
    /// be late, only says when it is worth asking.
    async fn wait_told(&self, objects: &dyn Objects, volume: &str) -> Result<(), String> {
        let key = ObjectKey::new("", &self.node.name);
        let mut changed = self.node.changed.clone();
        loop {
            changed.mark_unchanged();
            let seen = self.node.store.get(&key);
            if seen.is_some_and(|node| is_told(&node, volume)) {
                let node = objects.node().await.map_err(|e| e.to_string())?;
                if is_told(&node, volume) {
                    return Ok(());
                }
            }
            // Without a watch of the node there is nothing to wait for but the deadline.
            if changed.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}

/// Whether a node shows that a volume is attached.
fn is_told(node: &Node, volume: &str) -> bool {
    let status = node.status.as_ref();
    let attached = status.and_then(|status| status.volumes_attached.as_ref());
    let mut attached = attached.into_iter().flatten();
    attached.any(|attached| attached.name == volume)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::fake::Fake;
    use futures_util::poll;
    use serde_json::{Value, json};
    use tokio::sync::watch;

    fn source() -> Source {
        Source {
            driver: "d.io".into(),
            handle: "h".into(),
            ..Source::default()
        }
    }

    #[test]
    fn drivers_attach_unless_they_say_otherwise() {
        let driver = |required: Value| -> CSIDriver {
            serde_json::from_value(
                json!({"metadata": {"name": "d"}, "spec": {"attachRequired": required}}),
            )
            .unwrap()
        };
        assert!(is_required(None));
        assert!(is_required(Some(&driver(json!(null)))));
        assert!(!is_required(Some(&driver(json!(false)))));
    }

    #[test]
    fn an_attachment_has_succeeded_failed_or_neither() {
        let of = |status: Value| {
            let object = json!({"metadata": {"name": "a"}, "spec": {"attacher": "d", "nodeName": "n", "source": {}}, "status": status});
            outcome(&serde_json::from_value(object).unwrap())
        };
        let done = of(json!({"attached": true, "attachmentMetadata": {"disk": "sdb"}}));
        assert_eq!(done.unwrap().unwrap()["disk"], "sdb");
        let failed = of(json!({"attached": false, "attachError": {"message": "no slot"}}));
        assert_eq!(failed, Some(Err("no slot".to_owned())));
        assert_eq!(of(json!({"attached": false})), None);
    }

    #[test]
    fn a_volume_is_in_use_until_nobody_has_it() {
        let node = OwnNode {
            name: "n".into(),
            store: hardway_client::Store::default(),
            changed: watch::channel(()).1,
        };
        let attachments = Attachments::new(node);
        let in_use = attachments.in_use().wanted();
        let name = "kubernetes.io/csi/d.io^h";
        attachments.claim(&source(), "a", true);
        attachments.claim(&source(), "b", true);
        assert!(in_use.borrow().contains(name));
        attachments.release("a");
        attachments.settle(BTreeSet::new());
        assert!(in_use.borrow().contains(name), "b waits for it");
        attachments.release("b");
        attachments.settle([name.to_owned()].into());
        assert!(in_use.borrow().contains(name), "it is staged");
        attachments.settle(BTreeSet::new());
        assert!(in_use.borrow().is_empty());
    }

    /// The node as one sees it who is told of the volume, or not.
    fn node(is_attached: bool) -> Value {
        let attached = json!([{"name": "kubernetes.io/csi/d.io^h", "devicePath": ""}]);
        let attached = if is_attached { attached } else { json!([]) };
        json!({"metadata": {"name": "n"}, "status": {"volumesAttached": attached,
            "volumesInUse": ["kubernetes.io/csi/d.io^h"]}})
    }

    #[tokio::test]
    async fn a_node_that_is_older_than_its_own_word_is_not_believed() {
        let (changes, changed) = watch::channel(());
        let store = hardway_client::Store::default();
        let own = OwnNode {
            name: "n".into(),
            store: store.clone(),
            changed,
        };
        let show = |value: Value| {
            store.insert(Arc::new(serde_json::from_value(value).unwrap()));
            changes.send_replace(());
        };
        let objects = Fake::default();
        objects.put_attachment(&name(&source(), "n"), json!({"attached": true}));
        let attachments = Attachments::new(own);
        let in_use = attachments.in_use();
        // A pod had it, and it was on the node; both go by what the watch has shown until now.
        attachments.claim(&source(), "a", true);
        in_use.end_report(&in_use.begin_report());
        show(node(true));
        objects.put_node(node(true));
        attachments.release("a");
        attachments.settle(BTreeSet::new());
        // It is given up, and another pod wants it. Meanwhile it may be detached.
        let without = in_use.begin_report();
        attachments.claim(&source(), "b", true);
        let source = source();
        let mut waiting = std::pin::pin!(attachments.wait(&objects, &source));
        assert!(poll!(&mut waiting).is_pending(), "the watch is late");
        in_use.end_report(&without);
        assert!(poll!(&mut waiting).is_pending());
        objects.put_node(node(false));
        in_use.end_report(&in_use.begin_report());
        assert!(poll!(&mut waiting).is_pending(), "it was detached");
        show(node(false));
        assert!(poll!(&mut waiting).is_pending());
        objects.put_node(node(true));
        show(node(true));
        assert_eq!(waiting.await.unwrap().name, name(&source, "n"));
    }
}
