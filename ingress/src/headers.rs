//! Headers on their way from a client to a backend, and back.

use http::header::{
    CONNECTION, CONTENT_LENGTH, COOKIE, EXPECT, HOST, HeaderName, HeaderValue, TE, TRAILER,
    TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, Method, Version, request, uri};
use std::net::IpAddr;

const FORWARDED: HeaderName = HeaderName::from_static("forwarded");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");
/// The one protocol that may be gone on with instead of HTTP (RFC 6455). In others, HTTP/2 in
/// the clear for one, there may be more requests, which would get past the rules.
const WEBSOCKET: &str = "websocket";
/// What is for the next hop alone (RFC 9110, 7.6.1), beside what `Connection` names.
const HOP_BY_HOP: [HeaderName; 8] = [
    CONNECTION,
    HeaderName::from_static("http2-settings"),
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// How a client came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// In the clear.
    Http,
    /// Over TLS.
    Https,
}

impl Scheme {
    fn name_and_port(self) -> (&'static str, &'static str) {
        match self {
            Scheme::Http => ("http", "80"),
            Scheme::Https => ("https", "443"),
        }
    }
}

/// The host that a request is for, as it was named: with its port, if it has one. None if it
/// can't be a host, or there are several.
pub fn authority(head: &request::Parts) -> Option<String> {
    let mut fields = head.headers.get_all(HOST).iter();
    let named = fields.next().and_then(|host| host.to_str().ok());
    if fields.next().is_some() {
        return None;
    }
    // HTTP/2 has it in the target, and so have requests made for proxies.
    let target = head.uri.authority().map(uri::Authority::as_str);
    let named = target.or(named)?;
    let authority: uri::Authority = named.parse().ok()?;
    if named.contains('@') || host(named).is_empty() {
        return None;
    }
    let port = named.strip_prefix(authority.host())?.strip_prefix(':');
    let is_port = |port: &str| port.is_empty() || authority.port_u16().is_some();
    port.is_none_or(is_port).then(|| named.to_owned())
}

/// The name alone, in small letters.
pub fn host(authority: &str) -> String {
    let name = match authority.starts_with('[') {
        true => authority.split_inclusive(']').next(),
        false => authority.split(':').next(),
    };
    let name = name.unwrap_or_default();
    name.trim_end_matches('.').to_ascii_lowercase()
}

/// Whether a client wants to go on with a WebSocket instead of HTTP/1.1.
pub fn asks_for_websocket(head: &request::Parts) -> bool {
    let may = head.version == Version::HTTP_11 && head.method == Method::GET;
    let mut named = list(&head.headers, CONNECTION);
    may && named.any(|name| name.eq_ignore_ascii_case("upgrade")) && names_websocket(&head.headers)
}

/// Whether `Upgrade` names the WebSocket.
pub fn names_websocket(headers: &HeaderMap) -> bool {
    list(headers, UPGRADE).any(|protocol| protocol.eq_ignore_ascii_case(WEBSOCKET))
}

/// What a header lists.
fn list(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    let values = headers.get_all(name).into_iter();
    let values = values.filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim)
}

/// Takes away what is for this hop alone, and says that a WebSocket follows, if one does.
pub fn strip(headers: &mut HeaderMap, websocket: bool) {
    // A length beside another coding is how requests are smuggled.
    if headers.contains_key(TRANSFER_ENCODING) {
        headers.remove(CONTENT_LENGTH);
    }
    let named: Vec<HeaderName> = list(headers, CONNECTION)
        .filter_map(|name| name.parse().ok())
        // These say how a message is to be read, and for whom it is.
        .filter(|name| ![CONTENT_LENGTH, HOST].contains(name))
        .collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
    if websocket {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static(WEBSOCKET));
    }
}

/// Makes a request's headers those that a backend is sent. What a client says of where it
/// comes from is not believed.
pub fn forward(
    head: &mut request::Parts,
    authority: &str,
    client: IpAddr,
    scheme: Scheme,
    websocket: bool,
) {
    let headers = &mut head.headers;
    strip(headers, websocket);
    // The server has asked the client to go on, or will.
    headers.remove(EXPECT);
    headers.remove(FORWARDED);
    let cookies: Vec<&[u8]> = headers
        .get_all(COOKIE)
        .iter()
        .map(|c| c.as_bytes())
        .collect();
    if cookies.len() > 1 {
        // HTTP/2 sends them apart, which HTTP/1 doesn't know (RFC 9113, 8.2.3).
        let joined = HeaderValue::from_bytes(&cookies.join(b"; ".as_slice()));
        if let Ok(joined) = joined {
            headers.insert(COOKIE, joined);
        }
    }
    let (proto, port) = scheme.name_and_port();
    let client = client.to_canonical().to_string();
    let values = [
        (HOST, Ok(authority.to_owned())),
        (FORWARDED_FOR, Ok(client.clone())),
        (REAL_IP, Ok(client)),
        (FORWARDED_HOST, Ok(authority.to_owned())),
        (FORWARDED_PROTO, Err(proto)),
        (FORWARDED_PORT, Err(port)),
    ];
    for (name, value) in values {
        let value = match value {
            Ok(text) => HeaderValue::try_from(text),
            Err(fixed) => Ok(HeaderValue::from_static(fixed)),
        };
        if let Ok(value) = value {
            headers.insert(name, value);
        }
    }
    head.version = Version::HTTP_11;
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    fn head(headers: &[(&str, &str)]) -> request::Parts {
        let mut request = Request::builder().uri("/x").version(Version::HTTP_11);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn told(head: &request::Parts, name: &str) -> Vec<String> {
        let values = head.headers.get_all(name).into_iter();
        values
            .map(|value| value.to_str().unwrap().to_owned())
            .collect()
    }

    fn forwarded(headers: &[(&str, &str)]) -> request::Parts {
        let mut head = head(headers);
        let websocket = asks_for_websocket(&head);
        let client = [192, 0, 2, 1].into();
        forward(&mut head, "a.b:80", client, Scheme::Http, websocket);
        head
    }

    #[test]
    fn hosts_are_named_in_several_ways() {
        for (authority, expected) in [
            ("A.b:8080", "a.b"),
            ("a.b.", "a.b"),
            ("[::1]:80", "[::1]"),
            ("10.0.0.1", "10.0.0.1"),
        ] {
            assert_eq!(host(authority), expected);
        }
        assert_eq!(
            authority(&head(&[("host", "a.b:1")])).as_deref(),
            Some("a.b:1")
        );
        for no_host in [
            "u@a.b",
            "a b",
            "",
            ":80",
            ".",
            "a.b:x",
            "a.b:80:80",
            "a.b:65536",
            "a/b",
        ] {
            assert_eq!(authority(&head(&[("host", no_host)])), None, "{no_host:?}");
        }
        let two = head(&[("host", "a.b"), ("host", "a.b")]);
        assert_eq!(authority(&two), None, "RFC 9112, 3.2");
        assert_eq!(authority(&head(&[])), None);
        let mut full = head(&[("host", "other")]);
        full.uri = "http://a.b/x".parse().unwrap();
        assert_eq!(authority(&full).as_deref(), Some("a.b"));
    }

    #[test]
    fn what_is_for_one_hop_ends_there() {
        let head = forwarded(&[
            ("connection", "close, X-Secret, Host"),
            ("x-secret", "1"),
            ("keep-alive", "timeout=5"),
            ("te", "trailers"),
            ("upgrade", "h2c"),
            ("http2-settings", "AAMAAABkAAQAAP__"),
            ("transfer-encoding", "chunked"),
            ("content-length", "5"),
            ("expect", "100-continue"),
            ("x-kept", "1"),
        ]);
        for gone in [
            "connection",
            "x-secret",
            "keep-alive",
            "te",
            "upgrade",
            "http2-settings",
            "expect",
        ] {
            assert_eq!(told(&head, gone), [""; 0], "{gone}");
        }
        assert_eq!(told(&head, "transfer-encoding"), [""; 0]);
        assert_eq!(told(&head, "content-length"), [""; 0]);
        assert_eq!(told(&head, "x-kept"), ["1"]);
        assert_eq!(told(&head, "host"), ["a.b:80"]);
    }

    #[test]
    fn websockets_alone_go_through() {
        for (protocol, expected) in [
            ("WebSocket", &["websocket"][..]),
            ("h2c, websocket", &["websocket"]),
            ("h2c", &[]),
            ("SPDY/3.1", &[]),
        ] {
            let head = forwarded(&[
                ("connection", "keep-alive, Upgrade, HTTP2-Settings"),
                ("upgrade", protocol),
                ("http2-settings", "AAMAAABkAAQAAP__"),
            ]);
            assert_eq!(told(&head, "upgrade"), expected, "{protocol}");
            let is_one = !expected.is_empty();
            assert_eq!(told(&head, "connection").len(), usize::from(is_one));
            assert_eq!(told(&head, "http2-settings"), [""; 0]);
        }
        let mut post = head(&[("connection", "upgrade"), ("upgrade", "websocket")]);
        assert!(asks_for_websocket(&post));
        post.method = Method::POST;
        assert!(!asks_for_websocket(&post), "RFC 6455, 4.1");
    }

    #[test]
    fn clients_cannot_say_who_they_are() {
        let head = forwarded(&[
            ("x-forwarded-for", "10.0.0.1"),
            ("x-forwarded-proto", "https"),
            ("x-real-ip", "10.0.0.1"),
            ("forwarded", "for=10.0.0.1"),
        ]);
        assert_eq!(told(&head, "x-forwarded-for"), ["192.0.2.1"]);
        assert_eq!(told(&head, "x-real-ip"), ["192.0.2.1"]);
        assert_eq!(told(&head, "x-forwarded-proto"), ["http"]);
        assert_eq!(told(&head, "x-forwarded-host"), ["a.b:80"]);
        assert_eq!(told(&head, "x-forwarded-port"), ["80"]);
        assert_eq!(told(&head, "forwarded"), [""; 0]);
    }

    #[test]
    fn cookies_of_http_2_are_joined() {
        let head = forwarded(&[("cookie", "a=1"), ("cookie", "b=2")]);
        assert_eq!(told(&head, "cookie"), ["a=1; b=2"]);
    }
}
