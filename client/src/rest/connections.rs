//! Over which connection a request goes. Kubernetes' apiservers take 100 requests at
//! once over one (250 in older versions), and a kubelet watches every ConfigMap and
//! Secret of its pods. So watches have connections of their own, each with room for so
//! many, and what is short never waits for one to end.

use super::Http;
use crate::channel::Connection;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use hardway_proto::Status;
use http_body_util::{BodyExt, Full};
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;
use tonic::body::Body;
use tower::{Service, ServiceExt};

/// Watches that share a connection: fewer than any apiserver takes.
const SHARING: usize = 80;
/// Milliseconds before a request that no connection took is sent again.
const PAUSES: [u64; 4] = [1, 4, 16, 64];

/// Connections to one apiserver.
pub(crate) struct Connections {
    /// For what is short.
    first: Connection,
    /// For watches; each of them holds the mark beside its connection.
    watching: Mutex<Vec<(Connection, Arc<()>)>>,
}

impl Connections {
    /// Like this one.
    pub(crate) fn new(first: Connection) -> Self {
        Self {
            first,
            watching: Mutex::default(),
        }
    }

    /// One that has room for another watch. Those without any are closed.
    fn for_watch(&self) -> (Connection, Option<Arc<()>>) {
        let mut watching = self.watching.lock();
        let watches = |mark: &Arc<()>| Arc::strong_count(mark) - 1;
        watching.retain(|(_, mark)| watches(mark) > 0);
        let roomy = watching
            .iter()
            .position(|(_, mark)| watches(mark) < SHARING);
        let index = roomy.unwrap_or_else(|| {
            watching.push((self.first.another(), Arc::default()));
            watching.len() - 1
        });
        let (connection, mark) = &watching[index];
        (connection.clone(), Some(mark.clone()))
    }
}

impl Http for Connections {
    fn send(
        &self,
        request: http::Request<Bytes>,
    ) -> BoxFuture<'static, Result<http::Response<Body>, Status>> {
        let query = request.uri().query().unwrap_or_default();
        let (mut connection, mark) = match query.split('&').any(|pair| pair == "watch=true") {
            true => self.for_watch(),
            false => (self.first.clone(), None),
        };
        Box::pin(async move {
            let response = taken(&mut connection, request).await.map_err(unreachable)?;
            Ok(response.map(|body| {
                // Counted until the body is read or dropped.
                Body::new(body.map_err(move |error| {
                    let _counted = &mark;
                    error
                }))
            }))
        })
    }
}

/// Sends a request until a connection takes it. That one is closing is known only when its
/// own task has run: until then one is given the same connection again.
async fn taken(
    connection: &mut Connection,
    request: http::Request<Bytes>,
) -> Result<http::Response<Body>, tonic::transport::Error> {
    for pause in PAUSES {
        match once(connection, request.clone()).await {
            Err(error) if was_never_sent(&error) => {
                tokio::time::sleep(Duration::from_millis(pause)).await;
            }
            answer => return answer,
        }
    }
    once(connection, request).await
}

async fn once(
    connection: &mut Connection,
    request: http::Request<Bytes>,
) -> Result<http::Response<Body>, tonic::transport::Error> {
    let request = request.map(|content| Body::new(Full::new(content)));
    connection.ready().await?.call(request).await
}

/// Whether the server had begun to close the connection before the request went over it, as
/// one does that is about to restart. Over a new connection it may be sent whatever it asks.
fn was_never_sent(error: &tonic::transport::Error) -> bool {
    let causes = std::iter::successors(Some(error as &dyn std::error::Error), |e| e.source());
    let mut transport = causes.filter_map(|cause| cause.downcast_ref::<hyper::Error>());
    transport.any(hyper::Error::is_canceled)
}

/// What a gRPC call would say.
fn unreachable(error: tonic::transport::Error) -> Status {
    tonic::Status::from_error(error.into()).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::service::service_fn;
    use hyper_util::rt::{TokioExecutor, TokioIo};
    use std::convert::Infallible;
    use tokio::net::TcpListener;
    use tokio::sync::Notify;
    use tonic::transport::Endpoint;

    /// Answers one request on each connection, and closes it gracefully meanwhile.
    async fn answer_once(listener: TcpListener) {
        while let Ok((stream, _)) = listener.accept().await {
            let asked = Arc::new(Notify::new());
            let closing = asked.clone();
            let service = service_fn(move |_: http::Request<hyper::body::Incoming>| {
                asked.notify_one();
                async { Ok::<_, Infallible>(http::Response::new(Body::empty())) }
            });
            tokio::spawn(async move {
                let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                let connection = builder.serve_connection(TokioIo::new(stream), service);
                let mut connection = std::pin::pin!(connection);
                tokio::select! {
                    ended = &mut connection => ended,
                    () = closing.notified() => {
                        connection.as_mut().graceful_shutdown();
                        connection.await
                    }
                }
            });
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_a_closing_connection_did_not_take_goes_over_the_next() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(answer_once(listener));
        let endpoint = Endpoint::from_shared(url.clone()).unwrap();
        let connections = Connections::new(endpoint.connect_lazy().into());
        for _ in 0..50 {
            let request = http::Request::get(&url).body(Bytes::new()).unwrap();
            let answer = connections.send(request).await;
            assert!(answer.is_ok(), "{:?}", answer.err());
        }
    }

    #[tokio::test]
    async fn watches_are_spread_and_their_places_come_free() {
        let nowhere = Endpoint::from_static("http://127.0.0.1:9").connect_lazy();
        let connections = Connections::new(nowhere.into());
        let mut held: Vec<_> = (0..SHARING + 1).map(|_| connections.for_watch()).collect();
        let count = || connections.watching.lock().len();
        assert_eq!(count(), 2);
        held.remove(0);
        held.push(connections.for_watch());
        assert_eq!(count(), 2, "a place has come free");
        held.clear();
        held.push(connections.for_watch());
        assert_eq!(count(), 1);
    }
}
