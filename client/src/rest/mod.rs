//! Hardway's own API, spoken to an apiserver that has only Kubernetes' REST API: each
//! call of `hardway.v1.Api` becomes requests with JSON over the same connection, but for
//! watches, which have others (`connections.rs`). What is above sees no difference.

mod answer;
mod connections;
mod discovery;
mod list;
mod path;
pub(crate) mod raw;
mod version;
mod watch;

pub(crate) use connections::Connections;
pub(crate) use path::Location;
pub use version::Version;

use bytes::Bytes;
use futures_util::future::{BoxFuture, try_join_all};
use futures_util::stream::{self, BoxStream, StreamExt, TryStreamExt};
use hardway_proto::Status;
use hardway_proto::api::{self, Object, Target, api_server};
use http::{HeaderMap, HeaderName, Method, header};

use list::{PAGE, Page};
use std::sync::Arc;
use tonic::body::Body;

/// Largest message taken over gRPC, and event of a watch over REST, in bytes.
pub(crate) const LARGEST: usize = 16 << 20;

const JSON: &str = "application/json";

/// Sends requests, and gives the heads of their answers.
pub(crate) trait Http: Send + Sync + 'static {
    /// Sends one.
    fn send(
        &self,
        request: http::Request<Bytes>,
    ) -> BoxFuture<'static, Result<http::Response<Body>, Status>>;
}

/// What an answer says that isn't one of the API.
pub(crate) async fn refused(answer: http::Response<Body>) -> Status {
    let (head, body) = answer.into_parts();
    if head.status.is_success() {
        return Status::unavailable("what answers is no apiserver");
    }
    match answer::read(body).await {
        Ok(body) => answer::refusal(head.status, &head.headers, &body),
        Err(status) => status,
    }
}

/// The service of hardway's API, over REST.
#[derive(Clone)]
pub(crate) struct Translator {
    http: Arc<dyn Http>,
}

/// What a call carries besides its message and is passed on: who calls, and for what.
#[derive(Clone)]
struct ForwardedHeaders(HeaderMap);

impl ForwardedHeaders {
    fn by<T>(call: &tonic::Request<T>) -> Self {
        Self::of(call.metadata().as_ref())
    }

    fn of(all: &HeaderMap) -> Self {
        let mut headers = HeaderMap::new();
        for name in [
            header::AUTHORIZATION,
            HeaderName::from_static(crate::trace::AUDIT_ID),
        ] {
            if let Some(value) = all.get(&name) {
                headers.insert(name, value.clone());
            }
        }
        headers.insert(header::ACCEPT, http::HeaderValue::from_static(JSON));
        Self(headers)
    }

    fn request(
        &self,
        method: Method,
        location: &Location,
        content: Option<(&'static str, Bytes)>,
    ) -> Result<http::Request<Bytes>, Status> {
        let mut request = http::Request::builder()
            .method(method)
            .uri(location.as_str());
        if let Some(headers) = request.headers_mut() {
            headers.clone_from(&self.0);
        }
        if let Some((kind, _)) = content {
            request = request.header(header::CONTENT_TYPE, kind);
        }
        let request = request.body(content.map(|(_, content)| content).unwrap_or_default());
        request.map_err(|error| Status::bad_request(format!("{}: {error}", location.as_str())))
    }
}

fn target(target: Option<Target>) -> Result<Target, Status> {
    target.ok_or_else(|| Status::bad_request("the call has no target"))
}

fn with_options(location: Location, options: Option<api::WriteOptions>) -> Location {
    let options = options.unwrap_or_default();
    location
        .with("dryRun", if options.dry_run { "All" } else { "" })
        .with("fieldManager", &options.field_manager)
        .with("fieldValidation", &options.field_validation)
}

/// No parameter for zero, which leaves it to the server.
fn number(number: impl Into<i64>) -> String {
    match number.into() {
        0 => String::new(),
        number => number.to_string(),
    }
}

impl Translator {
    pub(crate) fn new(http: Arc<dyn Http>) -> Self {
        Self { http }
    }

    /// An answer that is no refusal.
    async fn send(&self, request: http::Request<Bytes>) -> Result<Body, Status> {
        let answer = self.http.send(request).await?;
        match answer.status().is_success() {
            true => Ok(answer.into_body()),
            false => Err(refused(answer).await),
        }
    }

    /// The same about a resource, which the apiserver may not have.
    async fn ask(
        &self,
        target: &Target,
        carried: &ForwardedHeaders,
        request: http::Request<Bytes>,
    ) -> Result<Body, Status> {
        match self.send(request).await {
            Err(status) if version::is_unserved(&status) => {
                let version = self.version(carried).await.ok();
                Err(version::unserved(status, target, version.as_ref()))
            }
            answer => answer,
        }
    }

    async fn get_whole(
        &self,
        carried: &ForwardedHeaders,
        location: &Location,
    ) -> Result<Bytes, Status> {
        let request = carried.request(Method::GET, location, None)?;
        answer::read(self.send(request).await?).await
    }

    async fn version(&self, carried: &ForwardedHeaders) -> Result<Version, Status> {
        let location = Location::path("/version");
        Version::read(&self.get_whole(carried, &location).await?)
    }

    /// Which version of Kubernetes the apiserver is, asked as whom `headers` name.
    pub(crate) async fn version_for(&self, headers: &HeaderMap) -> Result<Version, Status> {
        self.version(&ForwardedHeaders::of(headers)).await
    }

    async fn object(
        &self,
        target: &Target,
        carried: &ForwardedHeaders,
        request: http::Request<Bytes>,
    ) -> Outcome<Object> {
        let body = self.ask(target, carried, request).await?;
        let json = answer::read(body).await?;
        Ok(tonic::Response::new(Object::of_json(json)))
    }
}

/// A list that is being read.
struct Listing {
    translator: Translator,
    carried: ForwardedHeaders,
    target: Target,
    location: Location,
    /// Which objects: with the first request only.
    begin: Location,
}

impl Listing {
    fn new(
        translator: &Translator,
        carried: ForwardedHeaders,
        message: api::ListRequest,
    ) -> Result<Self, Status> {
        let target = target(message.target)?;
        // Of a list that is wanted whole, pages are read one after the other.
        let limit = match message.limit {
            0 => PAGE,
            limit => limit,
        };
        let location = Location::collection(&target)
            .with("labelSelector", &message.label_selector)
            .with("fieldSelector", &message.field_selector)
            .with("limit", &number(limit));
        let begin = location
            .clone()
            .with("resourceVersion", &message.resource_version)
            .with("resourceVersionMatch", &message.resource_version_match)
            .with("continue", &message.r#continue);
        Ok(Self {
            translator: translator.clone(),
            carried,
            target,
            location,
            begin,
        })
    }

    async fn page(&self, location: &Location) -> Result<Page, Status> {
        let request = self.carried.request(Method::GET, location, None)?;
        let asked = self.translator.ask(&self.target, &self.carried, request);
        Page::read(&answer::read(asked.await?).await?)
    }

    async fn first(&self) -> Result<Page, Status> {
        self.page(&self.begin).await
    }

    async fn after(&self, page: &str) -> Result<Page, Status> {
        self.page(&self.location.clone().with("continue", page))
            .await
    }

    /// All objects, and the revision they are of.
    async fn whole(&self) -> Result<(Vec<Object>, i64), Status> {
        let mut page = self.first().await?;
        let mut objects = Vec::new();
        loop {
            let (next, revision) = (std::mem::take(&mut page.next), page.resource_version);
            objects.extend(page.into_items());
            if next.is_empty() {
                return Ok((objects, revision));
            }
            page = self.after(&next).await?;
        }
    }
}

/// What comes next of a list.
enum Next {
    Have(Page),
    Ask(String),
    Nothing,
}

type Outcome<T> = Result<tonic::Response<T>, tonic::Status>;

#[tonic::async_trait]
impl api_server::Api for Translator {
    type WatchStepReadersStream = BoxStream<'static, Result<api::StepReaders, tonic::Status>>;
    type ListStream = BoxStream<'static, Result<api::ListPage, tonic::Status>>;
    type WatchStream = BoxStream<'static, Result<api::WatchEvent, tonic::Status>>;

    /// Nobody reads steps here.
    async fn watch_step_readers(
        &self,
        _: tonic::Request<api::WatchStepReadersRequest>,
    ) -> Outcome<Self::WatchStepReadersStream> {
        Err(Status::method_not_allowed().into())
    }

    async fn report_steps(
        &self,
        _: tonic::Request<api::ReportStepsRequest>,
    ) -> Outcome<api::ReportStepsResponse> {
        Err(Status::method_not_allowed().into())
    }

    async fn discover(
        &self,
        call: tonic::Request<api::DiscoverRequest>,
    ) -> Outcome<api::DiscoverResponse> {
        let carried = ForwardedHeaders::by(&call);
        let (api, apis) = (Location::path("/api"), Location::path("/apis"));
        let core = self.get_whole(&carried, &api).await?;
        let groups = self.get_whole(&carried, &apis).await?;
        let versions = discovery::versions(
            discovery::read("/api", &core)?,
            discovery::read("/apis", &groups)?,
        );
        let (this, carried) = (self, &carried);
        let list = |(group, version): (String, String)| async move {
            let location = Location::group_version(&group, &version);
            let list = match this.get_whole(carried, &location).await {
                Ok(body) => discovery::read(location.as_str(), &body)?,
                // It went meanwhile.
                Err(status) if status.is_not_found() => Default::default(),
                // Another server serves it, and is away.
                Err(status) if status.code == 503 && !group.is_empty() => {
                    return Ok(Err(format!("{group}/{version}")));
                }
                Err(mut status) => {
                    status.message = format!("{}: {}", location.as_str(), status.message);
                    return Err(status);
                }
            };
            Ok::<_, Status>(Ok(((group, version), list)))
        };
        let answers = try_join_all(versions.into_iter().map(list)).await?;
        let (mut lists, mut unavailable) = (Vec::new(), Vec::new());
        for answer in answers {
            match answer {
                Ok(list) => lists.push(list),
                Err(version) => unavailable.push(version),
            }
        }
        Ok(tonic::Response::new(api::DiscoverResponse {
            resources: discovery::resources(lists),
            unavailable,
        }))
    }

    async fn get(&self, call: tonic::Request<api::GetRequest>) -> Outcome<Object> {
        let (carried, message) = (ForwardedHeaders::by(&call), call.into_inner());
        let target = target(message.target)?;
        let location = Location::object(&target).with("resourceVersion", &message.resource_version);
        let request = carried.request(Method::GET, &location, None)?;
        self.object(&target, &carried, request).await
    }

    async fn list(&self, call: tonic::Request<api::ListRequest>) -> Outcome<Self::ListStream> {
        let (carried, message) = (ForwardedHeaders::by(&call), call.into_inner());
        let is_whole = message.limit == 0;
        let listing = Listing::new(self, carried, message)?;
        let first = Next::Have(listing.first().await?);
        let pages = stream::try_unfold((listing, first), move |(listing, next)| async move {
            let mut page = match next {
                Next::Have(page) => page,
                Next::Ask(next) => listing.after(&next).await?,
                Next::Nothing => return Ok(None),
            };
            let next = match is_whole && !page.next.is_empty() {
                true => Next::Ask(std::mem::take(&mut page.next)),
                false => Next::Nothing,
            };
            let messages = page.messages(matches!(next, Next::Nothing));
            let messages = stream::iter(messages.into_iter().map(Ok::<_, tonic::Status>));
            Ok::<_, tonic::Status>(Some((messages, (listing, next))))
        });
        Ok(tonic::Response::new(pages.try_flatten().boxed()))
    }

    async fn watch(&self, call: tonic::Request<api::WatchRequest>) -> Outcome<Self::WatchStream> {
        let (carried, message) = (ForwardedHeaders::by(&call), call.into_inner());
        let target = target(message.target)?;
        let mut resource_version = message.resource_version;
        // Not every version of Kubernetes sends them itself.
        let mut initial = Vec::new();
        if message.send_initial_events {
            let all = api::ListRequest {
                target: Some(target.clone()),
                label_selector: message.label_selector.clone(),
                field_selector: message.field_selector.clone(),
                ..Default::default()
            };
            let listing = Listing::new(self, carried.clone(), all)?;
            let (objects, revision) = listing.whole().await?;
            initial.extend(objects.into_iter().map(watch::initial));
            initial.push(watch::initial_events_end(revision));
            resource_version = revision.to_string();
        }
        let bookmarks = match message.allow_bookmarks {
            true => "true",
            false => "",
        };
        let location = Location::collection(&target)
            .with("watch", "true")
            .with("labelSelector", &message.label_selector)
            .with("fieldSelector", &message.field_selector)
            .with("resourceVersion", &resource_version)
            .with("allowWatchBookmarks", bookmarks)
            .with("timeoutSeconds", &number(message.timeout_seconds));
        let request = carried.request(Method::GET, &location, None)?;
        let body = self.ask(&target, &carried, request).await?;
        let initial = stream::iter(initial.into_iter().map(Ok));
        let events = initial.chain(watch::events(body));
        Ok(tonic::Response::new(events.boxed()))
    }

    async fn create(&self, call: tonic::Request<api::CreateRequest>) -> Outcome<Object> {
        let (carried, message) = (ForwardedHeaders::by(&call), call.into_inner());
        let target = target(message.target)?;
        // The name is that of whose subresource is made.
        let location = match target.subresource.as_str() {
            "" => Location::collection(&target),
            _ => Location::object(&target),
        };
        let location = with_options(location, message.options);
        let content = Some((JSON, message.json));
        let request = carried.request(Method::POST, &location, content)?;
        self.object(&target, &carried, request).await
    }

    async fn update(&self, call: tonic::Request<api::UpdateRequest>) -> Outcome<Object> {
        let (carried, message) = (ForwardedHeaders::by(&call), call.into_inner());
        let target = target(message.target)?;
        let location = with_options(Location::object(&target), message.options);
        let content = Some((JSON, message.json));
        let request = carried.request(Method::PUT, &location, content)?;
        self.object(&target, &carried, request).await
    }

    async fn patch(&self, call: tonic::Request<api::PatchRequest>) -> Outcome<Object> {
        let (carried, message) = (ForwardedHeaders::by(&call), call.into_inner());
        let kind = match message.r#type() {
            api::PatchType::JsonPatch => "application/json-patch+json",
            api::PatchType::MergePatch => "application/merge-patch+json",
            api::PatchType::StrategicMergePatch => "application/strategic-merge-patch+json",
            // JSON is YAML.
            api::PatchType::ApplyPatch => "application/apply-patch+yaml",
            api::PatchType::Unspecified => {
                return Err(Status::bad_request("the call has no type of patch").into());
            }
        };
        let target = target(message.target)?;
        let location = with_options(Location::object(&target), message.options)
            .with("force", if message.force { "true" } else { "" });
        let content = Some((kind, message.patch));
        let request = carried.request(Method::PATCH, &location, content)?;
        self.object(&target, &carried, request).await
    }

    async fn delete(&self, call: tonic::Request<api::DeleteRequest>) -> Outcome<Object> {
        let (carried, message) = (ForwardedHeaders::by(&call), call.into_inner());
        let target = target(message.target)?;
        let content = (!message.options.is_empty()).then_some((JSON, message.options));
        let request = carried.request(Method::DELETE, &Location::object(&target), content)?;
        self.object(&target, &carried, request).await
    }

    async fn delete_collection(
        &self,
        call: tonic::Request<api::DeleteCollectionRequest>,
    ) -> Outcome<Object> {
        let (carried, message) = (ForwardedHeaders::by(&call), call.into_inner());
        let target = target(message.target)?;
        let location = Location::collection(&target)
            .with("labelSelector", &message.label_selector)
            .with("fieldSelector", &message.field_selector);
        let content = (!message.options.is_empty()).then_some((JSON, message.options));
        let request = carried.request(Method::DELETE, &location, content)?;
        self.object(&target, &carried, request).await
    }
}

#[cfg(test)]
mod tests;
