//! Sandboxes and containers of the fake runtime.

use super::*;
use parking_lot::Mutex;
use tokio::sync::watch;

/// What there is; everything that happens is counted, so tests can wait.
#[derive(Default)]
pub struct World {
    state: Mutex<State>,
    changes: watch::Sender<usize>,
}

#[derive(Default)]
struct State {
    sandboxes: Vec<PodSandboxStatus>,
    containers: Vec<(String, ContainerStatus)>,
    made: i64,
}

fn missing(id: &str) -> Error {
    Error {
        code: tonic::Code::NotFound,
        message: format!("{id}: not found"),
    }
}

fn carries(labels: &BTreeMap<String, String>, wanted: &BTreeMap<String, String>) -> bool {
    wanted.iter().all(|(k, v)| labels.get(k) == Some(v))
}

impl World {
    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let outcome = change(&mut self.state.lock());
        self.changes.send_modify(|count| *count += 1);
        outcome
    }

    pub fn run_sandbox(&self, config: PodSandboxConfig) -> String {
        self.change(|state| {
            state.made += 1;
            let id = format!("s{}", state.made);
            state.sandboxes.push(PodSandboxStatus {
                id: id.clone(),
                metadata: config.metadata,
                created_at: state.made,
                labels: config.labels,
                network: Some(api::PodSandboxNetworkStatus {
                    ip: "10.244.0.9".into(),
                    ..Default::default()
                }),
                ..Default::default()
            });
            id
        })
    }

    pub fn stop_sandbox(&self, id: &str) {
        self.change(|state| {
            for sandbox in state.sandboxes.iter_mut().filter(|s| s.id == id) {
                sandbox.state = PodSandboxState::SandboxNotready.into();
            }
        });
    }

    pub fn remove_sandbox(&self, id: &str) {
        self.change(|state| state.sandboxes.retain(|s| s.id != id));
    }

    pub fn sandbox(&self, id: &str) -> Result<PodSandboxStatus, Error> {
        let state = self.state.lock();
        let found = state.sandboxes.iter().find(|s| s.id == id);
        found.cloned().ok_or_else(|| missing(id))
    }

    pub fn sandboxes(&self, labels: &BTreeMap<String, String>) -> Vec<PodSandbox> {
        let state = self.state.lock();
        let found = state
            .sandboxes
            .iter()
            .filter(|s| carries(&s.labels, labels));
        found
            .map(|s| PodSandbox {
                id: s.id.clone(),
                state: s.state,
                labels: s.labels.clone(),
                ..Default::default()
            })
            .collect()
    }

    pub fn create(&self, sandbox: &str, config: ContainerConfig) -> String {
        self.change(|state| {
            state.made += 1;
            let id = format!("c{}", state.made);
            let status = ContainerStatus {
                id: id.clone(),
                metadata: config.metadata,
                created_at: state.made,
                labels: config.labels,
                annotations: config.annotations,
                mounts: config.mounts,
                ..Default::default()
            };
            state.containers.push((sandbox.to_owned(), status));
            id
        })
    }

    pub fn start(&self, id: &str) {
        self.change(|state| {
            for (_, container) in state.containers.iter_mut().filter(|(_, c)| c.id == id) {
                container.state = ContainerState::ContainerRunning.into();
                container.started_at = container.created_at;
            }
        });
    }

    /// A container ends with this code, if it runs.
    pub fn end(&self, id: &str, code: i32) {
        self.change(|state| {
            let running = i32::from(ContainerState::ContainerRunning);
            let mut all = state.containers.iter_mut();
            if let Some((_, c)) = all.find(|(_, c)| c.id == id && c.state == running) {
                c.state = ContainerState::ContainerExited.into();
                c.exit_code = code;
                c.finished_at = c.started_at + 1;
            }
        });
    }

    pub fn remove(&self, id: &str) {
        self.change(|state| state.containers.retain(|(_, c)| c.id != id));
    }

    pub fn container(&self, id: &str) -> Result<ContainerStatus, Error> {
        let state = self.state.lock();
        let found = state.containers.iter().find(|(_, c)| c.id == id);
        found.map(|(_, c)| c.clone()).ok_or_else(|| missing(id))
    }

    pub fn containers(&self, labels: &BTreeMap<String, String>) -> Vec<Container> {
        let state = self.state.lock();
        let found = state.containers.iter();
        found
            .filter(|(_, c)| carries(&c.labels, labels))
            .map(|(sandbox, c)| Container {
                id: c.id.clone(),
                pod_sandbox_id: sandbox.clone(),
                state: c.state,
                labels: c.labels.clone(),
                ..Default::default()
            })
            .collect()
    }

    /// Waits until `condition` holds of what runs: names of containers.
    pub async fn until(&self, condition: impl Fn(&[String]) -> bool) {
        let mut changes = self.changes.subscribe();
        let check = |_: &usize| {
            let state = self.state.lock();
            let running = i32::from(ContainerState::ContainerRunning);
            let names: Vec<String> = state
                .containers
                .iter()
                .filter(|(_, c)| c.state == running)
                .filter_map(|(_, c)| c.labels.get(labels::CONTAINER_NAME).cloned())
                .collect();
            // The condition may look around for itself.
            drop(state);
            condition(&names)
        };
        let patience = Duration::from_secs(10);
        let waiting = changes.wait_for(check);
        let waited = tokio::time::timeout(patience, waiting).await;
        waited.expect("in time").expect("the world goes on");
    }
}
