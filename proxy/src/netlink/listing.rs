//! Which chains and rules the table has: what costs nothing to ask, however
//! many elements there are. (`nft --terse` reads them all and leaves them out.)

use super::answer;
use super::message::{Kind, Messages};
use super::socket::Socket;
use crate::ruleset::TABLE;
use netlink_packet_core::{NLM_F_DUMP, NLM_F_DUMP_INTR, NetlinkBuffer};
use std::collections::BTreeMap;
use std::io;

// `NFTA_CHAIN_TABLE` and `NFTA_RULE_TABLE`; `NFTA_CHAIN_NAME`; `NFTA_RULE_CHAIN`.
const IN_TABLE: u16 = 1;
const CHAIN_NAME: u16 = 3;
const RULE_CHAIN: u16 = 2;

/// The chains of the table with how many rules each has; none if it is gone.
pub fn rules(socket: &Socket) -> io::Result<BTreeMap<String, usize>> {
    let chains = listed(socket, Kind::GetChain)?;
    let rules = listed(socket, Kind::GetRule)?;
    count(&chains, &rules)
}

fn listed(socket: &Socket, kind: Kind) -> io::Result<Vec<u8>> {
    let mut question = Messages::default();
    question.message(kind, NLM_F_DUMP, |m| m.text(IN_TABLE, TABLE));
    socket.ask(&question.finish().unwrap_or_default())
}

fn count(chains: &[u8], rules: &[u8]) -> io::Result<BTreeMap<String, usize>> {
    let mut counts = BTreeMap::new();
    for chain in ours(chains)? {
        if let Some(name) = answer::name(&chain, CHAIN_NAME) {
            counts.entry(name).or_default();
        }
    }
    for rule in ours(rules)? {
        if let Some(chain) = answer::name(&rule, RULE_CHAIN) {
            *counts.entry(chain).or_default() += 1;
        }
    }
    Ok(counts)
}

/// What is in the table.
fn ours(answers: &[u8]) -> io::Result<Vec<NetlinkBuffer<&[u8]>>> {
    let mut found = Vec::new();
    for answer in answer::messages(answers) {
        if answer.flags() & NLM_F_DUMP_INTR != 0 {
            return Err(io::Error::other("the rules changed while they were read"));
        }
        match answer::error(&answer) {
            Some((0, _)) => {}
            Some((code, text)) => return Err(io::Error::other(answer::complaint(code, text))),
            None if answer::name(&answer, IN_TABLE).as_deref() == Some(TABLE) => {
                found.push(answer);
            }
            None => {}
        }
    }
    Ok(found)
}
