//! One of the control planes that are compared: an etcd, an API server and, where it is
//! wanted, a scheduler.

use super::authority::Authority;
use super::binaries::Binaries;
use super::child::{Process, free_port};
use super::etcd::Etcd;
use crate::api::{Api, Call};
use crate::failure::Failure;
use crate::process::{Cost, Sampler};
use crate::target::Target;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::Instant;

/// How long an API server may take until it is ready.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks: how exact the time is.
const LOOK: Duration = Duration::from_millis(5);

/// A control plane. Its processes and its folder end with the value, in this order.
pub struct Side {
    scheduler: Option<Process>,
    apiserver: Process,
    ready: Ready,
    etcd: Etcd,
    authority: Authority,
    kubeconfig: PathBuf,
    port: u16,
    _folder: TempDir,
}

/// What an API server took until it was ready.
#[derive(Debug, Clone)]
pub struct Ready {
    /// Time from when its program was started.
    pub after: Duration,
    /// CPU and memory up to then.
    pub cost: Option<Cost>,
}

impl Side {
    /// Starts an API server on an etcd of its own, and waits until it is ready.
    ///
    /// # Errors
    /// If a program is missing or ends, with what it said last.
    pub async fn start(binaries: &Binaries) -> Result<Self, Failure> {
        let folder = TempDir::with_prefix("hardway-load-").map_err(|error| {
            let way_out = "TMPDIR names another place for it";
            Failure::new("make a folder", error, way_out)
        })?;
        let authority = Authority::create(folder.path())?;
        let etcd = Etcd::start(&authority).await?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let port = free_port()?;
            let kubeconfig = authority.kubeconfig("admin", port)?;
            let target = Target::read(Some(&kubeconfig), None).await?;
            let began = Instant::now();
            let mut apiserver = start_apiserver(binaries, &authority, &etcd, port)?;
            match ready(&mut apiserver, target, began).await {
                Ok(ready) => {
                    return Ok(Self {
                        scheduler: None,
                        apiserver,
                        ready,
                        etcd,
                        authority,
                        kubeconfig,
                        port,
                        _folder: folder,
                    });
                }
                // Another process may have taken the port meanwhile.
                Err(failure) if !apiserver.last_lines().contains("in use") => return Err(failure),
                Err(failure) if Instant::now() > deadline => return Err(failure),
                Err(_) => {}
            }
        }
    }

    /// Ends the API server without a word and starts it once more on the same etcd, and waits
    /// until it is ready.
    ///
    /// # Errors
    /// If it ends, with what it said last.
    pub async fn restart(&mut self, binaries: &Binaries) -> Result<(), Failure> {
        let target = self.target().await?;
        self.apiserver.stop();
        let began = Instant::now();
        self.apiserver = start_apiserver(binaries, &self.authority, &self.etcd, self.port)?;
        self.ready = ready(&mut self.apiserver, target, began).await?;
        Ok(())
    }

    /// What the API server took until it was ready, the last time that it was started.
    pub fn ready(&self) -> &Ready {
        &self.ready
    }

    /// Starts the scheduler beside it.
    ///
    /// # Errors
    /// If the folder has none, or it can't be started.
    pub fn start_scheduler(&mut self, binaries: &Binaries) -> Result<(), Failure> {
        let program = binaries.scheduler.as_ref().ok_or_else(|| {
            let why = "there is none in the folder of the API server";
            let way_out = "build it or copy it there";
            Failure::new("start a scheduler", why, way_out)
        })?;

        let kubeconfig = self.authority.kubeconfig("scheduler", self.port)?;
        let ca = self.authority.file("ca.crt");
        let arguments = binaries.scheduler_arguments(&kubeconfig, &ca, free_port()?);
        let folder = self.authority.file("");
        let process = Process::start("scheduler", program, &arguments, &folder)?;
        self.scheduler = Some(process);
        Ok(())
    }

    /// Fails if one of its processes has ended.
    ///
    /// # Errors
    /// If one has.
    pub fn check(&mut self) -> Result<(), Failure> {
        self.apiserver.check()?;
        self.scheduler.as_mut().map_or(Ok(()), Process::check)
    }

    /// The API server and its administrator.
    ///
    /// # Errors
    /// If the kubeconfig can't be read.
    pub async fn target(&self) -> Result<Target, Failure> {
        Target::read(Some(&self.kubeconfig), None).await
    }

    /// The API server and another user, whose certificate is made now.
    ///
    /// # Errors
    /// If the user's name can't be in a certificate.
    pub async fn target_of(&self, user: &str, groups: &[&str]) -> Result<Target, Failure> {
        let identity = self.authority.sign(user, groups)?;
        Target::of(self.authority.inline(&identity, self.port)?).await
    }

    /// Looks at the costs of its processes.
    pub fn sampler(&self) -> Sampler {
        let mut watched = vec![self.apiserver.watched(), self.etcd.watched()];
        watched.extend(self.scheduler.iter().map(Process::watched));
        Sampler::new(watched)
    }
}

fn start_apiserver(
    binaries: &Binaries,
    authority: &Authority,
    etcd: &Etcd,
    port: u16,
) -> Result<Process, Failure> {
    let arguments = binaries.apiserver_arguments(authority, &etcd.url(), port);
    let folder = authority.file("");
    Process::start("apiserver", &binaries.apiserver, &arguments, &folder)
}

/// Waits until an API server that was started then says that it is ready.
async fn ready(process: &mut Process, target: Target, began: Instant) -> Result<Ready, Failure> {
    let api = Api::new(Arc::new(target));
    loop {
        process.check()?;
        let said = match api.send(&Call::get("/readyz")).await {
            Ok(_) => {
                let sampler = Sampler::new(vec![process.watched()]);
                let mut costs = sampler.take().since_start(began.into_std());
                return Ok(Ready {
                    after: began.elapsed(),
                    cost: costs.pop(),
                });
            }
            Err(error) => error.to_string(),
        };
        if began.elapsed() > PATIENCE {
            let why = format!("{said}: {}", process.last_lines());
            let what = "wait for the API server to be ready";
            return Err(Failure::new(what, why, "is the machine very busy?"));
        }
        tokio::time::sleep(LOOK).await;
    }
}
