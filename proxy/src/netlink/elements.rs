//! Elements of sets and maps.

use super::message::Messages;
use crate::elements::Set;
use crate::fields::{Data, Field, SEPARATOR};
use ipnetwork::Ipv4Network;
use std::net::Ipv4Addr;

// Attributes of one element (`NFTA_SET_ELEM_…`).
const KEY: u16 = 1;
const DATA: u16 = 2;
const KEY_END: u16 = 10;
// What a key or data is (`NFTA_DATA_…`, `NFTA_VERDICT_…`).
const VALUE: u16 = 1;
const VERDICT: u16 = 2;
const CODE: u16 = 1;
const CHAIN: u16 = 2;
/// `NF_DROP`.
const DROP: u32 = 0;
/// `NFT_GOTO`.
const GOTO: u32 = -4_i32 as u32;

/// An element in the kernel's form.
#[derive(Debug, PartialEq, Eq)]
pub struct Element<'a> {
    key: Vec<u8>,
    /// The last key that it is for; none where sets have no ranges.
    last: Option<Vec<u8>>,
    data: Value<'a>,
}

/// What a map has for a key.
#[derive(Debug, PartialEq, Eq)]
enum Value<'a> {
    None,
    Bytes(Vec<u8>),
    Drop,
    Goto(&'a str),
}

impl<'a> Element<'a> {
    /// One that is to be added; none if it isn't of the set's form.
    pub fn added(set: Set, key: &str, data: &'a str) -> Option<Self> {
        let data = match set.data() {
            Data::None => data.is_empty().then_some(Value::None)?,
            Data::Fields(fields) => Value::Bytes(bytes(fields, data)?.0),
            Data::Verdict if data == "drop" => Value::Drop,
            Data::Verdict => Value::Goto(data.strip_prefix("goto ")?),
        };
        Self::with(set, key, data)
    }

    /// One that is to be removed: its key says which.
    pub fn gone(set: Set, key: &str) -> Option<Self> {
        Self::with(set, key, Value::None)
    }

    fn with(set: Set, key: &str, data: Value<'a>) -> Option<Self> {
        let (key, last) = bytes(set.key(), key)?;
        let last = set.key().contains(&Field::Range).then_some(last);
        Some(Self { key, last, data })
    }

    /// Writes it as a member of a list; they are numbered, from 1 on.
    pub fn write(&self, number: u16, messages: &mut Messages) {
        messages.nested(number, |m| {
            m.nested(KEY, |m| m.attribute(VALUE, &self.key));
            if let Some(last) = &self.last {
                m.nested(KEY_END, |m| m.attribute(VALUE, last));
            }
            match &self.data {
                Value::None => {}
                Value::Bytes(bytes) => m.nested(DATA, |m| m.attribute(VALUE, bytes)),
                Value::Drop => verdict(m, DROP, None),
                Value::Goto(chain) => verdict(m, GOTO, Some(chain)),
            }
        });
    }
}

fn verdict(messages: &mut Messages, code: u32, chain: Option<&str>) {
    messages.nested(DATA, |m| {
        m.nested(VERDICT, |m| {
            m.number(CODE, code);
            if let Some(chain) = chain {
                m.text(CHAIN, chain);
            }
        });
    });
}

/// The parts of a key one after the other, each filled up to whole registers
/// of 32 bits; the first and the last key where a part is a range.
fn bytes(fields: &[Field], text: &str) -> Option<(Vec<u8>, Vec<u8>)> {
    let (mut first, mut last) = (Vec::new(), Vec::new());
    let mut words = text.split(SEPARATOR);
    for field in fields {
        let (low, high) = registers(*field, words.next()?)?;
        first.extend(low);
        last.extend(high);
    }
    words.next().is_none().then_some((first, last))
}

fn registers(field: Field, word: &str) -> Option<([u8; 4], [u8; 4])> {
    let one = match field {
        Field::Address => word.parse::<Ipv4Addr>().ok()?.octets(),
        Field::Range => {
            let range: Ipv4Network = word.parse().ok()?;
            return Some((range.network().octets(), range.broadcast().octets()));
        }
        // IANA's numbers.
        Field::Protocol => match word {
            "tcp" => [6, 0, 0, 0],
            "udp" => [17, 0, 0, 0],
            "sctp" => [132, 0, 0, 0],
            _ => return None,
        },
        Field::Port => {
            let [high, low] = word.parse::<u16>().ok()?.to_be_bytes();
            [high, low, 0, 0]
        }
        Field::Mark => u32::from_str_radix(word.strip_prefix("0x")?, 16)
            .ok()?
            .to_ne_bytes(),
    };
    Some((one, one))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_of_a_sets_form_is_not_said() {
        let key = "10.96.0.7 . tcp . 80";
        assert!(Element::added(Set::Services, key, "goto pick-1").is_some());
        for (set, key, data) in [
            (Set::Services, key, "accept"),
            (Set::Services, key, ""),
            (Set::Services, "10.96.0.7 . tcp", "drop"),
            (Set::Services, "10.96.0.7 . tcp . 80 . 1", "drop"),
            (Set::Services, "10.96.0.7 . icmp . 80", "drop"),
            (Set::Services, "10.96.0.7 . tcp . 65536", "drop"),
            (Set::Guarded, key, "drop"),
            (Set::ClusterIps, "10.96.0.300", ""),
            (Set::Slots, "10.96.0.7 . tcp . 80 . 1", "0x1"),
        ] {
            assert_eq!(Element::added(set, key, data), None, "{key} : {data}");
        }
    }
}
