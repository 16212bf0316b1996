//! Whether a request comes from the page, and not from another page that the same browser shows.
//! Pure.

use crate::failure::Failure;
use http::{HeaderMap, HeaderName, Method, StatusCode, Uri, header};

/// Which every request has that changes something. A foreign page can't send it without asking
/// first (CORS), and is never allowed to.
pub const OWN_HEADER: HeaderName = HeaderName::from_static("x-hardway-dashboard");

/// Under which names the server may be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Served {
    /// As this machine, at a port. Any other name was made to lead here (DNS rebinding).
    Locally(u16),
    /// Under whatever name a Service, an ingress or a forwarded port has.
    UnderAnyName,
}

/// Whether to answer.
///
/// # Errors
/// With what is missing or in the way.
pub fn check(
    served: Served,
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
) -> Result<(), Failure> {
    let host = host(uri, headers)?;
    if let Served::Locally(port) = served {
        let names = ["127.0.0.1", "localhost", "[::1]"];
        if !names.iter().any(|name| host == format!("{name}:{port}")) {
            return Err(refused(format!(
                "this server is not called {host:?}: it is 127.0.0.1:{port}"
            )));
        }
    }
    let site = headers.get("sec-fetch-site").map(|it| it.as_bytes());
    let from_here = site == Some(b"same-origin");
    match site {
        None | Some(b"same-origin" | b"none") => {}
        // A link to the dashboard may stand anywhere.
        Some(_) if uri.path() == "/" && *method == Method::GET && navigates(headers) => {}
        Some(_) => return Err(refused("another site's page asks for this")),
    }
    let mut origins = headers.get_all(header::ORIGIN).iter();
    let origin = origins.next().map(|it| it.as_bytes());
    if origins.next().is_some() {
        return Err(refused("more than one Origin"));
    }
    let fits = origin.is_none_or(|origin| is_own(served, origin, host));
    // Behind a proxy that changes Host, the browser's own word is left. It can't be had of pages.
    if !fits && (served != Served::UnderAnyName || !from_here) {
        return Err(refused("the Origin is another site's"));
    }
    if is_upgrade(headers) && origin.is_none() {
        return Err(refused("a WebSocket needs an Origin"));
    }
    let reads = [Method::GET, Method::HEAD].contains(method);
    if !reads && !headers.contains_key(&OWN_HEADER) {
        return Err(refused("the header X-Hardway-Dashboard is missing"));
    }
    Ok(())
}

/// Whether a connection is to become something else.
pub fn is_upgrade(headers: &HeaderMap) -> bool {
    headers.contains_key(header::UPGRADE)
}

fn navigates(headers: &HeaderMap) -> bool {
    let mode = headers.get("sec-fetch-mode");
    mode.is_some_and(|mode| mode == "navigate") && !is_upgrade(headers)
}

/// What the server was called: in the request's line (HTTP/2), or its only `Host`.
fn host<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Result<&'a str, Failure> {
    let mut named = headers.get_all(header::HOST).iter();
    let host = named.next().map(|host| host.to_str());
    if named.next().is_some() {
        return Err(refused("more than one Host"));
    }
    match (uri.authority(), host) {
        (Some(authority), None) => Ok(authority.as_str()),
        (Some(authority), Some(Ok(host))) if authority.as_str() == host => Ok(host),
        (None, Some(Ok(host))) => Ok(host),
        _ => Err(refused("no Host that makes sense")),
    }
}

fn is_own(served: Served, origin: &[u8], host: &str) -> bool {
    let scheme: &[u8] = match served {
        Served::Locally(_) => b"http://",
        Served::UnderAnyName => b"https://",
    };
    origin.strip_prefix(scheme) == Some(host.as_bytes())
}

fn refused(message: impl Into<String>) -> Failure {
    Failure::new(StatusCode::FORBIDDEN, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    const LOCAL: Served = Served::Locally(9000);

    fn asked(
        served: Served,
        method: Method,
        path: &str,
        headers: &[(&'static str, &'static str)],
    ) -> Result<(), String> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            );
        }
        let uri = path.parse().unwrap();
        check(served, &method, &uri, &map).map_err(|failure| failure.message().to_owned())
    }

    #[test]
    fn only_names_of_this_machine_are_its_own() {
        for host in ["127.0.0.1:9000", "localhost:9000", "[::1]:9000"] {
            assert_eq!(
                asked(LOCAL, Method::GET, "/", &[("host", host)]),
                Ok(()),
                "{host}"
            );
        }
        for host in [
            "evil.example:9000",
            "127.0.0.1",
            "127.0.0.1:9001",
            "localhost:9000.evil",
            "",
        ] {
            assert!(
                asked(LOCAL, Method::GET, "/", &[("host", host)]).is_err(),
                "{host}"
            );
        }
        assert!(asked(LOCAL, Method::GET, "/", &[]).is_err());
        let twice = [("host", "127.0.0.1:9000"), ("host", "evil")];
        assert!(asked(LOCAL, Method::GET, "/", &twice).is_err());
        assert!(
            asked(
                LOCAL,
                Method::GET,
                "http://evil:9000/",
                &[("host", "127.0.0.1:9000")]
            )
            .is_err()
        );
        assert_eq!(
            asked(
                Served::UnderAnyName,
                Method::GET,
                "/",
                &[("host", "dash.example")]
            ),
            Ok(())
        );
    }

    #[test]
    fn other_sites_may_link_and_nothing_else() {
        let host = ("host", "127.0.0.1:9000");
        let cross = ("sec-fetch-site", "cross-site");
        let link = [host, cross, ("sec-fetch-mode", "navigate")];
        assert_eq!(asked(LOCAL, Method::GET, "/", &link), Ok(()));
        assert!(asked(LOCAL, Method::GET, "/k8s/api", &link).is_err());
        assert!(asked(LOCAL, Method::GET, "/", &[host, cross]).is_err());
        let neighbour = [host, ("sec-fetch-site", "same-site")];
        assert!(asked(LOCAL, Method::GET, "/session", &neighbour).is_err());
        let own = [host, ("sec-fetch-site", "same-origin")];
        assert_eq!(asked(LOCAL, Method::GET, "/session", &own), Ok(()));
        let typed = [host, ("sec-fetch-site", "none")];
        assert_eq!(asked(LOCAL, Method::GET, "/session", &typed), Ok(()));
    }

    #[test]
    fn an_origin_is_the_servers_own() {
        let host = ("host", "127.0.0.1:9000");
        let with = |origin| asked(LOCAL, Method::GET, "/session", &[host, ("origin", origin)]);
        assert_eq!(with("http://127.0.0.1:9000"), Ok(()));
        for origin in [
            "http://localhost:9000",
            "https://127.0.0.1:9000",
            "null",
            "http://evil",
        ] {
            assert!(with(origin).is_err(), "{origin}");
        }
        // The browser's word replaces it only where the name is not known.
        let proxied = [
            ("host", "10.0.0.1:8443"),
            ("origin", "http://localhost:8001"),
            ("sec-fetch-site", "same-origin"),
        ];
        assert_eq!(
            asked(Served::UnderAnyName, Method::GET, "/session", &proxied),
            Ok(())
        );
        assert!(asked(Served::UnderAnyName, Method::GET, "/session", &proxied[..2]).is_err());
        let local = [
            host,
            ("origin", "http://evil"),
            ("sec-fetch-site", "same-origin"),
        ];
        assert!(asked(LOCAL, Method::GET, "/session", &local).is_err());
    }

    #[test]
    fn changes_need_the_header_and_websockets_an_origin() {
        let host = ("host", "127.0.0.1:9000");
        for method in [Method::POST, Method::DELETE, Method::PATCH, Method::OPTIONS] {
            assert!(asked(LOCAL, method.clone(), "/session", &[host]).is_err());
            let own = [host, ("x-hardway-dashboard", "1")];
            assert_eq!(asked(LOCAL, method, "/session", &own), Ok(()));
        }
        let upgrade = ("upgrade", "websocket");
        assert!(asked(LOCAL, Method::GET, "/live", &[host, upgrade]).is_err());
        let origin = ("origin", "http://127.0.0.1:9000");
        assert_eq!(
            asked(LOCAL, Method::GET, "/live", &[host, upgrade, origin]),
            Ok(())
        );
    }
}
