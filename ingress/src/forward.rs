//! One request: to whom it goes, and what comes back.

use crate::bodies::{Body, Progress, Timed, empty, text};
use crate::endpoint_turns::{EndpointTurns, Place};
use crate::headers::{self, Scheme};
use crate::upstream::{Error, Failed, Upstream};
use crate::watching::World;
use crate::{metrics, path, tunnel};
use bytes::Bytes;
use hardway_client::serving::BoxError;
use http::header::{
    CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, LOCATION, RETRY_AFTER, TRANSFER_ENCODING,
};
use http::{Method, Request, Response, StatusCode, Uri, request};
use http_body::Body as HttpBody;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// How long the next piece of a request's body may take.
const REQUEST: Duration = Duration::from_secs(60);
/// How long the next piece of an answer's body may take: streams of events are quiet for long.
const RESPONSE: Duration = Duration::from_secs(3600);
/// How many endpoints are asked at most.
const ATTEMPTS: usize = 4;

/// Passes requests on.
pub struct Forwarder {
    world: watch::Receiver<Arc<World>>,
    upstream: Arc<Upstream>,
    turns: EndpointTurns,
}

/// An answer that this controller gives by itself.
fn own(status: StatusCode, message: &str) -> Response<Body> {
    let mut response = Response::new(text(format!("{message}\n")));
    *response.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, plain);
    response
}

impl Forwarder {
    /// By what the world is like at the time.
    pub fn new(
        world: watch::Receiver<Arc<World>>,
        upstream: Arc<Upstream>,
        turns: EndpointTurns,
    ) -> Self {
        Self {
            world,
            upstream,
            turns,
        }
    }

    /// Answers a request of a client.
    pub async fn answer<B>(
        &self,
        client: IpAddr,
        scheme: Scheme,
        request: Request<B>,
    ) -> Response<Body>
    where
        B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Unpin + Send + 'static,
    {
        let began = Instant::now();
        let response = match self.forward(client, scheme, request).await {
            Ok(response) | Err(response) => response,
        };
        metrics::DURATION.observe(began.elapsed().as_secs_f64());
        let status = response.status();
        metrics::REQUESTS
            .with_label_values(&[status.as_str()])
            .inc();
        response
    }

    /// The backend's answer, or else one of its own.
    async fn forward<B>(
        &self,
        client: IpAddr,
        scheme: Scheme,
        mut request: Request<B>,
    ) -> Result<Response<Body>, Response<Body>>
    where
        B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Unpin + Send + 'static,
    {
        // The head loses it where it is made the backend's.
        let upgraded = hyper::upgrade::on(&mut request);
        let (mut head, body) = request.into_parts();
        let authority = headers::authority(&head);
        let authority = authority.ok_or_else(|| {
            own(
                StatusCode::BAD_REQUEST,
                "the request names no host, or none that can be",
            )
        })?;
        if head.method == Method::CONNECT {
            return Err(own(
                StatusCode::METHOD_NOT_ALLOWED,
                "CONNECT is not for here",
            ));
        }
        let addresses = self.find(&head, &authority, scheme)?;
        let websocket = headers::asks_for_websocket(&head) && body.is_end_stream();
        headers::forward(&mut head, &authority, client, scheme, websocket);
        if !body.is_end_stream() && !head.headers.contains_key(CONTENT_LENGTH) {
            // Of methods that seldom have a body it would be left out.
            let chunked = HeaderValue::from_static("chunked");
            head.headers.insert(TRANSFER_ENCODING, chunked);
        }
        let target = head.uri.into_parts().path_and_query;
        head.uri = target.map(Uri::from).unwrap_or_default();

        let again = Again::of(&head, &body);
        let progress = Progress::new();
        let body = match body.is_end_stream() {
            true => empty(),
            false => Timed::new(body, REQUEST, progress.clone()).boxed_unsync(),
        };
        let request = Request::from_parts(head, body);
        let response = self.ask(&addresses, request, &again, &progress).await;
        let response = response.map_err(|error| failed(&error))?;
        Ok(answered(response, websocket.then_some(upgraded)))
    }

    /// The addresses that a request may go to, in their turn.
    fn find(
        &self,
        head: &request::Parts,
        authority: &str,
        scheme: Scheme,
    ) -> Result<Vec<SocketAddr>, Response<Body>> {
        let world = self.world.borrow().clone();
        let asked = path::asked(head.uri.path()).ok_or_else(|| {
            own(
                StatusCode::BAD_REQUEST,
                "the path can be read in several ways",
            )
        })?;
        let target = world.routes.find(&headers::host(authority), &asked);
        let target = target.ok_or_else(|| {
            own(
                StatusCode::NOT_FOUND,
                "no Ingress has a rule for this host and path",
            )
        })?;
        if target.to_https && scheme == Scheme::Http {
            return Err(to_https(head, authority));
        }
        let endpoints = target.backend.as_ref().and_then(|b| world.backends.get(b));
        let endpoints = endpoints.and_then(|found| found.as_ref().ok());
        let addresses: Vec<_> = endpoints.map_or_else(Vec::new, |endpoints| {
            endpoints.in_turn().take(ATTEMPTS).collect()
        });
        match addresses.is_empty() {
            true => Err(own(
                StatusCode::SERVICE_UNAVAILABLE,
                "the Service behind this host and path has no ready endpoints",
            )),
            false => Ok(addresses),
        }
    }

    /// Asks one address after the other, as long as nobody can have got the request, or it may
    /// be got twice.
    async fn ask(
        &self,
        addresses: &[SocketAddr],
        request: Request<Body>,
        again: &Again,
        progress: &Progress,
    ) -> Result<Response<Incoming>, Error> {
        let mut request = Some(request);
        let mut left = addresses.to_vec();
        let mut last = Error::ConnectTimeout;
        while !left.is_empty() {
            let Some(next) = request.take().or_else(|| again.request(&last)) else {
                break;
            };
            let (address, place) = self.turns.take(&left).await?;
            left.retain(|other| *other != address);
            // Its turn has come: what it waited before is not the endpoint's silence.
            progress.mark();
            let Failed {
                request: unsent,
                error,
            } = match self.upstream.send(address, place, next, progress).await {
                Ok(response) => return Ok(response),
                Err(failed) => failed,
            };
            tracing::info!(%address, %error, "a backend failed");
            metrics::RETRIES.inc();
            (request, last) = (unsent, error);
        }
        Err(last)
    }
}

/// What it takes to ask a second time for what may have been taken once.
struct Again(Option<request::Parts>);

impl Again {
    /// Of requests that change nothing more by being asked twice, and that have no body.
    fn of(head: &request::Parts, body: &impl HttpBody) -> Self {
        let may = head.method.is_idempotent() && body.is_end_stream();
        Self(may.then(|| head.clone()))
    }

    /// The request, once more: after a connection broke, not when a backend takes its time.
    fn request(&self, last: &Error) -> Option<Request<Body>> {
        let head = self.0.clone()?;
        matches!(last, Error::Broken(_)).then(|| Request::from_parts(head, empty()))
    }
}

fn to_https(head: &request::Parts, authority: &str) -> Response<Body> {
    let target = head
        .uri
        .path_and_query()
        .map_or("/", |target| target.as_str());
    let location = format!("https://{}{target}", headers::host(authority));
    let mut response = own(StatusCode::PERMANENT_REDIRECT, "over HTTPS, please");
    if let Ok(location) = HeaderValue::try_from(location) {
        response.headers_mut().insert(LOCATION, location);
    }
    response
}

fn failed(error: &Error) -> Response<Body> {
    match error {
        Error::Busy(_) => {
            metrics::BUSY.inc();
            let message = "the endpoints have as many requests as they are given: try again";
            let mut response = own(StatusCode::SERVICE_UNAVAILABLE, message);
            let soon = HeaderValue::from_static("1");
            response.headers_mut().insert(RETRY_AFTER, soon);
            response
        }
        Error::Connect(_) => own(StatusCode::BAD_GATEWAY, "no endpoint can be reached"),
        Error::Broken(_) => own(StatusCode::BAD_GATEWAY, "the endpoint broke off"),
        Error::ConnectTimeout | Error::Timeout => own(
            StatusCode::GATEWAY_TIMEOUT,
            "the endpoint did not answer in time",
        ),
        Error::Client => own(
            StatusCode::REQUEST_TIMEOUT,
            "the request's body did not come in time",
        ),
    }
}

/// A backend's answer, as the client gets it.
fn answered(mut response: Response<Incoming>, client: Option<OnUpgrade>) -> Response<Body> {
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        let client = client.filter(|_| headers::names_websocket(response.headers()));
        let Some(client) = client else {
            return own(
                StatusCode::BAD_GATEWAY,
                "the endpoint goes on with a protocol that nobody asked for",
            );
        };
        let place = response.extensions_mut().remove::<Place>();
        let backend = hyper::upgrade::on(&mut response);
        tokio::spawn(async move {
            tunnel::carry(client, backend).await;
            drop(place);
        });
        headers::strip(response.headers_mut(), true);
        return response.map(|_| empty());
    }
    headers::strip(response.headers_mut(), false);
    response.map(|body| Timed::new(body, RESPONSE, Progress::new()).boxed_unsync())
}
