//! Documents of the REST API, as they are: of hardway's apiserver as of another.

use super::answer;
use super::path::Location;
use bytes::Bytes;
use hardway_proto::Status;
use http::header;
use tonic::body::Body;
use tower::{BoxError, Service, ServiceExt};

/// Reads what is at a place, as JSON.
///
/// # Errors
/// What the apiserver says, or that it can't be reached.
pub(crate) async fn get<S, B>(sender: S, location: &Location) -> Result<Bytes, Status>
where
    S: Service<http::Request<Body>, Response = http::Response<B>>,
    S::Error: Into<BoxError>,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let request = http::Request::get(location.as_str())
        .header(header::ACCEPT, super::JSON)
        .body(Body::empty());
    let request = request.map_err(Status::internal)?;
    let answer = sender.oneshot(request).await;
    let answer = answer.map_err(|error| tonic::Status::from_error(error.into()))?;
    let answer = answer.map(Body::new);
    match answer.status().is_success() {
        true => answer::read(answer.into_body()).await,
        false => Err(super::refused(answer).await),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::Full;

    #[tokio::test]
    async fn places_are_encoded_and_refusals_kept() {
        let server = tower::service_fn(|request: http::Request<Body>| async move {
            let uri = request.uri().to_string();
            let code = if uri.contains("nothing") { 503 } else { 200 };
            let answer = http::Response::builder().status(code);
            answer.body(Full::new(Bytes::from(uri)))
        });
        let pods = Location::segments(&["apis", "metrics.k8s.io", "v1beta1", "a/b", "pods"])
            .with("labelSelector", "app=web,!x")
            .with("fieldSelector", "");
        let body = get(server, &pods).await.unwrap();
        assert_eq!(
            body,
            "/apis/metrics.k8s.io/v1beta1/a%2Fb/pods?labelSelector=app%3Dweb%2C%21x"
        );
        let refused = get(server, &Location::segments(&["nothing"])).await;
        let refused = refused.unwrap_err();
        assert_eq!(
            (refused.code, refused.reason.as_str()),
            (503, "ServiceUnavailable")
        );
    }
}
