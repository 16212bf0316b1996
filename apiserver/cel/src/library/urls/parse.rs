//! URLs read as Go's `net/url` does, whose rules Kubernetes' are.

use super::super::quote::quoted;
use super::escape::{Part, escape, is_escaped, unescape};

/// A URL in its parts.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::library) struct Url {
    /// In lower case; empty if there is none.
    pub scheme: String,
    /// What follows the scheme of a URL such as `mailto:me@example.com`.
    opaque: String,
    /// Who is named before the host, and a password if there is a colon.
    user: Option<(Vec<u8>, Option<Vec<u8>>)>,
    /// With brackets and port.
    pub host: String,
    path: Vec<u8>,
    /// The path as it was written, if that isn't how it would be escaped.
    raw_path: Option<String>,
    /// What follows `?`, which may be nothing.
    query: Option<String>,
    fragment: Vec<u8>,
}

/// A URL as it may stand in an HTTP request: with a scheme, or a path from `/` on. A
/// fragment isn't told apart.
pub(in crate::library) fn request_uri(text: &str) -> Result<Url, String> {
    parse(text, true).map_err(|why| told(text, &why))
}

/// A URL, with a fragment.
pub(in crate::library) fn url(text: &str) -> Result<Url, String> {
    let (before, fragment) = text.split_once('#').unwrap_or((text, ""));
    let mut url = parse(before, false).map_err(|why| told(before, &why))?;
    url.fragment = unescape(fragment, Part::Fragment).map_err(|why| told(text, &why))?;
    Ok(url)
}

fn told(text: &str, why: &str) -> String {
    format!("parse {}: {why}", quoted(text))
}

fn parse(text: &str, for_request: bool) -> Result<Url, String> {
    if text.bytes().any(|byte| byte.is_ascii_control()) {
        return Err("net/url: invalid control character in URL".into());
    }
    if text.is_empty() && for_request {
        return Err("empty url".into());
    }
    let mut url = Url::default();
    if text == "*" {
        url.path = b"*".into();
        return Ok(url);
    }
    let (scheme, rest) = split_scheme(text)?;
    url.scheme = scheme.to_ascii_lowercase();
    let (mut rest, query) = match rest.split_once('?') {
        Some((rest, query)) => (rest, Some(query.to_owned())),
        None => (rest, None),
    };
    url.query = query;
    if !rest.starts_with('/') {
        if !url.scheme.is_empty() {
            url.opaque = rest.to_owned();
            return Ok(url);
        }
        if for_request {
            return Err("invalid URI for request".into());
        }
        let (segment, _) = rest.split_once('/').unwrap_or((rest, ""));
        if segment.contains(':') {
            return Err("first path segment in URL cannot contain colon".into());
        }
    }
    let may_have_host = !url.scheme.is_empty() || !for_request && !rest.starts_with("///");
    if let Some(after) = rest.strip_prefix("//").filter(|_| may_have_host) {
        let (authority, path) = after.split_at(after.find('/').unwrap_or(after.len()));
        (url.user, url.host) = split_authority(authority)?;
        rest = path;
    }
    url.path = unescape(rest, Part::Path)?;
    if escape(&url.path, Part::Path) != rest {
        url.raw_path = Some(rest.to_owned());
    }
    Ok(url)
}

/// The scheme, if there is one, and what follows its colon.
fn split_scheme(text: &str) -> Result<(&str, &str), String> {
    for (index, byte) in text.bytes().enumerate() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' => {}
            b'0'..=b'9' | b'+' | b'-' | b'.' if index > 0 => {}
            b':' if index == 0 => return Err("missing protocol scheme".into()),
            b':' => return Ok((&text[..index], &text[index + 1..])),
            _ => break,
        }
    }
    Ok(("", text))
}

type User = (Vec<u8>, Option<Vec<u8>>);

fn split_authority(authority: &str) -> Result<(Option<User>, String), String> {
    let Some((user, host)) = authority.rsplit_once('@') else {
        return Ok((None, read_host(authority)?));
    };
    let host = read_host(host)?;
    let valid = user
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-._:~!$&'()*+,;=%@".contains(&byte));
    if !valid {
        return Err("net/url: invalid userinfo".into());
    }
    let user = match user.split_once(':') {
        Some((name, password)) => (
            unescape(name, Part::User)?,
            Some(unescape(password, Part::User)?),
        ),
        None => (unescape(user, Part::User)?, None),
    };
    Ok((Some(user), host))
}

fn read_host(host: &str) -> Result<String, String> {
    let port = match host.starts_with('[') {
        true => match host.rfind(']') {
            Some(end) => &host[end + 1..],
            None => return Err("missing ']' in host".into()),
        },
        false => host.rfind(':').map_or("", |colon| &host[colon..]),
    };
    if !is_port(port) {
        return Err(format!("invalid port {} after host", quoted(port)));
    }
    let mut plain = Vec::new();
    let end = host.rfind(']').filter(|_| host.starts_with('['));
    let zone = end.and_then(|end| Some((host[..end].find("%25")?, end)));
    if let Some((zone, end)) = zone {
        plain.extend(unescape(&host[..zone], Part::Host)?);
        plain.extend(unescape(&host[zone..end], Part::Zone)?);
        plain.extend(unescape(&host[end..], Part::Host)?);
    } else {
        plain.extend(unescape(host, Part::Host)?);
    }
    Ok(String::from_utf8_lossy(&plain).into_owned())
}

/// Whether it is nothing, or a colon and digits.
fn is_port(text: &str) -> bool {
    match text.strip_prefix(':') {
        Some(port) => port.bytes().all(|byte| byte.is_ascii_digit()),
        None => text.is_empty(),
    }
}

impl Url {
    /// The host without brackets, and the port without colon.
    pub fn host_and_port(&self) -> (&str, &str) {
        let colon = self.host.rfind(':');
        let (host, port) = match colon.filter(|colon| is_port(&self.host[*colon..])) {
            Some(colon) => (&self.host[..colon], &self.host[colon + 1..]),
            None => (self.host.as_str(), ""),
        };
        let bare = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'));
        (bare.unwrap_or(host), port)
    }

    /// The path as it is sent: as it was written, if that was escaped.
    pub fn escaped_path(&self) -> String {
        match &self.raw_path {
            Some(raw) if is_escaped(raw, Part::Path) => raw.clone(),
            _ if self.path == b"*" => "*".into(),
            _ => escape(&self.path, Part::Path),
        }
    }

    /// Names and values of the query in their order; what can't be read is left out.
    pub fn query(&self) -> Vec<(String, String)> {
        let query = self.query.as_deref().unwrap_or_default();
        let plain = |text| {
            let plain = unescape(text, Part::Query).ok()?;
            Some(String::from_utf8_lossy(&plain).into_owned())
        };
        query
            .split('&')
            .filter(|pair| !pair.is_empty() && !pair.contains(';'))
            .filter_map(|pair| {
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                Some((plain(name)?, plain(value)?))
            })
            .collect()
    }
}
