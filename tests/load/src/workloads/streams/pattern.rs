//! Bytes of which each place has its own, so that what comes back is known to be the same, in
//! the same order, and whole. Pure.

/// Fills a piece of the bytes that begins at this place.
pub(super) fn fill(place: u64, piece: &mut [u8]) {
    for (byte, place) in piece.iter_mut().zip(place..) {
        *byte = at(place);
    }
}

/// Where a piece that should begin at this place is another one than it should be.
pub(super) fn difference(place: u64, piece: &[u8]) -> Option<u64> {
    let mut places = piece.iter().zip(place..);
    places.find_map(|(byte, place)| (*byte != at(place)).then_some(place))
}

/// The byte of a place: the numbers of words of eight bytes, mixed.
fn at(place: u64) -> u8 {
    let word = (place / 8 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    word.to_le_bytes()[(place % 8) as usize]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_those_of_the_whole() {
        let mut whole = vec![0; 1000];
        fill(5000, &mut whole);
        for (start, end) in [(0, 1000), (3, 17), (8, 8), (999, 1000)] {
            assert_eq!(difference(5000 + start as u64, &whole[start..end]), None);
        }
    }

    #[test]
    fn what_is_lost_twice_or_wrong_is_seen() {
        let mut whole = vec![0; 4096];
        fill(0, &mut whole);
        let lost = [&whole[..100], &whole[108..]].concat();
        assert_eq!(difference(0, &lost).map(|place| place / 8), Some(12));
        let twice = [&whole[..64], &whole[..]].concat();
        assert_eq!(difference(0, &twice), Some(64));
        whole[777] ^= 1;
        assert_eq!(difference(0, &whole), Some(777));
    }
}
