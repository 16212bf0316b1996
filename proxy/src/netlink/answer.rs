//! What the kernel answers.

use super::batch::Batch;
use super::message::{FAMILY_HEADER, HEADER, Kind};
use netlink_packet_core::{NLM_F_ACK_TLVS, NLMSG_ERROR, NetlinkBuffer, NlasIterator, parse_string};

/// The text of an error (`NLMSGERR_ATTR_MSG`).
const ERROR_TEXT: u16 = 1;
/// Length of an error's code.
const CODE: usize = 4;

/// Messages that came one after the other, up to one that is cut off.
pub fn messages(bytes: &[u8]) -> impl Iterator<Item = NetlinkBuffer<&[u8]>> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let message = NetlinkBuffer::new_checked(rest).ok()?;
        // No length is divisible by less than four; the last may be.
        let length = (message.length() as usize).next_multiple_of(4);
        rest = rest.get(length..).unwrap_or_default();
        Some(message)
    })
}

/// An attribute of a message of nfnetlink, if it has it.
pub fn attribute<'a>(message: &NetlinkBuffer<&'a [u8]>, kind: u16) -> Option<&'a [u8]> {
    of(message.payload().get(FAMILY_HEADER..)?, kind)
}

/// An attribute that is a name.
pub fn name(message: &NetlinkBuffer<&[u8]>, kind: u16) -> Option<String> {
    parse_string(attribute(message, kind)?).ok()
}

fn of(attributes: &[u8], kind: u16) -> Option<&[u8]> {
    let mut all = NlasIterator::new(attributes).flatten();
    let found = all.find(|attribute| attribute.kind() == kind)?;
    let length = found.length() as usize;
    found.into_inner().get(4..length)
}

/// The code of an error (none if it is a confirmation), and what the kernel says of it.
pub fn error(message: &NetlinkBuffer<&[u8]>) -> Option<(i32, Option<String>)> {
    if message.message_type() != NLMSG_ERROR {
        return None;
    }
    let code = message.payload().get(..CODE)?.try_into().ok()?;
    // The header of what was refused is repeated, without what it had in it.
    let text = (message.flags() & NLM_F_ACK_TLVS != 0)
        .then(|| of(message.payload().get(CODE + HEADER..)?, ERROR_TEXT))
        .flatten();
    let text = text.and_then(|text| parse_string(text).ok());
    Some((i32::from_ne_bytes(code), text))
}

/// A code and a text as one sentence.
pub fn complaint(code: i32, text: Option<String>) -> String {
    let reason = std::io::Error::from_raw_os_error(code.saturating_neg());
    match text {
        Some(text) => format!("{reason}: {text}"),
        None => reason.to_string(),
    }
}

/// Whether a batch was taken; if not, which of its messages the kernel refused
/// first, and why.
pub fn outcome(batch: &Batch, answers: &[u8]) -> Result<(), String> {
    let mut confirmed = false;
    for answer in messages(answers) {
        match error(&answer) {
            Some((0, _)) => confirmed |= answer.sequence_number() == batch.confirmed,
            Some((code, text)) => {
                let what = describe(batch, answer.sequence_number());
                return Err(format!("{what}: {}", complaint(code, text)));
            }
            None => {}
        }
    }
    match confirmed {
        true => Ok(()),
        false => Err("it was not confirmed".to_owned()),
    }
}

/// What a message of a batch does.
fn describe(batch: &Batch, number: u32) -> String {
    let mut all = messages(&batch.bytes);
    let found = all.find(|message| message.sequence_number() == number);
    let what = found.and_then(|message| {
        let (action, kind) = [
            (Kind::NewChain, "add chain", 3),
            (Kind::DeleteRule, "empty chain", 2),
            (Kind::NewRule, "add a rule to chain", 2),
            (Kind::DeleteElements, "delete elements of", 2),
            (Kind::NewElements, "add elements to", 2),
        ]
        .into_iter()
        .find(|(kind, ..)| *kind as u16 == message.message_type())
        .map(|(_, action, kind)| (action, kind))?;
        Some(format!("{action} {}", name(&message, kind)?))
    });
    what.unwrap_or_else(|| "the transaction as a whole".to_owned())
}
