//! Over which connection a request goes. Kubernetes' apiservers take 100 requests at
//! once over one (250 in older versions), and a kubelet watches every ConfigMap and
//! Secret of its pods. So watches have connections of their own, each with room for so
//! many, and what is short never waits for one to end.

use super::Http;
use crate::channel::Connection;
use crate::sending::send;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use hardway_proto::Status;
use http_body_util::BodyExt;
use parking_lot::Mutex;
use std::sync::Arc;
use tonic::body::Body;

/// Watches that share a connection: fewer than any apiserver takes.
const SHARING: usize = 80;

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
        let is_repeatable = request.method().is_safe();
        Box::pin(async move {
            let response = send(&mut connection, request, is_repeatable).await;
            let response = response.map_err(|error| error.to_status(is_repeatable))?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use tonic::transport::Endpoint;

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
