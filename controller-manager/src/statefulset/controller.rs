//! Brings one StatefulSet a step further, and says so in its status.

use super::actions::{Action, Rollout, Version};
use super::{claims, identity, selector, status};
use crate::controller_revision::{self, Owner};
use crate::expectations::Expectations;
use crate::pod_ranking::{available_in, phase};
use crate::{adoption, conflicts};
use futures_util::future::join_all;
use hardway_client::api::DeleteParams;
use hardway_client::controller::Next;
use hardway_client::events::{EventType, Recorder, reference};
use hardway_client::{Client, Store};
use hardway_proto::meta::ObjectKey;
use hardway_proto::status::NAMESPACE_TERMINATING;
use hardway_proto::{Kind, Status};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{ControllerRevision, StatefulSet, StatefulSetSpec};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use std::collections::HashSet;
use std::sync::Arc;

/// The label that a revision's hash stands in.
const HASH_LABEL: &str = "controller.kubernetes.io/hash";

/// The controller's hands.
pub struct Controller {
    /// The apiserver.
    pub client: Client,
    /// Where events go.
    pub recorder: Recorder,
    /// All StatefulSets.
    pub sets: Store<StatefulSet>,
    /// All pods.
    pub pods: Store<Pod>,
    /// All claims.
    pub claims: Store<PersistentVolumeClaim>,
    /// All revisions.
    pub revisions: Store<ControllerRevision>,
    /// What has been done and isn't in `pods` yet.
    pub expectations: Arc<Expectations>,
}

impl Controller {
    /// Brings a StatefulSet a step further.
    pub async fn reconcile(&self, key: ObjectKey) -> Result<Next, Status> {
        let Some(set) = self.sets.get(&key) else {
            self.expectations.forget(&key);
            return Ok(Next::Done);
        };
        conflicts::wait_out(self.sync(&key, &set).await)
    }

    async fn sync(&self, key: &ObjectKey, set: &StatefulSet) -> Result<Next, Status> {
        let (Some(spec), Some(selector)) = (&set.spec, selector(set)) else {
            return Ok(Next::Done);
        };
        // Judged before the pods are read: what is satisfied now is in the cache.
        let trust_cache = self.expectations.satisfied(key);
        let all = adoption::candidates(set, &self.pods);
        let is_ours = |pod: &Pod| identity::ordinal(set, pod.name()).is_some();
        let claim = adoption::claim(set, &selector, all, is_ours);
        let mut pods = adoption::carry_out(&self.client, set, claim).await?;
        pods.retain(|pod| is_ours(pod));
        let all = self.revisions.in_namespace(&key.namespace);
        let claim = adoption::claim(set, &selector, all, |_| true);
        let mut revisions = adoption::carry_out(&self.client, set, claim).await?;
        controller_revision::sort(&mut revisions);

        let (update, collisions) = self.update_version(set, spec, &revisions).await?;
        let rollout = Rollout {
            set,
            spec,
            pods: &pods,
            current: current(set, &revisions).unwrap_or_else(|| update.clone()),
            update,
            claim: &|name| self.claims.get(&ObjectKey::new(&key.namespace, name)),
            now: Timestamp::now(),
        };
        let mut outcome = Ok(());
        if trust_cache {
            outcome = self.act(set, rollout.next()).await;
        }
        let new = status::of(&rollout, collisions);
        if set.status.as_ref() != Some(&new) {
            let mut updated = set.clone();
            updated.status = Some(new);
            let api = self.client.namespaced::<StatefulSet>(&key.namespace);
            match api.update_status(&updated).await {
                Err(status) if !status.is_not_found() => outcome = outcome.and(Err(status)),
                _ => {}
            }
        }
        outcome?;
        if set.metadata.deletion_timestamp.is_none() {
            self.forget_old(spec, &rollout, &revisions).await?;
        }
        let min_ready_seconds = spec.min_ready_seconds.unwrap_or(0);
        let waits = pods.iter();
        let waits = waits.filter_map(|pod| available_in(pod, min_ready_seconds, rollout.now));
        Ok(waits.min().map_or(Next::Done, Next::After))
    }

    /// The version of the template of now, and how many names of revisions were taken.
    async fn update_version(
        &self,
        set: &StatefulSet,
        spec: &StatefulSetSpec,
        revisions: &[Arc<ControllerRevision>],
    ) -> Result<(Version, i32), Status> {
        let known = set.status.clone().unwrap_or_default();
        let collisions = known.collision_count.unwrap_or(0);
        let version = |revision: &str| Version {
            revision: revision.into(),
            template: spec.template.clone(),
        };
        // Of one that is being deleted the garbage collector deletes the revisions,
        // too: another one would only hold it up.
        if set.metadata.deletion_timestamp.is_some() {
            let revision = known.update_revision.unwrap_or_default();
            return Ok((version(&revision), collisions));
        }
        let owner = Owner {
            object: set,
            template: &spec.template,
            collisions,
            hash_label: HASH_LABEL,
        };
        let (revision, collisions) = owner.current(&self.client, revisions).await?;
        Ok((version(revision.name()), collisions))
    }

    /// Deletes revisions that nobody will go back to.
    async fn forget_old(
        &self,
        spec: &StatefulSetSpec,
        rollout: &Rollout<'_>,
        revisions: &[Arc<ControllerRevision>],
    ) -> Result<(), Status> {
        // A negative limit keeps all.
        let Ok(limit) = usize::try_from(spec.revision_history_limit.unwrap_or(10)) else {
            return Ok(());
        };
        let mut used: HashSet<&str> = rollout.pods.iter().map(|p| identity::revision(p)).collect();
        used.extend([&*rollout.current.revision, &*rollout.update.revision]);
        let old = revisions.iter().filter(|r| !used.contains(r.name()));
        let old: Vec<_> = old.cloned().collect();
        let surplus = controller_revision::surplus(&old, limit, |_| false);
        controller_revision::delete(&self.client, &surplus).await
    }

    /// Carries out step after step, each in batches that double as long as
    /// all goes well.
    async fn act(&self, set: &StatefulSet, steps: Vec<Vec<Action>>) -> Result<(), Status> {
        for step in steps {
            let mut left = step.as_slice();
            let mut size = 1;
            while !left.is_empty() {
                let (batch, rest) = left.split_at(size.min(left.len()));
                let results = join_all(batch.iter().map(|action| self.carry_out(set, action)));
                for result in results.await {
                    match result {
                        // A namespace that is going away refuses for good.
                        Err(status) if status.has_cause(NAMESPACE_TERMINATING) => return Ok(()),
                        other => other?,
                    }
                }
                left = rest;
                size *= 2;
            }
        }
        Ok(())
    }

    async fn carry_out(&self, set: &StatefulSet, action: &Action) -> Result<(), Status> {
        match action {
            Action::Create(ordinal, pod) => self.create(set, *ordinal, pod).await,
            Action::Repair(ordinal, pod) => self.repair(set, *ordinal, pod).await,
            Action::Own(ordinal, pod) => self.own_claims(set, *ordinal, pod).await,
            Action::Delete(pod) => self.delete(set, pod).await,
        }
    }

    async fn create(&self, set: &StatefulSet, ordinal: i32, pod: &Pod) -> Result<(), Status> {
        let created = self.create_claims(set, ordinal, pod).await;
        if let Err(status) = created {
            self.pod_event(set, "create", pod, Some(&status));
            return Err(status);
        }
        let api = self.client.namespaced::<Pod>(set.namespace());
        let created = match api.create(pod).await {
            Ok(created) => created,
            Err(status) => {
                // Somebody else's pod has the name, and will have to go.
                if !status.is_already_exists() {
                    self.pod_event(set, "create", pod, Some(&status));
                }
                return Err(status);
            }
        };
        let key = ObjectKey::of(set);
        self.expectations.created(&key, created.uid());
        if self.pods.get(&ObjectKey::of(&created)).is_some() {
            self.expectations.settle(&key, created.uid());
        }
        self.pod_event(set, "create", pod, None);
        self.own_claims(set, ordinal, &created).await
    }

    async fn delete(&self, set: &StatefulSet, pod: &Pod) -> Result<(), Status> {
        let key = ObjectKey::of(set);
        let api = self.client.namespaced::<Pod>(set.namespace());
        self.expectations.deleting(&key, pod.uid());
        match api.delete(pod.name(), &DeleteParams::of(pod.uid())).await {
            Ok(()) => {
                self.pod_event(set, "delete", pod, None);
                Ok(())
            }
            Err(status) => {
                self.expectations.settle(&key, pod.uid());
                if status.is_not_found() {
                    return Ok(());
                }
                self.pod_event(set, "delete", pod, Some(&status));
                Err(status)
            }
        }
    }

    async fn repair(&self, set: &StatefulSet, ordinal: i32, pod: &Pod) -> Result<(), Status> {
        let repaired = identity::repaired(set, pod, ordinal);
        if phase(pod) == "Pending" || repaired.is_some() {
            let created = self.create_claims(set, ordinal, pod).await;
            if let Err(status) = created {
                self.pod_event(set, "update", pod, Some(&status));
                return Err(status);
            }
        }
        self.own_claims(set, ordinal, pod).await?;
        let Some(repaired) = repaired else {
            return Ok(());
        };
        let api = self.client.namespaced::<Pod>(set.namespace());
        match api.update(&repaired).await {
            Ok(_) => self.pod_event(set, "update", pod, None),
            Err(status) if status.is_not_found() => {}
            Err(status) => {
                if !status.is_conflict() {
                    self.pod_event(set, "update", pod, Some(&status));
                }
                return Err(status);
            }
        }
        Ok(())
    }

    /// Creates those claims of a pod that aren't there.
    async fn create_claims(
        &self,
        set: &StatefulSet,
        ordinal: i32,
        pod: &Pod,
    ) -> Result<(), Status> {
        let api = self
            .client
            .namespaced::<PersistentVolumeClaim>(set.namespace());
        for claim in claims::of(set, ordinal) {
            match self.claims.get(&ObjectKey::of(&claim)) {
                Some(there) if there.metadata.deletion_timestamp.is_some() => {
                    let text = format!("pvc {} is being deleted", claim.name());
                    return Err(Status::internal(text));
                }
                Some(_) => continue,
                None => {}
            }
            let (claimed, pod_name, set_name) = (claim.name(), pod.name(), set.name());
            match api.create(&claim).await {
                Ok(_) => {
                    let text = format!(
                        "create Claim {claimed} Pod {pod_name} in StatefulSet {set_name} success"
                    );
                    self.event(set, EventType::Normal, "SuccessfulCreate", text);
                }
                Err(status) if status.is_already_exists() => {}
                Err(status) => {
                    let text = format!(
                        "create Claim {claimed} for Pod {pod_name} in StatefulSet {set_name} failed error: {status}"
                    );
                    self.event(set, EventType::Warning, "FailedCreate", text);
                    return Err(status);
                }
            }
        }
        Ok(())
    }

    /// Gives the claims of a pod the owners that the retention policy asks for.
    async fn own_claims(&self, set: &StatefulSet, ordinal: i32, pod: &Pod) -> Result<(), Status> {
        let api = self
            .client
            .namespaced::<PersistentVolumeClaim>(set.namespace());
        for template in claims::templates(set) {
            let name = claims::name(template, set, ordinal);
            let Some(claim) = self.claims.get(&ObjectKey::new(set.namespace(), &name)) else {
                continue;
            };
            if claims::is_anothers(&claim, set, pod) {
                let text = format!(
                    "PersistentVolumeClaim {name} has a conflicting OwnerReference that acts as a managing controller, the retention policy is ignored for this claim"
                );
                self.event(set, EventType::Warning, "ConflictingController", text);
            }
            if let Some(owned) = claims::with_owners(&claim, set, pod, ordinal) {
                match api.update(&owned).await {
                    Err(status) if !status.is_not_found() => return Err(status),
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// An event about what was done to a pod, and how it ended.
    fn pod_event(&self, set: &StatefulSet, verb: &str, pod: &Pod, failure: Option<&Status>) {
        let text = format!("{verb} Pod {} in StatefulSet {}", pod.name(), set.name());
        let (r#type, outcome, text) = match failure {
            None => (
                EventType::Normal,
                "Successful",
                format!("{text} successful"),
            ),
            Some(status) => (
                EventType::Warning,
                "Failed",
                format!("{text} failed error: {status}"),
            ),
        };
        let (first, rest) = verb.split_at(1);
        let reason = format!("{outcome}{}{rest}", first.to_uppercase());
        self.event(set, r#type, &reason, text);
    }

    fn event(&self, set: &StatefulSet, r#type: EventType, reason: &str, message: String) {
        self.recorder.event(reference(set), r#type, reason, message);
    }
}

/// The version that the status names as the current one, if it is remembered.
fn current(set: &StatefulSet, revisions: &[Arc<ControllerRevision>]) -> Option<Version> {
    let named = set.status.as_ref()?.current_revision.as_deref()?;
    let revision = revisions.iter().find(|r| r.name() == named)?;
    Some(Version {
        revision: named.into(),
        template: controller_revision::template_of(revision)?,
    })
}
