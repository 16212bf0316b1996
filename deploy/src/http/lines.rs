//! Answers that come line by line, for as long as the server has something to say: watches.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::{ClientConnection, StreamOwned};
use rustls_pki_types::ServerName;

use super::{Identity, Request, client_config, connect, parse, to_bytes};
use crate::failure::{Failure, OrFail, Result};

/// The lines of an answer's body.
#[derive(Debug)]
pub struct Lines {
    what: String,
    reader: BufReader<StreamOwned<ClientConnection, TcpStream>>,
}

impl Lines {
    /// Asks over TLS; between two lines no more than `silence` may pass.
    ///
    /// # Errors
    /// If the server can't be reached, or answers with anything but success.
    pub fn open(
        address: SocketAddr,
        path: &str,
        identity: &Identity,
        silence: Duration,
    ) -> Result<Self> {
        Self::of(address, &Request::get(path), identity, silence)
    }

    /// The same of any request.
    ///
    /// # Errors
    /// As above.
    pub fn of(
        address: SocketAddr,
        request: &Request<'_>,
        identity: &Identity,
        silence: Duration,
    ) -> Result<Self> {
        let what = format!("{} https://{address}{}", request.method, request.path);
        let config = client_config(identity)?;
        let name = ServerName::from(address.ip());
        let connection = ClientConnection::new(Arc::new(config), name).or_fail(|| &what)?;
        let mut stream = StreamOwned::new(connection, connect(address).or_fail(|| &what)?);
        let sent =
            stream.write_all(&to_bytes(request, &address.to_string(), "").or_fail(|| &what)?);
        sent.and_then(|()| stream.flush()).or_fail(|| &what)?;
        let mut reader = BufReader::new(stream);
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            if reader.read_until(b'\n', &mut head).or_fail(|| &what)? == 0 {
                break;
            }
        }
        let mut answer = parse(&head)?;
        if answer.status != 200 {
            // What it says of it, as far as that comes.
            let _ = reader.read_to_end(&mut answer.body);
            let said = String::from_utf8_lossy(&answer.body);
            return Err(Failure::new(what, format!("{} {said}", answer.status)));
        }
        let patience = reader.get_ref().get_ref().set_read_timeout(Some(silence));
        patience.or_fail(|| &what)?;
        Ok(Self { what, reader })
    }
}

impl Iterator for Lines {
    type Item = Result<String>;

    fn next(&mut self) -> Option<Result<String>> {
        let mut line = String::new();
        match self.reader.read_line(&mut line) {
            Ok(0) => None,
            Ok(_) => Some(Ok(line)),
            // Some servers close TLS without saying goodbye.
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => None,
            Err(error) => Some(Err(Failure::new(&self.what, error))),
        }
    }
}
