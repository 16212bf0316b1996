//! Rollbacks that the server is asked for, as Deployments of
//! `extensions/v1beta1` can with `rollbackTo`. kubectl of today puts the old
//! template in place itself.

use super::revision::{self, ROLLBACK_TO};
use super::sets::Rollout;
use super::template;
use hardway_client::events::EventType;
use hardway_proto::Kind;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec};

/// What becomes of a Deployment that asked to be rolled back, and what is said.
#[derive(Debug)]
pub struct Outcome {
    /// The Deployment, which no longer asks.
    pub deployment: Deployment,
    /// Whether it went well.
    pub r#type: EventType,
    /// The event's reason.
    pub reason: &'static str,
    /// The event's message.
    pub message: String,
}

/// Goes back if the Deployment asks for it: to a revision, or for 0 to the last
/// before the current one. Waits until the current template has a revision.
pub fn decide(
    deployment: &Deployment,
    spec: &DeploymentSpec,
    rollout: &Rollout,
) -> Option<Outcome> {
    let annotations = deployment.metadata.annotations.as_ref()?;
    let asked: i64 = annotations.get(ROLLBACK_TO)?.parse().unwrap_or(0);
    if rollout.settings.paused || rollout.new.is_none() {
        return None;
    }
    let mut back = deployment.clone();
    let own = back.metadata.annotations.get_or_insert_default();
    own.remove(ROLLBACK_TO);
    let told = |r#type, reason, message: String| {
        Some(Outcome {
            deployment: back.clone(),
            r#type,
            reason,
            message,
        })
    };
    let not_found = "DeploymentRollbackRevisionNotFound";
    let to = match asked {
        0 => last(rollout),
        revision => revision,
    };
    if to == 0 {
        let message = "Unable to find last revision.".into();
        return told(EventType::Warning, not_found, message);
    }
    let mut sets = rollout.all();
    let Some(set) = sets.find(|set| revision::of(&set.metadata) == to) else {
        let message = "Unable to find the revision to rollback to.".into();
        return told(EventType::Warning, not_found, message);
    };
    let old = set.spec.as_ref()?.template.as_ref()?;
    if template::same(old, &spec.template) {
        let message = format!(
            "The rollback revision contains the same template as current deployment {:?}",
            deployment.name()
        );
        let reason = "DeploymentRollbackTemplateUnchanged";
        return told(EventType::Warning, reason, message);
    }
    back.spec.as_mut()?.template = template::without_hash(old);
    // Annotations such as the cause of the change go back as well.
    let own = back.metadata.annotations.get_or_insert_default();
    own.retain(|key, _| revision::is_own(key));
    let theirs = set.metadata.annotations.clone().unwrap_or_default();
    own.extend(theirs.into_iter().filter(|(key, _)| !revision::is_own(key)));
    Some(Outcome {
        r#type: EventType::Normal,
        reason: "DeploymentRollback",
        message: format!(
            "Rolled back deployment {:?} to revision {to}",
            deployment.name()
        ),
        deployment: back,
    })
}

/// The revision before the highest; 0 if there is none.
fn last(rollout: &Rollout) -> i64 {
    let mut revisions: Vec<i64> = rollout
        .all()
        .map(|set| revision::of(&set.metadata))
        .collect();
    revisions.sort_unstable();
    let before = revisions.len().checked_sub(2);
    before
        .and_then(|at| revisions.get(at).copied())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::super::revision::REVISION;
    use super::super::testing::{annotated, deployment, rollout, set, settings};
    use super::*;
    use std::sync::Arc;

    fn outcome(revision: &str) -> Option<Outcome> {
        let mut asks = deployment(3);
        let annotations = asks.metadata.annotations.get_or_insert_default();
        annotations.insert(ROLLBACK_TO.into(), revision.into());
        annotations.insert("kubernetes.io/change-cause".into(), "new".into());
        let mut old = (*annotated(&set("old", 0, 0), REVISION, "1")).clone();
        let annotations = old.metadata.annotations.as_mut().unwrap();
        annotations.insert("kubernetes.io/change-cause".into(), "old".into());
        let template = old.spec.as_mut().unwrap().template.as_mut().unwrap();
        template.spec.as_mut().unwrap().containers[0].image = Some("app:0".into());
        let new = annotated(&set("new", 3, 3), REVISION, "2");
        let rollout = rollout(settings(3, 1, 0), &new, &[Arc::new(old)]);
        decide(&asks, asks.spec.as_ref().unwrap(), &rollout)
    }

    #[test]
    fn goes_back_to_the_last_or_a_named_revision() {
        for revision in ["0", "1"] {
            let back = outcome(revision).unwrap();
            assert_eq!(back.message, "Rolled back deployment \"web\" to revision 1");
            let annotations = back.deployment.metadata.annotations.unwrap();
            assert_eq!(annotations["kubernetes.io/change-cause"], "old");
            assert!(!annotations.contains_key(ROLLBACK_TO));
            let spec = back.deployment.spec.unwrap().template.spec.unwrap();
            assert_eq!(spec.containers[0].image.as_deref(), Some("app:0"));
        }
    }

    #[test]
    fn says_why_it_cannot() {
        let reason = |revision| outcome(revision).unwrap().reason;
        assert_eq!(reason("2"), "DeploymentRollbackTemplateUnchanged");
        assert_eq!(reason("7"), "DeploymentRollbackRevisionNotFound");
    }
}
