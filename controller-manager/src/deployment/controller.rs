//! Brings one Deployment a step further, and says so in its status.

use super::sets::{Rollout, Scale, size};
use super::step::{self, Step};
use super::{conditions, history, revision, rollback, status, template};
use crate::informers::BY_CONTROLLER;
use crate::pod_ranking::is_finished;
use crate::written::{self, Written};
use crate::{adoption, conflicts};
use hardway_client::api::DeleteParams;
use hardway_client::controller::Next;
use hardway_client::events::{EventType, Recorder, reference};
use hardway_client::{Client, Store};
use hardway_proto::labels::Selector;
use hardway_proto::meta::{ObjectKey, controller_of};
use hardway_proto::status::NAMESPACE_TERMINATING;
use hardway_proto::{Kind, Status};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, DeploymentStatus, ReplicaSet};
use k8s_openapi::api::core::v1::Pod;
use std::sync::Arc;

/// The controller's hands.
pub struct Controller {
    /// The apiserver.
    pub client: Client,
    /// Where events go.
    pub recorder: Recorder,
    /// All Deployments.
    pub deployments: Store<Deployment>,
    /// All ReplicaSets.
    pub sets: Store<ReplicaSet>,
    /// All pods.
    pub pods: Store<Pod>,
    /// The Deployments that were written here, …
    pub written: Written,
    /// … and the ReplicaSets.
    pub written_sets: Written,
}

impl Controller {
    /// Brings a Deployment a step further.
    pub async fn reconcile(&self, key: ObjectKey) -> Result<Next, Status> {
        let Some(deployment) = self.deployments.get(&key) else {
            self.written.forget(&key);
            return Ok(Next::Done);
        };
        // The next change comes before the last own write is in the cache, more often than not:
        // what is decided by what was before it could not be written.
        if self.is_behind(&deployment) {
            return Ok(Next::After(written::TIMEOUT));
        }
        conflicts::wait_out(self.sync(&deployment).await)
    }

    /// Whether the cache has the Deployment, or one of its ReplicaSets, as it was before it was
    /// written here.
    fn is_behind(&self, deployment: &Deployment) -> bool {
        let sets = self.sets.in_namespace(deployment.namespace());
        let mut own = sets.iter().filter(|set| {
            controller_of(&set.metadata).is_some_and(|owner| owner.uid == deployment.uid())
        });
        self.written.is_ahead_of(deployment)
            || own.any(|set| self.written_sets.is_ahead_of(set.as_ref()))
    }

    async fn sync(&self, stored: &Deployment) -> Result<Next, Status> {
        let Some(spec) = &stored.spec else {
            return Ok(Next::Done);
        };
        let Ok(selector) = Selector::from_label_selector(&spec.selector) else {
            return Ok(Next::Done);
        };
        let mut rollout = Rollout::of(spec, self.claim(stored, &selector).await?);
        // What is found out on the way is kept here, and written once at the end.
        let mut deployment = stored.clone();
        let now = Timestamp::now();
        if stored.metadata.deletion_timestamp.is_some() {
            deployment.status = Some(status::count(&deployment, &rollout, now));
            self.write(stored, &deployment).await?;
            return Ok(Next::Done);
        }
        let progress = deployment.status.get_or_insert_default();
        if let Some(condition) = conditions::pause(progress, &rollout.settings, now) {
            conditions::set(progress, condition);
        }
        self.follow_new(&mut deployment, &mut rollout).await?;
        if let Some(outcome) = rollback::decide(stored, spec, &rollout) {
            return self.roll_back(stored, outcome).await;
        }
        match step::next(&rollout, self.old_pods(&rollout)) {
            Step::Resize(scales) => {
                self.scale(&deployment, &mut rollout, scales).await?;
                if rollout.settings.paused {
                    self.clean_up(&rollout).await?;
                }
                deployment.status = Some(status::count(&deployment, &rollout, now));
                self.write(stored, &deployment).await?;
                return Ok(Next::Done);
            }
            Step::Create(size) => {
                let created = self.create(&mut deployment, &mut rollout, size).await;
                if let Err(failure) = created {
                    self.write(stored, &deployment).await?;
                    return Err(failure);
                }
            }
            Step::Roll(scales) => {
                self.scale(&deployment, &mut rollout, scales).await?;
                let before = stored.status.clone().unwrap_or_default();
                if status::is_complete(stored, &rollout.settings, &before) {
                    self.clean_up(&rollout).await?;
                }
            }
        }
        let judged = status::judge(&deployment, &rollout, now);
        let look = status::next_look(&deployment, &rollout.settings, &judged, now);
        deployment.status = Some(judged);
        self.write(stored, &deployment).await?;
        Ok(look.map_or(Next::Done, Next::After))
    }

    /// The Deployment's ReplicaSets, after orphans were adopted and strangers
    /// let go.
    async fn claim(
        &self,
        deployment: &Deployment,
        selector: &Selector,
    ) -> Result<Vec<Arc<ReplicaSet>>, Status> {
        let all = self.sets.in_namespace(deployment.namespace());
        let claim = adoption::claim(deployment, selector, all, |_| true);
        adoption::carry_out(&self.client, deployment, claim).await
    }

    /// Whether pods of old ReplicaSets still run.
    fn old_pods(&self, rollout: &Rollout) -> bool {
        rollout.old.iter().any(|set| {
            let pods = self.pods.by_index(BY_CONTROLLER, set.uid());
            pods.iter().any(|pod| !is_finished(pod))
        })
    }

    /// Brings annotations of the new ReplicaSet, if there is one, up to those
    /// of the Deployment; the Deployment takes over its revision.
    async fn follow_new(
        &self,
        deployment: &mut Deployment,
        rollout: &mut Rollout,
    ) -> Result<(), Status> {
        let Some(new) = &rollout.new else {
            return Ok(());
        };
        let mut set = (**new).clone();
        let own = deployment.metadata.annotations.clone().unwrap_or_default();
        let mut changed = revision::annotate_new(&mut set.metadata, &own, highest(&rollout.old));
        if let Some(spec) = &mut set.spec
            && spec.min_ready_seconds.unwrap_or(0) != rollout.settings.min_ready_seconds
        {
            spec.min_ready_seconds = Some(rollout.settings.min_ready_seconds);
            changed = true;
        }
        let current = revision::of(&set.metadata).to_string();
        if changed {
            let api = self.client.namespaced::<ReplicaSet>(set.namespace());
            let set = api.update(&set).await?;
            self.written_sets.note(&set);
            rollout.update(Arc::new(set));
        }
        let other = revision::annotate(&mut deployment.metadata, revision::REVISION, &current);
        let settings = &rollout.settings;
        let status = deployment.status.get_or_insert_default();
        let unheard = conditions::get(status, conditions::PROGRESSING).is_none();
        // Going back to a template of before is a rollout of its own: what was
        // said of the one before doesn't hold for it.
        if settings.progress_deadline.is_some() && !settings.paused && (other || unheard) {
            let found = format!("Found new replica set {:?}", set.name());
            progress(status, "True", conditions::FOUND, found);
        }
        Ok(())
    }

    /// Creates the ReplicaSet of the Deployment's template.
    async fn create(
        &self,
        deployment: &mut Deployment,
        rollout: &mut Rollout,
        size: i32,
    ) -> Result<(), Status> {
        let Some(mut set) = template::replica_set(deployment, size) else {
            return Ok(());
        };
        let own = deployment.metadata.annotations.clone().unwrap_or_default();
        revision::annotate_new(&mut set.metadata, &own, highest(&rollout.old));
        revision::annotate_size(&mut set.metadata, &rollout.settings);
        let has_deadline = rollout.settings.progress_deadline.is_some();
        let api = self.client.namespaced::<ReplicaSet>(deployment.namespace());
        match api.create(&set).await {
            Ok(created) => {
                if size > 0 {
                    self.scaled(deployment, created.name(), 0, size);
                }
                set = created;
                if has_deadline {
                    let message = format!("Created new replica set {:?}", set.name());
                    let status = deployment.status.get_or_insert_default();
                    progress(status, "True", conditions::CREATED, message);
                }
            }
            Err(status) if status.is_already_exists() => {
                let there = api.get(set.name()).await?;
                if !is_made_of(&there, deployment) {
                    // Another template has the same hash, or somebody else the
                    // name: with one more collision the hash is another.
                    let status = deployment.status.get_or_insert_default();
                    status.collision_count =
                        Some(status.collision_count.unwrap_or(0).saturating_add(1));
                    return Ok(());
                }
                set = there;
            }
            Err(status) => {
                // A namespace that is going away refuses for good.
                if status.has_cause(NAMESPACE_TERMINATING) {
                    return Ok(());
                }
                let message = format!(
                    "Failed to create new replica set {:?}: {status}",
                    set.name()
                );
                let reason = conditions::CREATE_ERROR;
                self.event(deployment, EventType::Warning, reason, message.clone());
                if has_deadline {
                    let status = deployment.status.get_or_insert_default();
                    progress(status, "False", reason, message);
                }
                return Err(status);
            }
        }
        let current = revision::of(&set.metadata).to_string();
        revision::annotate(&mut deployment.metadata, revision::REVISION, &current);
        rollout.new = Some(Arc::new(set));
        Ok(())
    }

    /// Brings ReplicaSets to their sizes.
    async fn scale(
        &self,
        deployment: &Deployment,
        rollout: &mut Rollout,
        scales: Vec<Scale>,
    ) -> Result<(), Status> {
        let api = self.client.namespaced::<ReplicaSet>(deployment.namespace());
        for Scale { set, to } in scales {
            let from = size(&set);
            let mut changed = (*set).clone();
            let noted = revision::annotate_size(&mut changed.metadata, &rollout.settings);
            if from == to && !noted {
                continue;
            }
            changed.spec.get_or_insert_default().replicas = Some(to);
            let changed = api.update(&changed).await?;
            self.written_sets.note(&changed);
            if from != to {
                self.scaled(deployment, changed.name(), from, to);
            }
            rollout.update(Arc::new(changed));
        }
        Ok(())
    }

    /// Deletes old ReplicaSets that nobody will go back to.
    async fn clean_up(&self, rollout: &Rollout) -> Result<(), Status> {
        let Some(limit) = rollout.settings.history_limit else {
            return Ok(());
        };
        for set in history::surplus(&rollout.old, limit) {
            let api = self.client.namespaced::<ReplicaSet>(set.namespace());
            match api.delete(set.name(), &DeleteParams::of(set.uid())).await {
                Err(status) if !status.is_not_found() => return Err(status),
                _ => self.written_sets.forget(&ObjectKey::of(set.as_ref())),
            }
        }
        Ok(())
    }

    async fn roll_back(
        &self,
        stored: &Deployment,
        outcome: rollback::Outcome,
    ) -> Result<Next, Status> {
        let api = self.client.namespaced(stored.namespace());
        self.written.note(&api.update(&outcome.deployment).await?);
        self.event(stored, outcome.r#type, outcome.reason, outcome.message);
        Ok(Next::Done)
    }

    /// Writes status and annotations if they have changed.
    async fn write(&self, stored: &Deployment, new: &Deployment) -> Result<(), Status> {
        let written = |status: &Option<DeploymentStatus>| status.clone().unwrap_or_default();
        if written(&stored.status) == written(&new.status)
            && stored.metadata.annotations == new.metadata.annotations
        {
            return Ok(());
        }
        let api = self.client.namespaced::<Deployment>(new.namespace());
        match api.update_status(new).await {
            Ok(now) => {
                self.written.note(&now);
                Ok(())
            }
            Err(status) if status.is_not_found() => Ok(()),
            Err(status) => Err(status),
        }
    }

    fn scaled(&self, deployment: &Deployment, set: &str, from: i32, to: i32) {
        let direction = if to > from { "up" } else { "down" };
        let message = format!("Scaled {direction} replica set {set} from {from} to {to}");
        self.event(deployment, EventType::Normal, "ScalingReplicaSet", message);
    }

    fn event(&self, deployment: &Deployment, r#type: EventType, reason: &str, message: String) {
        self.recorder
            .event(reference(deployment), r#type, reason, message);
    }
}

/// The highest revision among ReplicaSets.
fn highest(sets: &[Arc<ReplicaSet>]) -> i64 {
    let revisions = sets.iter().map(|set| revision::of(&set.metadata));
    revisions.max().unwrap_or(0)
}

fn progress(status: &mut DeploymentStatus, value: &str, reason: &str, message: String) {
    let now = Timestamp::now();
    let condition = conditions::new(conditions::PROGRESSING, value, reason, message, now);
    conditions::set(status, condition);
}

/// Whether a ReplicaSet is the Deployment's, and has its template.
fn is_made_of(set: &ReplicaSet, deployment: &Deployment) -> bool {
    let owned = controller_of(&set.metadata).is_some_and(|owner| owner.uid == deployment.uid());
    let own = set.spec.as_ref().and_then(|s| s.template.as_ref());
    let current = deployment
        .spec
        .as_ref()
        .map(|s: &DeploymentSpec| &s.template);
    owned && matches!((own, current), (Some(own), Some(current)) if template::same(own, current))
}
