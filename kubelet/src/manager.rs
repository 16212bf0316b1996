//! Which pods there are on this node, and who works on them: hands changes of
//! the API, of static pods, of containers and of probes to the pods' workers.

use crate::admission::{self, Rejection};
use crate::allocation::resize::{self, Pending};
use crate::allocation::waiting::{self, Waiting};
use crate::context::Context;
use crate::pleg::{Identity, PodLifecycleEvent};
use crate::probes;
use crate::worker::Worker;
use crate::worker::mailbox::{Mail, Mailbox};
use crate::{apparmor, features, pod, shutdown, status};
use hardway_client::Store;
use hardway_client::informer::Change;
use hardway_client::metrics::{IntCounter, register_int_counter};
use hardway_client::{panics, queue, task, trace};
use hardway_proto::Kind;
use hardway_proto::meta::ObjectKey;
use k8s_openapi::api::core::v1::{Node, Pod, PodSpec};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tracing::Instrument;

/// Pauses before a pod is taken up again whose worker panicked.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

static WORKER_PANICS: LazyLock<IntCounter> = LazyLock::new(|| {
    register_int_counter!(
        "kubelet_pod_worker_panics_total",
        "Workers of pods that panicked and began anew."
    )
    .expect("the name is registered once")
});

/// What the manager hears of.
#[derive(Debug)]
pub enum Event {
    /// A pod bound to this node changed.
    Pod(Change<Pod>),
    /// All that the API has for this node is known now.
    Synced,
    /// A static pod is there, or changed.
    Static(Arc<Pod>),
    /// A static pod's file is gone; its UID.
    StaticGone(String),
    /// Something happened to containers.
    Runtime(PodLifecycleEvent),
    /// A probe found something.
    Probe(probes::Update),
    /// Something that a pod refers to changed; its UID.
    Reference(String),
    /// A worker is done with a pod; its UID.
    Finished(String),
    /// A driver of volumes has registered.
    DriverCame,
    /// This node's object is there, or changed: there may be room for what pods ask for.
    Node,
    /// It is time to look for what pods that are gone have left.
    Sweep,
}

/// The pods of this node, as others may look at them.
#[derive(Clone, Default)]
pub struct Pods(Arc<Mutex<BTreeMap<String, Arc<Mailbox>>>>);

impl Pods {
    fn mailbox(&self, uid: &str) -> Option<Arc<Mailbox>> {
        self.0.lock().get(uid).cloned()
    }

    /// Whether a pod of this UID is worked on.
    pub fn has(&self, uid: &str) -> bool {
        self.0.lock().contains_key(uid)
    }

    /// All pods that are wanted here, with the status last computed.
    pub fn list(&self, context: &Context) -> Vec<Pod> {
        let mails: Vec<Mail> = self.0.lock().values().map(|m| m.mail()).collect();
        mails
            .into_iter()
            .filter(|mail| !mail.removed)
            .map(|mail| current(mail, context))
            .collect()
    }

    /// A pod by name, and by UID too if that is given. Static pods answer to
    /// their mirror's UID as well.
    pub fn find(&self, namespace: &str, name: &str, uid: Option<&str>) -> Option<Arc<Pod>> {
        let boxes = self.0.lock();
        let mut mails = boxes.values().map(|m| m.mail());
        let found = mails.find(|mail| {
            let by_uid = uid.is_none_or(|uid| {
                mail.pod.uid() == uid || mail.mirror.as_ref().is_some_and(|m| m.uid() == uid)
            });
            !mail.removed && mail.pod.name() == name && mail.pod.namespace() == namespace && by_uid
        });
        found.map(|mail| mail.pod)
    }

    /// Has a pod end within so many seconds, for a reason of the node's. The
    /// future is ready when nothing of it is left running; none if there is no
    /// such pod.
    pub fn terminate(
        &self,
        uid: &str,
        seconds: i64,
        verdict: status::Verdict,
    ) -> Option<impl Future<Output = ()> + use<>> {
        let mailbox = self.mailbox(uid)?;
        mailbox.update(|mail| {
            mail.at_most = Some(seconds);
            mail.verdict.get_or_insert(verdict);
        });
        Some(async move { mailbox.ended().await })
    }

    /// Pods that use the node's resources.
    pub fn active(&self) -> Vec<Arc<Pod>> {
        let boxes = self.0.lock();
        let mails = boxes.values().map(|m| m.mail());
        mails
            .filter(|mail| !mail.removed && mail.verdict.is_none() && !pod::is_terminal(&mail.pod))
            .map(|mail| mail.pod)
            .collect()
    }

    /// Pods that have ended, and are kept because the API still has them.
    pub fn ended(&self) -> Vec<Arc<Pod>> {
        let boxes = self.0.lock();
        let mails = boxes.values().map(|m| m.mail());
        mails
            .filter(|mail| !mail.removed && pod::is_terminal(&mail.pod))
            .map(|mail| mail.pod)
            .collect()
    }

    /// UIDs of all pods that have a worker.
    pub fn uids(&self) -> BTreeSet<String> {
        self.0.lock().keys().cloned().collect()
    }
}

fn current(mail: Mail, context: &Context) -> Pod {
    let target = mail.mirror.as_ref().unwrap_or(&mail.pod);
    let mut pod = (*mail.pod).clone();
    if let Some(status) = context.statuses.get(target.uid()) {
        pod.status = Some(status);
    }
    pod
}

/// Works on a pod to its end. A worker that panics is followed by a new one,
/// which takes the pod up as after a restart of the kubelet: from what is
/// wanted and what the runtime shows. Other pods hear nothing of it.
async fn work(context: Arc<Context>, mailbox: Arc<Mailbox>) {
    let mut panics = 0;
    loop {
        // The largest future of all; see `task`.
        let worker = Box::pin(Worker::new(context.clone(), mailbox.clone()).run());
        let name = format!("pod {}", ObjectKey::of(mailbox.mail().pod.as_ref()));
        let worker = task::named(name, worker);
        let Err(panic) = panics::catch(worker).await else {
            return;
        };
        WORKER_PANICS.inc();
        panics += 1;
        let pause = queue::backoff(panics, FIRST_PAUSE, LONGEST_PAUSE);
        let pod = pod::full_name(&mailbox.mail().pod);
        tracing::error!(pod, %panic, ?pause, "a pod's worker will begin anew");
        tokio::time::sleep(pause).await;
    }
}

/// The manager.
pub struct Manager {
    context: Arc<Context>,
    pods: Pods,
    node: Store<Node>,
    own: mpsc::UnboundedSender<Event>,
    /// Static pods' mirrors by namespace and name.
    mirrors: HashMap<ObjectKey, Arc<Pod>>,
    /// What the runtime has, by UID.
    present: HashMap<String, Identity>,
    synced: bool,
    /// Pods that ask for other resources than they were given, by UID.
    resizes: BTreeMap<String, Waiting>,
}

impl Manager {
    /// A manager; `own` sends to the channel that it will be run on.
    pub fn new(
        context: Arc<Context>,
        pods: Pods,
        node: Store<Node>,
        own: mpsc::UnboundedSender<Event>,
    ) -> Self {
        Self {
            context,
            pods,
            node,
            own,
            mirrors: HashMap::new(),
            present: HashMap::new(),
            synced: false,
            resizes: BTreeMap::new(),
        }
    }

    /// Handles events until their senders are gone.
    pub async fn run(mut self, mut events: mpsc::UnboundedReceiver<Event>) {
        while let Some(event) = events.recv().await {
            let makes_room = !matches!(event, Event::Probe(_) | Event::Reference(_));
            self.handle(event);
            if makes_room && self.synced {
                self.resize();
            }
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Pod(change) if self.is_mirror(change.object()) => {
                let pod = change.object().clone();
                let key = ObjectKey::of(pod.as_ref());
                match change {
                    Change::Deleted(_) => {
                        self.context.statuses.forget(pod.uid());
                        self.mirror(key, None);
                    }
                    Change::Applied { .. } if pod::is_mirror(&pod, &self.context.node_name) => {
                        self.mirror(key, Some(pod));
                    }
                    Change::Applied { .. } => {
                        let name = pod::full_name(&pod);
                        tracing::warn!(
                            pod = name,
                            "says it is a mirror, and is none of this node's; it is not run"
                        );
                    }
                }
            }
            Event::Pod(Change::Applied { new, .. }) => {
                self.context.statuses.observe(&new);
                self.want(pod::from_api(new));
            }
            Event::Static(new) => self.want(new),
            Event::Pod(Change::Deleted(old)) => {
                let old = pod::from_api(old);
                self.unwant(old.uid(), Some(old.clone()));
            }
            Event::StaticGone(uid) => self.unwant(&uid, None),
            Event::Synced => {
                self.synced = true;
                let present: Vec<Identity> = self.present.values().cloned().collect();
                for identity in present {
                    self.adopt(&identity);
                }
                self.sweep();
            }
            Event::Runtime(happening) => self.happened(happening),
            Event::Probe(update) => {
                if let Some(mailbox) = self.pods.mailbox(&update.pod_uid) {
                    mailbox.find(update);
                }
            }
            Event::Reference(uid) => self.poke(&uid),
            Event::Finished(uid) => {
                self.pods.0.lock().remove(&uid);
                self.context.allocations.forget(&uid);
                self.context.probes.metrics().forget(&uid);
            }
            Event::DriverCame => {
                for uid in self.pods.uids() {
                    self.poke(&uid);
                }
                if self.synced {
                    self.sweep();
                }
            }
            Event::Sweep if self.synced => self.sweep(),
            // What it changes is looked at after every event.
            Event::Sweep | Event::Node => {}
        }
    }

    /// Whether a pod of the API is to show a static one. A pod that we run
    /// isn't, whatever was written to it since.
    fn is_mirror(&self, pod: &Pod) -> bool {
        pod::says_mirror(pod) && self.pods.mailbox(pod.uid()).is_none()
    }

    fn poke(&self, uid: &str) {
        if let Some(mailbox) = self.pods.mailbox(uid) {
            mailbox.poke();
        }
    }

    fn mirror(&mut self, key: ObjectKey, mirror: Option<Arc<Pod>>) {
        match &mirror {
            Some(pod) => self.mirrors.insert(key.clone(), pod.clone()),
            None => self.mirrors.remove(&key),
        };
        let boxes: Vec<Arc<Mailbox>> = self.pods.0.lock().values().cloned().collect();
        for mailbox in boxes {
            let pod = mailbox.mail().pod;
            if pod::is_static(&pod) && ObjectKey::of(pod.as_ref()) == key {
                mailbox.update(|mail| mail.mirror.clone_from(&mirror));
            }
        }
    }

    /// A pod with the resources that it has from now on: those it asks for if there is room
    /// for them, else those that it has had, and why.
    fn give(&mut self, wanted: Arc<Pod>) -> (Arc<Pod>, Option<Pending>) {
        let context = self.context.clone();
        let given = context.allocations.allocated(&wanted);
        let is_over = pod::is_terminal(&wanted) || pod::is_deleting(&wanted);
        if Arc::ptr_eq(&given, &wanted) || is_over {
            self.resizes.remove(wanted.uid());
            return (given, None);
        }
        // Until all pods are known nobody can say whether there is room.
        let checked = match self.node.list().into_iter().next().filter(|_| self.synced) {
            Some(node) => {
                let active = self.pods.active();
                let others = active.iter().filter(|other| other.uid() != wanted.uid());
                let others: Vec<&Pod> = others.map(|p| p.as_ref()).collect();
                resize::check(&wanted, &others, &node).map_err(Some)
            }
            None => Err(None),
        };
        let allocated = checked.and_then(|()| {
            let kept = context.allocations.allocate(&wanted);
            kept.map_err(|error| {
                Some(Pending {
                    reason: "Deferred",
                    message: format!("the allocation can't be kept: {error}"),
                })
            })
        });
        match allocated {
            Ok(()) => {
                self.resizes.remove(wanted.uid());
                (wanted, None)
            }
            Err(pending) => {
                let known = self.resizes.get(wanted.uid());
                let waiting = Waiting {
                    since: known.map_or_else(Instant::now, |known| known.since),
                    given: given.clone(),
                    wanted,
                };
                let uid = waiting.wanted.uid().to_owned();
                self.resizes.insert(uid, waiting);
                (given, pending)
            }
        }
    }

    /// Gives pods what they ask for, where there is room now.
    fn resize(&mut self) {
        let mut resizes: Vec<Waiting> = self.resizes.values().cloned().collect();
        waiting::sort(&mut resizes);
        for Waiting { wanted, .. } in resizes {
            let uid = wanted.uid().to_owned();
            let Some(mailbox) = self.pods.mailbox(&uid) else {
                self.resizes.remove(&uid);
                continue;
            };
            let (given, pending) = self.give(wanted);
            let known = mailbox.mail();
            if known.pending != pending || known.pod.spec != given.spec {
                mailbox.update(|mail| {
                    if !pod::is_terminal(&mail.pod) {
                        mail.pod = given;
                    }
                    mail.pending = pending;
                });
            }
        }
    }

    /// A pod should be as the object says.
    fn want(&mut self, new: Arc<Pod>) {
        let (new, pending) = self.give(new);
        if let Some(mailbox) = self.pods.mailbox(new.uid()) {
            mailbox.update(|mail| {
                mail.removed = false;
                mail.pending = pending;
                // What has ended stays ended, even if that isn't written yet.
                let mut new = new;
                if pod::is_terminal(&mail.pod) && !pod::is_terminal(&new) {
                    let mut ended = (*new).clone();
                    ended.status.clone_from(&mail.pod.status);
                    new = Arc::new(ended);
                }
                mail.pod = new;
            });
            return;
        }
        if !features::has_safe_identity(&new) {
            tracing::error!(
                pod = pod::full_name(&new),
                "has no name to make a path of; it is left alone"
            );
            return;
        }
        let verdict = self.refusal(&new).map(|Rejection { reason, message }| {
            self.context
                .pod_event(&new, true, &reason, message.as_str());
            let message = format!("Pod was rejected: {message}");
            status::Verdict {
                reason,
                message,
                rejected: true,
                disruption: false,
            }
        });
        if verdict.is_none()
            && let Err(error) = self.context.allocations.allocate(&new)
        {
            tracing::warn!(pod = pod::full_name(&new), %error, "what it was given is not kept");
        }
        let mirror = self.mirrors.get(&ObjectKey::of(new.as_ref())).cloned();
        self.employ(Mail {
            mirror: mirror.filter(|_| pod::is_static(&new)),
            pod: new,
            removed: false,
            verdict,
            at_most: None,
            pending,
        });
    }

    /// Why a pod can't run here: because it wants what it may not have, or,
    /// if it is new, because there is no room. One that ran here before isn't
    /// new.
    fn refusal(&self, new: &Pod) -> Option<Rejection> {
        if pod::is_deleting(new) || pod::is_terminal(new) {
            return None;
        }
        let context = &self.context;
        if context.shutdown.has_begun() {
            return Some(shutdown::rejection());
        }
        let allowed = features::check(new)
            .and_then(|()| context.sysctls.check(new))
            .and_then(|()| apparmor::check(new, context.app_armor));
        if let Err(rejection) = allowed {
            return Some(rejection);
        }
        let begun = new.status.as_ref().is_some_and(|s| s.start_time.is_some());
        if begun || self.present.contains_key(new.uid()) {
            return None;
        }
        if let Err(rejection) = context.pressure.admit(new) {
            return Some(rejection);
        }
        let node = self.node.list().into_iter().next()?;
        let active = self.pods.active();
        let others: Vec<&Pod> = active.iter().map(|p| p.as_ref()).collect();
        admission::check(new, &others, &node).err()
    }

    /// A pod isn't wanted here any more. `last` is how the API last had it.
    fn unwant(&mut self, uid: &str, last: Option<Arc<Pod>>) {
        self.resizes.remove(uid);
        if let Some(mailbox) = self.pods.mailbox(uid) {
            mailbox.update(|mail| {
                mail.removed = true;
                if let Some(last) = last {
                    mail.pod = last;
                }
            });
        }
    }

    fn happened(&mut self, happening: PodLifecycleEvent) {
        let PodLifecycleEvent { uid, identity } = happening;
        match identity {
            Some(identity) => {
                self.present.insert(uid.clone(), identity.clone());
                if self.synced {
                    self.adopt(&identity);
                }
            }
            None => {
                self.present.remove(&uid);
            }
        }
        self.poke(&uid);
    }

    /// What runs and is nobody's gets a worker that ends it.
    fn adopt(&mut self, identity: &Identity) {
        if self.pods.mailbox(&identity.uid).is_some() {
            return;
        }
        tracing::info!(
            pod = format!("{}/{}", identity.namespace, identity.name),
            uid = identity.uid,
            "ends a pod that isn't wanted on this node"
        );
        let mut orphan = Pod::default();
        orphan.metadata.name = Some(identity.name.clone());
        orphan.metadata.namespace = Some(identity.namespace.clone());
        orphan.metadata.uid = Some(identity.uid.clone());
        if !features::has_safe_identity(&orphan) {
            return;
        }
        orphan.spec = Some(PodSpec {
            termination_grace_period_seconds: identity.grace,
            ..Default::default()
        });
        self.employ(Mail {
            pod: Arc::new(orphan),
            mirror: None,
            removed: true,
            verdict: None,
            at_most: None,
            pending: None,
        });
    }

    fn employ(&mut self, mail: Mail) {
        let uid = mail.pod.uid().to_owned();
        let mailbox = Mailbox::new(mail);
        self.pods.0.lock().insert(uid.clone(), mailbox.clone());
        let span = tracing::info_span!("pod", name = pod::full_name(&mailbox.mail().pod), uid);
        let (context, own) = (self.context.clone(), self.own.clone());
        task::spawn_job("pod-worker", async move {
            let work = trace::scope(uid.clone(), work(context, mailbox));
            work.instrument(span).await;
            // Nobody listens when the process ends.
            let _ = own.send(Event::Finished(uid));
        });
    }

    /// Removes directories and cgroups of pods that are neither wanted nor
    /// present in the runtime: what a crash has left.
    fn sweep(&self) {
        if let Err(error) = self.context.root.check() {
            tracing::error!(%error, "nothing is swept");
            return;
        }
        let mut known = self.pods.uids();
        known.extend(self.present.keys().cloned());
        self.context.allocations.retain(&known);
        for uid in self.context.cgroups.pods() {
            if !known.contains(&uid) {
                self.context.cgroups.destroy(&uid);
            }
        }
        for uid in self.context.volumes.orphans(&known) {
            let (context, pods) = (self.context.clone(), self.pods.clone());
            tokio::spawn(async move {
                let swept = context.volumes.sweep(&uid, || pods.has(&uid));
                if let Err(error) = swept.await {
                    tracing::warn!(uid, %error, "volumes of a pod that is gone stay");
                }
            });
        }
        let context = self.context.clone();
        tokio::spawn(async move { context.volumes.unstage(None).await });
    }
}

#[cfg(test)]
#[path = "manager_tests.rs"]
mod tests;
