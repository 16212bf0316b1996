//! Which apiservers there are: what their Leases and their answers come to. Pure.
//!
//! One that doesn't answer is taken for dead, unless its Lease is renewed afterwards: then it is
//! only this server that can't reach it, and others may. So two apiservers that are cut off from
//! each other, but not from etcd, do not go on taking each other out.

use std::collections::HashMap;
use std::time::Duration;
use tokio::time::Instant;

/// A Lease not renewed for so long is that of an apiserver gone.
pub(super) const STALE: Duration = Duration::from_secs(30);
/// The same, of one that doesn't answer: one renewal, and half a one.
const STALE_IF_SILENT: Duration = Duration::from_secs(15);
/// So many bad answers in a row mean something.
const BAD: u32 = 2;

/// What became of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// It is there.
    Alive,
    /// It is there, and says that it is not ready.
    NotReady,
    /// It is ready.
    Ready,
    /// None.
    Silence,
}

/// A Lease as it was read.
#[derive(Clone, Debug)]
pub(super) struct Lease {
    pub(super) address: String,
    pub(super) revision: i64,
    /// How long ago it was renewed, by the clocks of both.
    pub(super) age: Duration,
}

/// The apiservers but this one.
#[derive(Debug, Default)]
pub(super) struct Peers(HashMap<String, Peer>);

#[derive(Debug)]
struct Peer {
    revision: i64,
    renewed: Instant,
    silences: u32,
    silent_since: Option<Instant>,
    refusals: u32,
}

impl Peers {
    /// Takes over the Leases that there are.
    pub(super) fn read(&mut self, leases: &[Lease], now: Instant) {
        self.0
            .retain(|address, _| leases.iter().any(|lease| lease.address == *address));
        for lease in leases {
            match self.0.get_mut(&lease.address) {
                Some(peer) if peer.revision == lease.revision => {}
                Some(peer) => {
                    peer.revision = lease.revision;
                    peer.renewed = now;
                }
                None => {
                    let peer = Peer {
                        revision: lease.revision,
                        renewed: now.checked_sub(lease.age).unwrap_or(now),
                        silences: 0,
                        silent_since: None,
                        refusals: 0,
                    };
                    self.0.insert(lease.address.clone(), peer);
                }
            }
        }
    }

    /// Those to ask how they are: whose Lease is fresh.
    pub(super) fn asked(&self, now: Instant) -> Vec<String> {
        let fresh = self.0.iter().filter(|(_, peer)| now - peer.renewed < STALE);
        fresh.map(|(address, _)| address.clone()).collect()
    }

    /// Takes over what one of them answered.
    pub(super) fn heard(&mut self, address: &str, answer: Answer, now: Instant) {
        let Some(peer) = self.0.get_mut(address) else {
            return;
        };
        match answer {
            Answer::Silence => {
                peer.silences += 1;
                if peer.silences >= BAD {
                    peer.silent_since.get_or_insert(now);
                }
                return;
            }
            Answer::Alive => {}
            Answer::NotReady => peer.refusals += 1,
            Answer::Ready => peer.refusals = 0,
        }
        peer.silences = 0;
        peer.silent_since = None;
    }

    /// Those that can be sent requests, in order.
    pub(super) fn live(&self, now: Instant) -> Vec<String> {
        let live = self.0.iter().filter(|(_, peer)| peer.is_live(now));
        let mut live: Vec<String> = live.map(|(address, _)| address.clone()).collect();
        live.sort();
        live
    }
}

impl Peer {
    fn is_live(&self, now: Instant) -> bool {
        let age = now - self.renewed;
        let is_renewed = match self.silent_since {
            None => age < STALE,
            Some(since) => self.renewed > since && age < STALE_IF_SILENT,
        };
        is_renewed && self.refusals < BAD
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn lease(address: &str, revision: i64, age: u64) -> Lease {
        Lease {
            address: address.into(),
            revision,
            age: Duration::from_secs(age),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn only_fresh_leases_count() {
        // An instant that has a past.
        tokio::time::advance(SECOND * 100).await;
        let (mut peers, now) = (Peers::default(), Instant::now());
        peers.read(
            &[lease("b", 1, 10), lease("a", 2, 1), lease("c", 3, 60)],
            now,
        );
        assert_eq!(peers.live(now), ["a", "b"]);
        assert_eq!(peers.live(now + SECOND * 21), ["a"]);
        peers.read(&[lease("b", 4, 0)], now + SECOND * 21);
        assert_eq!(
            peers.live(now + SECOND * 22),
            ["b"],
            "a has given its Lease back"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_is_silent_goes_at_once_and_comes_back_when_it_answers() {
        let (mut peers, now) = (Peers::default(), Instant::now());
        peers.read(&[lease("a", 1, 0)], now);
        peers.heard("a", Answer::Silence, now + SECOND);
        assert_eq!(peers.live(now + SECOND), ["a"], "once is nothing");
        peers.heard("a", Answer::Silence, now + SECOND * 2);
        assert!(peers.live(now + SECOND * 2).is_empty());
        assert_eq!(peers.asked(now + SECOND * 2), ["a"]);
        peers.heard("a", Answer::Alive, now + SECOND * 3);
        assert_eq!(peers.live(now + SECOND * 3), ["a"]);
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_only_this_server_cannot_reach_stays_while_it_renews_its_lease() {
        let (mut peers, now) = (Peers::default(), Instant::now());
        peers.read(&[lease("a", 1, 0)], now);
        for _ in 0..BAD {
            peers.heard("a", Answer::Silence, now + SECOND);
        }
        assert!(peers.live(now + SECOND).is_empty());
        peers.read(&[lease("a", 2, 0)], now + SECOND * 2);
        peers.heard("a", Answer::Silence, now + SECOND * 3);
        assert_eq!(peers.live(now + SECOND * 12), ["a"]);
        assert!(peers.live(now + SECOND * 18).is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_says_it_is_not_ready_is_believed() {
        let (mut peers, now) = (Peers::default(), Instant::now());
        peers.read(&[lease("a", 1, 0)], now);
        for _ in 0..BAD {
            peers.heard("a", Answer::NotReady, now);
            peers.heard("a", Answer::Alive, now);
        }
        assert!(peers.live(now).is_empty());
        peers.heard("a", Answer::Ready, now);
        assert_eq!(peers.live(now), ["a"]);
    }
}
