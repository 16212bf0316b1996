//! From a packet to the packet that answers it.

use crate::authority::{Answer, Authority};
use crate::forward::{Forwarder, Question};
use crate::message::{self, Packet, Transport};
use crate::metrics;
use hickory_proto::op::{Message, Query, ResponseCode};
use hickory_proto::rr::{Name, RecordType};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// How many aliases are followed.
const MOST_ALIASES: usize = 8;

/// Knows the cluster's names, and whom to ask about all others.
pub struct Resolver {
    authority: Authority,
    forwarder: Forwarder,
    turn: AtomicUsize,
}

/// An answer, and what is to be known of how it came about.
struct Resolved {
    answer: Answer,
    authoritative: bool,
    /// Why nobody could tell.
    trouble: Option<String>,
}

impl Resolver {
    /// Puts the two together.
    pub fn new(authority: Authority, forwarder: Forwarder) -> Self {
        Self {
            authority,
            forwarder,
            turn: AtomicUsize::new(0),
        }
    }

    /// Whether the cluster's names are known.
    pub fn is_synced(&self) -> bool {
        self.authority.is_synced()
    }

    /// Whom others' names are asked of.
    pub fn forwarder(&self) -> &Forwarder {
        &self.forwarder
    }

    /// Answers a packet; `None` if it deserves no answer.
    pub async fn handle(
        &self,
        packet: Vec<u8>,
        peer: SocketAddr,
        transport: Transport,
    ) -> Option<Vec<u8>> {
        let began = Instant::now();
        let (message, query) = match message::read(&packet) {
            Packet::Question(message, query) => (message, query),
            Packet::Refused(answer) => return Some(answer),
            Packet::Noise => return None,
        };
        drop(packet);
        let zone = match self.authority.holds(query.name()) {
            true => "cluster",
            false => ".",
        };
        count_request(&query, zone, peer, transport);
        let mut resolved = self.resolve(&message, &query).await;
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        message::rotate(&mut resolved.answer.answers, turn);
        count_response(&resolved, zone, began);
        Some(message::write(
            &message,
            resolved.answer,
            resolved.authoritative,
            resolved.trouble.as_deref(),
            transport,
        ))
    }

    async fn resolve(&self, message: &Message, query: &Query) -> Resolved {
        if self.forwarder.is_probe(query) {
            return plain(Answer::empty(ResponseCode::Refused));
        }
        if !self.is_synced() {
            // Of no name it is known yet whether it is the cluster's.
            let trouble = "the cluster's names are not known yet: the apiserver has not answered";
            return failed(Answer::empty(ResponseCode::ServFail), trouble);
        }
        let kind = query.query_type();
        let mut name = query.name().clone();
        let mut whole = Answer::empty(ResponseCode::NoError);
        for _ in 0..=MOST_ALIASES {
            let Some(part) = self.authority.answer(&name, kind) else {
                return self.foreign(whole, message, name, kind).await;
            };
            whole.code = part.code;
            whole.answers.extend(part.answers);
            whole.authorities = part.authorities;
            whole.additionals = part.additionals;
            match part.alias {
                Some(alias) => name = alias,
                None => {
                    return Resolved {
                        answer: whole,
                        authoritative: true,
                        trouble: None,
                    };
                }
            }
        }
        whole.code = ResponseCode::ServFail;
        failed(whole, "these names stand for each other in a circle")
    }

    /// Completes an answer with what others know of a name.
    async fn foreign(
        &self,
        mut whole: Answer,
        message: &Message,
        name: Name,
        kind: RecordType,
    ) -> Resolved {
        let edns = message.edns.as_ref();
        let asked = Question {
            name: name.to_lowercase(),
            kind,
            dnssec_ok: edns.is_some_and(|edns| edns.flags().dnssec_ok),
            checking_disabled: message.metadata.checking_disabled,
        };
        let own = self.authority.own_addresses();
        match self.forwarder.ask(&asked, &own).await {
            Ok(part) => {
                whole.code = part.code;
                // Others were asked in lower case; the client hears its own spelling.
                whole
                    .answers
                    .extend(part.answers.into_iter().map(|mut record| {
                        if record.name == name {
                            record.name.clone_from(&name);
                        }
                        record
                    }));
                whole.authorities = part.authorities;
                whole.additionals = part.additionals;
                plain(whole)
            }
            Err(trouble) => {
                whole.code = ResponseCode::ServFail;
                failed(whole, trouble)
            }
        }
    }
}

fn plain(answer: Answer) -> Resolved {
    Resolved {
        answer,
        authoritative: false,
        trouble: None,
    }
}

fn failed(answer: Answer, trouble: impl Into<String>) -> Resolved {
    Resolved {
        trouble: Some(trouble.into()),
        ..plain(answer)
    }
}

fn count_request(query: &Query, zone: &str, peer: SocketAddr, transport: Transport) {
    let protocol = match transport {
        Transport::Udp => "udp",
        Transport::Tcp => "tcp",
    };
    let family = if peer.is_ipv4() { "1" } else { "2" };
    // Clients must not be able to make up labels.
    let kind = match query.query_type() {
        kind @ (RecordType::A
        | RecordType::AAAA
        | RecordType::CNAME
        | RecordType::MX
        | RecordType::NS
        | RecordType::PTR
        | RecordType::SOA
        | RecordType::SRV
        | RecordType::TXT
        | RecordType::ANY) => kind.to_string(),
        _ => "other".to_owned(),
    };
    metrics::REQUESTS
        .with_label_values(&[metrics::SERVER, zone, "", protocol, family, &kind])
        .inc();
}

fn count_response(resolved: &Resolved, zone: &str, began: Instant) {
    let plugin = match resolved.authoritative {
        true => "kubernetes",
        false => "forward",
    };
    let code = code_label(resolved.answer.code);
    metrics::RESPONSES
        .with_label_values(&[metrics::SERVER, zone, "", code, plugin])
        .inc();
    metrics::DURATION
        .with_label_values(&[metrics::SERVER, zone, ""])
        .observe(began.elapsed().as_secs_f64());
}

/// A response code as metrics call it.
pub fn code_label(code: ResponseCode) -> &'static str {
    match code {
        ResponseCode::NoError => "NOERROR",
        ResponseCode::FormErr => "FORMERR",
        ResponseCode::ServFail => "SERVFAIL",
        ResponseCode::NXDomain => "NXDOMAIN",
        ResponseCode::NotImp => "NOTIMP",
        ResponseCode::Refused => "REFUSED",
        _ => "other",
    }
}
