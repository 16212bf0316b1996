//! Which cgroup is whose: pods, their sandboxes and containers that run now.

use crate::cri::{Container, ContainerState, PodSandbox, PodSandboxState, labels};
use std::collections::{BTreeMap, HashMap};

/// A pod that runs, and its cgroups.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodEntry {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// The cgroup that all of it is in.
    pub path: String,
    /// What holds its network.
    pub sandbox: Option<Entry>,
    /// Its containers, by their names.
    pub containers: Vec<Entry>,
}

/// A sandbox or a container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// The container's name; empty for a sandbox.
    pub name: String,
    /// What the runtime calls it.
    pub id: String,
    /// The image.
    pub image: String,
    /// Its cgroup.
    pub path: String,
    /// When it was made, in nanoseconds since the epoch.
    pub created: i64,
}

/// Puts together what the runtime runs and the paths of pods' cgroups by UID. A pod without
/// one is left out: nothing can be said of it.
pub fn pods(
    paths: &HashMap<String, String>,
    sandboxes: Vec<PodSandbox>,
    containers: Vec<Container>,
) -> Vec<PodEntry> {
    let label = |all: &BTreeMap<String, String>, name: &str| all.get(name).cloned();
    let mut pods: BTreeMap<String, PodEntry> = BTreeMap::new();
    for sandbox in sandboxes {
        let Some(uid) = label(&sandbox.labels, labels::POD_UID) else {
            continue;
        };
        let Some(path) = paths.get(&uid) else {
            continue;
        };
        if sandbox.state != i32::from(PodSandboxState::SandboxReady) {
            continue;
        }
        let entry = Entry {
            path: format!("{path}/{}", sandbox.id),
            id: sandbox.id,
            created: sandbox.created_at,
            ..Entry::default()
        };
        let pod = pods.entry(uid.clone()).or_insert_with(|| PodEntry {
            namespace: label(&sandbox.labels, labels::POD_NAMESPACE).unwrap_or_default(),
            name: label(&sandbox.labels, labels::POD_NAME).unwrap_or_default(),
            path: path.clone(),
            uid,
            ..PodEntry::default()
        });
        if pod
            .sandbox
            .as_ref()
            .is_none_or(|s| s.created < entry.created)
        {
            pod.sandbox = Some(entry);
        }
    }
    for container in containers {
        let name = label(&container.labels, labels::CONTAINER_NAME);
        let uid = label(&container.labels, labels::POD_UID);
        let (Some(name), Some(uid)) = (name, uid) else {
            continue;
        };
        let Some(pod) = pods.get_mut(&uid) else {
            continue;
        };
        if container.state != i32::from(ContainerState::ContainerRunning) {
            continue;
        }
        let image = container.image.unwrap_or_default();
        pod.containers.push(Entry {
            name,
            path: format!("{}/{}", pod.path, container.id),
            id: container.id,
            image: match image.user_specified_image.is_empty() {
                true => image.image,
                false => image.user_specified_image,
            },
            created: container.created_at,
        });
    }
    let mut pods: Vec<PodEntry> = pods.into_values().collect();
    for pod in &mut pods {
        pod.containers.sort_by(|a, b| a.name.cmp(&b.name));
    }
    pods.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
    pods
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_runs_is_found_below_its_pod() {
        let of = |uid: &str, container: &str| {
            let mut all = BTreeMap::from([
                (labels::POD_UID.to_owned(), uid.to_owned()),
                (labels::POD_NAME.to_owned(), format!("pod-{uid}")),
                (labels::POD_NAMESPACE.to_owned(), "shop".to_owned()),
            ]);
            if !container.is_empty() {
                all.insert(labels::CONTAINER_NAME.to_owned(), container.to_owned());
            }
            all
        };
        let sandbox = |uid: &str, id: &str, ready: bool, created_at| PodSandbox {
            id: id.into(),
            labels: of(uid, ""),
            state: match ready {
                true => PodSandboxState::SandboxReady.into(),
                false => PodSandboxState::SandboxNotready.into(),
            },
            created_at,
            ..PodSandbox::default()
        };
        let container = |uid: &str, name: &str, id: &str, state: ContainerState| Container {
            id: id.into(),
            labels: of(uid, name),
            state: state.into(),
            created_at: 9,
            ..Container::default()
        };
        let paths = HashMap::from([("a".to_owned(), "/kubepods/burstable/poda".to_owned())]);
        let pods = pods(
            &paths,
            vec![
                sandbox("a", "old", true, 1),
                sandbox("a", "new", true, 2),
                sandbox("a", "dead", false, 3),
                sandbox("b", "elsewhere", true, 1),
            ],
            vec![
                container("a", "web", "w", ContainerState::ContainerRunning),
                container("a", "db", "d", ContainerState::ContainerRunning),
                container("a", "init", "i", ContainerState::ContainerExited),
                container("b", "x", "x", ContainerState::ContainerRunning),
            ],
        );
        assert_eq!(pods.len(), 1);
        let pod = &pods[0];
        assert_eq!(
            (pod.namespace.as_str(), pod.name.as_str()),
            ("shop", "pod-a")
        );
        assert_eq!(pod.sandbox.as_ref().unwrap().id, "new");
        let paths: Vec<&str> = pod.containers.iter().map(|c| c.path.as_str()).collect();
        assert_eq!(
            paths,
            ["/kubepods/burstable/poda/d", "/kubepods/burstable/poda/w"]
        );
    }
}
