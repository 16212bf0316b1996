//! One group's version that another server serves.

use super::identity;
use super::spec::Spec;
use crate::backend::{self, Connector, Destination, Unavailable};
use crate::cache::Cache;
use crate::rest::body::{Body, BoxError};
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use hardway_access::User;
use hardway_client::kubeconfig::Pem;
use hardway_client::tls::{self, Trust};
use hardway_resources::openapi::Foreign;
use hardway_streams::{Upstream, http_proxy, wanted_upgrade};
use http::{
    HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Uri, Version, header,
};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use parking_lot::RwLock;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

/// How long a connection that nobody uses is kept.
const IDLE: Duration = Duration::from_secs(60);
/// How long a server may take for its documents.
const PATIENCE: Duration = Duration::from_secs(5);
/// The largest OpenAPI document taken from one, in bytes; they have all of its schemas.
pub(super) const LARGEST: usize = 4 << 20;
/// Connections kept though nobody uses them.
const KEPT: usize = 32;
/// As whom its documents are read, and in which group.
const SELF: (&str, &str) = ("system:kube-aggregator", "system:masters");

/// The certificate of the front proxy, and its key.
pub type FrontProxy = Option<(Pem, Pem)>;

/// A body that goes on to a server.
type Onward = UnsyncBoxBody<Bytes, Broken>;

/// A body that the client did not send whole.
#[derive(Debug, thiserror::Error)]
#[error("the request broke off: {0}")]
struct Broken(BoxError);

/// A server that is asked in this one's place.
pub struct Remote {
    /// What its APIService says.
    pub spec: Spec,
    connector: Connector,
    client: Client<Connector, Onward>,
    state: RwLock<State>,
}

/// What is known of it.
#[derive(Clone, Default)]
pub struct State {
    /// Whether it can be asked.
    pub is_available: bool,
    /// Its resources, as `/apis/GROUP/VERSION` told them last: the list, checked.
    pub resources: Option<Arc<Value>>,
    /// Its OpenAPI documents.
    pub openapi: OpenApi,
}

/// What a server says about the shapes of its objects, each with how it was told.
#[derive(Clone, Default)]
pub struct OpenApi {
    /// Its v3 document of this version.
    pub v3: Option<(Told, Bytes)>,
    /// What its v2 document has of this version, if it has anything.
    pub v2: Option<(Told, Option<Foreign>)>,
}

/// How a document was told last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// What the server calls it; empty if it doesn't say.
    pub etag: String,
    /// A hash of it.
    pub hash: String,
}

impl Remote {
    /// One that is not asked yet, and is available if it was so when it was asked last.
    pub fn new(cache: &Arc<Cache>, spec: Spec, proxy: FrontProxy, is_available: bool) -> Self {
        let trust = match spec.insecure_skip_tls_verify {
            true => Trust::InAnybody,
            false => Trust::In(Pem::Inline(
                STANDARD.decode(&spec.ca_bundle).unwrap_or_default(),
            )),
        };
        // A connection for each request at a time: over one that all share, as HTTP/2 has
        // it, a server's watches would use up the requests that it takes.
        let tls = tls::client_trusting(trust, proxy, &["http/1.1"]);
        let service = spec.service.clone().unwrap_or_default();
        let connector = Connector::new(
            cache.clone(),
            Destination::Service(service),
            tls.map_err(|error| error.to_string()),
        );
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(KEPT)
            .build(connector.clone());
        let state = State {
            is_available,
            ..State::default()
        };
        Self {
            spec,
            connector,
            client,
            state: RwLock::new(state),
        }
    }

    /// What is known of it.
    pub fn state(&self) -> State {
        self.state.read().clone()
    }

    /// Takes over what is known; tells whether that is news.
    pub(super) fn learn(&self, change: impl FnOnce(&mut State) -> bool) -> bool {
        change(&mut self.state.write())
    }

    /// Where it is.
    ///
    /// # Errors
    /// If it is nowhere.
    pub fn addresses(&self) -> Result<Vec<String>, Unavailable> {
        self.connector.addresses()
    }

    /// Asks it for what a user asks for.
    ///
    /// # Errors
    /// If it can't be reached, or has not begun to answer in time.
    pub async fn forward<B>(
        self: Arc<Self>,
        request: Request<B>,
        user: User,
        held: hardway_streams::Held,
    ) -> Result<Response<Body>, BoxError>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let (mut head, body) = request.into_parts();
        let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
        if wanted_upgrade(&head.headers).is_some() {
            // A tunnel needs a connection of its own.
            let upstream = self.upstream(path)?;
            // What else is named in it would be taken away on the way: who asks, too.
            let upgrade = HeaderValue::from_static("Upgrade");
            head.headers.insert(header::CONNECTION, upgrade);
            identity::announce(&user, &mut head.headers)?;
            let request = Request::from_parts(head, body);
            return Ok(http_proxy::forward(request, &upstream, held).await?);
        }
        let body = UnsyncBoxBody::new(body.map_err(|error| Broken(error.into())));
        let answer = self.send(Request::from_parts(head, body), &user).await?;
        Ok(answer.map(|body| UnsyncBoxBody::new(body.map_err(Into::into))))
    }

    /// Sends a request over a connection that is kept.
    async fn send(
        &self,
        request: Request<Onward>,
        user: &User,
    ) -> Result<Response<Incoming>, BoxError> {
        let (mut head, body) = request.into_parts();
        let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
        head.uri = self.uri(path)?;
        head.headers = http_proxy::onward(&head.headers);
        identity::announce(user, &mut head.headers)?;
        head.version = Version::HTTP_11;
        head.extensions.clear();
        let answer = self.client.request(Request::from_parts(head, body)).await;
        let mut answer = answer.map_err(|error| backend::cause(&error))?;
        http_proxy::clear(answer.headers_mut());
        *answer.version_mut() = Version::default();
        Ok(answer)
    }

    fn upstream(&self, path: &str) -> Result<Upstream, BoxError> {
        let addresses = self.addresses().map_err(|none| none.message)?;
        let address = addresses.into_iter().next().ok_or("no endpoint")?;
        Ok(Upstream {
            address,
            server_name: self.connector.destination().server_name(),
            common_name: None,
            tls: Some(self.connector.tls()?.current()),
            path_and_query: path.to_owned(),
        })
    }

    fn uri(&self, path: &str) -> Result<Uri, BoxError> {
        let authority = self.connector.destination().authority();
        Ok(format!("https://{authority}{path}").parse()?)
    }

    /// One of its documents, of at most so many bytes; `None` if it is the one with this ETag.
    ///
    /// # Errors
    /// Why there is none, in the words of the condition.
    pub(super) fn document(
        self: &Arc<Self>,
        path: String,
        largest: usize,
        known: String,
    ) -> BoxFuture<'static, Result<Option<(Bytes, String)>, String>> {
        let this = self.clone();
        Box::pin(async move {
            let uri = this.uri(&path).map_err(|error| error.to_string())?;
            let asking = tokio::time::timeout(PATIENCE, this.whole(path, largest, known));
            match asking.await {
                Ok(Ok(whole)) => Ok(whole),
                Ok(Err(why)) => Err(format!("failing or missing response from {uri}: {why}")),
                Err(_) => Err(format!("timed out waiting for {uri}")),
            }
        })
    }

    async fn whole(
        self: Arc<Self>,
        path: String,
        largest: usize,
        known: String,
    ) -> Result<Option<(Bytes, String)>, String> {
        let mut request = Request::get(path).header(header::ACCEPT, "application/json");
        if !known.is_empty() {
            request = request.header(header::IF_NONE_MATCH, &known);
        }
        let body = UnsyncBoxBody::new(Empty::<Bytes>::new().map_err(|never| match never {}));
        let request = request.body(body).map_err(|error| error.to_string())?;
        let user = User {
            name: SELF.0.to_owned(),
            groups: vec![SELF.1.to_owned()],
            ..User::default()
        };
        let answer = self.send(request, &user).await;
        let answer = answer.map_err(|error| error.to_string())?;
        let code = answer.status();
        if code == StatusCode::NOT_MODIFIED && !known.is_empty() {
            return Ok(None);
        }
        if !code.is_success() {
            return Err(format!("bad status: {}", code.as_u16()));
        }
        let etag = answer.headers().get(header::ETAG);
        let etag = etag.and_then(|etag| etag.to_str().ok()).unwrap_or_default();
        let etag = etag.to_owned();
        let body = Limited::new(answer.into_body(), largest).collect().await;
        body.map(|body| Some((body.to_bytes(), etag)))
            .map_err(|error| error.to_string())
    }
}

/// Headers by which this server answers for itself.
pub fn own_headers(headers: &mut HeaderMap) {
    let own = [
        "x-kubernetes-pf-flowschema-uid",
        "x-kubernetes-pf-prioritylevel-uid",
        "audit-id",
    ];
    for name in own.map(HeaderName::from_static) {
        headers.remove(name);
    }
}
