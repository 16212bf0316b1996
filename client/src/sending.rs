//! Requests that got no answer. What a connection did not take (a server that is about to restart,
//! or that doesn't know who asks, says goodbye; what comes after that it doesn't look at) is sent
//! again over another one, whatever it asks. So is what makes no difference however often it is
//! asked, when its answer is lost.

use crate::channel::{Connection, Error};
use bytes::Bytes;
use http_body_util::Full;
use std::time::Duration;
use tonic::body::Body;
use tower::{Service, ServiceExt};

/// Milliseconds before a request that no connection took is sent again.
const PAUSES: [u64; 4] = [1, 4, 16, 64];
/// How often a request is sent again whose answer was lost: one that ends every server that sees
/// it must not go through all of them.
const LOST: u32 = 2;

/// Sends a request until a connection takes it, and, if it `is_repeatable`, answers it. That one
/// is closing is known only when its own task has run: until then one is given the same
/// connection again.
///
/// # Errors
/// If there is no connection, or no answer to what was taken.
pub(crate) async fn send(
    connection: &mut Connection,
    request: http::Request<Bytes>,
    is_repeatable: bool,
) -> Result<http::Response<Body>, Error> {
    let mut pauses = PAUSES.into_iter();
    let mut lost = 0;
    loop {
        let error = match send_once(connection, request.clone()).await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        if error.was_not_taken() {
            match pauses.next() {
                Some(pause) => tokio::time::sleep(Duration::from_millis(pause)).await,
                None => return Err(error),
            }
        } else if is_repeatable && error.was_lost() && lost < LOST {
            lost += 1;
        } else {
            return Err(error);
        }
    }
}

async fn send_once(
    connection: &mut Connection,
    request: http::Request<Bytes>,
) -> Result<http::Response<Body>, Error> {
    let request = request.map(|content| Body::new(Full::new(content)));
    connection.ready().await?.call(request).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::service::service_fn;
    use hyper_util::rt::{TokioExecutor, TokioIo};
    use std::convert::Infallible;
    use std::sync::Arc;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::sync::Notify;
    use tonic::transport::Endpoint;

    type Served = http::Response<Full<Bytes>>;

    async fn answer(_: http::Request<hyper::body::Incoming>) -> Result<Served, Infallible> {
        Ok(Served::default())
    }

    /// A server of one connection after another, and a connection to it.
    async fn server<F: Future<Output = ()> + Send + 'static>(
        serve: impl Fn(usize, TcpStream) -> F + Send + 'static,
    ) -> (Connection, http::Request<Bytes>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            for number in 0.. {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(number, stream));
            }
        });
        let endpoint = Endpoint::from_shared(url.clone()).unwrap();
        let request = http::Request::get(&url).body(Bytes::new()).unwrap();
        (endpoint.connect_lazy().into(), request)
    }

    /// Says goodbye to the first request of a connection, and that it sees to none.
    async fn refuse(mut stream: TcpStream) {
        const HEADERS: u8 = 1;
        let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
        let goodbye = [0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        stream.write_all(&settings).await.unwrap();
        let mut preface = [0; 24];
        stream.read_exact(&mut preface).await.unwrap();
        let mut head = [0; 9];
        while head[3] != HEADERS {
            stream.read_exact(&mut head).await.unwrap();
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let mut payload = vec![0; usize::try_from(length).unwrap()];
            stream.read_exact(&mut payload).await.unwrap();
        }
        stream.write_all(&goodbye).await.unwrap();
        // Until the client has left.
        let _ = stream.read_to_end(&mut Vec::new()).await;
    }

    #[tokio::test]
    async fn what_came_after_the_goodbye_goes_over_the_next_connection() {
        let (mut connection, request) = server(|number, stream| async move {
            if number < 2 {
                return refuse(stream).await;
            }
            let http = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            let served = http.serve_connection(TokioIo::new(stream), service_fn(answer));
            let _ = served.await;
        })
        .await;
        let answer = send(&mut connection, request, false).await;
        assert!(answer.is_ok(), "{:?}", answer.err());
    }

    /// Each connection answers one request, and closes meanwhile.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_server_may_close_after_every_answer() {
        let (mut connection, request) = server(|_, stream| async move {
            let asked = Arc::new(Notify::new());
            let closing = asked.clone();
            let service = service_fn(move |request| {
                asked.notify_one();
                answer(request)
            });
            let http = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            let served = http.serve_connection(TokioIo::new(stream), service);
            let mut served = std::pin::pin!(served);
            tokio::select! {
                _ = &mut served => {}
                () = closing.notified() => {
                    served.as_mut().graceful_shutdown();
                    let _ = served.await;
                }
            }
        })
        .await;
        for _ in 0..50 {
            let answer = send(&mut connection, request.clone(), false).await;
            assert!(answer.is_ok(), "{:?}", answer.err());
        }
    }
}
