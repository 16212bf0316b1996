//! A Deployment's ReplicaSets: which is the new one, which are old, and what
//! they count.

use super::settings::Settings;
use super::template;
use k8s_openapi::api::apps::v1::{DeploymentSpec, ReplicaSet};
use std::sync::Arc;

/// How many pods a ReplicaSet should have.
pub fn size(set: &ReplicaSet) -> i32 {
    set.spec.as_ref().and_then(|s| s.replicas).unwrap_or(1)
}

/// How many pods it was last seen to have.
pub fn present(set: &ReplicaSet) -> i32 {
    set.status.as_ref().map_or(0, |s| s.replicas)
}

/// How many of them were ready.
pub fn ready(set: &ReplicaSet) -> i32 {
    let status = set.status.as_ref();
    status.and_then(|s| s.ready_replicas).unwrap_or(0)
}

/// How many of them were available.
pub fn available(set: &ReplicaSet) -> i32 {
    let status = set.status.as_ref();
    status.and_then(|s| s.available_replicas).unwrap_or(0)
}

/// A count summed up.
pub fn total<'a>(
    sets: impl IntoIterator<Item = &'a Arc<ReplicaSet>>,
    count: fn(&ReplicaSet) -> i32,
) -> i32 {
    let counts = sets.into_iter().map(|set| count(set));
    counts.fold(0, i32::saturating_add)
}

/// A ReplicaSet and the size it shall have.
#[derive(Clone, Debug, PartialEq)]
pub struct Scale {
    /// The ReplicaSet as it is.
    pub set: Arc<ReplicaSet>,
    /// Its size from now on.
    pub to: i32,
}

impl Scale {
    /// A ReplicaSet that shall have `to` pods.
    pub fn new(set: &Arc<ReplicaSet>, to: i32) -> Self {
        Self {
            set: set.clone(),
            to,
        }
    }
}

/// Everything a decision is made from.
#[derive(Clone, Debug)]
pub struct Rollout {
    /// What the Deployment asks for.
    pub settings: Settings,
    /// The ReplicaSet with the Deployment's template, once there is one.
    pub new: Option<Arc<ReplicaSet>>,
    /// All others, oldest first.
    pub old: Vec<Arc<ReplicaSet>>,
}

impl Rollout {
    /// Tells the new one from the old by their templates. Where several have
    /// the Deployment's template, the oldest is the new one.
    pub fn of(spec: &DeploymentSpec, mut sets: Vec<Arc<ReplicaSet>>) -> Self {
        sets.sort_by(|a, b| age(a).cmp(&age(b)));
        let has_template = |set: &Arc<ReplicaSet>| {
            let own = set.spec.as_ref().and_then(|s| s.template.as_ref());
            own.is_some_and(|own| template::same(own, &spec.template))
        };
        let new = sets.iter().position(has_template).map(|at| sets.remove(at));
        Self {
            settings: Settings::of(spec),
            new,
            old: sets,
        }
    }

    /// All ReplicaSets, the new one last.
    pub fn all(&self) -> impl Iterator<Item = &Arc<ReplicaSet>> {
        self.old.iter().chain(&self.new)
    }

    /// Those that should have pods.
    pub fn active(&self) -> impl Iterator<Item = &Arc<ReplicaSet>> {
        self.all().filter(|set| size(set) > 0)
    }

    /// Takes over what has become of one of them.
    pub fn update(&mut self, set: Arc<ReplicaSet>) {
        let known = self.old.iter_mut().chain(&mut self.new);
        for place in known.filter(|known| known.metadata.uid == set.metadata.uid) {
            *place = set.clone();
        }
    }
}

/// By age, then by name, as Kubernetes orders them.
pub fn age(set: &ReplicaSet) -> impl Ord + '_ {
    let created = set.metadata.creation_timestamp.as_ref();
    (created.map(|t| t.0), &set.metadata.name)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{deployment, set};
    use super::*;

    #[test]
    fn the_template_tells_which_is_new() {
        let deployment = deployment(3);
        let spec = deployment.spec.as_ref().unwrap();
        let other = |name, version| {
            let mut other = (*set(name, 1, 1)).clone();
            let template = other.spec.as_mut().unwrap().template.as_mut().unwrap();
            template.spec.as_mut().unwrap().containers[0].image = Some(version);
            Arc::new(other)
        };
        let sets = vec![
            set("web-b", 1, 1),
            set("web-a", 2, 1),
            other("web-c", "app:0".into()),
        ];
        let rollout = Rollout::of(spec, sets.clone());
        assert_eq!(rollout.new, Some(set("web-a", 2, 1)), "the first of equals");
        assert_eq!(rollout.old.len(), 2);
        assert_eq!(total(rollout.all(), size), 4);
        let none = Rollout::of(spec, vec![other("web-c", "app:0".into())]);
        assert_eq!(none.new, None);
    }
}
