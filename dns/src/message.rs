//! Messages on the wire: what may be asked, how large an answer may be.

use crate::authority::Answer;
use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::opt::EdnsOption;
use hickory_proto::rr::{DNSClass, Record, RecordType};

/// Largest answer over UDP: what passes networks without being cut into parts.
pub const UDP_LIMIT: u16 = 1232;
/// Answer over UDP to clients that don't say how much they can take.
const PLAIN_LIMIT: u16 = 512;
/// Length of a message's header.
const HEADER: usize = 12;
/// Code of the option that explains errors (RFC 8914).
const EXPLANATION: u16 = 15;
/// In it: no name server could be reached.
const UNREACHABLE: u16 = 22;

/// How a message came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// In a datagram.
    Udp,
    /// In a stream.
    Tcp,
}

/// What a packet is.
pub enum Packet {
    /// A question to be answered.
    Question(Box<Message>, Query),
    /// One that is refused with a message.
    Refused(Vec<u8>),
    /// Nothing to answer: other people's answers, noise.
    Noise,
}

/// Takes a packet apart.
pub fn read(packet: &[u8]) -> Packet {
    if packet.len() < HEADER || packet[2] & 0x80 != 0 {
        return Packet::Noise;
    }
    let Ok(message) = Message::from_vec(packet) else {
        return Packet::Refused(malformed(packet));
    };
    match refusal(&message) {
        None => match message.queries.first().cloned() {
            Some(query) => Packet::Question(Box::new(message), query),
            None => Packet::Noise,
        },
        Some(code) => {
            let answer = Answer::empty(code);
            Packet::Refused(write(&message, answer, false, None, Transport::Udp))
        }
    }
}

/// Why a message can't be answered.
fn refusal(message: &Message) -> Option<ResponseCode> {
    if message.metadata.op_code != OpCode::Query {
        return Some(ResponseCode::NotImp);
    }
    let [query] = message.queries.as_slice() else {
        return Some(ResponseCode::FormErr);
    };
    if message.edns.as_ref().is_some_and(|edns| edns.version() > 0) {
        return Some(ResponseCode::BADVERS);
    }
    match (query.query_class(), query.query_type()) {
        (DNSClass::IN, RecordType::AXFR | RecordType::IXFR) => Some(ResponseCode::Refused),
        (DNSClass::IN, _) => None,
        _ => Some(ResponseCode::Refused),
    }
}

/// The answer to what can't be read: its header alone, saying so.
fn malformed(packet: &[u8]) -> Vec<u8> {
    let mut header = vec![0; HEADER];
    header[..2].copy_from_slice(&packet[..2]);
    // A response with the same operation and wish for recursion.
    header[2] = 0x80 | packet[2] & 0x79;
    header[3] = u16::from(ResponseCode::FormErr).to_be_bytes()[1];
    header
}

/// The message that answers another, no longer than its sender can take.
pub fn write(
    question: &Message,
    answer: Answer,
    authoritative: bool,
    explanation: Option<&str>,
    transport: Transport,
) -> Vec<u8> {
    let asked = &question.metadata;
    let mut message = Message::new(asked.id, MessageType::Response, asked.op_code);
    let told = &mut message.metadata;
    told.recursion_desired = asked.recursion_desired;
    told.recursion_available = true;
    told.checking_disabled = asked.checking_disabled;
    told.authoritative = authoritative;
    told.response_code = answer.code;
    message.queries.clone_from(&question.queries);
    message.answers = answer.answers;
    message.authorities = answer.authorities;
    message.additionals = answer.additionals;
    if let Some(asked) = &question.edns {
        let mut edns = Edns::new();
        edns.set_max_payload(UDP_LIMIT);
        edns.set_version(0);
        edns.set_dnssec_ok(asked.flags().dnssec_ok);
        edns.set_rcode_high(answer.code.high());
        if let Some(text) = explanation {
            let mut data = UNREACHABLE.to_be_bytes().to_vec();
            data.extend_from_slice(text.as_bytes());
            edns.options_mut()
                .insert(EdnsOption::Unknown(EXPLANATION, data));
        }
        message.edns = Some(edns);
    }
    let limit = match (transport, &question.edns) {
        (Transport::Tcp, _) => u16::MAX,
        (Transport::Udp, None) => PLAIN_LIMIT,
        (Transport::Udp, Some(edns)) => edns.max_payload().clamp(PLAIN_LIMIT, UDP_LIMIT),
    };
    fit(message, usize::from(limit))
}

/// Writes a message; leaves out first what is of minor use, then as many
/// answers as it takes, and says so.
fn fit(mut message: Message, limit: usize) -> Vec<u8> {
    let bytes = encode(&message);
    if bytes.len() <= limit {
        return bytes;
    }
    message.additionals.clear();
    let mut bytes = encode(&message);
    while bytes.len() > limit && !message.answers.is_empty() {
        message.metadata.truncation = true;
        let keep = message.answers.len() * limit / bytes.len();
        message
            .answers
            .truncate(keep.min(message.answers.len() - 1));
        bytes = encode(&message);
    }
    if bytes.len() > limit {
        message.metadata.truncation = true;
        message.authorities.clear();
        bytes = encode(&message);
    }
    bytes
}

fn encode(message: &Message) -> Vec<u8> {
    message.to_vec().unwrap_or_else(|error| {
        // Only what others said can be so; it can't be passed on.
        tracing::debug!(%error, "an answer can't be written");
        let metadata = &message.metadata;
        let failed = Message::error_msg(metadata.id, metadata.op_code, ResponseCode::ServFail);
        failed.to_vec().unwrap_or_default()
    })
}

/// A question of our own to another server.
pub fn question(query: Query, dnssec_ok: bool, checking_disabled: bool) -> Message {
    let mut message = Message::query();
    message.metadata.recursion_desired = true;
    message.metadata.checking_disabled = checking_disabled;
    message.queries.push(query);
    let mut edns = Edns::new();
    edns.set_max_payload(UDP_LIMIT);
    edns.set_version(0);
    edns.set_dnssec_ok(dnssec_ok);
    message.edns = Some(edns);
    message
}

/// Puts the addresses of an answer into another order, so that clients that
/// take the first are spread over all. What comes before them stays before.
pub fn rotate(answers: &mut [Record], turn: usize) {
    let is_address = |r: &Record| matches!(r.record_type(), RecordType::A | RecordType::AAAA);
    let first = answers.iter().position(is_address).unwrap_or(answers.len());
    let addresses = &mut answers[first..];
    if addresses.len() > 1 && addresses.iter().all(is_address) {
        let by = turn % addresses.len();
        addresses.rotate_left(by);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hickory_proto::rr::rdata::A;
    use hickory_proto::rr::{Name, RData};
    use std::net::Ipv4Addr;

    fn name() -> Name {
        Name::from_ascii("Web.shop.svc.cluster.local.").unwrap()
    }

    fn asked(payload: Option<u16>) -> Message {
        let mut message = question(Query::query(name(), RecordType::A), false, false);
        match payload {
            None => message.edns = None,
            Some(size) => {
                message.edns.as_mut().unwrap().set_max_payload(size);
            }
        }
        message
    }

    fn many(count: u8) -> Answer {
        let mut answer = Answer::empty(ResponseCode::NoError);
        answer.answers = (0..count)
            .map(|n| Record::from_rdata(name(), 5, RData::A(A(Ipv4Addr::new(10, 0, 0, n)))))
            .collect();
        answer
    }

    fn answered(payload: Option<u16>, count: u8, transport: Transport) -> (usize, Message) {
        let bytes = write(&asked(payload), many(count), true, None, transport);
        (bytes.len(), Message::from_vec(&bytes).unwrap())
    }

    #[test]
    fn answers_fit_what_clients_can_take() {
        for (payload, transport, limit, whole) in [
            (None, Transport::Udp, 512, false),
            (Some(100), Transport::Udp, 512, false),
            (Some(1232), Transport::Udp, 1232, false),
            (Some(65535), Transport::Udp, 1232, false),
            (None, Transport::Tcp, 65535, true),
        ] {
            let (length, message) = answered(payload, 200, transport);
            assert!(length <= limit, "{length} of {limit}");
            assert_eq!(message.metadata.truncation, !whole);
            assert_eq!(message.answers.len() == 200, whole);
            assert!(message.answers.len() > 10, "{}", message.answers.len());
            assert_eq!(message.edns.is_some(), payload.is_some());
        }
        let (_, message) = answered(None, 3, Transport::Udp);
        assert!(!message.metadata.truncation && message.metadata.authoritative);
        assert!(message.metadata.recursion_available);
        assert_eq!(message.queries[0].name().to_string(), name().to_string());
    }

    fn code(packet: &[u8]) -> Option<ResponseCode> {
        match read(packet) {
            Packet::Refused(answer) => {
                let answer = Message::from_vec(&answer).unwrap();
                assert_eq!(answer.metadata.message_type, MessageType::Response);
                Some(answer.metadata.response_code)
            }
            Packet::Question(..) => Some(ResponseCode::NoError),
            Packet::Noise => None,
        }
    }

    #[test]
    fn what_is_no_question_is_refused_or_ignored() {
        let good = asked(Some(1232)).to_vec().unwrap();
        assert_eq!(code(&good), Some(ResponseCode::NoError));
        assert_eq!(code(&good[..11]), None);
        assert_eq!(code(&[]), None);
        assert_eq!(code(&good[..20]), Some(ResponseCode::FormErr));
        let mut answer = good.clone();
        answer[2] |= 0x80;
        assert_eq!(code(&answer), None);

        let with = |change: &dyn Fn(&mut Message)| {
            let mut message = asked(Some(1232));
            change(&mut message);
            code(&message.to_vec().unwrap())
        };
        let twice = |m: &mut Message| m.queries.push(m.queries[0].clone());
        assert_eq!(with(&twice), Some(ResponseCode::FormErr));
        assert_eq!(with(&|m| m.queries.clear()), Some(ResponseCode::FormErr));
        let status = |m: &mut Message| m.metadata.op_code = OpCode::Status;
        assert_eq!(with(&status), Some(ResponseCode::NotImp));
        let chaos = |m: &mut Message| {
            m.queries[0].set_query_class(DNSClass::CH);
        };
        assert_eq!(with(&chaos), Some(ResponseCode::Refused));
        let transfer = |m: &mut Message| {
            m.queries[0].set_query_type(RecordType::AXFR);
        };
        assert_eq!(with(&transfer), Some(ResponseCode::Refused));
        let future = |m: &mut Message| {
            m.edns.as_mut().unwrap().set_version(1);
        };
        // The code has two meanings, of which the reader takes the other one.
        assert_eq!(with(&future), Some(ResponseCode::BADSIG));
    }

    /// Noise of every sort is survived; nothing of it is answered at length.
    #[test]
    fn noise() {
        let good = asked(Some(1232)).to_vec().unwrap();
        let mut random = 1_u64;
        for round in 0..20_000 {
            let mut packet = good.clone();
            for _ in 0..=round % 7 {
                random = random.wrapping_mul(6364136223846793005).wrapping_add(1);
                let at = (random >> 33) as usize % packet.len();
                packet[at] = (random >> 25) as u8;
            }
            packet.truncate((random >> 40) as usize % (packet.len() + 1));
            if let Packet::Refused(answer) = read(&packet) {
                assert!(answer.len() <= 512);
            }
        }
    }

    #[test]
    fn addresses_take_turns_and_aliases_stay_first() {
        let mut answers = many(3).answers;
        rotate(&mut answers, 4);
        let first = |answers: &[Record]| answers[0].data.to_string();
        assert_eq!(first(&answers), "10.0.0.1");
        let alias = RData::CNAME(hickory_proto::rr::rdata::CNAME(name()));
        answers.insert(0, Record::from_rdata(name(), 5, alias.clone()));
        rotate(&mut answers, 1);
        assert_eq!(answers[0].data, alias);
        assert_eq!(first(&answers[1..]), "10.0.0.2");
    }
}
