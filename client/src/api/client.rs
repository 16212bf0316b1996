//! The connection to the apiserver, and what is asked of it as a whole.

use super::{Api, DynamicApi, Target};
use crate::bearer::Bearer;
use crate::channel::{self, Connection, Servers};
use crate::kubeconfig::Kubeconfig;
use crate::rest::{LARGEST, Location, Version, raw};
use crate::tls;
use crate::transport::Transport;
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use hardway_proto::api::{self, api_client::ApiClient};
use hardway_proto::{Kind, Status};
use std::sync::Arc;
use tokio::runtime::Handle;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;

/// Sends calls, with what they carry.
pub(super) type Sender = InterceptedService<Transport, Bearer>;
pub(super) type Rpc = ApiClient<Sender>;

/// A connection to the apiserver; cheap to clone, reconnects by itself.
#[derive(Clone)]
pub struct Client {
    pub(super) sender: Sender,
    /// For what only the REST API has.
    rest: Sender,
    pub(super) field_manager: String,
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
    pub(super) fn rpc(&self) -> Rpc {
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
        Api::over(self.dynamic(id.group, id.version, id.resource, namespace))
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
        let mut client = self.clone();
        if of.aggregated {
            client.sender = self.rest.clone();
        }
        client.dynamic(&of.group, &of.version, &of.resource, namespace)
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
        let target = Target {
            group: group.into(),
            version: version.into(),
            resource: resource.into(),
            namespace: namespace.into(),
            ..Default::default()
        };
        DynamicApi::new(self.clone(), target)
    }
}
