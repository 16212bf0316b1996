//! One question to one server.

use super::Question;
use crate::message;
use hickory_proto::op::{Message, MessageType, Query};
use std::io;
use std::net::{IpAddr, SocketAddr};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

/// Room for an answer over UDP.
const LARGEST: usize = 4096;
/// The port of name servers.
const PORT: u16 = 53;

/// Asks over UDP, and over TCP if the answer doesn't fit.
pub(super) async fn ask(server: SocketAddr, asked: &Question) -> io::Result<Message> {
    let query = Query::query(asked.name.clone(), asked.kind);
    let question = message::question(query, asked.dnssec_ok, asked.checking_disabled);
    let bytes = question.to_vec().map_err(io::Error::other)?;
    let answer = over_udp(server, &question, &bytes).await?;
    if answer.metadata.truncation {
        return over_tcp(server, &question, &bytes).await;
    }
    Ok(answer)
}

async fn over_udp(server: SocketAddr, question: &Message, bytes: &[u8]) -> io::Result<Message> {
    // A socket, and with it a port, of its own for each question, so that
    // answers are hard to forge.
    let any: SocketAddr = match server {
        SocketAddr::V4(_) => ([0, 0, 0, 0], 0).into(),
        SocketAddr::V6(_) => ([0_u16; 8], 0).into(),
    };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(server).await?;
    socket.send(bytes).await?;
    let mut buffer = vec![0; LARGEST];
    loop {
        let length = socket.recv(&mut buffer).await?;
        match Message::from_vec(&buffer[..length]) {
            Ok(answer) if answers(&answer, question) => return Ok(answer),
            // Late, forged or garbled: the right one may still come.
            _ => tracing::debug!(%server, "an answer to another question"),
        }
    }
}

async fn over_tcp(server: SocketAddr, question: &Message, bytes: &[u8]) -> io::Result<Message> {
    let mut stream = TcpStream::connect(server).await?;
    let length = u16::try_from(bytes.len()).map_err(io::Error::other)?;
    let mut framed = length.to_be_bytes().to_vec();
    framed.extend_from_slice(bytes);
    stream.write_all(&framed).await?;
    let length = stream.read_u16().await?;
    let mut buffer = vec![0; length.into()];
    stream.read_exact(&mut buffer).await?;
    let answer = Message::from_vec(&buffer).map_err(io::Error::other)?;
    match answers(&answer, question) {
        true => Ok(answer),
        false => Err(io::Error::other("it answers another question")),
    }
}

/// Whether a message is the answer to a question.
fn answers(answer: &Message, question: &Message) -> bool {
    answer.metadata.message_type == MessageType::Response
        && answer.metadata.id == question.metadata.id
        && answer.queries == question.queries
}

/// The name servers that a `resolv.conf` names, and its search domains.
pub fn from_resolv_conf(text: &str) -> (Vec<SocketAddr>, Vec<String>) {
    let (mut servers, mut searches) = (Vec::new(), Vec::new());
    for line in text.lines() {
        let line = line.split(['#', ';']).next().unwrap_or_default();
        let mut words = line.split_whitespace();
        match words.next() {
            Some("nameserver") => {
                // Addresses of a link are of no use without its name.
                let ip = words.next().and_then(|word| word.parse::<IpAddr>().ok());
                servers.extend(ip.map(|ip| SocketAddr::new(ip, PORT)));
            }
            Some("search" | "domain") => searches = words.map(str::to_owned).collect(),
            _ => {}
        }
    }
    (servers, searches)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolv_conf() {
        let text = "# made by hand\nnameserver 10.0.0.2\nnameserver fe80::1%eth0\n\
                    nameserver ::1 ; here\nsearch old\nsearch lan corp.example.\n";
        let (servers, searches) = from_resolv_conf(text);
        assert_eq!(
            servers,
            ["10.0.0.2:53", "[::1]:53"].map(|address| address.parse().unwrap())
        );
        assert_eq!(searches, ["lan", "corp.example."]);
    }
}
