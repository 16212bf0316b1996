//! Plain HTTP, as a visitor from outside.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(10);

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Its code.
    pub status: u16,
    /// What it carries.
    pub body: String,
}

/// Asks `HOST:PORT` for a path.
pub fn get(address: &str, path: &str) -> io::Result<Answer> {
    get_within(PATIENCE, address, path)
}

/// The same with a patience of its own.
pub fn get_within(patience: Duration, address: &str, path: &str) -> io::Result<Answer> {
    let socket = address
        .to_socket_addrs()?
        .next()
        .ok_or_else(|| io::Error::other(format!("{address} is no address")))?;
    let mut stream = TcpStream::connect_timeout(&socket, patience)?;
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(patience))?;
    exchange(&mut stream, address, path)
}

/// Asks over a connection that is open.
pub fn exchange(stream: &mut (impl Read + Write), host: &str, path: &str) -> io::Result<Answer> {
    send(stream, host, &Request::get(path))
}

/// What is asked.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// `GET`, `POST`, …
    pub method: &'a str,
    /// Path and query.
    pub path: &'a str,
    /// Lines of the head, each `Name: value`.
    pub headers: &'a [&'a str],
    /// The body; empty for none.
    pub body: &'a str,
}

impl<'a> Request<'a> {
    /// Asks for a path.
    pub fn get(path: &'a str) -> Self {
        Self {
            method: "GET",
            path,
            headers: &[],
            body: "",
        }
    }
}

/// Sends a request over a connection that is open, and waits for the answer.
pub fn send(
    stream: &mut (impl Read + Write),
    host: &str,
    request: &Request<'_>,
) -> io::Result<Answer> {
    let mut head = format!(
        "{} {} HTTP/1.1\r\nHost: {host}\r\n",
        request.method, request.path
    );
    for line in request.headers {
        head += &format!("{line}\r\n");
    }
    if !request.body.is_empty() {
        head += &format!("Content-Length: {}\r\n", request.body.len());
    }
    write!(stream, "{head}Connection: close\r\n\r\n{}", request.body)?;
    stream.flush()?;
    let mut bytes = Vec::new();
    // A peer may end TLS without saying so once everything is there.
    if let Err(error) = stream.read_to_end(&mut bytes)
        && bytes.is_empty()
    {
        return Err(error);
    }
    parse(&String::from_utf8_lossy(&bytes))
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the answer is no HTTP"))
}

fn parse(text: &str) -> Option<Answer> {
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.")?.get(2..5)?.parse().ok()?;
    let chunked = head
        .lines()
        .any(|line| line.eq_ignore_ascii_case("transfer-encoding: chunked"));
    let body = if chunked {
        dechunk(body)
    } else {
        body.to_owned()
    };
    Some(Answer { status, body })
}

fn dechunk(mut body: &str) -> String {
    let mut whole = String::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let size = usize::from_str_radix(size.trim(), 16).unwrap_or(0);
        let Some(chunk) = rest.get(..size).filter(|chunk| !chunk.is_empty()) else {
            break;
        };
        whole.push_str(chunk);
        body = rest[size..].trim_start_matches("\r\n");
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_taken_apart() {
        let answer = parse("HTTP/1.1 503 Service Unavailable\r\nA: b\r\n\r\nhello").unwrap();
        assert_eq!((answer.status, answer.body.as_str()), (503, "hello"));
        let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
        assert_eq!(parse(chunked).unwrap().body, "abc");
        assert_eq!(parse("\x15\x03\x01"), None);
    }
}
