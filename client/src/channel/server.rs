//! Where a server is, and the name that it must prove to have.

use crate::tls;
use std::fmt;

/// One server behind a connection.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Server {
    /// Its address, or a name of it.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// What its certificate must be for.
    pub name: String,
}

impl Server {
    /// The one at an `https://` or `http://` URL, whose certificate is for the host in it.
    ///
    /// # Errors
    /// If that is no such URL.
    pub fn of_url(url: &str) -> Result<Self, tls::Error> {
        let (host, port) = match url.strip_prefix("http://") {
            Some(rest) => host_and_port(&format!("https://{rest}"))?,
            None => host_and_port(url)?,
        };
        Ok(Self {
            name: host.clone(),
            host,
            port,
        })
    }

    /// Whether both are at the same place.
    pub fn is_at(&self, other: &Self) -> bool {
        (&self.host, self.port) == (&other.host, other.port)
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

/// Host and port of an `https://` URL; the port defaults to 443.
///
/// # Errors
/// If it is no such URL.
pub fn host_and_port(url: &str) -> Result<(String, u16), tls::Error> {
    let invalid = |reason: &str| tls::Error::Invalid {
        what: format!("server {url:?}"),
        reason: reason.into(),
    };
    let uri: http::Uri = url.parse().map_err(|_| invalid("not a URL"))?;
    if uri.scheme_str() != Some("https") {
        return Err(invalid("must be an https:// URL"));
    }
    let host = uri.host().ok_or_else(|| invalid("names no host"))?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    Ok((host.to_owned(), uri.port_u16().unwrap_or(443)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        assert_eq!(
            host_and_port("https://10.0.0.1:6443").unwrap(),
            ("10.0.0.1".into(), 6443)
        );
        assert_eq!(host_and_port("https://[::1]").unwrap(), ("::1".into(), 443));
        assert!(host_and_port("http://a:1").is_err());
        let server = Server::of_url("https://[::1]:2").unwrap();
        assert_eq!(
            (server.to_string().as_str(), &*server.name),
            ("[::1]:2", "::1")
        );
        assert_eq!(Server::of_url("http://a:1").unwrap().port, 1);
    }
}
