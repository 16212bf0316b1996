//! The gRPC probe: `grpc.health.v1.Health/Check`.

use super::Outcome;
use super::target::{address, go_seconds};
use http::uri::PathAndQuery;
use std::time::Duration;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};

/// `grpc.health.v1.HealthCheckRequest`.
#[derive(Clone, PartialEq, prost::Message)]
struct CheckRequest {
    #[prost(string, tag = "1")]
    service: String,
}

/// `grpc.health.v1.HealthCheckResponse`.
#[derive(Clone, PartialEq, prost::Message)]
struct CheckResponse {
    #[prost(int32, tag = "1")]
    status: i32,
}

const SERVING: i32 = 1;

fn status_name(status: i32) -> &'static str {
    match status {
        SERVING => "SERVING",
        2 => "NOT_SERVING",
        3 => "SERVICE_UNKNOWN",
        _ => "UNKNOWN",
    }
}

pub(super) async fn probe(ip: &str, port: i32, service: &str, timeout: Duration) -> Outcome {
    let Ok(port) = u16::try_from(port) else {
        return Outcome::Unknown(format!("invalid port number: {port}"));
    };
    let address = address(ip, port);
    let within = go_seconds(timeout);
    let channel = Endpoint::from_shared(format!("http://{address}"))
        .and_then(|endpoint| endpoint.user_agent("kube-probe/1.33"))
        .map(|endpoint| endpoint.connect_timeout(timeout));
    let channel = match channel {
        Ok(endpoint) => tokio::time::timeout(timeout, endpoint.connect()).await,
        Err(error) => return Outcome::Unknown(error.to_string()),
    };
    let Ok(Ok(channel)) = channel else {
        return Outcome::Failure(format!(
            "timeout: failed to connect service {address:?} within {within}: context deadline exceeded"
        ));
    };
    match tokio::time::timeout(timeout, check(channel, service)).await {
        Ok(Ok(SERVING)) => Outcome::Success,
        Ok(Ok(status)) => {
            let status = status_name(status);
            Outcome::Failure(format!("service unhealthy (responded with {status:?})"))
        }
        Ok(Err(status)) if status.code() == Code::Unimplemented => Outcome::Failure(format!(
            "error: this server does not implement the grpc health protocol (grpc.health.v1.Health): {}",
            status.message()
        )),
        Ok(Err(status)) => Outcome::Failure(format!(
            "error: health rpc probe failed: {}",
            crate::cri::Error::from(status)
        )),
        Err(_) => Outcome::Failure(format!(
            "timeout: health rpc did not complete within {within}"
        )),
    }
}

async fn check(channel: Channel, service: &str) -> Result<i32, Status> {
    let mut client = tonic::client::Grpc::new(channel);
    client
        .ready()
        .await
        .map_err(|e| Status::unavailable(e.to_string()))?;
    let request = CheckRequest {
        service: service.to_owned(),
    };
    let codec = tonic_prost::ProstCodec::<CheckRequest, CheckResponse>::default();
    let path = PathAndQuery::from_static("/grpc.health.v1.Health/Check");
    let response = client.unary(Request::new(request), path, codec).await?;
    Ok(response.into_inner().status)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;
    use std::task::{Context, Poll};
    use tonic::body::Body;
    use tonic::codegen::BoxFuture;
    use tonic::server::{Grpc, NamedService};
    use tonic::{Response, codegen::Service};

    /// Answers as health services do: one service is well, one isn't.
    #[derive(Clone)]
    struct Health;

    impl NamedService for Health {
        const NAME: &'static str = "grpc.health.v1.Health";
    }

    impl Service<http::Request<Body>> for Health {
        type Response = http::Response<Body>;
        type Error = Infallible;
        type Future = BoxFuture<Self::Response, Infallible>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, request: http::Request<Body>) -> Self::Future {
            let answer = tower::service_fn(async |request: Request<CheckRequest>| {
                match request.into_inner().service.as_str() {
                    "" | "good" => Ok(Response::new(CheckResponse { status: SERVING })),
                    "bad" => Ok(Response::new(CheckResponse { status: 2 })),
                    _ => Err(Status::not_found("unknown service")),
                }
            });
            let codec = tonic_prost::ProstCodec::<CheckResponse, CheckRequest>::default();
            Box::pin(async move { Ok(Grpc::new(codec).unary(answer, request).await) })
        }
    }

    #[tokio::test]
    async fn services_are_asked_by_name() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
        let server = tonic::transport::Server::builder().add_service(Health);
        tokio::spawn(server.serve_with_incoming(incoming));
        let ask = |service| probe("127.0.0.1", port.into(), service, Duration::from_secs(5));
        assert_eq!(ask("").await, Outcome::Success);
        assert_eq!(ask("good").await, Outcome::Success);
        let ill = "service unhealthy (responded with \"NOT_SERVING\")";
        assert_eq!(ask("bad").await, Outcome::Failure(ill.into()));
        let unknown =
            "error: health rpc probe failed: rpc error: code = NotFound desc = unknown service";
        assert_eq!(ask("none").await, Outcome::Failure(unknown.into()));
    }

    #[tokio::test]
    async fn nobody_there() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let outcome = probe("127.0.0.1", port.into(), "", Duration::from_secs(1)).await;
        let text = format!(
            "timeout: failed to connect service \"127.0.0.1:{port}\" within 1s: context deadline exceeded"
        );
        assert_eq!(outcome, Outcome::Failure(text));
    }
}
