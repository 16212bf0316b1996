//! Forwarding plain HTTP: logs, and the proxy subresources of nodes, pods and
//! services. Bodies stream both ways; nothing is collected.

use crate::connect::{Body, BoxError, Unreachable, Upstream, forwardable, wanted_upgrade};
use crate::tunnel;
use bytes::Bytes;
use hardway_proto::Status;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, Uri, header};
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use std::net::IpAddr;

/// How the upstream appears to the client: for proxy subresources, whose
/// upstream has to know (and to redirect within) the path it is reached by.
#[derive(Clone, Debug)]
pub struct Exposed {
    /// The path below which the client sees the upstream, without a slash at
    /// the end: `/api/v1/namespaces/default/pods/web/proxy`.
    pub prefix: String,
    /// The client's address.
    pub client: Option<IpAddr>,
}

/// Headers about one connection rather than the message.
const HOP_BY_HOP: [HeaderName; 7] = [
    header::CONNECTION,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

impl From<Unreachable> for Status {
    /// How a proxy subresource tells that there is nobody behind it.
    fn from(error: Unreachable) -> Self {
        Status::unavailable(format!("error trying to reach service: {error}"))
    }
}

/// Forwards a request and hands back the answer as it streams in. An upgrade
/// (WebSocket or any other) becomes a tunnel.
pub async fn forward<B>(
    mut request: Request<B>,
    upstream: &Upstream,
    exposed: Option<&Exposed>,
) -> Result<Response<Body>, Unreachable>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    if let Some(exposed) = exposed {
        announce(&mut request, exposed);
    }
    if wanted_upgrade(request.headers()).is_some() {
        return tunnel::raw(request, upstream).await;
    }
    let (parts, body) = request.into_parts();
    let mut onward = Request::new(body);
    *onward.method_mut() = parts.method;
    *onward.headers_mut() = forwardable(&parts.headers);
    drop_hop_by_hop(onward.headers_mut());
    let mut response = upstream.send(onward).await?;
    drop_hop_by_hop(response.headers_mut());
    if let Some(exposed) = exposed
        && let Some(location) = response.headers().get(header::LOCATION)
        && let Some(inside) = relocate(location, &upstream.address, &exposed.prefix)
    {
        response.headers_mut().insert(header::LOCATION, inside);
    }
    Ok(response.map(|body| UnsyncBoxBody::new(body.map_err(Into::into))))
}

/// The `X-Forwarded-*` headers.
fn announce<B>(request: &mut Request<B>, exposed: &Exposed) {
    let host = request.headers().get(header::HOST).cloned();
    let host = host.or_else(|| HeaderValue::from_str(request.uri().authority()?.as_str()).ok());
    let inner = request
        .uri()
        .path()
        .strip_prefix(&exposed.prefix)
        .unwrap_or("/");
    let path = HeaderValue::from_str(&format!("{}{inner}", exposed.prefix)).ok();
    let client = exposed
        .client
        .and_then(|ip| HeaderValue::from_str(&ip.to_string()).ok());
    let headers = request.headers_mut();
    headers.insert("x-forwarded-proto", HeaderValue::from_static("https"));
    for (name, value) in [
        ("x-forwarded-host", host),
        ("x-forwarded-uri", path),
        ("x-forwarded-for", client),
    ] {
        if let Some(value) = value {
            headers.insert(name, value);
        }
    }
}

fn drop_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|v| v.to_str().ok())
        .flat_map(|v| v.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
    headers.remove("keep-alive");
}

/// A redirect within the upstream, as the client has to follow it. `None` for
/// one that leads elsewhere.
fn relocate(location: &HeaderValue, address: &str, prefix: &str) -> Option<HeaderValue> {
    let target: Uri = location.to_str().ok()?.parse().ok()?;
    let ours = target
        .authority()
        .is_none_or(|authority| authority.as_str() == address);
    let path = target.path_and_query()?.as_str();
    if !ours || !path.starts_with('/') || target.path().starts_with(prefix) {
        return None;
    }
    HeaderValue::from_str(&format!("{prefix}{path}")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moved(location: &str) -> Option<String> {
        let location = HeaderValue::from_str(location).unwrap();
        let inside = relocate(
            &location,
            "10.0.0.1:80",
            "/api/v1/namespaces/d/pods/p/proxy",
        )?;
        Some(inside.to_str().unwrap().to_owned())
    }

    #[test]
    fn redirects_stay_below_the_proxy() {
        let inside = Some("/api/v1/namespaces/d/pods/p/proxy/login?a=b".to_owned());
        assert_eq!(moved("/login?a=b"), inside);
        assert_eq!(moved("http://10.0.0.1:80/login?a=b"), inside);
        assert_eq!(moved("https://example.com/login"), None);
        assert_eq!(moved("/api/v1/namespaces/d/pods/p/proxy/x"), None);
    }

    #[test]
    fn the_upstream_learns_who_asks() {
        let exposed = Exposed {
            prefix: "/api/v1/namespaces/d/pods/p/proxy".into(),
            client: Some([192, 0, 2, 1].into()),
        };
        let mut request = Request::get("/api/v1/namespaces/d/pods/p/proxy/a/b")
            .header("host", "cluster:6443")
            .body(())
            .unwrap();
        announce(&mut request, &exposed);
        let headers = request.headers();
        assert_eq!(
            headers["x-forwarded-uri"],
            "/api/v1/namespaces/d/pods/p/proxy/a/b"
        );
        assert_eq!(headers["x-forwarded-host"], "cluster:6443");
        assert_eq!(headers["x-forwarded-for"], "192.0.2.1");
        assert_eq!(headers["x-forwarded-proto"], "https");
    }

    #[test]
    fn connection_headers_are_not_passed_on() {
        let mut headers = HeaderMap::new();
        headers.insert("connection", HeaderValue::from_static("close, x-private"));
        headers.insert("x-private", HeaderValue::from_static("1"));
        headers.insert("transfer-encoding", HeaderValue::from_static("chunked"));
        headers.insert("content-type", HeaderValue::from_static("text/plain"));
        drop_hop_by_hop(&mut headers);
        assert_eq!(headers.len(), 1);
    }
}
