//! The apiserver's verbs, typed ([`Api`]) and untyped ([`DynamicApi`]).

use crate::bearer::Bearer;
use crate::channel::{self, Connection, Servers};
use crate::kubeconfig::Kubeconfig;
use crate::rest::{LARGEST, Location, Version, raw};
use crate::tls;
use crate::transport::Transport;
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use hardway_proto::api::{self, api_client::ApiClient};
use hardway_proto::kind::PartialObject;
use hardway_proto::{Kind, Status};
use serde_json::{Value, json};
use std::marker::PhantomData;
use std::pin::pin;
use std::sync::Arc;
use tokio::runtime::Handle;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;

/// Sends calls, with what they carry.
type Sender = InterceptedService<Transport, Bearer>;
type Rpc = ApiClient<Sender>;

/// A connection to the apiserver; cheap to clone, reconnects by itself.
#[derive(Clone)]
pub struct Client {
    sender: Sender,
    /// For what only the REST API has.
    rest: Sender,
    field_manager: String,
    /// What it was made of; nothing if it was given its channel.
    made_of: Option<(Arc<Kubeconfig>, Arc<Servers>)>,
}

impl Client {
    /// Connects lazily as the kubeconfig's user. `field_manager` is the name
    /// under which writes appear in managedFields.
    pub fn new(config: &Kubeconfig, field_manager: &str) -> Result<Self, tls::Error> {
        let servers = channel::servers(config)?;
        Self::of(Arc::new(config.clone()), servers, field_manager)
    }

    fn of(
        config: Arc<Kubeconfig>,
        servers: Arc<Servers>,
        field_manager: &str,
    ) -> Result<Self, tls::Error> {
        let bearer = Bearer::of(&config.credentials);
        let connection = channel::connect_to(servers.clone(), &config)?;
        let mut client = Self::over(connection, bearer, field_manager);
        client.made_of = Some((config, servers));
        Ok(client)
    }

    /// The apiservers it knows of; `None` if it was given its channel.
    pub fn servers(&self) -> Option<&Arc<Servers>> {
        self.made_of.as_ref().map(|(_, servers)| servers)
    }

    /// The same on a connection of its own, to the same apiservers, which that runtime keeps going. One
    /// that was given its channel stays on it.
    ///
    /// # Errors
    /// If the certificates can't be read any more.
    pub fn on_runtime(&self, runtime: &Handle) -> Result<Self, tls::Error> {
        let _on_it = runtime.enter();
        match &self.made_of {
            Some((config, servers)) => {
                Self::of(config.clone(), servers.clone(), &self.field_manager)
            }
            None => Ok(self.clone()),
        }
    }

    /// On a channel made elsewhere (tests).
    pub fn from_channel(channel: Channel, field_manager: &str) -> Self {
        Self::over(channel.into(), Bearer::default(), field_manager)
    }

    /// Over a connection made elsewhere (tests).
    #[cfg(test)]
    pub(crate) fn from_connection(connection: Connection) -> Self {
        Self::over(connection, Bearer::default(), "test")
    }

    /// Over Kubernetes' REST API, also with an apiserver of hardway's (tests).
    ///
    /// # Errors
    /// If the certificates can't be read.
    #[cfg(feature = "fake")]
    pub fn over_rest(config: &Kubeconfig, field_manager: &str) -> Result<Self, tls::Error> {
        let bearer = Bearer::of(&config.credentials);
        let client = Self::over(channel::connect(config)?, bearer, field_manager);
        Ok(Self {
            sender: client.rest.clone(),
            ..client
        })
    }

    fn over(connection: Connection, bearer: Bearer, field_manager: &str) -> Self {
        let transport = Transport::over(connection);
        let rest = transport.over_rest_alone();
        Self {
            sender: InterceptedService::new(transport, bearer.clone()),
            rest: InterceptedService::new(rest, bearer),
            field_manager: field_manager.into(),
            made_of: None,
        }
    }

    /// Lists come in pages, so the bound is that of one object and its envelope.
    fn rpc(&self) -> Rpc {
        ApiClient::new(self.sender.clone())
            .max_decoding_message_size(LARGEST)
            .max_encoding_message_size(LARGEST)
    }

    /// Objects of a kind in all namespaces, or of a cluster-scoped kind.
    pub fn all<K: Kind>(&self) -> Api<K> {
        self.namespaced("")
    }

    /// Objects of a kind in one namespace.
    pub fn namespaced<K: Kind>(&self, namespace: &str) -> Api<K> {
        let id = K::RESOURCE;
        Api {
            dynamic: self.dynamic(id.group, id.version, id.resource, namespace),
            kind: PhantomData,
        }
    }

    /// The resources the apiserver serves now, custom ones and those of aggregated servers
    /// included.
    pub async fn discover(&self) -> Result<Vec<api::ResourceInfo>, Status> {
        Ok(self.discovery().await?.resources)
    }

    /// The same, with what of aggregated servers can't be asked now.
    ///
    /// # Errors
    /// If the apiserver can't be asked.
    pub async fn discovery(&self) -> Result<api::DiscoverResponse, Status> {
        let answer = self.rpc().discover(api::DiscoverRequest {}).await?;
        Ok(answer.into_inner())
    }

    /// Objects of a resource as [`discover`](Self::discover) tells of it, whoever serves it.
    pub fn resource(&self, of: &api::ResourceInfo, namespace: &str) -> DynamicApi {
        let mut api = self.dynamic(&of.group, &of.version, &of.resource, namespace);
        if of.aggregated {
            api.client.sender = self.rest.clone();
        }
        api
    }

    /// Tells whether anybody reads the [steps](crate::steps) of this process, which is known
    /// by `instance`.
    pub(crate) async fn step_readers(
        &self,
        instance: &str,
    ) -> Result<impl Stream<Item = Result<api::StepReaders, Status>> + Send + use<>, Status> {
        let request = api::WatchStepReadersRequest {
            instance: instance.to_owned(),
        };
        let stream = self.rpc().watch_step_readers(request).await?.into_inner();
        Ok(stream.map(|readers| readers.map_err(Status::from)))
    }

    /// Hands in steps of this process.
    pub(crate) async fn report_steps(&self, report: api::ReportStepsRequest) -> Result<(), Status> {
        self.rpc().report_steps(report).await?;
        Ok(())
    }

    /// Which version of Kubernetes the apiserver is.
    ///
    /// # Errors
    /// If it can't be asked, or doesn't say.
    pub async fn server_version(&self) -> Result<Version, Status> {
        Version::read(&self.get_raw(&["version"], &[]).await?)
    }

    /// Reads what is at a path of the REST API, given by its segments, with these
    /// parameters (those that are empty are left out): what has no gRPC call, as
    /// resources of aggregated servers. The answer is JSON.
    ///
    /// # Errors
    /// What the apiserver says, or that it can't be reached.
    pub async fn get_raw(
        &self,
        segments: &[&str],
        parameters: &[(&str, &str)],
    ) -> Result<Bytes, Status> {
        let location = parameters
            .iter()
            .fold(Location::segments(segments), |location, (name, value)| {
                location.with(name, value)
            });
        raw::get(self.sender.clone(), &location).await
    }

    /// Objects of any resource, as bytes.
    pub fn dynamic(
        &self,
        group: &str,
        version: &str,
        resource: &str,
        namespace: &str,
    ) -> DynamicApi {
        DynamicApi {
            client: self.clone(),
            target: Target {
                group: group.into(),
                version: version.into(),
                resource: resource.into(),
                namespace: namespace.into(),
                ..Default::default()
            },
        }
    }
}

/// What requests are about: group, version, resource, namespace.
pub type Target = api::Target;

/// What to watch, and from where.
#[derive(Clone, Debug, Default)]
pub struct WatchParams {
    /// Label selector, e.g. `app=web`.
    pub labels: String,
    /// Field selector, e.g. `spec.nodeName=n1`.
    pub fields: String,
    /// Resource version after which to start.
    pub resource_version: String,
    /// Whether existing objects come first, as ADDED.
    pub send_initial_events: bool,
}

/// A page of a list, or all of it.
#[derive(Clone, Debug, Default)]
pub struct ObjectList<T> {
    /// The objects.
    pub items: Vec<T>,
    /// Revision of the list.
    pub resource_version: i64,
    /// Token of the next page; empty on the last one.
    pub r#continue: String,
}

/// One resource's verbs over raw JSON.
#[derive(Clone)]
pub struct DynamicApi {
    client: Client,
    target: Target,
}

impl DynamicApi {
    fn target(&self, name: &str, subresource: &str) -> Option<Target> {
        Some(Target {
            name: name.into(),
            subresource: subresource.into(),
            ..self.target.clone()
        })
    }

    /// The resource's full name: `services`, `deployments.apps`.
    pub fn resource(&self) -> String {
        match self.target.group.as_str() {
            "" => self.target.resource.clone(),
            group => format!("{}.{group}", self.target.resource),
        }
    }

    fn options(&self) -> Option<api::WriteOptions> {
        Some(api::WriteOptions {
            field_manager: self.client.field_manager.clone(),
            ..Default::default()
        })
    }

    fn rpc(&self) -> Rpc {
        self.client.rpc()
    }

    /// Reads one object, consistently.
    pub async fn get(&self, name: &str) -> Result<api::Object, Status> {
        let request = api::GetRequest {
            target: self.target(name, ""),
            resource_version: String::new(),
        };
        Ok(self.rpc().get(request).await?.into_inner())
    }

    /// Reads a subresource of one object, such as its `scale`.
    pub async fn get_subresource(
        &self,
        name: &str,
        subresource: &str,
    ) -> Result<api::Object, Status> {
        let request = api::GetRequest {
            target: self.target(name, subresource),
            resource_version: String::new(),
        };
        Ok(self.rpc().get(request).await?.into_inner())
    }

    /// Lists objects that match the selectors; empty selectors match all.
    pub async fn list(
        &self,
        labels: &str,
        fields: &str,
    ) -> Result<ObjectList<api::Object>, Status> {
        let mut pages = pin!(self.pages(labels, fields).await?);
        let mut list = ObjectList::default();
        while let Some(page) = pages.next().await {
            let page = page?;
            list.items.extend(page.items);
            if page.resource_version != 0 {
                list.resource_version = page.resource_version;
                list.r#continue = page.r#continue;
            }
        }
        Ok(list)
    }

    /// The same in pages, all of one revision, so that a long list is never in memory as a
    /// whole. The last page alone tells the revision; the others have none (zero).
    pub async fn pages(
        &self,
        labels: &str,
        fields: &str,
    ) -> Result<impl Stream<Item = Result<ObjectList<api::Object>, Status>> + Send + use<>, Status>
    {
        let request = api::ListRequest {
            target: self.target("", ""),
            label_selector: labels.into(),
            field_selector: fields.into(),
            ..Default::default()
        };
        let pages = self.rpc().list(request).await?.into_inner();
        Ok(pages.map(|page| {
            let page = page?;
            Ok(ObjectList {
                items: page.items,
                resource_version: page.resource_version,
                r#continue: page.r#continue,
            })
        }))
    }

    /// Watches; the stream ends when the server ends it.
    pub async fn watch(
        &self,
        params: &WatchParams,
    ) -> Result<impl Stream<Item = Result<api::WatchEvent, Status>> + Send + use<>, Status> {
        let request = api::WatchRequest {
            target: self.target("", ""),
            label_selector: params.labels.clone(),
            field_selector: params.fields.clone(),
            resource_version: params.resource_version.clone(),
            allow_bookmarks: true,
            send_initial_events: params.send_initial_events,
            timeout_seconds: 0,
        };
        let stream = self.rpc().watch(request).await?.into_inner();
        Ok(stream.map(|event| event.map_err(Status::from)))
    }

    /// Creates an object, or with a subresource (`binding`, `eviction`,
    /// `token`) does what that means for the named one.
    pub async fn create(
        &self,
        name: &str,
        subresource: &str,
        json: Vec<u8>,
    ) -> Result<api::Object, Status> {
        let request = api::CreateRequest {
            target: self.target(name, subresource),
            json: json.into(),
            options: self.options(),
        };
        Ok(self.rpc().create(request).await?.into_inner())
    }

    /// Replaces an object or one of its subresources.
    pub async fn update(
        &self,
        name: &str,
        subresource: &str,
        json: Vec<u8>,
    ) -> Result<api::Object, Status> {
        let request = api::UpdateRequest {
            target: self.target(name, subresource),
            json: json.into(),
            options: self.options(),
        };
        Ok(self.rpc().update(request).await?.into_inner())
    }

    /// Patches an object or one of its subresources.
    pub async fn patch(
        &self,
        name: &str,
        subresource: &str,
        patch: Patch<'_>,
    ) -> Result<api::Object, Status> {
        let (kind, body, force) = match patch {
            Patch::Json(value) => (api::PatchType::JsonPatch, value, false),
            Patch::Merge(value) => (api::PatchType::MergePatch, value, false),
            Patch::Strategic(value) => (api::PatchType::StrategicMergePatch, value, false),
            Patch::Apply(value) => (api::PatchType::ApplyPatch, value, true),
        };
        let request = api::PatchRequest {
            target: self.target(name, subresource),
            r#type: kind.into(),
            patch: body.to_string().into(),
            options: self.options(),
            force,
        };
        Ok(self.rpc().patch(request).await?.into_inner())
    }

    /// Deletes one object. Answers the object while it is still going, or a
    /// `Status` once it is gone, as JSON.
    pub async fn delete(&self, name: &str, options: &DeleteParams) -> Result<api::Object, Status> {
        let request = api::DeleteRequest {
            target: self.target(name, ""),
            options: options.to_json().into(),
        };
        Ok(self.rpc().delete(request).await?.into_inner())
    }

    /// Deletes all that match.
    pub async fn delete_collection(
        &self,
        labels: &str,
        fields: &str,
        options: &DeleteParams,
    ) -> Result<(), Status> {
        let request = api::DeleteCollectionRequest {
            target: self.target("", ""),
            label_selector: labels.into(),
            field_selector: fields.into(),
            options: options.to_json().into(),
        };
        self.rpc().delete_collection(request).await?;
        Ok(())
    }
}

/// A patch of one of Kubernetes' four types.
#[derive(Clone, Copy, Debug)]
pub enum Patch<'a> {
    /// RFC 6902.
    Json(&'a Value),
    /// RFC 7386.
    Merge(&'a Value),
    /// Kubernetes' strategic merge patch.
    Strategic(&'a Value),
    /// Server-side apply; takes over fields that others own.
    Apply(&'a Value),
}

/// How to delete.
#[derive(Clone, Debug, Default)]
pub struct DeleteParams {
    /// Seconds for the object to go; `None` leaves it to the kind.
    pub grace_period_seconds: Option<i64>,
    /// Only the object with this UID.
    pub uid: Option<String>,
    /// Only at this resource version.
    pub resource_version: Option<String>,
    /// `Foreground`, `Background` or `Orphan`.
    pub propagation_policy: Option<&'static str>,
}

impl DeleteParams {
    /// At once, and only the object with this UID.
    pub fn now(uid: &str) -> Self {
        Self {
            grace_period_seconds: Some(0),
            ..Self::of(uid)
        }
    }

    /// Gracefully, and only the object with this UID.
    pub fn of(uid: &str) -> Self {
        Self {
            uid: Some(uid.into()),
            ..Default::default()
        }
    }

    fn to_json(&self) -> Vec<u8> {
        let mut options = json!({"apiVersion": "v1", "kind": "DeleteOptions"});
        if let Some(seconds) = self.grace_period_seconds {
            options["gracePeriodSeconds"] = seconds.into();
        }
        if let Some(uid) = &self.uid {
            options["preconditions"]["uid"] = uid.as_str().into();
        }
        if let Some(version) = &self.resource_version {
            options["preconditions"]["resourceVersion"] = version.as_str().into();
        }
        if let Some(policy) = self.propagation_policy {
            options["propagationPolicy"] = policy.into();
        }
        options.to_string().into_bytes()
    }
}

/// One kind's verbs, typed.
pub struct Api<K> {
    dynamic: DynamicApi,
    kind: PhantomData<fn() -> K>,
}

impl<K> Clone for Api<K> {
    fn clone(&self) -> Self {
        Self {
            dynamic: self.dynamic.clone(),
            kind: PhantomData,
        }
    }
}

fn parse<K: Kind>(object: &api::Object) -> Result<K, Status> {
    K::parse(&object.json).map_err(|e| {
        Status::internal(format!(
            "{} {:?}: the apiserver's answer can't be read: {e}",
            K::KIND,
            object.name
        ))
    })
}

impl Api<PartialObject> {
    /// The metadata of any resource's objects.
    pub fn metadata_of(dynamic: DynamicApi) -> Self {
        Self {
            dynamic,
            kind: PhantomData,
        }
    }
}

impl<K: Kind> Api<K> {
    /// The same verbs over bytes.
    pub fn dynamic(&self) -> &DynamicApi {
        &self.dynamic
    }

    /// Reads one object, consistently.
    pub async fn get(&self, name: &str) -> Result<K, Status> {
        parse(&self.dynamic.get(name).await?)
    }

    /// Reads one object; `None` if it isn't there.
    pub async fn get_opt(&self, name: &str) -> Result<Option<K>, Status> {
        match self.get(name).await {
            Ok(object) => Ok(Some(object)),
            Err(status) if status.is_not_found() => Ok(None),
            Err(status) => Err(status),
        }
    }

    /// Creates an object.
    pub async fn create(&self, object: &K) -> Result<K, Status> {
        parse(
            &self
                .dynamic
                .create(object.name(), "", object.encode())
                .await?,
        )
    }

    /// Replaces an object; its resource version, if set, must be current.
    pub async fn update(&self, object: &K) -> Result<K, Status> {
        parse(
            &self
                .dynamic
                .update(object.name(), "", object.encode())
                .await?,
        )
    }

    /// Replaces its status.
    pub async fn update_status(&self, object: &K) -> Result<K, Status> {
        let json = object.encode();
        parse(&self.dynamic.update(object.name(), "status", json).await?)
    }

    /// Patches an object.
    pub async fn patch(&self, name: &str, patch: Patch<'_>) -> Result<K, Status> {
        parse(&self.dynamic.patch(name, "", patch).await?)
    }

    /// Patches its status.
    pub async fn patch_status(&self, name: &str, patch: Patch<'_>) -> Result<K, Status> {
        parse(&self.dynamic.patch(name, "status", patch).await?)
    }

    /// Deletes an object; an object that isn't there is `NotFound`.
    pub async fn delete(&self, name: &str, options: &DeleteParams) -> Result<(), Status> {
        self.dynamic.delete(name, options).await.map(|_| ())
    }
}

impl Api<k8s_openapi::api::core::v1::Pod> {
    /// Binds a pod to a node; `Conflict` if it is bound already.
    pub async fn bind(&self, name: &str, uid: &str, node: &str) -> Result<(), Status> {
        let body = json!({
            "apiVersion": "v1", "kind": "Binding",
            "metadata": {"name": name, "uid": uid, "namespace": self.dynamic.target.namespace},
            "target": {"apiVersion": "v1", "kind": "Node", "name": node},
        });
        let body = body.to_string().into_bytes();
        self.dynamic.create(name, "binding", body).await.map(|_| ())
    }

    /// Evicts a pod; `TooManyRequests` if a disruption budget forbids it now.
    pub async fn evict(&self, name: &str, options: &DeleteParams) -> Result<(), Status> {
        let delete: Value = serde_json::from_slice(&options.to_json()).unwrap_or_default();
        let body = json!({
            "apiVersion": "policy/v1", "kind": "Eviction",
            "metadata": {"name": name, "namespace": self.dynamic.target.namespace},
            "deleteOptions": delete,
        });
        let body = body.to_string().into_bytes();
        self.dynamic
            .create(name, "eviction", body)
            .await
            .map(|_| ())
    }
}
