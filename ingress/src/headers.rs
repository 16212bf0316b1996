//! Headers on their way from a client to a backend, and back.

use http::header::{
    CONNECTION, CONTENT_LENGTH, COOKIE, EXPECT, HOST, HeaderName, HeaderValue, TE, TRAILER,
    TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, Version, request, uri};
use std::net::IpAddr;

const FORWARDED: HeaderName = HeaderName::from_static("forwarded");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");
/// What is for the next hop alone (RFC 9110, 7.6.1), beside what `Connection` names.
const HOP_BY_HOP: [HeaderName; 7] = [
    CONNECTION,
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

/// The host that a request is for, as it was named: with its port, if it has one.
pub fn authority(head: &request::Parts) -> Option<String> {
    let named = head.headers.get(HOST);
    let named = named.and_then(|host| host.to_str().ok());
    // HTTP/2 has it in the target, and so have requests made for proxies.
    let target = head.uri.authority().map(uri::Authority::as_str);
    let named = target.or(named)?;
    named.parse::<uri::Authority>().ok()?;
    (!named.contains('@')).then(|| named.to_owned())
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

/// The protocol that a client wants to go on with instead of HTTP/1.1.
pub fn upgrade(head: &request::Parts) -> Option<HeaderValue> {
    let asked = head.version == Version::HTTP_11 && names(&head.headers, "upgrade");
    asked.then(|| head.headers.get(UPGRADE).cloned()).flatten()
}

/// Whether `Connection` names a header.
fn names(headers: &HeaderMap, name: &str) -> bool {
    connection(headers).any(|named| named.eq_ignore_ascii_case(name))
}

fn connection(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let values = headers.get_all(CONNECTION).into_iter();
    let values = values.filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim)
}

/// Takes away what is for this hop alone, and says where to go on if a protocol is agreed upon.
pub fn strip(headers: &mut HeaderMap, upgrade: Option<HeaderValue>) {
    // A length beside another coding is how requests are smuggled.
    if headers.contains_key(TRANSFER_ENCODING) {
        headers.remove(CONTENT_LENGTH);
    }
    let named: Vec<HeaderName> = connection(headers)
        .filter_map(|name| name.parse().ok())
        // These say how a message is to be read, and for whom it is.
        .filter(|name| ![CONTENT_LENGTH, HOST].contains(name))
        .collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
    if let Some(protocol) = upgrade {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, protocol);
    }
}

/// Makes a request's headers those that a backend is sent. What a client says of where it
/// comes from is not believed.
pub fn forward(head: &mut request::Parts, authority: &str, client: IpAddr, scheme: Scheme) {
    let upgrade = upgrade(head);
    let headers = &mut head.headers;
    strip(headers, upgrade);
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
        forward(&mut head, "a.b:80", [192, 0, 2, 1].into(), Scheme::Http);
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
        assert_eq!(authority(&head(&[("host", "u@a.b")])), None);
        assert_eq!(authority(&head(&[("host", "a b")])), None);
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
    fn upgrades_go_through() {
        let head = forwarded(&[
            ("connection", "keep-alive, Upgrade"),
            ("upgrade", "websocket"),
        ]);
        assert_eq!(told(&head, "connection"), ["upgrade"]);
        assert_eq!(told(&head, "upgrade"), ["websocket"]);
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
