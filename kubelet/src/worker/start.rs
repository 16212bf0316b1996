//! Bringing sandboxes and containers up.

use super::decide::{Start, backoff_key};
use super::observed::Observed;
use super::{Error, Worker, now};
use crate::downward::Facts;
use crate::env::{self, ConfigError};
use crate::features;
use crate::hooks::Hooks;
use crate::security_context::Profiles;
use crate::volumes::Request;
use crate::{container, cri, dns, hosts, pod, qos, sandbox};
use hardway_client::steps::{self, Step};
use hardway_proto::Kind;
use k8s_openapi::api::core::v1::{Container, Pod};
use std::path::Path;
use std::time::Instant;

/// So often a name is tried that the runtime keeps for another sandbox, before the next number:
/// it may be at work on that one still.
const NAME_TRIES: u32 = 2;

/// Whether a sandbox's name is taken by one that isn't listed. containerd keeps it when the
/// kubelet dies while a sandbox is made and what there was of it can't be cleared away; only its
/// restart would give the name back (`failed to reserve sandbox name … is reserved for …`).
fn is_name_kept(error: &cri::Error) -> bool {
    error.message.contains("failed to reserve sandbox name")
}

/// A container that can't be started: reason and message for its status.
struct Trouble {
    reason: String,
    message: String,
    /// Whether an event has told it.
    told: bool,
}

impl Trouble {
    fn new(reason: &str, message: impl ToString) -> Self {
        Self {
            reason: reason.into(),
            message: message.to_string(),
            told: false,
        }
    }

    fn config(error: ConfigError) -> Self {
        Self::new("CreateContainerConfigError", error)
    }
}

impl Worker {
    /// Mounts the pod's volumes, if that wasn't done yet.
    async fn mount(&mut self, pod: &Pod) -> Result<(), Error> {
        if self.volumes.is_some() {
            return Ok(());
        }
        let begun = Instant::now();
        match self.context.volumes.mount(pod).await {
            Ok(paths) => {
                let step = Step::about(pod, "volumes").since(begun);
                steps::record(step.with("count", paths.len()));
                self.volumes = Some(paths);
                Ok(())
            }
            Err(error) => {
                let text = error.to_string();
                self.context
                    .pod_event(pod, true, "FailedMount", text.as_str());
                Err(Error::Told(text))
            }
        }
    }

    /// Brings the contents of volumes up to date when what they show changed.
    pub(super) async fn refresh_volumes(&mut self, pod: &Pod) {
        // A pod that ran on while this process was restarted has volumes too.
        let resumed = || self.failures == 0 && self.context.volumes.pod_dir(pod.uid()).exists();
        if (self.volumes.is_some() || resumed())
            && let Err(error) = self.context.volumes.refresh(pod).await
        {
            let text = error.to_string();
            self.context.pod_event(pod, true, "FailedMount", text);
        }
    }

    fn sandbox_config(&self, pod: &Pod, attempt: u32) -> cri::PodSandboxConfig {
        let context = &self.context;
        let names = hosts::names(pod, &context.cluster_domain);
        let (resolver, warnings) = dns::for_pod(pod, &context.dns);
        for warning in warnings {
            context.pod_event(pod, true, warning.reason, warning.message);
        }
        sandbox::config(
            pod,
            attempt,
            &names,
            resolver,
            &context.cgroups,
            &context.places,
        )
    }

    /// Tells why there is no sandbox.
    fn no_sandbox(&self, pod: &Pod, why: &dyn std::fmt::Display) -> Error {
        let text = format!("Failed to create pod sandbox: {why}");
        self.context
            .pod_event(pod, true, "FailedCreatePodSandBox", text.as_str());
        Error::Told(text)
    }

    /// Makes a sandbox, after all that it rests on.
    pub(super) async fn create_sandbox(&mut self, pod: &Pod, attempt: u32) -> Result<(), Error> {
        if let Err(why) = features::check_sandbox(pod) {
            return Err(self.no_sandbox(pod, &why));
        }
        self.mount(pod).await?;
        let attempt = attempt + self.names_refused / NAME_TRIES;
        let config = self.sandbox_config(pod, attempt);
        let context = &self.context;
        let prepared = context
            .cgroups
            .create(pod)
            .and_then(|()| std::fs::create_dir_all(&config.log_directory));
        prepared.map_err(|e| self.no_sandbox(pod, &e))?;
        self.cgroup = Some(qos::pod_resources(pod));
        let class = pod::spec(pod).runtime_class_name.as_deref();
        let handler = context.objects.runtime_handler(class).await;
        let handler = handler.map_err(|e| self.no_sandbox(pod, &e))?;
        let runtime = context.runtime.clone();
        let (begun, runtime_handler) = (Instant::now(), handler.clone());
        let call = async move { runtime.run_pod_sandbox(config, handler).await };
        let made = self.calls.whole(call).await;
        self.names_refused = match &made {
            Err(error) if is_name_kept(error) => self.names_refused + 1,
            _ => 0,
        };
        made.map_err(|e| self.no_sandbox(pod, &e))?;
        // The runtime has CNI plugins connect it, meanwhile.
        let step = Step::about(pod, "sandbox").since(begun);
        let step = step.with("attempt", attempt);
        steps::record(step.with("runtimeHandler", runtime_handler));
        context.nudge.notify_one();
        Ok(())
    }

    /// Starts a container; what goes wrong is told in its status and an event.
    pub(super) async fn start(
        &mut self,
        pod: &Pod,
        observed: &Observed,
        start: &Start,
    ) -> Result<(), Error> {
        let Some(container) = pod::container(pod, &start.name) else {
            return Ok(());
        };
        self.mount(pod).await?;
        let key = backoff_key(&container);
        if let Some(finished_at) = start.finished_at {
            self.backoff.started(&key, finished_at, now());
        }
        let (context, mail) = (self.context.clone(), self.mailbox.mail());
        let image = context.images.ensure(pod, &container);
        let started = match self.looking_on(&mail, image).await {
            Ok(image) => {
                self.try_start(pod, &container, image, observed, start)
                    .await
            }
            Err(error) => Err(Trouble {
                told: true,
                ..Trouble::new(error.reason, error.message)
            }),
        };
        match started {
            Ok(()) => {
                self.troubles.remove(&start.name);
                Ok(())
            }
            Err(trouble) => {
                if !trouble.told {
                    let text = format!("Error: {}", trouble.message);
                    self.context
                        .container_event(pod, &start.name, true, "Failed", text);
                }
                let text = format!("{}: {}: {}", start.name, trouble.reason, trouble.message);
                let note = (trouble.reason, trouble.message);
                self.troubles.insert(start.name.clone(), note);
                Err(Error::Told(text))
            }
        }
    }

    async fn try_start(
        &self,
        pod: &Pod,
        container: &Container,
        image_ref: String,
        observed: &Observed,
        start: &Start,
    ) -> Result<(), Trouble> {
        let context = &self.context;
        let name = &container.name;
        let sandbox = observed
            .ready_sandbox()
            .ok_or_else(|| Trouble::new("CreateContainerError", "the sandbox is gone"))?;
        let target = pod::target(pod, name).map(|target| {
            let found = observed.latest(target).map(|i| i.id.as_str());
            let missing = || ConfigError(format!("unable to find target container {target}"));
            found.ok_or_else(missing)
        });
        let target = target.transpose().map_err(Trouble::config)?;
        let image = context
            .runtime
            .image_status(&image_ref)
            .await
            .map_err(|e| Trouble::new("CreateContainerError", e.message))?;
        let host_ips = context.facts.host_ips.clone();
        let facts = Facts {
            pod_ips: if sandbox.host_network {
                host_ips
            } else {
                sandbox.ips.clone()
            },
            ..context.facts.clone()
        };
        let environment = env::build(pod, container, context.objects.as_ref(), &facts)
            .await
            .map_err(Trouble::config)?;
        let names = hosts::names(pod, &context.cluster_domain);
        let host_file = std::fs::read_to_string(&context.hosts_file).unwrap_or_default();
        let hosts = hosts::content(pod, &facts.pod_ips, &names, &host_file);
        let none = Default::default();
        let request = Request {
            pod,
            container,
            volumes: self.volumes.as_ref().unwrap_or(&none),
            environment: &environment,
            hosts: &hosts,
        };
        let mounts = context.volumes.container_mounts(&request);
        let mounts = mounts.map_err(Trouble::config)?;
        let devices = context.volumes.container_devices(&request);
        let devices = devices.map_err(Trouble::config)?;
        let config = container::config(container::Parts {
            pod,
            container,
            restart_count: start.restart_count,
            image_ref,
            image: image.as_ref(),
            environment,
            mounts,
            devices,
            memory_capacity: context.memory_capacity,
            cgroup: context.cgroups.of_container(),
            target,
            profiles: Profiles {
                seccomp: &context.places.seccomp,
                app_armor: context.app_armor,
            },
        })
        .map_err(Trouble::config)?;
        let sandbox_config = self.sandbox_config(pod, sandbox.attempt);
        let logs = Path::new(&sandbox_config.log_directory).join(name);
        std::fs::create_dir_all(&logs).map_err(|e| {
            Trouble::new("CreateContainerError", format!("{}: {e}", logs.display()))
        })?;
        let (runtime, of) = (context.runtime.clone(), sandbox.id.clone());
        let call = async move { runtime.create_container(&of, config, sandbox_config).await };
        let begun = Instant::now();
        let id = self
            .calls
            .whole(call)
            .await
            .map_err(|e| Trouble::new("CreateContainerError", e.message))?;
        let step = Step::about(pod, "created").since(begun);
        steps::record(step.with("container", name));
        context.container_event(
            pod,
            name,
            false,
            "Created",
            format!("Created container: {name}"),
        );
        let (runtime, started) = (context.runtime.clone(), id.clone());
        let call = async move { runtime.start_container(&started).await };
        let begun = Instant::now();
        self.calls
            .whole(call)
            .await
            .map_err(|e| Trouble::new("RunContainerError", e.message))?;
        let step = Step::about(pod, "started").since(begun);
        let step = step.with("container", name);
        steps::record(step.with("restarts", start.restart_count));
        context.container_event(
            pod,
            name,
            false,
            "Started",
            format!("Started container {name}"),
        );
        let ip = facts.pod_ips.first().map(String::as_str);
        self.post_start(pod, container, &id, ip.unwrap_or_default())
            .await
    }

    async fn post_start(
        &self,
        pod: &Pod,
        container: &Container,
        id: &str,
        ip: &str,
    ) -> Result<(), Trouble> {
        let context = &self.context;
        let hooks = Hooks {
            runtime: &context.runtime,
            recorder: &context.recorder,
            pod,
            container,
            id,
            ip,
        };
        let Err(error) = hooks.post_start().await else {
            return Ok(());
        };
        let name = &container.name;
        context.container_event(
            pod,
            name,
            false,
            "Killing",
            format!("Container {name} failed PostStartHook, will be restarted"),
        );
        let grace = std::time::Duration::from_secs(pod::grace_period(pod).unsigned_abs());
        if let Err(error) = context.runtime.stop_container(id, grace).await {
            tracing::warn!(pod = pod.name(), name, %error, "cannot be stopped");
        }
        Err(Trouble {
            told: true,
            ..Trouble::new("PostStartHookError", error)
        })
    }
}
