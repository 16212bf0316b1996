//! Answers of other servers, remembered for a short time.

use super::{Outcome, Question};
use crate::authority::Answer;
use crate::metrics;
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::RData;
use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

/// Longest time that an answer is remembered, whatever it says itself.
const LONGEST: u32 = 30;
/// Shortest time that a refusal is remembered, so that a name that isn't there
/// is not asked for again with every connection.
const SHORTEST_NEGATIVE: u32 = 5;
/// For how long a failure is remembered.
const FAILURE: u32 = 5;
/// Most answers, and most bytes of them.
const MOST: usize = 4096;
const MOST_BYTES: usize = 2 << 20;

/// Answers by question. They are kept as bytes, which are much smaller than
/// what they mean.
#[derive(Default)]
pub(super) struct Cache {
    known: HashMap<Question, Known>,
    /// Questions in the order in which they were answered, each with the
    /// number of its answer.
    order: VecDeque<(u64, Question)>,
    count: u64,
    bytes: usize,
}

struct Known {
    number: u64,
    what: Result<Vec<u8>, String>,
    learned: Instant,
    lifetime: u32,
}

impl Known {
    fn size(&self) -> usize {
        self.what.as_ref().map_or_else(String::len, Vec::len)
    }
}

impl Cache {
    /// What is remembered, with the time it has left to live.
    pub(super) fn get(&mut self, asked: &Question, now: Instant) -> Option<Outcome> {
        let known = self.known.get(asked)?;
        let age = now.saturating_duration_since(known.learned);
        if age >= Duration::from_secs(known.lifetime.into()) {
            return None;
        }
        let outcome = match &known.what {
            Err(trouble) => Err(trouble.clone()),
            Ok(bytes) => {
                let mut message = Message::from_vec(bytes).ok()?;
                let age = u32::try_from(age.as_secs()).unwrap_or(u32::MAX);
                for records in sections(&mut message) {
                    for record in records {
                        record.ttl = record.ttl.min(known.lifetime).saturating_sub(age);
                    }
                }
                Ok(answer(&message))
            }
        };
        let kind = match &outcome {
            Ok(answer) if !answer.answers.is_empty() => "success",
            _ => "denial",
        };
        metrics::CACHE_HITS
            .with_label_values(&[metrics::SERVER, kind, ".", ""])
            .inc();
        Some(outcome)
    }

    /// Remembers an answer, or that there was none.
    pub(super) fn put(
        &mut self,
        asked: &Question,
        outcome: &Result<Message, String>,
        now: Instant,
    ) {
        let (what, lifetime) = match outcome {
            Err(trouble) => (Err(trouble.clone()), FAILURE),
            Ok(message) => match message.to_vec() {
                Ok(bytes) => (Ok(bytes), lifetime(message)),
                Err(_) => return,
            },
        };
        if lifetime == 0 {
            return;
        }
        self.count += 1;
        let known = Known {
            number: self.count,
            what,
            learned: now,
            lifetime,
        };
        self.bytes += known.size();
        self.order.push_back((self.count, asked.clone()));
        if let Some(old) = self.known.insert(asked.clone(), known) {
            self.bytes -= old.size();
        }
        // What is oldest is also, nearly always, what ends first.
        while self.order.len() > MOST || self.bytes > MOST_BYTES {
            self.forget_oldest();
        }
        while self
            .order
            .front()
            .is_some_and(|(_, asked)| self.is_over(asked, now))
        {
            self.forget_oldest();
        }
        metrics::CACHE_ENTRIES
            .with_label_values(&[metrics::SERVER, "success", ".", ""])
            .set(i64::try_from(self.known.len()).unwrap_or(i64::MAX));
    }

    fn is_over(&self, asked: &Question, now: Instant) -> bool {
        self.known.get(asked).is_none_or(|known| {
            let lifetime = Duration::from_secs(known.lifetime.into());
            now.saturating_duration_since(known.learned) >= lifetime
        })
    }

    fn forget_oldest(&mut self) {
        let Some((number, asked)) = self.order.pop_front() else {
            return;
        };
        // It may have been answered anew since.
        if self
            .known
            .get(&asked)
            .is_some_and(|known| known.number == number)
            && let Some(known) = self.known.remove(&asked)
        {
            self.bytes -= known.size();
        }
    }
}

fn sections(message: &mut Message) -> [&mut Vec<hickory_proto::rr::Record>; 3] {
    [
        &mut message.answers,
        &mut message.authorities,
        &mut message.additionals,
    ]
}

/// What another server's message says.
pub(super) fn answer(message: &Message) -> Answer {
    Answer {
        answers: message.answers.clone(),
        authorities: message.authorities.clone(),
        additionals: message.additionals.clone(),
        ..Answer::empty(message.metadata.response_code)
    }
}

/// For how many seconds a message may be remembered.
fn lifetime(message: &Message) -> u32 {
    let code = message.metadata.response_code;
    if !matches!(code, ResponseCode::NoError | ResponseCode::NXDomain) {
        return FAILURE;
    }
    let positive = code == ResponseCode::NoError && !message.answers.is_empty();
    if positive {
        let shortest = message.answers.iter().map(|record| record.ttl).min();
        return shortest.unwrap_or(0).min(LONGEST);
    }
    let minimum = message
        .authorities
        .iter()
        .find_map(|record| match &record.data {
            RData::SOA(soa) => Some(record.ttl.min(soa.minimum)),
            _ => None,
        });
    minimum.unwrap_or(0).clamp(SHORTEST_NEGATIVE, LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hickory_proto::op::OpCode;
    use hickory_proto::rr::rdata::{A, SOA};
    use hickory_proto::rr::{Name, Record, RecordType};

    fn name(text: &str) -> Name {
        Name::from_ascii(text).unwrap()
    }

    fn asked(text: &str) -> Question {
        Question {
            name: name(text),
            kind: RecordType::A,
            dnssec_ok: false,
            checking_disabled: false,
        }
    }

    fn positive(ttl: u32) -> Message {
        let mut message = Message::response(1, OpCode::Query);
        let data = RData::A(A([10, 0, 0, 1].into()));
        message
            .answers
            .push(Record::from_rdata(name("x."), ttl, data));
        message
    }

    fn negative(ttl: u32, minimum: u32) -> Message {
        let mut message = Message::error_msg(1, OpCode::Query, ResponseCode::NXDomain);
        let soa = SOA::new(name("n."), name("m."), 1, 1, 1, 1, minimum);
        let record = Record::from_rdata(name("x."), ttl, RData::SOA(soa));
        message.authorities.push(record);
        message
    }

    #[test]
    fn lifetimes() {
        assert_eq!(lifetime(&positive(7)), 7);
        assert_eq!(lifetime(&positive(3600)), LONGEST);
        assert_eq!(lifetime(&positive(0)), 0);
        assert_eq!(lifetime(&negative(3600, 20)), 20);
        assert_eq!(lifetime(&negative(10, 3600)), 10);
        assert_eq!(lifetime(&negative(0, 0)), SHORTEST_NEGATIVE);
        let failed = Message::error_msg(1, OpCode::Query, ResponseCode::ServFail);
        assert_eq!(lifetime(&failed), FAILURE);
    }

    #[test]
    fn answers_age_and_end() {
        let mut cache = Cache::default();
        let now = Instant::now();
        let after = |seconds| now + Duration::from_secs(seconds);
        cache.put(&asked("a."), &Ok(positive(20)), now);
        let outcome = cache.get(&asked("a."), after(8)).unwrap().unwrap();
        assert_eq!(outcome.answers[0].ttl, 12);
        assert!(cache.get(&asked("a."), after(20)).is_none());
        assert!(cache.get(&asked("b."), now).is_none());
        cache.put(&asked("b."), &Err("no answer".into()), now);
        let trouble = cache.get(&asked("b."), after(1)).unwrap().unwrap_err();
        assert_eq!(trouble, "no answer");
        assert!(cache.get(&asked("b."), after(5)).is_none());
        // What is over makes room for what is new.
        cache.put(&asked("c."), &Ok(positive(20)), after(60));
        assert_eq!((cache.known.len(), cache.order.len()), (1, 1));
    }

    #[test]
    fn it_has_bounds() {
        let mut cache = Cache::default();
        let now = Instant::now();
        for n in 0..MOST + 10 {
            cache.put(&asked(&format!("n{n}.")), &Ok(positive(20)), now);
        }
        assert_eq!((cache.known.len(), cache.order.len()), (MOST, MOST));
        assert!(cache.get(&asked("n5."), now).is_none());
        assert!(cache.get(&asked("n15."), now).is_some());
        let size: usize = cache.known.values().map(Known::size).sum();
        assert_eq!(cache.bytes, size);
        // The same question answered again and again takes the place of one.
        for _ in 0..2 * MOST {
            cache.put(&asked("same."), &Ok(positive(20)), now);
        }
        assert!(cache.order.len() <= MOST);
        assert!(cache.get(&asked("same."), now).is_some());
    }
}
