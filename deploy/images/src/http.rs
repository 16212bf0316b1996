//! Just enough of HTTP for small pages: one request on each connection.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use crate::log;

const PATIENCE: Duration = Duration::from_secs(5);
/// Longer bodies are cut: nobody writes that much into a form.
const LONGEST_BODY: u64 = 64 * 1024;

/// What a visitor asks.
#[derive(Debug, PartialEq, Eq)]
pub struct Request {
    /// GET, POST …
    pub method: String,
    /// The path, as sent.
    pub path: String,
    /// What it carries.
    pub body: String,
}

/// What the visitor is told.
#[derive(Debug)]
pub struct Answer {
    /// Code and phrase.
    pub status: &'static str,
    /// Type of the body.
    pub kind: &'static str,
    /// The body.
    pub body: String,
    /// Where the visitor should go on.
    pub location: Option<&'static str>,
}

impl Answer {
    /// A page.
    pub fn page(body: String) -> Self {
        Self::of("200 OK", "text/html; charset=utf-8", body)
    }

    /// A text.
    pub fn text(body: String) -> Self {
        Self::of("200 OK", "text/plain; charset=utf-8", body)
    }

    /// A text that says why there is no page.
    pub fn failure(status: &'static str, why: String) -> Self {
        Self::of(status, "text/plain; charset=utf-8", why)
    }

    /// For paths that lead nowhere.
    pub fn nothing_at(path: &str) -> Self {
        Self::failure("404 Not Found", format!("there is nothing at {path}\n"))
    }

    fn of(status: &'static str, kind: &'static str, body: String) -> Self {
        Self {
            status,
            kind,
            body,
            location: None,
        }
    }
}

/// Answers visitors at a port, each in a thread of its own.
pub fn serve(
    name: &str,
    port: &str,
    answer: impl Fn(&Request) -> Answer + Send + Sync + 'static,
) -> io::Result<()> {
    let listener = TcpListener::bind(format!("0.0.0.0:{port}"))?;
    log(&format!("{name} listens on port {port}"));
    let answer = Arc::new(answer);
    for stream in listener.incoming() {
        let (stream, answer) = (stream?, Arc::clone(&answer));
        std::thread::spawn(move || match converse(&stream, answer.as_ref()) {
            Err(error) if !has_left(&error) => log(&format!("request failed: {error}")),
            _ => {}
        });
    }
    Ok(())
}

/// Asks the server at `HOST:PORT`; the code and body of its answer.
pub fn ask(server: &str, method: &str, path: &str, body: &str) -> io::Result<(u16, String)> {
    let mut failure = io::Error::other("its name has no address");
    for address in server.to_socket_addrs()? {
        let mut stream = match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(stream) => stream,
            Err(error) => {
                failure = error;
                continue;
            }
        };
        stream.set_read_timeout(Some(PATIENCE))?;
        let length = body.len();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: {server}\r\nContent-Length: {length}\r\n\r\n{body}"
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let strange = || io::Error::other(format!("it answers {answer:?}"));
        let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(strange)?;
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
        return Ok((status.ok_or_else(strange)?, body.to_owned()));
    }
    Err(failure)
}

/// Whether an error only says that the visitor went before everything was said: there is
/// nothing to complain of in the log.
fn has_left(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionReset | UnexpectedEof)
}

fn converse(mut stream: &TcpStream, answer: &dyn Fn(&Request) -> Answer) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let request = read(&mut BufReader::new(stream))?;
    let answer = answer(&request);
    log(&format!(
        "{} {} {}",
        request.method, request.path, answer.status
    ));
    let location = answer
        .location
        .map_or_else(String::new, |location| format!("Location: {location}\r\n"));
    // All at once: whoever stops reading at the code has been sent the rest all the same.
    let told = format!(
        "HTTP/1.1 {}\r\nContent-Type: {}\r\n{location}Content-Length: {}\r\nConnection: close\r\n\r\n{}",
        answer.status,
        answer.kind,
        answer.body.len(),
        answer.body
    );
    stream.write_all(told.as_bytes())
}

fn read(from: &mut impl BufRead) -> io::Result<Request> {
    let mut line = String::new();
    if from.read_line(&mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let mut words = line.split_whitespace().map(str::to_owned);
    let (method, path) = (words.next(), words.next());
    let mut length = 0;
    loop {
        let mut header = String::new();
        if from.read_line(&mut header)? == 0 || header.trim_end().is_empty() {
            break;
        }
        if let Some((name, value)) = header.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().unwrap_or(0);
        }
    }
    let mut body = Vec::new();
    from.take(length.min(LONGEST_BODY)).read_to_end(&mut body)?;
    Ok(Request {
        method: method.unwrap_or_default(),
        path: path.unwrap_or_else(|| "/".to_owned()),
        body: String::from_utf8_lossy(&body).into_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_taken_apart() {
        let text = "POST /add HTTP/1.1\r\nHost: x\r\ncontent-length: 3\r\n\r\na=b and more";
        let request = read(&mut text.as_bytes()).unwrap();
        assert_eq!(request.method, "POST");
        assert_eq!(request.path, "/add");
        assert_eq!(request.body, "a=b");
        let request = read(&mut "GET / HTTP/1.1\r\n\r\n".as_bytes()).unwrap();
        assert_eq!(
            (request.method.as_str(), request.body.as_str()),
            ("GET", "")
        );
    }

    #[test]
    fn visitors_who_leave_are_no_failures() {
        let nothing = read(&mut "".as_bytes()).unwrap_err();
        assert!(has_left(&nothing), "who says nothing asks for no page");
        assert!(has_left(&io::ErrorKind::BrokenPipe.into()));
        assert!(!has_left(&io::ErrorKind::WouldBlock.into()), "too slow");
    }
}
