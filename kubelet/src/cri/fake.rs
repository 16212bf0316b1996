//! A runtime for tests: images, commands, sandboxes and containers behave as
//! told, the rest refuses.

use super::fake_world::World;
use super::*;
use futures_util::FutureExt;
use parking_lot::Mutex;
use std::collections::{HashMap, HashSet};
use tokio::sync::watch;

/// Behaves as its fields say and notes what was asked of it.
#[derive(Default)]
pub struct Fake {
    exits: Mutex<HashMap<Vec<String>, i32>>,
    execs: Mutex<Vec<Vec<String>>>,
    exec_count: watch::Sender<usize>,
    pub images: Mutex<Vec<Image>>,
    /// What a pull of an image answers; `Ok` adds the image.
    pub pulls: Mutex<HashMap<String, Result<(), Error>>>,
    /// Images pulled, with the user name shown to the registry.
    pub pulled: Mutex<Vec<(String, Option<String>)>>,
    pub reopened: Mutex<Vec<String>>,
    /// What the runtime tells of itself, by topic.
    pub info: Mutex<BTreeMap<String, String>>,
    /// What was changed of containers, by id.
    pub resized: Mutex<Vec<(String, LinuxContainerResources)>>,
    /// Containers, by id, of which nothing can be changed.
    pub resizes_refused: Mutex<HashSet<String>>,
    /// How many changes of containers were asked for, the refused ones with them.
    pub resizes_asked: watch::Sender<usize>,
    /// What containers use; without it the runtime refuses to tell.
    pub stats: Mutex<Option<Vec<ContainerStats>>>,
    /// Starts of containers wait until this says true.
    pub starts_held: Mutex<Option<watch::Receiver<bool>>>,
    /// How many starts have begun.
    pub starts_begun: watch::Sender<usize>,
    /// The containers whose starts were not given up.
    pub started: Mutex<Vec<String>>,
    /// Attempts whose names a runtime keeps that was left while it made them.
    pub names_held: Mutex<HashSet<u32>>,
    pub world: World,
}

fn refuse<T: Send + 'static>() -> Call<'static, T> {
    let message = "the fake runtime can't do that".into();
    let code = tonic::Code::Unimplemented;
    async move { Err(Error { code, message }) }.boxed()
}

fn ready<T: Send + 'static>(value: T) -> Call<'static, T> {
    async move { Ok(value) }.boxed()
}

impl Fake {
    /// From now on a command ends with this code; unknown ones with 0.
    pub fn exits(&self, command: &[&str], code: i32) {
        let command = command.iter().map(|c| c.to_string()).collect();
        self.exits.lock().insert(command, code);
    }

    /// Commands run so far.
    pub fn execs(&self) -> Vec<Vec<String>> {
        self.execs.lock().clone()
    }

    pub async fn wait_for_execs(&self, count: usize) {
        let mut seen = self.exec_count.subscribe();
        seen.wait_for(|seen| *seen >= count).await.unwrap();
    }

    pub fn add_image(&self, id: &str, tag: &str, size: u64) {
        self.images.lock().push(Image {
            id: id.into(),
            repo_tags: vec![tag.into()],
            size,
            ..Default::default()
        });
    }
}

impl Runtime for Fake {
    fn version(&self) -> Call<'_, VersionResponse> {
        refuse()
    }
    fn status(&self) -> Call<'_, RuntimeStatus> {
        refuse()
    }
    fn info(&self) -> Call<'_, BTreeMap<String, String>> {
        ready(self.info.lock().clone())
    }
    fn run_pod_sandbox(&self, config: PodSandboxConfig, _: String) -> Call<'_, String> {
        let attempt = config.metadata.as_ref().map_or(0, |m| m.attempt);
        if self.names_held.lock().contains(&attempt) {
            // containerd's words.
            let message = format!(
                "failed to reserve sandbox name \"web_ns_u1_{attempt}\": name \"web_ns_u1_{attempt}\" is reserved for \"68729d\""
            );
            let code = tonic::Code::Unknown;
            return async move { Err(Error { code, message }) }.boxed();
        }
        ready(self.world.run_sandbox(config))
    }
    fn stop_pod_sandbox(&self, id: &str) -> Call<'_, ()> {
        self.world.stop_sandbox(id);
        ready(())
    }
    fn remove_pod_sandbox(&self, id: &str) -> Call<'_, ()> {
        self.world.remove_sandbox(id);
        ready(())
    }
    fn sandbox_status(&self, id: &str) -> Call<'_, PodSandboxStatus> {
        std::future::ready(self.world.sandbox(id)).boxed()
    }
    fn list_sandboxes(&self, labels: BTreeMap<String, String>) -> Call<'_, Vec<PodSandbox>> {
        ready(self.world.sandboxes(&labels))
    }
    fn create_container(
        &self,
        sandbox: &str,
        config: ContainerConfig,
        _: PodSandboxConfig,
    ) -> Call<'_, String> {
        ready(self.world.create(sandbox, config))
    }
    fn start_container(&self, id: &str) -> Call<'_, ()> {
        let (id, held) = (id.to_owned(), self.starts_held.lock().clone());
        async move {
            self.starts_begun.send_modify(|count| *count += 1);
            if let Some(mut held) = held {
                let _ = held.wait_for(|go| *go).await;
            }
            self.world.start(&id);
            self.started.lock().push(id);
            Ok(())
        }
        .boxed()
    }
    fn stop_container(&self, id: &str, _: Duration) -> Call<'_, ()> {
        self.world.end(id, 143);
        ready(())
    }
    fn remove_container(&self, id: &str) -> Call<'_, ()> {
        self.world.remove(id);
        ready(())
    }
    fn list_containers(&self, labels: BTreeMap<String, String>) -> Call<'_, Vec<Container>> {
        ready(self.world.containers(&labels))
    }
    fn container_status(&self, id: &str) -> Call<'_, ContainerStatus> {
        std::future::ready(self.world.container(id)).boxed()
    }
    fn update_resources(&self, id: &str, resources: LinuxContainerResources) -> Call<'_, ()> {
        let refused = self.resizes_refused.lock().contains(id);
        if !refused {
            self.resized.lock().push((id.to_owned(), resources));
        }
        self.resizes_asked.send_modify(|count| *count += 1);
        if refused { refuse() } else { ready(()) }
    }
    fn reopen_container_log(&self, id: &str) -> Call<'_, ()> {
        self.reopened.lock().push(id.into());
        ready(())
    }

    fn exec_sync(&self, _: &str, command: Vec<String>, _: Duration) -> Call<'_, ExecSyncResponse> {
        let exit_code = self.exits.lock().get(&command).copied().unwrap_or_default();
        self.execs.lock().push(command);
        self.exec_count.send_modify(|count| *count += 1);
        ready(ExecSyncResponse {
            exit_code,
            ..Default::default()
        })
    }
    fn exec(&self, _: &str, _: Vec<String>, _: Streams) -> Call<'_, String> {
        refuse()
    }
    fn attach(&self, _: &str, _: Streams) -> Call<'_, String> {
        refuse()
    }
    fn port_forward(&self, _: &str, _: Vec<i32>) -> Call<'_, String> {
        refuse()
    }

    fn container_stats(&self) -> Call<'_, Vec<ContainerStats>> {
        match self.stats.lock().clone() {
            Some(stats) => ready(stats),
            None => refuse(),
        }
    }
    fn update_pod_cidr(&self, _: &str) -> Call<'_, ()> {
        ready(())
    }
    fn events(&self) -> Call<'_, Events> {
        refuse()
    }

    fn list_images(&self) -> Call<'_, Vec<Image>> {
        ready(self.images.lock().clone())
    }
    fn image_status(&self, image: &str) -> Call<'_, Option<Image>> {
        let images = self.images.lock();
        let found = images
            .iter()
            .find(|i| i.id == image || i.repo_tags.iter().any(|t| t == image));
        ready(found.cloned())
    }
    fn pull_image(&self, image: &str, auth: Option<AuthConfig>) -> Call<'_, String> {
        let user = auth.map(|a| a.username);
        self.pulled.lock().push((image.into(), user));
        let outcome = self.pulls.lock().get(image).cloned().unwrap_or(Ok(()));
        if outcome.is_ok() {
            self.add_image(&format!("sha256:{image}"), image, 42);
        }
        let id = format!("sha256:{image}");
        async move { outcome.map(|()| id) }.boxed()
    }
    fn remove_image(&self, image: &str) -> Call<'_, ()> {
        self.images.lock().retain(|i| i.id != image);
        ready(())
    }
    fn image_fs_info(&self) -> Call<'_, Vec<FilesystemUsage>> {
        ready(Vec::new())
    }
}
