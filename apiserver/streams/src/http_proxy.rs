//! Forwarding plain HTTP: logs, and the proxy subresources of nodes, pods and
//! services. Bodies stream both ways; nothing is collected.

use crate::connect::{Body, BoxError, Unreachable, Upstream, empty, forwardable, wanted_upgrade};
use crate::links;
use crate::tunnel::{self, Held};
use bytes::Bytes;
use hardway_proto::Status;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, header,
};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, StreamBody};
use std::net::IpAddr;
use std::sync::Arc;

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

/// What an upstream allows other sites to do is not for it to allow here.
const CORS: [HeaderName; 4] = [
    header::ACCESS_CONTROL_ALLOW_CREDENTIALS,
    header::ACCESS_CONTROL_ALLOW_HEADERS,
    header::ACCESS_CONTROL_ALLOW_METHODS,
    header::ACCESS_CONTROL_ALLOW_ORIGIN,
];

impl From<Unreachable> for Status {
    /// How a proxy subresource tells that there is nobody behind it.
    fn from(error: Unreachable) -> Self {
        Status::unavailable(format!("error trying to reach service: {error}"))
    }
}

/// Forwards a request and hands back the answer as it streams in. An upgrade
/// (WebSocket or any other) becomes a tunnel, with which `held` is kept.
pub async fn forward<B>(
    request: Request<B>,
    upstream: &Upstream,
    held: Held,
) -> Result<Response<Body>, Unreachable>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    if wanted_upgrade(request.headers()).is_some() {
        return tunnel::raw(request, upstream, held).await;
    }
    let (parts, body) = request.into_parts();
    let mut onward = Request::new(body);
    *onward.method_mut() = parts.method;
    *onward.headers_mut() = self::onward(&parts.headers);
    let mut response = upstream.send(onward).await?;
    clear(response.headers_mut());
    Ok(response.map(|body| UnsyncBoxBody::new(body.map_err(Into::into))))
}

/// Forwards a request to an upstream that the client sees below another path:
/// redirects and links within the upstream are changed to lead there.
pub async fn expose<B>(
    mut request: Request<B>,
    upstream: &Upstream,
    exposed: &Exposed,
    held: Held,
) -> Result<Response<Body>, Unreachable>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let upgrade = wanted_upgrade(request.headers()).is_some();
    let reading = matches!(*request.method(), Method::GET | Method::HEAD);
    // A page's relative links need the slash at the end of its folder.
    if !upgrade && reading && request.uri().path() == exposed.prefix {
        return Ok(to_the_root(request.uri(), &exposed.prefix));
    }
    let own = [Some(upstream.address.clone()), host(&request)];
    announce(&mut request, exposed);
    if !upgrade {
        // Links are found in plain text only.
        request.headers_mut().remove(header::ACCEPT_ENCODING);
    }
    let mut response = forward(request, upstream, held).await?;
    for name in CORS {
        response.headers_mut().remove(name);
    }
    let prefix = exposed.prefix.clone();
    let moved: links::Moved = Arc::new(move |url| {
        let own: Vec<&str> = own.iter().flatten().map(String::as_str).collect();
        relocate(url, &own, &prefix)
    });
    if let Some(location) = response.headers().get(header::LOCATION) {
        let inside = location.to_str().ok().and_then(|url| moved(url));
        if let Some(inside) = inside.and_then(|url| HeaderValue::from_str(&url).ok()) {
            response.headers_mut().insert(header::LOCATION, inside);
        }
        return Ok(response);
    }
    let whole = response.status() != StatusCode::PARTIAL_CONTENT;
    match whole && is_plain_html(response.headers()) {
        true => Ok(with_links(response, moved)),
        false => Ok(response),
    }
}

/// 301 to the same path with a slash.
fn to_the_root(uri: &Uri, prefix: &str) -> Response<Body> {
    let query = uri.query().map(|query| format!("?{query}"));
    let root = format!("{prefix}/{}", query.unwrap_or_default());
    let mut response = Response::new(empty());
    *response.status_mut() = StatusCode::MOVED_PERMANENTLY;
    if let Ok(root) = HeaderValue::from_str(&root) {
        response.headers_mut().insert(header::LOCATION, root);
    }
    response
}

fn is_plain_html(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()?.split(';').next());
    kind.is_some_and(|kind| kind.trim().eq_ignore_ascii_case("text/html"))
        && !headers.contains_key(header::CONTENT_ENCODING)
}

/// The page with other links, still as a stream.
fn with_links(mut response: Response<Body>, moved: links::Moved) -> Response<Body> {
    response.headers_mut().remove(header::CONTENT_LENGTH);
    response.map(|body| {
        let state = (body, Some(links::Rewriter::new(moved)));
        let pieces = futures_util::stream::unfold(state, |(mut body, rewriter)| async move {
            let mut rewriter = rewriter?;
            let piece = loop {
                match body.frame().await {
                    Some(Ok(frame)) => {
                        let Ok(data) = frame.into_data() else {
                            continue;
                        };
                        break Ok(rewriter.piece(&data));
                    }
                    Some(Err(error)) => break Err(error),
                    None => {
                        let last = Ok(http_body::Frame::data(rewriter.end()));
                        return Some((last, (body, None)));
                    }
                }
            };
            let rewriter = piece.is_ok().then_some(rewriter);
            Some((piece.map(http_body::Frame::data), (body, rewriter)))
        });
        UnsyncBoxBody::new(StreamBody::new(pieces))
    })
}

/// The name by which the client speaks to this server.
fn host<B>(request: &Request<B>) -> Option<String> {
    let header = request.headers().get(header::HOST);
    let header = header.and_then(|value| value.to_str().ok());
    header
        .or_else(|| Some(request.uri().authority()?.as_str()))
        .map(str::to_owned)
}

/// The `X-Forwarded-*` headers.
fn announce<B>(request: &mut Request<B>, exposed: &Exposed) {
    let host = host(request).and_then(|host| HeaderValue::from_str(&host).ok());
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

/// The headers of a request that go on to an upstream: none with credentials, and none
/// about the connection that the request came over.
pub fn onward(headers: &HeaderMap) -> HeaderMap {
    let mut headers = forwardable(headers);
    clear(&mut headers);
    headers
}

/// Takes away headers that are about one connection.
pub fn clear(headers: &mut HeaderMap) {
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

/// An address within the upstream, as the client has to write it. `None` for
/// one that leads elsewhere, or is right as it is.
fn relocate(url: &str, own: &[&str], prefix: &str) -> Option<String> {
    // `//host/path` has an authority, which Uri does not see there.
    let (authority, path) = match url.split_once("//") {
        Some(("" | "http:" | "https:", rest)) => {
            let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
            (Some(&rest[..end]), &rest[end..])
        }
        _ => (None, url),
    };
    let elsewhere = authority.is_some_and(|authority| !own.contains(&authority));
    if elsewhere || !path.starts_with('/') || within(path, prefix) && authority.is_none() {
        return None;
    }
    match within(path, prefix) {
        true => Some(path.to_owned()),
        false => Some(format!("{prefix}{path}")),
    }
}

/// Whether a path is at or below another.
fn within(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?', '#']))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moved(location: &str) -> Option<String> {
        let own = ["10.0.0.1:80", "cluster:6443"];
        relocate(location, &own, "/api/v1/namespaces/d/pods/p/proxy")
    }

    #[test]
    fn redirects_stay_below_the_proxy() {
        let inside = Some("/api/v1/namespaces/d/pods/p/proxy/login?a=b".to_owned());
        assert_eq!(moved("/login?a=b"), inside);
        assert_eq!(moved("http://10.0.0.1:80/login?a=b"), inside);
        assert_eq!(moved("https://cluster:6443/login?a=b"), inside);
        assert_eq!(moved("//10.0.0.1:80/login?a=b"), inside);
        assert_eq!(moved("https://example.com/login"), None);
        assert_eq!(moved("//example.com/login"), None);
        assert_eq!(moved("login?next=//x/y"), None);
        assert_eq!(moved("#top"), None);
        assert_eq!(moved("mailto:a@b"), None);
        let root = "/api/v1/namespaces/d/pods/p/proxy".to_owned();
        assert_eq!(
            moved(&format!("http://10.0.0.1:80{root}/")),
            Some(root + "/")
        );
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
        clear(&mut headers);
        assert_eq!(headers.len(), 1);
    }

    /// A server for one connection that gives this answer.
    async fn answering(answer: &'static str) -> Upstream {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            let (mut tcp, _) = listener.accept().await.unwrap();
            let mut request = [0; 4096];
            let length = tcp.read(&mut request).await.unwrap();
            let request = String::from_utf8_lossy(&request[..length]).to_lowercase();
            assert!(!request.contains("accept-encoding"), "{request}");
            tcp.write_all(answer.as_bytes()).await.unwrap();
        });
        Upstream {
            address,
            server_name: "localhost".into(),
            common_name: None,
            tls: None,
            path_and_query: "/a".into(),
        }
    }

    async fn seen(path: &str, upstream: &Upstream) -> Response<Body> {
        let request = Request::get(path)
            .header("accept-encoding", "gzip")
            .body(empty())
            .unwrap();
        let exposed = Exposed {
            prefix: "/proxy".into(),
            client: None,
        };
        let held: Held = Arc::new(());
        expose(request, upstream, &exposed, held).await.unwrap()
    }

    #[tokio::test]
    async fn what_a_page_leads_to_is_reached_through_the_proxy() {
        let page = "HTTP/1.1 200 OK\r\ncontent-type: text/html; charset=utf-8\r\n\
            access-control-allow-origin: *\r\ncontent-length: 20\r\n\r\n<a href=\"/x?y=z\">b</";
        let answer = seen("/proxy/a", &answering(page).await).await;
        assert!(!answer.headers().contains_key("access-control-allow-origin"));
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body, &b"<a href=\"/proxy/x?y=z\">b</"[..]);

        let moved = "HTTP/1.1 302 Found\r\nlocation: /login\r\ncontent-length: 0\r\n\r\n";
        let answer = seen("/proxy/a", &answering(moved).await).await;
        assert_eq!(answer.headers()["location"], "/proxy/login");

        let root = seen("/proxy?a=b", &answering("").await).await;
        assert_eq!(root.status(), StatusCode::MOVED_PERMANENTLY);
        assert_eq!(root.headers()["location"], "/proxy/?a=b");
    }
}
