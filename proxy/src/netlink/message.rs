//! Messages of nfnetlink, one after the other in one buffer.

use netlink_packet_core::{NLA_F_NESTED, NLM_F_ACK, NLM_F_REQUEST};

/// What a message is about (`NFNL_MSG_…` and `NFT_MSG_…`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Kind {
    /// The start of a transaction.
    BatchBegin = 0x10,
    /// Its end.
    BatchEnd = 0x11,
    /// A chain is made.
    NewChain = NFTABLES | 3,
    /// Chains are listed.
    GetChain = NFTABLES | 4,
    /// A rule is made.
    NewRule = NFTABLES | 6,
    /// Rules are listed.
    GetRule = NFTABLES | 7,
    /// Rules are removed.
    DeleteRule = NFTABLES | 8,
    /// Elements are added.
    NewElements = NFTABLES | 12,
    /// Elements are removed.
    DeleteElements = NFTABLES | 14,
    /// Which generation of rules there is.
    NewGeneration = NFTABLES | 15,
    /// That is asked.
    GetGeneration = NFTABLES | 16,
}

/// `NFNL_SUBSYS_NFTABLES`, in the upper byte of a message's type.
const NFTABLES: u16 = 10 << 8;
/// The family of the table, `NFPROTO_IPV4`.
const IPV4: u8 = 2;
/// Length of netlink's header.
pub const HEADER: usize = 16;
/// Where the flags are in it.
const FLAGS: usize = 6;
/// Length of nfnetlink's own header: family, version, resource.
pub const FAMILY_HEADER: usize = 4;
/// Everything begins at a multiple of this.
const ALIGNMENT: usize = 4;

/// Messages that are being written.
#[derive(Debug, Default)]
pub struct Messages {
    bytes: Vec<u8>,
    /// Where the last one begins.
    last: usize,
    /// How many there are.
    count: u32,
    /// Whether an attribute was longer than can be said.
    overflow: bool,
}

impl Messages {
    /// Writes one, with the attributes that `fill` writes. Its number in the
    /// sequence is how many were before it.
    pub fn message(&mut self, kind: Kind, flags: u16, fill: impl FnOnce(&mut Self)) {
        self.last = self.bytes.len();
        let flags = flags | NLM_F_REQUEST;
        self.bytes.extend([0; 4]);
        self.bytes.extend((kind as u16).to_ne_bytes());
        self.bytes.extend(flags.to_ne_bytes());
        self.bytes.extend(self.count.to_ne_bytes());
        self.bytes.extend([0; 4]);
        // A batch says in the field for a resource which subsystem it is for.
        let (family, resource) = match kind {
            Kind::BatchBegin | Kind::BatchEnd => (0, NFTABLES >> 8),
            _ => (IPV4, 0),
        };
        self.bytes.extend([family, 0]);
        self.bytes.extend(resource.to_be_bytes());
        fill(self);
        let length = (self.bytes.len() - self.last) as u32;
        self.bytes[self.last..self.last + 4].copy_from_slice(&length.to_ne_bytes());
        self.count += 1;
    }

    /// Writes an attribute.
    pub fn attribute(&mut self, kind: u16, value: &[u8]) {
        self.measured(kind, |messages| messages.bytes.extend(value));
    }

    /// Writes an attribute of 32 bits.
    pub fn number(&mut self, kind: u16, value: u32) {
        self.attribute(kind, &value.to_be_bytes());
    }

    /// Writes an attribute that is a name.
    pub fn text(&mut self, kind: u16, value: &str) {
        self.measured(kind, |messages| {
            messages.bytes.extend(value.as_bytes());
            messages.bytes.push(0);
        });
    }

    /// Writes an attribute of attributes.
    pub fn nested(&mut self, kind: u16, fill: impl FnOnce(&mut Self)) {
        self.measured(kind | NLA_F_NESTED, fill);
    }

    /// Writes an attribute, whose length shows when it is there.
    fn measured(&mut self, kind: u16, fill: impl FnOnce(&mut Self)) {
        let start = self.bytes.len();
        self.bytes.extend([0; 2]);
        self.bytes.extend(kind.to_ne_bytes());
        fill(self);
        let length = u16::try_from(self.bytes.len() - start).unwrap_or_else(|_| {
            self.overflow = true;
            0
        });
        self.bytes[start..start + 2].copy_from_slice(&length.to_ne_bytes());
        let end = self.bytes.len().next_multiple_of(ALIGNMENT);
        self.bytes.resize(end, 0);
    }

    /// How many bytes there are.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Asks for the last message to be confirmed; its number.
    pub fn confirm(&mut self) -> u32 {
        let [low, high] = NLM_F_ACK.to_ne_bytes();
        for (at, bits) in [(FLAGS, low), (FLAGS + 1, high)] {
            if let Some(byte) = self.bytes.get_mut(self.last + at) {
                *byte |= bits;
            }
        }
        self.count.saturating_sub(1)
    }

    /// All of them; none if one can't be said.
    pub fn finish(self) -> Option<Vec<u8>> {
        (!self.overflow).then_some(self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_long_to_be_said_is_not_said() {
        let mut messages = Messages::default();
        messages.message(Kind::NewElements, 0, |m| m.attribute(1, &[0; 65_531]));
        assert!(messages.finish().is_some());
        let mut messages = Messages::default();
        messages.message(Kind::NewElements, 0, |m| m.attribute(1, &[0; 65_532]));
        assert_eq!(messages.finish(), None);
    }
}
