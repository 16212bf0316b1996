//! Images: pulled when a container needs them, removed when the disk fills.

mod backoff;
mod credentials;
pub mod gc;
mod reference;

use crate::cri;
use crate::objects::Objects;
use crate::pod;
use backoff::Backoff;
use hardway_client::events::{EventType, Recorder};
use hardway_client::steps::{self, Step};
use hardway_proto::Kind;
use k8s_openapi::api::core::v1::{Container, Pod};
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

/// Pulls at the same time, unless configured otherwise.
pub const PARALLEL_PULLS: usize = 5;

/// Why a container waits for its image: the reason and message of its state.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// E.g. `ErrImagePull`.
    pub reason: &'static str,
    /// For people.
    pub message: String,
}

/// The name of the image that sandboxes are made of, if the runtime says.
pub async fn sandbox_image(runtime: &dyn cri::Runtime) -> Option<String> {
    let info = runtime.info().await.ok()?;
    let config: serde_json::Value = serde_json::from_str(info.get("config")?).ok()?;
    Some(config["sandboxImage"].as_str()?.to_owned())
}

/// Makes images present.
pub struct Puller {
    runtime: cri::Handle,
    recorder: Recorder,
    objects: Arc<dyn Objects>,
    slots: Semaphore,
    backoff: Mutex<Backoff>,
}

impl Puller {
    /// `parallel` bounds how many images are pulled at once.
    pub fn new(
        runtime: cri::Handle,
        recorder: Recorder,
        objects: Arc<dyn Objects>,
        parallel: usize,
    ) -> Self {
        Self {
            runtime,
            recorder,
            objects,
            slots: Semaphore::new(parallel.max(1)),
            backoff: Mutex::default(),
        }
    }

    /// Makes the container's image present as its pull policy says; answers
    /// the runtime's reference to it. Events tell what happens.
    pub async fn ensure(&self, pod: &Pod, container: &Container) -> Result<String, Error> {
        let begun = Instant::now();
        let outcome = self.ensure_quietly(pod, container).await;
        let step = Step::about(pod, "image")
            .since(begun)
            .with("container", &container.name)
            .with("image", container.image.as_deref().unwrap_or_default());
        steps::record(match &outcome {
            Ok(_) => step,
            Err(error) => step.with("error", error.reason),
        });
        if let Err(error) = &outcome {
            let text = format!("Error: {}", error.reason);
            self.event(pod, container, EventType::Warning, "Failed", text);
        }
        outcome
    }

    async fn ensure_quietly(&self, pod: &Pod, container: &Container) -> Result<String, Error> {
        let wanted = container.image.as_deref().unwrap_or_default();
        let warn = |reason: &str, text: &str| {
            self.event(pod, container, EventType::Warning, reason, text.to_owned());
        };
        let image = reference::with_default_tag(wanted).map_err(|why| {
            let message = format!("Failed to apply default image tag {wanted:?}: {why}");
            warn("InspectFailed", &message);
            Error {
                reason: "InvalidImageName",
                message,
            }
        })?;
        let present = self.runtime.image_status(&image).await.map_err(|why| {
            let message = format!("Failed to inspect image {wanted:?}: {why}");
            warn("InspectFailed", &message);
            Error {
                reason: "ImageInspectError",
                message,
            }
        })?;
        let policy = container.image_pull_policy.as_deref();
        match (policy.unwrap_or("IfNotPresent"), present) {
            ("Always", _) | ("IfNotPresent", None) => self.pull(pod, container, &image).await,
            (_, Some(present)) => {
                let text = format!("Container image {wanted:?} already present on machine");
                self.event(pod, container, EventType::Normal, "Pulled", text);
                Ok(present.id)
            }
            (_, None) => {
                let message =
                    format!("Container image {wanted:?} is not present with pull policy of Never");
                warn("ErrImageNeverPull", &message);
                Err(Error {
                    reason: "ErrImageNeverPull",
                    message,
                })
            }
        }
    }

    async fn pull(&self, pod: &Pod, container: &Container, image: &str) -> Result<String, Error> {
        let wanted = container.image.as_deref().unwrap_or_default();
        let normal = |reason: &str, text: String| {
            self.event(pod, container, EventType::Normal, reason, text);
        };
        let key = format!("{}_{wanted}", pod.uid());
        if let Some(last) = self.backoff.lock().waits(&key, Instant::now()) {
            let text = format!("Back-off pulling image {wanted:?}");
            normal("BackOff", text.clone());
            return Err(Error {
                reason: "ImagePullBackOff",
                message: format!("{text}: {last}"),
            });
        }
        normal("Pulling", format!("Pulling image {wanted:?}"));
        let asked = Instant::now();
        let slot = self.slots.acquire().await;
        let began = Instant::now();
        let pulled = self.pull_with_credentials(pod, image).await;
        drop(slot);
        match pulled {
            Ok(reference) => {
                let (took, waited) = (began.elapsed(), asked.elapsed());
                let step = Step::about(pod, "pulled").took(took);
                steps::record(step.with("image", wanted));
                self.backoff.lock().succeeded(&key);
                normal(
                    "Pulled",
                    format!(
                        "Successfully pulled image {wanted:?} in {} ({} including waiting). Image size: {} bytes.",
                        go_duration(took),
                        go_duration(waited),
                        self.size_of(&reference).await
                    ),
                );
                Ok(reference)
            }
            Err(error) => {
                let text = format!("Failed to pull image {wanted:?}: {error}");
                self.event(pod, container, EventType::Warning, "Failed", text);
                let told = format!("ErrImagePull: {error}");
                self.backoff.lock().failed(key, told, Instant::now());
                Err(Error {
                    reason: "ErrImagePull",
                    message: error.to_string(),
                })
            }
        }
    }

    async fn size_of(&self, reference: &str) -> u64 {
        let image = self.runtime.image_status(reference).await;
        image.ok().flatten().map_or(0, |image| image.size)
    }

    /// Tries each of the credentials that fit the image, or none if none fit.
    async fn pull_with_credentials(&self, pod: &Pod, image: &str) -> Result<String, cri::Error> {
        let mut keyring = Vec::new();
        for reference in pod::spec(pod).image_pull_secrets.iter().flatten() {
            match self.objects.secret(pod.namespace(), &reference.name).await {
                Ok(secret) => keyring.extend(credentials::of_secret(&secret)),
                Err(error) => {
                    let (pod, secret) = (pod::full_name(pod), &reference.name);
                    tracing::warn!(pod, secret, %error, "cannot use imagePullSecret");
                }
            }
        }
        let fitting = credentials::fitting(&keyring, image);
        if fitting.is_empty() {
            return self.runtime.pull_image(image, None).await;
        }
        let mut outcome = None;
        for auth in fitting {
            match self.runtime.pull_image(image, Some(auth)).await {
                Ok(reference) => return Ok(reference),
                failed => outcome = Some(failed),
            }
        }
        outcome.expect("there was at least one attempt")
    }

    fn event(
        &self,
        pod: &Pod,
        container: &Container,
        kind: EventType,
        reason: &str,
        message: String,
    ) {
        let object = pod::container_reference(pod, &container.name);
        self.recorder.event(object, kind, reason, message);
    }
}

/// A duration as Go prints it, to the millisecond.
fn go_duration(duration: Duration) -> String {
    let millis = duration.as_millis();
    if millis < 1000 {
        return format!("{millis}ms");
    }
    let (minutes, millis) = (millis / 60_000, millis % 60_000);
    let seconds = format!("{}.{:03}", millis / 1000, millis % 1000);
    let seconds = seconds.trim_end_matches('0').trim_end_matches('.');
    match minutes {
        0 => format!("{seconds}s"),
        _ => format!("{minutes}m{seconds}s"),
    }
}

#[cfg(test)]
mod tests;
