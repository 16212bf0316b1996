//! Makes it so: from a website to what it should have, through the API.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use jiff::Timestamp;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Service};
use kube::api::{Patch, PatchParams};
use kube::runtime::controller::Action;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::runtime::reflector::Store;
use kube::runtime::{Controller, finalizer, watcher};
use kube::{Api, Client, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::api::OPERATOR;
use crate::api::v1::{Website, WebsiteStatus};
use crate::desired;

/// Holds a website until its line is out of the directory.
const FINALIZER: &str = "hardway.example/directory";
/// The ConfigMap, in the operator's namespace, that lists all websites. It belongs to no
/// website, so that no owner reference cleans up in it.
const DIRECTORY: &str = "directory";
/// When to look again at what another object's owner may give up.
const LATER: Duration = Duration::from_secs(30);
/// When to try again what the API refused.
const RETRY: Duration = Duration::from_secs(5);

/// Why a website isn't what it should be.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API refused something, or can't be reached.
    #[error(transparent)]
    Api(#[from] kube::Error),
    /// The finalizer can't be set or taken off, or what it stands for failed.
    #[error(transparent)]
    Finalizer(#[from] Box<finalizer::Error<kube::Error>>),
}

/// What every reconciliation needs.
pub struct Context {
    client: Client,
    recorder: Recorder,
    /// The operator's own namespace.
    namespace: String,
}

impl Context {
    /// `instance` is the operator's pod, which events name.
    pub fn new(client: Client, namespace: &str, instance: &str) -> Self {
        let reporter = Reporter {
            controller: OPERATOR.to_owned(),
            instance: Some(instance.to_owned()),
        };
        Self {
            recorder: Recorder::new(client.clone(), reporter),
            client,
            namespace: namespace.to_owned(),
        }
    }
}

/// The controller, and all websites it knows of.
pub fn controller(client: &Client) -> (Controller<Website>, Store<Website>) {
    let own = || watcher::Config::default().labels(&format!("{}={OPERATOR}", desired::MANAGED_BY));
    let controller = Controller::new(Api::<Website>::all(client.clone()), Default::default())
        .owns(Api::<ConfigMap>::all(client.clone()), own())
        .owns(Api::<Deployment>::all(client.clone()), own())
        .owns(Api::<Service>::all(client.clone()), own());
    let store = controller.store();
    (controller, store)
}

/// Reconciles websites until the process is told to end.
pub async fn run(controller: Controller<Website>, context: Context) {
    controller
        .shutdown_on_signal()
        .run(reconcile, again, Arc::new(context))
        .for_each(|done| async move {
            match done {
                Ok((website, _)) => tracing::debug!(%website, "reconciled"),
                Err(error) => tracing::warn!(%error, "not reconciled"),
            }
        })
        .await;
}

fn again(_: Arc<Website>, _: &Error, _: Arc<Context>) -> Action {
    Action::requeue(RETRY)
}

/// Brings one website nearer to what it should be.
///
/// # Errors
/// If the API refuses something; then it is tried again.
pub async fn reconcile(website: Arc<Website>, context: Arc<Context>) -> Result<Action, Error> {
    let namespace = website.namespace().unwrap_or_default();
    let websites: Api<Website> = Api::namespaced(context.client.clone(), &namespace);
    let step = |event| async {
        match event {
            finalizer::Event::Apply(website) => apply(&website, &context).await,
            finalizer::Event::Cleanup(website) => {
                list(&website, None, &context).await?;
                Ok(Action::await_change())
            }
        }
    };
    let done = finalizer(&websites, FINALIZER, website, step).await;
    done.map_err(|error| Error::from(Box::new(error)))
}

async fn apply(website: &Website, context: &Context) -> Result<Action, kube::Error> {
    let namespace = website.namespace().unwrap_or_default();
    if let Some(kind) = taken(website, context).await? {
        let message = format!("{kind} {} is not this website's", website.name_any());
        let now = Timestamp::now();
        let condition = desired::condition(website, false, "NameTaken", message.clone(), now);
        let status = WebsiteStatus {
            observed_generation: website.metadata.generation,
            conditions: vec![condition],
            ..website.status.clone().unwrap_or_default()
        };
        tell(website, status, context).await?;
        return Ok(Action::requeue(LATER));
    }
    let children = desired::children(website);
    put(&children.config_map, &namespace, context).await?;
    let deployment = put(&children.deployment, &namespace, context).await?;
    put(&children.service, &namespace, context).await?;
    list(website, Some(&desired::url(website)), context).await?;
    let status = desired::status(website, &deployment, Timestamp::now());
    tell(website, status, context).await?;
    Ok(Action::await_change())
}

/// The kind of an object of the website's name that is somebody else's.
async fn taken(website: &Website, context: &Context) -> Result<Option<String>, kube::Error> {
    Ok(if is_taken::<ConfigMap>(website, context).await? {
        Some(ConfigMap::kind(&()).into_owned())
    } else if is_taken::<Deployment>(website, context).await? {
        Some(Deployment::kind(&()).into_owned())
    } else if is_taken::<Service>(website, context).await? {
        Some(Service::kind(&()).into_owned())
    } else {
        None
    })
}

async fn is_taken<K>(website: &Website, context: &Context) -> Result<bool, kube::Error>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + DeserializeOwned
        + Debug,
{
    let namespace = website.namespace().unwrap_or_default();
    let api: Api<K> = Api::namespaced(context.client.clone(), &namespace);
    let found = api.get_metadata_opt(&website.name_any()).await?;
    Ok(found.is_some_and(|found| !desired::owns(website, &found.metadata)))
}

/// Applies an object, and returns it as it is then.
async fn put<K>(object: &K, namespace: &str, context: &Context) -> Result<K, kube::Error>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + DeserializeOwned
        + Serialize
        + Debug,
{
    let api: Api<K> = Api::namespaced(context.client.clone(), namespace);
    let parameters = PatchParams::apply(OPERATOR).force();
    api.patch(&object.name_any(), &parameters, &Patch::Apply(object))
        .await
}

/// Writes the website's line of the directory, or takes it out.
async fn list(website: &Website, url: Option<&str>, context: &Context) -> Result<(), kube::Error> {
    let namespace = website.namespace().unwrap_or_default();
    let line = format!("{namespace}.{}", website.name_any());
    let api: Api<ConfigMap> = Api::namespaced(context.client.clone(), &context.namespace);
    let patch = Patch::Merge(json!({"data": {line: url}}));
    match api.patch(DIRECTORY, &PatchParams::default(), &patch).await {
        // Who deleted the directory has deleted this line.
        Err(kube::Error::Api(status)) if status.is_not_found() && url.is_none() => Ok(()),
        done => done.map(|_| ()),
    }
}

/// Writes the status if it changed, with an event when the website comes or goes.
async fn tell(
    website: &Website,
    status: WebsiteStatus,
    context: &Context,
) -> Result<(), kube::Error> {
    if website.status.as_ref() == Some(&status) {
        return Ok(());
    }
    let namespace = website.namespace().unwrap_or_default();
    let api: Api<Website> = Api::namespaced(context.client.clone(), &namespace);
    let patch = json!({
        "apiVersion": Website::api_version(&()), "kind": Website::kind(&()), "status": status,
    });
    let parameters = PatchParams::apply(OPERATOR).force();
    let name = website.name_any();
    api.patch_status(&name, &parameters, &Patch::Apply(patch))
        .await?;
    let before = desired::available(website).map(|condition| &condition.reason);
    let now = status.conditions.first();
    let Some(condition) = now.filter(|now| Some(&now.reason) != before) else {
        return Ok(());
    };
    let type_ = match condition.reason.as_str() {
        "NameTaken" => EventType::Warning,
        _ => EventType::Normal,
    };
    let event = Event {
        type_,
        reason: condition.reason.clone(),
        note: Some(condition.message.clone()),
        action: "Reconcile".to_owned(),
        secondary: None,
    };
    context
        .recorder
        .publish(&event, &website.object_ref(&()))
        .await
}
