//! Shuffle sharding: each flow gets a hand of a few queues, dealt from a hash.
//! Two flows rarely share the whole hand, so one that fills all of its queues
//! leaves others theirs.

/// The largest hand: one bit of the hash for each card, at least.
const MAX_HAND: usize = 60;

/// Deals a hand: that many different numbers below `queues`, all drawn from
/// the hash. `hand` is at most `queues`.
pub fn deal(mut hash: u64, queues: usize, hand: usize, mut take: impl FnMut(usize)) {
    let hand = hand.min(queues).min(MAX_HAND);
    let mut drawn = [0; MAX_HAND];
    for i in 0..hand {
        let left = (queues - i) as u64;
        drawn[i] = (hash % left) as usize;
        hash /= left;
        // What was drawn is a place among the cards that are left; each card
        // taken before moves it on.
        let card = (0..i).rev().fold(drawn[i], |card, before| {
            card + usize::from(card >= drawn[before])
        });
        take(card);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn hand(hash: u64, queues: usize, size: usize) -> Vec<usize> {
        let mut hand = Vec::new();
        deal(hash, queues, size, |card| hand.push(card));
        hand
    }

    fn scrambled(n: u64) -> u64 {
        let mut x = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    #[test]
    fn a_hand_holds_different_cards_of_the_deck() {
        for n in 0..2_000 {
            for (queues, size) in [(1, 1), (8, 8), (64, 6), (128, 6), (16, 4)] {
                let hand = hand(scrambled(n), queues, size);
                let different: BTreeSet<usize> = hand.iter().copied().collect();
                assert_eq!(different.len(), size);
                assert!(different.iter().all(|card| *card < queues));
            }
        }
    }

    #[test]
    fn every_hand_is_equally_likely() {
        // 5 · 4 hands of two out of five, each from its own hash.
        let hands: BTreeSet<Vec<usize>> = (0..20).map(|hash| hand(hash, 5, 2)).collect();
        assert_eq!(hands.len(), 20);
    }

    #[test]
    fn flows_rarely_share_a_hand() {
        let elephant: BTreeSet<usize> = hand(scrambled(1), 128, 6).into_iter().collect();
        let all = (2..10_000)
            .filter(|n| {
                hand(scrambled(*n), 128, 6)
                    .iter()
                    .all(|q| elephant.contains(q))
            })
            .count();
        assert_eq!(all, 0);
    }
}
