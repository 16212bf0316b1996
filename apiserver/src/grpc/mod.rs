//! gRPC: `hardway.v1.Api`, for hardway's own components. Objects
//! travel as their stored JSON in a typed envelope.

mod convert;
mod intake;
mod steps;

use crate::aggregation::discovery;
use crate::fairness;
use crate::metrics;
use crate::pipeline::{
    Answer, Body, Door, FieldValidation, HeldBytes, Listing, Options, Origin, PatchKind, Pipeline,
    Record, Request, Story, Target, Verb, present,
};
use crate::rest::body::Body as HttpBody;
use crate::rest::identify;
use convert::{event, to_object};
use futures_util::stream::{self, BoxStream, StreamExt};
use hardway_access::{Attributes, User};
use hardway_client::serving::Peer;
use hardway_proto::Status;
use hardway_proto::api::{self, api_server};
use http::Response;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use intake::Intake;
use parking_lot::Mutex;
use std::net::IpAddr;
use std::sync::Arc;
use tower::ServiceExt;

/// Messages taken are at most as large as REST bodies, and their envelope.
const LARGEST: usize = crate::rest::body::LIMIT + (64 << 10);
/// Pages of a list hold about this many bytes.
const PAGE: usize = 1 << 20;

/// The gRPC service. It asks who calls before it takes in what they say.
#[derive(Clone)]
pub struct GrpcService {
    pipeline: Arc<Pipeline>,
    calls: api_server::ApiServer<Calls>,
}

/// Who calls, found out by the head of the call.
#[derive(Clone)]
struct Caller {
    user: User,
    origin: Origin,
    address: IpAddr,
    /// What the call's message takes in memory.
    _held: Arc<Mutex<HeldBytes>>,
}

impl GrpcService {
    /// A service in front of the pipeline.
    pub fn new(pipeline: Arc<Pipeline>) -> Self {
        let calls = Calls {
            pipeline: pipeline.clone(),
        };
        Self {
            pipeline,
            calls: api_server::ApiServer::new(calls)
                .max_decoding_message_size(LARGEST)
                .max_encoding_message_size(usize::MAX),
        }
    }

    /// Answers one call.
    pub async fn handle(&self, request: http::Request<Incoming>, peer: Peer) -> Response<HttpBody> {
        let (user, origin) = match self.identify(&request, &peer) {
            Ok(known) => known,
            Err(status) => return refusal(status),
        };
        let held = Arc::new(Mutex::new(self.pipeline.bodies.of(&user)));
        let (mut parts, body) = request.into_parts();
        parts.extensions.insert(Caller {
            user,
            origin,
            address: peer.address.ip(),
            _held: held.clone(),
        });
        let request = http::Request::from_parts(parts, Intake::new(body, held));
        match self.calls.clone().oneshot(request).await {
            Ok(response) => response.map(|body| HttpBody::new(body.map_err(Into::into))),
            Err(never) => match never {},
        }
    }

    fn identify(
        &self,
        request: &http::Request<Incoming>,
        peer: &Peer,
    ) -> Result<(User, Origin), Status> {
        let (headers, path) = (request.headers(), request.uri().path());
        let agent = headers
            .get(http::header::USER_AGENT)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        let mut origin = Origin {
            audit_id: request.extensions().get().cloned().unwrap_or_default(),
            uri: path.to_owned(),
            address: peer.address.ip().to_string(),
            agent: agent.to_owned(),
            certified: peer.certificate().is_some(),
            impersonator: None,
            load: peer.load.clone(),
        };
        let nobody = User::default();
        let asked = Attributes::path(&nobody, "post", path);
        let user = identify(&self.pipeline, path, headers, peer, &mut origin, asked)?;
        Ok((user, origin))
    }
}

/// The answer to a call that is not taken in.
pub fn refusal(status: Status) -> Response<HttpBody> {
    status.to_grpc().into_http()
}

/// The calls of those who are known.
#[derive(Clone)]
struct Calls {
    pipeline: Arc<Pipeline>,
}

type Outcome<T> = Result<tonic::Response<T>, tonic::Status>;

impl Calls {
    /// Who calls to do something that the audit log is told of.
    fn caller<T>(
        &self,
        call: &tonic::Request<T>,
        uri: String,
        asked: Attributes<'_>,
    ) -> Result<(User, Origin, Record), Status> {
        let caller = call.extensions().get::<Caller>();
        let Caller {
            user, mut origin, ..
        } = caller
            .cloned()
            .ok_or_else(|| Status::internal("the call was not identified"))?;
        origin.uri = uri;
        let asked = Attributes {
            user: &user,
            ..asked
        };
        let record = Record::default();
        record.begin(self.pipeline.audit.as_ref(), &origin, &asked)?;
        Ok((user, origin, record))
    }

    /// Takes a call into the pipeline.
    async fn call<T>(
        &self,
        call: &tonic::Request<T>,
        verb: Verb,
        target: Option<&api::Target>,
        options: Options,
        body: Body,
    ) -> Result<(Target, Answer), Status> {
        let nothing = api::Target::default();
        let wanted = target.unwrap_or(&nothing);
        let nobody = User::default();
        let asked = asked(&nobody, verb, wanted);
        let (user, origin, record) = self.caller(call, uri(wanted), asked)?;
        let target = match self.target(target, verb) {
            Err(status) if status.code == 404 && self.pipeline.defines_more().await => {
                self.target(Some(wanted), verb)
            }
            found => found,
        };
        let target = target.inspect_err(|status| record.failed(status))?;
        let start = std::time::Instant::now();
        let request = Request {
            options,
            story: Story::begin(Door::Grpc, &origin, &user, verb, &target),
            agent: origin.agent,
            load: origin.load,
            ..Request::new(user, verb, target)
        };
        let respond = async move |request: Request, outcome| {
            crate::rest::record(&request, &outcome, start);
            Ok((request.target, outcome?))
        };
        match self.pipeline.admit(request, &record).await {
            Ok(admitted) => self.pipeline.run(admitted, Ok(body), respond).await,
            Err(refused) => respond(refused.request, Err(refused.status)).await,
        }
    }

    fn target(&self, target: Option<&api::Target>, verb: Verb) -> Result<Target, Status> {
        let target = target.ok_or_else(|| Status::bad_request("the call has no target"))?;
        let resource = self
            .pipeline
            .registry
            .lookup(&target.group, &target.version, &target.resource)
            .ok_or_else(Status::no_such_resource)?;
        let target = Target {
            resource,
            version: target.version.clone(),
            namespace: target.namespace.clone(),
            name: target.name.clone(),
            subresource: target.subresource.clone(),
        };
        target.check_verb(verb)?;
        Ok(target)
    }

    async fn object<T>(
        &self,
        call: &tonic::Request<T>,
        verb: Verb,
        target: Option<&api::Target>,
        options: Options,
        body: Body,
    ) -> Outcome<api::Object> {
        match self.call(call, verb, target, options, body).await? {
            (_, Answer::Object(object)) => {
                Ok(tonic::Response::new(api::Object::of_json(object.json)))
            }
            _ => Err(Status::internal("the answer is no object").into()),
        }
    }
}

/// What a call asks for.
fn asked<'a>(user: &'a User, verb: Verb, target: &'a api::Target) -> Attributes<'a> {
    Attributes {
        user,
        verb: verb.as_str(),
        group: &target.group,
        version: &target.version,
        resource: &target.resource,
        subresource: &target.subresource,
        namespace: &target.namespace,
        name: &target.name,
        fields: None,
        path: "",
        is_resource: true,
    }
}

/// The path that REST would have, for the audit log.
fn uri(target: &api::Target) -> String {
    let mut uri = match target.group.as_str() {
        "" => format!("/api/{}", target.version),
        group => format!("/apis/{group}/{}", target.version),
    };
    if !target.namespace.is_empty() {
        uri.push_str(&format!("/namespaces/{}", target.namespace));
    }
    for part in [&target.resource, &target.name, &target.subresource] {
        if !part.is_empty() {
            uri.push('/');
            uri.push_str(part);
        }
    }
    uri
}

fn write_options(options: Option<&api::WriteOptions>) -> Result<Options, Status> {
    let Some(options) = options else {
        return Ok(Options {
            field_validation: FieldValidation::Ignore,
            ..Options::default()
        });
    };
    let mut read = Options {
        dry_run: options.dry_run,
        field_validation: match options.field_validation.as_str() {
            "" => FieldValidation::Ignore,
            other => FieldValidation::parse(other)?,
        },
        field_validation_given: !options.field_validation.is_empty(),
        ..Options::default()
    };
    read.set_field_manager(options.field_manager.clone())?;
    Ok(read)
}

#[tonic::async_trait]
impl api_server::Api for Calls {
    type ListStream = BoxStream<'static, Result<api::ListPage, tonic::Status>>;
    type WatchStream = BoxStream<'static, Result<api::WatchEvent, tonic::Status>>;
    type WatchStepReadersStream = BoxStream<'static, Result<api::StepReaders, tonic::Status>>;

    async fn watch_step_readers(
        &self,
        call: tonic::Request<api::WatchStepReadersRequest>,
    ) -> Outcome<Self::WatchStepReadersStream> {
        let instance = call.get_ref().instance.clone();
        let (reporter, record) = self
            .reporter(&call, steps::WATCH_READERS, &instance)
            .await?;
        let (steps, objects) = (&self.pipeline.steps, self.pipeline.cache.as_ref());
        let readers = steps.readers(reporter, objects);
        let readers = readers.inspect_err(|status| record.failed(status))?;
        let running = (metrics::long_running("WATCH"), record.started(200));
        let readers = readers.map(move |readers| {
            let _until_its_end = &running;
            Ok(readers)
        });
        Ok(tonic::Response::new(readers.boxed()))
    }

    async fn report_steps(
        &self,
        call: tonic::Request<api::ReportStepsRequest>,
    ) -> Outcome<api::ReportStepsResponse> {
        let instance = call.get_ref().instance.clone();
        let (reporter, record) = self.reporter(&call, steps::REPORT, &instance).await?;
        let (pipeline, report) = (&self.pipeline, call.into_inner());
        let taken = pipeline
            .steps
            .reported(&reporter, report, pipeline.cache.as_ref());
        taken.inspect_err(|status| record.failed(status))?;
        record.completed(200);
        Ok(tonic::Response::new(api::ReportStepsResponse {}))
    }

    async fn discover(
        &self,
        call: tonic::Request<api::DiscoverRequest>,
    ) -> Outcome<api::DiscoverResponse> {
        let nobody = User::default();
        let asked = Attributes::path(&nobody, "get", "/apis");
        let (user, _, record) = self.caller(&call, "/apis".into(), asked)?;
        let asked = Attributes {
            user: &user,
            ..asked
        };
        let (digest, details) = fairness::path_digest(&user, "get", "/apis");
        let (_, seat) = self.pipeline.seats.take_one(&user, &digest, details).await;
        let permitted = self.pipeline.permit(&asked, &record);
        let seat = seat.and_then(|seat| permitted.map(|()| seat));
        let _seat = seat.inspect_err(|status| record.failed(status))?;
        record.completed(200);
        let table = self.pipeline.registry.snapshot();
        // Whoever goes through all resources meets each object once.
        let rows = table.rows().iter().filter(|row| row.external.is_none());
        let resources = rows.map(|row| api::ResourceInfo {
            also_in: table.also_in(row),
            group: row.group.clone(),
            version: row.versions[0].name.clone(),
            resource: row.plural.clone(),
            kind: row.kind.clone(),
            namespaced: row.namespaced(),
            verbs: row.verbs.clone(),
            aggregated: false,
        });
        let behind = discovery::behind(&self.pipeline.aggregation.known());
        Ok(tonic::Response::new(api::DiscoverResponse {
            resources: resources.chain(behind.resources).collect(),
            unavailable: behind.unavailable,
        }))
    }

    async fn get(&self, call: tonic::Request<api::GetRequest>) -> Outcome<api::Object> {
        let message = call.get_ref();
        let options = Options {
            resource_version: message.resource_version.clone(),
            ..Options::default()
        };
        self.object(
            &call,
            Verb::Get,
            message.target.as_ref(),
            options,
            Body::Empty,
        )
        .await
    }

    async fn list(&self, call: tonic::Request<api::ListRequest>) -> Outcome<Self::ListStream> {
        let message = call.get_ref();
        let options = Options {
            label_selector: message.label_selector.clone(),
            field_selector: message.field_selector.clone(),
            resource_version: message.resource_version.clone(),
            resource_version_match: message.resource_version_match.clone(),
            limit: usize::try_from(message.limit).unwrap_or_default(),
            continuation: message.r#continue.clone(),
            ..Options::default()
        };
        let target = message.target.as_ref();
        match self
            .call(&call, Verb::List, target, options, Body::Empty)
            .await?
        {
            (_, Answer::List(listing)) => {
                let pages = stream::iter(pages(listing)).map(Ok);
                Ok(tonic::Response::new(pages.boxed()))
            }
            _ => Err(Status::internal("the answer is no list").into()),
        }
    }

    async fn watch(&self, call: tonic::Request<api::WatchRequest>) -> Outcome<Self::WatchStream> {
        let message = call.get_ref();
        let options = Options {
            label_selector: message.label_selector.clone(),
            field_selector: message.field_selector.clone(),
            resource_version: message.resource_version.clone(),
            bookmarks: message.allow_bookmarks || message.send_initial_events,
            initial_events: message.send_initial_events.then_some(true),
            resource_version_match: match message.send_initial_events {
                true => "NotOlderThan".into(),
                false => String::new(),
            },
            timeout_seconds: Some(u64::from(message.timeout_seconds)),
            ..Options::default()
        };
        let target = message.target.as_ref();
        let (_, Answer::Watch(watch)) = self
            .call(&call, Verb::Watch, target, options, Body::Empty)
            .await?
        else {
            return Err(Status::internal("the answer is no watch").into());
        };
        let running = metrics::long_running("WATCH");
        let events = stream::unfold((watch, running), |(mut watch, running)| async move {
            let item = watch.next().await?;
            let event = event(&watch.target, item);
            Some((Ok(event), (watch, running)))
        });
        Ok(tonic::Response::new(events.boxed()))
    }

    async fn create(&self, call: tonic::Request<api::CreateRequest>) -> Outcome<api::Object> {
        let message = call.get_ref();
        let options = write_options(message.options.as_ref())?;
        let body = Body::Json(message.json.clone());
        self.object(&call, Verb::Create, message.target.as_ref(), options, body)
            .await
    }

    async fn update(&self, call: tonic::Request<api::UpdateRequest>) -> Outcome<api::Object> {
        let message = call.get_ref();
        let options = write_options(message.options.as_ref())?;
        let body = Body::Json(message.json.clone());
        self.object(&call, Verb::Update, message.target.as_ref(), options, body)
            .await
    }

    async fn patch(&self, call: tonic::Request<api::PatchRequest>) -> Outcome<api::Object> {
        let message = call.get_ref();
        let kind = match message.r#type() {
            api::PatchType::JsonPatch => PatchKind::Json,
            api::PatchType::MergePatch => PatchKind::Merge,
            api::PatchType::StrategicMergePatch => PatchKind::Strategic,
            api::PatchType::ApplyPatch => PatchKind::Apply,
            api::PatchType::Unspecified => {
                return Err(Status::bad_request("the call has no type of patch").into());
            }
        };
        let mut options = write_options(message.options.as_ref())?;
        options.force = message.force;
        options.force_given = message.force;
        let body = Body::Patch(kind, message.patch.clone());
        self.object(&call, Verb::Patch, message.target.as_ref(), options, body)
            .await
    }

    async fn delete(&self, call: tonic::Request<api::DeleteRequest>) -> Outcome<api::Object> {
        let message = call.get_ref();
        let (target, body) = (message.target.as_ref(), Body::Json(message.options.clone()));
        self.object(&call, Verb::Delete, target, Options::default(), body)
            .await
    }

    async fn delete_collection(
        &self,
        call: tonic::Request<api::DeleteCollectionRequest>,
    ) -> Outcome<api::Object> {
        let message = call.get_ref();
        let options = Options {
            label_selector: message.label_selector.clone(),
            field_selector: message.field_selector.clone(),
            ..Options::default()
        };
        let (target, body) = (message.target.as_ref(), Body::Json(message.options.clone()));
        self.object(&call, Verb::DeleteCollection, target, options, body)
            .await
    }
}

/// A list in pages; the last one tells about the list.
fn pages(listing: Listing) -> impl Iterator<Item = api::ListPage> + Send {
    let Listing {
        target,
        items,
        revision,
        next,
        remaining,
        seat,
    } = listing;
    let mut items = items.into_iter().peekable();
    let mut done = false;
    std::iter::from_fn(move || {
        let _until_written = &seat;
        if done {
            return None;
        }
        let mut page = api::ListPage::default();
        let mut size = 0;
        while size < PAGE
            && let Some(entry) = items.next()
        {
            let json = present::serve(&target, entry.bytes());
            size += json.len();
            page.items.push(to_object(&entry, json, entry.revision));
        }
        if items.peek().is_none() {
            done = true;
            page.resource_version = revision;
            page.r#continue = next.clone().unwrap_or_default();
            page.remaining_item_count = remaining.unwrap_or_default();
        }
        Some(page)
    })
}
