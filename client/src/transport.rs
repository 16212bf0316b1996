//! How calls reach an apiserver: over gRPC if it is hardway's, over REST if it is
//! another one.
//!
//! Which of them it is comes out by itself. Hardway's answers every gRPC call as gRPC,
//! refusals of strangers included. Another one knows nothing of it, and refuses the call
//! in its own way: then the call is made again over REST, and so are all that follow,
//! until the connection is a new one, behind which another server may be.

use crate::channel::Connection;
use crate::rest::{self, Connections, LARGEST, Translator};
use crate::sending::send;
use futures_util::future::BoxFuture;
use hardway_proto::api::api_server::ApiServer;
use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use tonic::body::Body;
use tower::{BoxError, Service};

/// No connection was to an apiserver that isn't hardway's.
const NEVER: u64 = u64::MAX;

/// Takes gRPC calls; other requests pass as they are. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Transport {
    connection: Connection,
    translator: Translator,
    /// The connection, by its number, over which an apiserver turned out not to be
    /// hardway's.
    rest_on: Arc<AtomicU64>,
    /// Whoever answers is asked over REST.
    only_rest: bool,
}

impl Transport {
    /// Over this connection, and more like it.
    pub(crate) fn over(connection: Connection) -> Self {
        let connections = Arc::new(Connections::new(connection.clone()));
        Self {
            connection,
            translator: Translator::new(connections),
            rest_on: Arc::new(AtomicU64::new(NEVER)),
            only_rest: false,
        }
    }

    /// The same, over REST whoever answers.
    pub(crate) fn over_rest_alone(&self) -> Self {
        Self {
            only_rest: true,
            ..self.clone()
        }
    }

    async fn over_rest(translator: Translator, call: Request<Body>) -> Response<Body> {
        let mut service = ApiServer::new(translator)
            .max_decoding_message_size(LARGEST)
            .max_encoding_message_size(usize::MAX);
        match service.call(call).await {
            Ok(answer) => answer,
            Err(never) => match never {},
        }
    }

    /// The apiserver isn't hardway's.
    async fn note_rest(&self, connection: &Connection, headers: &HeaderMap) {
        let number = connection.number();
        if self.rest_on.swap(number, Ordering::Relaxed) == NEVER {
            let version = self.translator.version_for(headers).await;
            let version = version.map_or_else(|why| why.to_string(), |v| v.to_string());
            tracing::info!(
                version,
                "the apiserver is not hardway's: speaking REST with it"
            );
        }
    }
}

fn is_grpc(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE);
    kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"))
}

/// Whether a call of the service `hardway.v1.Api` changes nothing, so that it may be made again
/// when its answer is lost.
fn is_read(path: &str) -> bool {
    let call = path.rsplit('/').next().unwrap_or_default();
    matches!(
        call,
        "Get" | "List" | "Watch" | "Discover" | "WatchStepReaders"
    )
}

/// Whether a call was answered by somebody who has no such calls. One who is busy or
/// about to start says nothing of what it is.
fn is_foreign(answer: &Response<Body>) -> bool {
    let refused = matches!(
        answer.status(),
        StatusCode::UNAUTHORIZED
            | StatusCode::FORBIDDEN
            | StatusCode::NOT_FOUND
            | StatusCode::METHOD_NOT_ALLOWED
            | StatusCode::NOT_ACCEPTABLE
            | StatusCode::UNSUPPORTED_MEDIA_TYPE
    );
    refused && !is_grpc(answer.headers())
}

impl Service<Request<Body>> for Transport {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Response<Body>, BoxError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.connection.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        // The one that is ready goes with the request.
        let next = self.connection.clone();
        let mut connection = mem::replace(&mut self.connection, next);
        if !is_grpc(request.headers()) {
            let answer = connection.call(request);
            return Box::pin(async move { Ok(answer.await?) });
        }
        let this = self.clone();
        Box::pin(async move {
            if this.only_rest || this.rest_on.load(Ordering::Relaxed) == connection.number() {
                return Ok(Self::over_rest(this.translator, request).await);
            }
            let (head, body) = request.into_parts();
            let message = body.collect().await?.to_bytes();
            let call = Request::from_parts(head.clone(), message);
            let is_repeatable = is_read(call.uri().path());
            let answer = send(&mut connection, call.clone(), is_repeatable).await;
            let answer = answer.map_err(|error| error.to_status(is_repeatable).to_grpc())?;
            if is_foreign(&answer) {
                this.note_rest(&connection, &head.headers).await;
                let call = call.map(|message| Body::new(Full::new(message)));
                return Ok(Self::over_rest(this.translator, call).await);
            }
            if !is_grpc(answer.headers()) {
                return Ok(rest::refused(answer).await.to_grpc().into_http());
            }
            if this.rest_on.swap(NEVER, Ordering::Relaxed) != NEVER {
                tracing::info!("the apiserver is hardway's: speaking gRPC with it");
            }
            Ok(answer)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Client;
    use hyper_util::rt::{TokioExecutor, TokioIo};
    use k8s_openapi::api::core::v1::ConfigMap;
    use parking_lot::Mutex;
    use tokio::net::TcpListener;
    use tonic::transport::{Channel, Endpoint};

    /// What an apiserver does with a request.
    type Answers = fn(&Request<hyper::body::Incoming>) -> Response<Full<bytes::Bytes>>;

    /// Serves HTTP/2; what it was asked, and how to reach it.
    async fn server(answers: Arc<Mutex<Answers>>) -> (Arc<Mutex<Vec<String>>>, Channel) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = asked.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (log, answers) = (log.clone(), answers.clone());
                let service = hyper::service::service_fn(move |request| {
                    let line = format!("{} {}", request.method(), request.uri().path());
                    log.lock().push(line);
                    let answer = (answers.lock())(&request);
                    async move { Ok::<_, std::convert::Infallible>(answer) }
                });
                let http = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                tokio::spawn(http.serve_connection(TokioIo::new(stream), service));
            }
        });
        let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
        (asked, endpoint.connect_lazy())
    }

    fn answer(code: u16, kind: &str, body: &'static str) -> Response<Full<bytes::Bytes>> {
        let answer = Response::builder()
            .status(code)
            .header("content-type", kind);
        answer.body(Full::new(body.into())).unwrap()
    }

    const FORBIDDEN: &str = r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"forbidden: User \"system:node:n1\" cannot post path \"/hardway.v1.Api/Get\"","reason":"Forbidden","details":{},"code":403}"#;
    const UNAUTHORIZED: &str = r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"Unauthorized","reason":"Unauthorized","code":401}"#;
    const MAP: &str = r#"{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"a","namespace":"default","resourceVersion":"7"},"data":{"k":"rest"}}"#;

    /// As Kubernetes 1.20 does it for a node.
    fn kubernetes(request: &Request<hyper::body::Incoming>) -> Response<Full<bytes::Bytes>> {
        let json = "application/json";
        match request.uri().path() {
            "/version" => answer(200, json, r#"{"minor":"20","gitVersion":"v1.20.2"}"#),
            "/api/v1/namespaces/default/configmaps/a" => answer(200, json, MAP),
            _ => answer(403, json, FORBIDDEN),
        }
    }

    /// And for an administrator, to whom it tells what there is instead.
    fn to_masters(request: &Request<hyper::body::Incoming>) -> Response<Full<bytes::Bytes>> {
        match request.uri().path() {
            "/hardway.v1.Api/Get" => {
                answer(404, "application/json", r#"{"paths":["/apis","/healthz"]}"#)
            }
            _ => kubernetes(request),
        }
    }

    fn strict(_: &Request<hyper::body::Incoming>) -> Response<Full<bytes::Bytes>> {
        answer(401, "application/json", UNAUTHORIZED)
    }

    fn starting(_: &Request<hyper::body::Incoming>) -> Response<Full<bytes::Bytes>> {
        answer(503, "text/plain", "apiserver is starting")
    }

    /// Hardway's refuses in gRPC.
    fn hardway(_: &Request<hyper::body::Incoming>) -> Response<Full<bytes::Bytes>> {
        let status = hardway_proto::Status::unauthorized().to_grpc();
        status.into_http()
    }

    async fn get(client: &Client) -> Result<ConfigMap, hardway_proto::Status> {
        client.namespaced::<ConfigMap>("default").get("a").await
    }

    #[tokio::test]
    async fn who_knows_no_grpc_is_spoken_to_over_rest() {
        for answers in [kubernetes as Answers, to_masters] {
            let (asked, channel) = server(Arc::new(Mutex::new(answers))).await;
            let client = Client::from_channel(channel, "test");
            for _ in 0..2 {
                assert_eq!(get(&client).await.unwrap().data.unwrap()["k"], "rest");
            }
            let path = "GET /api/v1/namespaces/default/configmaps/a";
            let expected = ["POST /hardway.v1.Api/Get", "GET /version", path, path];
            assert_eq!(*asked.lock(), expected, "it is found out once");
        }
    }

    #[tokio::test]
    async fn refusals_are_those_of_who_refuses() {
        let answers = Arc::new(Mutex::new(hardway as Answers));
        let (asked, channel) = server(answers.clone()).await;
        let client = Client::from_channel(channel, "test");
        assert_eq!(get(&client).await.unwrap_err().code, 401);
        assert_eq!(
            asked.lock().len(),
            1,
            "hardway's no is no reason to ask again"
        );
        *answers.lock() = strict;
        let refused = get(&client).await.unwrap_err();
        assert_eq!(
            (refused.code, refused.message.as_str()),
            (401, "Unauthorized")
        );
        assert!(asked.lock().last().unwrap().starts_with("GET /api/v1"));
    }

    #[test]
    fn only_reads_are_made_again() {
        for (call, expected) in [
            ("Get", true),
            ("Watch", true),
            ("Create", false),
            ("Patch", false),
        ] {
            assert_eq!(
                is_read(&format!("/hardway.v1.Api/{call}")),
                expected,
                "{call}"
            );
        }
    }

    #[tokio::test]
    async fn who_is_not_ready_is_neither() {
        let answers = Arc::new(Mutex::new(starting as Answers));
        let (asked, channel) = server(answers.clone()).await;
        let client = Client::from_channel(channel, "test");
        let refused = get(&client).await.unwrap_err();
        assert_eq!(refused.code, 503);
        assert!(refused.message.contains("is starting"), "{refused}");
        assert_eq!(*asked.lock(), ["POST /hardway.v1.Api/Get"]);
        *answers.lock() = kubernetes;
        assert!(get(&client).await.is_ok());
    }

    #[tokio::test]
    async fn behind_a_new_connection_may_be_another() {
        let answers = Arc::new(Mutex::new(kubernetes as Answers));
        let (asked, channel) = server(answers.clone()).await;
        let connection = Connection::from(channel);
        let made = connection.made();
        let transport = Transport::over(connection);
        let mut client = hardway_proto::api::api_client::ApiClient::new(transport);
        let target = hardway_proto::api::Target {
            version: "v1".into(),
            resource: "configmaps".into(),
            namespace: "default".into(),
            name: "a".into(),
            ..Default::default()
        };
        let mut get = async || {
            let request = hardway_proto::api::GetRequest {
                target: Some(target.clone()),
                ..Default::default()
            };
            client.get(request).await
        };
        assert!(get().await.is_ok());
        *answers.lock() = hardway;
        made.fetch_add(1, Ordering::Relaxed);
        let refused = get().await.unwrap_err();
        assert_eq!(refused.code(), tonic::Code::Unauthenticated);
        let last = asked.lock().last().cloned();
        assert_eq!(last.as_deref(), Some("POST /hardway.v1.Api/Get"));
    }
}
