//! The chains that pick an endpoint, as the expressions that the kernel runs
//! one after the other over its registers. [`crate::ruleset`] has them as text.

use super::message::{Kind, Messages};
use crate::elements::{Picker, Set};
use crate::ruleset::{AFFINITY, TABLE};
use netlink_packet_core::{NLM_F_APPEND, NLM_F_CREATE};

// Attributes of chains and of rules (`NFTA_CHAIN_…`, `NFTA_RULE_…`).
const CHAIN_TABLE: u16 = 1;
const CHAIN_NAME: u16 = 3;
const RULE_TABLE: u16 = 1;
const RULE_CHAIN: u16 = 2;
const RULE_EXPRESSIONS: u16 = 4;
// Of an expression (`NFTA_EXPR_…`), a member of a list.
const MEMBER: u16 = 1;
const NAME: u16 = 1;
const DATA: u16 = 2;

/// A register: the first 16 bytes are 1, and in parts of four bytes 8 to 11;
/// the next 16 are 2. As `nft` does, a first part is named as the whole.
type Register = u32;
const FIRST: Register = 1;
const SECOND: Register = 2;
/// The parts of the first register.
const PARTS: [Register; 4] = [FIRST, 9, 10, 11];

/// One step of a rule.
#[derive(Clone, Copy)]
enum Expression<'a> {
    /// A random number below `modulus`, and `offset` more.
    Random {
        modulus: u32,
        offset: u32,
    },
    /// What the packet is for, to the mark.
    SetMark,
    Load(Source, Register),
    /// What a map has for the first register, to the first register.
    Lookup(&'a str),
    /// Has a map remember, for so many milliseconds, the second register for the first.
    Remember {
        set: &'a str,
        milliseconds: u64,
    },
    /// Sends the connection to the address and port in the first register.
    Destination,
}

/// What a packet is looked up by.
#[derive(Clone, Copy)]
enum Source {
    /// Its source address.
    From,
    /// Its destination address.
    To,
    Protocol,
    /// Its destination port.
    Port,
    Mark,
}

/// `ip saddr . ip daddr . meta l4proto . th dport`.
const CLIENT: &[Source] = &[Source::From, Source::To, Source::Protocol, Source::Port];
/// `ip daddr . meta l4proto . th dport . meta mark`.
const BY_ADDRESS: &[Source] = &[Source::To, Source::Protocol, Source::Port, Source::Mark];
/// `meta l4proto . th dport . meta mark`.
const BY_PORT: &[Source] = &[Source::Protocol, Source::Port, Source::Mark];

/// Writes a chain that picks an endpoint; one that is there is emptied before.
/// None if there are more endpoints than a mark has room for.
pub fn picker(messages: &mut Messages, picker: &Picker) -> Option<()> {
    let chain = picker.chain();
    messages.message(Kind::NewChain, NLM_F_CREATE, |m| {
        m.text(CHAIN_TABLE, TABLE);
        m.text(CHAIN_NAME, &chain);
    });
    messages.message(Kind::DeleteRule, 0, |m| {
        m.text(RULE_TABLE, TABLE);
        m.text(RULE_CHAIN, &chain);
    });
    for expressions in rules(picker)? {
        messages.message(Kind::NewRule, NLM_F_CREATE | NLM_F_APPEND, |m| {
            m.text(RULE_TABLE, TABLE);
            m.text(RULE_CHAIN, &chain);
            m.nested(RULE_EXPRESSIONS, |m| {
                for expression in expressions {
                    expression.write(m);
                }
            });
        });
    }
    Some(())
}

fn rules(picker: &Picker) -> Option<Vec<Vec<Expression<'static>>>> {
    let (key, endpoints, slots) = if picker.node_port {
        (BY_PORT, Set::NodePortEndpoints, Set::NodePortSlots)
    } else {
        (BY_ADDRESS, Set::Endpoints, Set::Slots)
    };
    let draw = [
        Expression::Random {
            modulus: u32::try_from(picker.count).ok()?,
            offset: picker.bits,
        },
        Expression::SetMark,
    ];
    let mut go = load(key);
    go.extend([
        Expression::Lookup(endpoints.name()),
        Expression::Destination,
    ]);
    let Some(seconds) = picker.affinity else {
        return Some(vec![[draw.as_slice(), &go].concat()]);
    };
    let client = load(CLIENT);
    let remember = [
        client.as_slice(),
        &[
            Expression::Load(Source::Mark, SECOND),
            Expression::Remember {
                set: AFFINITY,
                milliseconds: u64::from(seconds) * 1_000,
            },
        ],
    ]
    .concat();
    let recall = [Expression::Lookup(AFFINITY), Expression::SetMark];
    let slot = [Expression::Lookup(slots.name()), Expression::SetMark];
    Some(vec![
        [client.as_slice(), &recall, &remember, &go].concat(),
        draw.to_vec(),
        [load(key).as_slice(), &slot].concat(),
        [remember.as_slice(), &go].concat(),
    ])
}

/// Loads the parts of a key, one after the other.
fn load(key: &[Source]) -> Vec<Expression<'static>> {
    let parts = key.iter().zip(PARTS);
    parts
        .map(|(source, register)| Expression::Load(*source, register))
        .collect()
}

impl Expression<'_> {
    fn write(self, messages: &mut Messages) {
        messages.nested(MEMBER, |m| match self {
            // NFTA_NG_DREG, _MODULUS, _TYPE (random), _OFFSET.
            Self::Random { modulus, offset } => named(m, "numgen", |m| {
                m.number(1, FIRST);
                m.number(2, modulus);
                m.number(3, 1);
                m.number(4, offset);
            }),
            // NFTA_META_KEY (mark), _SREG.
            Self::SetMark => named(m, "meta", |m| {
                m.number(2, META_MARK);
                m.number(3, FIRST);
            }),
            Self::Load(source, register) => source.load(m, register),
            // NFTA_LOOKUP_SREG, _DREG, _SET.
            Self::Lookup(set) => named(m, "lookup", |m| {
                m.number(2, FIRST);
                m.number(3, FIRST);
                m.text(1, set);
            }),
            // NFTA_DYNSET_SREG_KEY, _SREG_DATA, _OP (update), _TIMEOUT, _SET_NAME.
            Self::Remember { set, milliseconds } => named(m, "dynset", |m| {
                m.number(4, FIRST);
                m.number(5, SECOND);
                m.number(3, 1);
                m.attribute(6, &milliseconds.to_be_bytes());
                m.text(1, set);
            }),
            // NFTA_NAT_TYPE (destination), _FAMILY (IPv4), _REG_ADDR_MIN, _REG_PROTO_MIN.
            Self::Destination => named(m, "nat", |m| {
                m.number(1, 1);
                m.number(2, 2);
                m.number(3, PARTS[0]);
                m.number(5, PARTS[1]);
            }),
        });
    }
}

/// `NFT_META_MARK`.
const META_MARK: u32 = 3;
/// `NFT_META_L4PROTO`.
const META_L4PROTO: u32 = 16;
/// `NFT_PAYLOAD_NETWORK_HEADER`.
const NETWORK: u32 = 1;
/// `NFT_PAYLOAD_TRANSPORT_HEADER`.
const TRANSPORT: u32 = 2;

impl Source {
    fn load(self, messages: &mut Messages, register: Register) {
        match self {
            Source::From => payload(messages, register, NETWORK, 12, 4),
            Source::To => payload(messages, register, NETWORK, 16, 4),
            Source::Port => payload(messages, register, TRANSPORT, 2, 2),
            Source::Protocol => meta(messages, register, META_L4PROTO),
            Source::Mark => meta(messages, register, META_MARK),
        }
    }
}

/// Loads bytes of a packet (`NFTA_PAYLOAD_DREG`, `_BASE`, `_OFFSET`, `_LEN`).
fn payload(messages: &mut Messages, register: Register, header: u32, offset: u32, length: u32) {
    named(messages, "payload", |m| {
        m.number(1, register);
        m.number(2, header);
        m.number(3, offset);
        m.number(4, length);
    });
}

/// Loads what the kernel knows of a packet (`NFTA_META_KEY`, `_DREG`).
fn meta(messages: &mut Messages, register: Register, key: u32) {
    named(messages, "meta", |m| {
        m.number(2, key);
        m.number(1, register);
    });
}

fn named(messages: &mut Messages, name: &str, fill: impl FnOnce(&mut Messages)) {
    messages.text(NAME, name);
    messages.nested(DATA, fill);
}
