//! The cluster that the load is for: where it is and as whom to speak with it, by a
//! kubeconfig.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use kube::Config;
use kube::client::ConfigExt;
use kube::config::{KubeConfigOptions, Kubeconfig};
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tower::util::BoxCloneSyncService;
use tower::{BoxError, ServiceBuilder, ServiceExt, service_fn};

use crate::api::ApiError;
use crate::failure::Failure;

/// A request with its whole body.
pub(crate) type Outgoing = Request<Full<Bytes>>;

/// How long a connection may take to be opened.
const PATIENCE: Duration = Duration::from_secs(15);

/// Where requests go, and what makes them those of the kubeconfig's user.
pub struct Target {
    /// The address as the kubeconfig has it.
    url: String,
    /// Host and port.
    address: (String, u16),
    server_name: ServerName<'static>,
    /// For HTTP/2.
    tls: TlsConnector,
    /// For HTTP/1.1, of which a connection can become a stream.
    streaming_tls: TlsConnector,
    /// Gives a request the server's address and the user's headers, and it back as if it were
    /// an answer's body.
    sign: BoxCloneSyncService<Outgoing, Response<Outgoing>, BoxError>,
}

impl Target {
    /// Reads a kubeconfig, by default the one that kubectl would read. Nothing is sent.
    ///
    /// # Errors
    /// If it can't be read, or leads to no server that can be reached over HTTPS.
    pub async fn read(kubeconfig: Option<&Path>, context: Option<&str>) -> Result<Self, Failure> {
        // Fails where there is one already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let name = match kubeconfig {
            Some(file) => format!("read the kubeconfig {}", file.display()),
            None => "read the kubeconfig".to_owned(),
        };
        let fail = |why: &dyn ToString| {
            let way_out = "name one:  --against FILE; its contexts:  kubectl config get-contexts";
            Failure::new(&name, why.to_string(), way_out)
        };
        let options = KubeConfigOptions {
            context: context.map(str::to_owned),
            ..KubeConfigOptions::default()
        };
        let config = match kubeconfig {
            Some(file) => {
                let read = Kubeconfig::read_from(file).map_err(|error| fail(&error))?;
                Config::from_custom_kubeconfig(read, &options).await
            }
            None => Config::from_kubeconfig(&options).await,
        };
        let config = config.map_err(|error| fail(&error))?;
        Self::new(&config).map_err(|why| fail(&why))
    }

    /// The same of a kubeconfig that is in no file.
    ///
    /// # Errors
    /// If it leads to no server that can be reached over HTTPS.
    pub async fn of(kubeconfig: Kubeconfig) -> Result<Self, Failure> {
        let fail = |why: String| {
            let way_out = "it must name a server, its CA, and a user";
            Failure::new("use a kubeconfig", why, way_out)
        };
        let options = KubeConfigOptions::default();
        let config = Config::from_custom_kubeconfig(kubeconfig, &options).await;
        let config = config.map_err(|error| fail(error.to_string()))?;
        Self::new(&config).map_err(fail)
    }

    fn new(config: &Config) -> Result<Self, String> {
        let url = &config.cluster_url;
        if url.scheme_str() != Some("https") {
            return Err(format!("{url} is not https"));
        }
        if config.proxy_url.is_some() {
            return Err("it leads through a proxy, which would be measured as well".to_owned());
        }
        let host = url.host().ok_or_else(|| format!("{url} has no host"))?;
        let host = host.trim_matches(['[', ']']).to_owned();
        let name = config.tls_server_name.clone();
        let server_name = ServerName::try_from(name.unwrap_or_else(|| host.clone()))
            .map_err(|error| error.to_string())?;
        let mut tls = config
            .rustls_client_config()
            .map_err(|error| error.to_string())?;
        let mut streaming_tls = tls.clone();
        streaming_tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        tls.alpn_protocols = vec![b"h2".to_vec()];
        let auth = config.auth_layer().map_err(|error| error.to_string())?;
        let headers = config.extra_headers_layer();
        // The layers that kube has for clients, around no client at all: what comes out is the
        // request.
        let sign = ServiceBuilder::new()
            .layer(config.base_uri_layer())
            .option_layer(auth)
            .layer(headers.map_err(|error| error.to_string())?)
            .service(service_fn(|request: Outgoing| {
                std::future::ready(Ok::<_, BoxError>(Response::new(request)))
            }));
        Ok(Self {
            url: url.to_string().trim_end_matches('/').to_owned(),
            address: (host, url.port_u16().unwrap_or(443)),
            server_name,
            tls: TlsConnector::from(Arc::new(tls)),
            streaming_tls: TlsConnector::from(Arc::new(streaming_tls)),
            sign: BoxCloneSyncService::new(sign),
        })
    }

    /// The server's address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Opens a connection that speaks HTTP/2.
    pub(crate) async fn dial(&self) -> Result<TlsStream<TcpStream>, ApiError> {
        let stream = self.connect(&self.tls).await?;
        match stream.get_ref().1.alpn_protocol() {
            Some(b"h2") => Ok(stream),
            _ => Err(self.unreachable(
                &"it doesn't speak HTTP/2, as an API server does; is something between?",
            )),
        }
    }

    /// Opens a connection that speaks HTTP/1.1.
    pub(crate) async fn dial_for_stream(&self) -> Result<TlsStream<TcpStream>, ApiError> {
        self.connect(&self.streaming_tls).await
    }

    async fn connect(&self, tls: &TlsConnector) -> Result<TlsStream<TcpStream>, ApiError> {
        let dial = async {
            let stream = TcpStream::connect((self.address.0.as_str(), self.address.1)).await?;
            stream.set_nodelay(true)?;
            tls.connect(self.server_name.clone(), stream).await
        };
        tokio::time::timeout(PATIENCE, dial)
            .await
            .map_err(|_| self.unreachable(&format!("no connection within {PATIENCE:?}")))?
            .map_err(|error| self.unreachable(&error))
    }

    fn unreachable(&self, why: &dyn ToString) -> ApiError {
        ApiError::Unreachable {
            url: self.url.clone(),
            why: why.to_string(),
        }
    }

    /// Makes a request one to this server, of this user.
    pub(crate) async fn sign(&self, request: Outgoing) -> Result<Outgoing, BoxError> {
        let signed = self.sign.clone().oneshot(request).await?;
        Ok(signed.into_body())
    }
}
