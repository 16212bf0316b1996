//! A change as one transaction.

use super::elements::Element;
use super::message::{Kind, Messages};
use super::rules;
use crate::desired::{Change, Entries};
use crate::ruleset::TABLE;
use netlink_packet_core::NLM_F_CREATE;

/// The most bytes: a socket takes 208 KiB in one go (`net.core.wmem_default`).
const MOST_BYTES: usize = 128 * 1024;
/// The most elements in one message, since its list has a length of 16 bits.
const MOST_ELEMENTS: usize = 256;

// Attributes of a list of elements (`NFTA_SET_ELEM_LIST_…`).
const LIST_TABLE: u16 = 1;
const LIST_SET: u16 = 2;
const LIST_ELEMENTS: u16 = 3;

/// Messages that the kernel takes all of, or none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// As they are sent.
    pub bytes: Vec<u8>,
    /// The number of the message that the kernel confirms: the last before the
    /// end, so that everything is done then.
    pub confirmed: u32,
}

impl Batch {
    /// Of a change; none if it is too large, or has what isn't known here.
    pub fn of(change: &Change) -> Option<Self> {
        let mut messages = Messages::default();
        messages.message(Kind::BatchBegin, 0, |_| {});
        for picker in &change.pickers {
            rules::picker(&mut messages, picker)?;
            is_small(&messages)?;
        }
        write_elements(&mut messages, Kind::DeleteElements, &change.gone)?;
        write_elements(&mut messages, Kind::NewElements, &change.added)?;
        let confirmed = messages.confirm();
        messages.message(Kind::BatchEnd, 0, |_| {});
        let bytes = messages.finish()?;
        Some(Self { bytes, confirmed })
    }
}

fn is_small(messages: &Messages) -> Option<()> {
    (messages.len() <= MOST_BYTES).then_some(())
}

fn write_elements(messages: &mut Messages, kind: Kind, entries: &Entries) -> Option<()> {
    let entries: Vec<_> = entries.iter().collect();
    let lists = entries
        .chunk_by(|((one, _), _), ((other, _), _)| one == other)
        .flat_map(|of_set| of_set.chunks(MOST_ELEMENTS));
    for list in lists {
        let ((set, _), _) = list.first()?;
        let mut elements = Vec::with_capacity(list.len());
        for ((set, key), data) in list {
            elements.push(match kind {
                Kind::NewElements => Element::added(*set, key, data)?,
                _ => Element::gone(*set, key)?,
            });
        }
        let flags = match kind {
            Kind::NewElements => NLM_F_CREATE,
            _ => 0,
        };
        messages.message(kind, flags, |m| {
            m.text(LIST_TABLE, TABLE);
            m.text(LIST_SET, set.name());
            m.nested(LIST_ELEMENTS, |m| {
                for (number, element) in (1..).zip(&elements) {
                    element.write(number, m);
                }
            });
        });
        is_small(messages)?;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elements::{Picker, Set};

    /// The messages of a batch, each in hexadecimal digits.
    fn messages(batch: &Batch) -> Vec<String> {
        let mut rest = batch.bytes.as_slice();
        let mut all = Vec::new();
        while !rest.is_empty() {
            let length = u32::from_ne_bytes(rest[..4].try_into().unwrap()) as usize;
            let (message, others) = rest.split_at(length);
            all.push(message.iter().map(|byte| format!("{byte:02x}")).collect());
            rest = others;
        }
        all
    }

    /// What nft sent, a message a paragraph.
    fn sent_by_nft(text: &str) -> Vec<String> {
        let paragraphs = text.split("\n\n");
        paragraphs
            .map(|lines| {
                let lines = lines.lines().filter(|line| !line.starts_with('#'));
                lines.flat_map(str::split_whitespace).collect::<String>()
            })
            .filter(|message| !message.is_empty())
            .collect()
    }

    fn entries(list: &[(Set, &str, &str)]) -> Entries {
        let entry =
            |(set, key, data): &(Set, &str, &str)| ((*set, (*key).to_owned()), (*data).to_owned());
        list.iter().map(entry).collect()
    }

    #[test]
    fn elements_are_sent_as_nft_sends_them() {
        let change = Change {
            added: entries(&[
                (Set::ClusterIps, "10.96.0.7", ""),
                (Set::Hairpin, "10.244.0.2 . 10.244.0.2", ""),
                (Set::Services, "10.96.0.7 . tcp . 80", "goto pick-5"),
                (Set::NodePorts, "udp . 30080", "goto pick-4"),
                (
                    Set::Endpoints,
                    "10.96.0.7 . tcp . 80 . 0x0",
                    "10.244.0.2 . 8080",
                ),
                (
                    Set::Endpoints,
                    "10.96.0.7 . tcp . 80 . 0x1",
                    "10.244.0.3 . 8080",
                ),
                (Set::Slots, "10.96.0.7 . sctp . 80 . 0x1", "0x10203040"),
                (Set::NoEndpoints, "10.96.0.8 . tcp . 80", "drop"),
                (Set::Guarded, "192.0.2.1 . tcp . 80", ""),
                (Set::Sources, "192.0.2.1 . tcp . 80 . 10.0.0.0/8", ""),
                (Set::Sources, "192.0.2.1 . tcp . 80 . 172.16.0.1", ""),
                (Set::Sources, "192.0.2.1 . tcp . 80 . 192.168.4.0/22", ""),
            ]),
            ..Change::default()
        };
        let batch = Batch::of(&change).unwrap();
        let expected = sent_by_nft(include_str!("testdata/added.hex"));
        assert_eq!(messages(&batch), expected);
    }

    #[test]
    fn what_goes_is_sent_as_nft_sends_it() {
        let change = Change {
            gone: entries(&[
                (Set::Services, "10.96.0.7 . tcp . 80", "goto pick-5"),
                (Set::Sources, "192.0.2.1 . tcp . 80 . 10.0.0.0/8", ""),
            ]),
            ..Change::default()
        };
        let batch = Batch::of(&change).unwrap();
        let expected = sent_by_nft(include_str!("testdata/gone.hex"));
        assert_eq!(messages(&batch), expected);
    }

    #[test]
    fn pickers_are_sent_as_nft_sends_them() {
        let picker = |node_port, count, bits, affinity| Picker {
            node_port,
            count,
            bits,
            affinity,
        };
        let change = Change {
            pickers: [
                picker(false, 3, 0, None),
                picker(false, 3, 0, Some(60)),
                picker(true, 2, 0x4000, None),
            ]
            .into(),
            ..Change::default()
        };
        let batch = Batch::of(&change).unwrap();
        let expected = sent_by_nft(include_str!("testdata/pickers.hex"));
        assert_eq!(messages(&batch), expected);
    }

    #[test]
    fn what_is_not_known_or_too_large_is_left_to_nft() {
        let odd = Change {
            added: entries(&[(Set::ClusterIps, "fd00::1", "")]),
            ..Change::default()
        };
        assert_eq!(Batch::of(&odd), None);
        let many = |number: u32| Change {
            added: (0..number)
                .map(|ip| (Set::ClusterIps, std::net::Ipv4Addr::from(ip).to_string()))
                .map(|element| (element, String::new()))
                .collect(),
            ..Change::default()
        };
        let batch = Batch::of(&many(1_000)).unwrap();
        assert_eq!(
            messages(&batch).len(),
            6,
            "four lists between begin and end"
        );
        assert_eq!(Batch::of(&many(20_000)), None);
    }
}
