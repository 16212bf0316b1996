//! Carries out what was decided.

use super::attachment::{self, is_attached, is_in_use, is_told};
use super::decision::{self, Step};
use super::report;
use super::use_of::{self, Users};
use crate::context::Context;
use crate::informers::{BY_CLAIM, Informers, NODE_OF_ATTACHMENT, VOLUME_OF_ATTACHMENT};
use hardway_client::api::{DeleteParams, Patch};
use hardway_client::controller::Next;
use hardway_client::events::{EventType, Recorder, reference};
use hardway_client::queue::WorkQueue;
use hardway_client::{Client, Store};
use hardway_proto::claims::claim_ref;
use hardway_proto::meta::ObjectKey;
use hardway_proto::{Kind, Status};
use k8s_openapi::api::core::v1::{Node, PersistentVolume, PersistentVolumeClaim, Pod};
use k8s_openapi::api::storage::v1::{CSIDriver, VolumeAttachment};
use parking_lot::Mutex;
use serde_json::json;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How long an external-attacher may say nothing before pods are told.
const ATTACH_TIMEOUT: Duration = Duration::from_secs(120);

/// When to look again for another volume's attachment that is in the way. Nothing tells of its
/// end.
const IN_THE_WAY: Duration = Duration::from_secs(5);

/// What to look at.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Task {
    /// A volume, by its name.
    Volume(String),
    /// What a node is told.
    Node(String),
}

/// What is known of attachments beside what they say; a restart may forget all of it.
#[derive(Default)]
pub struct Memory {
    /// Since when attachments are needed by nobody, by their UID.
    unneeded: HashMap<String, Instant>,
    /// Those that are about to be deleted, by their UID: their nodes are not told of them.
    leaving: HashSet<String>,
    /// Those whose outcome pods wait for, and what pods were told of it last, by their name.
    awaited: HashMap<String, Awaited>,
    /// Volumes and nodes of which pods were told that another node has the volume.
    blocked: HashSet<(String, String)>,
}

struct Awaited {
    since: Instant,
    told: Option<String>,
}

/// What the controller works with.
pub struct Controller {
    client: Client,
    recorder: Recorder,
    queue: WorkQueue<Task>,
    pods: Store<Pod>,
    nodes: Store<Node>,
    claims: Store<PersistentVolumeClaim>,
    volumes: Store<PersistentVolume>,
    drivers: Store<CSIDriver>,
    attachments: Store<VolumeAttachment>,
    memory: Arc<Mutex<Memory>>,
    /// What nodes are told is written by one at a time: an older word must not be the last.
    reporting: tokio::sync::Mutex<()>,
}

impl Controller {
    /// On these informers.
    pub fn new(informers: &Informers, context: &Context, queue: WorkQueue<Task>) -> Self {
        Self {
            client: context.client.clone(),
            recorder: context.recorder("attachdetach-controller"),
            queue,
            pods: informers.pods.store(),
            nodes: informers.nodes.store(),
            claims: informers.claims.store(),
            volumes: informers.volumes.store(),
            drivers: informers.csi_drivers.store(),
            attachments: informers.attachments.store(),
            memory: Arc::default(),
            reporting: tokio::sync::Mutex::default(),
        }
    }

    /// What it remembers.
    pub fn memory(&self) -> Arc<Mutex<Memory>> {
        self.memory.clone()
    }

    /// Waits until all is known: what is not in a cache yet would be taken for unneeded.
    pub async fn wait_synced(&self) {
        self.pods.wait_synced().await;
        self.nodes.wait_synced().await;
        self.claims.wait_synced().await;
        self.volumes.wait_synced().await;
        self.drivers.wait_synced().await;
        self.attachments.wait_synced().await;
    }

    /// Brings a volume or a node a step on.
    pub async fn reconcile(&self, task: Task) -> Result<Next, Status> {
        match task {
            Task::Volume(name) => self.volume(&name).await,
            Task::Node(name) => {
                self.report(&name).await?;
                Ok(Next::Done)
            }
        }
    }

    fn node(&self, name: &str) -> Option<Arc<Node>> {
        self.nodes.get(&ObjectKey::new("", name))
    }

    fn volume_of(&self, name: &str) -> Option<Arc<PersistentVolume>> {
        self.volumes.get(&ObjectKey::new("", name))
    }

    /// Whether the driver of a volume has it attached at all.
    fn is_attachable(&self, volume: &PersistentVolume) -> bool {
        let Some(source) = attachment::source(volume) else {
            return false;
        };
        let driver = self.drivers.get(&ObjectKey::new("", &source.driver));
        driver.is_none_or(|driver| driver.spec.attach_required != Some(false))
    }

    fn users(&self, volume: &PersistentVolume) -> Users {
        let Some(of) = claim_ref(volume).filter(|_| self.is_attachable(volume)) else {
            return Users::new();
        };
        let text = |field: &Option<String>| field.clone().unwrap_or_default();
        let key = ObjectKey::new(text(&of.namespace), text(&of.name));
        let Some(claim) = self.claims.get(&key) else {
            return Users::new();
        };
        let pods = self.pods.by_index(BY_CLAIM, &key.to_string());
        use_of::users(volume, &claim, pods.into_iter(), |name| self.node(name))
    }

    async fn volume(&self, name: &str) -> Result<Next, Status> {
        let volume = self.volume_of(name);
        let users = volume.as_ref().map(|volume| self.users(volume));
        let users = users.unwrap_or_default();
        let mut attachments = self.attachments.by_index(VOLUME_OF_ATTACHMENT, name);
        attachments.retain(|attachment| attachment::is_ours(attachment));
        self.note_need(name, &users, &attachments);
        let mut again = self.tell(name, &users, &attachments);
        let steps = decision::steps(
            volume.as_deref(),
            &users,
            &attachments,
            |node| self.node(node),
            |attachment| self.waited(attachment),
        );
        for step in steps {
            match step {
                Step::Wait(time) => again = again.min(time),
                Step::Attach(node) => {
                    if let Some(volume) = &volume {
                        again = again.min(self.attach(volume, &node, &users[&node]).await?);
                    }
                }
                Step::Blocked(node, by) => self.tell_blocked(name, &node, &by, &users),
                Step::Detach { attachment, forced } => {
                    let found = attachments.iter().find(|a| a.name() == attachment);
                    if let Some(attachment) = found {
                        self.detach(attachment, forced).await?;
                    }
                }
            }
        }
        Ok(match again {
            Duration::MAX => Next::Done,
            again => Next::After(again),
        })
    }

    /// Remembers since when attachments are needed by nobody, and forgets what is over.
    fn note_need(&self, volume: &str, users: &Users, attachments: &[Arc<VolumeAttachment>]) {
        let mut memory = self.memory.lock();
        for attachment in attachments {
            if users.contains_key(&attachment.spec.node_name) {
                memory.unneeded.remove(attachment.uid());
                memory.leaving.remove(attachment.uid());
            } else if self.is_there(attachment) {
                let unneeded = memory.unneeded.entry(attachment.uid().to_owned());
                unneeded.or_insert_with(Instant::now);
            }
        }
        memory
            .blocked
            .retain(|(of, node)| of != volume || users.contains_key(node));
    }

    /// Whether it is known still. Who is told that it is gone has the memory forget it after
    /// that, so that nothing may be remembered of it from then on.
    fn is_there(&self, attachment: &VolumeAttachment) -> bool {
        let known = self.attachments.get(&ObjectKey::new("", attachment.name()));
        known.is_some_and(|known| known.uid() == attachment.uid())
    }

    fn waited(&self, attachment: &VolumeAttachment) -> Duration {
        let memory = self.memory.lock();
        let since = memory.unneeded.get(attachment.uid());
        since.map_or(Duration::ZERO, Instant::elapsed)
    }

    /// Says when to look again.
    async fn attach(
        &self,
        volume: &PersistentVolume,
        node: &str,
        pods: &[Arc<Pod>],
    ) -> Result<Duration, Status> {
        let Some(source) = attachment::source(volume) else {
            return Ok(Duration::MAX);
        };
        let new = attachment::new(volume, source, node);
        let api = self.client.all::<VolumeAttachment>();
        match api.create(&new).await {
            Ok(_) => {
                // An earlier one of its name has nothing to say of it.
                let mut memory = self.memory.lock();
                memory.awaited.remove(new.name());
                memory.await_outcome(new.name());
                Ok(Duration::MAX)
            }
            Err(status) if status.is_already_exists() => {
                let found = api.get_opt(new.name()).await?;
                // Two volumes may have the same handle, of which the name is made.
                match found.is_some_and(|found| found.spec.source == new.spec.source) {
                    // The cache doesn't show it yet.
                    true => Ok(Duration::MAX),
                    false => Ok(IN_THE_WAY),
                }
            }
            Err(status) => {
                let why = failed(volume.name(), &status.message);
                self.event(pods, EventType::Warning, "FailedAttachVolume", &why);
                Err(status)
            }
        }
    }

    /// Tells pods how attaching goes. Says when to look again.
    fn tell(&self, name: &str, users: &Users, attachments: &[Arc<VolumeAttachment>]) -> Duration {
        let mut again = Duration::MAX;
        let mut memory = self.memory.lock();
        for attachment in attachments.iter().filter(|a| self.is_there(a)) {
            let Some(pods) = users.get(&attachment.spec.node_name) else {
                memory.awaited.remove(attachment.name());
                continue;
            };
            if is_attached(attachment) {
                if memory.awaited.remove(attachment.name()).is_some() {
                    let done = format!("AttachVolume.Attach succeeded for volume {name:?} ");
                    self.event(pods, EventType::Normal, "SuccessfulAttachVolume", &done);
                }
                continue;
            }
            let awaited = memory.await_outcome(attachment.name());
            let status = attachment.status.as_ref();
            let error = status.and_then(|status| status.attach_error.as_ref());
            let mut why = error.map(|error| error.message.clone().unwrap_or_default());
            if why.is_none() && awaited.since.elapsed() >= ATTACH_TIMEOUT {
                let (driver, spec) = (&attachment.spec.attacher, &attachment.spec.source);
                let volume = spec.persistent_volume_name.as_ref();
                let handle = volume.and_then(|name| {
                    Some(
                        attachment::source(self.volume_of(name)?.as_ref())?
                            .volume_handle
                            .clone(),
                    )
                });
                why = Some(format!(
                    "timed out waiting for external-attacher of {driver} CSI driver to attach volume {}",
                    handle.unwrap_or_default()
                ));
            } else if why.is_none() {
                again = again.min(ATTACH_TIMEOUT.saturating_sub(awaited.since.elapsed()));
            }
            if why.is_some() && why != awaited.told {
                let message = failed(name, why.as_deref().unwrap_or_default());
                self.event(pods, EventType::Warning, "FailedAttachVolume", &message);
                awaited.told = why;
            }
        }
        again
    }

    fn tell_blocked(&self, volume: &str, node: &str, by: &[String], users: &Users) {
        let is_new = self
            .memory
            .lock()
            .blocked
            .insert((volume.to_owned(), node.to_owned()));
        if !is_new {
            return;
        }
        let others = by.iter().filter_map(|node| users.get(node)).flatten();
        let others: Vec<_> = others.cloned().collect();
        for pod in users.get(node).into_iter().flatten() {
            let why = decision::blocked(volume, pod, &others);
            let about = std::slice::from_ref(pod);
            self.event(about, EventType::Warning, "FailedAttachVolume", &why);
        }
    }

    /// The node is no longer told of it; if it doesn't use it all the same, it goes.
    async fn detach(&self, attachment: &VolumeAttachment, forced: bool) -> Result<(), Status> {
        let node = &attachment.spec.node_name;
        self.memory
            .lock()
            .leaving
            .insert(attachment.uid().to_owned());
        let outcome = self.leave(attachment, forced).await;
        if !matches!(outcome, Ok(true)) {
            self.memory.lock().leaving.remove(attachment.uid());
            self.queue.add(Task::Node(node.clone()));
        }
        let mut memory = self.memory.lock();
        if !self.is_there(attachment) {
            memory.leaving.remove(attachment.uid());
        }
        outcome.map(drop)
    }

    /// Says whether it goes.
    async fn leave(&self, attachment: &VolumeAttachment, forced: bool) -> Result<bool, Status> {
        let name = &attachment.spec.node_name;
        self.report(name).await?;
        if forced {
            tracing::warn!(
                attachment = attachment.name(),
                node = name,
                "detaching a volume that its node may still use"
            );
        } else if let Some(node) = self.client.all::<Node>().get_opt(name).await? {
            if is_in_use(attachment, &node) {
                // It began to use it before it was told.
                return Ok(false);
            }
            if is_told(attachment, &node) {
                // The cache was late, and the node was told nothing.
                let why = "its volumesAttached has the volume still";
                return Err(Status::conflict("", "nodes", name, why));
            }
        }
        let api = self.client.all::<VolumeAttachment>();
        let params = DeleteParams::of(attachment.uid());
        match api.delete(attachment.name(), &params).await {
            Err(status) if !status.is_not_found() && !status.is_conflict() => Err(status),
            _ => Ok(true),
        }
    }

    /// Tells a node what is attached to it.
    async fn report(&self, name: &str) -> Result<(), Status> {
        let _one = self.reporting.lock().await;
        let Some(node) = self.node(name) else {
            return Ok(());
        };
        let attachments = self.attachments.by_index(NODE_OF_ATTACHMENT, name);
        let new = {
            let memory = self.memory.lock();
            let leaves = |a: &VolumeAttachment| memory.leaving.contains(a.uid());
            report::attached(&node, &attachments, |name| self.volume_of(name), leaves)
        };
        let Some(new) = new else {
            return Ok(());
        };
        let patch = json!({"status": {"volumesAttached": new}});
        let api = self.client.all::<Node>();
        match api.patch_status(name, Patch::Strategic(&patch)).await {
            Err(status) if !status.is_not_found() => Err(status),
            _ => Ok(()),
        }
    }

    fn event(&self, pods: &[Arc<Pod>], r#type: EventType, reason: &str, message: &str) {
        for pod in pods {
            self.recorder
                .event(reference(pod.as_ref()), r#type, reason, message);
        }
    }
}

impl Memory {
    /// An attachment is gone.
    pub fn forget(&mut self, attachment: &VolumeAttachment) {
        self.unneeded.remove(attachment.uid());
        self.leaving.remove(attachment.uid());
        self.awaited.remove(attachment.name());
    }

    /// Whether nothing is remembered.
    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        let attachments = self.unneeded.len() + self.leaving.len() + self.awaited.len();
        attachments + self.blocked.len() == 0
    }

    fn await_outcome(&mut self, attachment: &str) -> &mut Awaited {
        let awaited = self.awaited.entry(attachment.to_owned());
        awaited.or_insert_with(|| Awaited {
            since: Instant::now(),
            told: None,
        })
    }
}

fn failed(volume: &str, why: &str) -> String {
    format!("AttachVolume.Attach failed for volume {volume:?} : {why}")
}
