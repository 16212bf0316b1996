//! Asks a DNS server in a pod, over TCP through the API server, as `kubectl port-forward` would.
//! One question, which changes nothing.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::{SinkExt, StreamExt};
use hardway_why::{DnsAnswer, DnsOutcome, DnsRequest};
use hickory_proto::op::{Message as DnsMessage, Query};
use hickory_proto::rr::{Name, RData, RecordType};
use http::header::{
    CONNECTION, HeaderValue, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION,
    UPGRADE,
};
use hyper_util::rt::TokioIo;
use kube::Client;
use kube::client::Body;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use crate::connection::with_causes;

/// How long the API server may take to lead there.
const CONNECT: Duration = Duration::from_secs(5);
/// How long the server may take to answer: a resolver gives up after 5 s.
const ANSWER: Duration = Duration::from_secs(3);
/// The subprotocol of port-forward: a byte says which channel, of each port one for data and
/// one for errors. Each begins with the port's number (`k8s.io/kubelet`,
/// `pkg/cri/streaming/portforward/websocket.go`).
const PROTOCOL: &str = "v4.channel.k8s.io";
const DATA: u8 = 0;
const ERRORS: u8 = 1;
/// Bytes of the number with which a channel begins.
const NUMBER: usize = 2;

type Socket = WebSocketStream<TokioIo<hyper::upgrade::Upgraded>>;

/// Asks the server for the name that every cluster has.
pub async fn ask(client: &Client, request: &DnsRequest) -> DnsOutcome {
    let opened = tokio::time::timeout(CONNECT, open(client, request)).await;
    let mut socket = match opened {
        Ok(Ok(socket)) => socket,
        Ok(Err(why)) => return DnsOutcome::NotAsked(why),
        Err(_) => {
            let why = format!("no way to the pod within {} s", CONNECT.as_secs());
            return DnsOutcome::NotAsked(why);
        }
    };
    let outcome = match tokio::time::timeout(ANSWER, exchange(&mut socket)).await {
        Ok(outcome) => outcome,
        Err(_) => Err(format!("nothing within {} s", ANSWER.as_secs())),
    };
    match outcome {
        Ok(answer) => DnsOutcome::Answered(answer),
        Err(why) => DnsOutcome::Silent(why),
    }
}

/// Opens the way to the pod's port.
async fn open(client: &Client, request: &DnsRequest) -> Result<Socket, String> {
    let path = format!(
        "/api/v1/namespaces/{}/pods/{}/portforward?ports={}",
        request.namespace, request.pod, request.port
    );
    // It is no secret; it need only be new (RFC 6455, 4.1).
    let mut nonce = [0; 16];
    for half in nonce.chunks_mut(8) {
        half.copy_from_slice(&RandomState::new().hash_one(&path).to_ne_bytes());
    }
    let asked = http::Request::get(path)
        .header(CONNECTION, HeaderValue::from_static("Upgrade"))
        .header(UPGRADE, HeaderValue::from_static("websocket"))
        .header(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"))
        .header(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(PROTOCOL))
        .header(SEC_WEBSOCKET_KEY, STANDARD.encode(nonce))
        .body(Body::empty())
        .map_err(|error| error.to_string())?;
    let sent = client.send(asked).await;
    let answer = sent.map_err(|error| with_causes(&error))?;
    if answer.status() != http::StatusCode::SWITCHING_PROTOCOLS {
        let code = answer.status();
        let body = http_body_util::BodyExt::collect(answer.into_body()).await;
        let body = body
            .map(http_body_util::Collected::to_bytes)
            .unwrap_or_default();
        let said: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
        let said = said["message"].as_str().map(str::to_owned);
        return Err(said.unwrap_or_else(|| format!("the API server answered {code}")));
    }
    let upgraded = hyper::upgrade::on(answer).await;
    let io = TokioIo::new(upgraded.map_err(|error| with_causes(&error))?);
    // Answers over TCP have 64 KiB at most.
    let config = WebSocketConfig::default()
        .max_message_size(Some(128 << 10))
        .max_frame_size(Some(128 << 10));
    Ok(WebSocketStream::from_raw_socket(io, Role::Client, Some(config)).await)
}

async fn exchange(socket: &mut Socket) -> Result<DnsAnswer, String> {
    let (id, question) = question().map_err(|error| error.to_string())?;
    let mut framed = vec![DATA];
    framed.extend(
        u16::try_from(question.len())
            .unwrap_or(u16::MAX)
            .to_be_bytes(),
    );
    framed.extend(question);
    let sent = socket.send(Message::binary(framed)).await;
    sent.map_err(|error| with_causes(&error))?;
    let mut heard = Heard::default();
    while let Some(message) = socket.next().await {
        let message = message.map_err(|error| with_causes(&error))?;
        if let Message::Binary(bytes) = message
            && let Some(answer) = heard.take(&bytes)?
        {
            return answer_of(id, answer);
        }
    }
    Err("the connection was closed".to_owned())
}

/// The question with its number.
fn question() -> Result<(u16, Vec<u8>), hickory_proto::ProtoError> {
    let name = Name::from_ascii(format!("{}.", DnsRequest::NAME))?;
    let mut message = DnsMessage::query();
    message.metadata.recursion_desired = true;
    message.queries.push(Query::query(name, RecordType::A));
    Ok((message.metadata.id, message.to_vec()?))
}

/// What came over the channels.
#[derive(Default)]
struct Heard {
    data: Vec<u8>,
    errors: Vec<u8>,
}

impl Heard {
    /// The DNS message, once it is here.
    fn take(&mut self, bytes: &[u8]) -> Result<Option<&[u8]>, String> {
        match bytes.split_first() {
            Some((&DATA, rest)) => self.data.extend_from_slice(rest),
            Some((&ERRORS, rest)) => self.errors.extend_from_slice(rest),
            _ => return Ok(None),
        }
        if self.errors.len() > NUMBER {
            return Err(String::from_utf8_lossy(&self.errors[NUMBER..]).into_owned());
        }
        let Some((length, message)) = self.data.get(NUMBER..).and_then(<[u8]>::split_first_chunk)
        else {
            return Ok(None);
        };
        Ok(message.get(..usize::from(u16::from_be_bytes(*length))))
    }
}

fn answer_of(id: u16, bytes: &[u8]) -> Result<DnsAnswer, String> {
    let message = DnsMessage::from_vec(bytes);
    let message = message.map_err(|error| format!("what came is no answer: {error}"))?;
    if message.metadata.id != id {
        return Err("what came answers another question".to_owned());
    }
    let addresses = message
        .answers
        .iter()
        .filter_map(|record| match record.data {
            RData::A(address) => Some(address.0.into()),
            _ => None,
        });
    Ok(DnsAnswer {
        code: u16::from(message.metadata.response_code),
        addresses: addresses.collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use hickory_proto::op::{OpCode, ResponseCode};
    use hickory_proto::rr::Record;
    use hickory_proto::rr::rdata::A;

    #[test]
    fn an_answer_comes_in_pieces_after_the_ports_number() {
        let name = Name::from_ascii("a.").unwrap();
        let mut message = DnsMessage::response(7, OpCode::Query);
        let address = A::new(10, 96, 0, 1);
        message
            .answers
            .push(Record::from_rdata(name, 5, RData::A(address)));
        let bytes = message.to_vec().unwrap();
        let mut stream = 5353_u16.to_le_bytes().to_vec();
        stream.extend(u16::try_from(bytes.len()).unwrap().to_be_bytes());
        stream.extend(&bytes);
        let mut heard = Heard::default();
        let framed = |channel: u8, bytes: &[u8]| [&[channel], bytes].concat();
        assert_eq!(heard.take(&framed(ERRORS, &[0xe9, 0x14])), Ok(None));
        let (last, first) = stream.split_last().unwrap();
        for byte in first {
            assert_eq!(heard.take(&framed(DATA, &[*byte])), Ok(None));
        }
        let whole = heard.take(&framed(DATA, &[*last])).unwrap().unwrap();
        let answer = answer_of(7, whole).unwrap();
        assert_eq!(answer.code, 0);
        assert_eq!(
            answer.addresses,
            ["10.96.0.1".parse::<std::net::IpAddr>().unwrap()]
        );
        assert!(answer_of(8, whole).is_err());
    }

    #[test]
    fn what_the_node_says_of_the_port_is_told() {
        let mut heard = Heard::default();
        let said = [&[ERRORS, 0xe9, 0x14][..], b"connection refused"].concat();
        assert_eq!(heard.take(&said), Err("connection refused".to_owned()));
    }

    #[test]
    fn an_error_is_an_answer() {
        let failed = DnsMessage::error_msg(7, OpCode::Query, ResponseCode::ServFail);
        let answer = answer_of(7, &failed.to_vec().unwrap()).unwrap();
        assert_eq!((answer.code, answer.addresses.len()), (2, 0));
        assert!(answer_of(7, b"no dns").is_err());
    }
}
