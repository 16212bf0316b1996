//! Notices what happens to containers: from the runtime's events where it has
//! them, else by comparing its lists once a second while anything runs.

use crate::cri::{self, ContainerState, PodSandboxState, labels};
use futures_util::StreamExt;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;
use tokio::sync::{Notify, mpsc, oneshot};

/// How often lists are compared while something runs.
const PERIOD: Duration = Duration::from_secs(1);
/// How often when nothing should happen unnoticed.
const SLOW_PERIOD: Duration = Duration::from_secs(60);

/// Whose a sandbox or container is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// UID of the pod.
    pub uid: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Seconds it has to stop.
    pub grace: Option<i64>,
}

/// Something happened to a pod's sandbox or containers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodLifecycleEvent {
    /// UID of the pod.
    pub uid: String,
    /// Who it is, if there is still something of it.
    pub identity: Option<Identity>,
}

/// States of one pod's sandboxes and containers by their ids.
type States = BTreeMap<String, i32>;

/// What a comparison of lists starts from.
#[derive(Default)]
struct Snapshot {
    pods: HashMap<String, (Identity, States)>,
    running: bool,
}

impl Snapshot {
    fn note(
        &mut self,
        labels: &BTreeMap<String, String>,
        annotations: &BTreeMap<String, String>,
        id: &str,
        state: i32,
    ) {
        let label = |name: &str| labels.get(name).cloned().unwrap_or_default();
        let uid = label(labels::POD_UID);
        if uid.is_empty() {
            return;
        }
        let grace = annotations.get(labels::POD_GRACE_PERIOD);
        let entry = self.pods.entry(uid.clone()).or_insert_with(|| {
            let identity = Identity {
                uid,
                namespace: label(labels::POD_NAMESPACE),
                name: label(labels::POD_NAME),
                grace: grace.and_then(|g| g.parse().ok()),
            };
            (identity, States::new())
        });
        entry.1.insert(id.to_owned(), state);
    }
}

async fn look(runtime: &dyn cri::Runtime) -> Result<Snapshot, cri::Error> {
    let (sandboxes, containers) = tokio::try_join!(
        runtime.list_sandboxes(BTreeMap::new()),
        runtime.list_containers(BTreeMap::new())
    )?;
    let mut snapshot = Snapshot::default();
    for s in &sandboxes {
        snapshot.running |= s.state == i32::from(PodSandboxState::SandboxReady);
        // Apart from any state of a container.
        snapshot.note(&s.labels, &s.annotations, &s.id, 100 + s.state);
    }
    for c in &containers {
        snapshot.running |= c.state == i32::from(ContainerState::ContainerRunning);
        snapshot.note(&c.labels, &c.annotations, &c.id, c.state);
    }
    Ok(snapshot)
}

/// Pods that differ between two looks.
fn compare(old: &Snapshot, new: &Snapshot) -> Vec<PodLifecycleEvent> {
    let uids: BTreeSet<&String> = old.pods.keys().chain(new.pods.keys()).collect();
    uids.into_iter()
        .filter(|uid| old.pods.get(*uid).map(|p| &p.1) != new.pods.get(*uid).map(|p| &p.1))
        .map(|uid| PodLifecycleEvent {
            uid: uid.clone(),
            identity: new.pods.get(uid).map(|p| p.0.clone()),
        })
        .collect()
}

/// Tells of everything that happens until the receiver is gone. `nudge` says
/// that something runs now; `first` is told when all that is there
/// has been told.
pub async fn run(
    runtime: cri::Handle,
    nudge: std::sync::Arc<Notify>,
    happenings: mpsc::UnboundedSender<PodLifecycleEvent>,
    mut first: Option<oneshot::Sender<()>>,
) {
    let mut known = Snapshot::default();
    let mut events = None;
    let mut supported = true;
    loop {
        if events.is_none() && supported {
            match runtime.events().await {
                Ok(stream) => events = Some(stream),
                Err(error) => supported = error.code != tonic::Code::Unimplemented,
            }
        }
        match look(runtime.as_ref()).await {
            Ok(new) => {
                for happening in compare(&known, &new) {
                    if happenings.send(happening).is_err() {
                        return;
                    }
                }
                known = new;
                if let Some(first) = first.take() {
                    let _ = first.send(());
                }
            }
            Err(error) => tracing::debug!(%error, "cannot look at what runs"),
        }
        let period = match (&events, known.running) {
            (None, true) => PERIOD,
            _ => SLOW_PERIOD,
        };
        let next = async {
            match &mut events {
                Some(stream) => stream.next().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = tokio::time::sleep(period) => {}
            () = nudge.notified() => {}
            event = next => match event {
                Some(Ok(_)) => {}
                // Runtimes that don't have events tell so at the first one.
                Some(Err(error)) => {
                    supported = error.code != tonic::Code::Unimplemented;
                    events = None;
                    tokio::time::sleep(PERIOD).await;
                }
                None => {
                    events = None;
                    tokio::time::sleep(PERIOD).await;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(states: &[(&str, &str, i32)]) -> Snapshot {
        let mut snapshot = Snapshot::default();
        for (uid, id, state) in states {
            let labels = BTreeMap::from([(labels::POD_UID.to_owned(), (*uid).to_owned())]);
            snapshot.note(&labels, &BTreeMap::new(), id, *state);
        }
        snapshot
    }

    #[test]
    fn pods_that_changed_are_told() {
        let old = snapshot(&[("a", "1", 1), ("b", "2", 1), ("c", "3", 1)]);
        let new = snapshot(&[("a", "1", 1), ("b", "2", 2), ("d", "4", 0)]);
        let told: Vec<_> = compare(&old, &new)
            .into_iter()
            .map(|h| (h.uid, h.identity.is_some()))
            .collect();
        let expected = [("b", true), ("c", false), ("d", true)];
        assert_eq!(told, expected.map(|(uid, there)| (uid.to_owned(), there)));
    }
}
